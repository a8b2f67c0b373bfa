# Logs of the nodes, and the dashboard. Alarms stand in alarms.tf, what brings the nodes' metrics to CloudWatch in
# collector.tf. For Prometheus and Grafana see docs/monitoring.

locals {
  collecting = var.collector != null
}

resource "aws_cloudwatch_log_group" "role" {
  # checkov:skip=CKV_AWS_158:a key of one's own is a choice, kms_key_arn
  # checkov:skip=CKV_AWS_338:how long is a choice, log_days
  for_each = toset(["ingest", "reader", "compactor"])

  name              = "/cauce/${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

locals {
  # One line a graph: title, statistic, role, metrics.
  graphs = [
    { title = "Bytes in", stat = "Sum", role = "ingest", metrics = ["cauce_topic_bytes_in_total"] },
    { title = "Bytes out", stat = "Sum", role = "ingest", metrics = ["cauce_topic_bytes_out_total"] },
    { title = "Not yet in the bucket, most of a node", stat = "Maximum", role = "ingest", metrics = ["cauce_unflushed_bytes", "cauce_wal_bytes"] },
    { title = "Partitions led", stat = "Sum", role = "ingest", metrics = ["cauce_leases"] },
    { title = "Failed requests to the bucket", stat = "Sum", role = "ingest", metrics = ["cauce_store_errors_total"] },
    { title = "Waiting for compaction", stat = "Sum", role = "compactor", metrics = ["cauce_compaction_backlog_bytes"] },
    { title = "Compaction", stat = "Sum", role = "compactor", metrics = ["cauce_compaction_bytes_in_total", "cauce_compaction_bytes_out_total"] },
    { title = "Compaction that failed", stat = "Sum", role = "compactor", metrics = ["cauce_compaction_failures_total", "cauce_compaction_table_failures_total"] },
    { title = "Bytes out of readers", stat = "Sum", role = "reader", metrics = ["cauce_topic_bytes_out_total", "cauce_followed_bytes_total"] },
    { title = "Connections", stat = "Sum", role = "ingest", metrics = ["cauce_connections"] },
  ]
  collected_graphs = [for graph in local.graphs : {
    title   = graph.title
    stat    = graph.stat
    metrics = [for metric in graph.metrics : ["Cauce", metric, "cluster", var.name, "role", graph.role]]
  }]

  aws_graphs = [
    {
      title   = "Ingest nodes that can acknowledge"
      stat    = "Minimum"
      metrics = [concat(["AWS/NetworkELB", "HealthyHostCount"], flatten([for name, value in var.balancer_dimensions : [name, value]]))]
    },
    {
      title   = "CPU of Redis, percent"
      stat    = "Maximum"
      metrics = [for node in var.redis_dimensions : concat([node.namespace, "EngineCPUUtilization"], flatten([for name, value in node.dimensions : [name, value]]))]
    },
    {
      title   = "Memory of Redis, percent"
      stat    = "Maximum"
      metrics = [for node in var.redis_dimensions : concat([node.namespace, "DatabaseMemoryUsagePercentage"], flatten([for name, value in node.dimensions : [name, value]]))]
    },
  ]

  shown = concat(local.aws_graphs, local.collecting ? local.collected_graphs : [])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, graph in local.shown : {
      type   = "metric"
      x      = 8 * (index % 3)
      y      = 6 * floor(index / 3)
      width  = 8
      height = 6
      properties = {
        title   = graph.title
        region  = var.region
        stat    = graph.stat
        period  = 60
        view    = "timeSeries"
        metrics = graph.metrics
      }
    }]
  })
}
