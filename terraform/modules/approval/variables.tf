variable "name" {
  description = "The relationship's name, as the other side has declared it."
  type        = string
}

variable "caller" {
  description = "Who was agreed to call: a trust domain, and its workloads as ns/NAMESPACE/sa/NAME, or * for all of them."
  type = object({
    trust_domain = string
    principals   = list(string)
  })
}

variable "callee" {
  description = "What was agreed to be called: a trust domain, and its services as NAMESPACE/NAME."
  type = object({
    trust_domain = string
    services     = list(string)
  })
}

variable "valid_until_max" {
  description = "RFC 3339 with a time zone: until when it may hold at most."
  type        = string
}

variable "approve_as" {
  description = "The side to approve for: the trust domain whose signer stands in the provider's context."
  type        = string

  validation {
    condition     = contains([var.caller.trust_domain, var.callee.trust_domain], var.approve_as)
    error_message = "One of the two sides approves: the caller's trust domain or the callee's."
  }
}
