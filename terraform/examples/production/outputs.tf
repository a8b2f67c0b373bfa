output "bootstrap" {
  description = "bootstrap.servers of clients in the VPC."
  value       = module.cauce.bootstrap
}

output "outside_bootstrap" {
  description = "bootstrap.servers of clients outside."
  value       = module.cauce.outside_bootstrap
}

output "outside_dns" {
  description = "Where the host's CNAME has to lead."
  value       = module.cauce.outside_dns
}

output "nodes" {
  description = "Node to its zone, node id, and what it advertises."
  value       = module.cauce.nodes
}

output "task_policies" {
  description = "Role to what its tasks may call."
  value       = module.cauce.task_policies
}
