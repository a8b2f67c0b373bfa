variable "database" {
  description = "Name of the Glue database. Cauce's tables are always in one called cauce, so clusters of one account and region share it: give their topics names of their own."
  type        = string
  default     = "cauce"
  validation {
    condition     = var.database == "cauce"
    error_message = "Compactors write to the database cauce and no other."
  }
}

variable "region" {
  description = "Region of the Glue Data Catalog."
  type        = string
}

variable "account_id" {
  description = "Account of the Glue Data Catalog."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account's id has twelve digits."
  }
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
  validation {
    condition     = contains(["aws", "aws-cn", "aws-us-gov"], var.partition)
    error_message = "The partition is aws, aws-cn or aws-us-gov."
  }
}
