"""Is somebody watching? Judged by the kernel's lock and the engine's own sign of life."""

from __future__ import annotations

import os
from typing import Final

from engine.store.rows import EngineRow
from tui.view import Context

SILENT_MS: Final = 60_000


def feel(context: Context, row: EngineRow | None, held: bool | None) -> None:
    """Set ``engine_alive`` and ``engine_silent_since``: alive is who holds the lock and beat within a minute.

    ``held`` None: there is no lock to look at, only what the engine said. An engine that said goodbye is not silent. One
    that says itself that it can record nothing is alive, although its heart cannot be seen to beat: ``extra["trouble"]``.
    ``extra["hung"]``: it holds the store and its process is there, but it says nothing (stopped, or caught in a call that
    does not end); no other can start beside it.
    """
    context.extra["trouble"] = trouble = context.reader.trouble() if held else None
    context.extra["room"] = context.reader.room() if trouble is not None else None
    if held is None:
        held = row is None or row.stopped is None
    context.engine_alive = held and (trouble is not None or row is None or context.now() - row.heartbeat <= SILENT_MS)
    goodbye = row is not None and row.stopped is not None and row.stopped >= row.heartbeat
    context.engine_silent_since = None if row is None or context.engine_alive or goodbye else row.heartbeat
    silent = context.engine_silent_since is not None
    context.extra["hung"] = silent and held and row is not None and row.pid > 0 and _lives(row.pid)


def _lives(pid: int) -> bool:
    """Whether there is such a process on this machine, ours or not."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
