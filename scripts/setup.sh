#!/usr/bin/env bash
# Makes .venv with the lnn command and everything the tests need; `setup.sh bench` makes .venv-bench, with what the
# benchmark needs instead; `setup.sh scan` makes .venv-scan, with the scanner of the Terraform configuration; `setup.sh docs`
# makes .venv-docs, with the builder of the documentation's site; `setup.sh notebooks` makes .venv-notebooks, with what runs
# the notebooks; `setup.sh mlflow` makes .venv-mlflow, with an MLflow for the tests of exports to it. Does nothing when the
# pinned files are unchanged.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  "") venv=.venv pins=requirements/dev.txt ;;
  bench) venv=.venv-bench pins=requirements/bench.txt ;;
  docs) venv=.venv-docs pins=requirements/docs.txt ;;
  mlflow) venv=.venv-mlflow pins=requirements/mlflow.txt ;;
  notebooks) venv=.venv-notebooks pins=requirements/notebooks.txt ;;
  scan) venv=.venv-scan pins=requirements/scan.txt ;;
  *) echo "setup: nothing is known of '$1'; usage: scripts/setup.sh [bench|docs|mlflow|notebooks|scan]" >&2; exit 2 ;;
esac

# Unless another is named, an environment that is there keeps its interpreter, whatever python3 means by now.
python=${PYTHON:-}
if [[ -z $python ]]; then
  python=python3
  for present in "$venv" .venv; do
    if "$present/bin/python" -c '' 2>/dev/null; then
      python=$present/bin/python
      break
    fi
  done
fi
if ! command -v "$python" >/dev/null; then
  echo "setup: no '$python' on PATH; install Python 3.11, 3.12 or 3.13, or name one: make setup PYTHON=python3.13" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
  echo "setup: $("$python" --version) is not supported; LNN needs Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.13" >&2
  exit 1
fi

# The stamp holds all that makes an environment stale: its folder, since a venv cannot be moved, the interpreter, the pins and
# the package's own settings, but not those of the linters and tests, which pyproject.toml lists after them.
stamp=$venv/.lnn-setup
wanted=$({ pwd; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat "$pins"; sed "/^\[tool\.ruff/,\$d" pyproject.toml; } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
  exit 0
fi

echo "setup: installing into $venv ($("$python" --version))"
# From the interpreter that an environment was made with, not from inside the environment that is cleared.
base=$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
"$base" -m venv --clear "$venv"
# Twice quiet: errors only. Warnings here are about the place packages come from, not about LNN.
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet)
# Compiled when first imported: most of what is installed never is, and compiling it all takes a third of the time.
# Wheels only: to build a source distribution, pip fetches a build backend whose hash no file of pins names.
pinned=(install --no-compile --no-deps --only-binary=:all: --require-hashes --requirement)
"${pip[@]}" "${pinned[@]}" "$pins"
# PyTorch's builds for CPUs need nothing of CUDA; the builds that PyPI has for Linux do.
needs_cuda='import importlib.metadata as m, sys; sys.exit(not any(n.startswith("nvidia-") for n in m.requires("torch") or []))'
if [[ $venv == .venv-bench ]] && "$venv/bin/python" -c "$needs_cuda"; then
  "${pip[@]}" "${pinned[@]}" requirements/bench-cuda.txt
fi
# Editable, so without hashes, but with the build backend that the file pins: nothing is resolved or fetched.
if [[ $venv == .venv || $venv == .venv-bench || $venv == .venv-mlflow || $venv == .venv-notebooks ]]; then
  "${pip[@]}" install --no-deps --no-build-isolation --editable .
fi
# Nothing was resolved: this finds a pin that is missing.
"${pip[@]}" check >/dev/null
echo "$wanted" >"$stamp"
