variable "name" {
  description = "The federation's name."
  type        = string
  default     = "three-regions"
}

variable "target" {
  description = "What runs the programs: processes, or docker."
  type        = string
  default     = "processes"
}

variable "images" {
  description = "Images of the target docker, as the module `federation` takes them."
  type        = map(string)
  default     = {}
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
