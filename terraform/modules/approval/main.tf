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
  # The other side may have taken it back: then there is nothing to approve, and destroying has nothing to compare.
  may_be_missing = true
}

locals {
  declared    = data.atoll_relationship.this
  is_declared = local.declared.generation != null

  caller = {
    trust_domain = try(local.declared.caller.trust_domain, "")
    principals   = try(local.declared.caller.principals, [])
  }
  callee = {
    trust_domain = try(local.declared.callee.trust_domain, "")
    services     = try(local.declared.callee.services, [])
  }
  valid_until = local.is_declared ? local.declared.valid_until : var.valid_until_max
}

resource "atoll_relationship_approval" "this" {
  relationship = local.declared.name
  # No other form is signed than the one that was compared here.
  generation   = local.declared.generation
  trust_domain = var.approve_as

  lifecycle {
    precondition {
      condition     = local.is_declared
      error_message = "There is no relationship ${var.name}: the other side has not declared it, or has taken it back."
    }
    precondition {
      condition     = !local.is_declared || (local.caller.trust_domain == var.caller.trust_domain && toset(local.caller.principals) == toset(var.caller.principals))
      error_message = "${var.name} lets ${join(", ", local.caller.principals)} of ${local.caller.trust_domain} call, and ${join(", ", var.caller.principals)} of ${var.caller.trust_domain} was agreed."
    }
    precondition {
      condition     = !local.is_declared || (local.callee.trust_domain == var.callee.trust_domain && toset(local.callee.services) == toset(var.callee.services))
      error_message = "${var.name} opens ${join(", ", local.callee.services)} of ${local.callee.trust_domain}, and ${join(", ", var.callee.services)} of ${var.callee.trust_domain} was agreed."
    }
    precondition {
      condition     = timecmp(local.valid_until, var.valid_until_max) <= 0
      error_message = "${var.name} is to hold until ${local.valid_until}, and ${var.valid_until_max} was agreed at most."
    }
  }
}
