# What tasks may do. A role's policy is what its code calls and nothing else: tests/terraform finds the calls in the code
# and compares. `StringLikeIfExists`: S3 asks for ListBucket, without a prefix, before it says 404 and not 403 of an
# object that is missing, and nodes look for fences that should not be there.

locals {
  policy_words = {
    bucket  = var.bucket.arn
    objects = "${var.bucket.arn}/${var.bucket.prefix}"
    prefix  = var.bucket.prefix
  }

  object_policies = {
    for role in ["ingest", "reader", "compactor"] : role => jsondecode(templatefile("${path.module}/policies/${role}.json", local.policy_words)).Statement
  }

  glue_statements = var.catalog == null ? [] : jsondecode(templatefile("${path.module}/policies/glue.json", { catalog = var.catalog.arn_base, database = var.catalog.database })).Statement

  # S3 calls KMS in the node's name, with one data key for many objects (bucket key).
  key_statements = var.bucket.kms_key_arn == null ? [] : [{
    Sid       = "ObjectKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = var.bucket.kms_key_arn
    Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
  }]

  secret_statements = length(var.readable_secret_arns) == 0 ? [] : [{
    Sid      = "ReadSecrets"
    Effect   = "Allow"
    Action   = "secretsmanager:GetSecretValue"
    Resource = var.readable_secret_arns
  }]

  # A secret may be named with a key of it: ARN:key:stage:id.
  secret_arns = distinct([for arn in concat([var.redis_secret_arn], flatten([for role in values(local.role_secrets) : values(role)])) : join(":", slice(split(":", arn), 0, min(7, length(split(":", arn)))))])

  tasks_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role" "task" {
  for_each = local.object_policies

  name               = "${var.name}-${each.key}"
  description        = "What ${each.key} nodes of the Cauce cluster ${var.name} may call"
  assume_role_policy = local.tasks_trust
}

resource "aws_iam_role_policy" "task" {
  for_each = local.object_policies

  name = "calls"
  role = aws_iam_role.task[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(each.value, each.key == "compactor" ? local.glue_statements : [], local.key_statements, local.secret_statements)
  })
}

# What ECS does before a task runs: pull the image, hand over secrets, open the log.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-start"
  description        = "What ECS does to start tasks of the Cauce cluster ${var.name}"
  assume_role_policy = local.tasks_trust
}

resource "aws_iam_role_policy" "execution" {
  # checkov:skip=CKV_AWS_355:ecr:GetAuthorizationToken knows no resource
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Login"
          Effect   = "Allow"
          Action   = "ecr:GetAuthorizationToken"
          Resource = "*"
        },
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = [for group in values(var.log_groups) : "${group.arn}:*"]
        },
        {
          Sid      = "Secrets"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = local.secret_arns
        },
      ],
      local.repository_arn == null ? [] : [{
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.repository_arn
      }],
      var.secrets_kms_key_arn == null ? [] : [{
        Sid       = "SecretsKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.secrets_kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      }],
    )
  })
}

locals {
  # 123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/cauce:0.1.0 is in a repository of that account and region.
  ecr            = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/([^:@]+)[:@]", var.image), null)
  arn_partition  = split(":", var.bucket.arn)[1]
  repository_arn = local.ecr == null ? null : "arn:${local.arn_partition}:ecr:${local.ecr[1]}:${local.ecr[0]}:repository/${local.ecr[2]}"
}

# With disks of EBS: what ECS does to give each task its own.
resource "aws_iam_role" "volumes" {
  count = anytrue([for role in values(var.roles) : role.disk == "ebs"]) ? 1 : 0

  name        = "${var.name}-volumes"
  description = "What ECS does to give tasks of the Cauce cluster ${var.name} disks of EBS"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "volumes" {
  count = length(aws_iam_role.volumes)

  role       = aws_iam_role.volumes[0].name
  policy_arn = "arn:${local.arn_partition}:iam::aws:policy/service-role/AmazonECSInfrastructureRolePolicyForVolumes"
}
