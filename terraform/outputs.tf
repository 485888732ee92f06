output "bucket" {
  description = "Bucket of data sets, models and results. Upload a data set to training_input/ to train on it."
  value       = module.s3_trigger.bucket_name
}

output "cache_host" {
  description = "Address of the parameter server, reachable from the VPC only."
  value       = module.elasticache.host
}

output "dashboard_url" {
  description = "Address of the dashboard of trainings in CloudWatch."
  value       = module.observability.dashboard_url
}

output "dead_letter_queues" {
  description = "Names of the queues of events that failed every retry, by function."
  value       = { for role, function in module.functions : role => function.queue_name }
}

output "functions" {
  description = "Names of the functions, by role."
  value       = { for role, function in module.functions : role => function.name }
}

output "log_groups" {
  description = "CloudWatch log groups, by function."
  value       = { for role, function in module.functions : role => function.log_group_name }
}

output "notebook_name" {
  description = "Name of the SageMaker notebook instance, or null."
  value       = one(module.notebook[*].name)
}

output "prediction_api_id" {
  description = "Id of the prediction API."
  value       = module.prediction_api.api_id
}

output "prediction_url" {
  description = "Address of the prediction API and its page. With prediction_access = \"iam\", requests must be signed; lnn page signs them."
  value       = module.prediction_api.url
}

output "prefix" {
  description = "Prefix of every name."
  value       = var.prefix
}

output "region" {
  description = "Region of everything."
  value       = var.region
}

output "tables" {
  description = "Names of the DynamoDB tables."
  value       = module.dynamodb.names
}

output "topic_arn" {
  description = "ARN of the SNS topic of messages about runs."
  value       = module.sns.arn
}
