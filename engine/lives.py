"""An engine over a store that may break: run it, and where its store is damaged, make a new one and go on with that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from engine.clock import Clock
from engine.config.paths import Places
from engine.leader import Leader
from engine.store import rescue as store_rescue
from engine.store.errors import StoreDamaged, StoreError
from engine.store.trouble import Trouble

RESCUES = 3
"""How often one process makes a damaged store anew: a disk that spoils each is for a person."""

Life = Callable[[str], tuple[int, str | None]]
"""One life of the engine, told what to say on Sources: its exit code, and why its store must be made anew, if it must."""


def run(where: Places, leader: Leader, life: Life, *, system: bool = False) -> int:
    """The last life's exit code. The lock is held all the time, so that nobody else begins in between.

    StoreError in one sentence where the store is not ours to move, cannot be moved, or was damaged again and again.
    """
    from engine import rescue
    from engine.store.backup import finish

    clock = Clock()

    def log(line: str) -> None:
        with suppress(OSError):
            print(f"{clock.now() // 1000} {line}", file=sys.stderr, flush=True)

    if kept := finish(where.store):
        log(f"a restore was cut short and is finished now: the store before is {kept}")
    why = "a rescue was cut short" if rescue.unfinished(where) else ""
    note = ""
    for _ in range(RESCUES + 1):
        if why:
            leader.say(Trouble("rebuilding", clock.now(), why))
            note = rescue.rebuild(where, clock, why, log, system=system)
            leader.say(None)
        try:
            code, damaged = life(note)
        except StoreDamaged as error:
            if not note and where.store.exists() and not store_rescue.is_ours(where.store):
                raise
            damaged, code = str(error), 0
        if damaged is None:
            return code
        why = damaged
    raise StoreError(f"{where.store} was damaged {RESCUES + 1} times in a row ({why}): look at its disk")
