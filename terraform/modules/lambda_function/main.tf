data "aws_partition" "current" {}

locals {
  # In these regions Lambda does not detect recursive loops, and refuses the setting
  # (https://github.com/aws/aws-lambda-roadmap/issues/18).
  regions_without_recursion_control = ["ap-southeast-6", "mx-central-1"]

  # Composed, not read from the function: the policy is then known in the plan, and does not depend on the function, which depends on
  # the policy.
  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${var.region}:${var.account_id}:function:${var.name}"
  queue_name   = "${var.name}-dlq"

  given_statements = [
    for sid, statement in var.statements : merge(
      { Sid = sid, Effect = "Allow", Action = statement.actions, Resource = statement.resources },
      length(statement.conditions) == 0 ? {} : { Condition = statement.conditions },
    )
  ]

  own_statements = [
    {
      Sid      = "WriteOwnLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:/aws/lambda/${var.name}:*"]
    },
    {
      Sid      = "SendToOwnQueue"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = ["arn:${data.aws_partition.current.partition}:sqs:${var.region}:${var.account_id}:${local.queue_name}"]
    },
  ]

  # Lambda makes the function's network interfaces with the function's own role
  # (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html, "Required IAM permissions").
  vpc_statements = [
    {
      Sid      = "ManageNetworkInterfaces"
      Effect   = "Allow"
      Action   = ["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
      Resource = ["arn:${data.aws_partition.current.partition}:ec2:${var.region}:${var.account_id}:*/*"]
    },
    {
      # "*": EC2 knows no resource for Describe actions.
      Sid      = "DescribeNetwork"
      Effect   = "Allow"
      Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
      Resource = ["*"]
    },
    {
      # "*": a denial. It takes the rights of the two statements above from the function's code, and leaves them to the Lambda service.
      Sid       = "KeepNetworkFromCode"
      Effect    = "Deny"
      Action    = ["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"]
      Resource  = ["*"]
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = [local.function_arn] } }
    },
  ]

  tracing_statements = [
    {
      # "*": X-Ray knows no resource for these actions.
      Sid      = "WriteTraces"
      Effect   = "Allow"
      Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      Resource = ["*"]
    },
  ]
}

resource "aws_iam_role" "this" {
  # Roles are the account's, whatever the region.
  name                 = "${var.name}-${var.region}"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })

  # Older deployments have roles without a region in the name, and keep them.
  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_iam_role_policy" "this" {
  name = var.name
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.given_statements,
      local.own_statements,
      [for statement in local.vpc_statements : statement if var.vpc != null],
      [for statement in local.tracing_statements : statement if var.tracing],
    )
  })
}

resource "aws_cloudwatch_log_group" "this" {
  kms_key_id        = var.kms_key_arn
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# Events that failed every retry.
resource "aws_sqs_queue" "dead_letters" {
  message_retention_seconds = 1209600
  name                      = local.queue_name
  sqs_managed_sse_enabled   = true
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_272:the archives are built on the deployer's machine, where a signature would be made too; their hashes are in the state
  architectures                  = [var.architecture]
  description                    = var.description
  filename                       = var.zip
  function_name                  = var.name
  handler                        = var.handler
  kms_key_arn                    = var.kms_key_arn
  layers                         = var.layers
  memory_size                    = var.size.memory
  reserved_concurrent_executions = coalesce(var.size.reserved_concurrency, -1)
  role                           = aws_iam_role.this.arn
  runtime                        = var.runtime
  # Guarded so that a destroy works after the build is gone.
  source_code_hash = fileexists(var.zip) ? filebase64sha256(var.zip) : null
  timeout          = var.size.timeout

  dead_letter_config {
    target_arn = aws_sqs_queue.dead_letters.arn
  }

  environment {
    variables = var.environment
  }

  ephemeral_storage {
    size = var.size.storage
  }

  # At WARN, Lambda itself logs failures only: START, END and REPORT of every invocation would cost as much as a short invocation. The
  # functions' own last lines have duration and memory.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
  logging_config {
    application_log_level = var.log_level == "DEBUG" ? "DEBUG" : "INFO"
    log_format            = "JSON"
    system_log_level      = "WARN"
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]

    content {
      security_group_ids = vpc_config.value.security_group_ids
      subnet_ids         = vpc_config.value.subnet_ids
    }
  }

  # Lambda's network interfaces outlive the function by up to an hour. In another security group they do not hold up the destruction of
  # the function's own.
  replace_security_groups_on_destroy = var.vpc == null ? null : true
  replacement_security_group_ids     = try(var.vpc.replacement_security_group_ids, null)

  timeouts {
    delete = "90m"
  }

  # The policy first: Lambda checks the role's rights on queue and network when it makes the function. The log group first: one that the
  # first invocation made would have no retention, and outlive a destroy.
  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]

  lifecycle {
    precondition {
      condition     = fileexists(var.zip)
      error_message = "The function's zip ${var.zip} does not exist. Build it with `make package`."
    }
  }
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = var.retry.max_seconds
  maximum_retry_attempts       = var.retry.attempts
}

resource "aws_lambda_function_recursion_config" "this" {
  count = contains(local.regions_without_recursion_control, var.region) ? 0 : 1

  function_name  = aws_lambda_function.this.function_name
  recursive_loop = var.recursive_loop
}

resource "aws_cloudwatch_event_rule" "schedule" {
  count = var.schedule == null ? 0 : 1

  description         = "Invokes ${var.name}"
  name                = var.schedule.name
  schedule_expression = var.schedule.expression
}

resource "aws_lambda_permission" "schedule" {
  count = var.schedule == null ? 0 : 1

  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[0].arn
  statement_id  = "schedule"
}

resource "aws_cloudwatch_event_target" "schedule" {
  count = var.schedule == null ? 0 : 1

  arn   = aws_lambda_function.this.arn
  input = var.schedule.input
  rule  = aws_cloudwatch_event_rule.schedule[0].name

  # The permission first, or Lambda refuses the first event.
  depends_on = [aws_lambda_permission.schedule]
}
