variable "account_id" {
  description = "Account of the key, whose IAM policies say who may use it."
  type        = string
}

variable "name" {
  description = "Name of the key's alias, without alias/."
  type        = string
}

variable "region" {
  description = "Region of the key and of the logs that it encrypts."
  type        = string
}
