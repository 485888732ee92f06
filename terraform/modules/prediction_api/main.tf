resource "aws_apigatewayv2_api" "this" {
  description   = "Predictions, and the page for them"
  name          = var.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = var.function.arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 29000
}

# One route: the function has all paths, and its answer says what is wrong with a request for another.
resource "aws_apigatewayv2_route" "all" {
  #checkov:skip=CKV_AWS_309:a signature is asked for unless prediction_access says public, which checkov does not work out
  api_id             = aws_apigatewayv2_api.this.id
  authorization_type = var.access == "iam" ? "AWS_IAM" : "NONE"
  route_key          = "$default"
  target             = "integrations/${aws_apigatewayv2_integration.function.id}"
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_338:log_retention_days says for how long, as for the functions' logs; a year of them would cost more than most want to pay
  kms_key_id        = var.kms_key_arn
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.this.id
  auto_deploy = true
  name        = "$default"

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      error    = "$context.error.message"
      latency  = "$context.responseLatency"
      method   = "$context.httpMethod"
      path     = "$context.path"
      protocol = "$context.protocol"
      request  = "$context.requestId"
      source   = "$context.identity.sourceIp"
      status   = "$context.status"
      time     = "$context.requestTime"
    })
  }

  default_route_settings {
    throttling_burst_limit = var.throttling.burst
    throttling_rate_limit  = var.throttling.rate
  }
}

resource "aws_lambda_permission" "api" {
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*"
  statement_id  = "predictions"
}
