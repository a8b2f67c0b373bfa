# One node as a task: a container that gives the data folder to the image's user, and then the node, whose root file
# system is read-only.

locals {
  folders = { data = var.data, tmp = "/tmp" }
  health  = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:${var.health_port}/healthz', timeout=4)"

  log = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = var.log_group
      awslogs-region        = var.region
      awslogs-stream-prefix = var.log_prefix
      mode                  = "non-blocking" # a log that is slow must not hold up acknowledgements
      max-buffer-size       = "8m"
    }
  }

  mounts = [for name, path in local.folders : { sourceVolume = name, containerPath = path, readOnly = false }]

  own = {
    name                   = "own"
    image                  = var.image
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    entryPoint             = concat(["chown", var.image_user], values(local.folders))
    command                = []
    environment            = []
    mountPoints            = local.mounts
    portMappings           = []
    volumesFrom            = []
    systemControls         = []
    logConfiguration       = local.log
  }

  cauce = {
    name                   = "cauce"
    image                  = var.image
    essential              = true
    user                   = var.image_user
    readonlyRootFilesystem = true
    entryPoint             = ["cauce", "node"]
    command                = []
    environment            = [for name in sort(keys(var.environment)) : { name = name, value = var.environment[name] }]
    secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
    mountPoints            = local.mounts
    portMappings           = [for port in concat(var.ports, [var.health_port]) : { containerPort = port, hostPort = port, protocol = "tcp" }]
    volumesFrom            = []
    systemControls         = []
    stopTimeout            = 120 # SIGTERM hands the partitions over; Fargate allows no more
    dependsOn              = [{ containerName = "own", condition = "SUCCESS" }]
    ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration       = local.log
    healthCheck = {
      command     = ["CMD", "python", "-c", local.health]
      interval    = 15
      timeout     = 10
      retries     = 4
      startPeriod = 180
    }
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory_mib
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arn
  container_definitions    = jsonencode([local.own, local.cauce])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  # 20 GiB of Fargate's come with every task; they are asked for only where they hold the WAL and must be more.
  dynamic "ephemeral_storage" {
    for_each = var.size.disk == "ephemeral" ? [var.size.disk_gib] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  volume {
    name                = "data"
    configure_at_launch = var.size.disk == "ebs"
  }

  volume {
    name = "tmp"
  }
}
