"""Talend Management Console (Qlik Talend Cloud), by its public API 2021-03."""

from adapters.talend.adapter import TalendAdapter

__all__ = ["TalendAdapter"]
