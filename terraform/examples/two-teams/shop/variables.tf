variable "context" {
  description = "The team's own context file, from the platform's outputs."
  type        = string
  default     = "/var/tmp/atoll-two-teams/data/clients/shop-team.json"
}

variable "approve_as" {
  description = "For which side; with this team's context, its own is the only one that works."
  type        = string
  default     = "shop.example"
}
