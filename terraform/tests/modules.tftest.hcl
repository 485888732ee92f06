# Each of the small modules by itself, made of mocks.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "dynamodb_makes_tables_paid_by_request_with_backups" {
  command = plan

  module {
    source = "./modules/dynamodb"
  }

  variables {
    prefix = "lnn"
    tables = {
      costs = { attributes = { epoch = "N", run_id = "S" }, hash_key = "run_id", range_key = "epoch" }
      seen  = { attributes = { id = "S" }, hash_key = "id", ttl = "expires_at" }
    }
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.billing_mode == "PAY_PER_REQUEST" && table.point_in_time_recovery[0].enabled])
    error_message = "A table is not paid by request, or has no backups."
  }

  assert {
    condition     = length(aws_dynamodb_table.this["costs"].ttl) == 0 && aws_dynamodb_table.this["seen"].ttl[0].attribute_name == "expires_at"
    error_message = "A table expires unasked, or one that should does not."
  }

  assert {
    condition     = output.names == { costs = "lnn-costs", seen = "lnn-seen" }
    error_message = "The tables' names are not the prefix and their own."
  }
}

run "dynamodb_refuses_a_key_without_its_type" {
  command = plan

  module {
    source = "./modules/dynamodb"
  }

  variables {
    prefix = "lnn"
    tables = { costs = { attributes = { run_id = "S" }, hash_key = "run_id", range_key = "epoch" } }
  }

  expect_failures = [var.tables]
}

run "elasticache_asks_for_tls_and_a_login_that_nothing_dangerous_is_open_to" {
  command = plan

  module {
    source = "./modules/elasticache"
  }

  variables {
    engine_version     = "8.0"
    node_type          = "cache.t4g.micro"
    port               = 6379
    prefix             = "lnn"
    replicas           = 1
    security_group_id  = "sg-1"
    subnet_ids         = ["subnet-1", "subnet-2"]
    transit_encryption = true
  }

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_mode == "required" && aws_elasticache_user.functions[0].authentication_mode[0].type == "iam"
    error_message = "The cache lets somebody in without TLS or IAM."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 2
    error_message = "A replica does not take over."
  }
}

run "elasticache_for_a_local_cloud_has_neither_tls_nor_users" {
  command = plan

  module {
    source = "./modules/elasticache"
  }

  variables {
    engine_version     = "8.0"
    node_type          = "cache.t4g.micro"
    port               = 6399
    prefix             = "lnn"
    replicas           = 0
    security_group_id  = "sg-1"
    subnet_ids         = ["subnet-1"]
    transit_encryption = false
  }

  assert {
    condition     = length(aws_elasticache_user.functions) == 0 && length(aws_elasticache_user_group.this) == 0 && output.user_name == ""
    error_message = "There are users for a server that knows none."
  }
}

run "kms_key_serves_alarms_and_logs_of_its_own_account_only" {
  module {
    source = "./modules/kms_key"
  }

  variables {
    account_id = "123456789012"
    name       = "lnn"
    region     = "us-east-1"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 7
    error_message = "The key is not rotated, or stays longer than it must."
  }

  assert {
    condition = { for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid => values(statement.Principal)[0] } == {
      EncryptLogs      = "logs.us-east-1.amazonaws.com"
      LeaveToIam       = "arn:aws:iam::123456789012:root"
      LetAlarmsPublish = "cloudwatch.amazonaws.com"
    }
    error_message = "The key's policy lets in others than the account, its logs and its alarms."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : can(statement.Condition) if can(statement.Principal.Service)])
    error_message = "A service may use the key for any account."
  }
}

run "lambda_layer_refuses_a_zip_that_is_not_built" {
  command = plan

  module {
    source = "./modules/lambda_layer"
  }

  variables {
    architecture = "arm64"
    name         = "lnn-numpy-h5py"
    runtime      = "python3.13"
    zip          = "./nothing/here.zip"
  }

  expect_failures = [aws_lambda_layer_version.this]
}

run "lambda_layer_is_for_its_runtime_and_architecture" {
  command = plan

  module {
    source = "./modules/lambda_layer"
  }

  variables {
    architecture = "arm64"
    name         = "lnn-numpy-h5py"
    runtime      = "python3.13"
    zip          = "./versions.tf"
  }

  assert {
    condition     = tolist(aws_lambda_layer_version.this.compatible_runtimes) == tolist(["python3.13"]) && tolist(aws_lambda_layer_version.this.compatible_architectures) == tolist(["arm64"])
    error_message = "The layer is offered to functions that it was not built for."
  }
}

run "prediction_api_signs_by_default_encrypts_its_log_and_throttles" {
  command = plan

  module {
    source = "./modules/prediction_api"
  }

  variables {
    access             = "iam"
    function           = { arn = "arn:aws:lambda:us-east-1:123456789012:function:lnn-predict", name = "lnn-predict" }
    kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"
    log_retention_days = 30
    name               = "lnn-predictions"
    throttling         = { burst = 20, rate = 10 }
  }

  assert {
    condition     = aws_apigatewayv2_route.all.authorization_type == "AWS_IAM"
    error_message = "Whoever has no signature is answered."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.kms_key_id == var.kms_key_arn
    error_message = "The access log is not encrypted with the system's key."
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.default.default_route_settings).throttling_rate_limit == 10 && one(aws_apigatewayv2_stage.default.default_route_settings).throttling_burst_limit == 20
    error_message = "Nothing holds callers back."
  }
}

run "prediction_api_answers_everybody_where_that_is_wanted" {
  command = plan

  module {
    source = "./modules/prediction_api"
  }

  variables {
    access             = "public"
    function           = { arn = "arn:aws:lambda:us-east-1:123456789012:function:lnn-predict", name = "lnn-predict" }
    kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"
    log_retention_days = 30
    name               = "lnn-predictions"
    throttling         = { burst = 20, rate = 10 }
  }

  assert {
    condition     = aws_apigatewayv2_route.all.authorization_type == "NONE"
    error_message = "A public page asks for a signature."
  }
}

run "s3_trigger_makes_a_private_bucket_that_refuses_plain_http" {
  module {
    source = "./modules/s3_trigger"
  }

  variables {
    account_id              = "123456789012"
    bucket_name             = "lnn-bucket"
    noncurrent_version_days = 30
    parameters_file         = "./versions.tf"
    runs_expiry_days        = 30

    triggers = {
      models  = { arn = "arn:aws:lambda:us-east-1:123456789012:function:lnn-register", name = "lnn-register", prefix = "prediction_input/" }
      uploads = { arn = "arn:aws:lambda:us-east-1:123456789012:function:lnn-launch", name = "lnn-launch", prefix = "training_input/" }
    }
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this[0].policy).Statement[0].Effect == "Deny" && jsondecode(aws_s3_bucket_policy.this[0].policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false" && length(jsondecode(aws_s3_bucket_policy.this[0].policy).Statement[0].Resource) == 2
    error_message = "The bucket answers over plain HTTP."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "The bucket can be made public."
  }

  assert {
    condition     = length(aws_lambda_permission.bucket) == 2 && alltrue([for permission in aws_lambda_permission.bucket : permission.source_account == "123456789012"])
    error_message = "Another account's bucket of the same name may call the function."
  }
}

run "sns_encrypts_and_subscribes_each_address" {
  command = plan

  module {
    source = "./modules/sns"
  }

  variables {
    emails      = ["ada@example.org", "grace@example.org"]
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"
    name        = "lnn-events"
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == var.kms_key_arn && length(aws_sns_topic_subscription.email) == 2
    error_message = "The topic is not encrypted, or somebody hears nothing."
  }
}

run "budget_tells_at_four_fifths_and_when_more_is_coming" {
  command = plan

  module {
    source = "./modules/budget"
  }

  variables {
    emails = ["ada@example.org"]
    name   = "lnn-monthly"
    usd    = 50
  }

  assert {
    condition     = aws_budgets_budget.this.limit_amount == "50" && { for notification in aws_budgets_budget.this.notification : notification.notification_type => notification.threshold } == { ACTUAL = 80, FORECASTED = 100 }
    error_message = "The budget tells too late, or of another amount."
  }
}

run "budget_refuses_to_tell_nobody" {
  command = plan

  module {
    source = "./modules/budget"
  }

  variables {
    emails = []
    name   = "lnn-monthly"
    usd    = 50
  }

  expect_failures = [aws_budgets_budget.this]
}
