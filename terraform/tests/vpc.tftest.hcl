# The network: a new one lets nothing through but what is named; in one that is there only groups and endpoints are made.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id = "123456789012"
  cache_port = 6379
  cidr       = "10.0.0.0/20"
  prefix     = "lnn"
  region     = "us-east-1"
  zones      = ["a", "b"]
}

run "a_new_network_has_no_way_out_but_endpoints" {
  module {
    source = "./modules/vpc"
  }

  assert {
    condition     = length(data.aws_availability_zones.this) + length(data.aws_vpc_endpoint_service.interface) == 0
    error_message = "AWS is asked for zones, though they are given."
  }

  assert {
    condition     = length(aws_route_table.private[0].route) == 0 && length(aws_vpc_endpoint.gateway) == 2 && toset(keys(aws_vpc_endpoint.interface)) == toset(["lambda", "sns"])
    error_message = "The network has a route out, or lacks an endpoint."
  }

  assert {
    condition     = length(aws_default_security_group.this[0].ingress) == 0 && length(aws_default_security_group.this[0].egress) == 0
    error_message = "The default security group lets something through."
  }

  assert {
    condition     = length(aws_security_group.functions.egress) == 3 && alltrue([for rule in aws_security_group.functions.egress : try(length(rule.cidr_blocks), 0) == 0 && rule.from_port == rule.to_port])
    error_message = "The functions reach more than the cache and the endpoints."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.cache_from_functions.referenced_security_group_id == aws_security_group.functions.id && aws_vpc_security_group_ingress_rule.cache_from_functions.from_port == 6379
    error_message = "Others than the functions reach the cache."
  }

  assert {
    condition     = length(aws_security_group.functions.ingress) == 0 && length(aws_security_group.endpoints[0].egress) == 0
    error_message = "Something may call the functions, or an endpoint may call out."
  }
}

run "its_flows_are_logged" {
  module {
    source = "./modules/vpc"
  }

  assert {
    condition     = aws_flow_log.this[0].traffic_type == "ALL" && aws_cloudwatch_log_group.flow_logs[0].retention_in_days == 365 && output.flow_log_group_name == "/aws/vpc/lnn"
    error_message = "Flows are not logged, or for ever."
  }

  assert {
    condition     = alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.flow_logs[0].policy).Statement : [for action in statement.Action : startswith(action, "logs:") && !strcontains(action, "*")]]))
    error_message = "The flow logs' role may do more than write logs."
  }
}

run "flow_logs_can_be_left_out" {
  command = plan

  module {
    source = "./modules/vpc"
  }

  variables {
    flow_logs = null
  }

  assert {
    condition     = length(aws_flow_log.this) + length(aws_iam_role.flow_logs) + length(aws_cloudwatch_log_group.flow_logs) == 0
    error_message = "Flow logs that nobody asked for."
  }
}

run "a_network_that_is_there_gets_groups_and_endpoints_only" {
  module {
    source = "./modules/vpc"
  }

  variables {
    existing = {
      route_table_ids = ["rtb-1"]
      subnet_ids      = ["subnet-1", "subnet-2"]
      vpc_id          = "vpc-1"
    }
  }

  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.private) + length(aws_route_table.private) + length(aws_default_security_group.this) + length(aws_flow_log.this) == 0
    error_message = "Something of another's network is changed or made."
  }

  assert {
    condition     = alltrue([for endpoint in concat(values(aws_vpc_endpoint.gateway), values(aws_vpc_endpoint.interface)) : jsondecode(endpoint.policy).Statement[0].Condition.StringEquals["aws:ResourceAccount"] == "123456789012"])
    error_message = "An endpoint leads to other accounts' resources."
  }

  assert {
    condition     = output.vpc_id == "vpc-1" && output.subnet_ids == tolist(["subnet-1", "subnet-2"]) && tolist(aws_vpc_endpoint.gateway["s3"].route_table_ids) == tolist(["rtb-1"])
    error_message = "The network that was given is not the one that is used."
  }
}

run "the_owner_of_a_network_may_leave_its_endpoints_unbounded" {
  command = plan

  module {
    source = "./modules/vpc"
  }

  variables {
    existing = {
      endpoint_policies = false
      route_table_ids   = ["rtb-1"]
      subnet_ids        = ["subnet-1"]
      vpc_id            = "vpc-1"
    }
  }

  assert {
    condition     = alltrue([for policy in values(local.endpoint_policies) : policy == null])
    error_message = "The endpoints are bounded against their owner's will."
  }
}

run "a_network_with_ways_of_its_own_gets_no_endpoints" {
  module {
    source = "./modules/vpc"
  }

  variables {
    existing = {
      endpoints  = false
      subnet_ids = ["subnet-1"]
      vpc_id     = "vpc-1"
    }
  }

  assert {
    condition     = length(aws_vpc_endpoint.gateway) + length(aws_vpc_endpoint.interface) + length(aws_security_group.endpoints) == 0
    error_message = "Endpoints that the network has already."
  }

  assert {
    condition     = toset([for rule in aws_security_group.functions.egress : rule.from_port]) == toset([443, 6379])
    error_message = "The functions may not reach AWS or the cache, or more than these."
  }
}
