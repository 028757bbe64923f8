#!/usr/bin/env bash
# Makes kernels/ptx from kernels/device with the pinned NVRTC, which it fetches into target/nvidia/nvrtc.
#
#   scripts/ptx.sh           writes kernels/ptx
#   scripts/ptx.sh --check   writes nothing; exit 1 if kernels/ptx is not what the sources give
#   scripts/ptx.sh --fetch   only fetches NVRTC; exit 3 if it cannot be had
set -euo pipefail
cd "$(dirname "$0")/.."

package=nvidia-cuda-nvrtc-cu12==12.1.105 # PTX 8.1: drivers from R530 on take it
fetched=target/nvidia/nvrtc
library=$fetched/nvidia/cuda_nvrtc/lib/libnvrtc.so.12

fetch() {
    [ -e "$library" ] && return
    echo "ptx: fetching $package (24 MB, a build tool of NVIDIA's under its own licence)"
    rm -rf "$fetched"
    mkdir -p "$fetched/wheel"
    if ! python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$fetched/wheel" "$package" ||
        ! python3 -m zipfile -e "$fetched"/wheel/*.whl "$fetched"; then
        echo "ptx: $package cannot be had here" >&2
        rm -rf "$fetched"
        exit 3
    fi
    rm -rf "$fetched/wheel"
}

run() { ${CARGO:-cargo} test --release -q -p lode-kernels --test ptx -- --nocapture "$@"; }

case "${1-}" in
--fetch) fetch ;;
--check)
    fetch
    run
    ;;
"")
    fetch
    mkdir -p kernels/ptx
    for file in $(grep -o '\.\./ptx/[^"]*' kernels/src/source.rs); do # so that the crate compiles before it has its PTX
        [ -e "kernels/src/$file" ] || : >"kernels/src/$file"
    done
    LODE_WRITE_PTX=1 run what_is_checked_in
    run
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
