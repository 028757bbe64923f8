#!/usr/bin/env bash
# `lode-miner render` beside Cycles (Blender's path tracer, on the CPU): the same pictures, and how fast.
#
#   scripts/compare_render.sh [ROUNDS]    3 by default; needs target/release/lode-miner, and root where Blender is missing
#
# The scene is a textured model of 12,491 triangles (npm @webxr-input-profiles/assets, MIT) among made spheres and panels,
# 26,319 triangles in all, in a recorded environment (npm @pmndrs/assets, CC0). Both are fetched into target/compare; Blender
# 3.4 comes from Debian. Pictures: target/compare/{principled,gltf}.png, each ours, theirs, and five times their difference.
# Speed: each round renders with few and with many samples, ours and theirs in turn; what counts is the difference of the
# two, so that start, import and building count for neither. The device is PoCL's unless LODE_DEVICE says another.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3} width=480 height=360 depth=8 few=4 many=24
picture=${LODE_SAMPLES:-64} # samples of the pictures to look at
device=${LODE_DEVICE:-opencl}
at=target/compare
tools=scripts/compare_render
[ -x target/release/lode-miner ] || { echo "compare: build first: cargo build --release -p lode-miner" >&2 && exit 2; }
mkdir -p $at

if ! command -v blender >/dev/null || ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    echo "compare: installing blender and python3-numpy (about 670 MB)"
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends blender python3-numpy
fi
fetch() { # package file
    [ -e "$at/$2" ] || (cd $at && tar xzf "$(npm pack --silent "$1")" --strip-components=1 "package/$2")
}
fetch @webxr-input-profiles/assets@1.0.20 dist/profiles/oculus-touch/left.glb
fetch @pmndrs/assets@1.7.0 hdri/city.exr.js
python3 $tools/scene.py $at/dist/profiles/oculus-touch/left.glb $at/scene.glb
python3 $tools/scene.py --environment $at/hdri/city.exr.js $at/sky.exr

ours() { # samples file
    target/release/lode-miner render $at/scene.glb -o "$2" --environment $at/sky.exr --device "$device" \
        --width $width --height $height --max-depth $depth --samples "$1" >$at/ours.log 2>&1 || { cat $at/ours.log >&2 && exit 1; }
}
blender_runs() { # arguments of cycles.py
    blender -b --factory-startup -noaudio --python-exit-code 3 --python $tools/cycles.py -- "$@" >$at/cycles.log 2>&1 ||
        { cat $at/cycles.log >&2 && exit 1; }
}
theirs() { # samples file [shading]
    blender_runs render $at/scene.glb $PWD/$at/sky.exr "$PWD/$2" $width $height "$1" $depth "${3-}"
}

ours "$picture" $at/ours.exr
for shading in principled gltf; do
    theirs "$picture" $at/$shading.exr $shading
    blender_runs compare $PWD/$at/ours.exr $PWD/$at/$shading.exr $PWD/$at/$shading.png
    echo "Cycles with $shading materials, $picture samples: $at/$shading.png"
    grep -E '^(mean|relMSE|of )' $at/cycles.log | sed 's/^/    /'
done

TIMEFORMAT='%R %U %S'
measure() { # ours|theirs samples: wall and CPU seconds
    { time "$1" "$2" $at/timed.exr >/dev/null; } 2>&1 | tail -1 | awk '{ print $1, $2 + $3 }'
}
echo "rounds of $((many - few)) samples at ${width}x$height, million paths by wall second and by CPU second:"
for round in $(seq "$rounds"); do
    for who in ours theirs; do
        read -r wall0 cpu0 < <(measure $who $few)
        read -r wall1 cpu1 < <(measure $who $many)
        echo "$round $who $(awk -v n=$((width * height * (many - few))) -v w="$wall0" -v W="$wall1" -v c="$cpu0" -v C="$cpu1" \
            'BEGIN { printf "%.3f %.3f", n / (W - w) / 1e6, n / (C - c) / 1e6 }')"
    done
done | awk '
    { wall[$1, $2] = $3; cpu[$1, $2] = $4 }
    $2 == "theirs" {
        w = wall[$1, "ours"] / $3; c = cpu[$1, "ours"] / $4
        printf "    ours %.2f and %.2f, Cycles %.2f and %.2f: ratios %.2f and %.2f\n", wall[$1, "ours"], cpu[$1, "ours"], $3, $4, w, c
    }'
