output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Its address range."
  value       = aws_vpc.this.cidr_block
}

output "private_subnet_ids" {
  description = "Zone to its private subnet, where nodes live."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnet_ids" {
  description = "Zone to its public subnet."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "private_route_table_ids" {
  description = "Route tables of the private subnets, for the bucket's gateway endpoint."
  value       = [for zone in var.zones : aws_route_table.private[zone].id]
}
