# The cloud-init user-data of one machine, made of what `atoll bootstrap` writes for it. Nothing secret is in it: user-data is readable on
# the machine and in Terraform's state, so keys, certificates and tokens come by `fetch`, or are put on the machine by somebody else.

terraform {
  required_version = ">= 1.3"
}

locals {
  source = "${var.bootstrap}/hosts/${var.host}"
  # What of a machine's folder anybody may read. `keys`, `tls` and `tokens` lie beside it and are not looked at.
  public = toset(flatten([for pattern in ["install.sh", "config/*", "systemd/*"] : tolist(fileset(local.source, pattern))]))
  folder = "/root/atoll-${var.host}"

  files = [for path in sort(local.public) : {
    path        = "${local.folder}/${path}"
    owner       = "root:root"
    permissions = path == "install.sh" ? "0755" : "0640"
    content     = file("${local.source}/${path}")
  }]

  setup = templatefile("${path.module}/setup.sh.tftpl", {
    host   = var.host
    folder = local.folder
    home   = var.home
    fetch  = var.fetch
    atoll  = var.atoll
  })
  service = templatefile("${path.module}/atoll-setup.service.tftpl", { host = var.host, folder = local.folder })
  tokens  = templatefile("${path.module}/atoll-setup.path.tftpl", { host = var.host, folder = local.folder })

  disk = var.data == null ? [] : [
    { path = "${local.folder}/data.sh", owner = "root:root", permissions = "0700", content = file("${path.module}/data.sh") },
    { path = "${local.folder}/attach.sh", owner = "root:root", permissions = "0700", content = "#!/bin/sh\nset -eu\n${join("\n", var.data.attach)}\n" },
    { path = "/etc/systemd/system/attach-atoll-data.service", owner = "root:root", permissions = "0644", content = templatefile("${path.module}/attach-atoll-data.service.tftpl", { host = var.host, folder = local.folder, device = var.data.device }) },
    # For every unit whose name begins with atoll-, those that install.sh brings and the setup itself.
    { path = "/etc/systemd/system/atoll-.service.d/50-data.conf", owner = "root:root", permissions = "0644", content = file("${path.module}/data.conf") },
  ]

  # What was renewed comes by `fetch` again; where that is empty, somebody brings it and runs the service.
  certificates = concat([
    { path = "/etc/systemd/system/atoll-certificates.service", owner = "root:root", permissions = "0644", content = templatefile("${path.module}/atoll-certificates.service.tftpl", { host = var.host, folder = local.folder }) },
    { path = "${local.folder}/fetch.sh", owner = "root:root", permissions = "0700", content = "#!/bin/sh\nset -eu\n${join("\n", var.fetch)}\n" },
    ], length(var.fetch) == 0 ? [] : [
    { path = "/etc/systemd/system/atoll-certificates.timer", owner = "root:root", permissions = "0644", content = templatefile("${path.module}/atoll-certificates.timer.tftpl", { host = var.host }) },
  ])

  added = concat([
    { path = "${local.folder}/setup.sh", owner = "root:root", permissions = "0700", content = local.setup },
    { path = "/etc/systemd/system/atoll-setup.service", owner = "root:root", permissions = "0644", content = local.service },
    { path = "/etc/systemd/system/atoll-setup.path", owner = "root:root", permissions = "0644", content = local.tokens },
  ], local.certificates, local.disk, [for path, content in var.files : { path = path, owner = "root:root", permissions = "0644", content = content }])

  cloud_config = {
    packages    = var.packages
    write_files = concat(local.files, local.added)
    runcmd = concat([
      ["mkdir", "-p", "-m", "0700", "${local.folder}/tokens"],
      ["chmod", "0700", local.folder],
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "atoll-setup.path"],
      ["systemctl", "enable", "--now", "--no-block", "atoll-setup.service"],
    ], length(var.fetch) == 0 ? [] : [["systemctl", "enable", "--now", "atoll-certificates.timer"]])
  }

  user_data = "#cloud-config\n${yamlencode(local.cloud_config)}"
}
