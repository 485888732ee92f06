variable "access" {
  description = "Who may call: \"iam\" is whoever the account's policies allow execute-api:Invoke, with signed requests; \"public\" is everybody."
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
  description = "Requests a second that are answered in the long run (rate), and at once (burst); more get 429."
  type = object({
    burst = number
    rate  = number
  })
}
