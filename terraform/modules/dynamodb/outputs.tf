output "names" {
  description = "Table names by short name."
  value       = { for key, table in aws_dynamodb_table.this : key => table.name }
}
