# The smallest cluster: one ingest node, one compactor, a Redis without a replica, in one zone. Its records are as safe as
# those of a large one, for they are in S3; when the node or Redis is lost, clients wait for some minutes.

provider "aws" {
  region = var.region

  default_tags {
    tags = { cluster = var.name }
  }
}

module "cauce" {
  source = "../.."

  name        = var.name
  region      = var.region
  zones       = [var.zone]
  bucket_name = var.bucket_name
  image       = var.image

  ingest    = { nodes = 1, cpu = 1024, memory_mib = 3072, disk_gib = 21 }
  compactor = { most = 1, cpu = 512, memory_mib = 2048 }
  redis     = { node_type = "cache.t4g.micro", replicas = 0 }

  client_cidrs = ["10.90.0.0/16"]
  autoscaling  = false
  metrics      = false
}
