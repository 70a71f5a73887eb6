output "context" {
  description = "For `atoll --context`."
  value       = module.federation.context
}

output "clusters" {
  description = "Which clusters the global plane hears."
  value       = { for cluster in data.atoll_federation.now.clusters : cluster.name => cluster.is_connected ? "connected" : "silent" }
}
