# Run by `terraform test` in this folder: nothing of AWS is asked for or made. The bootstrap directory is the example that this repository
# keeps, whose gateways are dialled at their hosts.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  bootstrap = "../../../infra/example"
  region    = "eu-west"
  name      = "shop-eu-west"
  networks  = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16" }
  subnets   = { eu-west-1a = "10.1.0.0/28", eu-west-1b = "10.1.0.16/28" }
  image_id  = "ami-0123456789abcdef0"
  zone_id   = "Z0123456789"
}

run "has_a_group_of_one_for_each_host_in_the_zone_of_its_address" {
  command = plan

  assert {
    condition     = { for name, group in aws_autoscaling_group.host : name => one(group.availability_zones) } == { eu-1 = "eu-west-1a", eu-2 = "eu-west-1b" }
    error_message = "a host stands in the zone whose subnet has its address"
  }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.host : group.min_size == 1 && group.max_size == 1 && group.vpc_zone_identifier == null])
    error_message = "exactly one machine can have a host's interface and volume"
  }

  assert {
    condition     = { for name, interface in aws_network_interface.host : name => one(interface.private_ips) } == { eu-1 = "10.1.0.10", eu-2 = "10.1.0.20" }
    error_message = "addresses are those of the federation's file"
  }
}

run "encrypts_what_is_written_and_asks_for_the_newer_metadata_service" {
  command = apply

  assert {
    condition     = alltrue([for volume in aws_ebs_volume.data : volume.encrypted && volume.kms_key_id == aws_kms_key.this.arn && volume.final_snapshot]) && aws_kms_key.this.enable_key_rotation
    error_message = "data volumes are encrypted by the region's key"
  }

  assert {
    condition     = alltrue(flatten([for template in aws_launch_template.host : [for mapping in template.block_device_mappings : mapping.ebs[0].encrypted == "true" && mapping.ebs[0].kms_key_id == aws_kms_key.this.arn]]))
    error_message = "root volumes are encrypted by the region's key"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.host : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "documents are for whoever is on the machine itself"
  }

  assert {
    condition     = length(aws_internet_gateway.public) == 0 && length(aws_lb.gateways) == 0
    error_message = "nothing has a public address that nobody asked for"
  }
}

run "opens_to_each_what_it_dials" {
  command = plan

  # Another region joins here, and meets this one's nats-server; admin APIs, discovery and etcd are not for it.
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.from_networks)) == toset(["us-east-15443", "us-east-4222", "us-east-7222", "us-east-7401", "us-east-7411"])
    error_message = "from another region: ${join(", ", keys(aws_vpc_security_group_ingress_rule.from_networks))}"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.from_machines)) == toset(["15006", "15443", "2379", "4222", "7222", "7401", "7410", "7411"])
    error_message = "within the region: ${join(", ", keys(aws_vpc_security_group_ingress_rule.from_machines))}"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.to_networks)) == toset(["us-east-15443", "us-east-4222", "us-east-7222", "us-east-7411"])
    error_message = "to another region: ${join(", ", keys(aws_vpc_security_group_egress_rule.to_networks))}"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.from_admins) == 0
    error_message = "nobody administers who was not named"
  }
}

run "opens_admin_apis_to_whom_it_is_told" {
  command = plan

  variables {
    admin_cidrs = ["10.9.0.0/24"]
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.from_admins)) == toset(["10.9.0.0/24-7400", "10.9.0.0/24-7420"])
    error_message = "admin: ${join(", ", keys(aws_vpc_security_group_ingress_rule.from_admins))}"
  }
}

run "gives_a_machine_its_own_secrets_and_its_own_disk" {
  command = apply

  assert {
    condition = alltrue([for name, policy in aws_iam_role_policy.host : alltrue([
      for statement in jsondecode(policy.policy).Statement : statement.Sid == "ReadOwnSecrets" ? statement.Resource == "${aws_s3_bucket.secrets.arn}/${name}/*" : statement.Sid == "AttachOwnDisk" ? statement.Resource == aws_ebs_volume.data[name].arn : true
    ])])
    error_message = "a machine's role is for that machine"
  }

  assert {
    condition = { for name, text in output.user_data : name => one([for written in yamldecode(text).write_files : written.content if endswith(written.path, "/attach.sh")]) } == {
      for name, volume in aws_ebs_volume.data : name => "#!/bin/sh\nset -eu\naws ec2 attach-volume --region eu-west-1 --volume-id ${volume.id} --instance-id \"$(cat /var/lib/cloud/data/instance-id)\" --device /dev/sdf\n"
    }
    error_message = "a machine attaches its own disk"
  }

  assert {
    condition = alltrue([for name, text in output.user_data : (
      strcontains(text, "data.sh /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.data[name].id, "-", "")} /var/lib/atoll;") &&
      one([for written in yamldecode(text).write_files : strcontains(written.content, "\naws s3 cp --region eu-west-1 --recursive --only-show-errors s3://${aws_s3_bucket.secrets.id}/${name}/ .\nsh ./install.sh\n") if endswith(written.path, "/setup.sh")])
    )])
    error_message = "a machine waits for that disk, and brings its secrets before install.sh wants them"
  }
}

run "names_the_host_that_no_subnet_has" {
  command = plan

  variables {
    subnets = { eu-west-1a = "10.1.0.0/28" }
  }

  expect_failures = [aws_vpc.this]
}

run "refuses_a_region_without_hosts" {
  command = plan

  variables {
    region   = "mars"
    networks = { eu-west = "10.1.0.0/16", us-east = "10.2.0.0/16", mars = "10.3.0.0/16" }
  }

  expect_failures = [aws_vpc.this]
}

run "names_the_region_whose_network_is_missing" {
  command = plan

  variables {
    networks = { eu-west = "10.1.0.0/16" }
  }

  expect_failures = [aws_vpc.this]
}

run "refuses_networks_that_cannot_be_told_apart" {
  command = plan

  variables {
    networks = { eu-west = "10.1.0.0/16", us-east = "10.1.0.0/16" }
  }

  expect_failures = [var.networks]
}

run "refuses_what_is_no_image_and_where_bootstrap_has_written_nothing" {
  command = plan

  variables {
    bootstrap = "../../../infra/example/hosts"
    image_id  = "debian"
  }

  expect_failures = [var.bootstrap, var.image_id]
}
