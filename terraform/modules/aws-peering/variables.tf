variable "requester" {
  description = "The output `network` of the module aws-region, of the region whose provider is `aws.requester`."
  type = object({
    vpc_id         = string
    cidr           = string
    route_table_id = string
    region         = string
  })
}

variable "accepter" {
  description = "The same of the region whose provider is `aws.accepter`."
  type = object({
    vpc_id         = string
    cidr           = string
    route_table_id = string
    region         = string
  })

  validation {
    condition     = var.accepter.cidr != var.requester.cidr
    error_message = "Both regions have the same network, between whose addresses no way can be told: give each one of its own."
  }
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
}
