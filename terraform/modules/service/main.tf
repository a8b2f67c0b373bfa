# The nodes, on ECS Fargate. What serves clients has a slot: one service of one task, with a zone, a name, an address and
# a node id that stay. What serves none, the compactors, is one service of as many tasks as there is work.
#
# A slot's task is replaced by ending it first (it hands its partitions over within seconds of SIGTERM) and starting the
# next: two tasks of one slot would share a name. So that the cluster goes on meanwhile, zones are deployed one after the
# other, each when the one before it is steady: those that lead, then readers, then compactors.

locals {
  # A setting's environment variable: cauce.flush.bytes is CAUCE_FLUSH_BYTES, num.partitions CAUCE_NUM_PARTITIONS.
  names     = toset(concat(keys(var.settings), keys(var.secrets), flatten([for role in values(var.roles) : concat(keys(role.settings), keys(role.secrets))])))
  variables = { for name in local.names : name => "CAUCE_${upper(replace(trimprefix(name, "cauce."), ".", "_"))}" }

  bucket_url  = "s3://${var.bucket.name}${var.bucket.prefix == "" ? "" : "/${trimsuffix(var.bucket.prefix, "/")}"}?region=${var.region}"
  health_port = 9644
  data        = "/var/lib/cauce"

  # Role, then zone, then slots: readers are upgraded after all who lead (docs/upgrading.md).
  placed = {
    for role in ["ingest", "reader"] : role => {
      for zone in var.zones : zone => { for name, slot in var.slots : name => slot if slot.zone == zone && slot.role == role }
    }
  }

  common = {
    CAUCE_BUCKET     = local.bucket_url
    CAUCE_DATA       = local.data
    CAUCE_HTTP       = "0.0.0.0:${local.health_port}"
    CAUCE_LOG_FORMAT = "json"
  }

  role_environment = {
    for role, size in var.roles : role => merge(
      local.common,
      { CAUCE_ROLES = role },
      role == "compactor" ? (var.catalog == null ? {} : { CAUCE_TABLE_CATALOG = var.catalog.setting }) : {
        CAUCE_LISTENERS                      = var.listeners
        CAUCE_LISTENER_SECURITY_PROTOCOL_MAP = var.protocols
      },
      { for name, value in merge(var.settings, size.settings) : local.variables[name] => value },
    )
  }
  role_secrets = {
    for role, size in var.roles : role => merge(
      { CAUCE_REDIS = var.redis_secret_arn },
      { for name, arn in merge(var.secrets, size.secrets) : local.variables[name] => arn },
    )
  }

  zone_input = {
    cluster_arn           = aws_ecs_cluster.this.arn
    cluster_name          = aws_ecs_cluster.this.name
    name                  = var.name
    region                = var.region
    image                 = var.image
    image_user            = var.image_user
    architecture          = var.architecture
    security_group_id     = var.security_group_id
    port                  = var.port
    health_port           = local.health_port
    data                  = local.data
    execution_role_arn    = aws_iam_role.execution.arn
    volume_role_arn       = one(aws_iam_role.volumes[*].arn)
    task_role_arns        = { for role, made in aws_iam_role.task : role => made.arn }
    log_groups            = { for role, group in var.log_groups : role => group.name }
    autoscaling           = var.autoscaling
    wait_for_steady_state = var.wait_for_steady_state
    watched               = local.watched
    roles                 = var.roles
    environment           = local.role_environment
    secrets               = local.role_secrets
  }

  # Partitions spread evenly, so nodes that always run tell how busy each one is. An alarm takes ten metrics.
  watched = {
    for role in ["ingest", "reader"] : role => slice(
      sort([for name, slot in var.slots : name if slot.role == role && !slot.extra]),
      0, min(9, length([for slot in values(var.slots) : slot if slot.role == role && !slot.extra]))
    )
  }
}

resource "aws_ecs_cluster" "this" {
  # checkov:skip=CKV_AWS_65:Container Insights cost and are a choice, container_insights
  name = var.name

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

module "ingest_first" {
  source = "./zone"

  zone      = var.zones[0]
  subnet_id = var.private_subnet_ids[var.zones[0]]
  slots     = local.placed["ingest"][var.zones[0]]
  shared    = local.zone_input

  depends_on = [aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

module "ingest_second" {
  source = "./zone"
  count  = length(var.zones) > 1 ? 1 : 0

  zone      = var.zones[1]
  subnet_id = var.private_subnet_ids[var.zones[1]]
  slots     = local.placed["ingest"][var.zones[1]]
  shared    = local.zone_input

  depends_on = [module.ingest_first]
}

module "ingest_third" {
  source = "./zone"
  count  = length(var.zones) > 2 ? 1 : 0

  zone      = var.zones[2]
  subnet_id = var.private_subnet_ids[var.zones[2]]
  slots     = local.placed["ingest"][var.zones[2]]
  shared    = local.zone_input

  depends_on = [module.ingest_second]
}

module "reader_first" {
  source = "./zone"

  zone      = var.zones[0]
  subnet_id = var.private_subnet_ids[var.zones[0]]
  slots     = local.placed["reader"][var.zones[0]]
  shared    = local.zone_input

  depends_on = [module.ingest_third]
}

module "reader_second" {
  source = "./zone"
  count  = length(var.zones) > 1 ? 1 : 0

  zone      = var.zones[1]
  subnet_id = var.private_subnet_ids[var.zones[1]]
  slots     = local.placed["reader"][var.zones[1]]
  shared    = local.zone_input

  depends_on = [module.reader_first]
}

module "reader_third" {
  source = "./zone"
  count  = length(var.zones) > 2 ? 1 : 0

  zone      = var.zones[2]
  subnet_id = var.private_subnet_ids[var.zones[2]]
  slots     = local.placed["reader"][var.zones[2]]
  shared    = local.zone_input

  depends_on = [module.reader_second]
}

