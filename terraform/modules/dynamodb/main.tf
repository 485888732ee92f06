resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119:encrypted with DynamoDB's own key; a customer key adds a KMS call to every step of a run and keeps nobody out whom IAM lets in
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

  # Keys only: DynamoDB writes, and charges for, an index with more attributes at every change of an item.
  dynamic "global_secondary_index" {
    for_each = each.value.indexes

    content {
      hash_key        = global_secondary_index.value
      name            = global_secondary_index.key
      projection_type = "KEYS_ONLY"
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
