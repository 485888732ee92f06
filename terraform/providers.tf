# AWS_ENDPOINT_URL in the environment points the same configuration at a local cloud.
provider "aws" {
  allowed_account_ids = var.account_id == null ? null : [var.account_id]
  region              = var.region

  default_tags {
    tags = merge({ application = var.prefix }, var.tags)
  }
}
