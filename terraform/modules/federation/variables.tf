variable "federation" {
  description = "The federation in the words of its file (docs/federation-file.md), so that parts of such a file may be handed over as they are. Everything stands on this machine: hosts, engines and global are not among them."
  type = object({
    name        = string
    trustDomain = optional(string)
    regions = list(object({
      name        = string
      displayName = optional(string)
      coordinates = optional(object({ latitude = number, longitude = number }))
      residency   = optional(list(string))
    }))
    trustDomains = optional(list(object({
      name   = string
      signer = optional(string)
      bundleEndpoint = optional(object({
        profile         = string
        certificateFile = optional(string)
        keyFile         = optional(string)
      }))
    })))
    clusters = optional(list(object({
      name             = string
      region           = string
      trustDomain      = optional(string)
      exportNamespaces = optional(list(string))
    })))
    services = optional(list(object({
      name        = string
      namespace   = optional(string)
      trustDomain = optional(string)
      clusters    = optional(list(string))
      instances = optional(list(object({
        cluster = string
        appPort = optional(number)
      })))
      protocol  = optional(string)
      port      = optional(number)
      appPort   = optional(number)
      command   = optional(list(string))
      directory = optional(string)
      env       = optional(map(string))
      readiness = optional(object({ path = string }))
      export    = optional(bool)
      consumers = optional(list(string))
      upstreams = optional(list(string))
      tcpUpstreams = optional(list(object({
        service   = string
        localPort = optional(number)
      })))
      workloadApi = optional(bool)
    })), [])
    relationships = optional(list(object({
      name      = string
      caller    = object({ trustDomain = string, principals = list(string) })
      callee    = object({ trustDomain = string, services = list(string) })
      validDays = optional(number)
    })))
    # Each { name, namespace, spec }, the spec as in docs/schemas/TrafficPolicy.json.
    policies  = optional(any)
    distances = optional(list(object({ between = list(string), oneWayMs = number })))
    clients = optional(list(object({
      name         = string
      role         = optional(string)
      trustDomains = optional(list(string))
      namespaces   = optional(list(string))
    })))
    backups = optional(object({
      recipients   = list(string)
      everySeconds = optional(number)
      keep         = optional(number)
    }))
    users = optional(list(object({
      region        = string
      service       = string
      path          = optional(string)
      ratePerSecond = optional(number)
    })))
  })

  validation {
    condition     = length(var.federation.regions) >= 1 && length(var.federation.regions) <= 64
    error_message = "A federation on one machine has from 1 to 64 regions."
  }

  validation {
    condition = var.federation.clusters == null ? true : alltrue([
      for cluster in var.federation.clusters : contains([for region in var.federation.regions : region.name], cluster.region)
    ])
    error_message = "Each of federation.clusters stands in one of federation.regions."
  }

  validation {
    condition = var.federation.clusters == null ? true : alltrue([
      for service in var.federation.services : service.clusters == null ? true : alltrue([for name in service.clusters : contains([for cluster in var.federation.clusters : cluster.name], name)])
    ])
    error_message = "The clusters of each of federation.services are among federation.clusters."
  }
}

variable "target" {
  description = "What runs the programs: `processes` of this machine, or `docker`, containers of its engine by the Docker CLI and compose. Another target is another federation: what was there ends first."
  type        = string
  default     = "processes"

  validation {
    condition     = contains(["processes", "docker"], var.target)
    error_message = "There are the targets processes and docker."
  }
}

variable "images" {
  description = "Images of the target docker: Atoll's own (infra/images/build.sh), etcd's, nats-server's, and the one that the commands of services run in, unless given Atoll's, which has Node."
  type = object({
    atoll       = optional(string, "atoll:0.1.0")
    etcd        = optional(string, "quay.io/coreos/etcd:v3.5.35")
    nats_server = optional(string, "nats:2.12")
    application = optional(string)
  })
  default = {}
}

variable "network" {
  description = "16 bits of IPv4 addresses of the target docker, of which each region gets 8. They lead nowhere, and no other network of this machine has them."
  type        = string
  default     = "10.232.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.network, 8, 64)) && endswith(var.network, "/16")
    error_message = "An IPv4 network of 16 bits, such as 10.232.0.0/16."
  }
}

variable "directory" {
  description = "A directory of the federation's own, as an absolute path: its configuration, keys (0600) and state. Whoever reads it is the federation's administrator."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.directory)) && length(var.directory) <= 160
    error_message = "An absolute path of letters, digits, '.', '_' and '-', of at most 160 characters: it stands in configurations of every program."
  }
}

variable "atoll_home" {
  description = "Where Atoll is installed on this machine; the installation that this module is part of unless given."
  type        = string
  default     = null
}
