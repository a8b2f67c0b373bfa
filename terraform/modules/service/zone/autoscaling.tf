# Extras: slots that run under load only. Partitions spread evenly over the ingest nodes and consumers over the readers,
# so the CPU of those that always run tells how busy each is. While it is above the mark, the first extra starts after
# three minutes, the second after six, and so on: each one that starts lowers it. When it stays below half of the mark,
# they go one by one, the last first.

resource "aws_ecs_service" "extra" {
  for_each = local.extras

  name            = each.key
  cluster         = var.shared.cluster_arn
  task_definition = module.container[each.key].task_definition_arn
  desired_count   = 0

  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  health_check_grace_period_seconds  = 180
  wait_for_steady_state              = var.shared.wait_for_steady_state
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = var.shared.roles[each.value.role].spot ? "FARGATE_SPOT" : "FARGATE"
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [var.subnet_id]
    security_groups  = [var.shared.security_group_id]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = each.value.registry
  }

  dynamic "load_balancer" {
    for_each = each.value.targets

    content {
      target_group_arn = load_balancer.value.arn
      container_name   = "cauce"
      container_port   = load_balancer.value.port
    }
  }

  dynamic "volume_configuration" {
    for_each = var.shared.roles[each.value.role].disk == "ebs" ? [var.shared.roles[each.value.role]] : []

    content {
      name = "data"

      managed_ebs_volume {
        role_arn         = var.shared.volume_role_arn
        encrypted        = true
        volume_type      = "gp3"
        size_in_gb       = volume_configuration.value.disk_gib
        file_system_type = "ext4"
      }
    }
  }

  lifecycle {
    ignore_changes = [desired_count] # that is what scaling changes
  }
}

locals {
  scaled = var.shared.autoscaling ? local.extras : {}
  most   = { for role in ["ingest", "reader"] : role => max(0, [for slot in values(local.extras) : slot.order + 1 if slot.role == role]...) }
}

resource "aws_appautoscaling_target" "extra" {
  for_each = local.scaled

  service_namespace  = "ecs"
  resource_id        = "service/${var.shared.cluster_name}/${aws_ecs_service.extra[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 0
  max_capacity       = 1
}

resource "aws_appautoscaling_policy" "start" {
  for_each = local.scaled

  name               = "${var.shared.name}-${each.key}-start"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.extra[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.extra[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.extra[each.key].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = 60
    metric_aggregation_type = "Average"

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_appautoscaling_policy" "stop" {
  for_each = local.scaled

  name               = "${var.shared.name}-${each.key}-stop"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.extra[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.extra[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.extra[each.key].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = 60
    metric_aggregation_type = "Average"

    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "busy" {
  for_each = local.scaled

  alarm_name          = "${var.shared.name}-${each.key}-start"
  alarm_description   = "Nodes with the role ${each.value.role} are busy: ${each.key} starts"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.shared.roles[each.value.role].scale_out_percent
  evaluation_periods  = 3 * (each.value.order + 1)
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.start[each.key].arn]

  metric_query {
    id          = "busy"
    label       = "CPU of ${each.value.role} nodes that always run"
    expression  = "AVG(METRICS())"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = var.shared.watched[each.value.role]

    content {
      id = "m${metric_query.key}"

      metric {
        namespace   = "AWS/ECS"
        metric_name = "CPUUtilization"
        stat        = "Average"
        period      = 60
        dimensions  = { ClusterName = var.shared.cluster_name, ServiceName = metric_query.value }
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "idle" {
  for_each = local.scaled

  alarm_name          = "${var.shared.name}-${each.key}-stop"
  alarm_description   = "Nodes with the role ${each.value.role} are idle: ${each.key} stops"
  comparison_operator = "LessThanThreshold"
  threshold           = var.shared.roles[each.value.role].scale_out_percent / 2
  evaluation_periods  = 15 * max(1, local.most[each.value.role] - each.value.order)
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.stop[each.key].arn]

  metric_query {
    id          = "busy"
    label       = "CPU of ${each.value.role} nodes that always run"
    expression  = "AVG(METRICS())"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = var.shared.watched[each.value.role]

    content {
      id = "m${metric_query.key}"

      metric {
        namespace   = "AWS/ECS"
        metric_name = "CPUUtilization"
        stat        = "Average"
        period      = 60
        dimensions  = { ClusterName = var.shared.cluster_name, ServiceName = metric_query.value }
      }
    }
  }
}
