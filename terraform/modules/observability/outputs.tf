output "log_groups" {
  description = "Role to log group."
  value       = { for role, group in aws_cloudwatch_log_group.role : role => { name = group.name, arn = group.arn } }
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "alarms" {
  description = "Names of the alarms."
  value = sort(concat(
    [aws_cloudwatch_metric_alarm.nodes_missing.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.redis : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.collected : alarm.alarm_name],
  ))
}

output "collected_metrics" {
  description = "Metrics of the nodes that come to CloudWatch."
  value       = local.collecting ? local.collected_metrics : []
}
