output "generation" {
  description = "Of the form that is approved."
  value       = atoll_relationship_approval.this.generation
}
