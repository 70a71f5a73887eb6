output "instance" {
  description = "Known once every program of the region is well; another one each time the region is started anew."
  value       = one(atoll_local_unit.region[*].instance)
}
