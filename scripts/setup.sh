#!/usr/bin/env bash
# Installs what is missing to build and run Lode (with --tests, to test it too), and says what it installs. On a system
# that is not Debian it only says what is needed.
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "setup: there is no Rust toolchain (cargo). Install Rust 1.95 or later first, e.g. with rustup." >&2
    exit 1
fi

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
need_library() { ldconfig -p 2>/dev/null | grep -q "$1" || missing+=("$2"); }
need_library libOpenCL.so.1 ocl-icd-libopencl1
# A driver of any kind will do: PoCL is the one that runs on every CPU.
if ! compgen -G '/etc/OpenCL/vendors/*.icd' >/dev/null; then
    missing+=(pocl-opencl-icd)
fi
# The sample render job shows a scene of this package where it can be had, else a made one.
if [ ! -d /usr/share/assimp/models ] && command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }; then
    missing+=(assimp-testmodels)
fi
if [ "${1-}" = --tests ]; then
    # The tests fetch the pinned CUDA compiler with pip, and run the kernels under Oclgrind too.
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    [ -e /usr/lib/oclgrind/liboclgrind-rt-icd.so ] || missing+=(oclgrind)
fi

if [ ${#missing[@]} -eq 0 ]; then
    echo "setup: nothing is missing"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "setup: this is not Debian; install by hand what these Debian packages have: ${missing[*]}" >&2
    echo "setup: (a C compiler; the OpenCL loader and a driver are only needed to mine with OpenCL)" >&2
    command -v cc >/dev/null || exit 1
    exit 0
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: run as root, or install by hand: ${missing[*]}" >&2; exit 1; }
    sudo=sudo
fi
echo "setup: installing ${missing[*]}"
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
