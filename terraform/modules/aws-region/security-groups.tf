# Who reaches which port (docs/ports.md). Everything on these ports is mutual TLS besides; this is the second lock.

resource "aws_security_group" "machines" {
  name        = "${var.name}-machines"
  description = "Machines of Atoll"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-machines" })
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "Private endpoints of AWS"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_security_group" "balancers" {
  for_each = local.schemes

  name        = "${var.name}-${each.key}-gateways"
  description = "Load balancer of Atoll's gateways, ${each.key}"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-${each.key}-gateways" })
}

locals {
  # Rules by a name that says what they let through.
  from_machines = toset([for port in local.region_ports : tostring(port)])
  from_networks = { for pair in setproduct(keys(local.other_networks), local.federation_ports[var.region]) : "${pair[0]}-${pair[1]}" => { network = local.other_networks[pair[0]], port = pair[1] } }
  from_admins   = { for pair in setproduct(var.admin_cidrs, local.admin_ports) : "${pair[0]}-${pair[1]}" => { network = pair[0], port = pair[1] } }
  from_balancer = { for pair in setproduct(local.schemes, local.target_ports) : "${pair[0]}-${pair[1]}" => { scheme = pair[0], port = pair[1] } }
  to_networks = { for rule in flatten([for region, network in var.networks : [
    for port in distinct(concat(local.listener_ports[region], region == var.region ? [] : local.federation_ports[region])) : { region = region, network = network, port = port }
  ]]) : "${rule.region}-${rule.port}" => rule }
  to_balancer = { for rule in flatten([for scheme in local.schemes : [
    for pair in setproduct(scheme == "public" ? var.public_gateways.cidrs : values(var.networks), local.listener_ports[var.region]) : { scheme = scheme, network = pair[0], port = pair[1] }
  ]]) : "${rule.scheme}-${rule.network}-${rule.port}" => rule }
}

resource "aws_vpc_security_group_ingress_rule" "from_machines" {
  for_each = local.from_machines

  security_group_id            = aws_security_group.machines.id
  description                  = "From machines of this region"
  referenced_security_group_id = aws_security_group.machines.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
}

resource "aws_vpc_security_group_ingress_rule" "from_networks" {
  for_each = local.from_networks

  security_group_id = aws_security_group.machines.id
  description       = "From machines of another region"
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "from_admins" {
  for_each = local.from_admins

  security_group_id = aws_security_group.machines.id
  description       = "Admin API"
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  for_each = local.from_balancer

  security_group_id            = aws_security_group.machines.id
  description                  = "Gateways, from their load balancer"
  referenced_security_group_id = aws_security_group.balancers[each.value.scheme].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "to_machines" {
  for_each = local.from_machines

  security_group_id            = aws_security_group.machines.id
  description                  = "To machines of this region"
  referenced_security_group_id = aws_security_group.machines.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
}

resource "aws_vpc_security_group_egress_rule" "to_networks" {
  for_each = local.to_networks

  security_group_id = aws_security_group.machines.id
  description       = "To machines of another region, and to load balancers of gateways"
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "to_endpoints" {
  security_group_id            = aws_security_group.machines.id
  description                  = "To endpoints of AWS"
  referenced_security_group_id = aws_security_group.endpoints.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "to_s3" {
  security_group_id = aws_security_group.machines.id
  description       = "To S3, by its endpoint"
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id            = aws_security_group.endpoints.id
  description                  = "From machines of this region"
  referenced_security_group_id = aws_security_group.machines.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "to_balancer" {
  for_each = local.to_balancer

  security_group_id = aws_security_group.balancers[each.value.scheme].id
  description       = "Callers of gateways"
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "from_balancer" {
  for_each = local.from_balancer

  security_group_id            = aws_security_group.balancers[each.value.scheme].id
  description                  = "To gateways, and their health checks"
  referenced_security_group_id = aws_security_group.machines.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}
