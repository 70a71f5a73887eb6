# A machine for each host of the federation's file, each kept by an autoscaling group of exactly one: a host has an identity, keys and a
# store of its own, and no other machine can stand in for it. Its network interface, with its address, and its data volume outlive it.

module "machine" {
  source   = "../machine"
  for_each = local.hosts

  bootstrap = var.bootstrap
  host      = each.key
  files     = var.files
  data = {
    # As udev names a disk of a Nitro machine, by the volume's id without its hyphen.
    device = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.data[each.key].id, "-", "")}"
    # Never by force: while the machine before this one has the volume, it may still write to it.
    attach = ["aws ec2 attach-volume --region ${local.aws} --volume-id ${aws_ebs_volume.data[each.key].id} --instance-id \"$(cat /var/lib/cloud/data/instance-id)\" --device /dev/sdf"]
  }
  fetch = ["aws s3 cp --region ${local.aws} --recursive --only-show-errors s3://${aws_s3_bucket.secrets.id}/${each.key}/ ."]
}

resource "aws_network_interface" "host" {
  for_each = local.hosts

  subnet_id       = aws_subnet.private[local.zones[each.key]].id
  private_ips     = [each.value.address]
  security_groups = [aws_security_group.machines.id]
  description     = "${each.key} of ${var.name}"
  tags            = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_ebs_volume" "data" {
  for_each = local.hosts

  availability_zone = local.zones[each.key]
  size              = var.data_gib
  type              = "gp3"
  encrypted         = true
  kms_key_id        = aws_kms_key.this.arn
  # A signer's root has no other copy: what is destroyed leaves a snapshot.
  final_snapshot = true
  tags           = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_launch_template" "host" {
  for_each = local.hosts

  name                   = "${var.name}-${each.key}"
  image_id               = var.image_id
  instance_type          = lookup(var.instance_types, each.key, var.instance_type)
  user_data              = module.machine[each.key].user_data_gzip_base64
  update_default_version = true
  tags                   = var.tags

  network_interfaces {
    device_index          = 0
    network_interface_id  = aws_network_interface.host[each.key].id
    delete_on_termination = false
  }

  block_device_mappings {
    device_name = var.root_device.name

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_device.size_gib
      encrypted             = true
      kms_key_id            = aws_kms_key.this.arn
      delete_on_termination = true
    }
  }

  iam_instance_profile {
    arn = aws_iam_instance_profile.host[each.key].arn
  }

  # Documents and credentials only for whoever is on the machine itself, and not for what stands behind another hop of it.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}", AtollHost = "${var.name}-${each.key}" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}-root" })
  }
}

resource "aws_autoscaling_group" "host" {
  for_each = local.hosts

  name                    = "${var.name}-${each.key}"
  min_size                = 1
  max_size                = 1
  desired_capacity        = 1
  health_check_type       = "EC2"
  service_linked_role_arn = aws_iam_service_linked_role.autoscaling.arn
  # The interface says which subnet; AWS takes either, and the subnet not beside an interface that there is.
  availability_zones = [local.zones[each.key]]

  # A change of it is no refresh: members of one etcd are replaced one after the other, by a person or a pipeline that looks on.
  launch_template {
    id      = aws_launch_template.host[each.key].id
    version = aws_launch_template.host[each.key].latest_version
  }

  # The interface and the volume are free only when the machine before has ended.
  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = "${var.name}-${each.key}" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  # What a machine needs to set itself up.
  depends_on = [aws_iam_role_policy.host, aws_vpc_endpoint.interface, aws_vpc_endpoint.s3, aws_kms_key.this]
}
