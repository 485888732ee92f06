output "flow_log_group_name" {
  description = "Log group of the flow logs, or null."
  value       = one(aws_cloudwatch_log_group.flow_logs[*].name)
}

output "functions_security_group_id" {
  description = "Security group of the functions."
  value       = aws_security_group.functions.id
}

output "subnet_ids" {
  description = "Private subnets, one for each zone, in the order of `zones`; or those of the network that was there."
  value       = local.subnet_ids
}

output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}
