# The module by itself: what a role may be given, and what is made only when it is asked for.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id         = "123456789012"
  architecture       = "arm64"
  description        = "A function"
  handler            = "package.module.function"
  log_retention_days = 1
  name               = "lnn-sample"
  region             = "us-east-1"
  runtime            = "python3.13"
  size               = { memory = 128, timeout = 3 }
  zip                = "./versions.tf"
}

run "makes_neither_network_nor_schedule_nor_traces_unasked" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    tracing = false
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.schedule) == 0 && length(aws_lambda_function.this.vpc_config) == 0
    error_message = "The function has a schedule or a network that nobody asked for."
  }

  assert {
    condition     = toset([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid]) == toset(["SendToOwnQueue", "WriteOwnLogs"])
    error_message = "The role may do more than write its logs and fill its queue."
  }
}

run "controls_recursion_where_lambda_has_that_control" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = aws_lambda_function_recursion_config.this[0].recursive_loop == "Terminate"
    error_message = "A loop would go on."
  }
}

run "controls_no_recursion_where_lambda_has_no_such_control" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    recursive_loop = "Allow"
    region         = "ap-southeast-6"
  }

  assert {
    condition     = length(aws_lambda_function_recursion_config.this) == 0
    error_message = "Lambda would refuse the setting."
  }
}

run "leaves_its_network_interfaces_in_another_group" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    vpc = { replacement_security_group_ids = ["sg-default"], security_group_ids = ["sg-functions"], subnet_ids = ["subnet-1"] }
  }

  assert {
    condition     = aws_lambda_function.this.replace_security_groups_on_destroy && aws_lambda_function.this.replacement_security_group_ids == toset(["sg-default"]) && aws_lambda_function.this.timeouts.delete == "90m"
    error_message = "The functions' group waits for their network interfaces."
  }
}

run "lets_lambda_log_failures_alone_and_every_line_of_metrics" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    log_level = "ERROR"
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].system_log_level == "WARN" && aws_lambda_function.this.logging_config[0].log_format == "JSON"
    error_message = "Lambda writes lines of its own about every invocation."
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].application_log_level == "INFO"
    error_message = "Lambda's filter would drop lines of metrics, which it takes for INFO."
  }
}

run "lets_debug_lines_through_lambdas_filter" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    log_level = "DEBUG"
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].application_log_level == "DEBUG"
    error_message = "Lambda's filter drops the lines that were asked for."
  }
}

run "passes_statements_with_their_conditions" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = {
      Read = {
        actions    = ["s3:ListBucket"]
        conditions = { StringLike = { "s3:prefix" = ["runs/*"] } }
        resources  = ["arn:aws:s3:::bucket"]
      }
    }
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[0].Condition.StringLike["s3:prefix"] == ["runs/*"]
    error_message = "The statement lost its condition."
  }
}

run "refuses_wildcard_actions" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = { Everything = { actions = ["s3:*"], resources = ["arn:aws:s3:::bucket"] } }
  }

  expect_failures = [var.statements]
}

run "refuses_every_resource" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = { Everything = { actions = ["s3:GetObject"], resources = ["*"] } }
  }

  expect_failures = [var.statements]
}

run "refuses_retries_that_lambda_does_not_know" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    retry = { attempts = 3 }
  }

  expect_failures = [var.retry]
}

run "refuses_a_zip_that_is_not_built" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    zip = "./nothing/here.zip"
  }

  expect_failures = [aws_lambda_function.this]
}
