# A federation in three regions of AWS, of one file: `atoll bootstrap federation.yaml --out federation --init` comes first (docs/terraform.md).
# Written for review; it was never applied.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }
}

provider "aws" {
  alias  = "eu"
  region = "eu-west-1"
}

provider "aws" {
  alias  = "us"
  region = "us-east-1"
}

provider "aws" {
  alias  = "ap"
  region = "ap-south-1"
}

locals {
  bootstrap = coalesce(var.bootstrap, "${path.module}/federation")
  networks  = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16", ap-south = "10.3.0.0/16" }
  # Where planes look for AWS's certificates: `certificatesFile` of the federation's file.
  files = { "/etc/atoll-aws-identity.pem" = var.identity_certificates }
  tags  = { Federation = "fed.example" }
}

module "eu" {
  source    = "../../modules/aws-region"
  providers = { aws = aws.eu }

  bootstrap   = local.bootstrap
  region      = "eu-west"
  name        = "shop-eu-west"
  networks    = local.networks
  subnets     = { eu-west-1a = "10.1.0.0/24", eu-west-1b = "10.1.1.0/24", eu-west-1c = "10.1.2.0/24" }
  image_id    = var.images["eu-west"]
  files       = local.files
  admin_cidrs = var.admin_cidrs
  zone_id     = aws_route53_zone.federation.zone_id
  tags        = local.tags
}

module "us" {
  source    = "../../modules/aws-region"
  providers = { aws = aws.us }

  bootstrap   = local.bootstrap
  region      = "us-east"
  name        = "shop-us-east"
  networks    = local.networks
  subnets     = { us-east-1a = "10.2.0.0/24", us-east-1b = "10.2.1.0/24", us-east-1c = "10.2.2.0/24" }
  image_id    = var.images["us-east"]
  files       = local.files
  admin_cidrs = var.admin_cidrs
  zone_id     = aws_route53_zone.federation.zone_id
  tags        = local.tags
}

module "ap" {
  source    = "../../modules/aws-region"
  providers = { aws = aws.ap }

  bootstrap   = local.bootstrap
  region      = "ap-south"
  name        = "shop-ap-south"
  networks    = local.networks
  subnets     = { ap-south-1a = "10.3.0.0/24", ap-south-1b = "10.3.1.0/24", ap-south-1c = "10.3.2.0/24" }
  image_id    = var.images["ap-south"]
  files       = local.files
  admin_cidrs = var.admin_cidrs
  zone_id     = aws_route53_zone.federation.zone_id
  tags        = local.tags
}

# The gateways' names, seen from the three networks and from nowhere else.
resource "aws_route53_zone" "federation" {
  provider = aws.eu

  name = "shop.internal"
  tags = local.tags

  dynamic "vpc" {
    for_each = [module.eu.network, module.us.network, module.ap.network]

    content {
      vpc_id     = vpc.value.vpc_id
      vpc_region = vpc.value.region
    }
  }
}

module "eu_us" {
  source    = "../../modules/aws-peering"
  providers = { aws.requester = aws.eu, aws.accepter = aws.us }

  requester = module.eu.network
  accepter  = module.us.network
  tags      = local.tags
}

module "eu_ap" {
  source    = "../../modules/aws-peering"
  providers = { aws.requester = aws.eu, aws.accepter = aws.ap }

  requester = module.eu.network
  accepter  = module.ap.network
  tags      = local.tags
}

module "us_ap" {
  source    = "../../modules/aws-peering"
  providers = { aws.requester = aws.us, aws.accepter = aws.ap }

  requester = module.us.network
  accepter  = module.ap.network
  tags      = local.tags
}
