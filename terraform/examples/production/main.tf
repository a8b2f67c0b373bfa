# Three zones: any one of them may be lost, and is lost on purpose with each deployment. Leaders, readers and Redis are in
# all three; objects have a key of one's own and can be brought back for a week; clients come from inside and outside.

provider "aws" {
  region = var.region

  default_tags {
    tags = { cluster = var.name }
  }
}

data "aws_caller_identity" "this" {}

module "cauce" {
  source = "../.."

  name         = var.name
  region       = var.region
  zones        = var.zones
  image        = var.image
  architecture = "ARM64"

  nat           = "each"
  flow_log_days = 30

  bucket_name       = var.bucket_name
  bucket_encryption = "kms"
  bucket_versioning = true
  kms_key_arn       = aws_kms_key.operations.arn

  redis = { node_type = "cache.m7g.large", replicas = 2 }

  ingest    = { nodes = 6, extra = 6, disk = "ebs", disk_gib = 50, memory_mib = 8192 }
  reader    = { nodes = 3, extra = 3 }
  compactor = { least = 2, most = 12 }

  settings = {
    "auto.create.topics.enable" = "false"
    "num.partitions"            = "6"
  }

  client_security_group_ids = var.client_security_group_ids
  outside = {
    host            = var.host
    certificate_arn = var.certificate_arn
    client_cidrs    = var.outside_cidrs
  }
  deletion_protection = true

  log_days           = 365
  container_insights = true
  alarm_topic_arns   = [aws_sns_topic.alarms.arn]
}

# A key for logs, secrets and alarms; that of the objects is the bucket module's.
resource "aws_kms_key" "operations" {
  description             = "Logs, secrets and alarms of the Cauce cluster ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.this.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${data.aws_caller_identity.this.account_id}:log-group:*" } }
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
    ]
  })
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.operations.arn
}

resource "aws_sns_topic_subscription" "email" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}
