"""A copy of the store that can be trusted, and putting one in its place.

A backup is one SQLite file and nothing else: all that only we know stands in the store (notes, alerts, actions, the audit
with its chain, runs, samples), any SQLite can read it, and it is written and proved through SQLite beside a running engine.
The audit's mirror is written anew from the store; the configuration is a file of yours with a history of its own.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.clock import Clock
from engine.store import migrate, rescue
from engine.store.errors import StoreError
from engine.store.trouble import room
from engine.store.writer import Store, Tx, words

SPARE: Final = 16 << 20
"""Bytes of a disk that a backup leaves free."""
_GROWING: Final = ("audit", "note", "waiver", "signoff", "action", "action_event")
"""Tables that only grow: a copy made between two counts holds no fewer rows than the first and no more than the second."""
_TOLD: Final = ("run", "alert", "action", "note", "audit")


Record = Callable[[Tx, str | None], None]


@dataclass(frozen=True, slots=True)
class Copy:
    """What a store file holds: ``size`` in bytes, schema ``version``, rows by table."""

    path: Path
    size: int
    version: int
    rows: dict[str, int]
    heartbeat: int | None
    """When its engine last said that it lives (ms UTC): as of when it is true."""

    @property
    def words(self) -> str:
        return ", ".join(f"{self.rows.get(name, 0):,} {name}{'' if self.rows.get(name) == 1 else 's'}" for name in _TOLD if name != "audit") + (
            f", {self.rows.get('audit', 0):,} records of the audit"
        )  # fmt: skip


def backup(store: Path, target: Path) -> Copy:
    """Write and prove a copy of ``store`` as ``target``, also while an engine writes and terminals read.

    StoreError in one sentence; then there is no file at ``target`` that was not there before.
    """
    if os.path.lexists(target):
        raise StoreError(f"{target} exists already and is left as it is; name another file")
    if not store.is_file():
        raise StoreError(f"there is no store at {store}; see: watchfloor locate")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{target.parent} cannot be made: {error.strerror}") from None
    part = target.with_name(target.name + ".part")
    old_umask = os.umask(0o077)
    try:
        db = _readonly(store)
        try:
            _check_version(store, db)
            _check_room(db, store, target)
            before = _counts(db)
            part.unlink(missing_ok=True)
            db.execute("VACUUM INTO ?", (str(part),))
            after = _counts(db)
        finally:
            db.close()
        migrate.to_disk(part)
        copy = prove(part)
        for table in _GROWING:
            if not before.get(table, 0) <= copy.rows.get(table, 0) <= after.get(table, 0):
                raise StoreError(f"the copy of {store} lacks rows of {table}: nothing is kept of it; look at the disk")
        _name_it(part, target)
        migrate.to_disk(target.parent)
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise StoreError(_why(error, store, target)) from None
    except FileExistsError:
        part.unlink(missing_ok=True)
        raise StoreError(f"{target} exists already and is left as it is; name another file") from None
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.umask(old_umask)
    return Copy(target, copy.size, copy.version, copy.rows, copy.heartbeat)


def _name_it(part: Path, target: Path) -> None:
    """Never over a file that came meanwhile. A stick with VFAT knows no links: there it is looked at right before."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(part, target)
        return
    os.unlink(part)


def prove(path: Path) -> Copy:
    """Look through a whole store file that no engine writes (a backup). StoreError in one sentence where it is not sound."""
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    db: sqlite3.Connection | None = None
    try:
        log = Path(f"{path}-wal")
        immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"  # leaves no files beside it
        db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro{immutable}", uri=True, isolation_level=None)
        version = _check_version(path, db)
        said = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if said != "ok":
            one_line = " ".join(part for part in said.split() if part != "***")
            raise StoreError(f"{path} is damaged ({one_line[:160]}): take another backup")
        rows = _counts(db)
        if missing := {"meta", "source", "pipeline", "run", "audit"} - rows.keys():
            raise StoreError(f"{path} is not a whole Watchfloor store: it lacks {', '.join(sorted(missing))}")
        found = db.execute("SELECT heartbeat FROM engine").fetchone()
        return Copy(path, path.stat().st_size, version, rows, found[0] if found else None)
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_NOTADB"):
            raise StoreError(f"{path} is not a Watchfloor store: it is no SQLite database") from None
        if name.startswith("SQLITE_CORRUPT"):
            raise StoreError(f"{path} is damaged ({error}): take another backup") from None
        raise StoreError(f"{path} cannot be read as a store: {error}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    finally:
        if db is not None:
            db.close()


def restore(
    copy: Copy, store: Path, aside: str, clock: Clock, *, system: bool = False, record: Record | None = None
) -> Path | None:
    """Put a proved copy in the place of ``store``, which is kept under the name ``aside`` (returned; None: there was none).

    The caller holds the engine's lock. An older copy is brought up to date. What waited to be sent when it was made is
    not sent again. ``record`` writes of it into the copy, told the name under which the present store is kept.
    StoreError where that is impossible; then the present store stands where it stood. Killed at any moment, the next
    engine (or restore) finishes it: see ``finish``.
    """
    finish(store)
    fresh = _fresh(store)
    name = rescue.free_name(store, aside) if _there(store) else None
    for end in rescue.WITH:
        Path(f"{fresh}{end}").unlink(missing_ok=True)
    free = room(store.parent)
    if free is not None and free[0] < copy.size + SPARE:
        raise StoreError(
            f"no room for {copy.path} at {store.parent}: {copy.size + SPARE:,} bytes are needed, {free[0]:,} are free"
        )
    try:
        db = _readonly(copy.path)
        try:
            db.execute("VACUUM INTO ?", (str(fresh),))
        finally:
            db.close()
        os.chmod(fresh, 0o640 if system else 0o600)
        owner = store.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(fresh, owner.st_uid, owner.st_gid)  # the engine of another user must be able to write it
        opened = Store.open(fresh, clock, system=system)  # brings an older one up to date
        try:
            with opened.transaction(full=True) as tx:
                tx.db.execute(
                    "UPDATE outbox SET state = 4, last_error = 'the store was restored from a backup' WHERE state IN (0, 1)"
                )
                tx.db.execute("DELETE FROM armed")
                tx.db.execute(
                    "UPDATE engine SET stopped = heartbeat, last_words = 'the store was restored from a backup'"
                )
                if record is not None:
                    record(tx, name)
        finally:
            opened.close()
        for leftover in fresh.parent.glob(f"{fresh.name}.v*.bak"):
            leftover.unlink()  # of the copy, which is kept itself
        migrate.to_disk(fresh)
    except sqlite3.Error as error:
        _drop(fresh)
        raise StoreError(_why(error, copy.path, fresh)) from None
    except OSError as error:
        _drop(fresh)
        raise StoreError(f"{fresh} cannot be written: {error.strerror}") from None
    except BaseException:
        _drop(fresh)
        raise
    try:
        rescue.remember(_note(store), {"aside": name})
    except BaseException:
        _drop(fresh)
        raise
    return _swap(store, name)


def finish(store: Path) -> Path | None:
    """End a restore that was killed: the copy where it was ready, if the store had been moved; the store's new name then.

    The caller holds the engine's lock, and nothing of this process has the store open.
    """
    if not os.path.lexists(_note(store)):
        return None
    name = rescue.remembered(_note(store)).get("aside")
    if os.path.lexists(store) or not _fresh(store).is_file():  # it had not begun, or it was over
        _drop(_fresh(store))
        _note(store).unlink(missing_ok=True)
        return None
    return _swap(store, name if isinstance(name, str) and name.startswith(store.name) else None)


def _swap(store: Path, name: str | None) -> Path | None:
    if name is None and _there(store):  # nobody could read how it is to be called
        name = rescue.free_name(store, f"{store.name}.before-restore")
    kept = None if name is None else rescue.move_aside(store, name)
    try:
        os.rename(_fresh(store), store)
    except OSError as error:
        if kept is not None:
            rescue.move_aside(kept, store.name)
        _note(store).unlink(missing_ok=True)
        raise StoreError(f"{_fresh(store)} cannot take the place of {store}: {error.strerror}") from None
    migrate.to_disk(store.parent)
    _note(store).unlink(missing_ok=True)
    return kept


def _fresh(store: Path) -> Path:
    return store.with_name(f"{store.name}.restored")


def _note(store: Path) -> Path:
    return store.with_name(f"{store.name}.restore")


def _there(store: Path) -> bool:
    """Whether there is a store, or a log without one, which would be played into the next."""
    return any(os.path.lexists(f"{store}{end}") for end in rescue.WITH)


def _drop(path: Path) -> None:
    for end in (*rescue.WITH, "-journal"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def _readonly(path: Path) -> sqlite3.Connection:
    log = Path(f"{path}-wal")
    options = "mode=ro"
    if not log.exists() and not os.access(path.parent, os.W_OK):
        options += "&immutable=1"  # closed cleanly, and no place for SQLite's own files
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}", uri=True, isolation_level=None, timeout=10.0
    )


def _check_version(path: Path, db: sqlite3.Connection) -> int:
    mark = int(db.execute("PRAGMA application_id").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if mark != migrate.APPLICATION_ID or version == 0:
        raise StoreError(f"{path} is not a Watchfloor store")
    if version > migrate.LATEST:
        raise StoreError(
            f"{path} was made by a newer Watchfloor (schema {version}, this one knows {migrate.LATEST}): update first"
        )
    return version


def _check_room(db: sqlite3.Connection, store: Path, target: Path) -> None:
    pages, size = (int(db.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size"))
    free = room(target.parent)
    if free is not None and free[0] < pages * size + SPARE:
        raise StoreError(
            f"no room for a copy of {store} at {target.parent}: {pages * size + SPARE:,} bytes are needed, {free[0]:,} are free"
        )


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
    wanted = {*_GROWING, *_TOLD}
    return {
        name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) if name in wanted else 0  # noqa: S608
        for (name,) in names
    }


def _why(error: sqlite3.Error, store: Path, target: Path) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return f"no room for {target}: free as much as {store} is large"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")) and not os.access(target.parent, os.W_OK):
        return f"{target} cannot be written by this user"
    return words(error, store)
