# Connects the networks of two regions by a peering of their VPCs, with the ways there and back. Written for review; it was never applied.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = "~> 6.25"
      configuration_aliases = [aws.requester, aws.accepter]
    }
  }
}

resource "aws_vpc_peering_connection" "this" {
  provider = aws.requester

  vpc_id      = var.requester.vpc_id
  peer_vpc_id = var.accepter.vpc_id
  peer_region = var.accepter.region
  tags        = merge(var.tags, { Name = "${var.requester.region} ${var.accepter.region}" })
}

resource "aws_vpc_peering_connection_accepter" "this" {
  provider = aws.accepter

  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
  auto_accept               = true
  tags                      = merge(var.tags, { Name = "${var.requester.region} ${var.accepter.region}" })
}

resource "aws_route" "to_accepter" {
  provider = aws.requester

  route_table_id         = var.requester.route_table_id
  destination_cidr_block = var.accepter.cidr
  # Of the accepted connection: a way into one that is pending leads nowhere.
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}

resource "aws_route" "to_requester" {
  provider = aws.accepter

  route_table_id            = var.accepter.route_table_id
  destination_cidr_block    = var.requester.cidr
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}
