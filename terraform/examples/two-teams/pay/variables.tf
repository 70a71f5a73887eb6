variable "context" {
  description = "The team's own context file, from the platform's outputs."
  type        = string
  default     = "/var/tmp/atoll-two-teams/data/clients/pay-team.json"
}

variable "principals" {
  description = "Which workloads of the team shop may call."
  type        = list(string)
  default     = ["ns/web/sa/storefront"]
}

variable "valid_until" {
  description = "When it ends by itself."
  type        = string
  default     = "2035-01-01T00:00:00Z"
}
