output "name" {
  description = "The relationship's name: what the other side's approval names."
  value       = atoll_relationship.this.name
}

output "generation" {
  description = "Of the form that is to be approved."
  value       = atoll_relationship.this.generation
}
