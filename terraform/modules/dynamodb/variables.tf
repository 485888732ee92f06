variable "point_in_time_recovery" {
  description = "Keep 35 days of backups to the second."
  type        = bool
  default     = true
}

variable "prefix" {
  description = "Name prefix of every table."
  type        = string
}

variable "tables" {
  description = <<-EOT
    Tables by short name: hash key, optional range key, optional TTL attribute, global secondary indexes as {name = hash key}, and the
    type (S, N or B) of each key attribute.
  EOT
  type = map(object({
    attributes = map(string)
    hash_key   = string
    indexes    = optional(map(string), {})
    range_key  = optional(string)
    ttl        = optional(string)
  }))

  validation {
    condition     = alltrue([for table in var.tables : toset(keys(table.attributes)) == toset(compact(concat([table.hash_key, table.range_key], values(table.indexes))))])
    error_message = "List each key attribute of a table in its attributes, and no other: DynamoDB refuses the rest."
  }
}
