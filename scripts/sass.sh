#!/usr/bin/env bash
# Counts what one nonce of SHA-256d costs in machine code, card generation by card generation; exit 1 over a limit.
#
#   scripts/sass.sh [PTX]    PTX of sha256d_scan, by default kernels/ptx/sha256d.ptx; nothing is run, no card is needed
#
# The counts are those of the loop that tries one nonce. What it is not: the few instructions that an item executes once,
# and those of a nonce that is reported; `all` has them too. The pipes, each of which takes 64 lanes a clock and SM:
#   alu       shifts, logic, additions, comparisons
#   multiply  IMAD; IMAD.HI and IMAD.WIDE fill it twice
#   clocks    the least clocks a nonce and SM: of alu/64, multiply/64 and instructions/128 the greatest
# Cards of sm_120 can also add and shift in the other half of their lanes; `clocks` does not count on it.
set -euo pipefail
cd "$(dirname "$0")/.."

#        sm_ instructions clocks registers
limits=("75  2460 33 64"
        "80  2450 33 64"
        "86  2450 33 64"
        "89  2450 33 64"
        "90  2450 33 64"
        "100 2450 33 64"
        "120 2450 36 64")

packages=(nvidia-cuda-nvcc==13.5.37 nvidia-cuda-nvdisasm==13.5.37)
tools=target/nvidia/sass
bin=$tools/nvidia/cu13/bin
ptx=${1-kernels/ptx/sha256d.ptx}
[ -r "$ptx" ] || { echo "sass: there is no $ptx; \`make ptx\` makes it" >&2 && exit 2; }

if ! [ -x "$bin/ptxas" ] || ! [ -x "$bin/nvdisasm" ]; then
    echo "sass: fetching ${packages[*]} (52 MB, build tools of NVIDIA's under their own licence)"
    rm -rf "$tools"
    mkdir -p "$tools/wheel"
    if ! python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$tools/wheel" "${packages[@]}"; then
        echo "sass: the packages cannot be had here" >&2
        rm -rf "$tools"
        exit 3
    fi
    for wheel in "$tools"/wheel/*.whl; do python3 -m zipfile -e "$wheel" "$tools"; done
    chmod +x "$bin/ptxas" "$bin/nvdisasm"
    rm -rf "$tools/wheel"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Reads nvdisasm's listing; prints instructions, alu, multiply, other, all.
count() {
    awk '
        /^\.L_x_[0-9]+:/ { label[substr($1, 1, length($1) - 1)] = n }
        /^ +\/\*[0-9a-f]+\*\/ / {
            sub(/^ +\/\*[0-9a-f]+\*\/ +/, "")
            if ($1 ~ /^@/) sub(/^[^ ]+ +/, "")
            if ($1 ~ /^NOP/) next
            line[n++] = $0
        }
        END {
            # The loop over nonces is the first one of a kernel size; a kernel without one tries one nonce.
            begin = 0; end = n - 1
            for (i = 0; i < n; i++)
                if (match(line[i], /\.L_x_[0-9]+/)) {
                    target = label[substr(line[i], RSTART, RLENGTH)]
                    if (line[i] ~ /^BRA/ && target < i - 1000) { begin = target; end = i; break }
                }
            for (i = begin; i <= end; i++) {
                split(line[i], word, /[ .]/)
                if (word[1] == "IMAD") multiply += line[i] ~ /^IMAD\.(HI|WIDE)/ ? 2 : 1
                else if (word[1] ~ /^(SHF|LOP3|IADD3|IADD|VIADD|ISETP|PRMT|LEA|SEL|IMNMX|VIMNMX|PLOP3|MOV)$/) alu++
                else other++
            }
            print end - begin + 1, alu + 0, multiply + 0, other + 0, n
        }'
}

over=0
printf '%-7s %12s %6s %9s %6s %6s %10s %7s %7s\n' card instructions alu multiply other all registers spilled clocks
for row in "${limits[@]}"; do
    read -r sm instructions_max clocks_max registers_max <<<"$row"
    "$bin/ptxas" -v -arch="sm_$sm" "$ptx" -o "$work/cubin" 2>"$work/log" || { cat "$work/log" >&2 && exit 2; }
    registers=$(grep -oE 'Used [0-9]+ registers' "$work/log" | grep -oE '[0-9]+' | sort -n | tail -1)
    spilled=$(grep -oE '[0-9]+ bytes spill (stores|loads)' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
    read -r instructions alu multiply other all < <("$bin/nvdisasm" -c "$work/cubin" | count)
    clocks=$(awk -v a="$alu" -v m="$multiply" -v n="$instructions" \
        'BEGIN { c = a / 64; if (m / 64 > c) c = m / 64; if (n / 128 > c) c = n / 128; printf "%.2f", c }')
    printf '%-7s %12s %6s %9s %6s %6s %10s %7s %7s\n' \
        "sm_$sm" "$instructions" "$alu" "$multiply" "$other" "$all" "$registers" "$spilled" "$clocks"
    if [ "$instructions" -gt "$instructions_max" ] || [ "$registers" -gt "$registers_max" ] || [ "$spilled" -gt 0 ] ||
        awk -v c="$clocks" -v max="$clocks_max" 'BEGIN { exit !(c > max) }'; then
        echo "sass: sm_$sm is over its limit: $instructions_max instructions, $clocks_max clocks," \
            "$registers_max registers, nothing spilled" >&2
        over=1
    fi
done
exit "$over"
