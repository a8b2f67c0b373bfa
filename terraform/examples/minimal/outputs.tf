output "bootstrap" {
  description = "bootstrap.servers of clients in the VPC."
  value       = module.cauce.bootstrap
}

output "bucket_url" {
  description = "The setting cauce.bucket."
  value       = module.cauce.bucket_url
}

output "task_policies" {
  description = "Role to what its tasks may call."
  value       = module.cauce.task_policies
}
