#!/usr/bin/env bash
# Reads the code without running it, in three parts side by side; `lint.sh code` does one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

code() {
  "$bin/ruff" check
  "$bin/ruff" format --check
  "$bin/mypy" functions client cli scripts benchmarks tests/typing
  PYTHONPATH=functions "$bin/lint-imports" --no-logo --no-cache pyproject.toml
  shellcheck=$bin/shellcheck
  [[ -x $shellcheck ]] || shellcheck=shellcheck # no wheel of it for Linux on arm64
  "$shellcheck" scripts/*.sh .ci/run terraform/modules/*/*.sh

  "$bin/python" -m lnn_tools.docs.references --check
  "$bin/actionlint" -shellcheck "$shellcheck" .github/workflows/*.yml
  "$bin/check-jsonschema" --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
}

configuration() {
  terraform fmt -check -recursive terraform
  # A folder of its own, so that validating never touches the state of a deployment.
  mirror=$(scripts/provider_mirror.sh)
  export TF_DATA_DIR=$work/data CHECKPOINT_DISABLE=1
  cp -r terraform "$work/terraform"
  if ! terraform -chdir="$work/terraform" init -backend=false -input=false -lockfile=readonly ${mirror:+-plugin-dir="$mirror"} >"$work/init.log" 2>&1; then
    cat "$work/init.log" >&2
    exit 1
  fi
  terraform -chdir="$work/terraform" validate -no-color

  # In the copy, which has no builds and no state. What is skipped says why in its line; a test counts these.
  .venv-scan/bin/checkov --directory "$work/terraform" --framework terraform --skip-download --quiet --compact
}

# A test checks the roles' policies in the same way, from a plan.
policies_and_requirements() {
  PYTHONPATH=scripts .venv-scan/bin/python -m lnn_tools.checks.policies docs/deployer-policy*.json
  PYTHONPATH=scripts .venv-scan/bin/python -m lnn_tools.checks.policies docs/permissions-boundary.json
  PYTHONPATH=scripts .venv-scan/bin/python -m lnn_tools.checks.advisories requirements/*.txt layers/*/requirements.txt
}

parts=("$@")
if [[ $# == 0 ]]; then
  scripts/setup.sh scan
  parts=(code configuration policies_and_requirements)
fi
pids=()
for part in "${parts[@]}"; do
  "$part" >"$work/$part.log" 2>&1 &
  pids+=($!)
done

failed=
for index in "${!parts[@]}"; do
  wait "${pids[index]}" || failed+=" ${parts[index]}"
  cat "$work/${parts[index]}.log"
done
if [[ -n $failed ]]; then
  echo "lint: failed:$failed" >&2
  exit 1
fi
