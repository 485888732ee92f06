resource "aws_budgets_budget" "this" {
  budget_type  = "COST"
  limit_amount = tostring(var.usd)
  limit_unit   = "USD"
  name         = var.name
  time_unit    = "MONTHLY"

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "ACTUAL"
    subscriber_email_addresses = var.emails
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
  }

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "FORECASTED"
    subscriber_email_addresses = var.emails
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
  }

  lifecycle {
    precondition {
      condition     = length(var.emails) > 0
      error_message = "A budget needs somebody to mail: give at least one address in emails, or leave monthly_budget_usd null."
    }
  }
}
