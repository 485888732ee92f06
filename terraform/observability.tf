# What tells people about runs and their cost: messages, alarms, dashboard and budget; and the key that encrypts messages and logs.

locals {
  # Minutes of a rate: "rate(5 minutes)" is 5.
  watch_minutes = tonumber(regex("[0-9]+", var.watch_rate)) * { minute = 1, hour = 60, day = 1440 }[regex("minute|hour|day", var.watch_rate)]
}

# The topic needs a key of its own: CloudWatch's alarms may not use AWS's key for SNS. It also encrypts logs, the functions' settings
# and the notebook's volume, at no further cost.
module "key" {
  source = "./modules/kms_key"

  account_id = local.account_id
  name       = var.prefix
  region     = var.region
}

module "sns" {
  source = "./modules/sns"

  emails      = var.emails
  kms_key_arn = module.key.arn
  name        = local.topic_name
}

module "observability" {
  source = "./modules/observability"

  account_id    = local.account_id
  cache         = { name = module.elasticache.name, nodes = 1 + var.cache.replicas }
  functions     = { for role, function in module.functions : role => { log_group = function.log_group_name, name = function.name, queue = function.queue_name } }
  prefix        = var.prefix
  region        = var.region
  saved_queries = var.saved_queries
  thresholds    = var.alarm_thresholds
  topic_arn     = module.sns.arn
  watch_minutes = local.watch_minutes
}

module "budget" {
  source = "./modules/budget"
  count  = var.monthly_budget_usd == null ? 0 : 1

  emails = var.emails
  # The region is part of the name: a budget belongs to the account, which may have deployments in several regions.
  name = "${var.prefix}-monthly-${var.region}"
  usd  = var.monthly_budget_usd
}
