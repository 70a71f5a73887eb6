# One region of a federation in containers: its etcd and nats-server, the planes of its clusters, their gateways, and the applications with
# their sidecars. The engines that the global plane rests on are the federation's.

terraform {
  required_version = ">= 1.3"
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

# As processes, the module `federation` has started the regions, too.
resource "atoll_local_unit" "region" {
  count = var.federation.target == "docker" ? 1 : 0

  name    = "${var.region} of ${var.federation.name}"
  program = ["sh", abspath("${path.module}/../federation/units/docker.sh")]
  environment = merge(var.federation.images, {
    ATOLL_HOME      = var.federation.home
    DIRECTORY       = var.federation.directory
    FEDERATION_NAME = var.federation.name
    PART            = var.region
    # Another file, or another global plane, may ask for something else of what runs: it is brought up again, and nothing ends first.
    REVISION = "${var.federation.revision} ${var.federation.instance}"
  })
  triggers        = { directory = var.federation.directory, name = var.federation.name, region = var.region }
  timeout_seconds = 600
}
