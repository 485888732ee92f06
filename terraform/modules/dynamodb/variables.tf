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
  description = "Tables by short name: hash key, optional range key, optional TTL attribute, and the type (S, N or B) of each key attribute."
  type = map(object({
    attributes = map(string)
    hash_key   = string
    range_key  = optional(string)
    ttl        = optional(string)
  }))

  validation {
    condition     = alltrue([for table in var.tables : toset(keys(table.attributes)) == toset(compact([table.hash_key, table.range_key]))])
    error_message = "List each key attribute of a table in its attributes, and no other: DynamoDB refuses the rest."
  }
}
