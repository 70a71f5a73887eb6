output "user_data" {
  description = "cloud-init's user-data, for any cloud. Holds no secret."
  value       = local.user_data

  precondition {
    condition     = contains(local.public, "install.sh")
    error_message = "There is no ${local.source}/install.sh: run `atoll bootstrap FILE --out ${var.bootstrap}`, whose file has a host ${var.host}."
  }
}

output "user_data_gzip_base64" {
  description = "The same, compressed: cloud-init unpacks it by itself, and clouds that bound user-data (16 KiB on EC2) take it."
  value       = base64gzip(local.user_data)
}

output "folder" {
  description = "The machine's folder: `keys`, `tls` and `tokens` belong below it. A token that is put into `tokens` is taken in at once."
  value       = local.folder
}
