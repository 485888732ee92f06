variable "engine_version" {
  description = "Valkey version, major.minor, of a new cache. Terraform leaves a running cache's engine alone; a check prints the command that upgrades an older one."
  type        = string

  validation {
    condition     = can(regex("^[7-9]\\.[0-9]+$", var.engine_version))
    error_message = "Give engine_version as major.minor, for example \"8.0\"."
  }
}

variable "key_pattern" {
  description = "Keys that the functions' user may touch."
  type        = string
  default     = "lnn:*"
}

variable "node_type" {
  description = "Node type of the cache, for example cache.t4g.micro."
  type        = string
}

variable "port" {
  description = "Port that the cache listens on."
  type        = number
}

variable "prefix" {
  description = "Name prefix of every resource."
  type        = string
}

variable "replicas" {
  description = "Read replicas besides the primary; with one or more, a failed primary is replaced automatically."
  type        = number
}

variable "security_group_id" {
  description = "Security group of the cache: it says who may reach the port."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the cache, one for each zone."
  type        = list(string)
}

variable "transit_encryption" {
  description = "TLS and IAM login. Turn it off only for a local cloud, whose Redis speaks plain text."
  type        = bool
}
