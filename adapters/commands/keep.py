"""Stays beside one process that an action started, so that its exit code is known also when the engine is gone by then.

``python -I -S …/adapters/commands/keep.py STATE LOG GRACE LOCK_FD ARGV…``. It holds the lock that it was given until the end is
written down. SIGTERM ends the process with its group: SIGTERM first, SIGKILL after ``GRACE`` seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main(argv: list[str]) -> int:
    from adapters.commands.record import read, stamp, write

    state_path, log_path, grace_s, lock = Path(argv[0]), argv[1], float(argv[2]), int(argv[3])
    command = argv[4:]
    state: dict[str, Any] = read(state_path) or {}
    state["keeper"] = stamp(os.getpid())
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {state['keeper']['start']} {state.get('run')}\n".encode(), 0)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    state["started"] = time.time_ns() // 1_000_000
    group = 0
    idle = False  # nothing else is being written just now

    def stop(*_: object) -> None:
        if not state.get("stopping"):
            state["stopping"] = True
            signal.setitimer(signal.ITIMER_REAL, grace_s)
        if group:
            _kill(group, signal.SIGTERM)
        if idle:
            with contextlib.suppress(OSError):
                write(state_path, state)

    def kill(*_: object) -> None:
        _kill(group, signal.SIGKILL)

    def nothing(*_: object) -> None:
        return

    # handlers, not SIG_IGN: what is ignored here the process would inherit, and never end at a SIGTERM
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGHUP, nothing)
    signal.signal(signal.SIGINT, nothing)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        state |= {"ended": time.time_ns() // 1_000_000, "code": 127, "error": f"cannot start: {why}"}
        write(state_path, state)
        return 0
    group = child.pid
    state["child"] = stamp(group)
    write(state_path, state)
    if state.get("stopping"):  # asked before there was anything to end
        stop()
    idle = True
    code = child.wait()
    idle = False
    signal.signal(signal.SIGTERM, nothing)
    signal.setitimer(signal.ITIMER_REAL, 0)
    stopped = bool(state.pop("stopping", False))
    if stopped:
        _kill(child.pid, signal.SIGKILL)  # what is left of its group
    state |= {"ended": time.time_ns() // 1_000_000, "code": code, "stopped": stopped}
    write(state_path, state)
    os.close(lock)
    return 0


def _kill(group: int, number: signal.Signals) -> None:
    if not group:
        return
    try:
        os.killpg(group, number)
        if number is signal.SIGTERM:
            os.killpg(group, signal.SIGCONT)
    except OSError:
        pass


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    sys.exit(main(sys.argv[1:]))
