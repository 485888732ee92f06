# AWS_ENDPOINT_URL in the environment points the same configuration at a local cloud.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ application = var.prefix }, var.tags)
  }
}
