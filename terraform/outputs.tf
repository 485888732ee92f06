output "bucket" {
  description = "Bucket of data sets, models and results. Upload a data set to training_input/ to train on it."
  value       = module.s3_trigger.bucket_name
}

output "cache_host" {
  description = "Address of the parameter server, reachable from the VPC only."
  value       = module.elasticache.host
}

output "dashboard_url" {
  description = "The trainings in CloudWatch: graphs, alarms, tables."
  value       = module.observability.dashboard_url
}

output "dead_letter_queues" {
  description = "Queues of the events that failed every retry, by function."
  value       = { for role, function in module.functions : role => function.queue_name }
}

output "functions" {
  description = "Names of the functions."
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
  description = "Address of the prediction API and its page. With prediction_access = \"iam\" requests must be signed: lnn page does."
  value       = module.prediction_api.url
}

output "prefix" {
  description = "Start of every name."
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
  description = "SNS topic of the messages about runs."
  value       = module.sns.arn
}
