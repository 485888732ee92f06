locals {
  # "8.2" is of the family valkey8.
  family  = "valkey${split(".", var.engine_version)[0]}"
  upgrade = "aws elasticache modify-replication-group --replication-group-id ${local.name} --engine-version ${var.engine_version} --apply-immediately"

  name      = "${var.prefix}-cache"
  user_name = "${var.prefix}-functions"

  # The commands that the functions' code sends, on the functions' own keys only. `@connection` has AUTH, HELLO and PING. `-@scripting`
  # takes away SCRIPT FLUSH and Redis functions; EVAL and the like are given back. `time` is there for the scripts, whose own calls are
  # checked too. `-@dangerous` must come last: `@write` includes FLUSHALL.
  access_string = join(" ", [
    "on ~${var.key_pattern} -@all",
    "+@connection +@read +@write +@transaction",
    "-@scripting +eval +evalsha +script|exists +script|load +time",
    "-@dangerous",
  ])
}

resource "aws_elasticache_subnet_group" "this" {
  description = "Private subnets of the LNN parameter server"
  name        = local.name
  subnet_ids  = var.subnet_ids
}

# A full cache must refuse a write rather than silently drop a run's tensors.
resource "aws_elasticache_parameter_group" "this" {
  description = "LNN parameter server: never evict"
  family      = local.family
  name        = "${local.name}-${local.family}"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  # The name has the family: a new major version needs a group of another family, which is made before the old one is destroyed.
  lifecycle {
    create_before_destroy = true
  }
}

# IAM login requires the same id and name.
resource "aws_elasticache_user" "functions" {
  count = var.transit_encryption ? 1 : 0

  access_string = local.access_string
  engine        = "valkey"
  user_id       = local.user_name
  user_name     = local.user_name

  authentication_mode {
    type = "iam"
  }
}

resource "aws_elasticache_user_group" "this" {
  count = var.transit_encryption ? 1 : 0

  engine        = "valkey"
  user_group_id = local.name
  user_ids      = [aws_elasticache_user.functions[0].user_id]
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV_AWS_191:encrypted with ElastiCache's own key; it holds nothing for longer than a day, and another key would replace the cache
  #checkov:skip=CKV2_AWS_50:one node is the cheap default and a run goes on from S3 without it; cache.replicas adds failover
  apply_immediately          = true
  auto_minor_version_upgrade = false
  at_rest_encryption_enabled = true
  automatic_failover_enabled = var.replicas > 0
  description                = "LNN parameter server"
  engine                     = "valkey"
  engine_version             = var.engine_version
  multi_az_enabled           = var.replicas > 0 && length(var.subnet_ids) > 1
  node_type                  = var.node_type
  num_cache_clusters         = 1 + var.replicas
  parameter_group_name       = aws_elasticache_parameter_group.this.name
  port                       = var.port
  replication_group_id       = local.name
  security_group_ids         = [var.security_group_id]
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  transit_encryption_enabled = var.transit_encryption
  transit_encryption_mode    = var.transit_encryption ? "required" : null
  user_group_ids             = var.transit_encryption ? [aws_elasticache_user_group.this[0].user_group_id] : null

  # No snapshots: everything in the cache can be recomputed from the checkpoints in S3.
  snapshot_retention_limit = 0

  lifecycle {
    # Terraform would replace a cache whose engine is newer than configured, because AWS or somebody upgraded it, and lose its runs.
    ignore_changes = [engine_version]

    postcondition {
      condition     = split(".", self.engine_version)[0] == split(".", var.engine_version)[0]
      error_message = "${local.name} runs Valkey ${self.engine_version}, and cache.engine_version is ${var.engine_version}. Set it to what runs; or, where that is older, upgrade while nothing trains and deploy then: ${local.upgrade} --cache-parameter-group-name default.${local.family}"
    }
  }
}

check "engine_is_current" {
  assert {
    condition     = tonumber(split(".", aws_elasticache_replication_group.this.engine_version)[1]) >= tonumber(split(".", var.engine_version)[1])
    error_message = "${local.name} runs Valkey ${aws_elasticache_replication_group.this.engine_version}, older than cache.engine_version. Upgrade it while nothing trains: ${local.upgrade}"
  }
}
