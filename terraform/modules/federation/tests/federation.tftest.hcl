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
    condition     = yamldecode(atoll_local_unit.federation.environment.FEDERATION) == yamldecode(output.file)
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

run "has_planes_back_themselves_up" {
  command = plan

  variables {
    federation = { name = "small", regions = [{ name = "here" }], backups = { recipients = ["atoll-backup:x"], keep = 24 } }
  }

  assert {
    condition     = yamldecode(output.file).spec.backups == { recipients = ["atoll-backup:x"], keep = 24 }
    error_message = "a word of the backups was lost, or said more than its user"
  }
}

run "has_planes_serve_the_bundles_of_their_trust_domains" {
  command = plan

  variables {
    federation = { name = "small", regions = [{ name = "here" }], trustDomains = [{ name = "small.mesh", bundleEndpoint = { profile = "https_spiffe" } }] }
  }

  assert {
    condition     = yamldecode(output.file).spec.trustDomains == [{ name = "small.mesh", bundleEndpoint = { profile = "https_spiffe" } }]
    error_message = "a word of the bundle endpoint was lost, or said more than its user"
  }
}

run "gives_each_cluster_a_machine_in_its_region_s_network_in_containers" {
  command = plan

  variables {
    target = "docker"
  }

  assert {
    condition = yamldecode(output.file).spec.hosts == [
      { name = "shop-eu", region = "eu-west", address = "10.232.1.10" },
      { name = "shop-us", region = "us-east", address = "10.232.2.11" },
      { name = "pay-eu", region = "eu-west", address = "10.232.1.12" },
    ]
    error_message = "machines do not stand where their clusters are"
  }

  assert {
    condition     = [for cluster in yamldecode(output.file).spec.clusters : cluster.host] == ["shop-eu", "shop-us", "pay-eu"] && yamldecode(output.file).spec.clusters[0].trustDomain == "shop.example" && yamldecode(output.file).spec.engines == { kind = "etcd-nats" }
    error_message = "clusters are not on their machines"
  }

  assert {
    condition     = [for service in yamldecode(output.file).spec.services : service.appPort] == [8080, 9000]
    error_message = "applications would share a port of their machine"
  }

  assert {
    condition     = atoll_local_unit.federation.environment.PART == "@global" && atoll_local_unit.federation.environment.APP_IMAGE == "atoll:0.1.0"
    error_message = "the unit starts something else"
  }
}

run "refuses_a_target_that_is_none" {
  command = plan

  variables {
    target = "aws"
  }

  expect_failures = [var.target]
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
