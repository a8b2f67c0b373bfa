output "node_security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.nodes.id
}

output "certificate_name" {
  description = "The wildcard name that one certificate for all nodes and the bootstrap name carries."
  value       = "*.${var.namespace}"
}

output "bootstrap" {
  description = "bootstrap.servers of clients inside the VPC."
  value       = "bootstrap.${var.namespace}:${var.port}"

  depends_on = [aws_service_discovery_instance.bootstrap, aws_lb_listener.inside]
}

output "outside_bootstrap" {
  description = "bootstrap.servers of clients outside, null without access from outside."
  value       = local.outside ? "${var.outside.host}:${var.outside.bootstrap_port}" : null
}

output "outside_dns" {
  description = "Name of the load balancer that outside.host has to lead to, null without."
  value       = one(aws_lb.outside[*].dns_name)
}

output "registries" {
  description = "Slot to its Cloud Map service; compactor too."
  value       = merge({ for name, service in aws_service_discovery_service.slot : name => service.arn }, { compactor = aws_service_discovery_service.compactor.arn })
}

output "targets" {
  description = "Slot to the target groups that its task stands in, with the port at the task."
  value = {
    for name, slot in var.slots : name => concat(
      slot.leads ? [{ arn = aws_lb_target_group.inside.arn, port = var.port }] : [],
      slot.leads && local.outside ? [{ arn = aws_lb_target_group.outside_bootstrap[0].arn, port = local.outside_port }] : [],
      local.outside ? [{ arn = aws_lb_target_group.slot[name].arn, port = local.outside_port }] : [],
    )
  }

  depends_on = [aws_lb_listener.inside, aws_lb_listener.outside_bootstrap, aws_lb_listener.slot]
}

output "balancer_dimensions" {
  description = "CloudWatch dimensions of the inside load balancer and its target group, for alarms."
  value = {
    LoadBalancer = aws_lb.inside.arn_suffix
    TargetGroup  = aws_lb_target_group.inside.arn_suffix
  }
}
