"""Kubernetes: CronJobs and Jobs as pipelines and runs, by the cluster's own REST API."""

from adapters.kubernetes.adapter import KubernetesAdapter

__all__ = ["KubernetesAdapter"]
