# Security groups: clients reach the balancers and the nodes, nodes reach one another, and nothing else comes in.

locals {
  anywhere = "0.0.0.0/0"
  # From inside the VPC clients reach nodes and balancer alike; what is outside comes through the balancer alone.
  outside_ports = local.outside ? toset(concat([var.outside.bootstrap_port], [for slot in local.outside_slots : slot.outside_port])) : toset([])
  outside_rules = { for pair in setproduct(local.outside_ports, local.outside ? toset(var.outside.client_cidrs) : toset([])) : "${pair[0]} from ${pair[1]}" => { port = pair[0], cidr = pair[1] } }
}

resource "aws_security_group" "nodes" {
  # checkov:skip=CKV2_AWS_5:tasks have it
  name        = "${var.name}-nodes"
  description = "Nodes of Cauce"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-nodes" }
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Load balancers of Cauce"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes_cidr" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.nodes.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
}

resource "aws_vpc_security_group_ingress_rule" "nodes_group" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.nodes.id
  description                  = "Kafka clients"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_ingress_rule" "nodes_nodes" {
  for_each = { kafka = var.port, metrics = local.health_port }

  security_group_id            = aws_security_group.nodes.id
  description                  = "Other nodes, and the collector of metrics: ${each.key}"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "nodes_balancer" {
  for_each = merge({ kafka = var.port, health = local.health_port }, local.outside ? { outside = local.outside_port } : {})

  security_group_id            = aws_security_group.nodes.id
  description                  = "Load balancers: ${each.key}"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "nodes_nodes" {
  for_each = { kafka = var.port, metrics = local.health_port }

  security_group_id            = aws_security_group.nodes.id
  description                  = "Other nodes: ${each.key}"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# S3, ECR, logs and secrets speak HTTPS, at addresses that AWS changes.
resource "aws_vpc_security_group_egress_rule" "nodes_https" {
  security_group_id = aws_security_group.nodes.id
  description       = "AWS"
  cidr_ipv4         = local.anywhere
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "balancer_cidr" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.balancer.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
}

resource "aws_vpc_security_group_ingress_rule" "balancer_group" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.balancer.id
  description                  = "Kafka clients"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_ingress_rule" "balancer_outside" {
  for_each = local.outside_rules

  security_group_id = aws_security_group.balancer.id
  description       = "Kafka clients from outside"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each = merge({ kafka = var.port, health = local.health_port }, local.outside ? { outside = local.outside_port } : {})

  security_group_id            = aws_security_group.balancer.id
  description                  = "Nodes: ${each.key}"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}
