# A notebook instance, for people who want to look into trainings from within the account. Off by default.
#
# It may read everything of this deployment, and upload data sets, which starts trainings. It changes nothing else.
module "notebook" {
  source = "./modules/notebook"
  count  = var.notebook.enabled ? 1 : 0

  account_id           = local.account_id
  bucket               = { arn = local.bucket_arn, name = module.s3_trigger.bucket_name }
  bundle               = "${var.build_directory}/notebook.zip"
  cache                = { port = var.cache_port, security_group_id = module.vpc.cache_security_group_id }
  environment          = local.environment
  idle_minutes         = var.notebook.idle_minutes
  instance_type        = var.notebook.instance_type
  kms_key_arn          = module.key.arn
  name                 = "${var.prefix}-notebook"
  network              = { endpoints = module.vpc.endpoints, subnet_id = module.vpc.subnet_ids[0], vpc_id = module.vpc.vpc_id }
  permissions_boundary = var.permissions_boundary
  python               = var.runtime
  region               = var.region
  volume_gb            = var.notebook.volume_gb

  statements = merge(local.connect_to_cache, local.tell_missing_keys, {
    ReadTriggers = {
      actions   = ["s3:GetBucketNotification"]
      resources = [local.bucket_arn]
    }
    ReadBucket = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.bucket_arn}/*"]
    }
    UploadInput = {
      actions   = ["s3:PutObject"]
      resources = ["${local.bucket_arn}/training_input/*"]
    }
    ReadTables = {
      actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
      resources = values(local.table_arn)
    }
  })
}
