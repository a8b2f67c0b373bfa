output "bootstrap" {
  description = "bootstrap.servers of clients in the VPC."
  value       = module.cauce.bootstrap
}

output "bucket" {
  description = "Name of the bucket."
  value       = module.cauce.bucket
}

output "catalog" {
  description = "The setting cauce.table.catalog and the database of tables."
  value       = module.cauce.catalog
}

output "workgroup" {
  description = "Workgroup of Athena."
  value       = aws_athena_workgroup.this.name
}

output "analyst_role_arn" {
  description = "Role of those who query."
  value       = aws_iam_role.analyst.arn
}

output "task_policies" {
  description = "Role to what its tasks may call."
  value       = module.cauce.task_policies
}
