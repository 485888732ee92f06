# From a trained model to its predictions: what registers an upload, and what answers callers. Neither needs the VPC.

module "register" {
  source = "./modules/lambda_function"

  account_id           = local.account_id
  architecture         = var.architecture
  description          = "Enters an uploaded model in the registry and puts it into staging"
  environment          = local.own_environment.register
  handler              = "register.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name.register
  permissions_boundary = var.permissions_boundary
  region               = var.region
  runtime              = var.runtime
  size                 = local.functions.register
  tracing              = var.tracing
  zip                  = "${var.build_directory}/functions/register.zip"

  statements = merge(local.notify, local.tell_missing_keys, {
    ReadUploads = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.bucket_arn}/prediction_input/*"]
    }
    KeepModels = {
      actions   = ["s3:PutObject"]
      resources = ["${local.bucket_arn}/prediction_input/models/*"]
    }
    EnterModels = {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [local.table_arn.models]
    }
    ReadRuns = {
      actions   = ["dynamodb:GetItem"]
      resources = [local.table_arn.runs]
    }
  })
}

module "predict" {
  source = "./modules/lambda_function"

  account_id           = local.account_id
  architecture         = var.architecture
  description          = "Answers the prediction API, and serves its page"
  environment          = local.own_environment.predict
  handler              = "predict.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name.predict
  permissions_boundary = var.permissions_boundary
  region               = var.region
  runtime              = var.runtime
  size                 = local.functions.predict
  tracing              = var.tracing
  zip                  = "${var.build_directory}/functions/predict.zip"

  statements = {
    ReadModels = {
      actions   = ["s3:GetObject"]
      resources = ["${local.bucket_arn}/prediction_input/*"]
    }
    ReadRegistry = {
      actions   = ["dynamodb:GetItem", "dynamodb:Scan"]
      resources = [local.table_arn.models]
    }
  }
}

module "prediction_api" {
  source = "./modules/prediction_api"

  access             = var.prediction_access
  function           = { arn = module.predict.arn, name = module.predict.name }
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
  name               = "${var.prefix}-predictions"
  throttling         = var.prediction_throttling
}
