variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-west-1"
}

variable "zone" {
  description = "The one availability zone."
  type        = string
  default     = "eu-west-1a"
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
  description = "Image of Cauce."
  type        = string
}
