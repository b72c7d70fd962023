"""The files of one run are its truth: what was asked (spec.json), how it stands (state.json), who runs it (lock).

A run is the folder ``runs/<job>@<run>``, made elsewhere and renamed into place, so that it is whole or absent and made
once. ``state.json`` is replaced atomically. Whoever holds the flock on ``lock`` may write the state: the supervisor
while it lives, else the adapter. The kernel frees the lock at once when a supervisor dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from adapters.model import State

MARK: Final = "WATCHFLOOR_RUN"
FLOOR: Final = "WATCHFLOOR_STATE"
"""Set in every process of a run: which run it is, and in which state folder (two floors may have runs of one name)."""

BASE_ENV: Final = ("PATH", "HOME", "LANG", "TZ", "USER")
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Record = dict[str, Any]
_STATES: Final = frozenset(map(int, State))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def write_json(path: Path, value: Record, durable: bool = True, mode: int = 0o640) -> None:
    """Replace ``path`` atomically; ``durable``: a reader sees the old or the new one also after a power cut."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as out:
            json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
            if durable:
                out.flush()
                os.fsync(out.fileno())
        os.rename(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Record | None:
    """The object in ``path``; None if it is not there or not whole."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            value = json.load(source)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_state(folder: Path) -> Record | None:
    """The run's state; None if it is not there, or not such a thing (only a broken disk or a stranger makes that)."""
    state = read_json(folder / "state.json")
    if state is None or not (isinstance(state.get("job"), str) and isinstance(state.get("run"), str)):
        return None
    if state.get("state") not in _STATES or not isinstance(state.get("steps"), list):
        return None
    state.setdefault("native", State(state["state"]).name.lower())
    for name, missing in (("kind", 0), ("queued", 0), ("due", None)):
        state.setdefault(name, missing)
    return state


def write_state(folder: Path, state: Record) -> None:
    """Stamp and replace the state. Only for who holds the lock.

    The stamp orders what is seen of a run, so it always grows, also when somebody sets the clock back.
    """
    state["updated"] = max(now_ms(), (state.get("updated") or 0) + 1)
    write_json(folder / "state.json", state)


def acquire(folder: Path, wait_s: float = 0.0) -> int | None:
    """Take the run's lock within ``wait_s``: its descriptor (close it to release), or None. OSError: no such run."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                os.close(fd)
                return None
            time.sleep(0.005)
        else:
            return fd


def supervised(folder: Path) -> bool:
    """Whether a supervisor holds the run now."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def log_name(step: str, attempt: int) -> str:
    """File name of one try's log: ``<step>.<try>.log``; what is not a letter, digit, ``_``, ``-``, ``.`` is encoded."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else f"%{ord(c):x}" for c in step)
    return f"{safe[:180]}.{attempt}.log"
