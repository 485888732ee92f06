# The functions, and the layer that they share. What differs between them is in local.functions, by role.

locals {
  layer_zip = var.layer_zip != null ? var.layer_zip : "${var.build_directory}/layers/numpy-h5py-${var.runtime}-${var.architecture}.zip"

  functions = {
    launch = {
      description    = "Checks an uploaded data set, preprocesses it, and opens the run"
      in_vpc         = false
      recursive_loop = "Terminate"
      schedule       = null
      statements = merge(local.notify, local.tell_missing_keys, {
        ReadInput = {
          actions   = ["s3:GetObject", "s3:GetObjectVersion"]
          resources = ["${local.bucket_arn}/training_input/*"]
        }
        # A run is trained with the version of its parameters that was there when its dataset came.
        FindParameters = {
          actions    = ["s3:ListBucketVersions"]
          resources  = [local.bucket_arn]
          conditions = { StringLike = { "s3:prefix" = ["training_input/*"] } }
        }
        # A run may begin with the weights of a model.
        ReadModels = {
          actions   = ["s3:GetObject"]
          resources = ["${local.bucket_arn}/prediction_input/*"]
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

    neuron = {
      description    = "One neuron of one layer; or a worker that owns many neurons, or examples, and stays for a training"
      in_vpc         = true
      recursive_loop = "Allow"
      schedule       = null
      statements     = local.train
    }

    predict = {
      description    = "Answers the prediction API, serves its page, and predicts the parts of batches"
      in_vpc         = false
      recursive_loop = "Terminate"
      schedule       = null
      statements = {
        ReadModels = {
          actions   = ["s3:GetObject"]
          resources = ["${local.bucket_arn}/prediction_input/*"]
        }
        ReadRegistry = {
          actions   = ["dynamodb:GetItem", "dynamodb:Scan"]
          resources = [local.table_arn.models]
        }
        # Nothing that a function reads lies there.
        WritePredictions = {
          actions   = ["s3:PutObject"]
          resources = ["${local.bucket_arn}/prediction_output/*"]
        }
      }
    }

    register = {
      description    = "Enters an uploaded model in the registry and puts it into staging"
      in_vpc         = false
      recursive_loop = "Terminate"
      schedule       = null
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

    trainer = {
      description    = "Trains: steps through epochs and layers, keeps the history, writes the model"
      in_vpc         = true
      recursive_loop = "Allow"
      schedule = {
        expression = var.watch_rate
        input      = jsonencode({ state = "watch" })
        name       = "${var.prefix}-watch"
      }
      statements = merge(local.train, {
        FindRuns = {
          actions   = ["dynamodb:Query"]
          resources = ["${local.table_arn.runs}/index/watched"]
        }
      })
    }
  }

  # Trainer and Neuron alike: both train a run from its start to its end, and continue it by calling each other.
  train = merge(local.connect_to_cache, local.notify, local.tell_missing_keys, {
    KeepTensors = {
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${local.bucket_arn}/runs/*"]
    }
    # Reading: what was published is replaced only as it was looked at. A run's id begins with its year, so Register alone writes
    # what lies under prediction_input/models.
    PublishModelAndResults = {
      actions = ["s3:GetObject", "s3:PutObject"]
      resources = [
        "${local.bucket_arn}/prediction_input/2*/params.h5",
        "${local.bucket_arn}/prediction_input/params.h5",
        "${local.bucket_arn}/training_results/2*/results.json",
        "${local.bucket_arn}/training_results/results.json",
      ]
    }
    KeepRuns = {
      # Checking: workers are given back in one transaction with a look at whether their run has ended.
      actions   = ["dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:UpdateItem"]
      resources = [local.table_arn.runs]
    }
    KeepHistory = {
      actions   = ["dynamodb:BatchWriteItem", "dynamodb:Query"]
      resources = [local.table_arn.costs]
    }
    StartSteps = {
      actions   = ["lambda:InvokeFunction"]
      resources = [local.function_arn.neuron, local.function_arn.trainer]
    }
  })

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
    # The statement names the key by its alias, since the key's id is unknown until AWS makes the key. Only SNS may use the key on
    # the function's behalf.
    EncryptMessages = {
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = ["${local.arn_start.kms}:key/*"]
      conditions = {
        "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = [module.key.alias] }
        StringEquals               = { "kms:ViaService" = ["sns.${var.region}.amazonaws.com"] }
      }
    }
  }

  # S3 answers a missing key with 404 to a caller who may list the bucket, and with 403 to every other. It checks that right without
  # a prefix, so a condition on s3:prefix would bring the 403 back.
  tell_missing_keys = {
    TellMissingKeys = {
      actions   = ["s3:ListBucket"]
      resources = [local.bucket_arn]
    }
  }

  environment = {
    LNN_BUCKET                   = local.bucket_name
    LNN_CACHE_HOST               = module.elasticache.host
    LNN_CACHE_NAME               = module.elasticache.name
    LNN_CACHE_PORT               = tostring(var.cache_port)
    LNN_CACHE_TLS                = tostring(var.cache.transit_encryption)
    LNN_CACHE_USER               = module.elasticache.user_name
    LNN_COSTS_TABLE              = module.dynamodb.names.costs
    LNN_INVOCATIONS_TABLE        = module.dynamodb.names.invocations
    LNN_LAUNCH_TIMEOUT           = tostring(local.function_sizes.launch.timeout)
    LNN_MAX_WORKERS              = tostring(var.max_workers)
    LNN_MODELS_TABLE             = module.dynamodb.names.models
    LNN_NEURON_CONCURRENCY       = tostring(local.neuron_concurrency)
    LNN_NEURON_FUNCTION          = local.function_name.neuron
    LNN_NEURON_MEMORY_MB         = tostring(var.functions.neuron.memory)
    LNN_NEURON_STORAGE_MB        = tostring(var.functions.neuron.storage)
    LNN_NEURON_TIMEOUT           = tostring(local.function_sizes.neuron.timeout)
    LNN_NEURON_WINDOW            = tostring(var.neuron_window)
    LNN_PREFIX                   = var.prefix
    LNN_RUNS_TABLE               = module.dynamodb.names.runs
    LNN_TOPIC_ARN                = module.sns.arn
    LNN_TRAINER_FUNCTION         = local.function_name.trainer
    LNN_TRAINER_MEMORY_MB        = tostring(var.functions.trainer.memory)
    LNN_TRAINER_TIMEOUT          = tostring(local.function_sizes.trainer.timeout)
    POWERTOOLS_LOG_LEVEL         = var.log_level
    POWERTOOLS_METRICS_NAMESPACE = "LNN"
  }

  # The runtime's settings, for functions alone; a notebook has local.environment without them.
  runtime_environment = {
    # boto3 repeats a failed call after tens of milliseconds, not seconds. From November 2026 on it does so by itself ("Announcing
    # updated retry behavior for AWS SDKs and Tools", AWS Developer Tools Blog), but the boto3 of Lambda's runtime may be older.
    AWS_NEW_RETRIES_2026 = "true"
    # glibc keeps the memory that a step frees for the next step. By default it returns large blocks to the kernel, which then
    # clears their pages anew at every step.
    MALLOC_MMAP_THRESHOLD_  = tostring(8 * 1024 * 1024)
    MALLOC_TRIM_THRESHOLD_  = tostring(128 * 1024 * 1024)
    POWERTOOLS_SERVICE_NAME = var.prefix
  }

  # What makes every host of an architecture round alike; docs/adr/20261129-same-bits-on-any-host.md.
  same_bits_environment = jsondecode(file("${path.root}/same_bits.json"))[var.architecture]
}

module "layer" {
  source = "./modules/lambda_layer"

  architecture = var.architecture
  name         = "${var.prefix}-numpy-h5py"
  runtime      = var.runtime
  zip          = local.layer_zip
}

module "functions" {
  source   = "./modules/lambda_function"
  for_each = local.functions

  account_id           = local.account_id
  architecture         = var.architecture
  description          = each.value.description
  handler              = "${each.key}.handler.handler"
  kms_key_arn          = module.key.arn
  layers               = [module.layer.arn]
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  name                 = local.function_name[each.key]
  permissions_boundary = var.permissions_boundary
  recursive_loop       = each.value.recursive_loop
  region               = var.region
  runtime              = var.runtime
  schedule             = each.value.schedule
  size                 = local.function_sizes[each.key]
  statements           = each.value.statements
  tracing              = var.tracing
  zip                  = "${var.build_directory}/functions/${each.key}.zip"

  environment = merge(local.environment, local.runtime_environment, local.same_bits_environment)

  # Only functions that use the cache are in the VPC: the others start faster without a network interface.
  vpc = each.value.in_vpc ? {
    replacement_security_group_ids = module.vpc.default_security_group_id[*]
    security_group_ids             = [module.vpc.functions_security_group_id]
    subnet_ids                     = module.vpc.subnet_ids
  } : null
}
