"""Starting an engine that outlives this terminal.

It runs the code that we run, whatever lies in the current folder or in ``PYTHONPATH``: a planted ``engine/`` must not
get to run with the secrets of the real one.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import engine.request

_CODE = "import sys; r = sys.argv.pop(1); r in sys.path or sys.path.insert(0, r); from engine.main import main; sys.exit(main(sys.argv[1:]))"
_last_start = float("-inf")
_children: list[Any] = []


class Place(Protocol):
    """What is needed of ``engine.config.paths.Places``."""

    @property
    def config(self) -> Path: ...
    @property
    def store(self) -> Path: ...
    @property
    def socket(self) -> Path: ...
    @property
    def lock(self) -> Path: ...
    @property
    def state(self) -> Path: ...
    @property
    def engine_log(self) -> Path: ...
    @property
    def system(self) -> bool: ...
    @property
    def demo(self) -> bool: ...
    def prepare(self) -> None: ...


def lock_held(path: Path) -> bool:
    """Whether an engine writes this store: the kernel's word, from a shared lock that is tried and given back."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def root() -> str:
    """The folder that holds our packages: a checkout or site-packages."""
    return str(Path(engine.request.__file__).resolve().parent.parent)


def command(place: Place, *, demo: bool = False, read_only: bool = False) -> list[str]:
    """What is executed. ``-P``: nothing is imported from the current folder."""
    argv = [sys.executable, "-P", "-c", _CODE, root(), "--auto"]
    if demo or place.demo:
        argv.append("--demo")
    elif place.system:
        argv.append("--system")
    else:
        argv += ["--config", str(place.config)]
    if read_only:
        argv.append("--read-only")
    return argv


def environment(base: dict[str, str] | None = None) -> dict[str, str]:
    """Ours, for the secrets that configuration names, without a way in for other people's modules.

    Of ``PYTHONPATH`` only absolute folders stay that hold our packages or what they are built on.
    """
    env = dict(os.environ if base is None else base)
    ours = root()
    kept = [
        entry
        for entry in env.pop("PYTHONPATH", "").split(os.pathsep)
        if os.path.isabs(entry)
        and (os.path.realpath(entry) == ours or all((Path(entry) / name).is_dir() for name in ("psutil", "httpx")))
    ]
    for name in ("PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONHASHSEED"):
        env.pop(name, None)
    if kept:
        env["PYTHONPATH"] = os.pathsep.join(kept)
    return env


def start_engine(place: Place, *, demo: bool = False, read_only: bool = False) -> bool:
    """Start one unless one runs or was started by us within the last second. True if a process was started.

    Own session, folder ``/``, stdin from nothing, output to ``engine.log``, no descriptor of ours: the terminal may go.
    OSError where the state folder cannot be written.
    """
    global _last_start
    import subprocess

    now = time.monotonic()
    if now - _last_start < 1.0 or lock_held(place.lock):
        return False
    _last_start = now
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
    place.prepare()
    log = os.open(
        place.engine_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640 if place.system else 0o600
    )
    try:
        child = subprocess.Popen(
            command(place, demo=demo, read_only=read_only),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(),
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(log)
    _children.append(child)
    return True
