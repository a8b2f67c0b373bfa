# From outside: one balancer, a port to begin at and a port for every slot. The number of slots is fixed, since each has
# its port and its target group; a slot whose node is away refuses connections, as a Kafka broker that is down does.

locals {
  outside       = var.outside != null
  outside_slots = local.outside ? var.slots : {}
  outside_tls   = try(var.outside.certificate_arn, null) != null
}

resource "aws_lb" "outside" {
  # checkov:skip=CKV_AWS_91:access logs are a choice, log_bucket
  # checkov:skip=CKV_AWS_150:protection against deletion is a choice, deletion_protection
  count = local.outside ? 1 : 0

  name                             = "${var.name}-out"
  load_balancer_type               = "network"
  internal                         = var.outside.internal
  subnets                          = values(var.outside.internal ? var.private_subnet_ids : var.public_subnet_ids)
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true # a slot is in one zone; its name has the addresses of all
  enable_deletion_protection       = var.deletion_protection

  dynamic "access_logs" {
    for_each = var.log_bucket == null ? [] : [var.log_bucket]

    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = var.name
    }
  }
}

resource "aws_lb_target_group" "outside_bootstrap" {
  # checkov:skip=CKV_AWS_378:HTTP is the health check alone, inside the VPC
  count = local.outside ? 1 : 0

  name                 = "${var.name}-out"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "TCP"
  port                 = local.outside_port
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

resource "aws_lb_listener" "outside_bootstrap" {
  # checkov:skip=CKV_AWS_2:Kafka is not HTTP
  # checkov:skip=CKV2_AWS_20:Kafka is not HTTP
  # checkov:skip=CKV_AWS_103:with a certificate the policy below is TLS 1.2 and newer; without one TLS is the nodes'
  count = local.outside ? 1 : 0

  load_balancer_arn = aws_lb.outside[0].arn
  protocol          = local.outside_tls ? "TLS" : "TCP"
  port              = var.outside.bootstrap_port
  certificate_arn   = var.outside.certificate_arn
  ssl_policy        = local.outside_tls ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.outside_bootstrap[0].arn
  }
}

resource "aws_lb_target_group" "slot" {
  # checkov:skip=CKV_AWS_378:HTTP is the health check alone, inside the VPC
  for_each = local.outside_slots

  name                 = "${substr(var.name, 0, 14)}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "TCP"
  port                 = local.outside_port
  deregistration_delay = 30
  preserve_client_ip   = false

  # A slot's one target is asked whether it lives: there is no other to prefer while it is not ready.
  health_check {
    protocol            = "HTTP"
    path                = "/healthz"
    port                = local.health_port
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "slot" {
  # checkov:skip=CKV_AWS_2:Kafka is not HTTP
  # checkov:skip=CKV2_AWS_20:Kafka is not HTTP
  # checkov:skip=CKV_AWS_103:with a certificate the policy below is TLS 1.2 and newer; without one TLS is the nodes'
  for_each = local.outside_slots

  load_balancer_arn = aws_lb.outside[0].arn
  protocol          = local.outside_tls ? "TLS" : "TCP"
  port              = each.value.outside_port
  certificate_arn   = var.outside.certificate_arn
  ssl_policy        = local.outside_tls ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.slot[each.key].arn
  }

  lifecycle {
    precondition {
      condition     = length(local.outside_slots) <= 49
      error_message = "A load balancer has 50 listeners: 49 slots at the most, nodes and extras of ingest and reader together."
    }
  }
}
