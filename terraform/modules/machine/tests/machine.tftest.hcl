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
