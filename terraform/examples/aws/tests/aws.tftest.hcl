# Run by `terraform test` in this folder, after `atoll bootstrap federation.yaml --out federation --init`: nothing of AWS is asked for or made.

mock_provider "aws" {
  alias = "eu"
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

mock_provider "aws" {
  alias = "us"
  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
}

mock_provider "aws" {
  alias = "ap"
  mock_data "aws_region" {
    defaults = { region = "ap-south-1" }
  }
}

variables {
  images                = { eu-west = "ami-0aaaaaaaaaaaaaaaa", us-east = "ami-0bbbbbbbbbbbbbbbb", ap-south = "ami-0cccccccccccccccc" }
  identity_certificates = "-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n"
}

run "puts_three_regions_together" {
  command = apply

  assert {
    condition     = output.groups == { for host in ["eu-1", "eu-2", "eu-3", "us-1", "us-2", "us-3", "ap-1", "ap-2", "ap-3"] : host => "shop-${ { eu = "eu-west", us = "us-east", ap = "ap-south" }[substr(host, 0, 2)]}-${host}" }
    error_message = "every host has a group of its own"
  }

  assert {
    condition     = toset(keys(output.health_checks)) == toset(["shop-eu", "shop-us", "shop-ap"])
    error_message = "the gateways of every cluster have a health check"
  }

  assert {
    condition     = toset([for vpc in aws_route53_zone.federation.vpc : "${vpc.vpc_id} ${vpc.vpc_region}"]) == toset(["${module.eu.vpc_id} eu-west-1", "${module.us.vpc_id} us-east-1", "${module.ap.vpc_id} ap-south-1"])
    error_message = "the gateways' names are seen from all three networks"
  }
}

run "says_where_the_certificates_of_a_region_are_missing" {
  command = plan

  variables {
    identity_certificates = "-----BEGIN CERTIFICATE-----\n"
    images                = { eu-west = "ami-0aaaaaaaaaaaaaaaa" }
  }

  expect_failures = [var.identity_certificates, var.images]
}

run "leads_a_name_to_all_gateways_of_its_cluster" {
  command = apply

  module {
    source = "../../modules/aws-region"
  }

  providers = { aws = aws.eu }

  variables {
    bootstrap = "federation"
    region    = "eu-west"
    name      = "shop-eu-west"
    networks  = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16", ap-south = "10.3.0.0/16" }
    subnets   = { eu-west-1a = "10.1.0.0/24", eu-west-1b = "10.1.1.0/24", eu-west-1c = "10.1.2.0/24" }
    image_id  = "ami-0aaaaaaaaaaaaaaaa"
    zone_id   = "ZPRIVATE"
  }

  assert {
    condition     = { for record in aws_route53_record.gateways : record.name => record.zone_id } == { "gateways.eu-west.shop.internal" = "ZPRIVATE" }
    error_message = "the name of the federation's file stands in the private zone, and nowhere else"
  }

  assert {
    condition     = toset([for target in aws_lb_target_group_attachment.gateways : "${target.target_id}:${target.port}"]) == toset(["10.1.0.10:15443", "10.1.1.10:15443"])
    error_message = "both gateways are behind it"
  }

  assert {
    condition     = alltrue([for balancer in aws_lb.gateways : balancer.internal && balancer.load_balancer_type == "network" && balancer.enable_cross_zone_load_balancing]) && length(aws_lb.gateways) == 1
    error_message = "one load balancer, which no public address leads to"
  }

  assert {
    condition     = alltrue([for listener in aws_lb_listener.gateways : listener.protocol == "TCP" && listener.port == 15443])
    error_message = "TLS is passed through, by the port of the federation's file"
  }

  assert {
    condition     = !contains(keys(aws_vpc_security_group_ingress_rule.from_networks), "us-east-15443") && toset(keys(aws_vpc_security_group_ingress_rule.from_balancer)) == toset(["internal-15443"])
    error_message = "gateways are reached through their load balancer only"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.to_networks)) == toset(flatten(["eu-west-15443", [for region in ["us-east", "ap-south"] : [for port in [15443, 4222, 7222, 7411] : "${region}-${port}"]]]))
    error_message = "machines reach: ${join(", ", keys(aws_vpc_security_group_egress_rule.to_networks))}"
  }

  # Peers of etcd and routes of nats-server stay within the region.
  assert {
    condition     = length(setsubtract(["2380", "6222"], keys(aws_vpc_security_group_ingress_rule.from_machines))) == 0
    error_message = "members of a region's engines reach each other"
  }

  assert {
    condition     = alltrue([for name, text in output.user_data : !strcontains(text, "PRIVATE KEY") && !strcontains(text, split("\n", file("federation/hosts/${name}/tls/engine.key"))[1])]) && alltrue([for template in aws_launch_template.host : length(template.user_data) < 16384])
    error_message = "user-data holds no key, and fits"
  }
}

run "opens_gateways_to_outside_where_that_is_asked_for" {
  command = apply

  module {
    source = "../../modules/aws-region"
  }

  providers = { aws = aws.eu }

  variables {
    bootstrap = "federation"
    region    = "eu-west"
    name      = "shop-eu-west"
    networks  = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16", ap-south = "10.3.0.0/16" }
    subnets   = { eu-west-1a = "10.1.0.0/24", eu-west-1b = "10.1.1.0/24", eu-west-1c = "10.1.2.0/24" }
    image_id  = "ami-0aaaaaaaaaaaaaaaa"
    zone_id   = "ZPRIVATE"
    public_gateways = {
      subnets = { eu-west-1a = "10.1.100.0/24", eu-west-1b = "10.1.101.0/24" }
      cidrs   = ["198.51.100.0/24"]
      zone_id = "ZPUBLIC"
    }
  }

  assert {
    condition     = { for record in aws_route53_record.gateways : record.zone_id => record.name } == { ZPRIVATE = "gateways.eu-west.shop.internal", ZPUBLIC = "gateways.eu-west.shop.internal" }
    error_message = "one name, which leads outside callers to the public load balancer"
  }

  assert {
    condition     = aws_lb.gateways["public gateways.eu-west.shop.internal"].internal == false && aws_lb.gateways["public gateways.eu-west.shop.internal"].subnets == toset([for subnet in aws_subnet.public : subnet.id])
    error_message = "the second load balancer is public"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.to_balancer : rule.cidr_ipv4 if rule.security_group_id == aws_security_group.balancers["public"].id]) == toset(["198.51.100.0/24"])
    error_message = "it is reached by the callers that were named"
  }
}

run "names_the_zones_in_which_a_public_load_balancer_needs_subnets" {
  command = plan

  module {
    source = "../../modules/aws-region"
  }

  providers = { aws = aws.eu }

  variables {
    bootstrap       = "federation"
    region          = "eu-west"
    name            = "shop-eu-west"
    networks        = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16", ap-south = "10.3.0.0/16" }
    subnets         = { eu-west-1a = "10.1.0.0/24", eu-west-1b = "10.1.1.0/24", eu-west-1c = "10.1.2.0/24" }
    image_id        = "ami-0aaaaaaaaaaaaaaaa"
    zone_id         = "ZPRIVATE"
    public_gateways = { subnets = { eu-west-1a = "10.1.100.0/24" }, cidrs = ["198.51.100.0/24"] }
  }

  expect_failures = [aws_lb.gateways]
}
