output "database" {
  description = "Name of the Glue database."
  value       = aws_glue_catalog_database.this.name
}

output "arn_base" {
  description = "What ARNs of the catalog begin with."
  value       = "arn:${var.partition}:glue:${var.region}:${var.account_id}"
}

output "setting" {
  description = "The value of cauce.table.catalog."
  value       = "type=glue,glue.region=${var.region}"
}
