variable "name" {
  description = "The relationship's name, unique in the federation."
  type        = string
}

variable "caller" {
  description = "Who may call: a trust domain, and its workloads as ns/NAMESPACE/sa/NAME, or * for all of them."
  type = object({
    trust_domain = string
    principals   = list(string)
  })
}

variable "callee" {
  description = "What may be called: a trust domain, and its services as NAMESPACE/NAME."
  type = object({
    trust_domain = string
    services     = list(string)
  })
}

variable "valid_until" {
  description = "RFC 3339 with a time zone; from then on nobody is accepted by it."
  type        = string
}

variable "labels" {
  description = "Labels of the relationship."
  type        = map(string)
  default     = null
}

variable "approve_as" {
  description = "The sides to approve for: those trust domains whose signers stand in the provider's context. One's own, as a rule; the other team approves in its own state."
  type        = set(string)
  default     = []

  validation {
    condition     = length(var.approve_as) <= 2
    error_message = "A relationship has two sides."
  }
}
