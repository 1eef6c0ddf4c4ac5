"""The Kafka door: Kafka clients of every kind as clients of this server."""
