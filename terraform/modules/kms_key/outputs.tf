output "alias" {
  description = "Alias of the key, which policies can name before there is a key."
  value       = "alias/${var.name}"
}

output "arn" {
  description = "ARN of the key."
  value       = aws_kms_key.this.arn
}
