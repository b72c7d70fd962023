"""Who may write: the holder of one ``flock`` beside the store. The kernel frees it the moment the process is gone."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class Leader:
    """The lock of one store. Keep the object as long as you write; closing it frees the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_lock(self, patience_s: float = 0.5) -> bool:
        """True if we are the writer now. Readers test the lock for microseconds, so a refusal is asked again for a moment."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        end = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    os.close(fd)
                    return False
                time.sleep(0.02)
                continue
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            self._fd = fd
            return True

    def holder(self) -> int | None:
        """Pid that the last holder wrote, for words on screen only."""
        try:
            return int(self.path.read_text().strip() or 0) or None
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def file_id(path: Path) -> tuple[int, int] | None:
    """Which file stands there: device and inode; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
