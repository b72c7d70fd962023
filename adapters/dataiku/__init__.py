"""Dataiku DSS, by its public API."""

from adapters.dataiku.adapter import DataikuAdapter

__all__ = ["DataikuAdapter"]
