resource "aws_sns_topic" "this" {
  kms_master_key_id = var.kms_key_arn
  name              = var.name
}

# An address that never confirmed cannot be unsubscribed; AWS forgets it after 48 hours.
resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  endpoint  = each.value
  protocol  = "email"
  topic_arn = aws_sns_topic.this.arn
}
