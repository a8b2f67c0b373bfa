variable "family" {
  description = "Family of the task definition."
  type        = string
}

variable "role" {
  description = "ingest, reader or compactor."
  type        = string
}

variable "size" {
  description = "Size of the task, as in roles of the module above."
  type = object({
    cpu        = number
    memory_mib = number
    disk_gib   = number
    disk       = string
  })
}

variable "image" {
  description = "Image of Cauce."
  type        = string
}

variable "image_user" {
  description = "UID:GID of the image's user."
  type        = string
}

variable "architecture" {
  description = "X86_64 or ARM64."
  type        = string
}

variable "data" {
  description = "The data folder."
  type        = string
}

variable "health_port" {
  description = "Port of /healthz, /readyz and /metrics."
  type        = number
}

variable "ports" {
  description = "Ports of listeners."
  type        = list(number)
  default     = []
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
}

variable "secrets" {
  description = "Environment variables whose values are secrets: ARNs."
  type        = map(string)
}

variable "region" {
  description = "Region of the log group."
  type        = string
}

variable "log_group" {
  description = "Log group."
  type        = string
}

variable "log_prefix" {
  description = "What names of log streams begin with."
  type        = string
}

variable "execution_role_arn" {
  description = "Role with which ECS starts the task."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the node itself."
  type        = string
}
