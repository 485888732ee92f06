# The notebook instance by itself: shut in, encrypted, and told at its start what the module was given.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id   = "123456789012"
  bucket       = { arn = "arn:aws:s3:::team-bucket", name = "team-bucket" }
  bundle       = "../build/notebook.zip"
  cache        = { port = 6379, security_group_id = "sg-cache" }
  environment  = { LNN_BUCKET = "team-bucket", LNN_CACHE_HOST = "cache.example.internal" }
  idle_minutes = 45
  kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"
  name         = "team-notebook"
  python       = "python3.13"
  region       = "us-east-1"

  network = {
    endpoints = { prefix_list_ids = ["pl-dynamodb", "pl-s3"], security_group_id = "sg-endpoints" }
    subnet_id = "subnet-private"
    vpc_id    = "vpc-1"
  }

  statements = {
    ReadRuns = { actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/team-runs"] }
  }
}

run "the_instance_is_shut_in_and_encrypted" {
  module {
    source = "./modules/notebook"
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.direct_internet_access == "Disabled" && aws_sagemaker_notebook_instance.this.subnet_id == "subnet-private" && aws_sagemaker_notebook_instance.this.security_groups == toset([aws_security_group.this.id])
    error_message = "The instance has a way to the internet, or is elsewhere than in the private subnet."
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.root_access == "Disabled" && aws_sagemaker_notebook_instance.this.instance_metadata_service_configuration[0].minimum_instance_metadata_service_version == "2" && aws_sagemaker_notebook_instance.this.kms_key_id == var.kms_key_arn
    error_message = "Its users are root, its metadata are open to any request, or its volume is not encrypted with the deployment's key."
  }

  assert {
    condition     = length(aws_security_group.this.ingress) == 0 && alltrue([for rule in aws_security_group.this.egress : try(length(rule.cidr_blocks), 0) == 0 && rule.from_port == rule.to_port])
    error_message = "Something may call the notebook, or it reaches more than the cache and the endpoints."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.cache.security_group_id == "sg-cache" && aws_vpc_security_group_ingress_rule.endpoints[0].security_group_id == "sg-endpoints"
    error_message = "Cache or endpoints do not let the notebook in."
  }
}

run "the_lifecycle_script_has_its_settings" {
  module {
    source = "./modules/notebook"
  }

  assert {
    condition = alltrue([
      for line in [
        "export AWS_REGION='us-east-1'", "export BUNDLE_KEY='notebook/bundle.zip'", "export IDLE_MINUTES='45'", "export LNN_ACCOUNT='123456789012'",
        "export LNN_BUCKET='team-bucket'", "export LNN_CACHE_HOST='cache.example.internal'", "export NOTEBOOK='team-notebook'", "export PYTHON='python3.13'",
      ] : contains(split("\n", base64decode(aws_sagemaker_notebook_instance_lifecycle_configuration.this.on_start)), line)
    ])
    error_message = "The script does not know what the module was given."
  }

  assert {
    condition     = startswith(base64decode(aws_sagemaker_notebook_instance_lifecycle_configuration.this.on_start), "#!/usr/bin/env bash\n") && endswith(base64decode(aws_sagemaker_notebook_instance_lifecycle_configuration.this.on_start), file("./modules/notebook/on_start.sh"))
    error_message = "The script is not the one in the module's folder."
  }
}

run "a_network_with_ways_of_its_own_needs_no_endpoints" {
  module {
    source = "./modules/notebook"
  }

  variables {
    network = { subnet_id = "subnet-1", vpc_id = "vpc-1" }
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.endpoints) == 0 && toset([for rule in aws_security_group.this.egress : rule.from_port]) == toset([443, 6379])
    error_message = "The notebook may not reach AWS or the cache, or more than these."
  }
}

run "refuses_wildcards_and_wrong_sizes" {
  command = plan

  module {
    source = "./modules/notebook"
  }

  variables {
    idle_minutes  = 1
    instance_type = "t3.medium"
    statements    = { Everything = { actions = ["s3:*"], resources = ["*"] } }
    volume_gb     = 5.5
  }

  expect_failures = [var.idle_minutes, var.instance_type, var.statements, var.volume_gb]
}

run "refuses_to_start_without_its_code" {
  command = plan

  module {
    source = "./modules/notebook"
  }

  variables {
    bundle = "../build/missing.zip"
  }

  expect_failures = [aws_s3_object.bundle]
}

run "refuses_a_setting_that_would_end_in_the_script" {
  command = plan

  module {
    source = "./modules/notebook"
  }

  variables {
    environment = { LNN_PREFIX = "'; reboot; '" }
  }

  expect_failures = [aws_sagemaker_notebook_instance_lifecycle_configuration.this]
}

run "refuses_settings_that_are_too_long" {
  command = plan

  module {
    source = "./modules/notebook"
  }

  variables {
    environment = { LNN_LONG = format("%010000d", 0) }
  }

  expect_failures = [aws_sagemaker_notebook_instance_lifecycle_configuration.this]
}
