# Run by `terraform test` in this folder. Nothing is started: the provider is a mock.

mock_provider "atoll" {}

variables {
  directory = "/var/tmp/atoll-test"
  federation = {
    name    = "shop"
    regions = [{ name = "eu-west", displayName = "Ireland" }, { name = "us-east" }]
    clusters = [
      { name = "shop-eu", region = "eu-west", trustDomain = "shop.example" },
      { name = "shop-us", region = "us-east", trustDomain = "shop.example" },
      { name = "pay-eu", region = "eu-west", trustDomain = "pay.example" },
    ]
    services = [
      { name = "front", namespace = "web", trustDomain = "shop.example", command = ["node", "front.mjs"] },
      { name = "ledger", namespace = "core", clusters = ["pay-eu"], appPort = 9000 },
    ]
    users = [{ region = "eu-west", service = "web/front" }]
  }
}

run "hands_the_file_over_as_it_is" {
  command = plan

  assert {
    condition     = !can(yamldecode(output.file).spec.hosts) && yamldecode(output.file).spec.users == [{ region = "eu-west", service = "web/front" }] && yamldecode(output.file).spec.services[0].command == ["node", "front.mjs"]
    error_message = "the file of processes has no hosts, and what atoll up alone knows"
  }

  assert {
    condition     = yamldecode(atoll_local_unit.processes.environment.FEDERATION) == yamldecode(output.file)
    error_message = "the unit runs another file"
  }
}

run "leaves_out_what_is_left_out" {
  command = plan

  variables {
    federation = { name = "small", regions = [{ name = "here" }], services = [{ name = "hello" }] }
  }

  assert {
    condition     = yamldecode(output.file).spec == { regions = [{ name = "here" }], services = [{ name = "hello" }] }
    error_message = "the file says more than its user"
  }
}

run "hands_over_tcp_services_instances_and_policies" {
  command = plan

  variables {
    federation = {
      name    = "small"
      regions = [{ name = "here" }]
      services = [
        { name = "hello", tcpUpstreams = [{ service = "default/db" }], instances = [{ cluster = "here" }, { cluster = "here", appPort = 9001 }] },
        { name = "db", protocol = "tcp", port = 5432 },
      ]
      policies = [{ name = "hello", spec = { targetRef = { namespace = "default", name = "hello" }, timeouts = { requestMs = 2000 } } }]
    }
  }

  assert {
    condition = yamldecode(output.file).spec == {
      regions = [{ name = "here" }]
      services = [
        { name = "hello", tcpUpstreams = [{ service = "default/db" }], instances = [{ cluster = "here" }, { cluster = "here", appPort = 9001 }] },
        { name = "db", protocol = "tcp", port = 5432 },
      ]
      policies = [{ name = "hello", spec = { targetRef = { namespace = "default", name = "hello" }, timeouts = { requestMs = 2000 } } }]
    }
    error_message = "a word of the file was lost"
  }
}

run "hands_over_clients_and_says_where_their_contexts_are" {
  command = apply

  variables {
    federation = { name = "small", regions = [{ name = "here" }], clients = [{ name = "team", trustDomains = ["small.mesh"] }, { name = "dashboard", role = "viewer" }] }
  }

  assert {
    condition     = yamldecode(output.file).spec.clients == [{ name = "team", trustDomains = ["small.mesh"] }, { name = "dashboard", role = "viewer" }]
    error_message = "a client was lost, or said more than its user"
  }

  assert {
    condition     = output.client_contexts == { team = "/var/tmp/atoll-test/data/clients/team.json", dashboard = "/var/tmp/atoll-test/data/clients/dashboard.json" }
    error_message = "a client's context is elsewhere"
  }
}

run "refuses_a_relative_directory" {
  command = plan

  variables {
    directory = "here"
  }

  expect_failures = [var.directory]
}

run "refuses_a_cluster_in_no_region" {
  command = plan

  variables {
    federation = { name = "lost", regions = [{ name = "here" }], clusters = [{ name = "c", region = "elsewhere" }] }
  }

  expect_failures = [var.federation]
}
