"""The audit: a hash chain in the store, mirrored as JSON lines in a file of its own.

A record's hash covers all its fields and the hash before it, so that a changed, removed or inserted record breaks the
chain at its place. Cutting off the end leaves a sound chain: that is what the mirror tells.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final, TextIO

from adapters.model import Pipeline, Run
from engine.actions.words import clean
from engine.context import Context
from engine.ids import ulid
from engine.peer import Peer
from engine.store import actions as rows
from engine.store.audit_rows import AuditRow
from engine.store.chain import FIRST, Broken, Checked, canonical, follow, hash_of
from engine.store.errors import StoreError
from engine.store.writer import Tx

FORMATS: Final = ("jsonl", "csv", "md")
_TAIL_BYTES: Final = 1 << 20
_FIELDS: Final = tuple(f.name for f in fields(AuditRow))


class Audit:
    """Writes records. ``record`` inside a transaction; ``flush`` after its commit, which brings the mirror up to date."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._mirrored: int | None = None

    def record(
        self,
        tx: Tx,
        event: str,
        *,
        peer: Peer | None,
        action_id: str | None = None,
        verb: str | None = None,
        key: str | None = None,
        body: Mapping[str, Any],
    ) -> AuditRow:
        """Append one fact. ``peer`` None: the engine itself says so. ``body`` is JSON-able and masked by the caller."""
        seq, prev = rows.audit_tail(tx) or (0, FIRST)
        full = dict(body)
        if peer is not None:
            full["identity"] = identity(peer)
        unsigned = AuditRow(
            seq=seq + 1,
            id=ulid(tx.now),
            at=tx.now,
            action_id=action_id,
            event=event,
            uid=os.getuid() if peer is None else peer.uid,
            login="engine" if peer is None else peer.login,
            origin=None if peer is None else peer.origin,
            verb=verb,
            key=key,
            body=canonical(full),
            prev=prev,
            hash="",
        )
        row = replace(unsigned, hash=hash_of(unsigned))
        rows.audit_insert(tx, row)
        return row

    def flush(self) -> None:
        """Append what the mirror lacks and wait for the disk. OSError or a store error where that is impossible."""
        with self._ctx.store.transaction() as tx:
            if self._mirrored is None:
                self._mirrored = self._adopt(tx)
            after = self._mirrored
            todo: list[AuditRow] = []
            while page := rows.audit_page(tx.db, after):
                todo += page
                after = page[-1].seq
        if not todo:
            return
        append(self._ctx.places.audit, "".join(line_of(row) for row in todo))
        self._mirrored = todo[-1].seq

    def flush_quietly(self) -> None:
        """The mirror is brought up to date at the next chance; until then the store has it."""
        try:
            self.flush()
        except (OSError, *rows.RECORD_ERRORS) as error:
            self._ctx.log(f"the audit file {self._ctx.places.audit} lags behind: {error}")

    def told(self, event: str, peer: Peer, key: str | None, body: Mapping[str, Any]) -> None:
        """Record what a person said and what is done already; where that cannot be written, the engine's log has it."""
        try:
            with self._ctx.store.transaction(full=True) as tx:
                self.record(tx, event, peer=peer, key=key, body=body)
                tx.bump("note")
        except rows.RECORD_ERRORS as error:
            self._ctx.log(f"{event} by {peer.who} could not be recorded in the audit: {error}")
            return
        self.flush_quietly()

    def _adopt(self, tx: Tx) -> int:
        """Up to where an existing mirror goes. One that belongs to another store is set aside, never overwritten."""
        path = self._ctx.places.audit
        last = last_line(path)
        if last is None:
            return 0
        seq, known = last
        if rows.audit_hash(tx.db, seq) == known:
            return seq
        aside = path.with_name(f"{path.name}.{ulid(tx.now)}")
        os.rename(path, aside)
        self._ctx.log(f"the audit file did not belong to this store; it is kept as {aside.name}")
        return 0


def identity(peer: Peer) -> dict[str, Any]:
    """Who, by the kernel; ``claimed_origin`` is only what the client said."""
    return {
        "uid": peer.uid,
        "login": peer.login,
        "login_uid": peer.login_uid,
        "who": peer.who,
        "pid": peer.pid,
        "claimed_origin": peer.origin,
    }


def facts(thing: Pipeline | Run) -> dict[str, Any]:
    """What a record keeps of a thing as it was read, beside its state in words: what may be another afterwards."""
    if isinstance(thing, Run):
        error = clean(thing.error.splitlines()[0], 200) if thing.error and thing.error.strip() else None
        return {
            "key": thing.key, "sub": clean(thing.sub, 60) if thing.sub else None, "started": thing.started, "ended": thing.ended,
            "error": error,
        }  # fmt: skip
    return {
        "key": thing.key,
        "schedule": clean(thing.schedule, 120) if thing.schedule else None,
        "next_run": thing.next_run,
    }


# --- the mirror ----------------------------------------------------------------------------------------------------


def line_of(row: AuditRow) -> str:
    """A record as one JSON line, its body as an object."""
    return json.dumps({**asdict(row), "body": json.loads(row.body)}, separators=(",", ":")) + "\n"


def append(path: Path, text: str) -> None:
    """Add whole lines, 0600, and wait for the disk; not through a symbolic link, only to a plain file. OSError otherwise."""
    fresh = not path.exists()
    descriptor = os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
    )
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a plain file")
        size = os.fstat(descriptor).st_size
        data = memoryview(text.encode())
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)  # half a line must not stay; what was not mirrored is mirrored later
            raise
    finally:
        os.close(descriptor)
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def last_line(path: Path) -> tuple[int, str] | None:
    """(seq, hash) of the last whole line; a line that was cut by a crash is taken off (the store still has the record)."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(descriptor, _TAIL_BYTES, start)
        end = tail.rfind(b"\n") + 1
        if end < len(tail):
            os.ftruncate(descriptor, start + end)
        lines = tail[:end].splitlines()
    finally:
        os.close(descriptor)
    if not lines:
        return None
    try:
        found = json.loads(lines[-1])
        return int(found["seq"]), str(found["hash"])
    except (ValueError, KeyError, TypeError):
        return -1, ""  # not a line of ours: the file belongs to somebody else


def mirrored(path: Path) -> Iterator[AuditRow]:
    """Records of the mirror that are as they were written, each by itself; what cannot be read is left out."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    found: dict[str, Any] = json.loads(line)
                    found["body"] = canonical(found["body"])
                    row = AuditRow(**found)
                    if row.hash == hash_of(row):
                        yield row
                except (ValueError, KeyError, TypeError):
                    continue
    except OSError:
        return


# --- looking at it -------------------------------------------------------------------------------------------------


def all_rows(db: sqlite3.Connection) -> Iterator[AuditRow]:
    after = -(1 << 62)
    while page := rows.audit_page(db, after):
        yield from page
        after = page[-1].seq


def verify_chain(db: sqlite3.Connection, mirror: Path | None = None) -> Broken | None:
    """The first record that is not where or as it was written, or None. With ``mirror``, also what was cut off at the end."""
    hashes: dict[int, str] = {}

    def seen() -> Iterator[AuditRow]:
        for row in all_rows(db):
            if mirror is not None:
                hashes[row.seq] = row.hash
            yield row

    if (broken := follow(seen(), Checked()).broken) is not None:
        return broken
    return None if mirror is None else _compare(hashes, mirror)


def _compare(hashes: Mapping[int, str], mirror: Path) -> Broken | None:
    """Lines of the mirror against the store. A mirror that ends earlier is only late; one that knows more tells of a cut."""
    expected = 1
    try:
        with open(mirror, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    found: dict[str, Any] = json.loads(line)
                    found["body"] = canonical(found["body"])
                    row = AuditRow(**found)
                except (ValueError, KeyError, TypeError):
                    return Broken(expected, f"its line in {mirror.name} cannot be read")
                if row.seq != expected or row.hash != hash_of(row):
                    return Broken(expected, f"its line in {mirror.name} was changed or removed")
                if row.seq not in hashes:
                    return Broken(row.seq, f"{mirror.name} has it, the store does not")
                if hashes[row.seq] != row.hash:
                    return Broken(row.seq, f"{mirror.name} and the store differ")
                expected += 1
    except FileNotFoundError:
        return Broken(1, f"{mirror.name} is not there") if hashes else None
    return None


def verify_file(store: Path, mirror: Path | None = None) -> Broken | None:
    """The same for a store by its path. StoreError in one sentence where it cannot be read.

    ``mirror`` None: ``audit.jsonl`` beside the store, if there is one that this user may read (it is the engine's own).
    """
    beside = store.parent / "audit.jsonl"
    db = rows.open_readonly(store)
    try:
        return verify_chain(db, mirror or (beside if os.access(beside, os.R_OK) else None))
    except sqlite3.Error as error:
        raise StoreError(f"{store} cannot be read: {error}") from None
    finally:
        db.close()


def export(store: Path, form: str, out: TextIO) -> int:
    """Write all records as ``jsonl``, ``csv`` or ``md``; an exit code. ValueError for another format."""
    if form not in FORMATS:
        raise ValueError(f"{form!r} is not a format of the audit: one of {', '.join(FORMATS)}")
    db = rows.open_readonly(store)
    try:
        for part in exported(db, form):
            out.write(part)
    finally:
        db.close()
    return 0


def exported(db: sqlite3.Connection, form: str) -> Iterator[str]:
    """The lines of an export, header included."""
    if form == "jsonl":
        for row in all_rows(db):
            yield line_of(row)
        return
    if form == "csv":
        yield _csv(_FIELDS)
        for row in all_rows(db):
            yield _csv(tuple(getattr(row, name) for name in _FIELDS))
        return
    yield "| # | at (UTC) | event | who | verb | key | words |\n|---|---|---|---|---|---|---|\n"
    for row in all_rows(db):
        body = json.loads(row.body)
        cells = (
            row.seq,
            iso(row.at),
            row.event,
            row.login,
            row.verb,
            row.key,
            body.get("reason") or body.get("words") or "",
        )
        yield "| " + " | ".join(_md(cell) for cell in cells) + " |\n"


def iso(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _csv(values: tuple[Any, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([_harmless(value) for value in values])
    return out.getvalue()


def _harmless(value: Any) -> Any:
    """A spreadsheet takes a cell that begins like a formula for one."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _md(value: Any) -> str:
    text = clean("" if value is None else str(value), 300)
    for char in "\\`*_[]<>|":
        text = text.replace(char, "\\" + char)
    return text
