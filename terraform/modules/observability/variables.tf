variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "region" {
  description = "Region of logs and metrics."
  type        = string
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_days)
    error_message = "CloudWatch Logs keeps for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096 or 1827 days."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the log groups, null for CloudWatch's own."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "SNS topics that are told of alarms, and of their end."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", arn))])
    error_message = "alarm_topic_arns are ARNs of SNS topics."
  }
}

variable "runbooks" {
  description = "Where the runbooks of alarms are read; alarms name their section."
  type        = string
  default     = "docs/runbooks.md"
}

variable "ingest_nodes" {
  description = "Ingest nodes that always run; fewer raise an alarm."
  type        = number
}

variable "balancer_dimensions" {
  description = "CloudWatch dimensions of the load balancer inside and its target group."
  type        = map(string)
}

variable "redis_dimensions" {
  description = "Namespace and dimensions of Redis, one entry a node."
  type        = list(object({ namespace = string, dimensions = map(string) }))
}

variable "wal_bytes" {
  description = "The setting cauce.wal.bytes of ingest nodes, for the alarm of a WAL that fills."
  type        = number
  default     = 4294967296
}

variable "backlog_bytes" {
  description = "So much waiting for compaction, in all, for an hour raises an alarm."
  type        = number
  default     = 53687091200
}

variable "collector" {
  description = "The task that brings nodes' metrics to CloudWatch: cluster, subnets, security group, names that nodes have in DNS, image. null for none, and without alarms on those metrics."
  type = object({
    cluster_arn       = string
    subnet_ids        = list(string)
    security_group_id = string
    targets           = list(string)
    image             = optional(string, "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3")
    architecture      = optional(string, "X86_64")
    interval_seconds  = optional(number, 60)
  })
  default = null
  validation {
    condition     = var.collector == null || try(var.collector.interval_seconds >= 10, false)
    error_message = "collector.interval_seconds is 10 at least."
  }
}
