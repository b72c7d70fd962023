"""Prometheus and what speaks its query API (Mimir, Thanos, VictoriaMetrics): hosts of a fleet and named queries."""

from adapters.prometheus.adapter import PrometheusAdapter

__all__ = ["PrometheusAdapter"]
