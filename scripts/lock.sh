#!/usr/bin/env bash
# Pins every requirement, transitive ones too, for Python 3.11 to 3.13, each with the hashes of its files: *.in is written by
# hand, *.txt by this script.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v uv >/dev/null; then
  echo "lock: uv is needed to pin the requirements: python3 -m pip install uv" >&2
  exit 1
fi

pin() { # IN OUT OPTIONS: the present pins stay unless IN asks for another version
  echo "lock: $2"
  (cd "$(dirname "$1")" &&
    UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
      --only-binary :all: --no-emit-index-url --no-annotate "${@:3}" --output-file "$(basename "$2")" "$(basename "$1")")
}

for name in browser cli dev docs local-cloud mlflow notebooks scan; do
  pin "requirements/$name.in" "requirements/$name.txt"
done
pin requirements/valkey.in requirements/valkey.txt --no-deps
pin layers/numpy-h5py/requirements.in layers/numpy-h5py/requirements.txt

cat requirements/bench.txt requirements/bench-cuda.txt >requirements/bench-all.txt
pin requirements/bench.in requirements/bench-all.txt
PYTHONPATH=scripts python3 -m lnn_tools.packaging.bench_pins
