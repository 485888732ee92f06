variable "account_id" {
  description = "Account of the instance, to compose ARNs."
  type        = string
}

variable "bucket" {
  description = "Bucket from which the instance fetches its code. Compose its ARN, so that the policy is known in the plan."
  type = object({
    arn  = string
    name = string
  })
}

variable "bundle" {
  description = "Path of the archive of code, notebooks and wheels, as `make bundle` builds it."
  type        = string
}

variable "cache" {
  description = "The parameter server's port, and its security group, to which the module adds a rule for the notebook."
  type = object({
    port              = number
    security_group_id = string
  })
}

variable "environment" {
  description = "Environment variables of the notebook's kernel and terminals: those of the functions."
  type        = map(string)
  default     = {}
}

variable "idle_minutes" {
  description = "Minutes without work in a kernel or terminal after which the instance stops itself."
  type        = number
  default     = 60

  validation {
    condition     = var.idle_minutes >= 10 && var.idle_minutes <= 1440
    error_message = "Give idle_minutes from 10 to 1440: a day."
  }
}

variable "instance_type" {
  description = "SageMaker's name of the machine, for example ml.t3.medium; x86_64, as the bundle's wheels."
  type        = string
  default     = "ml.t3.medium"

  validation {
    condition     = can(regex("^ml\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "Give instance_type as SageMaker names it, for example \"ml.t3.medium\"."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the instance's volume."
  type        = string
}

variable "name" {
  description = "Name of the instance; its role, security group and lifecycle configuration have it too."
  type        = string
}

variable "network" {
  description = "Network of the instance: VPC, private subnet, and the endpoints that it may reach; endpoints are null for a network that reaches AWS by ways of its own."
  type = object({
    endpoints = optional(object({
      prefix_list_ids   = list(string)
      security_group_id = string
    }))
    subnet_id = string
    vpc_id    = string
  })
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the role, or null."
  type        = string
  default     = null
}

variable "python" {
  description = "Python of the kernel, as Amazon Linux names its package, for which the bundle has wheels; for example python3.13."
  type        = string
}

variable "region" {
  description = "Region of the instance, to compose ARNs."
  type        = string
}

variable "statements" {
  description = "What the notebook may do with the deployment, by statement id: actions and resources. Stopping itself, its code and its log are added by the module."
  type = map(object({
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = alltrue(flatten([for statement in var.statements : [for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))]]))
    error_message = "Name each action in full, as service:Action: a role has no wildcard actions."
  }

  validation {
    condition     = alltrue([for statement in var.statements : !contains(statement.resources, "*")])
    error_message = "Name the resources of each statement by ARN: a role has no \"*\"."
  }
}

variable "volume_gb" {
  description = "GB of the volume that keeps ~/SageMaker while the instance is stopped."
  type        = number
  default     = 20

  validation {
    condition     = var.volume_gb >= 5 && var.volume_gb <= 16384 && floor(var.volume_gb) == var.volume_gb
    error_message = "Give volume_gb as a whole number from 5 to 16384: SageMaker takes no other."
  }
}
