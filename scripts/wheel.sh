#!/usr/bin/env bash
# Builds the wheel of the command and the Python package into dist/, with the commit that `lnn --version` prints.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=cli/lnn_cli/commit.txt
trap 'rm -f "$commit"' EXIT
described=$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || true)
echo "$described" >"$commit"
rm -rf dist
.venv/bin/python -m hatchling build -t wheel -d dist
