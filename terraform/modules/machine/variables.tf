variable "bootstrap" {
  description = "The directory that `atoll bootstrap FILE --out` has written."
  type        = string
}

variable "host" {
  description = "The machine's name, as the federation file's hosts have it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", var.host))
    error_message = "A host is named by small letters, digits and hyphens, as in the federation file."
  }
}

variable "home" {
  description = "Where Atoll is on the machine: what --home said to `atoll bootstrap`."
  type        = string
  default     = "/opt/atoll"
}

variable "atoll" {
  description = "The release archive that is unpacked into `home` unless something is there, with its checksum (SHA256SUMS of the release). Null: the machine's image has it."
  type = object({
    url    = string
    sha256 = string
  })
  default = null

  validation {
    condition     = var.atoll == null ? true : can(regex("^[0-9a-f]{64}$", var.atoll.sha256))
    error_message = "atoll.sha256 is 64 hexadecimal digits, as SHA256SUMS of the release has them."
  }
}

variable "fetch" {
  description = "Commands of a shell, run as root on the machine in its own folder before install.sh, and again until all succeed, and each day for the engines' certificates: they bring `keys`, `tls` and `tokens` there, for example from a secret store that the machine's identity opens. They stand in the user-data, so no secret may stand in them."
  type        = list(string)
  default     = []
}

variable "packages" {
  description = "Packages that cloud-init installs first, such as etcd-server."
  type        = list(string)
  default     = []
}

variable "data" {
  description = "A disk that outlives the machine, with all that Atoll's programs keep (keys, certificates, stores): mounted at /var/lib/atoll before any of them starts, and formatted if nothing has ever been written to it. `device` is its path, one that stays the same; `attach` are commands of a shell that bring it to this machine, run as root until the device is there. Null: what they keep is on the machine's own disk."
  type = object({
    device = string
    attach = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.data == null ? true : can(regex("^/dev/[A-Za-z0-9/_.:-]+$", var.data.device))
    error_message = "data.device is a path below /dev of letters, digits and the characters / _ . : -"
  }
}

variable "files" {
  description = "Further files, by absolute path: anybody may read them, for example the certificates by which planes verify what a cloud signs."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for path in keys(var.files) : startswith(path, "/")])
    error_message = "files are named by absolute paths."
  }
}
