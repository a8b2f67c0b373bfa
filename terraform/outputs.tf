output "bootstrap" {
  description = "bootstrap.servers of clients inside the VPC."
  value       = module.access.bootstrap
}

output "outside_bootstrap" {
  description = "bootstrap.servers of clients outside, null without access from outside."
  value       = module.access.outside_bootstrap
}

output "outside_dns" {
  description = "Name of the load balancer that outside.host has to lead to, null without."
  value       = module.access.outside_dns
}

output "bucket" {
  description = "Name of the bucket."
  value       = module.bucket.bucket
}

output "bucket_url" {
  description = "The setting cauce.bucket, for command-line tools and replays."
  value       = module.service.bucket_url
}

output "catalog" {
  description = "The setting cauce.table.catalog and the database of tables, null without a catalog."
  value       = var.catalog == "glue" ? { setting = module.catalog[0].setting, database = module.catalog[0].database } : null
}

output "certificate_name" {
  description = "The wildcard name that one certificate for all nodes carries."
  value       = module.access.certificate_name
}

output "nodes" {
  description = "Node to its zone, node id, and what it advertises."
  value       = { for name, slot in local.slots : name => { zone = slot.zone, node_id = slot.node_id, advertised = local.advertised[name] } }
}

output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "node_security_group_id" {
  description = "Security group of the nodes."
  value       = module.access.node_security_group_id
}

output "redis_secret_arn" {
  description = "Secret with the URL of Redis, for command-line tools."
  value       = module.redis.secret_arn
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = module.service.cluster_name
}

output "task_role_arns" {
  description = "Role to the IAM role of its tasks."
  value       = module.service.task_role_arns
}

output "task_policies" {
  description = "Role to what its tasks may call."
  value       = module.service.task_policies
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = module.observability.dashboard
}

output "alarms" {
  description = "Names of the alarms."
  value       = module.observability.alarms
}
