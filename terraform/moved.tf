# Addresses of earlier versions. Terraform moves what a state has there, and neither destroys nor replaces it.

# Each function had a module block of its own.
moved {
  from = module.launch
  to   = module.functions["launch"]
}

moved {
  from = module.neuron
  to   = module.functions["neuron"]
}

moved {
  from = module.predict
  to   = module.functions["predict"]
}

moved {
  from = module.register
  to   = module.functions["register"]
}

moved {
  from = module.trainer
  to   = module.functions["trainer"]
}

# The cache's security group was in the cache's module for a time, and in the network's before that, as it is again.
moved {
  from = module.elasticache.aws_security_group.this
  to   = module.vpc.aws_security_group.cache
}

moved {
  from = module.elasticache.aws_vpc_security_group_ingress_rule.functions
  to   = module.vpc.aws_vpc_security_group_ingress_rule.cache_from_functions
}
