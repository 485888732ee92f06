resource "aws_dynamodb_table" "this" {
  for_each = var.tables

  billing_mode = "PAY_PER_REQUEST"
  hash_key     = each.value.hash_key
  name         = "${var.prefix}-${each.key}"
  range_key    = each.value.range_key

  dynamic "attribute" {
    for_each = each.value.attributes

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  dynamic "ttl" {
    for_each = each.value.ttl[*]

    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }
}
