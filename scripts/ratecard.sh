#!/usr/bin/env bash
# What a scrypt hash is worth in SHA-256d hashes on the reference device, one core running the OpenCL kernels on PoCL:
# both are measured in turn, on one pinned core, and the ratio of the medians is printed with the raw figures.
set -euo pipefail
rounds=${1:-7} seconds=${2:-3}
rate() {
    POCL_MAX_PTHREAD_COUNT=1 taskset -c 0 target/release/lode-miner bench --kind hash --algorithm "$1" --device opencl:0 \
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
