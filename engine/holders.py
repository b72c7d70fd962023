"""Who holds a read of the store open, by the kernel's table of locks. Only ``/proc`` is read, never the store's files.

SQLite's readers lock one byte of the ``-shm`` file while a query of theirs goes on: bytes 123 to 127.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.peer import user_name

_READ_BYTES: Final = (123, 127)
_STATES: Final = {"T": "stopped", "t": "being debugged", "D": "waiting for a disk", "Z": "dead"}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that reads now. ``state``: a word where it does not simply run or sleep, else empty."""

    pid: int
    command: str
    user: str
    state: str

    @property
    def words(self) -> str:
        return f"pid {self.pid} ({', '.join(p for p in (self.command, f'user {self.user}', self.state) if p)})"

    @property
    def do(self) -> str:
        if self.state == "stopped":
            return f"let it go on (kill -CONT {self.pid}) or end it (kill -KILL {self.pid})"
        return f"end it (kill {self.pid}), or the query it is in"


def holders(store: Path, locks: str | None = None) -> list[Holder]:
    """Processes that have a read of ``store`` open in this moment; empty where the kernel does not tell."""
    try:
        inode = os.stat(f"{store}-shm").st_ino
        if locks is None:
            locks = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    pids: set[int] = set()
    for line in locks.splitlines():
        parts = line.split()
        # "1: POSIX  ADVISORY  READ 24629 fe:00:9979458 124 124"; a lock that is waited for has "->" before it
        if len(parts) != 8 or parts[1] != "POSIX" or parts[3] != "READ" or not parts[5].endswith(f":{inode}"):
            continue
        try:
            first, last = int(parts[6]), int(parts[7])
        except ValueError:
            continue
        if first <= _READ_BYTES[1] and last >= _READ_BYTES[0] and parts[4].isdigit():
            pids.add(int(parts[4]))
    return [describe(pid) for pid in sorted(pids) if pid > 0]


def describe(pid: int) -> Holder:
    """Command without its arguments (they may hold what is nobody's business), user, state."""
    folder = Path(f"/proc/{pid}")
    command, user, state = "", "?", ""
    try:
        user = user_name(folder.stat().st_uid)
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        state = _STATES.get(stat.rpartition(")")[2].split()[0], "")
        argv = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        command = _name(argv) or stat.partition("(")[2].rpartition(")")[0]
    except (OSError, IndexError):
        state = state or "gone"
    return Holder(pid, "".join(c for c in command if c.isprintable())[:60], user, state)


def _name(argv: list[str]) -> str:
    """``watchfloor``, ``sqlite3``; of an interpreter what it runs: ``python3 report.py``."""
    name = os.path.basename(argv[0])
    if not name.startswith(("python", "perl", "ruby", "node", "java", "sh", "bash")):
        return name
    script = next((a for a in argv[1:] if a and not a.startswith("-")), "")
    plain = script if script.isprintable() and len(script) < 200 and "-c" not in argv[1:3] else ""
    return f"{name} {os.path.basename(plain)}".strip()
