"""The schema, one version after the other, each applied whole or not at all.

A version is the SQL of some files in ``schema/`` or a function. Versions are never edited once released: a change is
a new one at the end. ``LATEST`` equals ``engine.request.SCHEMA``, so that readers and writer agree (a test says so).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from engine.store.errors import StoreError, StoreFull

APPLICATION_ID = 0x57466C72
"""``WFlr`` in the file's header: tells our store from any other SQLite file."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: SQL files of ``schema/`` by name, or a function that is given the open transaction."""

    version: int
    files: tuple[str, ...] = ()
    run: Callable[[sqlite3.Connection], None] | None = None


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, ("010_core.sql", "020_samples.sql", "030_alerts.sql", "040_actions.sql")),
    Migration(2, ("050_owed.sql", "060_owed_alerts.sql")),
    Migration(3, ("070_items.sql", "080_samples.sql", "085_audit.sql", "090_configured.sql", "095_own.sql")),
    Migration(4, ("100_metrics.sql",)),
    Migration(5, ("110_outputs.sql",)),
)
LATEST = MIGRATIONS[-1].version

TOPICS = (
    "engine", "source", "health", "pipeline", "run", "step", "log", "sample", "process", "alert", "outbox", "action", "arm", "note", "owed", "item", "configured",
)  # fmt: skip


def statements(sql: str) -> list[str]:
    """Split a script into statements; ``executescript`` would commit the transaction around them."""
    found: list[str] = []
    part = ""
    for line in sql.splitlines():
        if not part and (not line.strip() or line.lstrip().startswith("--")):
            continue
        part += line + "\n"
        if sqlite3.complete_statement(part):
            found.append(part.strip())
            part = ""
    if part.strip():
        raise ValueError(f"an SQL statement without its end: {part.strip()[:80]}")
    return found


def apply(db: sqlite3.Connection, migration: Migration) -> None:
    """Run one migration in the transaction that the caller holds."""
    for name in migration.files:
        sql = (resources.files("engine.store") / "schema" / name).read_text(encoding="utf-8")
        for statement in statements(sql):
            db.execute(statement)
    if migration.run is not None:
        migration.run(db)


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring an open store (autocommit connection) to the last version; returns the version it had.

    A store that holds something is first copied beside itself as ``NAME.v<old>.bak`` by ``VACUUM INTO``, which reads
    through SQLite: copying the file would drop SQLite's locks. All steps are one transaction.
    """
    latest = migrations[-1].version
    old = int(db.execute("PRAGMA user_version").fetchone()[0])
    if old > latest:
        raise StoreError(
            f"{path} was made by a newer Watchfloor (schema {old}, this one knows {latest}): update, or use another --config"
        )
    if old == latest:
        return old
    if old > 0:
        _backup(db, path.with_name(f"{path.name}.v{old}.bak"))
    db.execute("BEGIN EXCLUSIVE")
    try:
        if int(db.execute("PRAGMA user_version").fetchone()[0]) == old:
            for step in migrations:
                if step.version > old:
                    apply(db, step)
            db.executemany("INSERT OR IGNORE INTO meta(topic, version) VALUES (?, 1)", [(t,) for t in TOPICS])
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {latest:d}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk may have ended it already
            db.execute("ROLLBACK")
        raise
    return old


def _backup(db: sqlite3.Connection, target: Path) -> None:
    """``VACUUM INTO`` a new file, then take the place of an older backup of the same version."""
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)  # of a start that was killed
    old_umask = os.umask(0o077)
    try:
        db.execute("VACUUM INTO ?", (str(fresh),))
        to_disk(fresh)
    except (sqlite3.Error, OSError) as error:
        fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{target} cannot be written ({error.strerror}): the store is left as it was") from None
        if (getattr(error, "sqlite_errorname", "") or "").startswith("SQLITE_FULL"):
            raise StoreFull(
                f"the disk has no room for {target}, which is kept before the store is brought up to date:"
                " free as much as the store is large; it is left as it was"
            ) from None
        raise
    finally:
        os.umask(old_umask)
    os.replace(fresh, target)
    to_disk(target.parent)


def to_disk(path: Path) -> None:
    """Wait until a file or folder is on the disk. Never for the store itself: closing it would drop SQLite's locks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
