# What outlives an invocation: the bucket, whose uploads start functions, and the tables.

locals {
  tables = {
    costs = {
      attributes = { epoch = "N", run_id = "S" }
      hash_key   = "run_id"
      range_key  = "epoch"
    }
    invocations = {
      attributes = { invocation = "S" }
      hash_key   = "invocation"
      ttl        = "expires_at"
    }
    models = {
      attributes = { model_id = "S" }
      hash_key   = "model_id"
    }
    # Only a run that has not ended has the attribute `watched`, so the index holds just these runs, and the watch reads no others.
    runs = {
      attributes = { run_id = "S", watched = "S" }
      hash_key   = "run_id"
      indexes    = { watched = "watched" }
    }
  }
}

module "s3_trigger" {
  source = "./modules/s3_trigger"

  account_id              = local.account_id
  bucket_name             = local.bucket_name
  noncurrent_version_days = var.noncurrent_version_days
  parameters_file         = var.parameters_file
  require_tls             = var.require_tls
  runs_expiry_days        = var.runs_expiry_days

  # S3 takes two prefixes of which one contains the other, since the suffixes differ.
  triggers = {
    batches = { arn = module.functions["predict"].arn, name = module.functions["predict"].name, prefix = "prediction_input/batches/", suffix = ".npy" }
    models  = { arn = module.functions["register"].arn, name = module.functions["register"].name, prefix = "prediction_input/" }
    uploads = { arn = module.functions["launch"].arn, name = module.functions["launch"].name, prefix = "training_input/" }
  }
}

module "dynamodb" {
  source = "./modules/dynamodb"

  prefix = var.prefix
  tables = local.tables
}
