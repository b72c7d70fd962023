"""Alerts: what is wrong, since when, who has it. Judged in the transaction that stores what was seen."""

from __future__ import annotations

from engine.alerts.judge import Alerts

__all__ = ["Alerts"]
