variable "bucket_name" {
  description = "Name of the bucket, unique in all of S3."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 small letters, digits and hyphens (no dots: TLS certificates do not cover them)."
  }
}

variable "region" {
  description = "Region of the bucket."
  type        = string
}

variable "encryption" {
  description = "s3 (keys of S3's own, no cost), kms (a key made here, which can be destroyed by hand only), or the ARN of a KMS key."
  type        = string
  default     = "s3"
  validation {
    condition     = contains(["s3", "kms"], var.encryption) || can(regex("^arn:[a-z-]+:kms:", var.encryption))
    error_message = "encryption is s3, kms, or the ARN of a KMS key."
  }
}

variable "versioning" {
  description = "Whether a deleted object can be brought back for noncurrent_days. Cauce never overwrites, so this guards against deletion alone; deleted objects cost until then."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "With versioning: days until a deleted object is gone for good."
  type        = number
  default     = 7
  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 3650 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days is a whole number from 1 to 3650."
  }
}

variable "refuse_overwriting" {
  description = "Whether the bucket refuses any PUT that would not be refused itself where the object exists already (If-None-Match). Nodes send no other; switch it off for other writers in the same bucket."
  type        = bool
  default     = true
}

variable "gateway_endpoint" {
  description = "Where the free gateway endpoint for S3 is to be: a VPC and the route tables of the nodes' subnets. null where the VPC has one."
  type = object({
    vpc_id          = string
    route_table_ids = list(string)
  })
  default = null
}
