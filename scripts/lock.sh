#!/usr/bin/env bash
# Pins every requirement, transitive ones too, for Python 3.11 to 3.13: *.in is written by hand, *.txt by this script.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v uv >/dev/null; then
  echo "lock: uv is needed to pin the requirements: python3 -m pip install uv" >&2
  exit 1
fi

pin() { # IN OUT: the present pins stay unless IN asks for another version
  echo "lock: $2"
  (cd "$(dirname "$1")" &&
    UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 \
      --no-emit-index-url --no-annotate --output-file "$(basename "$2")" "$(basename "$1")")
}

for name in bench browser cli dev docs local-cloud scan; do
  pin "requirements/$name.in" "requirements/$name.txt"
done
# PyTorch pins its CUDA packages itself, and its build for CPUs has none: pinned here, they would be installed for either.
sed --in-place --regexp-extended '/^(cuda-|nvidia-|triton=)/d' requirements/bench.txt
pin layers/numpy-h5py/requirements.in layers/numpy-h5py/requirements.txt
