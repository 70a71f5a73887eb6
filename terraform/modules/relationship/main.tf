# What one trust domain may call of another, with the approvals of the sides whose signers the provider's context names.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

data "atoll_trust_bundle" "caller" {
  name = var.caller.trust_domain
}

data "atoll_trust_bundle" "callee" {
  name = var.callee.trust_domain
}

resource "atoll_relationship" "this" {
  name        = var.name
  valid_until = var.valid_until
  labels      = var.labels

  caller = {
    trust_domain     = var.caller.trust_domain
    authority_sha256 = data.atoll_trust_bundle.caller.authority_sha256
    principals       = var.caller.principals
  }

  callee = {
    trust_domain     = var.callee.trust_domain
    authority_sha256 = data.atoll_trust_bundle.callee.authority_sha256
    services         = var.callee.services
  }
}

resource "atoll_relationship_approval" "this" {
  for_each = var.approve_as

  relationship = atoll_relationship.this.name
  generation   = atoll_relationship.this.generation
  trust_domain = each.value
}
