output "vpc_id" {
  description = "The region's network."
  value       = aws_vpc.this.id
}

output "network" {
  description = "What connects it with another region's (module aws-peering)."
  value       = { vpc_id = aws_vpc.this.id, cidr = aws_vpc.this.cidr_block, route_table_id = aws_route_table.private.id, region = local.aws }
}

output "secrets" {
  description = "The bucket that `keys`, `tls` and `tokens` of each host are put into, below the host's name."
  value       = aws_s3_bucket.secrets.id
}

output "groups" {
  description = "The autoscaling group of each host: a refresh of it replaces its machine."
  value       = { for name, group in aws_autoscaling_group.host : name => group.name }
}

output "security_group_id" {
  description = "That of the machines, for further rules: what applications beside the sidecars need."
  value       = aws_security_group.machines.id
}

output "key_arn" {
  description = "The KMS key of everything that is written here."
  value       = aws_kms_key.this.arn
}

output "health_checks" {
  description = "Route 53's health check of each cluster's gateways, by cluster, as their internal load balancer sees them."
  value       = { for listener, its in local.listeners : its.cluster => aws_route53_health_check.gateways[listener].id if its.scheme == "internal" }
}

output "user_data" {
  description = "What each machine is told at its start, by host; nothing in it is secret."
  value       = { for name in keys(local.hosts) : name => module.machine[name].user_data }
}
