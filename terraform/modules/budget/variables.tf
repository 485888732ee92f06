variable "emails" {
  description = "Addresses that AWS mails; ten at most."
  type        = list(string)
}

variable "name" {
  description = "Name of the budget."
  type        = string
}

variable "usd" {
  description = "US dollars that the whole account may cost in a month."
  type        = number
}
