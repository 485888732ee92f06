output "name" {
  description = "Name of the instance."
  value       = aws_sagemaker_notebook_instance.this.name
}

output "role_name" {
  description = "Name of the instance's role."
  value       = aws_iam_role.this.name
}
