variable "federation" {
  description = "The output `parts` of the module `federation`."
  type = object({
    target    = string
    name      = string
    directory = string
    home      = string
    images    = map(string)
    revision  = string
    instance  = string
  })
}

variable "region" {
  description = "Which of the federation's regions this is."
  type        = string
}
