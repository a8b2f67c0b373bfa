# --- the cluster ---

variable "name" {
  description = "Name of the cluster; names of what is made begin with it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 24 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "region" {
  description = "Region, the same as the provider's."
  type        = string
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is written like eu-west-1."
  }
}

variable "zones" {
  description = "Availability zones, one to three: each is a rack, and they are deployed one after the other."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 3 && length(distinct(var.zones)) == length(var.zones)
    error_message = "There are one to three zones, each named once."
  }
}

variable "image" {
  description = "Image of Cauce, by tag or better by digest. One in ECR is pulled with a right for its repository alone."
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
  description = "X86_64 or ARM64 (a fifth cheaper); the image must have it."
  type        = string
  default     = "X86_64"
  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

# --- network ---

variable "network" {
  description = "An existing VPC: its id, zone to private subnet, zone to public subnet (for access from outside), route tables of the private subnets (for the gateway endpoint of S3; empty where there is one). null makes a VPC."
  type = object({
    vpc_id             = string
    private_subnet_ids = map(string)
    public_subnet_ids  = optional(map(string), {})
    route_table_ids    = optional(list(string), [])
  })
  default = null
}

variable "cidr" {
  description = "Address range of the VPC that is made, /16 to /22."
  type        = string
  default     = "10.90.0.0/16"
  validation {
    condition     = can(cidrnetmask(var.cidr))
    error_message = "The range is written like 10.90.0.0/16."
  }
}

variable "nat" {
  description = "How the VPC that is made reaches the internet: one NAT gateway, each (one in every zone), or none (then with interface_endpoints, and with an image in ECR)."
  type        = string
  default     = "one"
  validation {
    condition     = contains(["one", "each", "none"], var.nat)
    error_message = "nat is one, each or none."
  }
}

variable "interface_endpoints" {
  description = "Whether the VPC that is made reaches ECR, logs and secrets without NAT."
  type        = bool
  default     = false
}

variable "flow_log_days" {
  description = "How long flow logs of the VPC that is made are kept; 0 makes none."
  type        = number
  default     = 0
  validation {
    condition     = var.flow_log_days >= 0
    error_message = "flow_log_days is 0 or more."
  }
}

# --- bucket ---

variable "bucket_name" {
  description = "Name of the bucket, unique in all of S3."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 small letters, digits and hyphens."
  }
}

variable "bucket_prefix" {
  description = "Prefix of the cluster in the bucket; empty for the whole bucket."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$", var.bucket_prefix))
    error_message = "The prefix has letters, digits, points, hyphens and underscores, with slashes between, and none at its ends."
  }
}

variable "bucket_encryption" {
  description = "s3, kms (a key is made), or the ARN of a KMS key."
  type        = string
  default     = "s3"
  validation {
    condition     = contains(["s3", "kms"], var.bucket_encryption) || can(regex("^arn:[a-z-]+:kms:", var.bucket_encryption))
    error_message = "bucket_encryption is s3, kms, or the ARN of a KMS key."
  }
}

variable "bucket_versioning" {
  description = "Whether deleted objects can be brought back for bucket_noncurrent_days."
  type        = bool
  default     = false
}

variable "bucket_noncurrent_days" {
  description = "With versioning: days until a deleted object is gone for good."
  type        = number
  default     = 7
  validation {
    condition     = var.bucket_noncurrent_days >= 1
    error_message = "bucket_noncurrent_days is 1 at least."
  }
}

# --- Redis ---

variable "redis" {
  description = "Redis: kind (elasticache, memorydb), engine (valkey, redis), node_type, replicas in other zones."
  type = object({
    kind      = optional(string, "elasticache")
    engine    = optional(string, "valkey")
    node_type = optional(string, "cache.t4g.small")
    replicas  = optional(number, 1)
  })
  default = {}
}

variable "redis_password" {
  description = "Password of Redis, 16 to 128 letters and digits; null makes one."
  type        = string
  default     = null
  sensitive   = true
  validation {
    condition     = var.redis_password == null || can(regex("^[A-Za-z0-9]{16,128}$", var.redis_password))
    error_message = "The password has 16 to 128 letters and digits, and nothing else."
  }
}

variable "kms_key_arn" {
  description = "KMS key of secrets, logs and Redis' disks; null for keys of AWS's own."
  type        = string
  default     = null
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

# --- nodes ---

variable "ingest" {
  description = "Nodes that lead partitions: how many always run (spread over the zones) and how many extras run under load, size of each, disk (ephemeral or ebs) of the WAL, the percentage of their CPU above which extras start (a node is one process: 2 vCPU are never busy above about 60 %), settings and secrets of docs/settings.md."
  type = object({
    nodes             = optional(number, 3)
    extra             = optional(number, 0)
    cpu               = optional(number, 2048)
    memory_mib        = optional(number, 4096)
    disk              = optional(string, "ephemeral")
    disk_gib          = optional(number, 30)
    scale_out_percent = optional(number, 35)
    spot              = optional(bool, false)
    settings          = optional(map(string), {})
    secrets           = optional(map(string), {})
  })
  default = {}
  validation {
    condition     = var.ingest.nodes >= 1 && var.ingest.nodes <= 50 && var.ingest.extra >= 0 && var.ingest.extra <= 50
    error_message = "There are 1 to 50 ingest nodes, and 0 to 50 extras."
  }
}

variable "reader" {
  description = "Nodes that serve history and the tail to consumers and lead nothing; as ingest. 0 nodes: leaders serve all."
  type = object({
    nodes             = optional(number, 0)
    extra             = optional(number, 0)
    cpu               = optional(number, 2048)
    memory_mib        = optional(number, 4096)
    disk_gib          = optional(number, 21)
    scale_out_percent = optional(number, 50)
    spot              = optional(bool, false)
    settings          = optional(map(string), {})
    secrets           = optional(map(string), {})
  })
  default = {}
  validation {
    condition     = var.reader.nodes >= 0 && var.reader.nodes <= 50 && var.reader.extra >= 0 && var.reader.extra <= 50
    error_message = "There are 0 to 50 readers, and 0 to 50 extras."
  }
  validation {
    condition     = var.reader.nodes > 0 || var.reader.extra == 0
    error_message = "Extras start when the readers that always run are busy: there must be one."
  }
}

variable "compactor" {
  description = "Compactors: least and most of them, size of each, how many bytes each may have waiting before more start, settings and secrets of docs/settings.md."
  type = object({
    least             = optional(number, 1)
    most              = optional(number, 4)
    cpu               = optional(number, 1024)
    memory_mib        = optional(number, 4096)
    disk_gib          = optional(number, 21)
    backlog_bytes     = optional(number, 1073741824)
    scale_out_percent = optional(number, 60)
    spot              = optional(bool, true)
    settings          = optional(map(string), {})
    secrets           = optional(map(string), {})
  })
  default = {}
  validation {
    condition     = var.compactor.least >= 1 && var.compactor.most >= var.compactor.least
    error_message = "There is one compactor at least, and most is not below least."
  }
}

variable "settings" {
  description = "Settings of all nodes, by names of docs/settings.md."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Settings of all nodes whose values are secrets: name to the ARN of a secret of Secrets Manager (ARN:key:: for a key of one)."
  type        = map(string)
  default     = {}
}

variable "readable_secret_arns" {
  description = "Secrets that nodes read by themselves while they run."
  type        = list(string)
  default     = []
}

variable "autoscaling" {
  description = "Whether extras and compactors come and go by themselves."
  type        = bool
  default     = true
}

variable "wait_for_steady_state" {
  description = "Whether a zone is deployed only after the one before it runs."
  type        = bool
  default     = true
}

# --- access ---

variable "namespace" {
  description = "Private DNS name below which every node has a name of its own; a certificate for *.NAMESPACE covers all."
  type        = string
  default     = "cauce.internal"
}

variable "listener" {
  description = "Name of the listener of clients inside the VPC, as in the setting listeners."
  type        = string
  default     = "PLAINTEXT"
  validation {
    condition     = can(regex("^[A-Z][A-Z0-9_]*$", var.listener))
    error_message = "A listener's name has capitals, digits and underscores."
  }
}

variable "listener_protocol" {
  description = "How clients inside the VPC speak to their listener: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (docs/security.md)."
  type        = string
  default     = "PLAINTEXT"
  validation {
    condition     = contains(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], var.listener_protocol)
    error_message = "listener_protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
  }
}

variable "outside_listener" {
  description = "Name of the listener of clients outside."
  type        = string
  default     = "OUTSIDE"
  validation {
    condition     = can(regex("^[A-Z][A-Z0-9_]*$", var.outside_listener))
    error_message = "A listener's name has capitals, digits and underscores."
  }
}

variable "outside_protocol" {
  description = "What reaches the nodes from outside: PLAINTEXT or SASL_PLAINTEXT behind a load balancer that ends TLS, else SSL or SASL_SSL."
  type        = string
  default     = "PLAINTEXT"
  validation {
    condition     = contains(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], var.outside_protocol)
    error_message = "outside_protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
  }
}

variable "port" {
  description = "Port of clients inside the VPC."
  type        = number
  default     = 9092
  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && var.port != 9093 && var.port != 9644
    error_message = "The port is from 1024 to 65535; 9093 and 9644 are taken."
  }
}

variable "client_cidrs" {
  description = "Address ranges whose clients may connect inside the VPC."
  type        = list(string)
  default     = []
}

variable "client_security_group_ids" {
  description = "Free name to security group whose members may connect inside the VPC."
  type        = map(string)
  default     = {}
}

variable "outside" {
  description = "Access from outside the VPC; null for none. host: the name that clients use, with a CNAME or alias to the output outside_dns. Clients begin at bootstrap_port; the nodes are at first_port and above, a port each: ingest nodes from first_port, their extras from +50, readers from +100, their extras from +150."
  type = object({
    host            = string
    certificate_arn = optional(string)
    bootstrap_port  = optional(number, 9092)
    first_port      = optional(number, 9200)
    client_cidrs    = list(string)
    internal        = optional(bool, false)
  })
  default = null
  validation {
    condition     = var.outside == null || try(var.outside.first_port >= 1024 && var.outside.first_port <= 65300 && (var.outside.bootstrap_port < var.outside.first_port || var.outside.bootstrap_port >= var.outside.first_port + 200), false)
    error_message = "outside.first_port is from 1024 to 65300, and bootstrap_port is not among the 200 ports from there."
  }
}

variable "deletion_protection" {
  description = "Whether load balancers refuse to be deleted."
  type        = bool
  default     = false
}

# --- tables ---

variable "catalog" {
  description = "Where Iceberg tables of topics are found: glue, or none."
  type        = string
  default     = "none"
  validation {
    condition     = contains(["glue", "none"], var.catalog)
    error_message = "catalog is glue or none."
  }
}

variable "account_id" {
  description = "Account, needed with catalog = \"glue\" for the ARNs of tables."
  type        = string
  default     = null
  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account's id has twelve digits."
  }
}

# --- watching ---

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

variable "metrics" {
  description = "Whether the nodes' own metrics come to CloudWatch; compactors follow their backlog by them. Switch it off where Prometheus scrapes the nodes."
  type        = bool
  default     = true
}

variable "container_insights" {
  description = "Whether ECS reports metrics of tasks beyond CPU and memory; they cost."
  type        = bool
  default     = false
}

variable "alarm_topic_arns" {
  description = "SNS topics that are told of alarms."
  type        = list(string)
  default     = []
}
