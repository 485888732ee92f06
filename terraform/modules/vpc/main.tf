data "aws_partition" "current" {}

# The zones with every service have to be asked for: the same letter means different zones in different accounts, and an account may
# have no zone "a", or one without Lambda. The first filter leaves out local and wavelength zones, which have neither service.
data "aws_availability_zones" "this" {
  count = length(local.serving_zones) > 0 ? 1 : 0

  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  filter {
    name   = "zone-name"
    values = local.serving_zones
  }
}

data "aws_vpc_endpoint_service" "interface" {
  for_each = local.chooses ? var.interface_services : toset([])

  service_name = "com.amazonaws.${var.region}.${each.key}"
  service_type = "Interface"
}

# Keeps the choice of the first apply. A new choice, after AWS adds or closes a zone, would move the subnets and the cache with them.
# What follows reads `input`, not `output`, which a plan does not know before the first apply.
resource "terraform_data" "zones" {
  count = local.chooses ? 1 : 0

  input = slice(local.open_zones, 0, min(var.zone_count, length(local.open_zones)))

  lifecycle {
    ignore_changes = [input]

    postcondition {
      condition     = length(self.input) == var.zone_count
      error_message = "zone_count is ${var.zone_count}, and the zones are ${jsonencode(self.input)}, chosen at the first deployment. Zones of ${var.region} that have ${join(", ", var.interface_services)}: ${jsonencode(local.open_zones)}. Name those that you want in zones, the present ones first."
    }
  }
}

locals {
  # Lambda's network interfaces outlive their functions by up to an hour
  # (https://github.com/hashicorp/terraform-provider-aws/issues/32130). Until then AWS refuses to delete their subnets and groups.
  interfaces_gone = "90m"

  is_new    = var.existing == null
  chooses   = local.is_new && var.zones == null
  endpoints = local.is_new || try(var.existing.endpoints, false)

  # Names of the zones where every service has its endpoint; and letters of those that are open to the account.
  serving_zones = local.chooses ? setintersection([for service in data.aws_vpc_endpoint_service.interface : service.availability_zones]...) : []
  open_zones    = sort([for name in flatten(data.aws_availability_zones.this[*].names) : trimprefix(name, var.region)])

  chosen_zones = local.chooses ? terraform_data.zones[0].input : var.zones
  zones        = local.is_new ? { for index, zone in local.chosen_zones : zone => index } : {}

  # Either a new network or the existing one. A splat, since a network that is not made has no element [0].
  route_table_ids = local.is_new ? aws_route_table.private[*].id : var.existing.route_table_ids
  subnet_ids      = local.is_new ? [for zone in local.chosen_zones : aws_subnet.private[zone].id] : var.existing.subnet_ids
  vpc_id          = local.is_new ? aws_vpc.this[0].id : var.existing.vpc_id

  log_group_name = "/aws/vpc/${var.prefix}"
  log_group_arn  = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:${local.log_group_name}"

  # An attacker who takes a function over cannot carry data through an endpoint to another account.
  own_account_only = {
    Sid    = "OwnAccountOnly"
    Effect = "Allow"
    # "*": a gateway endpoint takes no other principal.
    Principal = "*"
    # "*": a bound grants nothing; the roles' policies do.
    Action = "*"
    # "*": the condition limits it to this account.
    Resource  = "*"
    Condition = { StringEquals = { "aws:ResourceAccount" = var.account_id } }
  }
  read_foreign_buckets = {
    Sid    = "ReadForeignBuckets"
    Effect = "Allow"
    # "*": as above.
    Principal = "*"
    Action    = ["s3:GetObject"]
    Resource  = [for bucket in var.foreign_buckets : "arn:${data.aws_partition.current.partition}:s3:::${bucket}/*"]
  }
  bounded = local.is_new || try(var.existing.endpoint_policies, true)
  endpoint_policies = {
    for service in setunion(["dynamodb", "s3"], var.interface_services) : service => local.bounded ? jsonencode({
      Version   = "2012-10-17"
      Statement = concat([local.own_account_only], service == "s3" && length(var.foreign_buckets) > 0 ? [local.read_foreign_buckets] : [])
    }) : null
  }
}

resource "aws_vpc" "this" {
  count = local.is_new ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.prefix }
}

# A VPC's default security group lets its members talk to each other and to the internet: with no rules it lets nothing through.
resource "aws_default_security_group" "this" {
  count = local.is_new ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.prefix}-default-closed" }
}

resource "aws_subnet" "private" {
  for_each = local.zones

  availability_zone = "${var.region}${each.key}"
  cidr_block        = cidrsubnet(var.cidr, 4, each.value)
  vpc_id            = aws_vpc.this[0].id

  tags = { Name = "${var.prefix}-private-${each.key}" }

  timeouts {
    delete = local.interfaces_gone
  }
}

# No route out: what the functions call is reached through endpoints, so no NAT gateway is needed.
resource "aws_route_table" "private" {
  count = local.is_new ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.prefix}-private" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private[0].id
  subnet_id      = each.value.id
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = local.endpoints ? toset(["dynamodb", "s3"]) : toset([])

  policy            = local.endpoint_policies[each.key]
  route_table_ids   = local.route_table_ids
  service_name      = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  vpc_id            = local.vpc_id

  tags = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoints ? var.interface_services : toset([])

  policy              = local.endpoint_policies[each.key]
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints[0].id]
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  subnet_ids          = local.subnet_ids
  vpc_endpoint_type   = "Interface"
  vpc_id              = local.vpc_id

  tags = { Name = "${var.prefix}-${each.key}" }
}
