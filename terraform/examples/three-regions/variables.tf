variable "name" {
  description = "The federation's name."
  type        = string
  default     = "three-regions"
}

variable "directory" {
  description = "Where its configuration, keys and state lie: an absolute path."
  type        = string
  default     = "/var/tmp/atoll-three-regions"
}

variable "stock_order" {
  description = "Regions in the order in which they are asked for the stock."
  type        = list(string)
  default     = ["us-east", "ap-south"]
}
