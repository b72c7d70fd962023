"""What the terminal asks about actions and the audit trail. Part of the Reader."""

from __future__ import annotations

from engine.store.link import Link


class AuditQuestions(Link):
    """Part of the Reader."""
