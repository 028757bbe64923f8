#!/usr/bin/env bash
# Says which backends the tests below really run on, and counts what they skip and why.
set -euo pipefail
target/release/lode-miner devices
echo
ran=0 skipped=0
for backend in cpu opencl cuda; do
    reason=$(target/release/lode-miner devices | sed -n "s/^$backend  *none: //p")
    if target/release/lode-miner devices | grep -q "^$backend:"; then
        echo "backend $backend: runs"
        ran=$((ran + 1))
    else
        echo "backend $backend: skipped: ${reason:-no such device here}"
        skipped=$((skipped + 1))
    fi
done
echo "backends: $ran run, $skipped skipped"
if [ -e target/nvidia/nvrtc/nvidia/cuda_nvrtc/lib/libnvrtc.so.12 ]; then
    echo "checks: 1 run (the CUDA kernels in PTX are what their sources give), 0 skipped"
else
    echo "checks: 0 run, 1 skipped: the pinned NVRTC is not here, so nothing shows that the PTX is what the sources give"
fi
