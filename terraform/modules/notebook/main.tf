data "aws_partition" "current" {}

locals {
  # Composed, not read from the instance: the policy is then known in the plan, and does not depend on the instance, which depends on the
  # policy.
  instance_arn = "arn:${data.aws_partition.current.partition}:sagemaker:${var.region}:${var.account_id}:notebook-instance/${var.name}"
  # SageMaker has one log group for all instances of the account.
  log_group_arn = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:/aws/sagemaker/NotebookInstances"

  bundle_key = "notebook/bundle.zip"

  # Environment of on_start.sh, and, in kernels and terminals, of the library and the `lnn` command.
  settings = merge(var.environment, {
    AWS_REGION    = var.region
    BUNDLE_KEY    = aws_s3_object.bundle.key
    BUNDLE_SHA256 = fileexists(var.bundle) ? filesha256(var.bundle) : ""
    HOME_FOLDER   = "/home/ec2-user"
    IDLE_MINUTES  = tostring(var.idle_minutes)
    IDLE_STOP     = filebase64("${path.module}/idle_stop.py")
    LNN_ACCOUNT   = var.account_id
    LNN_TARGET    = "aws"
    NOTEBOOK      = var.name
    OWNER         = "ec2-user"
    PYTHON        = var.python
    SYSTEM_FOLDER = "/opt/lnn"
  })

  script = base64encode(join("\n", concat(
    ["#!/usr/bin/env bash"],
    [for name, value in local.settings : "export ${name}='${value}'"],
    [file("${path.module}/on_start.sh")],
  )))

  given_statements = [
    for sid, statement in var.statements : { Sid = sid, Effect = "Allow", Action = statement.actions, Resource = statement.resources }
  ]

  own_statements = [
    {
      Sid      = "StopItself"
      Effect   = "Allow"
      Action   = ["sagemaker:StopNotebookInstance"]
      Resource = [local.instance_arn]
    },
    {
      Sid      = "FetchOwnCode"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.bucket.arn}/${local.bundle_key}"]
    },
    {
      Sid      = "WriteOwnLifecycleLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = [local.log_group_arn, "${local.log_group_arn}:log-stream:${var.name}/*"]
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
      Principal = { Service = "sagemaker.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })

  # Older deployments have a role without a region in the name, and keep it.
  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_iam_role_policy" "this" {
  name = var.name
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.given_statements, local.own_statements)
  })
}

# The egress rules are part of the group, not resources of their own: emulators do not list a rule for a prefix list, and the provider
# then fails to find it.
resource "aws_security_group" "this" {
  description = "LNN notebook: out to the cache and the endpoints, nothing in"
  name        = var.name
  vpc_id      = var.network.vpc_id

  dynamic "egress" {
    for_each = var.network.endpoints[*]

    content {
      description     = "HTTPS to the interface endpoints"
      from_port       = 443
      protocol        = "tcp"
      security_groups = [egress.value.security_group_id]
      to_port         = 443
    }
  }

  dynamic "egress" {
    for_each = var.network.endpoints[*]

    content {
      description     = "HTTPS to S3 and DynamoDB through the gateway endpoints"
      from_port       = 443
      prefix_list_ids = egress.value.prefix_list_ids
      protocol        = "tcp"
      to_port         = 443
    }
  }

  # An existing network that reaches AWS by ways of its own, to addresses that only its owner knows.
  dynamic "egress" {
    for_each = var.network.endpoints == null ? [1] : []

    content {
      cidr_blocks = ["0.0.0.0/0"]
      description = "HTTPS to AWS by the ways that the network has"
      from_port   = 443
      protocol    = "tcp"
      to_port     = 443
    }
  }

  egress {
    description     = "The parameter server"
    from_port       = var.cache.port
    protocol        = "tcp"
    security_groups = [var.cache.security_group_id]
    to_port         = var.cache.port
  }

  tags = { Name = var.name }
}

resource "aws_vpc_security_group_ingress_rule" "cache" {
  description                  = "The parameter server, from the notebook"
  from_port                    = var.cache.port
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.this.id
  security_group_id            = var.cache.security_group_id
  to_port                      = var.cache.port
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = var.network.endpoints == null ? 0 : 1

  description                  = "HTTPS from the notebook"
  from_port                    = 443
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.this.id
  security_group_id            = var.network.endpoints.security_group_id
  to_port                      = 443
}

resource "aws_s3_object" "bundle" {
  bucket       = var.bucket.name
  content_type = "application/zip"
  key          = local.bundle_key
  source       = var.bundle
  # Guarded so that a destroy works after the build is gone.
  source_hash = fileexists(var.bundle) ? filemd5(var.bundle) : null

  lifecycle {
    precondition {
      condition     = fileexists(var.bundle)
      error_message = "The notebook's code ${var.bundle} does not exist. Build it with `make bundle`."
    }
  }
}

resource "aws_sagemaker_notebook_instance_lifecycle_configuration" "this" {
  name     = var.name
  on_start = local.script

  lifecycle {
    precondition {
      condition     = alltrue([for value in values(local.settings) : !strcontains(value, "'")])
      error_message = "A setting of the notebook has a quote in it, which would end it in the shell script."
    }

    # CreateNotebookInstanceLifecycleConfig, "Content".
    precondition {
      condition     = length(local.script) <= 16384
      error_message = "The notebook's settings are too long: with them the lifecycle script has more than the 16384 characters that SageMaker takes."
    }
  }
}

# No platform_identifier: AWS makes every new instance with Amazon Linux 2023 (notebook-al2023-v1), a name that this version of the
# provider does not accept (https://docs.aws.amazon.com/sagemaker/latest/dg/nbi-al2.html).
resource "aws_sagemaker_notebook_instance" "this" {
  direct_internet_access = "Disabled"
  instance_type          = var.instance_type
  kms_key_id             = var.kms_key_arn
  lifecycle_config_name  = aws_sagemaker_notebook_instance_lifecycle_configuration.this.name
  name                   = var.name
  role_arn               = aws_iam_role.this.arn
  # For users; the lifecycle script runs as root all the same.
  root_access     = "Disabled"
  security_groups = [aws_security_group.this.id]
  subnet_id       = var.network.subnet_id
  volume_size     = var.volume_gb

  instance_metadata_service_configuration {
    minimum_instance_metadata_service_version = "2"
  }

  # The instance fetches its code at its start, and needs these for it.
  depends_on = [
    aws_iam_role_policy.this,
    aws_vpc_security_group_ingress_rule.cache,
    aws_vpc_security_group_ingress_rule.endpoints,
  ]
}
