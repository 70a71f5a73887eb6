variable "bootstrap" {
  description = "What `atoll bootstrap federation.yaml --out` has written; the directory federation here unless given."
  type        = string
  default     = null
}

variable "images" {
  description = "The machines' image in each region: with the AWS CLI, Atoll, etcd and nats-server."
  type        = map(string)

  validation {
    condition     = toset(keys(var.images)) == toset(["eu-west", "us-east", "ap-south"])
    error_message = "There is to be an image in each region: { eu-west = \"ami-…\", us-east = \"ami-…\", ap-south = \"ami-…\" }."
  }
}

variable "identity_certificates" {
  description = "AWS's RSA-2048 certificates of the three regions, PEM, one after the other (docs/joining.md says where AWS publishes them)."
  type        = string

  validation {
    condition     = length(regexall("-----BEGIN CERTIFICATE-----", var.identity_certificates)) >= 3
    error_message = "Each of the three regions has a certificate of its own, and a machine's document is signed by that of its region: all three are needed."
  }
}

variable "admin_cidrs" {
  description = "From where the admin APIs may be reached."
  type        = list(string)
  default     = []
}
