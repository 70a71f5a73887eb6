# Run by `terraform test` in this folder. The bootstrap directory is the example that this repository keeps.

variables {
  bootstrap = "../../../infra/example"
  host      = "eu-1"
}

run "renders_what_bootstrap_wrote" {
  command = plan

  assert {
    condition     = startswith(output.user_data, "#cloud-config\n")
    error_message = "cloud-init knows user-data by its first line"
  }

  assert {
    condition = alltrue([for path in ["install.sh", "config/global.json", "config/etcd.env", "systemd/atoll-cluster@.service"] :
      one([for written in yamldecode(output.user_data).write_files : written.content if written.path == "/root/atoll-eu-1/${path}"]) == file("../../../infra/example/hosts/eu-1/${path}")
    ])
    error_message = "a file of the machine is not as bootstrap wrote it"
  }

  assert {
    condition     = length(output.user_data_gzip_base64) < 16384
    error_message = "it does not fit into 16 KiB"
  }
}

run "brings_a_release_and_secrets_by_commands" {
  command = plan

  variables {
    atoll = { url = "https://example.org/atoll.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    fetch = ["aws s3 cp --recursive s3://atoll-eu-1/ ."]
  }

  assert {
    condition     = one([for written in yamldecode(output.user_data).write_files : strcontains(written.content, "aws s3 cp --recursive s3://atoll-eu-1/ .\nsh ./install.sh\n") if endswith(written.path, "/setup.sh")])
    error_message = "what is secret has to come before install.sh runs"
  }

  assert {
    condition     = one([for written in yamldecode(output.user_data).write_files : strcontains(written.content, "aws s3 cp --recursive s3://atoll-eu-1/ .\n") if endswith(written.path, "/fetch.sh")])
    error_message = "certificates that were renewed come as the first ones did"
  }

  assert {
    condition     = contains(yamldecode(output.user_data).runcmd, ["systemctl", "enable", "--now", "atoll-certificates.timer"])
    error_message = "nothing looks for certificates that were renewed"
  }
}

run "says_which_directory_has_no_such_machine" {
  command = plan

  variables {
    host = "mars-1"
  }

  expect_failures = [output.user_data]
}

run "refuses_a_checksum_that_is_none" {
  command = plan

  variables {
    atoll = { url = "https://example.org/atoll.tar.gz", sha256 = "latest" }
  }

  expect_failures = [var.atoll]
}

run "has_everything_wait_for_a_disk_of_its_own" {
  command = plan

  variables {
    data = { device = "/dev/disk/by-id/virtio-atoll", attach = ["cloud attach --disk atoll-eu-1"] }
  }

  assert {
    condition = {
      for written in yamldecode(output.user_data).write_files : trimprefix(written.path, "/root/atoll-eu-1/") => written.content if endswith(written.path, "/attach.sh") || endswith(written.path, "/data.sh")
    } == { "attach.sh" = "#!/bin/sh\nset -eu\ncloud attach --disk atoll-eu-1\n", "data.sh" = file("./data.sh") }
    error_message = "the disk is brought by the commands that were given"
  }

  assert {
    condition = alltrue([for written in yamldecode(output.user_data).write_files : (
      written.path == "/etc/systemd/system/attach-atoll-data.service" ? strcontains(written.content, "/bin/sh /root/atoll-eu-1/data.sh /dev/disk/by-id/virtio-atoll /var/lib/atoll;") :
      written.path == "/etc/systemd/system/atoll-.service.d/50-data.conf" ? strcontains(written.content, "\nRequires=attach-atoll-data.service\n") : true
    )])
    error_message = "no unit of Atoll starts before the disk is there"
  }
}

run "has_no_disk_and_no_further_files_unless_told" {
  command = plan

  assert {
    condition     = length([for written in yamldecode(output.user_data).write_files : written.path if strcontains(written.path, "data")]) == 0
    error_message = "a machine without a disk waits for none"
  }
}

run "brings_further_files" {
  command = plan

  variables {
    files = { "/etc/atoll-aws-identity.pem" = "a certificate" }
  }

  assert {
    condition     = one([for written in yamldecode(output.user_data).write_files : "${written.permissions} ${written.content}" if written.path == "/etc/atoll-aws-identity.pem"]) == "0644 a certificate"
    error_message = "anybody may read it"
  }
}

run "refuses_what_is_no_path_of_a_device_or_a_file" {
  command = plan

  variables {
    data  = { device = "sdf; reboot" }
    files = { "etc/passwd" = "" }
  }

  expect_failures = [var.data, var.files]
}
