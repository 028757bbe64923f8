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
