# A federation on this machine. As processes it is all of it, as `atoll up` runs it; in containers it is the global plane and what that
# stands on, and each region is a module `region` of its own.

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

  # Where contexts lie: what `atoll bootstrap --out` writes, or what `atoll up` keeps.
  data = var.target == "docker" ? var.directory : "${var.directory}/data"

  images = { ATOLL_IMAGE = var.images.atoll, ETCD_IMAGE = var.images.etcd, NATS_IMAGE = var.images.nats_server, APP_IMAGE = coalesce(var.images.application, var.images.atoll) }

  # In containers each cluster is a machine of its own, in its region's network, and each service has a port of its own there.
  isDocker = var.target == "docker"
  clusters = var.federation.clusters != null ? var.federation.clusters : [for region in var.federation.regions : { name = region.name, region = region.name, trustDomain = tostring(null), exportNamespaces = tolist(null) }]
  networks = { for at, region in var.federation.regions : region.name => cidrsubnet(var.network, 8, at + 1) }
  machines = {
    engines  = { kind = "etcd-nats" }
    hosts    = [for at, cluster in local.clusters : { name = cluster.name, region = cluster.region, address = cidrhost(local.networks[cluster.region], at + 10) }]
    clusters = [for cluster in local.clusters : merge({ for key, of in cluster : key => of if of != null }, { host = cluster.name })]
  }

  # What a user leaves out is left out of the file, too: there null is no value.
  spec = { for word, value in merge({
    trustDomain = var.federation.trustDomain
    regions     = [for region in var.federation.regions : { for key, of in region : key => of if of != null }]
    trustDomains = var.federation.trustDomains == null ? null : [for domain in var.federation.trustDomains : { for key, of in merge(domain, {
      bundleEndpoint = domain.bundleEndpoint == null ? null : { for word, its in domain.bundleEndpoint : word => its if its != null }
    }) : key => of if of != null }]
    clusters = var.federation.clusters == null ? null : [for cluster in var.federation.clusters : { for key, of in cluster : key => of if of != null }]
    services = [for at, service in var.federation.services : { for key, of in merge(service, {
      appPort      = local.isDocker && service.appPort == null ? 8080 + at : service.appPort
      directory    = service.directory == null ? null : abspath(service.directory)
      instances    = service.instances == null ? null : [for instance in service.instances : { for word, its in instance : word => its if its != null }]
      tcpUpstreams = service.tcpUpstreams == null ? null : [for upstream in service.tcpUpstreams : { for word, its in upstream : word => its if its != null }]
    }) : key => of if of != null }]
    relationships = var.federation.relationships == null ? null : [for relationship in var.federation.relationships : { for key, of in relationship : key => of if of != null }]
    policies      = var.federation.policies
    distances     = var.federation.distances
    clients       = var.federation.clients == null ? null : [for client in var.federation.clients : { for key, of in client : key => of if of != null }]
    backups       = var.federation.backups == null ? null : { for key, of in var.federation.backups : key => of if of != null }
    users         = var.federation.users == null ? null : [for users in var.federation.users : { for key, of in users : key => of if of != null }]
  }, { for word, value in local.machines : word => value if local.isDocker }) : word => value if value != null }
  file = yamlencode({ apiVersion = "atoll.dev/v1alpha1", kind = "Federation", metadata = { name = local.name }, spec = local.spec })
}

resource "atoll_local_unit" "federation" {
  name    = "${local.name} by ${var.target}"
  program = ["sh", abspath("${path.module}/units/${var.target}.sh")]
  environment = merge(
    { ATOLL_HOME = local.home, DIRECTORY = var.directory, FEDERATION_NAME = local.name, FEDERATION = local.file },
    { for name, value in merge(local.images, { PART = "@global" }) : name => value if local.isDocker },
  )
  triggers        = { target = var.target, directory = var.directory, name = local.name }
  timeout_seconds = 600
}
