output "cache_security_group_id" {
  description = "Security group of the cache."
  value       = aws_security_group.cache.id
}

output "default_security_group_id" {
  description = "The closed default security group of a new network; null for an existing network."
  value       = one(aws_default_security_group.this[*].id)
}

output "endpoints" {
  description = "What a client besides the functions needs to reach the endpoints: the security group of the interface endpoints and the prefix lists of the gateway endpoints. Null where the module makes no endpoints."
  value = local.endpoints ? {
    prefix_list_ids   = [for endpoint in aws_vpc_endpoint.gateway : endpoint.prefix_list_id]
    security_group_id = aws_security_group.endpoints[0].id
  } : null
}

output "flow_log_group_name" {
  description = "Log group of the flow logs, or null."
  value       = one(aws_cloudwatch_log_group.flow_logs[*].name)
}

output "functions_security_group_id" {
  description = "Security group of the functions."
  value       = aws_security_group.functions.id
}

output "subnet_ids" {
  description = "Private subnets, one for each zone, in the order of `zones`; or the subnets of the existing network."
  value       = local.subnet_ids
}

output "vpc_id" {
  description = "Id of the VPC."
  value       = local.vpc_id
}
