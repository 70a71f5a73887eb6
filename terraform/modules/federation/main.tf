# A federation on this machine, as `atoll up` runs it: every plane, gateway, sidecar and application is a process of its own.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

locals {
  name = var.federation.name
  home = var.atoll_home == null ? abspath("${path.module}/../../..") : var.atoll_home

  # What a user leaves out is left out of the file, too: there null is no value.
  spec = { for word, value in {
    trustDomain  = var.federation.trustDomain
    regions      = [for region in var.federation.regions : { for key, of in region : key => of if of != null }]
    trustDomains = var.federation.trustDomains == null ? null : [for domain in var.federation.trustDomains : { for key, of in domain : key => of if of != null }]
    clusters     = var.federation.clusters == null ? null : [for cluster in var.federation.clusters : { for key, of in cluster : key => of if of != null }]
    services = [for service in var.federation.services : { for key, of in merge(service, {
      directory    = service.directory == null ? null : abspath(service.directory)
      instances    = service.instances == null ? null : [for instance in service.instances : { for word, its in instance : word => its if its != null }]
      tcpUpstreams = service.tcpUpstreams == null ? null : [for upstream in service.tcpUpstreams : { for word, its in upstream : word => its if its != null }]
    }) : key => of if of != null }]
    relationships = var.federation.relationships == null ? null : [for relationship in var.federation.relationships : { for key, of in relationship : key => of if of != null }]
    policies      = var.federation.policies
    distances     = var.federation.distances
    clients       = var.federation.clients == null ? null : [for client in var.federation.clients : { for key, of in client : key => of if of != null }]
    users         = var.federation.users == null ? null : [for users in var.federation.users : { for key, of in users : key => of if of != null }]
  } : word => value if value != null }
  file = yamlencode({ apiVersion = "atoll.dev/v1alpha1", kind = "Federation", metadata = { name = local.name }, spec = local.spec })
}

resource "atoll_local_unit" "processes" {
  name            = "${local.name} as processes"
  program         = ["sh", abspath("${path.module}/units/processes.sh")]
  environment     = { ATOLL_HOME = local.home, DIRECTORY = var.directory, FEDERATION_NAME = local.name, FEDERATION = local.file }
  triggers        = { directory = var.directory, name = local.name }
  timeout_seconds = 600
}
