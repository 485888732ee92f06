output "api_id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.this.id
}

output "execution_arn" {
  description = "Start of the ARNs that a policy for callers names: \"<this>/*\" with execute-api:Invoke."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "url" {
  description = "Address of the page and the API, ending in a slash."
  value       = "${aws_apigatewayv2_api.this.api_endpoint}/"
}
