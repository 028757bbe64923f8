#!/usr/bin/env bash
# What a scrypt hash and the operations of a picture are worth in SHA-256d hashes on the reference device, one core running
# the OpenCL kernels on PoCL. Each is measured in turn with SHA-256d on one pinned core, and printed with the raw figures.
#
#   scripts/ratecard.sh [ROUNDS] [SECONDS]
#
# kernels/vectors/ratecard.txt is what its second part printed for card 3.
set -euo pipefail
rounds=${1:-7} seconds=${2:-3}
cargo build --release --quiet -p lode-miner
cargo build --release --quiet -p lode-kernels --example ratecard
on_one_core() { POCL_MAX_PTHREAD_COUNT=1 taskset -c 0 "$@"; }
rate() {
    on_one_core target/release/lode-miner bench --kind hash --algorithm "$1" --device opencl:0 \
        --seconds "$seconds" --json | sed -n 's/.*"rate": *\([0-9.]*\).*/\1/p'
}
sha256d=() scrypt=()
for _ in $(seq "$rounds"); do
    sha256d+=("$(rate sha256d)")
    scrypt+=("$(rate scrypt)")
done
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }
echo "sha256d H/s: ${sha256d[*]}"
echo "scrypt  H/s: ${scrypt[*]}"
awk -v a="$(median "${sha256d[@]}")" -v b="$(median "${scrypt[@]}")" \
    'BEGIN { printf "medians %.0f and %.0f: a scrypt hash is worth %.1f SHA-256d hashes\n", a, b, a / b }'
echo
on_one_core target/release/examples/ratecard "$rounds"
