"""A damaged store: put aside as it is, and what only we know read out of it into a new one.

What the sources know comes from them again. The bad file is never written on: it is read through SQLite read-only, or,
where its header is gone, from a copy that got the header of a sound store.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

from engine.store.errors import StoreDamaged, StoreError
from engine.store.migrate import APPLICATION_ID, to_disk
from engine.store.writer import check_log

WITH: Final = ("", "-wal", "-shm")
"""What belongs to a store, by the end of its name."""
KEPT: Final = (
    "source", "source_health", "pipeline", "note", "waiver", "signoff", "silence", "action", "action_event", "alert", "alert_event",
    "outbox", "delivery", "config_version", "beat", "own_event",
)  # fmt: skip
"""Tables of what only we know, parents first; the audit is read by itself, because its chain can be proved."""
PATIENCE_S: Final = 30.0
_PAGE: Final = 200
_HEADER: Final = 100
_PAGE_SIZE: Final = 4096
_LOOK: Final = 4 << 20


@dataclass
class Saved:
    """Rows read by table, and the tables of which something could not be read."""

    rows: dict[str, int] = field(default_factory=dict[str, int])
    torn: list[str] = field(default_factory=list[str])
    heartbeat: int | None = None
    """The last sign of life that the old store holds."""
    patched: bool = False

    @property
    def words(self) -> str:
        kept = [f"{n} of {name}" for name, n in self.rows.items() if n and name in ("audit", "note", "action", "alert")]
        lost = f"; parts of {', '.join(self.torn)} could not be read" if self.torn else ""
        return f"kept {', '.join(kept) or 'nothing of what people did'}{lost}"


def is_ours(path: Path) -> bool:
    """Whether a file that SQLite does not take is a store of ours, by the words of its schema; all zeros counts.

    Only while nothing of this process has it open: closing it drops SQLite's locks.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LOOK)
    except OSError:
        return False
    ours = data.startswith(b"SQLite format 3\0") and (
        data[68:72] == APPLICATION_ID.to_bytes(4, "big")
        or (len(data) <= 2 * _PAGE_SIZE and path.with_name("engine.lock").exists())  # all of it stood in the log
    )
    return ours or b"CREATE TABLE pipe_now" in data or not data.strip(b"\0")


def free_name(path: Path, plain: str) -> str:
    """``plain``, or with a number where something has it already: nothing that was kept is ever written over."""
    name, number = plain, 1
    while any(os.path.lexists(path.with_name(f"{name}{end}")) for end in WITH):
        number += 1
        name = f"{plain}-{number}"
    return name


def remember(note: Path, what: dict[str, Any]) -> None:
    """Write what is about to be done, whole and on the disk before it begins. StoreError where there is no room for it."""
    fresh = note.with_name(note.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(what).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, note)
        to_disk(note.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StoreError(f"{note} cannot be written: {error.strerror}") from None


def remembered(note: Path) -> dict[str, Any]:
    """What stands in such a note; empty where there is none, or it cannot be read."""
    try:
        found: Any = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def move_aside(path: Path, name: str) -> Path:
    """Rename the store and what belongs to it to ``name``, in the same folder; nothing of this process has it open.

    The store first: from then on no reader takes an old log for the log of a new store. Where it was cut short it is
    called again: a log left behind would be played into the store that comes next.
    """
    target = path.with_name(name)
    for end in WITH:
        try:
            os.rename(f"{path}{end}", f"{target}{end}")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{path}{end} cannot be moved aside: {error.strerror}") from None
    to_disk(path.parent)
    return target


def log_is_garbage(path: Path) -> bool:
    """Whether the write-ahead log has no head of its own; nothing of this process has the store open."""
    try:
        check_log(path)
    except StoreDamaged:
        return path.exists()
    return False


def sound_alone(path: Path) -> bool:
    """Whether the store is whole without its write-ahead log: then only what stood in that is lost."""
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, isolation_level=None)
        try:
            ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            tables = db.execute(
                "SELECT count(*) FROM sqlite_master WHERE name IN ('run', 'audit', 'pipe_now')"
            ).fetchone()[0]
            return ours and tables == 3 and db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        finally:
            db.close()
    except sqlite3.Error:
        return False


def log_aside(path: Path, name: str) -> Path:
    """Rename the write-ahead log and its index alone; the log's new path."""
    target = path.with_name(f"{name}-wal")
    try:
        os.rename(f"{path}-wal", target)
        Path(f"{path}-shm").unlink(missing_ok=True)  # an index of what is gone; SQLite makes it anew
    except OSError as error:
        raise StoreError(f"{path}-wal cannot be moved aside: {error.strerror}") from None
    to_disk(path.parent)
    return target


def ask_again(db: sqlite3.Connection) -> None:
    """Every source is asked from its beginning: what was stored last may be lost."""
    db.execute("UPDATE source_health SET cursor = NULL")


def salvage(bad: Path, db: sqlite3.Connection, schema: Sequence[bytes] = (), patience_s: float = PATIENCE_S) -> Saved:
    """Copy what only we know from ``bad`` into the open transaction of a new store. ``schema``: the head of a sound store.

    Never raises for what is wrong with ``bad``: what cannot be read is counted as torn.
    """
    saved = Saved()
    copy: Path | None = None
    try:
        old = _open(bad)
        if old is None and schema:
            copy = bad.with_name(bad.name + ".copy")
            old = _open(_patched(bad, copy, schema[0]))
            saved.patched = old is not None
        if old is None:
            saved.torn = [*KEPT, "audit"]
            return saved
        try:
            end = time.monotonic() + patience_s
            for table in KEPT:
                _take(old, db, table, saved, end)
            saved.heartbeat = _heartbeat(old)
        finally:
            old.close()
    finally:
        if copy is not None:
            for end_of in WITH:
                Path(f"{copy}{end_of}").unlink(missing_ok=True)
    return saved


def audit_rows(bad: Path, schema: Sequence[bytes] = ()) -> list[tuple[Any, ...]]:
    """All records of the audit that can be read, by number; unproved."""
    copy: Path | None = None
    old = _open(bad)
    try:
        if old is None and schema:
            copy = bad.with_name(bad.name + ".copy")
            old = _open(_patched(bad, copy, schema[0]))
        if old is None:
            return []
        torn: list[str] = []
        rows = list(_rows(old, "audit", "seq", _columns(old, "audit"), torn, time.monotonic() + PATIENCE_S))
        return [row[1:] for row in rows]
    except sqlite3.Error:
        return []
    finally:
        if old is not None:
            old.close()
        if copy is not None:
            for end_of in WITH:
                Path(f"{copy}{end_of}").unlink(missing_ok=True)


def head_of(path: Path) -> bytes:
    """The header of a store that nothing of this process has open."""
    with path.open("rb") as file:
        return file.read(_HEADER)


def _open(path: Path | None) -> sqlite3.Connection | None:
    """Read-only; None where SQLite does not even take its schema."""
    if path is None:
        return None
    db: sqlite3.Connection | None = None
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=2.0)
        db.text_factory = _text
        db.execute("PRAGMA cell_size_check = ON")
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return db
    except sqlite3.Error:
        pass
    if db is not None:
        db.close()
    return None


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _patched(bad: Path, copy: Path, head: bytes) -> Path | None:
    """A copy with the header of a sound store of the same schema, and its own number of pages."""
    try:
        shutil.copyfile(bad, copy)
        os.chmod(copy, 0o600)
        pages = max(copy.stat().st_size // struct.unpack(">H", head[16:18])[0], 1)
        with copy.open("r+b") as file:
            # number of pages; no free list: what it pointed at is not known any more
            file.write(head[:28] + struct.pack(">III", pages, 0, 0) + head[40:_HEADER])
        if Path(f"{bad}-wal").exists():
            shutil.copyfile(f"{bad}-wal", f"{copy}-wal")
    except (OSError, struct.error):
        return None
    return copy


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})").fetchall()]


def _heartbeat(db: sqlite3.Connection) -> int | None:
    try:
        row = db.execute("SELECT heartbeat FROM engine").fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row and isinstance(row[0], int) else None


def _take(old: sqlite3.Connection, new: sqlite3.Connection, table: str, saved: Saved, end: float) -> None:
    try:
        there = _columns(new, table)
        columns = [c for c in _columns(old, table) if c in there]
    except sqlite3.Error:
        columns = []
    if not columns:
        saved.torn.append(table)
        return
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    count = 0
    for row in _rows(old, table, "rowid", columns, saved.torn, end):
        try:
            count += max(new.execute(insert, row[1:]).rowcount, 0)
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # the new store cannot be written
            if table not in saved.torn:
                saved.torn.append(table)
    saved.rows[table] = count


def _rows(
    db: sqlite3.Connection, table: str, key: str, columns: Sequence[str], torn: list[str], end: float
) -> Iterator[tuple[Any, ...]]:
    """Rows with their number first, from both ends up to what cannot be read: a bad page hides only what lies on it."""
    names = ", ".join(columns)

    def page(order: str, beyond: int, limit: int) -> list[tuple[Any, ...]]:
        sign = ">" if order == "ASC" else "<"
        return db.execute(
            f"SELECT {key}, {names} FROM {table} WHERE {key} {sign} ? ORDER BY {key} {order} LIMIT ?",  # noqa: S608
            (beyond, limit),
        ).fetchall()

    top = -(1 << 62)
    for order, start in (("ASC", -(1 << 62)), ("DESC", 1 << 62)):
        at, whole = start, False
        rows, limit = [], _PAGE
        while time.monotonic() < end:
            try:
                rows = page(order, at, limit)
            except sqlite3.Error:
                if limit == 1:
                    break
                limit = 1  # up to the very row
                continue
            good = [row for row in rows if isinstance(row[0], int) and (order == "ASC" or row[0] > top)]
            yield from good
            if len(rows) < limit or len(good) < len(rows):
                whole = True
                break
            at = rows[-1][0]
            top = at if order == "ASC" else top
        if whole:
            if order == "ASC":
                return
            break
    if table not in torn:
        torn.append(table)


def settle(db: sqlite3.Connection, now: int, since: int) -> None:
    """What of the salvaged rows must not be taken as it stands: the sources are asked afresh, promises are judged afresh.

    ``since``: until when the old store is known to have been kept; what failed before that is no news.
    """
    db.execute(
        "UPDATE source_health SET health = 0, cursor = NULL, last_try = NULL, next_try = NULL, failures = 0, detail = NULL, hint = NULL"
    )
    db.execute("DELETE FROM source_health WHERE source_id NOT IN (SELECT id FROM source)")
    db.execute("DELETE FROM pipeline WHERE source_id NOT IN (SELECT id FROM source)")
    db.execute("INSERT OR IGNORE INTO source_health (source_id, health, since) SELECT id, 0, ? FROM source", (now,))
    db.execute("INSERT OR REPLACE INTO alert_source (source_id, first_seen) SELECT id, ? FROM source", (since,))
    db.execute(
        "INSERT INTO alert_event (alert_id, at, what, detail) SELECT id, ?, 'closed', 'the store was made anew: what is owed is"
        " judged afresh' FROM alert WHERE rule = 'owed' AND state < 4",
        (now,),
    )
    db.execute("UPDATE alert SET state = 5, changed = ? WHERE rule = 'owed' AND state < 4", (now,))
