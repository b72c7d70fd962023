"""Airflow 3, by its public ``/api/v2``."""

from adapters.airflow.adapter import AirflowAdapter

__all__ = ["AirflowAdapter"]
