# Run by `terraform test` in this folder. Nothing is started: the provider is a mock, and all runs are plans.

mock_provider "atoll" {}

variables {
  region = "eu-west"
  federation = {
    target    = "docker"
    name      = "shop"
    directory = "/var/tmp/atoll-test"
    home      = "/opt/atoll"
    images    = { ATOLL_IMAGE = "atoll:1", APP_IMAGE = "node:24" }
    revision  = "1"
    instance  = "a"
  }
}

run "is_the_part_of_the_compose_file_that_is_called_so" {
  command = plan

  assert {
    condition     = atoll_local_unit.region[0].environment.PART == "eu-west" && atoll_local_unit.region[0].environment.APP_IMAGE == "node:24" && endswith(atoll_local_unit.region[0].program[1], "/federation/units/docker.sh")
    error_message = "the unit starts something else"
  }
}

run "is_nothing_of_its_own_as_processes" {
  command = plan

  variables {
    federation = { target = "processes", name = "shop", directory = "/x", home = "/opt/atoll", images = {}, revision = "1", instance = "a" }
  }

  assert {
    condition     = length(atoll_local_unit.region) == 0
    error_message = "what the federation has started would be started twice"
  }
}
