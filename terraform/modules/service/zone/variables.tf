variable "zone" {
  description = "The zone; nodes tell it to clients as their rack."
  type        = string
}

variable "subnet_id" {
  description = "Private subnet of the zone."
  type        = string
}

variable "slots" {
  description = "Slots of this zone, as in the module above."
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

variable "shared" {
  description = "What all zones have in common: sizes of tasks and environment variables by role among it."
  type = object({
    cluster_arn           = string
    cluster_name          = string
    name                  = string
    region                = string
    image                 = string
    image_user            = string
    architecture          = string
    security_group_id     = string
    port                  = number
    health_port           = number
    data                  = string
    execution_role_arn    = string
    volume_role_arn       = string
    task_role_arns        = map(string)
    log_groups            = map(string)
    autoscaling           = bool
    wait_for_steady_state = bool
    watched               = map(list(string))
    environment           = map(map(string)) # by role
    secrets               = map(map(string)) # by role; ARNs
    roles = map(object({
      cpu               = number
      memory_mib        = number
      disk_gib          = number
      disk              = string
      scale_out_percent = number
      spot              = bool
    }))
  })
}
