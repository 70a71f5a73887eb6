# The team shop: it approves what the team pay has declared, as long as that says what the two have agreed on.

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

module "checkout" {
  source = "../../../modules/approval"

  name            = "checkout"
  caller          = { trust_domain = "shop.example", principals = ["ns/web/sa/storefront"] }
  callee          = { trust_domain = "pay.example", services = ["core/payments"] }
  valid_until_max = "2035-01-01T00:00:00Z"
  approve_as      = var.approve_as
}
