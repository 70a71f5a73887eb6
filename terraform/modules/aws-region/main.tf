# One region of a federation on machines of AWS, made of what `atoll bootstrap` has written: its network, its machines, each kept by an
# autoscaling group of its own, and the load balancer in front of its gateways. Written for review; it was never applied.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }
}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  aws       = data.aws_region.here.region
  partition = data.aws_partition.here.partition
  service   = data.aws_partition.here.dns_suffix
}
