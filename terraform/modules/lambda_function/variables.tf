variable "account_id" {
  description = "Account of the function, to compose ARNs."
  type        = string
}

variable "architecture" {
  description = "Instruction set: arm64 or x86_64."
  type        = string

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Set architecture to \"arm64\" or \"x86_64\": Lambda has no other."
  }
}

variable "description" {
  description = "What the function does, in one line."
  type        = string
}

variable "environment" {
  description = "Environment variables, at most 4 KB together."
  type        = map(string)
  default     = {}
}

variable "handler" {
  description = "Path of the handler in the zip, as package.module.function."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the function's logs and settings; null leaves them to AWS's own keys."
  type        = string
  default     = null
}

variable "layers" {
  description = "ARNs of the layer versions, at most five."
  type        = list(string)
  default     = []
}

variable "log_level" {
  description = <<-EOT
    Least severe level that the function logs: DEBUG, INFO, WARNING or ERROR. The function itself applies it. Lambda's own filter stays
    at INFO or DEBUG: it takes lines of metrics, which have no level, for INFO, and a stricter filter would drop them.
  EOT
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "Set log_level to DEBUG, INFO, WARNING or ERROR."
  }
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs."
  type        = number
}

variable "name" {
  description = "Name of the function; its role, log group and queue are named after it."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the role, or null."
  type        = string
  default     = null
}

variable "recursive_loop" {
  description = "\"Allow\" for a function that is meant to be part of a chain of invocations; with \"Terminate\", Lambda stops such a chain after about 16. Ignored in regions where Lambda has no such control."
  type        = string
  default     = "Terminate"

  validation {
    condition     = contains(["Allow", "Terminate"], var.recursive_loop)
    error_message = "Set recursive_loop to \"Allow\" or \"Terminate\"."
  }
}

variable "region" {
  description = "Region of the function, to compose ARNs."
  type        = string
}

variable "retry" {
  description = "Asynchronous invocations: retries after an error (0 to 2), and seconds for which an event may wait (60 to 21600)."
  type = object({
    attempts    = optional(number, 2)
    max_seconds = optional(number, 21600)
  })
  default = {}

  validation {
    condition     = var.retry.attempts >= 0 && var.retry.attempts <= 2 && var.retry.max_seconds >= 60 && var.retry.max_seconds <= 21600
    error_message = "Set retry.attempts from 0 to 2 and retry.max_seconds from 60 to 21600: Lambda takes no others."
  }
}

variable "runtime" {
  description = "Lambda runtime, for example python3.13."
  type        = string
}

variable "schedule" {
  description = "EventBridge schedule that invokes the function: name of the rule, expression, and constant input (JSON). Null for none."
  type = object({
    expression = string
    input      = string
    name       = string
  })
  default = null
}

variable "size" {
  description = "Memory (MB; 1,769 is one vCPU), timeout (s), /tmp (MB), and reserved concurrency (null leaves the function in the account's pool)."
  type = object({
    memory               = number
    timeout              = number
    reserved_concurrency = optional(number)
    storage              = optional(number, 512)
  })
}

variable "statements" {
  description = "What the function may do, by statement id: actions, resources, and conditions as {operator = {key = [values]}}. Logs, queue, network and tracing are added by the module."
  type = map(object({
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for statement in var.statements : length(statement.actions) > 0 && length(statement.resources) > 0])
    error_message = "Give each statement at least one action and one resource."
  }

  validation {
    condition     = alltrue(flatten([for statement in var.statements : [for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))]]))
    error_message = "Name each action in full, as service:Action: a role has no wildcard actions."
  }

  validation {
    condition     = alltrue([for statement in var.statements : !contains(statement.resources, "*")])
    error_message = "Name the resources of each statement by ARN: a role has no \"*\" but in the module's own statements."
  }
}

variable "tracing" {
  description = "X-Ray tracing of sampled invocations."
  type        = bool
  default     = true
}

variable "vpc" {
  description = "Subnets and security groups of a function that runs in a VPC. A destroy moves its network interfaces to replacement_security_group_ids, or to the VPC's default group where none are given. Null for a function outside a VPC."
  type = object({
    replacement_security_group_ids = optional(list(string))
    security_group_ids             = list(string)
    subnet_ids                     = list(string)
  })
  default = null
}

variable "zip" {
  description = "Path of the function's zip file."
  type        = string
}
