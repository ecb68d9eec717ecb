"""A real Apache Kafka broker for development and tests, without Docker."""
