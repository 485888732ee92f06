output "host" {
  description = "Address of the primary node."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "name" {
  description = "Replication group id, which IAM login signs."
  value       = local.name
}

output "user_name" {
  description = "User that the functions log in as with an IAM token, or an empty string when there is no login."
  value       = var.transit_encryption ? local.user_name : ""
}
