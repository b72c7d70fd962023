"""Who may write: the holder of one ``flock`` beside the store. The kernel frees it the moment the process is gone.

The file also says, for people, who holds it, and why nothing can be recorded when nothing can: a full disk still takes
bytes into a block that the file has, so that terminals hear of it although the store cannot be written.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.store.trouble import SIZE, Trouble, packed

ASK_AGAIN_S: Final = 0.02


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
                time.sleep(ASK_AGAIN_S)
                continue
            self._fd = fd
            self.say(None)
            return True

    def say(self, trouble: Trouble | None) -> None:
        """Write who holds the lock and what is wrong. Always the same block, never truncated: a full disk takes that."""
        if self._fd is not None:
            with suppress(OSError):  # for words only: the lock is the kernel's
                os.pwrite(self._fd, packed(os.getpid(), trouble), 0)
                os.ftruncate(self._fd, SIZE)

    def holder(self) -> int | None:
        """Pid that the last holder wrote, for words on screen only."""
        try:
            return int(self.path.read_text().split("\n", 1)[0].strip() or 0) or None
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
