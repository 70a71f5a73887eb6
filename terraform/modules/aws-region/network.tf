# The machines' network: no way to the internet and none from there. What they need of AWS is reached by private endpoints.

resource "aws_vpc" "this" {
  cidr_block = var.networks[var.region]
  # Both, so that the endpoints have the services' usual names.
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = var.name })

  lifecycle {
    precondition {
      condition     = length(local.hosts) > 0
      error_message = "The federation's file has no hosts in ${var.region}."
    }
    precondition {
      condition     = length(setsubtract(values(local.region_of), keys(var.networks))) == 0
      error_message = "Hosts stand in regions whose network nobody has named, and would not be reached: ${join(", ", setsubtract(values(local.region_of), keys(var.networks)))} (`networks`)."
    }
    precondition {
      condition     = alltrue([for zone in values(local.zones) : zone != null])
      error_message = "No subnet of ${var.region} has the address of ${join(", ", [for name, zone in local.zones : "${name} (${local.hosts[name].address})" if zone == null])}: addresses come from the federation's file, subnets from `subnets`."
    }
  }
}

# Whoever forgets to name a security group gets one that lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-default" })
}

resource "aws_subnet" "private" {
  for_each = var.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

# Nothing that AWS addresses by itself, such as an endpoint or a load balancer, takes a host's address.
resource "aws_ec2_subnet_cidr_reservation" "host" {
  for_each = local.hosts

  subnet_id        = aws_subnet.private[local.zones[each.key]].id
  cidr_block       = "${each.value.address}/32"
  reservation_type = "explicit"
  description      = "${each.key} of ${var.name}"
}

# The ways to other regions are added by whoever connects the networks.
resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.aws}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
  tags              = merge(var.tags, { Name = "${var.name}-s3" })

  # Nothing leaves by it into a bucket of somebody else.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:GetObject", "s3:ListBucket"]
      Resource  = [aws_s3_bucket.secrets.arn, "${aws_s3_bucket.secrets.arn}/*"]
    }]
  })
}

resource "aws_vpc_endpoint" "interface" {
  # ec2: a machine attaches its own disk.
  for_each = setunion(["ec2"], var.endpoints)

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.aws}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = values(aws_subnet.private)[*].id
  security_group_ids  = [aws_security_group.endpoints.id]
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })

  depends_on = [aws_ec2_subnet_cidr_reservation.host]
}

# Only where the gateways are to be reached from outside, and only for their load balancer.
resource "aws_internet_gateway" "public" {
  count = var.public_gateways == null ? 0 : 1

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  for_each = var.public_gateways == null ? {} : var.public_gateways.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

resource "aws_route_table" "public" {
  count = var.public_gateways == null ? 0 : 1

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "public" {
  count = var.public_gateways == null ? 0 : 1

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.public[0].id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}
