# Modules by themselves, with a mocked provider.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan # the bucket is not applied: what holds data could not be destroyed again
}

run "bucket" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    bucket_name = "mocked-bucket"
    region      = "eu-west-1"
    encryption  = "arn:aws:kms:eu-west-1:123456789012:key/given"
    versioning  = true
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == "arn:aws:kms:eu-west-1:123456789012:key/given"
    error_message = "Objects are encrypted with the given key."
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Sid] == ["TlsOnly", "WriteOnce"]
    error_message = "The bucket wants TLS, and refuses to be overwritten."
  }
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id] == ["incomplete-uploads", "deleted-objects"]
    error_message = "Incomplete uploads and deleted versions go."
  }
  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy, aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets])
    error_message = "Nothing of it is public."
  }
}

run "network_without_nat" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name                = "cauce"
    region              = "eu-west-1"
    zones               = ["eu-west-1a", "eu-west-1b"]
    nat                 = "none"
    interface_endpoints = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_vpc_endpoint.interface) == 4
    error_message = "Without NAT, what nodes need of AWS is reached inside the VPC."
  }
  assert {
    condition     = length(distinct(concat([for subnet in aws_subnet.private : subnet.cidr_block], [for subnet in aws_subnet.public : subnet.cidr_block]))) == 4
    error_message = "Subnets do not overlap."
  }
}

run "observability_without_collector" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    name                = "cauce"
    region              = "eu-west-1"
    ingest_nodes        = 3
    balancer_dimensions = { LoadBalancer = "net/mocked", TargetGroup = "targetgroup/mocked" }
    redis_dimensions    = [{ namespace = "AWS/ElastiCache", dimensions = { CacheClusterId = "cauce-001" } }]
  }

  assert {
    condition     = output.alarms == tolist(["cauce-nodes-missing", "cauce-redis-busy-0", "cauce-redis-full-0"])
    error_message = "Without the nodes' metrics there are the alarms on AWS' own."
  }
}
