output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = aws_ecs_cluster.this.arn
}

output "bucket_url" {
  description = "The setting cauce.bucket of the nodes."
  value       = local.bucket_url
}

output "task_role_arns" {
  description = "Role to the IAM role of its tasks."
  value       = { for role, made in aws_iam_role.task : role => made.arn }
}

output "task_policies" {
  description = "Role to what its tasks may call."
  value       = { for role, policy in aws_iam_role_policy.task : role => policy.policy }
}
