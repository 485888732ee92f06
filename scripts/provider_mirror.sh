#!/usr/bin/env bash
# Prints the folder to give to `terraform init -plugin-dir=`, or nothing where Terraform should use its registry.
#
# For the local cloud, the tests and lint only: what holds AWS credentials (lnn_tools.aws_deployment) runs no program that a search of the
# disk has found.
#
# A copy on this machine is preferred over the registry. It is fast: no download of 150 MB for each clone, and it works with no
# network. It is as safe as any program installed here: only a copy that belongs to root or to you, and that nobody else may
# change, is taken. Terraform still checks its version and its hash against terraform/.terraform.lock.hcl.
#
# LNN_PROVIDER_MIRROR names a folder to use; set but empty, it means the registry.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -n ${LNN_PROVIDER_MIRROR+set} ]]; then
  if [[ -n $LNN_PROVIDER_MIRROR && ! -d $LNN_PROVIDER_MIRROR ]]; then
    echo "provider_mirror: LNN_PROVIDER_MIRROR names no folder: $LNN_PROVIDER_MIRROR" >&2
    exit 1
  fi
  printf '%s' "$LNN_PROVIDER_MIRROR"
  exit 0
fi

# Whoever configured where providers come from has decided already.
if grep -qs provider_installation "${TF_CLI_CONFIG_FILE:-$HOME/.terraformrc}"; then
  exit 0
fi

wanted=$(sed -nE 's/^  version *= "(.*)"$/\1/p' terraform/.terraform.lock.hcl)
case $(uname -m) in
  arm64 | aarch64) platform=$(uname -s | tr '[:upper:]' '[:lower:]')_arm64 ;;
  *) platform=$(uname -s | tr '[:upper:]' '[:lower:]')_amd64 ;;
esac
provider=registry.terraform.io/hashicorp/aws

trusted() { # FOLDER: it and all above it belong to root or to us, and others may change none of them
  local folder=$1
  while :; do
    [[ -O $folder || -n $(find "$folder" -maxdepth 0 -user 0) ]] || return 1
    [[ -z $(find "$folder" -maxdepth 0 -perm -0002) ]] || return 1
    [[ $folder != / ]] || return 0
    folder=$(dirname "$folder")
  done
}

usable() { # MIRROR: it holds the locked version, for this platform
  [[ -e $1/$provider/$wanted/$platform ]] && trusted "$1/$provider/$wanted"
}

# Where Terraform itself looks before it asks the registry.
for mirror in "$HOME/.terraform.d/plugins" "$HOME/.local/share/terraform/plugins" /usr/local/share/terraform/plugins \
  /usr/share/terraform/plugins "${TF_PLUGIN_CACHE_DIR:-}"; do
  if [[ -n $mirror ]] && usable "$mirror"; then
    printf '%s' "$mirror"
    exit 0
  fi
done

# A search of the disk: its answer, "none" too, is kept in build/ for a day.
answer=build/provider_mirror
if [[ -n $(find "$answer" -mtime -1 2>/dev/null) ]]; then
  mirror=$(<"$answer")
  if [[ -z $mirror ]] || usable "$mirror"; then
    printf '%s' "$mirror"
    exit 0
  fi
fi

limit=()
if command -v timeout >/dev/null; then limit=(timeout 60); fi
mirror='' cut_off=''
# Terraform's own data folders (.../providers/...) are no mirrors: they come and go with the clone that made them.
while IFS= read -r version; do
  if [[ $version == "exit status "* ]]; then
    [[ $version != *" 124" ]] || cut_off=yes # timeout's
    continue
  fi
  candidate=${version%"/$provider"/*}
  if usable "$candidate"; then
    mirror=$candidate
    break
  fi
done < <("${limit[@]}" find / -xdev \( -path /proc -o -path /sys -o -path '*/providers' \) -prune \
  -o -type d -path "*/$provider/$wanted" -prune -print 2>/dev/null || echo "exit status $?")

if [[ -n $cut_off ]]; then
  # It says nothing of the rest of the disk: the next call searches again.
  echo "provider_mirror: the search of the disk was cut off after 60 s; LNN_PROVIDER_MIRROR= (empty) leaves it out" >&2
else
  mkdir -p build
  printf '%s' "$mirror" >"$answer.$$"
  mv "$answer.$$" "$answer"
fi
printf '%s' "$mirror"
