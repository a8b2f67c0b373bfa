# Compactors share the partitions out among themselves and serve nobody: one service in all zones. A new one starts before
# an old one ends; what an old one is at when it ends is garbage, and the next does it again.

module "compactor" {
  source = "./container"

  role         = "compactor"
  size         = var.roles["compactor"]
  image        = var.image
  image_user   = var.image_user
  architecture = var.architecture
  data         = local.data
  health_port  = local.health_port
  region       = var.region
  log_group    = var.log_groups["compactor"].name
  log_prefix   = "compactor"
  environment  = local.role_environment["compactor"]
  secrets      = local.role_secrets["compactor"]

  family             = "${var.name}-compactor"
  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task["compactor"].arn
}

resource "aws_ecs_service" "compactor" {
  name            = "compactor"
  cluster         = aws_ecs_cluster.this.arn
  task_definition = module.compactor.task_definition_arn
  desired_count   = var.compactors.least

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  wait_for_steady_state              = var.wait_for_steady_state
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = var.roles["compactor"].spot ? "FARGATE_SPOT" : "FARGATE"
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [for zone in var.zones : var.private_subnet_ids[zone]]
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = var.compactors.registry
  }

  dynamic "volume_configuration" {
    for_each = var.roles["compactor"].disk == "ebs" ? [var.roles["compactor"]] : []

    content {
      name = "data"

      managed_ebs_volume {
        role_arn         = aws_iam_role.volumes[0].arn
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

  # Compactors wait while a node of an earlier release lives (docs/upgrading.md), so they come last.
  depends_on = [module.reader_third]
}

resource "aws_appautoscaling_target" "compactor" {
  count = var.autoscaling ? 1 : 0

  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.compactor.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.compactors.least
  max_capacity       = var.compactors.most
}

resource "aws_appautoscaling_policy" "compactor" {
  count = var.autoscaling ? 1 : 0

  name               = "${var.name}-compactor"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.compactor[0].service_namespace
  resource_id        = aws_appautoscaling_target.compactor[0].resource_id
  scalable_dimension = aws_appautoscaling_target.compactor[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.scale_by_backlog ? var.backlog_bytes_per_compactor : var.roles["compactor"].scale_out_percent
    scale_out_cooldown = 180
    scale_in_cooldown  = 900

    # The mean over the compactors of what each has waiting: it halves when there are twice as many.
    dynamic "customized_metric_specification" {
      for_each = var.scale_by_backlog ? ["cauce_compaction_backlog_bytes"] : []

      content {
        namespace   = "Cauce"
        metric_name = customized_metric_specification.value
        statistic   = "Average"

        dimensions {
          name  = "cluster"
          value = var.name
        }

        dimensions {
          name  = "role"
          value = "compactor"
        }
      }
    }

    dynamic "predefined_metric_specification" {
      for_each = var.scale_by_backlog ? [] : ["ECSServiceAverageCPUUtilization"]

      content {
        predefined_metric_type = predefined_metric_specification.value
      }
    }
  }
}
