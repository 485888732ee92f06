variable "account_id" {
  description = "Account of the network, to compose ARNs."
  type        = string
}

variable "cache_port" {
  description = "Port that the cache listens on."
  type        = number
}

variable "cidr" {
  description = "Address range of the VPC, /16 to /24. Each zone takes one sixteenth of it."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "Give cidr as an IPv4 range from /16 to /24, for example \"10.0.0.0/20\"."
  }
}

variable "existing" {
  description = <<-EOT
    An existing network: its id, its private subnets, and the route tables of those subnets, to which the module adds its endpoints. Set
    `endpoints = false` where the network already reaches S3, DynamoDB, Lambda and SNS, and `endpoint_policies = false` where others in
    the network need the endpoints for other accounts' resources. Null makes a network.
  EOT
  type = object({
    endpoint_policies = optional(bool, true)
    endpoints         = optional(bool, true)
    route_table_ids   = optional(list(string), [])
    subnet_ids        = list(string)
    vpc_id            = string
  })
  default = null
}

variable "flow_log_retention_days" {
  description = "Days for which CloudWatch keeps the flow logs. Questions about traffic often come months later."
  type        = number
  default     = 365
}

variable "flow_logs" {
  description = "Traffic of a new network that is logged: ALL, ACCEPT, REJECT, or null for none."
  type        = string
  default     = "ALL"
}

variable "foreign_buckets" {
  description = "Buckets of other accounts that may be read through the endpoint of S3."
  type        = list(string)
  default     = []
}

variable "interface_services" {
  description = "AWS services that the functions call through an interface endpoint, by short name. Each costs about $7 a month in each zone."
  type        = set(string)
  default     = ["lambda", "sns"]
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs; null leaves them to CloudWatch's own key."
  type        = string
  default     = null
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the flow logs' role, or null."
  type        = string
  default     = null
}

variable "prefix" {
  description = "Name prefix of every resource."
  type        = string
}

variable "region" {
  description = "AWS region, for endpoint service names and zone names."
  type        = string
}

variable "zone_count" {
  description = "Number of availability zones with a private subnet, where `zones` is null. The first apply chooses the zones, and later ones keep them."
  type        = number
  default     = 1
}

variable "zones" {
  description = "Letters of the availability zones with a private subnet, or null to have the first apply choose."
  type        = list(string)
  default     = null
}
