"""Apache Kafka: lag of consumer groups, and whether partitions are well. It measures and runs nothing."""

from adapters.kafka.adapter import KafkaAdapter

__all__ = ["KafkaAdapter"]
