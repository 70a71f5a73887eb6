output "context" {
  description = "Path of the context file, for the provider and for `atoll --context`. Known once the federation is up: a provider that is told it asks nobody while an apply is about to start the planes."
  value       = replace(atoll_local_unit.federation.instance, "/^.*$/", "${local.data}/context.json")
}

output "parts" {
  description = "What the module `region` needs to know."
  value = {
    target    = var.target
    name      = local.name
    directory = var.directory
    home      = local.home
    images    = local.images
    revision  = sha256(local.file)
    instance  = atoll_local_unit.federation.instance
  }
}

output "client_contexts" {
  description = "Paths of the context files of federation.clients, by their names. Known once the federation is up."
  value       = { for client in coalesce(var.federation.clients, []) : client.name => replace(atoll_local_unit.federation.instance, "/^.*$/", "${local.data}/clients/${client.name}.json") }
}

output "file" {
  description = "The federation's file, as `atoll up`, or on the target docker `atoll bootstrap`, reads it."
  value       = local.file
}
