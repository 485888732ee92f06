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

variable "interface_services" {
  description = "AWS services that the functions call through an interface endpoint, by short name. Each costs about $7 a month in each zone."
  type        = set(string)
  default     = ["lambda", "sns"]
}

variable "prefix" {
  description = "Name prefix of every resource."
  type        = string
}

variable "region" {
  description = "AWS region, for endpoint service names and zone names."
  type        = string
}

variable "zones" {
  description = "Letters of the availability zones that get a private subnet."
  type        = list(string)
}
