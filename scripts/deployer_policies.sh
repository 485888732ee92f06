#!/usr/bin/env bash
# For an administrator: makes the permissions boundary and the deployer's policies of docs/, filled in for a deployment, and
# gives the policies to a user. Needs AWS's command line, and prints the setting that the deployer needs.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# != 3 ]]; then
  echo "deployer_policies: usage: scripts/deployer_policies.sh PREFIX REGION USER, for example: lnn us-east-1 ada" >&2
  exit 2
fi
prefix=$1 region=$2 user=$3
account=$(aws sts get-caller-identity --query Account --output text)

make_policy() { # DOCUMENT NAME: prints its ARN
  aws iam create-policy --policy-name "$2" --query Policy.Arn --output text \
    --policy-document "$(sed "s/PREFIX/$prefix/g; s/REGION/$region/g; s/ACCOUNT/$account/g" "docs/$1.json")"
}

boundary=$(make_policy permissions-boundary "$prefix-boundary-$region")
for document in deployer-policy deployer-policy-access deployer-policy-network; do
  arn=$(make_policy "$document" "$prefix-$document-$region")
  aws iam attach-user-policy --user-name "$user" --policy-arn "$arn"
done
echo "permissions_boundary = \"$boundary\""
