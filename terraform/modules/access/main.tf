# Who reaches the nodes, and by which names. A Kafka client asks any node where the leaders are and then speaks to each
# of them, so every node needs a name of its own: inside the VPC one in Cloud Map, outside a port of one load balancer.

locals {
  health_port  = 9644
  outside_port = 9093 # of the nodes' listener for clients from outside
  leading      = { for name, slot in var.slots : name => slot if slot.leads }
}

# --- names ---

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = var.namespace
  description = "Nodes of the Cauce cluster ${var.name}"
  vpc         = var.vpc_id
}

# ECS puts the address of a slot's one task here, and takes it away when the task ends.
resource "aws_service_discovery_service" "slot" {
  for_each = var.slots

  name         = each.key
  namespace_id = aws_service_discovery_private_dns_namespace.this.id

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 5
    }
  }

  health_check_custom_config {
    failure_threshold = 1
  }
}

# Compactors serve nobody; their name is for whoever collects metrics.
resource "aws_service_discovery_service" "compactor" {
  name         = "compactor"
  namespace_id = aws_service_discovery_private_dns_namespace.this.id

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 5
    }
  }

  health_check_custom_config {
    failure_threshold = 1
  }
}

# The bootstrap name is the load balancer's, below the same wildcard certificate as the nodes'.
resource "aws_service_discovery_service" "bootstrap" {
  name         = "bootstrap"
  namespace_id = aws_service_discovery_private_dns_namespace.this.id

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "WEIGHTED"

    dns_records {
      type = "A"
      ttl  = 60
    }
  }
}

resource "aws_service_discovery_instance" "bootstrap" {
  service_id  = aws_service_discovery_service.bootstrap.id
  instance_id = "bootstrap"

  attributes = {
    AWS_ALIAS_DNS_NAME = aws_lb.inside.dns_name
  }
}

# --- bootstrap inside the VPC ---

resource "aws_lb" "inside" {
  # checkov:skip=CKV_AWS_91:a balancer of plain TCP writes no access logs
  # checkov:skip=CKV_AWS_150:protection against deletion is a choice, deletion_protection
  name                             = "${var.name}-in"
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = values(var.private_subnet_ids)
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true # a zone whose nodes are away must still find some
  enable_deletion_protection       = var.deletion_protection
}

resource "aws_lb_target_group" "inside" {
  # checkov:skip=CKV_AWS_378:HTTP is the health check alone, inside the VPC
  name                 = "${var.name}-in"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "TCP"
  port                 = var.port
  deregistration_delay = 30
  preserve_client_ip   = false

  health_check {
    protocol            = "HTTP"
    path                = "/readyz"
    port                = local.health_port
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "inside" {
  # checkov:skip=CKV_AWS_2:Kafka is not HTTP
  # checkov:skip=CKV2_AWS_20:Kafka is not HTTP
  # checkov:skip=CKV_AWS_103:bytes are passed on; TLS is the nodes'
  load_balancer_arn = aws_lb.inside.arn
  protocol          = "TCP"
  port              = var.port

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.inside.arn
  }
}
