data "aws_partition" "current" {}

locals {
  # Composed, not read from the bucket: the policy is then known in the plan.
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket_name}"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:access logs would be a second bucket to pay for and to empty; CloudTrail's data events tell the same where an account wants them
  #checkov:skip=CKV_AWS_144:data sets and models are versioned here and made elsewhere; another region would double what they cost
  #checkov:skip=CKV_AWS_145:encrypted with S3's own key; a customer key would ask KMS rights of everybody who uploads a data set
  bucket = var.bucket_name
  # A destroy deletes data sets and models too, so that nothing is left to pay for.
  force_destroy = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  block_public_acls       = true
  block_public_policy     = true
  bucket                  = aws_s3_bucket.this.id
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  count = var.require_tls ? 1 : 0

  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "RefusePlainHttp"
      Effect = "Deny"
      # "*": a denial, for everybody.
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses two changes of a bucket's access at once.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "runs"
    status = "Enabled"

    filter {
      prefix = "runs/"
    }

    expiration {
      days = var.runs_expiry_days
    }

    # A run replaces its checkpoint all the time, and has no use for an older one.
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # A part of a batch has served once its answer is there, and the client reads that while it waits. The days leave time to go on with
  # a batch that was interrupted.
  dynamic "rule" {
    for_each = { batches = { prefix = "prediction_input/batches/", days = 2 }, predictions = { prefix = "prediction_output/", days = 7 } }

    content {
      id     = rule.key
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }

      expiration {
        days = rule.value.days
      }

      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    expiration {
      expired_object_delete_marker = true
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_version_days
    }
  }

  # Rules for noncurrent versions need versioning first.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_lambda_permission" "bucket" {
  for_each = var.triggers

  action         = "lambda:InvokeFunction"
  function_name  = each.value.name
  principal      = "s3.amazonaws.com"
  source_account = var.account_id
  source_arn     = aws_s3_bucket.this.arn
  statement_id   = each.key
}

moved {
  from = aws_lambda_permission.bucket
  to   = aws_lambda_permission.bucket["uploads"]
}

resource "aws_s3_bucket_notification" "this" {
  bucket = aws_s3_bucket.this.id

  dynamic "lambda_function" {
    for_each = var.triggers

    content {
      events              = ["s3:ObjectCreated:*"]
      filter_prefix       = lambda_function.value.prefix
      filter_suffix       = lambda_function.value.suffix
      id                  = lambda_function.key
      lambda_function_arn = lambda_function.value.arn
    }
  }

  # The permission first: S3 calls the function when the notification is made, and refuses a function that it may not call.
  depends_on = [aws_lambda_permission.bucket]
}

resource "aws_s3_object" "parameters" {
  bucket       = aws_s3_bucket.this.id
  content_type = "application/json"
  key          = "training_input/parameters.json"
  source       = var.parameters_file
  # Guarded so that a destroy works without the file.
  source_hash = fileexists(var.parameters_file) ? filemd5(var.parameters_file) : null

  # Versioning first: without versions, an upload could not be told from an earlier one of the same key.
  depends_on = [aws_s3_bucket_server_side_encryption_configuration.this, aws_s3_bucket_versioning.this]

  lifecycle {
    precondition {
      condition     = fileexists(var.parameters_file)
      error_message = "The settings file ${var.parameters_file} does not exist. Point parameters_file at a parameters.json."
    }
  }
}
