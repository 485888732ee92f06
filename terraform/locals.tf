# Names, ARNs and sizes that more than one topic needs.

data "aws_caller_identity" "current" {
  count = var.account_id == null ? 1 : 0
}

data "aws_partition" "current" {}

locals {
  account_id = var.account_id != null ? var.account_id : data.aws_caller_identity.current[0].account_id

  # ARNs are composed from names, not read from resources: functions that call each other, and a bucket that starts a function
  # which reads the bucket, would be cycles otherwise.
  bucket_name   = "${var.prefix}-${local.account_id}-${var.region}"
  function_name = { for role in keys(var.functions) : role => "${var.prefix}-${role}" }
  table_name    = { for key in keys(local.tables) : key => "${var.prefix}-${key}" }
  topic_name    = "${var.prefix}-events"

  arn_start    = { for service in ["dynamodb", "elasticache", "kms", "lambda", "sns"] : service => "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account_id}" }
  bucket_arn   = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket_name}"
  function_arn = { for role, name in local.function_name : role => "${local.arn_start.lambda}:function:${name}" }
  table_arn    = { for key, name in local.table_name : key => "${local.arn_start.dynamodb}:table/${name}" }
  topic_arn    = "${local.arn_start.sns}:${local.topic_name}"

  # The most Neurons that run at once: a run with workers starts when all of them can. Without a reservation, the Neuron draws from
  # what the account has left, of which the Trainer and Launch keep two: somebody must end a run and start the next.
  reserved_concurrency = { for role, size in var.functions : role => coalesce(size.reserved_concurrency, 0) }
  neuron_concurrency   = local.reserved_concurrency.neuron > 0 ? local.reserved_concurrency.neuron : max(1, var.account_concurrency - sum(values(local.reserved_concurrency)) - 2)

  # Seconds that Lambda lets an invocation take at most: the one home of that figure (docs/adr/20261128-lambda-time-limit.md).
  longest_invocation = 900

  # The variable's sizes, with that figure for each timeout of null. Apart from local.functions, whose policies name the cache: rules
  # of variables use the sizes, and the cache is made from variables.
  function_sizes = { for role, size in var.functions : role => merge(size, { timeout = coalesce(size.timeout, local.longest_invocation) }) }
}
