"""The Kafka messages that Cauce knows: one module per API with its request, response and their structs."""
