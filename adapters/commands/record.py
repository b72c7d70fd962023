"""The file of one run that we started: who it is, how it stands. Written by its keeper while that lives, read by everybody."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from adapters.local import state as st
from adapters.local import tree

Record = dict[str, Any]


@cache
def boot_id() -> str:
    """Of this start of the host: a pid of an earlier one means nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def stamp(pid: int) -> Record:
    """What tells a process from all others: its pid, its start in clock ticks, the boot."""
    return {"pid": pid, "start": tree.start_time(pid), "boot": boot_id()}


def lives(who: Any) -> bool:
    """Whether that very process still runs."""
    if not isinstance(who, dict):
        return False
    pid, start = who.get("pid"), who.get("start")
    return who.get("boot") == boot_id() and isinstance(pid, int) and start is not None and tree.same(pid, start)


def read(path: Path) -> Record | None:
    return st.read_json(path)


def write(path: Path, state: Record) -> None:
    """Whole or not at all, also after a power cut."""
    st.write_json(path, state, mode=0o600)
