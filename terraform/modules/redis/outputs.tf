output "secret_arn" {
  description = "Secret that holds the URL of Redis, for the setting cauce.redis."
  value       = aws_secretsmanager_secret.url.arn

  depends_on = [aws_secretsmanager_secret_version.url]
}

output "address" {
  description = "Host name of the primary, or of the MemoryDB cluster."
  value       = local.elasticache ? aws_elasticache_replication_group.this[0].primary_endpoint_address : aws_memorydb_cluster.this[0].cluster_endpoint[0].address
}

output "dimensions" {
  description = "Namespace and dimensions of its CloudWatch metrics, one entry a node."
  value = local.elasticache ? [
    for number in range(1 + var.replicas) : { namespace = "AWS/ElastiCache", dimensions = { CacheClusterId = "${var.name}-${format("%03d", number + 1)}" } }
  ] : [{ namespace = "AWS/MemoryDB", dimensions = { ClusterName = var.name } }]
}
