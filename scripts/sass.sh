#!/usr/bin/env bash
# Counts what one nonce of SHA-256d, and what tracing a path, costs in machine code, card generation by card generation;
# exit 1 over a limit. Nothing is run, no card is needed.
#
#   scripts/sass.sh              kernels/ptx/sha256d.ptx and kernels/ptx/render.ptx
#   scripts/sass.sh PTX...       these, each of one of the two kernels
#
# SHA-256d: the counts are those of the loop that tries one nonce. What it is not: the few instructions that an item
# executes once, and those of a nonce that is reported; `all` has them too. The pipes, each of which takes 64 lanes a clock
# and SM:
#   alu       shifts, logic, additions, comparisons
#   multiply  IMAD; IMAD.HI and IMAD.WIDE fill it twice
#   clocks    the least clocks a nonce and SM: of alu/64, multiply/64 and instructions/128 the greatest
# Cards of sm_120 can also add and shift in the other half of their lanes; `clocks` does not count on it.
#
# The path tracer: which instructions are executed depends on the scene, so these counts are of the kernel's text.
#   node      instructions that a ray executes at a node of the tree: eight boxes, and one child of it that is hit
#   group     at most, at a group of eight triangles: fewer for each plane that is missed
#   float     of all: FFMA, FMUL, FADD
#   alu       comparisons, selections, integers (but multiply: IMAD)
#   special   reciprocals, roots, conversions, rounding to integers
#   memory    loads and stores
#   control   branches, calls, what joins lanes again
#   stack     bytes of local memory a thread; spilled: those of them that registers lack
#   warps     that fit an SM by their registers
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

#        sm_ instructions registers spilled
render=("75  9500 168 100"
        "80  9500 168 100"
        "86  9500 168 100"
        "89  9500 168 100"
        "90  9500 168 100"
        "100 9500 168 100"
        "120 9500 168 100")

packages=(nvidia-cuda-nvcc==13.5.37 nvidia-cuda-nvdisasm==13.5.37)
tools=target/nvidia/sass
bin=$tools/nvidia/cu13/bin
[ $# -gt 0 ] || set -- kernels/ptx/sha256d.ptx kernels/ptx/render.ptx
for ptx; do
    [ -r "$ptx" ] || { echo "sass: there is no $ptx; \`make ptx\` makes it" >&2 && exit 2; }
done

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

# Reads nvdisasm's listing of the path tracer; prints node, group, float, alu, multiply, special, memory, control, all.
mix() {
    awk '
        /^\.L_x_[0-9]+:/ { label[substr($1, 1, length($1) - 1)] = n }
        /^ +\/\*[0-9a-f]+\*\/ / {
            sub(/^ +\/\*[0-9a-f]+\*\/ +/, "")
            if ($1 ~ /^@/) sub(/^[^ ]+ +/, "")
            if ($1 ~ /^NOP/) next
            line[n++] = $0
        }
        END {
            for (i = 0; i < n; i++) {
                split(line[i], word, /[ .;]/)
                if (word[1] ~ /^(FFMA|FMUL|FADD)$/) float++
                else if (word[1] == "IMAD") multiply++
                else if (word[1] ~ /^(MUFU|I2F|I2FP|F2I|FRND)$/) special++
                else if (word[1] ~ /^(LDG|STG|LDL|STL|LDC)$/) memory++
                else if (word[1] ~ /^(BRA|BSSY|BSYNC|BREAK|CALL|RET|EXIT|WARPSYNC|BMOV|YIELD)$/) control++
                else alu++
                # The loops by what they load: a node has twelve quarter rows of bounds, half a group five of planes.
                if (line[i] !~ /^BRA/ || !match(line[i], /\.L_x_[0-9]+/)) continue
                begin = label[substr(line[i], RSTART, RLENGTH)]
                if (begin == "" || begin > i) continue
                wide = 0
                for (at = begin; at <= i; at++) wide += line[at] ~ /^LDG\.E\.128/
                if (wide == 12 && i - begin + 1 > node) node = i - begin + 1
                if (wide == 5 && 2 * (i - begin + 1) > group) group = 2 * (i - begin + 1)
            }
            print node + 0, group + 0, float + 0, alu + 0, multiply + 0, special + 0, memory + 0, control + 0, n
        }'
}

# Compiles a PTX for a card, into $work/cubin; sets registers and spilled.
assemble() {
    "$bin/ptxas" -v -arch="sm_$2" "$1" -o "$work/cubin" 2>"$work/log" || { cat "$work/log" >&2 && exit 2; }
    registers=$(grep -oE 'Used [0-9]+ registers' "$work/log" | grep -oE '[0-9]+' | sort -n | tail -1)
    spilled=$(grep -oE '[0-9]+ bytes spill (stores|loads)' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
}

over=0

sha256d() {
    local row sm instructions_max clocks_max registers_max instructions alu multiply other all clocks
    printf '%-7s %12s %6s %9s %6s %6s %10s %7s %7s\n' \
        card instructions alu multiply other all registers spilled clocks
    for row in "${limits[@]}"; do
        read -r sm instructions_max clocks_max registers_max <<<"$row"
        assemble "$1" "$sm"
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
}

render() {
    local row sm instructions_max registers_max spilled_max node group float alu multiply special memory control all stack warps
    printf '%-7s %5s %6s %6s %6s %9s %8s %7s %8s %6s %10s %6s %8s %6s\n' \
        card node group float alu multiply special memory control all registers stack spilled warps
    for row in "${render[@]}"; do
        read -r sm instructions_max registers_max spilled_max <<<"$row"
        assemble "$1" "$sm"
        stack=$(grep -oE '[0-9]+ bytes stack frame' "$work/log" | grep -oE '[0-9]+' | sort -n | tail -1)
        warps=$((16384 / ((registers + 7) / 8 * 8 * 32) * 4)) # each of four parts of an SM has 16384 registers
        read -r node group float alu multiply special memory control all < <("$bin/nvdisasm" -c "$work/cubin" | mix)
        printf '%-7s %5s %6s %6s %6s %9s %8s %7s %8s %6s %10s %6s %8s %6s\n' "sm_$sm" "$node" "$group" "$float" "$alu" \
            "$multiply" "$special" "$memory" "$control" "$all" "$registers" "$stack" "$spilled" "$warps"
        if [ "$node" -eq 0 ] || [ "$group" -eq 0 ]; then
            echo "sass: sm_$sm: the loops over nodes and groups were not found" >&2
            exit 2
        fi
        if [ "$all" -gt "$instructions_max" ] || [ "$registers" -gt "$registers_max" ] ||
            [ "$spilled" -gt "$spilled_max" ]; then
            echo "sass: sm_$sm is over its limit: $instructions_max instructions, $registers_max registers," \
                "$spilled_max bytes spilled" >&2
            over=1
        fi
    done
}

for ptx; do
    case $(grep -oE '^\.visible \.entry [a-z0-9_]+' "$ptx") in
    *sha256d_scan) sha256d "$ptx" ;;
    *render) render "$ptx" ;;
    *) echo "sass: $ptx is of neither kernel" >&2 && exit 2 ;;
    esac
done
exit "$over"
