"""What every room of the engine is given: clock, store, configuration, adapters. Built once, in engine.main."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.base import Adapter
from engine.clock import Clock
from engine.peer import Peer, peer_of

if TYPE_CHECKING:
    from engine.config.model import Config
    from engine.config.paths import Places
    from engine.store.writer import Store

__all__ = ["Context", "Peer", "peer_of"]


@dataclass
class Context:
    """Shared and mutable: a reload replaces ``config`` and entries of ``adapters``; nobody keeps copies across an await.

    ``poll_soon(source name)`` asks for an early poll; ``log(line)`` writes one line to the engine's own log.
    ``look_soon(run's key)`` asks for a close look at a run: its steps and logs, although nobody watches it.
    """

    clock: Clock
    store: Store
    config: Config
    places: Places
    adapters: dict[str, Adapter]
    source_ids: dict[str, int]
    poll_soon: Callable[[str], None]
    log: Callable[[str], None]
    read_only: bool = False
    demo: bool = False
    look_soon: Callable[[str], None] = lambda run: None
