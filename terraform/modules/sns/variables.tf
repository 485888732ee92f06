variable "emails" {
  description = "Addresses that get every message; each must confirm by the link that AWS mails to it."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the messages. AWS's own key for SNS would refuse CloudWatch's alarms."
  type        = string
}

variable "name" {
  description = "Name of the topic."
  type        = string
}
