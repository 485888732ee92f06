# Zones are chosen once: what AWS offers later moves no subnet.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id = "123456789012"
  cache_port = 6379
  cidr       = "10.0.0.0/20"
  prefix     = "lnn"
  region     = "us-east-1"
}

run "the_first_zone_that_has_every_service_is_taken" {
  module {
    source = "./modules/vpc"
  }

  override_data {
    target = data.aws_vpc_endpoint_service.interface["lambda"]
    values = { availability_zones = ["us-east-1b", "us-east-1c"] }
  }

  # Which the filter leaves.
  override_data {
    target = data.aws_availability_zones.this
    values = { names = ["us-east-1b", "us-east-1c"] }
  }

  assert {
    condition     = keys(aws_subnet.private) == ["b"] && aws_subnet.private["b"].availability_zone == "us-east-1b"
    error_message = "The functions are where the service is not."
  }
}

run "a_zone_that_has_every_service_since_then_changes_nothing" {
  module {
    source = "./modules/vpc"
  }

  assert {
    condition     = keys(aws_subnet.private) == ["b"]
    error_message = "The subnets move to a zone that AWS added."
  }
}

run "nor_does_a_zone_that_lost_a_service" {
  module {
    source = "./modules/vpc"
  }

  override_data {
    target = data.aws_availability_zones.this
    values = { names = ["us-east-1c"] }
  }

  assert {
    condition     = keys(aws_subnet.private) == ["b"]
    error_message = "The subnets leave a zone that AWS closed to new ones."
  }
}

run "another_count_is_refused" {
  command = plan

  module {
    source = "./modules/vpc"
  }

  variables {
    zone_count = 2
  }

  expect_failures = [terraform_data.zones]
}

run "named_zones_are_taken_and_those_before_stay" {
  module {
    source = "./modules/vpc"
  }

  variables {
    zones = ["b", "a"]
  }

  assert {
    condition     = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == { a = "10.0.1.0/24", b = "10.0.0.0/24" }
    error_message = "The subnet that was there has another place."
  }
}
