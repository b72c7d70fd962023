"""What is known of a source, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import Health


@dataclass(slots=True)
class Standing:
    """What is known of a source, in memory; written once a second by the engine's beat."""

    health: Health = Health.NEVER
    since: int = 0
    last_ok: int | None = None
    last_try: int | None = None
    next_try: int | None = None
    failures: int = 0
    detail: str | None = None
    hint: str | None = None
    until: int | None = None
    version: str | None = None
    identity: str | None = None
    skew_ms: int | None = None
    latency_ms: int | None = None
    cursor: str | None = None
