variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "kind" {
  description = "elasticache, or memorydb (a log of its own in several zones; no need of Cauce's, at about twice the price)."
  type        = string
  default     = "elasticache"
  validation {
    condition     = contains(["elasticache", "memorydb"], var.kind)
    error_message = "kind is elasticache or memorydb."
  }
}

variable "engine" {
  description = "valkey or redis."
  type        = string
  default     = "valkey"
  validation {
    condition     = contains(["valkey", "redis"], var.engine)
    error_message = "engine is valkey or redis."
  }
}

variable "node_type" {
  description = "Type of each node, for example cache.t4g.small, or db.t4g.small of MemoryDB."
  type        = string
  default     = "cache.t4g.small"
  validation {
    condition     = can(regex("^(cache|db)\\.[a-z0-9]+\\.[a-z0-9]+$", var.node_type))
    error_message = "A node type is written cache.t4g.small, or db.t4g.small of MemoryDB."
  }
}

variable "replicas" {
  description = "Replicas beside the primary, in other zones. 0 has no failover: the loss of the node then lasts until a new one has started."
  type        = number
  default     = 1
  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5 && floor(var.replicas) == var.replicas
    error_message = "replicas is a whole number from 0 to 5."
  }
}

variable "vpc_id" {
  description = "VPC of the nodes."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, one in each zone."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "Security group that may connect: that of Cauce's nodes."
  type        = string
}

variable "password" {
  description = "Password of the nodes, 16 to 128 letters and digits; null makes one. It stands in Terraform's state and in Secrets Manager."
  type        = string
  default     = null
  sensitive   = true
  validation {
    condition     = var.password == null || can(regex("^[A-Za-z0-9]{16,128}$", var.password))
    error_message = "The password has 16 to 128 letters and digits, and nothing else: it is part of a URL."
  }
}

variable "kms_key_arn" {
  description = "KMS key for what Redis writes to disk and for the secret; null for AWS's own keys."
  type        = string
  default     = null
}

variable "maintenance_window" {
  description = "When AWS may do its work, in UTC."
  type        = string
  default     = "sun:03:00-sun:04:00"
  validation {
    condition     = can(regex("^[a-z]{3}:[0-9]{2}:[0-9]{2}-[a-z]{3}:[0-9]{2}:[0-9]{2}$", var.maintenance_window))
    error_message = "A window is written sun:03:00-sun:04:00."
  }
}

variable "secret_recovery_days" {
  description = "For so long a deleted secret can be brought back; 0 deletes it at once."
  type        = number
  default     = 7
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days is 0, or from 7 to 30."
  }
}
