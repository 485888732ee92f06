# The network, with every security group of functions, endpoints and cache; and the cache in it.

module "vpc" {
  source = "./modules/vpc"

  account_id              = local.account_id
  cache_port              = var.cache_port
  cidr                    = var.vpc_cidr
  existing                = var.existing_vpc
  flow_log_retention_days = var.flow_log_retention_days
  flow_logs               = var.flow_logs == "NONE" ? null : var.flow_logs
  interface_services      = setunion(["lambda", "sns"], var.notebook.enabled ? ["sagemaker.api"] : [])
  kms_key_arn             = module.key.arn
  permissions_boundary    = var.permissions_boundary
  prefix                  = var.prefix
  region                  = var.region
  zone_count              = var.zone_count
  zones                   = var.zones

  # Amazon Linux's packages, among them the notebook's Python.
  foreign_buckets = var.notebook.enabled ? ["al2023-repos-${var.region}-de612dc2"] : []
}

module "elasticache" {
  source = "./modules/elasticache"

  engine_version     = var.cache.engine_version
  node_type          = var.cache.node_type
  port               = var.cache_port
  prefix             = var.prefix
  replicas           = var.cache.replicas
  security_group_id  = module.vpc.cache_security_group_id
  subnet_ids         = module.vpc.subnet_ids
  transit_encryption = var.cache.transit_encryption
}
