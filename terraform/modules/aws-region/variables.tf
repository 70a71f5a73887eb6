variable "bootstrap" {
  description = "The directory that `atoll bootstrap FILE --out` has written."
  type        = string

  validation {
    condition     = fileexists("${var.bootstrap}/federation.yaml")
    error_message = "There is no federation.yaml in it: run `atoll bootstrap FILE --out DIRECTORY --init` first."
  }
}

variable "region" {
  description = "Which of the federation's regions this is, as its file names it. AWS's region is the provider's."
  type        = string
}

variable "name" {
  description = "Begins the name of everything here; one for each region, since roles and service-linked roles have names in the whole account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name is at most 31 small letters, digits and hyphens, and begins with a letter: roles, buckets and service-linked roles are named after it."
  }
}

variable "networks" {
  description = "The IPv4 network of each of the federation's regions, this one among them: that of its VPC. They may not overlap."
  type        = map(string)

  validation {
    condition     = alltrue([for network in values(var.networks) : can(cidrnetmask(network))])
    error_message = "networks are IPv4 networks in CIDR notation, such as 10.1.0.0/16, by the name of their region."
  }
  validation {
    condition     = contains(keys(var.networks), var.region)
    error_message = "networks are to have that of ${var.region}, too: it is the VPC's."
  }
  validation {
    condition     = length(distinct(values(var.networks))) == length(var.networks)
    error_message = "Two regions have the same network, between whose addresses no way can be told: give each one of its own."
  }
}

variable "subnets" {
  description = "The subnet of each availability zone in use, in CIDR notation: { \"eu-west-1a\" = \"10.1.0.0/24\" }. A host stands in the zone whose subnet has its address."
  type        = map(string)

  validation {
    condition     = length(var.subnets) > 0 && alltrue([for subnet in values(var.subnets) : can(cidrnetmask(subnet))])
    error_message = "subnets are IPv4 networks in CIDR notation, by the name of their availability zone; at least one."
  }
}

variable "image_id" {
  description = "The machines' image: with systemd, cloud-init, the AWS CLI, Atoll where --home said, and etcd and nats-server where engines stand."
  type        = string

  validation {
    condition     = startswith(var.image_id, "ami-")
    error_message = "image_id is the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "root_device" {
  description = "The name of the image's root device, with its size in GiB."
  type = object({
    name     = optional(string, "/dev/xvda")
    size_gib = optional(number, 16)
  })
  default = {}
}

variable "instance_type" {
  description = "Of every machine here that `instance_types` does not name; one on Nitro, whose disks have names that stay, and of the image's architecture."
  type        = string
  default     = "m7g.large"
}

variable "instance_types" {
  description = "Of single machines, by host."
  type        = map(string)
  default     = {}
}

variable "data_gib" {
  description = "Size in GiB of each machine's data volume: what its programs keep."
  type        = number
  default     = 20

  validation {
    condition     = var.data_gib >= 1 && var.data_gib <= 16384
    error_message = "data_gib is 1 to 16384."
  }
}

variable "files" {
  description = "Further files on every machine, by absolute path, that anybody may read: the certificates by which planes verify identity documents."
  type        = map(string)
  default     = {}
}

variable "admin_cidrs" {
  description = "From where the admin APIs may be reached, in CIDR notation. They ask for a certificate all the same."
  type        = list(string)
  default     = []
}

variable "zone_id" {
  description = "The private Route 53 zone in which the gateways' names stand; the VPCs of all regions see it."
  type        = string
}

variable "public_gateways" {
  description = "A second load balancer in front of the gateways, with public addresses, for callers in `cidrs` outside of these networks: its subnets, one in each availability zone where gateways stand, and the public zone in which the same names stand, where there is one. Null: nothing here has a public address."
  type = object({
    subnets = map(string)
    cidrs   = list(string)
    zone_id = optional(string)
  })
  default = null
}

variable "alarm_topics" {
  description = "ARNs of SNS topics that are told when no gateway of a cluster is healthy any more, and when one is again."
  type        = list(string)
  default     = []
}

variable "endpoints" {
  description = "Further services of AWS that the machines reach privately, such as ssm, ssmmessages and ec2messages for sessions without SSH. Nothing else of the internet is reached."
  type        = set(string)
  default     = []
}

variable "machine_policies" {
  description = "ARNs of further policies for the machines' roles, such as that of AmazonSSMManagedInstanceCore."
  type        = set(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
}
