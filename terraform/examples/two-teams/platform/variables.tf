variable "name" {
  description = "The federation's name."
  type        = string
  default     = "two-teams"
}

variable "directory" {
  description = "Where its configuration, keys and state lie: an absolute path."
  type        = string
  default     = "/var/tmp/atoll-two-teams"
}
