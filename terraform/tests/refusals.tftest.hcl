# What the root refuses, before anything is made.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "refuses_wrong_values" {
  command = plan

  variables {
    account_concurrency     = 0
    account_id              = "12345"
    alarm_thresholds        = { cache_memory_percent = 0, throttles = 1.5 }
    architecture            = "arm"
    cache                   = { node_type = "t4g.micro", replicas = 6 }
    cache_port              = 0
    emails                  = ["nobody"]
    existing_vpc            = { vpc_id = "vpc-1", subnet_ids = [] }
    flow_log_retention_days = 31
    flow_logs               = "SOME"
    log_level               = "LOUD"
    log_retention_days      = 31
    max_workers             = 257
    monthly_budget_usd      = 0
    neuron_window           = -1
    noncurrent_version_days = 0
    notebook                = { idle_minutes = 5, instance_type = "t3.medium", volume_gb = 4 }
    permissions_boundary    = "boundary"
    prediction_throttling   = { rate = 0 }
    prefix                  = "Not_A_Prefix"
    region                  = "Ohio"
    runs_expiry_days        = 0.5
    runtime                 = "python3.8"
    vpc_cidr                = "10.0.0.0/8"
    watch_rate              = "rate(1 minutes)"
    zone_count              = 0
    zones                   = ["a", "a"]
  }

  expect_failures = [
    var.account_concurrency,
    var.account_id,
    var.alarm_thresholds,
    var.architecture,
    var.cache,
    var.cache_port,
    var.emails,
    var.existing_vpc,
    var.flow_log_retention_days,
    var.flow_logs,
    var.log_level,
    var.log_retention_days,
    var.max_workers,
    var.monthly_budget_usd,
    var.neuron_window,
    var.noncurrent_version_days,
    var.notebook,
    var.permissions_boundary,
    var.prediction_throttling,
    var.prefix,
    var.region,
    var.runs_expiry_days,
    var.runtime,
    var.vpc_cidr,
    var.watch_rate,
    var.zone_count,
    var.zones,
  ]
}

run "refuses_wrong_function_sizes" {
  command = plan

  variables {
    functions = {
      launch  = { memory = 64 }
      neuron  = { timeout = 901, reserved_concurrency = 0 }
      trainer = { storage = 100 }
    }
  }

  expect_failures = [var.functions]
}

# By itself: it is compared with other variables, and not looked at where one of them is wrong.
run "refuses_callers_that_nobody_knows" {
  command = plan

  variables {
    prediction_access = "everybody"
  }

  expect_failures = [var.prediction_access]
}

run "refuses_public_predictions_that_could_take_every_concurrent_execution" {
  command = plan

  variables {
    prediction_access = "public"
  }

  expect_failures = [var.prediction_access]
}

run "refuses_public_predictions_whose_throttling_bounds_too_little" {
  command = plan

  variables {
    functions             = { predict = { timeout = 10 } }
    prediction_access     = "public"
    prediction_throttling = { burst = 20, rate = 8.1 }
  }

  expect_failures = [var.prediction_access]
}

run "takes_public_predictions_whose_throttling_bounds_them" {
  command = plan

  variables {
    functions             = { predict = { timeout = 10 } }
    prediction_access     = "public"
    prediction_throttling = { burst = 20, rate = 8 }
  }
}

run "refuses_prefixes_that_would_end_in_a_hyphen" {
  command = plan

  variables {
    prefix = "lnn-"
  }

  expect_failures = [var.prefix]
}

run "refuses_prefixes_too_long_for_a_bucket" {
  command = plan

  variables {
    prefix = "a-prefix-of-21-letter"
  }

  expect_failures = [var.prefix]
}

run "refuses_china" {
  command = plan

  variables {
    region = "cn-north-1"
  }

  expect_failures = [var.region]
}

run "refuses_govcloud" {
  command = plan

  variables {
    region = "us-gov-west-1"
  }

  expect_failures = [var.region]
}
