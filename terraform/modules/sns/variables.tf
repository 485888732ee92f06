variable "emails" {
  description = "Addresses that get every message; each must confirm by the link that AWS mails to it."
  type        = set(string)
  default     = []
}

variable "name" {
  description = "Name of the topic."
  type        = string
}
