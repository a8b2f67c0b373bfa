# Redis by itself, applied with a mocked provider: what nodes are told is known only then.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "redis" {
  command = apply

  module {
    source = "./modules/redis"
  }

  variables {
    name                     = "cauce"
    vpc_id                   = "vpc-mocked"
    subnet_ids               = ["subnet-a", "subnet-b"]
    client_security_group_id = "sg-mocked"
    replicas                 = 2
  }

  assert {
    condition     = aws_elasticache_replication_group.this[0].multi_az_enabled && aws_elasticache_replication_group.this[0].automatic_failover_enabled && aws_elasticache_replication_group.this[0].num_cache_clusters == 3
    error_message = "It fails over to another zone."
  }
  assert {
    condition     = aws_elasticache_replication_group.this[0].transit_encryption_enabled && aws_elasticache_replication_group.this[0].transit_encryption_mode == "required" && aws_elasticache_replication_group.this[0].at_rest_encryption_enabled
    error_message = "It is encrypted on the wire and on disk."
  }
  assert {
    condition     = one(aws_elasticache_parameter_group.this[0].parameter).value == "noeviction"
    error_message = "It refuses rather than forgets."
  }
  assert {
    condition     = startswith(nonsensitive(aws_secretsmanager_secret_version.url.secret_string), "rediss://:MadeByTheMockMadeByTheMock@")
    error_message = "Nodes are told a URL with TLS and the password."
  }
}
