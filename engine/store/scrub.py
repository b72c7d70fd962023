"""Looking for damage while the engine works: one table at a time, through a read-only connection of SQLite's own."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote

PATIENCE_S: Final = 5.0
"""A look holds the write-ahead log back while it goes on; a table that takes longer is not looked at to its end."""


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=1.0, check_same_thread=False
    )


def tables(path: Path) -> list[str]:
    """Names of the store's tables; none where it cannot be read now."""
    try:
        db = _open(path)
        try:
            rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            return [name for (name,) in rows.fetchall()]
        finally:
            db.close()
    except sqlite3.Error:
        return []


def look(path: Path, table: str) -> str | None:
    """A sentence if the table or one of its indices is damaged; None where it is sound, or could not be looked at now."""
    db: sqlite3.Connection | None = None
    timer: threading.Timer | None = None
    try:
        db = _open(path)
        timer = threading.Timer(PATIENCE_S, db.interrupt)
        timer.start()
        said = str(db.execute(f'PRAGMA quick_check("{table}")').fetchone()[0])
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        said = str(error) if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else "ok"
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()
        if db is not None:
            db.close()
    said = " ".join(part for part in said.split() if part != "***")[:200]
    return None if said == "ok" else f"{path} is damaged (table {table}: {said})"
