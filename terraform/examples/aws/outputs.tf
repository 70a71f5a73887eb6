output "secrets" {
  description = "The bucket of each region, for each host's `keys` and `tls` below the host's name."
  value       = { eu-west = module.eu.secrets, us-east = module.us.secrets, ap-south = module.ap.secrets }
}

output "groups" {
  description = "Each host's autoscaling group."
  value       = merge(module.eu.groups, module.us.groups, module.ap.groups)
}

output "health_checks" {
  description = "Route 53's health checks, by cluster."
  value       = merge(module.eu.health_checks, module.us.health_checks, module.ap.health_checks)
}
