variable "emails" {
  description = "Addresses that get every message. Each must confirm by the link that AWS mails."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the messages. With AWS's own key for SNS, CloudWatch's alarms could not publish."
  type        = string
}

variable "name" {
  description = "Name of the topic."
  type        = string
}
