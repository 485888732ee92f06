# Laid over a copy of the configuration by the tests, so that a plan needs no account and no network.
provider "aws" {
  access_key                  = "none"
  allowed_account_ids         = null # nobody can be asked whose the keys are
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
