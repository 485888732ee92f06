#!/usr/bin/env bash
# Uploads a dataset, which starts its training:  scripts/upload_dataset.sh DATASET.h5 [PARAMETERS.json] [--target aws]
# Finds the bucket by itself, sends the parameters first, and prints how to watch the run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
  echo "usage: scripts/upload_dataset.sh DATASET.h5 [PARAMETERS.json] [--target local|aws]"
  [[ $# -gt 0 ]]
  exit
fi
"$root/scripts/setup.sh"
exec "$root/.venv/bin/lnn" upload "$@"
