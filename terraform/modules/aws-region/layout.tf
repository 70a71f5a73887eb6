# What stands where, by which addresses and ports: read from what `atoll bootstrap` has written, so that nothing is said twice.

locals {
  federation = yamldecode(file("${var.bootstrap}/federation.yaml")).spec

  region_of = { for host in local.federation.hosts : host.name => try(host.region, local.federation.regions[0].name) }
  # The address that its programs listen on is that of the machine's network interface.
  hosts = { for host in local.federation.hosts : host.name => { address = try(host.listen, host.address) } if local.region_of[host.name] == var.region }

  # The zone whose subnet an address belongs to; null where there is none.
  zones = { for name, host in local.hosts : name => one([
    for zone, subnet in var.subnets : zone if cidrhost("${host.address}/${split("/", subnet)[1]}", 0) == cidrhost(subnet, 0)
  ]) }

  programs = flatten([for name, region in local.region_of : [
    for path in fileset("${var.bootstrap}/hosts/${name}/config", "*.json") : merge(jsondecode(file("${var.bootstrap}/hosts/${name}/config/${path}")), { on = region })
  ]])
  engines = [for name, region in local.region_of : {
    on   = region
    etcd = try(file("${var.bootstrap}/hosts/${name}/config/etcd.env"), "")
    nats = try(file("${var.bootstrap}/hosts/${name}/config/nats.conf"), "")
  }]

  clusters = { for cluster in [
    for text in split("\n---\n", file("${var.bootstrap}/resources/20-clusters.yaml")) : yamldecode(text) if can(yamldecode(text).spec)
    ] : cluster.metadata.name => {
    region  = cluster.spec.region
    gateway = cluster.spec.gateways[0]
    # Dialled by a name of its own, which is that of a load balancer.
    is_balanced = !contains([for host in local.federation.hosts : host.address], cluster.spec.gateways[0].address)
    targets = [for program in local.programs : { address = program.address, port = program.ports.gateway }
    if try(program.mode, "") == "gateway" && can(regex("^${cluster.metadata.name}-gateway(-[0-9]+)?$", try(program.name, "")))]
  } }

  balanced = { for name, cluster in local.clusters : name => cluster if cluster.region == var.region && cluster.is_balanced }

  # Ports by who reaches them (docs/ports.md): in each region what the other regions do, and here what only this one does, and administrators.
  federation_ports = { for region in keys(var.networks) : region => distinct([for port in concat(
    [for program in local.programs : try(program.listen.joinPort, null) if program.on == region],
    flatten([for engine in local.engines : regexall("\nport: ([0-9]+)", engine.nats) if engine.on == region]),
    flatten([for engine in local.engines : regexall("(?s)\ngateway \\{[^}]*?\n  port: ([0-9]+)", engine.nats) if engine.on == region]),
    flatten([for cluster in local.clusters : cluster.targets[*].port if cluster.region == region && !cluster.is_balanced]),
  ) : tonumber(port) if port != null]) }
  region_ports = distinct([for port in concat(
    local.federation_ports[var.region],
    [for program in local.programs : try(program.listen.discoveryPort, null) if program.on == var.region],
    [for program in local.programs : try(program.ports.inbound, null) if program.on == var.region],
    flatten([for engine in local.engines : regexall("--listen-(?:client|peer)-urls=https://[^ ]*:([0-9]+)", engine.etcd) if engine.on == var.region]),
    flatten([for engine in local.engines : regexall("(?s)\ncluster \\{[^}]*?\n  port: ([0-9]+)", engine.nats) if engine.on == var.region]),
  ) : tonumber(port) if port != null])
  admin_ports  = distinct(flatten([for program in local.programs : [for port in [try(program.listen.apiPort, null), try(program.listen.adminPort, null)] : port if port != null] if program.on == var.region]))
  target_ports = distinct(flatten([for cluster in local.balanced : cluster.targets[*].port]))
  # Of load balancers, in every region.
  listener_ports = { for region in keys(var.networks) : region => distinct([for cluster in local.clusters : cluster.gateway.port if cluster.region == region && cluster.is_balanced]) }

  other_networks = { for region, network in var.networks : region => network if region != var.region }
}
