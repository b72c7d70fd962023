"""Telling people: the message, the outbox, the channels."""

from __future__ import annotations

from engine.notify.outbox import Notifier

__all__ = ["Notifier"]
