resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.prefix }
}

# A VPC's default security group lets its members talk to each other and to the internet: with no rules it lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-default-closed" }
}

resource "aws_subnet" "private" {
  for_each = { for index, zone in var.zones : zone => index }

  availability_zone = "${var.region}${each.key}"
  cidr_block        = cidrsubnet(var.cidr, 4, each.value)
  vpc_id            = aws_vpc.this.id

  tags = { Name = "${var.prefix}-private-${each.key}" }
}

# No route out: what the functions call is reached through endpoints, so no NAT gateway is needed.
resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-private" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private.id
  subnet_id      = each.value.id
}

# Its rules are part of it, not resources of their own: a rule resource for a prefix list fails on emulators that do not list it.
resource "aws_security_group" "functions" {
  description = "LNN functions: out to the cache and the endpoints, nothing in"
  name        = "${var.prefix}-functions"
  vpc_id      = aws_vpc.this.id

  egress {
    description     = "HTTPS to the interface endpoints"
    from_port       = 443
    protocol        = "tcp"
    security_groups = [aws_security_group.endpoints.id]
    to_port         = 443
  }

  egress {
    description     = "HTTPS to S3 and DynamoDB through the gateway endpoints"
    from_port       = 443
    prefix_list_ids = [for endpoint in aws_vpc_endpoint.gateway : endpoint.prefix_list_id]
    protocol        = "tcp"
    to_port         = 443
  }

  egress {
    description     = "The parameter server"
    from_port       = var.cache_port
    protocol        = "tcp"
    security_groups = [aws_security_group.cache.id]
    to_port         = var.cache_port
  }

  tags = { Name = "${var.prefix}-functions" }
}

resource "aws_security_group" "cache" {
  description = "LNN parameter server: in from the functions, nothing out"
  name        = "${var.prefix}-cache"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.prefix}-cache" }
}

resource "aws_security_group" "endpoints" {
  description = "LNN interface endpoints: HTTPS in from the functions, nothing out"
  name        = "${var.prefix}-endpoints"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.prefix}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "cache_from_functions" {
  description                  = "The parameter server, from the functions"
  from_port                    = var.cache_port
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.functions.id
  security_group_id            = aws_security_group.cache.id
  to_port                      = var.cache_port
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_from_functions" {
  description                  = "HTTPS from the functions"
  from_port                    = 443
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.functions.id
  security_group_id            = aws_security_group.endpoints.id
  to_port                      = 443
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = toset(["dynamodb", "s3"])

  route_table_ids   = [aws_route_table.private.id]
  service_name      = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  vpc_id            = aws_vpc.this.id

  tags = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_services

  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints.id]
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  vpc_endpoint_type   = "Interface"
  vpc_id              = aws_vpc.this.id

  tags = { Name = "${var.prefix}-${each.key}" }
}
