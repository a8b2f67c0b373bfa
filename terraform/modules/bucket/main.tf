# The bucket is the truth: all that a cluster ever acknowledged lies here. Destroying it takes an edit of this file.

locals {
  own_key = var.encryption == "kms"
  kms     = var.encryption != "s3"
  kms_arn = local.own_key ? aws_kms_key.this[0].arn : local.kms ? var.encryption : null
}

resource "aws_kms_key" "this" {
  # checkov:skip=CKV2_AWS_64:without a policy the account's IAM decides, which is what the nodes' roles need
  count = local.own_key ? 1 : 0

  description             = "Objects of the bucket ${var.bucket_name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  lifecycle {
    prevent_destroy = true # without the key every object is lost
  }
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:access logs cost more than they tell where only the nodes' roles come in; CloudTrail data events are a choice of the account
  # checkov:skip=CKV_AWS_21:versioning is a choice, see the variable; objects are never overwritten
  # checkov:skip=CKV_AWS_144:replication to another region is a choice of its own; any copy of the bucket opens by itself
  # checkov:skip=CKV_AWS_145:KMS is a choice, see the variable encryption; S3's own keys encrypt without it
  # checkov:skip=CKV2_AWS_62:nobody waits for notifications of segments
  bucket        = var.bucket_name
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = local.kms ? true : null

    apply_server_side_encryption_by_default {
      sse_algorithm     = local.kms ? "aws:kms" : "AES256"
      kms_master_key_id = local.kms_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = var.versioning ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  # checkov:skip=CKV_AWS_300:the first rule does it; the check does not see it beside a dynamic one
  bucket = aws_s3_bucket.this.id

  # Nodes send an object by one PUT; parts that lie here are what some other tool left behind.
  rule {
    id     = "incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  dynamic "rule" {
    for_each = var.versioning ? [var.noncurrent_days] : []

    content {
      id     = "deleted-objects"
      status = "Enabled"

      filter {}

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }

      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

locals {
  tls_only = {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
  write_once = {
    Sid       = "WriteOnce"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:PutObject"
    Resource  = "${aws_s3_bucket.this.arn}/*"
    Condition = { Null = { "s3:if-none-match" = "true" } }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in [local.tls_only, local.write_once] : statement if statement.Sid == "TlsOnly" || var.refuse_overwriting]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Without it every byte to and from S3 would pay the NAT gateway.
resource "aws_vpc_endpoint" "s3" {
  count = var.gateway_endpoint == null ? 0 : 1

  vpc_id            = var.gateway_endpoint.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.gateway_endpoint.route_table_ids

  tags = { Name = "${var.bucket_name}-s3" }
}
