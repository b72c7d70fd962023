"""Kafka Connect: connectors as streams that run or do not, by the REST API of any of its workers."""

from adapters.kafka_connect.adapter import KafkaConnectAdapter

__all__ = ["KafkaConnectAdapter"]
