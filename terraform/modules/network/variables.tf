variable "name" {
  description = "Name of the cluster; names of what this module makes begin with it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "region" {
  description = "Region of the VPC, for the names of its endpoints."
  type        = string
}

variable "cidr" {
  description = "Address range of the VPC, /16 to /22; each zone gets two sixteenths of it."
  type        = string
  default     = "10.90.0.0/16"
  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 22, false)
    error_message = "The range is written like 10.90.0.0/16, and is a /16 to /22."
  }
}

variable "zones" {
  description = "Availability zones to have subnets in, for example [\"eu-west-1a\", \"eu-west-1b\", \"eu-west-1c\"]."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones)
    error_message = "There are one to six zones, each named once."
  }
}

variable "nat" {
  description = "How private subnets reach the internet: one (a NAT gateway for all zones), each (one in every zone), none (then set interface_endpoints)."
  type        = string
  default     = "one"
  validation {
    condition     = contains(["one", "each", "none"], var.nat)
    error_message = "nat is one, each or none."
  }
}

variable "interface_endpoints" {
  description = "Whether ECR, CloudWatch Logs and Secrets Manager are reached inside the VPC. Needed without NAT; each costs by the hour in every zone."
  type        = bool
  default     = false
}

variable "flow_log_days" {
  description = "How long flow logs of the VPC are kept; 0 makes none."
  type        = number
  default     = 0
  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.flow_log_days)
    error_message = "CloudWatch Logs keeps for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731 days; 0 makes no flow logs."
  }
}
