output "connection_id" {
  description = "Known once the connection is accepted."
  value       = aws_vpc_peering_connection_accepter.this.id
}
