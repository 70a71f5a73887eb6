# The ground on which two teams meet, on this machine: one federation, a trust domain with a cluster for each team, and for each team an
# operator of its own trust domain and of nothing else. Who calls whom is not said here: that is the teams'.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

# Keeps what runs on this machine, and asks no planes.
provider "atoll" {
  context = ""
}

locals {
  app = "${path.module}/../app"
}

module "federation" {
  source = "../../../modules/federation"

  directory = var.directory

  federation = {
    name    = var.name
    regions = [{ name = "eu-west" }, { name = "us-east" }]
    clusters = [
      { name = "shop-eu", region = "eu-west", trustDomain = "shop.example" },
      { name = "pay-us", region = "us-east", trustDomain = "pay.example", exportNamespaces = ["core"] },
    ]
    services = [
      { name = "storefront", namespace = "web", clusters = ["shop-eu"], directory = local.app, command = ["node", "server.mjs"], readiness = { path = "/" } },
      # Seen by nobody else until their team exports them.
      { name = "payments", namespace = "core", clusters = ["pay-us"], export = false, directory = local.app, command = ["node", "server.mjs"], env = { WORD = "paid" } },
      { name = "ledger", namespace = "core", clusters = ["pay-us"], export = false, directory = local.app, command = ["node", "server.mjs"], env = { WORD = "booked" } },
    ]
    clients = [
      { name = "shop-team", trustDomains = ["shop.example"] },
      { name = "pay-team", trustDomains = ["pay.example"] },
    ]
  }
}
