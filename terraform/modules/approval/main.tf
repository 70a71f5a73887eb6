# One side's approval of a relationship that the other side has declared: of the terms that stand here, and of no others.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

data "atoll_relationship" "this" {
  name = var.name
}

locals {
  declared = data.atoll_relationship.this
}

resource "atoll_relationship_approval" "this" {
  relationship = local.declared.name
  # No other form is signed than the one that was compared here.
  generation   = local.declared.generation
  trust_domain = var.approve_as

  lifecycle {
    precondition {
      condition     = local.declared.caller.trust_domain == var.caller.trust_domain && toset(local.declared.caller.principals) == toset(var.caller.principals)
      error_message = "${var.name} lets ${join(", ", local.declared.caller.principals)} of ${local.declared.caller.trust_domain} call, and ${join(", ", var.caller.principals)} of ${var.caller.trust_domain} was agreed."
    }
    precondition {
      condition     = local.declared.callee.trust_domain == var.callee.trust_domain && toset(local.declared.callee.services) == toset(var.callee.services)
      error_message = "${var.name} opens ${join(", ", local.declared.callee.services)} of ${local.declared.callee.trust_domain}, and ${join(", ", var.callee.services)} of ${var.callee.trust_domain} was agreed."
    }
    precondition {
      condition     = timecmp(local.declared.valid_until, var.valid_until_max) <= 0
      error_message = "${var.name} is to hold until ${local.declared.valid_until}, and ${var.valid_until_max} was agreed at most."
    }
  }
}
