#!/usr/bin/env bash
# Makes .venv with the lnn command and everything the tests need. Does nothing when the pinned files are unchanged.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
  echo "setup: no '$python' on PATH; install Python 3.11, 3.12 or 3.13, or name one: make setup PYTHON=python3.13" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
  echo "setup: $("$python" --version) is not supported; LNN needs Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.13" >&2
  exit 1
fi

# A venv cannot be moved: its folder is part of the stamp, and so is the interpreter.
stamp=.venv/.lnn-setup
wanted=$({ pwd; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat requirements/dev.txt pyproject.toml; } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
if [[ -x .venv/bin/lnn && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
  exit 0
fi

echo "setup: installing into .venv ($("$python" --version))"
"$python" -m venv --clear .venv
# Twice quiet: errors only. Warnings here are about the place packages come from, not about LNN.
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet --quiet)
# Editable, with the build backend that dev.txt pins: nothing is resolved or fetched twice.
"${pip[@]}" install --requirement requirements/dev.txt
"${pip[@]}" install --no-deps --no-build-isolation --editable .
"${pip[@]}" check >/dev/null
echo "$wanted" >"$stamp"
