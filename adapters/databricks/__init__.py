"""Databricks: jobs 2.2, pipelines, clusters, by the public REST API of a workspace."""

from adapters.databricks.adapter import DatabricksAdapter

__all__ = ["DatabricksAdapter"]
