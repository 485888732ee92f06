variable "access" {
  description = "Who may call: with \"iam\", callers whose IAM policies allow execute-api:Invoke, by signed requests; with \"public\", everybody."
  type        = string

  validation {
    condition     = contains(["iam", "public"], var.access)
    error_message = "Set access to \"iam\" or \"public\"."
  }
}

variable "function" {
  description = "Function that answers: its ARN and its name."
  type = object({
    arn  = string
    name = string
  })
}

variable "kms_key_arn" {
  description = "Key that encrypts the access log; CloudWatch Logs must be allowed to use it."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the log of requests."
  type        = number
}

variable "name" {
  description = "Name of the API."
  type        = string
}

variable "throttling" {
  description = "Requests that the API answers in a second on average (rate), and at once (burst); it answers more with 429."
  type = object({
    burst = number
    rate  = number
  })
}
