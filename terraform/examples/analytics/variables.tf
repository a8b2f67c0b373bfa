variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-west-1"
}

variable "zones" {
  description = "Availability zones."
  type        = list(string)
  default     = ["eu-west-1a", "eu-west-1b"]
}

variable "name" {
  description = "Name of the cluster."
  type        = string
  default     = "cauce"
}

variable "bucket_name" {
  description = "Name of the bucket, unique in all of S3."
  type        = string
}

variable "results_bucket_name" {
  description = "Name of the bucket for results of queries."
  type        = string
}

variable "image" {
  description = "Image of Cauce, with its extra `iceberg`."
  type        = string
}

variable "topic" {
  description = "Topic of the saved queries; create it with cauce.table=iceberg."
  type        = string
  default     = "payments"
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.topic))
    error_message = "A topic's name has letters, digits, points, underscores and hyphens."
  }
}

variable "scan_limit_bytes" {
  description = "A query that would read more is ended by Athena."
  type        = number
  default     = 107374182400
  validation {
    condition     = var.scan_limit_bytes >= 10485760
    error_message = "Athena's least limit is 10 MiB (10485760)."
  }
}
