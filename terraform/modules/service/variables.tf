variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "region" {
  description = "Region of bucket, logs and tasks."
  type        = string
}

variable "image" {
  description = "Image of Cauce, by tag or better by digest."
  type        = string
  validation {
    condition     = can(regex("^[^\\s]+[:@][^\\s/]+$", var.image))
    error_message = "The image is named with a tag or a digest, for example 123456789012.dkr.ecr.eu-west-1.amazonaws.com/cauce:0.1.0."
  }
}

variable "image_user" {
  description = "UID:GID of the image's user, who gets the data folder."
  type        = string
  default     = "10001:10001"
  validation {
    condition     = can(regex("^[1-9][0-9]*:[1-9][0-9]*$", var.image_user))
    error_message = "image_user is UID:GID in numbers, and not root."
  }
}

variable "architecture" {
  description = "X86_64 or ARM64; the image must have it."
  type        = string
  default     = "X86_64"
  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

variable "zones" {
  description = "Zones in the order in which they are deployed, one to three; a zone is a rack."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 3 && length(distinct(var.zones)) == length(var.zones)
    error_message = "There are one to three zones, each named once."
  }
}

variable "private_subnet_ids" {
  description = "Zone to private subnet."
  type        = map(string)
}

variable "security_group_id" {
  description = "Security group of the nodes."
  type        = string
}

variable "bucket" {
  description = "The bucket: its name, ARN, prefix (empty or ending with a slash), and the KMS key of its objects, null for keys of S3's own."
  type = object({
    name        = string
    arn         = string
    prefix      = string
    kms_key_arn = optional(string)
  })
  validation {
    condition     = var.bucket.prefix == "" || can(regex("^[^/*?].*[^/]/$", var.bucket.prefix)) || can(regex("^[^/*?]/$", var.bucket.prefix))
    error_message = "The prefix is empty, or ends with one slash and begins with none."
  }
}

variable "redis_secret_arn" {
  description = "Secret with the URL of Redis."
  type        = string
}

variable "secrets_kms_key_arn" {
  description = "KMS key of the secrets, null for AWS's own."
  type        = string
  default     = null
}

variable "slots" {
  description = "Nodes that serve clients, by name: role, whether it is an extra that runs under load only, its zone and number, what it advertises, its Cloud Map service and its target groups."
  type = map(object({
    role       = string
    extra      = bool
    order      = number
    zone       = string
    node_id    = number
    advertised = string
    registry   = string
    targets    = list(object({ arn = string, port = number }))
  }))
}

variable "listeners" {
  description = "The setting listeners of nodes that serve clients."
  type        = string
}

variable "protocols" {
  description = "The setting listener.security.protocol.map of nodes that serve clients."
  type        = string
}

variable "port" {
  description = "Port of clients inside the VPC."
  type        = number
  validation {
    condition     = var.port >= 1024 && var.port <= 65535
    error_message = "The port is from 1024 to 65535."
  }
}

variable "roles" {
  description = "Size of each role's tasks (ingest, reader, compactor), the share of its CPU above which extras come, and its own settings and secrets, by names of docs/settings.md."
  type = map(object({
    cpu               = number
    memory_mib        = number
    disk_gib          = number
    disk              = string
    scale_out_percent = number
    spot              = bool
    settings          = map(string)
    secrets           = map(string)
  }))
  validation {
    condition     = toset(keys(var.roles)) == toset(["ingest", "reader", "compactor"])
    error_message = "roles has ingest, reader and compactor."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : contains([256, 512, 1024, 2048, 4096, 8192, 16384], role.cpu)])
    error_message = "Fargate has tasks of 256, 512, 1024, 2048, 4096, 8192 and 16384 units of CPU."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : role.memory_mib >= 1024 && role.memory_mib >= role.cpu && role.memory_mib <= 8 * role.cpu])
    error_message = "memory_mib is at least 1024, and for each unit of CPU one to eight MiB on Fargate."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : role.disk_gib >= 21 && role.disk_gib <= (role.disk == "ebs" ? 16384 : 200)])
    error_message = "disk_gib is 21 to 200 of Fargate's ephemeral storage, to 16384 of EBS."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : contains(["ephemeral", "ebs"], role.disk)])
    error_message = "disk is ephemeral or ebs."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : role.scale_out_percent >= 10 && role.scale_out_percent <= 90])
    error_message = "scale_out_percent is 10 to 90."
  }
}

variable "compactors" {
  description = "How many compactors there are, and most when their backlog grows."
  type = object({
    least    = number
    most     = number
    registry = string
  })
  validation {
    condition     = var.compactors.least >= 1 && var.compactors.most >= var.compactors.least
    error_message = "There is one compactor at least, and most is not below least."
  }
}

variable "backlog_bytes_per_compactor" {
  description = "Compactors are added while each has more bytes than this waiting. Needs metrics in CloudWatch (scale_by_backlog)."
  type        = number
  default     = 1073741824
  validation {
    condition     = var.backlog_bytes_per_compactor >= 67108864
    error_message = "backlog_bytes_per_compactor is 64 MiB (67108864) at least: two compactions' worth of one partition."
  }
}

variable "scale_by_backlog" {
  description = "Whether the nodes' metrics come to CloudWatch, so that compactors can follow their backlog; else they follow their CPU."
  type        = bool
  default     = true
}

variable "autoscaling" {
  description = "Whether extras and compactors come and go by themselves."
  type        = bool
  default     = true
}

variable "log_groups" {
  description = "Role to log group."
  type        = map(object({ name = string, arn = string }))
}

variable "catalog" {
  description = "Glue catalog of tables: database, what ARNs begin with, and the value of cauce.table.catalog; null for none."
  type = object({
    database = string
    arn_base = string
    setting  = string
  })
  default = null
}

variable "settings" {
  description = "Settings of all nodes, by names of docs/settings.md."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Settings of all nodes whose values are secrets: name to the ARN of a secret of Secrets Manager (or ARN:key:: for a key of one)."
  type        = map(string)
  default     = {}
}

variable "readable_secret_arns" {
  description = "Secrets that nodes read by themselves while they run."
  type        = list(string)
  default     = []
}

variable "container_insights" {
  description = "Whether ECS reports metrics of tasks beyond CPU and memory; they cost."
  type        = bool
  default     = true
}

variable "wait_for_steady_state" {
  description = "Whether a zone is deployed only after the one before it runs; switch it off where ECS is an emulator."
  type        = bool
  default     = true
}
