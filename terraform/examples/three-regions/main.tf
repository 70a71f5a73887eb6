# Three regions on this machine: a storefront in each, and the stock that it asks in two of them. What may be changed stands in variables.tf.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

# Keeps what runs on this machine, and asks no planes: it starts them.
provider "atoll" {
  alias   = "here"
  context = ""
}

# Asks the planes. The first apply makes the context that it reads.
provider "atoll" {
  context = module.federation.context
}

locals {
  regions = {
    "eu-west"  = { displayName = "Ireland", coordinates = { latitude = 53.3, longitude = -6.3 } }
    "us-east"  = { displayName = "Virginia", coordinates = { latitude = 38.9, longitude = -77.4 } }
    "ap-south" = { displayName = "Mumbai", coordinates = { latitude = 19.1, longitude = 72.9 } }
  }
}

module "federation" {
  source    = "../../modules/federation"
  providers = { atoll = atoll.here }

  target    = var.target
  images    = var.images
  directory = var.directory

  federation = {
    name     = var.name
    regions  = [for name, region in local.regions : merge(region, { name = name })]
    clusters = [for name, region in local.regions : { name = name, region = name, trustDomain = "shop.example" }]
    services = [
      { name = "storefront", namespace = "web", directory = "${path.module}/app", command = ["node", "shop.mjs", "{port}"], readiness = { path = "/" } },
      { name = "stock", namespace = "web", clusters = ["us-east", "ap-south"], directory = "${path.module}/app", command = ["node", "shop.mjs", "{port}"], readiness = { path = "/" } },
    ]
    users = [for name in keys(local.regions) : { region = name, service = "web/storefront", path = "/stock", ratePerSecond = 5 }]
  }
}

# Each can be applied, destroyed and replaced by itself in containers (`-target 'module.region["us-east"]'`). As processes they come with the federation.
module "region" {
  source    = "../../modules/region"
  for_each  = local.regions
  providers = { atoll = atoll.here }

  federation = module.federation.parts
  region     = each.key
}

# In which order regions are asked for the stock: the last region of the list is evacuated, as long as another one answers.
resource "atoll_traffic_policy" "stock" {
  namespace  = "web"
  name       = "stock"
  target_ref = { namespace = "web", name = "stock", trust_domain = "shop.example" }
  locality   = { mode = "ordered", order = var.stock_order }
  timeouts   = { request_ms = 5000 }

  depends_on = [module.federation]
}

data "atoll_federation" "now" {
  depends_on = [module.federation, module.region]
}
