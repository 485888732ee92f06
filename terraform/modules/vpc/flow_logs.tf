# Accepted and refused connections, one line for each in ten minutes. The traffic of an existing network is for its owner to log.
resource "aws_flow_log" "this" {
  count = local.is_new && var.flow_logs != null ? 1 : 0

  iam_role_arn    = aws_iam_role.flow_logs[0].arn
  log_destination = aws_cloudwatch_log_group.flow_logs[0].arn
  traffic_type    = var.flow_logs
  vpc_id          = aws_vpc.this[0].id

  tags = { Name = var.prefix }

  depends_on = [aws_iam_role_policy.flow_logs]
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  count = local.is_new && var.flow_logs != null ? 1 : 0

  kms_key_id        = var.kms_key_arn
  name              = local.log_group_name
  retention_in_days = var.flow_log_retention_days
}

resource "aws_iam_role" "flow_logs" {
  count = local.is_new && var.flow_logs != null ? 1 : 0

  # Roles are the account's, whatever the region.
  name                 = "${var.prefix}-flow-logs-${var.region}"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })

  # Older deployments have a role without a region in the name, and keep it.
  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_iam_role_policy" "flow_logs" {
  count = local.is_new && var.flow_logs != null ? 1 : 0

  name = "${var.prefix}-flow-logs"
  role = aws_iam_role.flow_logs[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "WriteFlows"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = ["${local.log_group_arn}:*"]
      },
      {
        Sid      = "FindLogGroup"
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = ["arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:*"]
      },
    ]
  })
}
