data "aws_partition" "current" {}

resource "aws_kms_key" "this" {
  # The shortest that AWS allows: a destroy deletes what the key protects.
  deletion_window_in_days = 7
  description             = "LNN: messages, logs and function settings of ${var.name}"
  enable_key_rotation     = true

  # In a key's policy every resource is this key.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # IAM policies decide who in the account may do what. Without this statement, nobody could change the key's policy.
        Sid       = "LeaveToIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${var.account_id}:root" }
        Action    = "kms:*"
        # "*": this key.
        Resource = "*"
      },
      {
        # CloudWatch's alarms publish to the encrypted topic.
        Sid       = "LetAlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        # "*": this key.
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid       = "EncryptLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        # "*": this key.
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:*" } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
