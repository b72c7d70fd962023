"""Verbs about the store itself: ``backup`` and ``restore``. Registered in ``engine.commands``."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands import fail, print_json, where
from engine.request import EXIT_BAD_INPUT, EXIT_OK, EXIT_REFUSED

if TYPE_CHECKING:
    from engine.store.writer import Tx


def backup(args: Namespace) -> int:
    """Write a proved copy of the store, beside a running engine; exit 2 in one sentence where that is impossible."""
    from engine.store.backup import backup as write
    from engine.store.errors import StoreError

    place = where(args)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = Path(os.path.abspath(args.file)) if args.file else place.state / "backups" / f"floor-{stamp}.db"
    if target.is_dir():
        target = target / f"floor-{stamp}.db"
    try:
        copy = write(place.store, target)
    except StoreError as error:
        return fail(str(error))
    if args.format == "json":
        print_json(
            "backup", {"path": str(copy.path), "bytes": copy.size, "schema": copy.version, "as_of": copy.heartbeat}
        )
        return EXIT_OK
    print(f"{copy.path}: {_size(copy.size)}, read through and sound; {copy.words}")
    print(f"back with: watchfloor restore {copy.path}")
    return EXIT_OK


def restore(args: Namespace) -> int:
    """Put a backup in the place of the store: exit 0, 2 for a file that is none, 3 where an engine runs or nobody agreed."""
    from engine.clock import Clock
    from engine.leader import Leader
    from engine.store.backup import prove
    from engine.store.backup import restore as put
    from engine.store.errors import StoreError

    place = where(args)
    file = Path(os.path.abspath(args.file))
    clock = Clock()
    if os.path.exists(place.store) and os.path.exists(file) and os.path.samefile(file, place.store):
        return fail(f"{file} is the store itself")
    try:
        copy = prove(file)
    except StoreError as error:
        return fail(str(error))
    as_of = "an unknown moment" if copy.heartbeat is None else _moment(copy.heartbeat)
    aside = f"{place.store.name}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    print(f"{file}: {_size(copy.size)}, sound, as of {as_of}; {copy.words}")
    if not args.yes:
        print(
            f"it takes the place of {place.store}, which is kept as {aside}; what happened since comes from the sources only"
        )
        if not sys.stdin.isatty():
            return fail("nothing was done: to restore it add --yes", EXIT_REFUSED)
        if input("Type y and Enter to do it: ").strip() != "y":
            return fail("nothing was done", EXIT_REFUSED)
    try:
        place.prepare()
    except OSError as error:
        return fail(f"{error.filename or place.state}: {error.strerror}")
    leader = Leader(place.lock)
    if not leader.try_lock():
        return fail(
            f"engine {leader.holder()} writes {place.store}; nothing was done: first watchfloor engine stop",
            EXIT_REFUSED,
        )
    try:
        kept = put(
            copy, place.store, aside, clock, system=args.system, record=_record(file.name, as_of, copy.heartbeat)
        )
    except StoreError as error:
        return fail(str(error), EXIT_BAD_INPUT)
    finally:
        leader.close()
    print(f"restored; the store before is {kept}" if kept else "restored; there was no store before")
    print("next: watchfloor engine run, or watchfloor")
    return EXIT_OK


def _record(file: str, moment: str, as_of: int | None) -> Callable[[Tx, str | None], None]:
    """In the audit, with who did it, and on Sources; in the copy before it takes the store's place."""
    from engine.peer import Peer, user_name
    from engine.rescue import record
    from engine.store import health

    uid = os.getuid()
    peer = Peer(uid, os.getpid(), user_name(uid), frozenset(), None)

    def write(tx: Tx, kept: str | None) -> None:
        words = f"the store was restored from {file}, as of {moment}" + (f"; the one before is {kept}" if kept else "")
        record(tx, "store-restored", {"words": words, "file": file, "kept_as": kept, "as_of": as_of}, peer)
        health.add_event(tx, "restored", tx.now, None, words)

    return write


def _size(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n < 1e9 else f"{n / 1e9:.2f} GB"


def _moment(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms / 1000))
