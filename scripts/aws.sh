#!/usr/bin/env bash
# Deploys to, or removes from, the AWS account that your credentials belong to:  scripts/aws.sh plan|deploy|destroy
# Terraform's variables are given as usual: TF_VAR_region=eu-central-1, or terraform/terraform.tfvars. RUNTIME and ARCH, as for
# `make layer`, choose the functions' runtime and architecture along with the layer's.
set -euo pipefail
cd "$(dirname "$0")/.."

action=${1:-}
if [[ $action != plan && $action != deploy && $action != destroy ]]; then
  echo "usage: scripts/aws.sh plan|deploy|destroy" >&2
  exit 2
fi
if [[ -n ${AWS_ENDPOINT_URL:-} ]]; then
  echo "aws: AWS_ENDPOINT_URL points at $AWS_ENDPOINT_URL, not at AWS; unset it (the local cloud is deployed by 'make up')" >&2
  exit 1
fi
if ! command -v terraform >/dev/null; then
  echo "aws: terraform is not on PATH; install 1.9 or newer: https://developer.hashicorp.com/terraform/install" >&2
  exit 1
fi
if ! account=$(.venv/bin/python -c 'import boto3; print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Account"])' 2>/dev/null); then
  echo "aws: no working AWS credentials; run 'aws configure' or 'aws sso login', or set AWS_PROFILE" >&2
  exit 1
fi
echo "aws: account $account"

[[ -z ${RUNTIME:-} ]] || export TF_VAR_runtime=$RUNTIME
[[ -z ${ARCH:-} ]] || export TF_VAR_architecture=$ARCH

mirror=$(scripts/provider_mirror.sh)
terraform -chdir=terraform init -input=false -upgrade ${mirror:+-plugin-dir="$mirror"} >/dev/null
case $action in
  plan) terraform -chdir=terraform plan ;;
  deploy) terraform -chdir=terraform apply ;;
  destroy) terraform -chdir=terraform destroy ;;
esac
