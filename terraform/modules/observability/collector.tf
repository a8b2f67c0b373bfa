# One small task reads /metrics of every node, found by their names, and writes what alarms, dashboard and scaling look at
# as metrics of CloudWatch, by cluster and role. It has a role of its own, so nodes need no right for it.

locals {
  collected_metrics = distinct(concat(
    [for alarm in values(local.collected_alarms) : alarm.metric],
    flatten([for graph in local.graphs : graph.metrics]),
  ))

  collector_config = local.collecting ? templatefile("${path.module}/collector.yaml", {
    cluster   = var.name
    region    = var.region
    interval  = var.collector.interval_seconds
    targets   = jsonencode(var.collector.targets)
    log_group = aws_cloudwatch_log_group.metrics[0].name
    metrics   = jsonencode([for metric in local.collected_metrics : "^${metric}$"])
  }) : ""
}

resource "aws_cloudwatch_log_group" "metrics" {
  # checkov:skip=CKV_AWS_158:a key of one's own is a choice, kms_key_arn
  # checkov:skip=CKV_AWS_338:metrics are taken out of it at once
  count = local.collecting ? 1 : 0

  name              = "/cauce/${var.name}/metrics"
  retention_in_days = 1
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_log_group" "collector" {
  # checkov:skip=CKV_AWS_158:a key of one's own is a choice, kms_key_arn
  # checkov:skip=CKV_AWS_338:how long is a choice, log_days
  count = local.collecting ? 1 : 0

  name              = "/cauce/${var.name}/collector"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

locals {
  collector_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role" "collector" {
  count = local.collecting ? 1 : 0

  name               = "${var.name}-collector"
  description        = "What the collector of metrics of the Cauce cluster ${var.name} may call"
  assume_role_policy = local.collector_trust
}

resource "aws_iam_role_policy" "collector" {
  count = local.collecting ? 1 : 0

  name = "write-metrics"
  role = aws_iam_role.collector[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.metrics[0].arn}:*"
    }]
  })
}

resource "aws_iam_role" "collector_start" {
  count = local.collecting ? 1 : 0

  name               = "${var.name}-collector-start"
  description        = "What ECS does to start the collector of the Cauce cluster ${var.name}"
  assume_role_policy = local.collector_trust
}

resource "aws_iam_role_policy" "collector_start" {
  count = local.collecting ? 1 : 0

  name = "start"
  role = aws_iam_role.collector_start[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.collector[0].arn}:*"
    }]
  })
}

resource "aws_ecs_task_definition" "collector" {
  count = local.collecting ? 1 : 0

  family                   = "${var.name}-collector"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.collector_start[0].arn
  task_role_arn            = aws_iam_role.collector[0].arn

  container_definitions = jsonencode([{
    name                   = "collector"
    image                  = var.collector.image
    essential              = true
    readonlyRootFilesystem = true
    command                = []
    environment            = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_config }]
    mountPoints            = []
    portMappings           = []
    volumesFrom            = []
    systemControls         = []
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.collector[0].name
        awslogs-region        = var.region
        awslogs-stream-prefix = "collector"
      }
    }
  }])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.collector.architecture
  }
}

resource "aws_ecs_service" "collector" {
  count = local.collecting ? 1 : 0

  name            = "collector"
  cluster         = var.collector.cluster_arn
  task_definition = aws_ecs_task_definition.collector[0].arn
  desired_count   = 1

  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }

  network_configuration {
    subnets          = var.collector.subnet_ids
    security_groups  = [var.collector.security_group_id]
    assign_public_ip = false
  }
}
