output "contexts" {
  description = "What each team's provider reads: the planes, and the team's own certificate."
  value       = module.federation.client_contexts
}
