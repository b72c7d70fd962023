"""What the engine does with a damaged store: aside with it, a new one in its place, and in it what only we know.

Called while this process has nothing of the store open and holds the engine's lock. May be killed at any moment: a file
beside the store says what was going on, and the next start finishes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from engine.actions import audit
from engine.clock import Clock
from engine.config.paths import Places
from engine.context import Context
from engine.peer import Peer
from engine.store import actions as action_rows
from engine.store import health, rescue
from engine.store.actions import AuditRow
from engine.store.errors import StoreError
from engine.store.migrate import to_disk
from engine.store.writer import Store, Tx

Log = Callable[[str], None]
NEWS_MS = 60_000
"""Where the old store does not tell its last moment, what failed in the minute before counts as news."""


def unfinished(where: Places) -> Path | None:
    """The bad store of a rescue that was killed before the new one stood in its place."""
    if where.store.exists():
        _note(where).unlink(missing_ok=True)  # it was finished, or had not begun: damage is found again
        return None
    name = rescue.remembered(_note(where)).get("bad")
    if not isinstance(name, str) or not name.startswith(where.store.name):
        return None
    bad = where.store.with_name(name)
    return bad if bad.is_file() else None


def rebuild(where: Places, clock: Clock, why: str, log: Log, *, system: bool = False) -> str:
    """Put the store aside as ``NAME.corrupt-STAMP`` and a new one in its place; says in a sentence what was kept.

    StoreError where that is impossible; then the old one stands where it stood, or the next start goes on.
    """
    bad = unfinished(where)
    if bad is None:
        name = _name(where, clock)
        if rescue.log_is_garbage(where.store) and rescue.sound_alone(where.store):
            return _without_log(where, clock, name, log, system)
        try:
            rescue.remember(_note(where), {"bad": name, "why": why, "at": clock.now()})
        except StoreError as error:  # unremembered, a kill from here on would begin an empty store without a word
            raise StoreError(f"{where.store} is damaged and is left as it is: {error}") from None
    else:
        name, why = bad.name, str(rescue.remembered(_note(where)).get("why", why))
    bad = rescue.move_aside(where.store, name)  # of a rescue that was cut short: what it left of it
    log(f"the store was damaged and is kept as {bad}: {why}")
    fresh = where.store.with_name(f"{where.store.name}.rebuilt")
    for end in rescue.WITH:
        Path(f"{fresh}{end}").unlink(missing_ok=True)
    Store.open(fresh, clock, system=system).close()
    head = [rescue.head_of(fresh)]  # nothing of this process has it open
    store = Store.open(fresh, clock, system=system)
    try:
        with store.transaction(full=True) as tx:
            words = _fill(tx, where, bad, head, why)
    finally:
        store.close()
    try:
        os.rename(fresh, where.store)
    except OSError as error:
        raise StoreError(f"{fresh} cannot take the place of {where.store}: {error.strerror}") from None
    to_disk(where.store.parent)
    _note(where).unlink(missing_ok=True)
    log(words)
    return words


def _name(where: Places, clock: Clock) -> str:
    """``floor.db.corrupt-20261121T051200Z``, a name that nothing has."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.now() / 1000))
    return rescue.free_name(where.store, f"{where.store.name}.corrupt-{stamp}")


def _without_log(where: Places, clock: Clock, name: str, log: Log, system: bool) -> str:
    """The store is whole, only its write-ahead log is not: that is put aside, and what it held comes again where it can."""
    kept = rescue.log_aside(where.store, name)
    store = Store.open(where.store, clock, system=system)
    try:
        with store.transaction(full=True) as tx:
            rescue.ask_again(tx.db)
            tail = action_rows.audit_tail(tx) or (0, audit.FIRST)
            records = _chain(tx, {row.seq: [row] for row in audit.mirrored(where.audit)}, *tail)
            words = (
                f"the store was damaged (its write-ahead log is garbage): the log is kept as {kept.name}, what stood in it alone is"
                f" lost, {records} records of the audit came from their file; the sources are asked again"
            )
            record(tx, "store-log-lost", {"words": words, "kept_as": kept.name, "records": records})
            health.add_event(tx, "damaged", tx.now, None, words)
    finally:
        store.close()
    log(words)
    return words


def _chain(tx: Tx, known: dict[int, list[AuditRow]], seq: int, prev: str) -> int:
    """Append what follows the record ``seq`` and can be proved; how many."""
    count = 0
    while True:
        found = next((r for r in known.get(seq + 1, ()) if r.prev == prev and _sound(r)), None)
        if found is None:
            return count
        action_rows.audit_insert(tx, found)
        seq, prev, count = found.seq, found.hash, count + 1


def _note(where: Places) -> Path:
    return where.store.with_name(f"{where.store.name}.rescue")


def _fill(tx: Tx, where: Places, bad: Path, head: list[bytes], why: str) -> str:
    saved = rescue.salvage(bad, tx.db, head)
    chain, lost, begins_anew = _audit(tx, where, bad, head)
    saved.rows["audit"] = chain
    since = saved.heartbeat if saved.heartbeat and saved.heartbeat <= tx.now else tx.now - NEWS_MS
    rescue.settle(tx.db, tx.now, since)
    audit_words = ""
    if begins_anew:
        audit_words = "; the audit's chain begins anew, the old one is in the audit file that is set aside"
    elif lost:
        audit_words = f"; {lost} records of the audit are lost"
    words = (
        f"the store was damaged ({_reason(why, where)}): it is kept as {bad.name}, a new one was made, {saved.words}"
        f"{audit_words}; pipelines and runs come from their sources again"
    )
    record(
        tx,
        "store-rebuilt",
        {"words": words, "kept_as": bad.name, "records": chain, "begins_anew": begins_anew, "lost": lost},
    )
    health.add_event(tx, "damaged", tx.now, None, words)
    tx.bump("alert", "action", "note", "source", "pipeline", "outbox")
    return words


def _reason(why: str, where: Places) -> str:
    """What is wrong, without the path and the advice for people who would mend it by hand."""
    text = why.replace(str(where.store), "").strip()
    _, opened, inner = text.partition("(")
    return inner.partition(")")[0] if opened and ")" in inner else text.partition(":")[0]


def _audit(tx: Tx, where: Places, bad: Path, head: list[bytes]) -> tuple[int, int, bool]:
    """The longest chain that can be proved, from the bad store and its mirror: records kept, lost, whether it begins anew."""
    known: dict[int, list[AuditRow]] = {}
    for values in rescue.audit_rows(bad, head):
        with suppress(TypeError, ValueError):
            row = AuditRow(*values)
            known.setdefault(int(row.seq), []).append(row)
    for row in audit.mirrored(where.audit):
        known.setdefault(row.seq, []).append(row)
    last = max(known, default=0)
    kept = _chain(tx, known, 0, audit.FIRST)
    return kept, max(last - kept, 0), kept == 0 and last > 0


def _sound(row: AuditRow) -> bool:
    try:
        return row.hash == audit.hash_of(row)
    except (TypeError, ValueError):
        return False


def record(tx: Tx, event: str, body: dict[str, Any], peer: Peer | None = None) -> None:
    """A fact about the store in the audit, in the caller's transaction; the mirror follows with the engine's next flush."""
    audit.Audit(cast("Context", None)).record(tx, event, peer=peer, body=body)
