# The slots of one zone. Each is a service of one task; extras have none until there is load (autoscaling.tf).

locals {
  always = { for name, slot in var.slots : name => slot if !slot.extra }
  extras = { for name, slot in var.slots : name => slot if slot.extra }
}

module "container" {
  source   = "../container"
  for_each = var.slots

  role         = each.value.role
  size         = var.shared.roles[each.value.role]
  image        = var.shared.image
  image_user   = var.shared.image_user
  architecture = var.shared.architecture
  data         = var.shared.data
  health_port  = var.shared.health_port
  ports        = distinct(concat([var.shared.port], [for target in each.value.targets : target.port]))
  region       = var.shared.region
  log_group    = var.shared.log_groups[each.value.role]
  log_prefix   = each.key
  secrets      = var.shared.secrets[each.value.role]
  environment = merge(var.shared.environment[each.value.role], {
    CAUCE_ADVERTISED_LISTENERS = each.value.advertised
    CAUCE_BROKER_RACK          = var.zone
    CAUCE_NODE_ID              = tostring(each.value.node_id)
  })

  family             = "${var.shared.name}-${each.key}"
  execution_role_arn = var.shared.execution_role_arn
  task_role_arn      = var.shared.task_role_arns[each.value.role]
}

resource "aws_ecs_service" "always" {
  for_each = local.always

  name            = each.key
  cluster         = var.shared.cluster_arn
  task_definition = module.container[each.key].task_definition_arn
  desired_count   = 1

  # One task at a time holds the slot's name and node id.
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
}
