# Redis is a view of the bucket that nodes build again when it is lost. So nothing here guards against destruction, and
# no snapshot is taken: it could only bring back a view that has gone by. What counts is that it fails over by itself.

locals {
  elasticache = var.kind == "elasticache"
  port        = 6379
  user        = "cauce"
  password    = terraform_data.password.output

  # `noeviction`: a full Redis must refuse, not forget.
  policy = { name = "maxmemory-policy", value = "noeviction" }
}

data "aws_secretsmanager_random_password" "this" {
  count = var.password == null ? 1 : 0

  password_length     = 64
  exclude_punctuation = true
}

# Keeps the first answer: the source gives another password each time it is read.
resource "terraform_data" "password" {
  input            = var.password == null ? data.aws_secretsmanager_random_password.this[0].random_password : var.password
  triggers_replace = [nonsensitive(var.password == null ? "made" : sha256(var.password))]

  lifecycle {
    ignore_changes = [input]
  }
}

resource "aws_security_group" "this" {
  name        = "${var.name}-redis"
  description = "Redis, reached from the nodes of Cauce alone"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-redis" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.this.id
  description                  = "The nodes of Cauce"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id            = var.client_security_group_id
  description                  = "Redis"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

# --- ElastiCache ---

resource "aws_elasticache_subnet_group" "this" {
  count = local.elasticache ? 1 : 0

  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  count = local.elasticache ? 1 : 0

  name   = "${var.name}-${var.engine}"
  family = var.engine == "valkey" ? "valkey8" : "redis7"

  parameter {
    name  = local.policy.name
    value = local.policy.value
  }
}

resource "aws_elasticache_replication_group" "this" {
  # checkov:skip=CKV_AWS_191:a key of one's own is a choice, kms_key_arn
  # checkov:skip=CKV2_AWS_50:failover comes with replicas, and how many is a choice
  count = local.elasticache ? 1 : 0

  replication_group_id = var.name
  description          = "View of the Cauce cluster ${var.name}"

  engine               = var.engine
  engine_version       = var.engine == "valkey" ? "8.0" : "7.1"
  node_type            = var.node_type
  port                 = local.port
  parameter_group_name = aws_elasticache_parameter_group.this[0].name

  num_cache_clusters         = 1 + var.replicas
  automatic_failover_enabled = var.replicas > 0
  multi_az_enabled           = var.replicas > 0

  subnet_group_name  = aws_elasticache_subnet_group.this[0].name
  security_group_ids = [aws_security_group.this.id]

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  auth_token                 = local.password

  snapshot_retention_limit   = 0
  maintenance_window         = var.maintenance_window
  auto_minor_version_upgrade = true
  apply_immediately          = true
}

# --- MemoryDB ---

resource "aws_memorydb_subnet_group" "this" {
  count = local.elasticache ? 0 : 1

  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_memorydb_parameter_group" "this" {
  count = local.elasticache ? 0 : 1

  name   = "${var.name}-${var.engine}"
  family = "memorydb_${var.engine}7"

  parameter {
    name  = local.policy.name
    value = local.policy.value
  }
}

resource "aws_memorydb_user" "this" {
  count = local.elasticache ? 0 : 1

  user_name     = "${var.name}-${local.user}"
  access_string = "on ~* &* +@all -@dangerous +info"

  authentication_mode {
    type      = "password"
    passwords = [local.password]
  }
}

resource "aws_memorydb_acl" "this" {
  count = local.elasticache ? 0 : 1

  name       = var.name
  user_names = [aws_memorydb_user.this[0].user_name]
}

resource "aws_memorydb_cluster" "this" {
  # checkov:skip=CKV_AWS_201:a key of one's own is a choice, kms_key_arn
  count = local.elasticache ? 0 : 1

  name                 = var.name
  description          = "View of the Cauce cluster ${var.name}"
  engine               = var.engine
  engine_version       = var.engine == "valkey" ? "7.3" : "7.1"
  node_type            = var.node_type
  port                 = local.port
  parameter_group_name = aws_memorydb_parameter_group.this[0].name

  num_shards             = 1 # all keys of a cluster are in one hash slot
  num_replicas_per_shard = var.replicas

  acl_name           = aws_memorydb_acl.this[0].name
  subnet_group_name  = aws_memorydb_subnet_group.this[0].name
  security_group_ids = [aws_security_group.this.id]

  tls_enabled = true
  kms_key_arn = var.kms_key_arn

  snapshot_retention_limit   = 0
  maintenance_window         = var.maintenance_window
  auto_minor_version_upgrade = true

  lifecycle {
    precondition {
      condition     = startswith(var.node_type, "db.")
      error_message = "Node types of MemoryDB begin with db., for example db.t4g.small."
    }
  }
}

# --- what nodes are told ---

locals {
  url = (
    local.elasticache
    ? "rediss://:${local.password}@${aws_elasticache_replication_group.this[0].primary_endpoint_address}:${local.port}"
    : "rediss+cluster://${aws_memorydb_user.this[0].user_name}:${local.password}@${aws_memorydb_cluster.this[0].cluster_endpoint[0].address}:${local.port}"
  )
}

resource "aws_secretsmanager_secret" "url" {
  # checkov:skip=CKV_AWS_149:a key of one's own is a choice, kms_key_arn
  # checkov:skip=CKV2_AWS_57:the nodes read it when they start; docs/runbooks.md tells how it is changed
  name                    = "${var.name}/redis-url"
  description             = "cauce.redis of the cluster ${var.name}: address and password in one"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id     = aws_secretsmanager_secret.url.id
  secret_string = local.url
}
