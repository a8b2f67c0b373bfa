# A cluster in three zones, with a mocked provider: how nodes are named, placed, told and scaled.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan # the bucket is not applied: what holds data could not be destroyed again
}

variables {
  name        = "cauce"
  region      = "eu-west-1"
  zones       = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  bucket_name = "mocked-bucket"
  image       = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/cauce:0.1.0"
}

run "three_zones" {
  command = plan

  variables {
    ingest = { nodes = 4, extra = 2, settings = { "cauce.flush.bytes" = "16777216" }, secrets = { "cauce.table.catalog" = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf:key::" } }
    reader = { nodes = 3 }
    outside = {
      host            = "kafka.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/mocked"
      client_cidrs    = ["192.0.2.0/24"]
    }
    client_cidrs = ["10.0.0.0/8"]
  }

  assert {
    condition     = length(output.nodes) == 9
    error_message = "Four ingest nodes, two extras and three readers are nine slots."
  }
  assert {
    condition     = [for name in ["ingest-0", "ingest-1", "ingest-2", "ingest-3"] : output.nodes[name].zone] == ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1a"]
    error_message = "Slots go round the zones."
  }
  assert {
    condition     = length(distinct([for node in values(output.nodes) : node.node_id])) == 9
    error_message = "Every slot has a node id of its own."
  }
  assert {
    condition     = output.nodes["ingest-1"].advertised == "PLAINTEXT://ingest-1.cauce.internal:9092,OUTSIDE://kafka.example.com:9201"
    error_message = "A slot advertises its name inside, and its port at the balancer outside."
  }
  assert {
    condition     = output.nodes["reader-2"].advertised == "PLAINTEXT://reader-2.cauce.internal:9092,OUTSIDE://kafka.example.com:9302"
    error_message = "Readers have ports of their own."
  }
  assert {
    condition     = output.bootstrap == "bootstrap.cauce.internal:9092" && output.outside_bootstrap == "kafka.example.com:9092"
    error_message = "Clients begin at the bootstrap names."
  }
  assert {
    condition     = output.bucket_url == "s3://mocked-bucket?region=eu-west-1" || startswith(output.bucket_url, "s3://")
    error_message = "The bucket's URL is what nodes are told."
  }
  assert {
    condition     = length(distinct([for node in values(output.nodes) : node.advertised])) == 9
    error_message = "No two slots advertise the same address."
  }
}

run "one_zone_is_enough" {
  command = plan

  variables {
    zones       = ["eu-west-1a"]
    ingest      = { nodes = 1 }
    redis       = { replicas = 0 }
    autoscaling = false
    metrics     = false
  }

  assert {
    condition     = output.outside_bootstrap == null && output.catalog == null
    error_message = "Nothing is outside, and no catalog is there, unless asked for."
  }
}

run "memorydb" {
  command = plan

  variables {
    redis = { kind = "memorydb", node_type = "db.t4g.small" }
  }

  assert {
    condition     = length(output.nodes) == 3
    error_message = "Three ingest nodes are the default."
  }
}

run "wrong_names_are_refused" {
  command = plan

  variables {
    name        = "Cauce_1"
    bucket_name = "no.dots"
    region      = "somewhere"
  }

  expect_failures = [var.name, var.bucket_name, var.region]
}

run "wrong_numbers_are_refused" {
  command = plan

  variables {
    zones     = ["eu-west-1a", "eu-west-1a"]
    port      = 9644
    ingest    = { nodes = 0 }
    reader    = { nodes = 0, extra = 2 }
    compactor = { least = 3, most = 2 }
  }

  expect_failures = [var.zones, var.port, var.ingest, var.reader, var.compactor]
}

run "wrong_choices_are_refused" {
  command = plan

  variables {
    nat               = "some"
    catalog           = "hive"
    bucket_encryption = "rot13"
    architecture      = "MIPS"
    redis_password    = "with:colon@and/slash"
    outside           = { host = "kafka.example.com", client_cidrs = ["192.0.2.0/24"], bootstrap_port = 9210 }
  }

  expect_failures = [var.nat, var.catalog, var.bucket_encryption, var.architecture, var.redis_password, var.outside]
}
