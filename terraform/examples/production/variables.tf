variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-west-1"
}

variable "zones" {
  description = "Three availability zones."
  type        = list(string)
  default     = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  validation {
    condition     = length(var.zones) == 3
    error_message = "This example is made for three zones."
  }
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

variable "image" {
  description = "Image of Cauce, by digest."
  type        = string
}

variable "host" {
  description = "Name that clients outside the VPC use; make it a CNAME of the output outside_dns."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of that name in ACM."
  type        = string
}

variable "outside_cidrs" {
  description = "Address ranges from which clients outside may come."
  type        = list(string)
}

variable "alarm_email" {
  description = "Who is told of alarms."
  type        = string
}

variable "client_security_group_ids" {
  description = "Free name to security group of clients in the VPC."
  type        = map(string)
  default     = {}
}
