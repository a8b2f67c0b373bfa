# A cluster whose topics are tables too: compactors keep Iceberg metadata in the Glue Data Catalog, and Athena queries the
# very objects that consumers read. Nothing is copied. Analysts get a role that reads and can write nothing but results.

provider "aws" {
  region = var.region

  default_tags {
    tags = { cluster = var.name }
  }
}

data "aws_caller_identity" "this" {}

module "cauce" {
  source = "../.."

  name        = var.name
  region      = var.region
  zones       = var.zones
  image       = var.image
  bucket_name = var.bucket_name

  ingest    = { nodes = 2, extra = 2 }
  compactor = { least = 1, most = 4, settings = { "cauce.compaction.age.ms" = "120000" } }

  catalog    = "glue"
  account_id = data.aws_caller_identity.this.account_id

  client_cidrs = ["10.90.0.0/16"]
}

locals {
  # As Cauce names a topic's table: small letters, and _ for what is no letter or digit.
  table   = replace(lower(var.topic), "/[^a-z0-9]/", "_")
  catalog = "arn:aws:glue:${var.region}:${data.aws_caller_identity.this.account_id}"
}

# --- results ---

resource "aws_s3_bucket" "results" {
  # checkov:skip=CKV_AWS_18:results of queries are looked at by who asked
  # checkov:skip=CKV_AWS_21:results can be asked for again
  # checkov:skip=CKV_AWS_144:results can be asked for again
  # checkov:skip=CKV_AWS_145:results are encrypted with S3's own keys
  # checkov:skip=CKV2_AWS_62:nobody waits for notifications of results
  bucket = var.results_bucket_name
}

resource "aws_s3_bucket_public_access_block" "results" {
  bucket = aws_s3_bucket.results.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "results" {
  bucket = aws_s3_bucket.results.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "results" {
  bucket = aws_s3_bucket.results.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.results.arn, "${aws_s3_bucket.results.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_s3_bucket_lifecycle_configuration" "results" {
  bucket = aws_s3_bucket.results.id

  rule {
    id     = "results"
    status = "Enabled"

    filter {}

    expiration {
      days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

# --- Athena ---

resource "aws_athena_workgroup" "this" {
  name        = var.name
  description = "Topics of the Cauce cluster ${var.name}"

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_bytes

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "s3://${aws_s3_bucket.results.id}/"

      encryption_configuration {
        encryption_option = "SSE_S3"
      }
    }
  }
}

resource "aws_athena_named_query" "newest" {
  name        = "newest records of ${var.topic}"
  description = "The filter by time is answered from the table's metadata and the files' statistics"
  workgroup   = aws_athena_workgroup.this.id
  database    = module.cauce.catalog.database
  query       = <<-SQL
    select "partition", "offset", "timestamp", from_utf8(key) as key, value
    from ${local.table}
    where "timestamp" > current_timestamp - interval '1' hour
    order by "timestamp" desc
    limit 100
  SQL
}

resource "aws_athena_named_query" "lag" {
  name        = "how far the table of ${var.topic} is"
  description = "The newest record of each partition that compaction has brought into the table"
  workgroup   = aws_athena_workgroup.this.id
  database    = module.cauce.catalog.database
  query       = <<-SQL
    select "partition", max("offset") as last_offset, max("timestamp") as newest
    from ${local.table}
    group by "partition"
    order by "partition"
  SQL
}

# --- analysts ---

resource "aws_iam_role" "analyst" {
  name        = "${var.name}-analyst"
  description = "Queries topics of the Cauce cluster ${var.name} with Athena"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.this.account_id}:root" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "analyst" {
  name = "query"
  role = aws_iam_role.analyst.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Query"
        Effect   = "Allow"
        Action   = ["athena:BatchGetNamedQuery", "athena:GetNamedQuery", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:ListNamedQueries", "athena:ListQueryExecutions", "athena:StartQueryExecution", "athena:StopQueryExecution"]
        Resource = aws_athena_workgroup.this.arn
      },
      {
        Sid      = "Tables"
        Effect   = "Allow"
        Action   = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
        Resource = ["${local.catalog}:catalog", "${local.catalog}:database/${module.cauce.catalog.database}", "${local.catalog}:table/${module.cauce.catalog.database}/*"]
      },
      {
        Sid      = "Records"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = ["arn:aws:s3:::${module.cauce.bucket}/records/*", "arn:aws:s3:::${module.cauce.bucket}/tables/*"]
      },
      {
        Sid      = "Results"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
        Resource = "${aws_s3_bucket.results.arn}/*"
      },
      {
        Sid      = "Buckets"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket"]
        Resource = [aws_s3_bucket.results.arn, "arn:aws:s3:::${module.cauce.bucket}"]
      },
    ]
  })
}
