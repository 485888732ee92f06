resource "aws_sns_topic" "this" {
  kms_master_key_id = var.kms_key_arn
  name              = var.name
}

# A destroy cannot unsubscribe an address that never confirmed; AWS forgets such an address after 48 hours.
resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  endpoint  = each.value
  protocol  = "email"
  topic_arn = aws_sns_topic.this.arn
}
