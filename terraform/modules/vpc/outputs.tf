output "cache_security_group_id" {
  description = "Security group of the cache."
  value       = aws_security_group.cache.id
}

output "functions_security_group_id" {
  description = "Security group of the functions."
  value       = aws_security_group.functions.id
}

output "subnet_ids" {
  description = "Private subnets, one for each zone, in the order of `zones`."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
