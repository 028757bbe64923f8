#!/usr/bin/env bash
# Says which backends and checkers the tests below really run on, and counts what they skip and why.
set -euo pipefail
devices=$(target/release/lode-miner devices)
printf '%s\n\n' "$devices"
ran=0 skipped=0
runs() { echo "$1: runs"; ran=$((ran + 1)); }
skips() { echo "$1: skipped: $2"; skipped=$((skipped + 1)); }
for backend in cpu opencl cuda; do
    reason=$(sed -n "s/^$backend  *none: //p" <<<"$devices")
    if grep -q "^$backend:" <<<"$devices"; then
        runs "backend $backend"
    else
        skips "backend $backend" "${reason:-no such device here}"
    fi
done
runs "backend cuda on the stand-in driver (PTX, interpreted)"
if [ -e /usr/lib/oclgrind/liboclgrind-rt-icd.so ]; then
    runs "Oclgrind (races, bounds, uninitialised values)"
else
    skips "Oclgrind" "not installed"
fi
if [ -e target/nvidia/nvrtc/nvidia/cuda_nvrtc/lib/libnvrtc.so.12 ]; then
    runs "the pinned NVRTC (that kernels/ptx is what the sources give)"
else
    skips "the pinned NVRTC" "it could not be fetched"
fi
echo "backends and checkers: $ran run, $skipped skipped"
