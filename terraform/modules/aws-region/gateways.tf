# A network load balancer for each name by which gateways are dialled, which passes TLS through: its certificates are the sidecars'. It is
# reached from the federation's networks, and a second one from outside where that is asked for.

locals {
  schemes   = length(local.balanced) == 0 ? toset([]) : toset(var.public_gateways == null ? ["internal"] : ["internal", "public"])
  addresses = toset([for cluster in local.balanced : cluster.gateway.address])
  balancers = { for pair in setproduct(local.schemes, local.addresses) : "${pair[0]} ${pair[1]}" => { scheme = pair[0], address = pair[1] } }
  listeners = { for pair in setproduct(local.schemes, keys(local.balanced)) : "${pair[0]} ${pair[1]}" => merge(local.balanced[pair[1]], { scheme = pair[0], cluster = pair[1] }) }
  targets = { for target in flatten([for listener, its in local.listeners : [
    for one in its.targets : { listener = listener, address = one.address, port = one.port }
  ]]) : "${target.listener} ${target.address}:${target.port}" => target }
}

resource "aws_lb" "gateways" {
  for_each = local.balancers

  load_balancer_type               = "network"
  internal                         = each.value.scheme == "internal"
  subnets                          = each.value.scheme == "internal" ? values(aws_subnet.private)[*].id : values(aws_subnet.public)[*].id
  security_groups                  = [aws_security_group.balancers[each.value.scheme].id]
  enable_cross_zone_load_balancing = true
  tags                             = merge(var.tags, { Name = "${var.name} ${each.key}" })

  depends_on = [aws_ec2_subnet_cidr_reservation.host]

  lifecycle {
    # It leads nobody into a zone in which it has no subnet, across zones or not.
    precondition {
      condition     = each.value.scheme == "internal" || length(setsubtract([for name, zone in local.zones : zone if contains([for target in local.targets : target.address], local.hosts[name].address)], keys(try(var.public_gateways.subnets, {})))) == 0
      error_message = "Gateways stand in zones in which the public load balancer has no subnet (public_gateways.subnets), and would not be reached by it: ${join(", ", distinct([for name, zone in local.zones : "${zone} (${name})" if contains([for target in local.targets : target.address], local.hosts[name].address)]))}."
    }
    precondition {
      condition     = length(distinct([for cluster in local.balanced : cluster.gateway.port if cluster.gateway.address == each.value.address])) == length([for cluster in local.balanced : 1 if cluster.gateway.address == each.value.address])
      error_message = "The gateways of several clusters are dialled at ${each.value.address} by one and the same port: give each cluster an address of its own (clusters[].gateways.address of the federation's file)."
    }
  }
}

resource "aws_lb_target_group" "gateways" {
  for_each = local.listeners

  vpc_id      = aws_vpc.this.id
  target_type = "ip"
  protocol    = "TCP"
  port        = each.value.gateway.port
  # A sidecar may be led back to its own machine, which would take answers to its own address for somebody else's.
  preserve_client_ip = false
  # A gateway that drains lets connections end for ten seconds (drainMs); a host that was taken from the file gets a minute.
  deregistration_delay = 60
  tags                 = merge(var.tags, { Name = "${var.name} ${each.key}" })

  # Judged dead after 30 s, when a gateway that drains has long ended: its last connections are not cut. Callers, which have measured
  # every gateway's address each second, have gone elsewhere before.
  health_check {
    protocol            = "TCP"
    port                = "traffic-port"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_target_group_attachment" "gateways" {
  for_each = local.targets

  target_group_arn = aws_lb_target_group.gateways[each.value.listener].arn
  target_id        = each.value.address
  port             = each.value.port
}

resource "aws_lb_listener" "gateways" {
  for_each = local.listeners

  load_balancer_arn = aws_lb.gateways["${each.value.scheme} ${each.value.gateway.address}"].arn
  protocol          = "TCP"
  port              = each.value.gateway.port
  # The most there is: a quiet connection of a TCP service would be forgotten without a word.
  tcp_idle_timeout_seconds = 6000
  tags                     = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gateways[each.key].arn
  }
}

# The same name inside and outside: who asks in which zone decides which load balancer it gets.
resource "aws_route53_record" "gateways" {
  for_each = { for key, balancer in local.balancers : key => balancer if balancer.scheme == "internal" || try(var.public_gateways.zone_id, null) != null }

  zone_id = each.value.scheme == "internal" ? var.zone_id : var.public_gateways.zone_id
  name    = each.value.address
  type    = "A"

  alias {
    name    = aws_lb.gateways[each.key].dns_name
    zone_id = aws_lb.gateways[each.key].zone_id
    # Whoever dials measures for itself: DNS is to say where gateways are, not whether they are well.
    evaluate_target_health = false
  }
}

# Route 53 cannot reach an internal load balancer, so it is told what that one has found.
resource "aws_cloudwatch_metric_alarm" "gateways" {
  for_each = local.listeners

  alarm_name          = "${var.name} gateways ${each.key}"
  alarm_description   = "No gateway of ${each.value.cluster} answers its load balancer (${each.value.scheme})"
  namespace           = "AWS/NetworkELB"
  metric_name         = "HealthyHostCount"
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics
  tags                = var.tags

  dimensions = {
    LoadBalancer = aws_lb.gateways["${each.value.scheme} ${each.value.gateway.address}"].arn_suffix
    TargetGroup  = aws_lb_target_group.gateways[each.key].arn_suffix
  }
}

resource "aws_route53_health_check" "gateways" {
  for_each = local.listeners

  type                            = "CLOUDWATCH_METRIC"
  cloudwatch_alarm_name           = aws_cloudwatch_metric_alarm.gateways[each.key].alarm_name
  cloudwatch_alarm_region         = local.aws
  insufficient_data_health_status = "Unhealthy"
  tags                            = merge(var.tags, { Name = "${var.name} gateways ${each.key}" })
}
