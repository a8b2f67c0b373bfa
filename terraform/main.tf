# A Cauce cluster on AWS. The bucket is the truth; everything else can be made again. What each part does stands at the
# head of its module.

locals {
  made_network = var.network == null

  vpc_id             = local.made_network ? module.network[0].vpc_id : var.network.vpc_id
  private_subnet_ids = { for zone in var.zones : zone => local.made_network ? module.network[0].private_subnet_ids[zone] : var.network.private_subnet_ids[zone] }
  public_subnet_ids = local.made_network ? { for zone in var.zones : zone => module.network[0].public_subnet_ids[zone] } : {
    for zone, subnet in var.network.public_subnet_ids : zone => subnet if contains(var.zones, zone)
  }
  route_table_ids = local.made_network ? module.network[0].private_route_table_ids : var.network.route_table_ids
  prefix          = var.bucket_prefix == "" ? "" : "${var.bucket_prefix}/"

  # Where the numbers of slots begin: node ids (compactors, whose ids are free, take low ones) and ports outside.
  kinds = {
    ingest       = { role = "ingest", extra = false, count = var.ingest.nodes, ids = 1001, ports = 0 }
    ingest-extra = { role = "ingest", extra = true, count = var.ingest.extra, ids = 1101, ports = 50 }
    reader       = { role = "reader", extra = false, count = var.reader.nodes, ids = 2001, ports = 100 }
    reader-extra = { role = "reader", extra = true, count = var.reader.extra, ids = 2101, ports = 150 }
  }

  slots = merge([
    for kind, of in local.kinds : {
      for number in range(of.count) : "${kind}-${number}" => {
        role         = of.role
        extra        = of.extra
        order        = number
        zone         = var.zones[number % length(var.zones)]
        node_id      = of.ids + number
        outside_port = try(var.outside.first_port, 0) + of.ports + number
      }
    }
  ]...)

  listeners = join(",", concat(
    ["${var.listener}://0.0.0.0:${var.port}"],
    var.outside == null ? [] : ["${var.outside_listener}://0.0.0.0:9093"],
  ))
  protocols = join(",", concat(
    ["${var.listener}:${var.listener_protocol}"],
    var.outside == null ? [] : ["${var.outside_listener}:${var.outside_protocol}"],
  ))
  advertised = {
    for name, slot in local.slots : name => join(",", concat(
      ["${var.listener}://${name}.${var.namespace}:${var.port}"],
      var.outside == null ? [] : ["${var.outside_listener}://${var.outside.host}:${slot.outside_port}"],
    ))
  }
}

module "network" {
  source = "./modules/network"
  count  = local.made_network ? 1 : 0

  name                = var.name
  region              = var.region
  zones               = var.zones
  cidr                = var.cidr
  nat                 = var.nat
  interface_endpoints = var.interface_endpoints
  flow_log_days       = var.flow_log_days
}

module "bucket" {
  source = "./modules/bucket"

  bucket_name      = var.bucket_name
  region           = var.region
  encryption       = var.bucket_encryption
  versioning       = var.bucket_versioning
  noncurrent_days  = var.bucket_noncurrent_days
  gateway_endpoint = local.made_network || length(try(var.network.route_table_ids, [])) > 0 ? { vpc_id = local.vpc_id, route_table_ids = local.route_table_ids } : null
}

module "access" {
  source = "./modules/access"

  name                      = var.name
  namespace                 = var.namespace
  vpc_id                    = local.vpc_id
  private_subnet_ids        = local.private_subnet_ids
  public_subnet_ids         = local.public_subnet_ids
  slots                     = { for name, slot in local.slots : name => { leads = slot.role == "ingest", outside_port = slot.outside_port } }
  port                      = var.port
  client_cidrs              = var.client_cidrs
  client_security_group_ids = var.client_security_group_ids
  outside = var.outside == null ? null : {
    host            = var.outside.host
    certificate_arn = var.outside.certificate_arn
    bootstrap_port  = var.outside.bootstrap_port
    client_cidrs    = var.outside.client_cidrs
    internal        = var.outside.internal
  }
  deletion_protection = var.deletion_protection
}

module "redis" {
  source = "./modules/redis"

  name                     = var.name
  kind                     = var.redis.kind
  engine                   = var.redis.engine
  node_type                = var.redis.node_type
  replicas                 = var.redis.replicas
  password                 = var.redis_password
  vpc_id                   = local.vpc_id
  subnet_ids               = values(local.private_subnet_ids)
  client_security_group_id = module.access.node_security_group_id
  kms_key_arn              = var.kms_key_arn
  secret_recovery_days     = var.secret_recovery_days
}

module "catalog" {
  source = "./modules/catalog"
  count  = var.catalog == "glue" ? 1 : 0

  region     = var.region
  account_id = var.account_id
  partition  = split(":", module.bucket.arn)[1]
}

module "service" {
  source = "./modules/service"

  name               = var.name
  region             = var.region
  image              = var.image
  image_user         = var.image_user
  architecture       = var.architecture
  zones              = var.zones
  private_subnet_ids = local.private_subnet_ids
  security_group_id  = module.access.node_security_group_id

  bucket = {
    name        = module.bucket.bucket
    arn         = module.bucket.arn
    prefix      = local.prefix
    kms_key_arn = module.bucket.kms_key_arn
  }
  redis_secret_arn    = module.redis.secret_arn
  secrets_kms_key_arn = var.kms_key_arn

  slots = {
    for name, slot in local.slots : name => {
      role       = slot.role
      extra      = slot.extra
      order      = slot.order
      zone       = slot.zone
      node_id    = slot.node_id
      advertised = local.advertised[name]
      registry   = module.access.registries[name]
      targets    = module.access.targets[name]
    }
  }
  listeners = local.listeners
  protocols = local.protocols
  port      = var.port

  roles = {
    ingest    = var.ingest
    reader    = merge(var.reader, { disk = "ephemeral" })
    compactor = merge(var.compactor, { disk = "ephemeral" })
  }
  compactors = {
    least    = var.compactor.least
    most     = var.compactor.most
    registry = module.access.registries["compactor"]
  }
  backlog_bytes_per_compactor = var.compactor.backlog_bytes
  scale_by_backlog            = var.metrics
  autoscaling                 = var.autoscaling
  wait_for_steady_state       = var.wait_for_steady_state
  container_insights          = var.container_insights

  log_groups           = module.observability.log_groups
  catalog              = var.catalog == "glue" ? module.catalog[0] : null
  settings             = var.settings
  secrets              = var.secrets
  readable_secret_arns = var.readable_secret_arns
}

module "observability" {
  source = "./modules/observability"

  name                = var.name
  region              = var.region
  log_days            = var.log_days
  kms_key_arn         = var.kms_key_arn
  alarm_topic_arns    = var.alarm_topic_arns
  ingest_nodes        = var.ingest.nodes
  balancer_dimensions = module.access.balancer_dimensions
  redis_dimensions    = module.redis.dimensions
  wal_bytes           = tonumber(lookup(merge(var.settings, var.ingest.settings), "cauce.wal.bytes", 4294967296))

  collector = var.metrics ? {
    cluster_arn       = module.service.cluster_arn
    subnet_ids        = values(local.private_subnet_ids)
    security_group_id = module.access.node_security_group_id
    targets           = [for name in concat(keys(local.slots), ["compactor"]) : "${name}.${var.namespace}"]
    architecture      = var.architecture
  } : null
}
