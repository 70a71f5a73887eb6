# The team pay: it offers one of its services to one workload of the team shop, and approves for its own side.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

provider "atoll" {
  context = var.context
}

resource "atoll_service_export" "payments" {
  cluster   = "pay-us"
  namespace = "core"
  name      = "payments"
  consumers = [{ trust_domain = "shop.example" }]
}

module "checkout" {
  source = "../../../modules/relationship"

  name        = "checkout"
  caller      = { trust_domain = "shop.example", principals = var.principals }
  callee      = { trust_domain = "pay.example", services = ["core/payments"] }
  valid_until = var.valid_until
  approve_as  = ["pay.example"]
}
