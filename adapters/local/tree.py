"""Processes of a run: found by descent and by mark, stopped, continued and ended as one.

Facts from proc(5): ``/proc/PID/task/TID/children`` lists a thread's children (0.3 ms for a tree; reliable only for
processes that stand still, hence the repeated passes); field 22 of ``stat`` is the start time that tells a pid from its
successor; ``environ`` is what a process was started with, whatever became of its parents.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

Find = Callable[[], list[int]]

TERM_GRACE_S: Final = 2.0
_STANDING: Final = "Tt"
_DEAD: Final = "ZX"


def stat(pid: int) -> tuple[str, int, int] | None:
    """(state letter, parent, start time in clock ticks since boot) of a process; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as source:
            text = source.read()
    except OSError:
        return None
    # the name stands in parentheses and may hold anything, blanks and parentheses too
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode("ascii", "replace"), int(fields[1]), int(fields[19])


def start_time(pid: int) -> int | None:
    found = stat(pid)
    return None if found is None else found[2]


def same(pid: int, start: int | None) -> bool:
    """Whether ``pid`` is still the process that began at ``start`` and has not ended."""
    found = stat(pid)
    return found is not None and found[2] == start and found[0] not in _DEAD


def children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as source:
                found.extend(map(int, source.read().split()))
        except OSError:
            continue
    return found


@cache
def has_children_files() -> bool:
    """Whether this kernel has them (CONFIG_PROC_CHILDREN): hardened ones and gVisor do not."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def _children_by_stat() -> Callable[[int], list[int]]:
    """Children by reading every process's parent once: slower, but everywhere."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (facts := stat(int(name))) is not None:
            found.setdefault(facts[1], []).append(int(name))
    return lambda pid: found.get(pid, [])


def descendants(roots: Iterable[int]) -> list[int]:
    """All below ``roots``, parents before their children, without the roots themselves."""
    found: list[int] = []
    known = set(roots)
    below_of = children if has_children_files() else _children_by_stat()
    level = list(known)
    while level:
        below: list[int] = []
        for pid in level:
            for child in below_of(pid):
                if child not in known:
                    known.add(child)
                    below.append(child)
        found.extend(below)
        level = below
    return found


def marked(*entries: bytes) -> list[int]:
    """Living processes whose environment holds each of ``entries`` (``NAME=value``), ascending."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as source:
                text = source.read()
        except OSError:
            continue  # gone, or not ours to read
        if entries[0] in text and set(entries) <= set(text.split(b"\0")):
            found.append(int(name))
    return sorted(found)


def living(pids: Iterable[int]) -> list[int]:
    """Those that still run code: zombies only wait to be reaped."""
    return [pid for pid in pids if (found := stat(pid)) is not None and found[0] not in _DEAD]


def send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def freeze(find: Find, wait_s: float = 2.0) -> list[int]:
    """SIGSTOP until two passes in a row find every process standing; those found last.

    A tree that forks while it is being stopped is caught by the repetition: each pass leaves fewer that can fork.
    """
    until = time.monotonic() + wait_s
    calm = 0
    while True:
        moving = False
        pids = find()
        for pid in pids:
            found = stat(pid)
            if found is not None and found[0] not in _STANDING and found[0] not in _DEAD:
                moving = True
                send(pid, signal.SIGSTOP)
        calm = 0 if moving else calm + 1
        if calm == 2 or time.monotonic() >= until:
            return living(pids)
        time.sleep(0.004)


def thaw(find: Find, wait_s: float = 2.0) -> list[int]:
    """SIGCONT until no process stands any more; those found last."""
    until = time.monotonic() + wait_s
    while True:
        standing = False
        pids = find()
        for pid in pids:
            found = stat(pid)
            if found is not None and found[0] in _STANDING:
                standing = True
                send(pid, signal.SIGCONT)
        if not standing or time.monotonic() >= until:
            return living(pids)
        time.sleep(0.004)


def end(find: Find, pause: Callable[[float], None] = time.sleep, grace_s: float = TERM_GRACE_S) -> list[int]:
    """SIGTERM (and SIGCONT, for what stands) to all, SIGKILL after ``grace_s``; those that could not be ended.

    ``pause`` waits that many seconds; a parent reaps in it. A tree that forks faster than it can be killed is made to
    stand first. What ten seconds of SIGKILL do not end (waiting for a dead disk, or another user's) is given up.
    """
    asked: set[int] = set()
    begun = time.monotonic()
    while True:
        pids = living(find())
        if not pids:
            return []
        if time.monotonic() >= begun + grace_s:
            break
        for pid in pids:
            if pid not in asked:
                asked.add(pid)
                send(pid, signal.SIGTERM)
            send(pid, signal.SIGCONT)
        pause(0.03)
    while True:
        pids = freeze(find, 0.2)
        if not pids or time.monotonic() >= begun + grace_s + 10:
            return pids
        for pid in pids:
            send(pid, signal.SIGKILL)
        pause(0.01)


def find_run(supervisor: int | None, marks: tuple[bytes, ...]) -> list[int]:
    """Every process of a run: below its supervisor (which adopts what double-forks), and whoever carries its marks."""
    found = descendants([supervisor]) if supervisor is not None else []
    known = set(found)
    for pid in marked(*marks):
        if pid not in known and pid != supervisor:
            found.append(pid)
            # children that were started with another environment
            known.add(pid)
            for child in descendants([pid]):
                if child not in known:
                    known.add(child)
                    found.append(child)
    return found
