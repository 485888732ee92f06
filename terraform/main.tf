data "aws_caller_identity" "current" {
  count = var.account_id == null ? 1 : 0
}

data "aws_partition" "current" {}

locals {
  account_id = var.account_id != null ? var.account_id : data.aws_caller_identity.current[0].account_id
  layer_zip  = var.layer_zip != null ? var.layer_zip : "${var.build_directory}/layers/numpy-h5py-${var.runtime}-${var.architecture}.zip"

  # Names and ARNs are composed here, once: functions that call each other, and a bucket that calls a function which reads the
  # bucket, would be cycles otherwise.
  bucket_name   = "${var.prefix}-${local.account_id}-${var.region}"
  function_name = { for key in ["launch", "neuron", "predict", "register", "trainer"] : key => "${var.prefix}-${key}" }
  table_name    = { for key in keys(local.tables) : key => "${var.prefix}-${key}" }
  topic_name    = "${var.prefix}-events"

  arn_start    = { for service in ["dynamodb", "elasticache", "kms", "lambda", "sns"] : service => "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account_id}" }
  bucket_arn   = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket_name}"
  function_arn = { for key, name in local.function_name : key => "${local.arn_start.lambda}:function:${name}" }
  table_arn    = { for key, name in local.table_name : key => "${local.arn_start.dynamodb}:table/${name}" }
  topic_arn    = "${local.arn_start.sns}:${local.topic_name}"

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
    # The watch reads the index, which holds only the runs that have this attribute: those that have not ended.
    runs = {
      attributes = { run_id = "S", watched = "S" }
      hash_key   = "run_id"
      indexes    = { watched = "watched" }
    }
  }

  # Seconds: the longest that Lambda lets an invocation take, and the one home of that figure (docs/adr/20261128-lambda-time-limit.md).
  longest_invocation = 900

  functions = { for key, size in var.functions : key => merge(size, { timeout = coalesce(size.timeout, local.longest_invocation) }) }

  # The most invocations of Predict at the same time that the API's throttling lets happen.
  predictions_at_once = ceil(var.prediction_throttling.burst + var.prediction_throttling.rate * local.functions.predict.timeout)

  environment = {
    LNN_BUCKET                   = local.bucket_name
    LNN_CACHE_HOST               = module.elasticache.host
    LNN_CACHE_NAME               = module.elasticache.name
    LNN_CACHE_PORT               = tostring(var.cache_port)
    LNN_CACHE_TLS                = tostring(var.cache.transit_encryption)
    LNN_CACHE_USER               = module.elasticache.user_name
    LNN_COSTS_TABLE              = module.dynamodb.names.costs
    LNN_INVOCATIONS_TABLE        = module.dynamodb.names.invocations
    LNN_LAUNCH_TIMEOUT           = tostring(local.functions.launch.timeout)
    LNN_MAX_WORKERS              = tostring(var.max_workers)
    LNN_MODELS_TABLE             = module.dynamodb.names.models
    LNN_NEURON_FUNCTION          = local.function_name.neuron
    LNN_NEURON_MEMORY_MB         = tostring(var.functions.neuron.memory)
    LNN_NEURON_STORAGE_MB        = tostring(var.functions.neuron.storage)
    LNN_NEURON_TIMEOUT           = tostring(local.functions.neuron.timeout)
    LNN_NEURON_WINDOW            = tostring(var.neuron_window)
    LNN_PREFIX                   = var.prefix
    LNN_RUNS_TABLE               = module.dynamodb.names.runs
    LNN_TOPIC_ARN                = module.sns.arn
    LNN_TRAINER_FUNCTION         = local.function_name.trainer
    LNN_TRAINER_MEMORY_MB        = tostring(var.functions.trainer.memory)
    LNN_TRAINER_TIMEOUT          = tostring(local.functions.trainer.timeout)
    POWERTOOLS_LOG_LEVEL         = var.log_level
    POWERTOOLS_METRICS_NAMESPACE = "LNN"
  }

  # One BLAS thread for each vCPU that the memory buys: more would only wait for each other. glibc is to keep what a step frees
  # for the next step: by default it gives it back, and the kernel clears the pages anew at every step. A call that AWS fails is
  # to be repeated after tens of milliseconds, not seconds: boto3 does so by itself from November 2026 on ("Announcing updated
  # retry behavior for AWS SDKs and Tools", AWS Developer Tools Blog), and the runtime's may be older.
  own_environment = {
    for key in keys(local.function_name) : key => merge(local.environment, {
      AWS_NEW_RETRIES_2026    = "true"
      MALLOC_MMAP_THRESHOLD_  = tostring(8 * 1024 * 1024)
      MALLOC_TRIM_THRESHOLD_  = tostring(128 * 1024 * 1024)
      OPENBLAS_NUM_THREADS    = tostring(ceil(var.functions[key].memory / 1769))
      POWERTOOLS_SERVICE_NAME = var.prefix
    })
  }

  # "rate(5 minutes)" is 5.
  watch_minutes = tonumber(regex("[0-9]+", var.watch_rate)) * { minute = 1, hour = 60, day = 1440 }[regex("minute|hour|day", var.watch_rate)]

  vpc = {
    replacement_security_group_ids = module.vpc.default_security_group_id[*]
    security_group_ids             = [module.vpc.functions_security_group_id]
    subnet_ids                     = module.vpc.subnet_ids
  }

  # Statements that more than one function needs.
  connect_to_cache = var.cache.transit_encryption ? {
    ConnectToCache = {
      actions = ["elasticache:Connect"]
      resources = [
        "${local.arn_start.elasticache}:replicationgroup:${module.elasticache.name}",
        "${local.arn_start.elasticache}:user:${module.elasticache.user_name}",
      ]
    }
  } : {}

  notify = {
    Notify = {
      actions   = ["sns:Publish"]
      resources = [local.topic_arn]
    }
    # By its alias: the key's id is not known before it is there. Only SNS may use it for the function.
    EncryptMessages = {
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = ["${local.arn_start.kms}:key/*"]
      conditions = {
        "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = [module.key.alias] }
        StringEquals               = { "kms:ViaService" = ["sns.${var.region}.amazonaws.com"] }
      }
    }
  }

  # What a function does that trains a run from its start to its end.
  keep_run = {
    KeepTensors = {
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${local.bucket_arn}/runs/*"]
    }
    WriteModelAndResults = {
      # Reading: the latest copies are copied from the run's own.
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${local.bucket_arn}/prediction_input/*", "${local.bucket_arn}/training_results/*"]
    }
    KeepRuns = {
      actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
      resources = [local.table_arn.runs]
    }
    KeepHistory = {
      actions   = ["dynamodb:BatchWriteItem", "dynamodb:Query"]
      resources = [local.table_arn.costs]
    }
  }

  # S3 answers a missing key with 404 only to a caller who may list the bucket, and with 403 to any other; it asks without a
  # prefix then, so a condition on s3:prefix would bring the 403 back.
  tell_missing_keys = {
    TellMissingKeys = {
      actions   = ["s3:ListBucket"]
      resources = [local.bucket_arn]
    }
  }
}

# For the topic, whose messages come from CloudWatch's alarms too; and, since it is there and paid for, for logs and settings.
module "key" {
  source = "./modules/kms_key"

  account_id = local.account_id
  name       = var.prefix
  region     = var.region
}

module "vpc" {
  source = "./modules/vpc"

  account_id              = local.account_id
  cache_port              = var.cache_port
  cache_security_group_id = module.elasticache.security_group_id
  cidr                    = var.vpc_cidr
  existing                = var.existing_vpc
  flow_log_retention_days = var.flow_log_retention_days
  flow_logs               = var.flow_logs == "NONE" ? null : var.flow_logs
  interface_services      = setunion(["lambda", "sns"], var.notebook.enabled ? ["sagemaker.api"] : [])
  kms_key_arn             = module.key.arn
  permissions_boundary    = var.permissions_boundary
  prefix                  = var.prefix
  region                  = var.region
  zone_count              = var.zone_count
  zones                   = var.zones

  # Amazon Linux's packages, among them the notebook's Python.
  foreign_buckets = var.notebook.enabled ? ["al2023-repos-${var.region}-de612dc2"] : []
}

module "elasticache" {
  source = "./modules/elasticache"

  engine_version     = var.cache.engine_version
  node_type          = var.cache.node_type
  port               = var.cache_port
  prefix             = var.prefix
  replicas           = var.cache.replicas
  subnet_ids         = module.vpc.subnet_ids
  transit_encryption = var.cache.transit_encryption
  vpc_id             = module.vpc.vpc_id

  functions_security_group_id = module.vpc.functions_security_group_id
}

# The group was the network's before; a new one would have to be given to a running cache.
moved {
  from = module.vpc.aws_security_group.cache
  to   = module.elasticache.aws_security_group.this
}

moved {
  from = module.vpc.aws_vpc_security_group_ingress_rule.cache_from_functions
  to   = module.elasticache.aws_vpc_security_group_ingress_rule.functions
}

module "dynamodb" {
  source = "./modules/dynamodb"

  prefix = var.prefix
  tables = local.tables
}

module "sns" {
  source = "./modules/sns"

  emails      = var.emails
  kms_key_arn = module.key.arn
  name        = local.topic_name
}

module "budget" {
  count  = var.monthly_budget_usd == null ? 0 : 1
  source = "./modules/budget"

  emails = var.emails
  # Budgets are the account's, whatever the region.
  name = "${var.prefix}-monthly-${var.region}"
  usd  = var.monthly_budget_usd
}

module "layer" {
  source = "./modules/lambda_layer"

  architecture = var.architecture
  name         = "${var.prefix}-numpy-h5py"
  runtime      = var.runtime
  zip          = local.layer_zip
}

# Not in the VPC: it needs no cache, and starts faster without a network interface.
module "launch" {
  source = "./modules/lambda_function"

  account_id           = local.account_id
  architecture         = var.architecture
  description          = "Checks an uploaded data set, preprocesses it, and opens the run"
  environment          = local.own_environment.launch
  handler              = "launch.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name.launch
  permissions_boundary = var.permissions_boundary
  region               = var.region
  runtime              = var.runtime
  size                 = local.functions.launch
  tracing              = var.tracing
  zip                  = "${var.build_directory}/functions/launch.zip"

  statements = merge(local.notify, local.tell_missing_keys, {
    ReadInput = {
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${local.bucket_arn}/training_input/*"]
    }
    WriteTensors = {
      actions   = ["s3:PutObject"]
      resources = ["${local.bucket_arn}/runs/*"]
    }
    OpenRun = {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [local.table_arn.runs]
    }
    RememberEvents = {
      actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [local.table_arn.invocations]
    }
    StartTrainer = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arn.trainer]
    }
  })
}

module "trainer" {
  source = "./modules/lambda_function"

  account_id           = local.account_id
  architecture         = var.architecture
  description          = "Trains: steps through epochs and layers, keeps the history, writes the model"
  environment          = local.own_environment.trainer
  handler              = "trainer.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name.trainer
  permissions_boundary = var.permissions_boundary
  recursive_loop       = "Allow"
  region               = var.region
  runtime              = var.runtime
  size                 = local.functions.trainer
  tracing              = var.tracing
  vpc                  = local.vpc
  zip                  = "${var.build_directory}/functions/trainer.zip"

  schedule = {
    expression = var.watch_rate
    input      = jsonencode({ state = "watch" })
    name       = "${var.prefix}-watch"
  }

  statements = merge(local.connect_to_cache, local.notify, local.tell_missing_keys, local.keep_run, {
    FindRuns = {
      actions   = ["dynamodb:Query"]
      resources = ["${local.table_arn.runs}/index/watched"]
    }
    StartSteps = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arn.neuron, local.function_arn.trainer]
    }
  })
}

module "neuron" {
  source = "./modules/lambda_function"

  account_id           = local.account_id
  architecture         = var.architecture
  description          = "One neuron of one layer; or a worker that owns many neurons, or examples, and stays for a training"
  environment          = local.own_environment.neuron
  handler              = "neuron.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name.neuron
  permissions_boundary = var.permissions_boundary
  recursive_loop       = "Allow"
  region               = var.region
  runtime              = var.runtime
  size                 = local.functions.neuron
  tracing              = var.tracing
  vpc                  = local.vpc
  zip                  = "${var.build_directory}/functions/neuron.zip"

  statements = merge(local.connect_to_cache, local.notify, local.tell_missing_keys, local.keep_run, {
    StartSteps = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arn.neuron, local.function_arn.trainer]
    }
  })
}

module "s3_trigger" {
  source = "./modules/s3_trigger"

  account_id              = local.account_id
  bucket_name             = local.bucket_name
  noncurrent_version_days = var.noncurrent_version_days
  parameters_file         = var.parameters_file
  require_tls             = var.require_tls
  runs_expiry_days        = var.runs_expiry_days

  triggers = {
    models  = { arn = module.register.arn, name = module.register.name, prefix = "prediction_input/" }
    uploads = { arn = module.launch.arn, name = module.launch.name, prefix = "training_input/" }
  }
}

module "observability" {
  source = "./modules/observability"

  account_id    = local.account_id
  cache         = { name = module.elasticache.name, nodes = 1 + var.cache.replicas }
  prefix        = var.prefix
  region        = var.region
  saved_queries = var.saved_queries
  thresholds    = var.alarm_thresholds
  topic_arn     = module.sns.arn
  watch_minutes = local.watch_minutes

  functions = {
    for role, function in {
      launch   = module.launch
      neuron   = module.neuron
      predict  = module.predict
      register = module.register
      trainer  = module.trainer
    } : role => { log_group = function.log_group_name, name = function.name, queue = function.queue_name }
  }
}
