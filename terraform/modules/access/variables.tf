variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "namespace" {
  description = "Private DNS name below which every slot has a name of its own, for example cauce.internal. One certificate for *.NAMESPACE covers them all."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.namespace))
    error_message = "The namespace is a DNS name of small letters with at least one dot, for example cauce.internal."
  }
}

variable "vpc_id" {
  description = "VPC of the nodes."
  type        = string
}

variable "private_subnet_ids" {
  description = "Zone to private subnet."
  type        = map(string)
}

variable "public_subnet_ids" {
  description = "Zone to public subnet; only looked at for access from outside."
  type        = map(string)
  default     = {}
}

variable "slots" {
  description = "Nodes that clients speak to: name to whether it leads partitions (clients may begin there) and its port for clients outside."
  type = map(object({
    leads        = bool
    outside_port = number
  }))
}

variable "port" {
  description = "Port of clients inside the VPC, at every node and at the bootstrap name."
  type        = number
  default     = 9092
  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && var.port != 9093 && var.port != 9644
    error_message = "The port is from 1024 to 65535; 9093 (clients from outside) and 9644 (health) are taken."
  }
}

variable "client_cidrs" {
  description = "Address ranges whose clients may connect inside the VPC."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "client_cidrs are IPv4 ranges, and not the whole internet: that is what outside is for."
  }
}

variable "client_security_group_ids" {
  description = "Name to security group whose members may connect inside the VPC; the names are free."
  type        = map(string)
  default     = {}
}

variable "outside" {
  description = "Access from outside the VPC by a load balancer with a port for every slot; null for none. host: name that clients use, with a CNAME or alias to the output outside_dns. certificate_arn: the balancer speaks TLS with it; null passes bytes on, and the nodes speak TLS. internal: for peered networks instead of the internet."
  type = object({
    host            = string
    certificate_arn = optional(string)
    bootstrap_port  = optional(number, 9092)
    client_cidrs    = list(string)
    internal        = optional(bool, false)
  })
  default = null
  validation {
    condition     = var.outside == null || try(length(var.outside.client_cidrs) > 0 && alltrue([for cidr in var.outside.client_cidrs : can(cidrnetmask(cidr))]), false)
    error_message = "outside.client_cidrs says from where clients may come; at least one IPv4 range."
  }
}

variable "deletion_protection" {
  description = "Whether load balancers refuse to be deleted."
  type        = bool
  default     = false
}

variable "log_bucket" {
  description = "Bucket for access logs of load balancers (TLS listeners only write any); null for none."
  type        = string
  default     = null
}
