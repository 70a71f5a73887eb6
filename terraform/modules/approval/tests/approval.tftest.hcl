# Run by `terraform test` in this folder. The provider is a mock: what the other side has declared stands here.

mock_provider "atoll" {}

override_data {
  target = data.atoll_relationship.this
  values = {
    name        = "checkout"
    generation  = 3
    caller      = { trust_domain = "shop.example", principals = ["ns/web/sa/storefront", "ns/web/sa/edge"], authority_sha256 = "" }
    callee      = { trust_domain = "pay.example", services = ["core/payments"], authority_sha256 = "" }
    valid_until = "2027-06-30T00:00:00Z"
  }
}

variables {
  name            = "checkout"
  caller          = { trust_domain = "shop.example", principals = ["ns/web/sa/edge", "ns/web/sa/storefront"] }
  callee          = { trust_domain = "pay.example", services = ["core/payments"] }
  valid_until_max = "2027-12-31T00:00:00Z"
  approve_as      = "shop.example"
}

run "approves_what_was_agreed_in_any_order" {
  command = plan

  assert {
    condition     = atoll_relationship_approval.this.generation == 3 && atoll_relationship_approval.this.trust_domain == "shop.example"
    error_message = "another form is approved than the one that was read"
  }
}

run "refuses_other_callers" {
  command = plan

  variables {
    caller = { trust_domain = "shop.example", principals = ["ns/web/sa/storefront"] }
  }

  expect_failures = [atoll_relationship_approval.this]
}

run "refuses_other_services" {
  command = plan

  variables {
    callee = { trust_domain = "pay.example", services = ["core/payments", "core/ledger"] }
  }

  expect_failures = [atoll_relationship_approval.this]
}

run "refuses_a_longer_time" {
  command = plan

  variables {
    valid_until_max = "2027-06-29T00:00:00Z"
  }

  expect_failures = [atoll_relationship_approval.this]
}

run "refuses_to_approve_for_a_third_party" {
  command = plan

  variables {
    approve_as = "bank.example"
  }

  expect_failures = [var.approve_as]
}

run "refuses_what_is_not_declared" {
  command = plan

  override_data {
    target = data.atoll_relationship.this
    values = { name = "checkout", generation = null }
  }

  expect_failures = [atoll_relationship_approval.this]
}
