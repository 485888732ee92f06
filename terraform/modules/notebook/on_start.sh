#!/usr/bin/env bash
# What the instance does at every start, as root. Terraform puts the settings before it, as exported variables.
#
# Only ~/SageMaker outlives a stop: packages, kernels and units are made anew each time, the code and its environment are
# kept there until the bundle changes.
set -euo pipefail

# https://docs.aws.amazon.com/sagemaker/latest/dg/notebook-lifecycle-config.html: a script that takes five minutes, or fails,
# takes the instance with it. So the timer comes first, and what installs goes on by itself.
mkdir -p "$SYSTEM_FOLDER"
base64 --decode <<<"$IDLE_STOP" >"$SYSTEM_FOLDER/idle_stop.py"
rm -f "$SYSTEM_FOLDER/last_work"
# A timer of systemd's: Amazon Linux 2023 has no cron by itself.
systemd-run --quiet --unit=lnn-idle-stop --on-active=5min --on-unit-active=5min --setenv=PATH="$PATH" \
  /usr/bin/python3 "$SYSTEM_FOLDER/idle_stop.py" --name "$NOTEBOOK" --region "$AWS_REGION" --minutes "$IDLE_MINUTES" \
  --state "$SYSTEM_FOLDER/last_work"

home=$HOME_FOLDER/SageMaker
code=$home/lnn
venv=$home/.lnn-venv

as_owner() {
  sudo --user="$OWNER" --set-home -- "$@"
}

install_code() { # the bundle's archive, and an environment from its wheels: nothing is fetched from anywhere else
  local bundle=$home/.lnn-bundle.zip new=$home/.lnn-new
  as_owner aws s3 cp --only-show-errors --region "$AWS_REGION" "s3://$LNN_BUCKET/$BUNDLE_KEY" "$bundle"
  as_owner rm -rf "$new"
  as_owner "$PYTHON" -m zipfile --extract "$bundle" "$new"
  if [[ -d $code/notebooks ]]; then
    # What somebody has changed in a notebook stays.
    as_owner cp --recursive "$code/notebooks" "$new/code"
  fi
  as_owner rm -rf "$code/cli" "$code/client" "$code/functions"
  as_owner mkdir -p "$code"
  as_owner cp --recursive "$new/code/." "$code"
  as_owner "$PYTHON" -m venv --clear "$venv"
  local pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet install --no-index --find-links "$new/wheels")
  as_owner "${pip[@]}" --no-deps --only-binary=:all: --require-hashes --requirement "$code/requirements/notebooks.txt"
  as_owner "${pip[@]}" --no-deps --no-build-isolation --editable "$code"
  as_owner rm -rf "$bundle" "$new"
  as_owner tee "$venv/bundle" <<<"$BUNDLE_SHA256" >/dev/null
}

set_up() {
  local settings=(--env PATH "$venv/bin:/usr/local/bin:/usr/bin:/bin") name
  dnf --assumeyes --quiet install "$PYTHON"
  if [[ ! -f $venv/bundle || $(<"$venv/bundle") != "$BUNDLE_SHA256" ]]; then
    install_code
  fi
  for name in AWS_REGION "${!LNN_@}"; do
    settings+=(--env "$name" "${!name}")
    printf 'export %s=%q\n' "$name" "${!name}"
  done >"$SYSTEM_FOLDER/profile.sh"
  # shellcheck disable=SC2016 # PATH is for the terminal to work out
  printf 'export PATH=%q:"$PATH"\n' "$venv/bin" >>"$SYSTEM_FOLDER/profile.sh"
  as_owner tee --append "$HOME_FOLDER/.bashrc" <<<". $SYSTEM_FOLDER/profile.sh" >/dev/null
  as_owner "$venv/bin/python" -m ipykernel install --user --name lnn --display-name LNN "${settings[@]}"
  echo "the kernel LNN is ready"
}

(
  trap '' HUP
  (
    trap '(($? == 0)) || echo "the kernel LNN could not be made: what is above says why; stop and start the instance to try again"' EXIT
    date --utc
    set_up
  ) 2>&1 |
    # Its owner writes it: root must not write where others may lay links.
    as_owner tee "$home/lnn-setup.log"
) </dev/null >/dev/null 2>&1 &
