"""From Kafka: record batches, offsets, dead letters."""
