# Each alarm says what is wrong in a sentence and where its runbook is. Alarms of the nodes' own metrics need the collector.

locals {
  collected_alarms = {
    not-flushing = {
      says      = "an ingest node holds more than 400 MiB that is not in the bucket; at 512 MiB its producers wait"
      metric    = "cauce_unflushed_bytes", role = "ingest", stat = "Maximum"
      above     = 419430400, minutes = 3
      unhealthy = "missing"
    }
    wal-filling = {
      says      = "the WAL of an ingest node has three quarters of the disk that it may take; then its producers wait"
      metric    = "cauce_wal_bytes", role = "ingest", stat = "Maximum"
      above     = floor(var.wal_bytes * 0.75), minutes = 3
      unhealthy = "missing"
    }
    store-errors = {
      says      = "requests of ingest nodes to the bucket fail"
      metric    = "cauce_store_errors_total", role = "ingest", stat = "Sum"
      above     = 20, minutes = 5
      unhealthy = "notBreaching"
    }
    compaction-behind = {
      says      = "compaction has fallen behind"
      metric    = "cauce_compaction_backlog_bytes", role = "compactor", stat = "Sum"
      above     = var.backlog_bytes, minutes = 60
      unhealthy = "missing"
    }
    compaction-failing = {
      says      = "turns of compaction end in errors"
      metric    = "cauce_compaction_failures_total", role = "compactor", stat = "Sum"
      above     = 0, minutes = 15
      unhealthy = "notBreaching"
    }
    compactor-restarting = {
      says      = "a compactor's process dies again and again"
      metric    = "cauce_compaction_starts_total", role = "compactor", stat = "Sum"
      above     = 0, minutes = 10
      unhealthy = "notBreaching"
    }
    tables-failing = {
      says      = "Iceberg tables do not follow their topics"
      metric    = "cauce_compaction_table_failures_total", role = "compactor", stat = "Sum"
      above     = 0, minutes = 30
      unhealthy = "notBreaching"
    }
    unreadable-batches = {
      says      = "a compactor met record batches that it cannot decode"
      metric    = "cauce_compaction_unreadable_batches_total", role = "compactor", stat = "Sum"
      above     = 0, minutes = 1
      unhealthy = "notBreaching"
    }
    connections-refused = {
      says      = "ingest nodes refuse connections beyond their limit"
      metric    = "cauce_connections_refused_total", role = "ingest", stat = "Sum"
      above     = 0, minutes = 5
      unhealthy = "notBreaching"
    }
  }

  redis_alarms = {
    for pair in setproduct(range(length(var.redis_dimensions)), ["EngineCPUUtilization", "DatabaseMemoryUsagePercentage"]) :
    "${pair[1] == "EngineCPUUtilization" ? "redis-busy" : "redis-full"}-${pair[0]}" => { node = var.redis_dimensions[pair[0]], metric = pair[1] }
  }
}

resource "aws_cloudwatch_metric_alarm" "nodes_missing" {
  alarm_name          = "${var.name}-nodes-missing"
  alarm_description   = "Fewer ingest nodes than ${var.ingest_nodes} can acknowledge. ${var.runbooks}#nodes-missing"
  namespace           = "AWS/NetworkELB"
  metric_name         = "HealthyHostCount"
  dimensions          = var.balancer_dimensions
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.ingest_nodes
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "redis" {
  for_each = local.redis_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.metric == "EngineCPUUtilization" ? "Redis is busy: publishes and renewals of sessions are late. ${var.runbooks}#redis-busy" : "Redis is full: it refuses to publish. ${var.runbooks}#redis-full"
  namespace           = each.value.node.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.node.dimensions
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "missing"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "collected" {
  for_each = local.collecting ? local.collected_alarms : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${title(substr(each.value.says, 0, 1))}${substr(each.value.says, 1, -1)}. ${var.runbooks}#${each.key}"
  namespace           = "Cauce"
  metric_name         = each.value.metric
  dimensions          = { cluster = var.name, role = each.value.role }
  statistic           = each.value.stat
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = each.value.unhealthy
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
