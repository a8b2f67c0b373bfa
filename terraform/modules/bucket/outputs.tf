output "bucket" {
  description = "The bucket's name."
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "The bucket's ARN."
  value       = aws_s3_bucket.this.arn
}

output "kms_key_arn" {
  description = "The key that objects are encrypted with, null with keys of S3's own."
  value       = local.kms_arn
}

output "endpoint_id" {
  description = "The gateway endpoint, null where none was asked for."
  value       = one(aws_vpc_endpoint.s3[*].id)
}
