# The prediction API. Its function, Predict, and Register, which enters models for it, are in functions.tf.

locals {
  # The most invocations of Predict at the same time that the API's throttling lets happen.
  predictions_at_once = ceil(var.prediction_throttling.burst + var.prediction_throttling.rate * local.function_sizes.predict.timeout)
}

module "prediction_api" {
  source = "./modules/prediction_api"

  access             = var.prediction_access
  function           = { arn = module.functions["predict"].arn, name = module.functions["predict"].name }
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
  name               = "${var.prefix}-predictions"
  throttling         = var.prediction_throttling
}
