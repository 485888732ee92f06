# The egress rules are part of the group, not resources of their own: emulators do not list a rule for a prefix list, and the provider
# then fails to find it.
resource "aws_security_group" "functions" {
  description = "LNN functions: out to the cache and the endpoints, nothing in"
  name        = "${var.prefix}-functions"
  vpc_id      = local.vpc_id

  dynamic "egress" {
    for_each = local.endpoints ? [1] : []

    content {
      description     = "HTTPS to the interface endpoints"
      from_port       = 443
      protocol        = "tcp"
      security_groups = [aws_security_group.endpoints[0].id]
      to_port         = 443
    }
  }

  dynamic "egress" {
    for_each = local.endpoints ? [1] : []

    content {
      description     = "HTTPS to S3 and DynamoDB through the gateway endpoints"
      from_port       = 443
      prefix_list_ids = [for endpoint in aws_vpc_endpoint.gateway : endpoint.prefix_list_id]
      protocol        = "tcp"
      to_port         = 443
    }
  }

  # An existing network that reaches AWS by ways of its own, to addresses that only its owner knows.
  dynamic "egress" {
    for_each = local.endpoints ? [] : [1]

    content {
      cidr_blocks = ["0.0.0.0/0"]
      description = "HTTPS to AWS by the ways that the network has"
      from_port   = 443
      protocol    = "tcp"
      to_port     = 443
    }
  }

  egress {
    description     = "The parameter server"
    from_port       = var.cache_port
    protocol        = "tcp"
    security_groups = [aws_security_group.cache.id]
    to_port         = var.cache_port
  }

  tags = { Name = "${var.prefix}-functions" }

  timeouts {
    delete = local.interfaces_gone
  }
}

resource "aws_security_group" "endpoints" {
  count = local.endpoints ? 1 : 0

  description = "LNN interface endpoints: HTTPS in from the functions, nothing out"
  name        = "${var.prefix}-endpoints"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.prefix}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_from_functions" {
  count = local.endpoints ? 1 : 0

  description                  = "HTTPS from the functions"
  from_port                    = 443
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.functions.id
  security_group_id            = aws_security_group.endpoints[0].id
  to_port                      = 443
}

resource "aws_security_group" "cache" {
  #checkov:skip=CKV2_AWS_5:attached by the module elasticache, which gets its id; checkov does not follow it there
  description = "LNN parameter server: in from the functions, nothing out"
  name        = "${var.prefix}-cache"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.prefix}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "cache_from_functions" {
  description                  = "The parameter server, from the functions"
  from_port                    = var.cache_port
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.functions.id
  security_group_id            = aws_security_group.cache.id
  to_port                      = var.cache_port
}
