"""Tables out of the store, for people and other programs. Reads beside a running engine; sqlite-utils is loaded here only."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from engine.store.errors import StoreError


def tables(path: Path) -> list[str]:
    """Names of the store's tables."""
    import sqlite_utils

    db = sqlite_utils.Database(_open(path))
    try:
        return sorted(name for name in db.table_names() if not name.startswith("sqlite_"))
    finally:
        db.conn.close()


def export(path: Path, names: Sequence[str], folder: Path, kind: str = "jsonl") -> dict[str, int]:
    """Write each table to ``folder/NAME.jsonl`` (or ``.csv``); rows by table. StoreError: no such table, cannot be written.

    All tables are of one moment. Files are 0600.
    """
    import sqlite_utils

    if kind not in ("jsonl", "csv"):
        raise StoreError(f"{kind!r} is not a format: expected jsonl or csv")
    db = sqlite_utils.Database(_open(path))
    counts: dict[str, int] = {}
    try:
        known = set(db.table_names())
        for name in names:
            if name not in known:
                raise StoreError(f"the store has no table {name!r}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        db.conn.execute("BEGIN")
        for name in names:
            target = folder / f"{name}.{kind}"
            columns = [column.name for column in db[name].columns]
            with open(target, "w", encoding="utf-8", newline="", opener=_private) as file:
                rows = [{k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()} for row in db[name].rows]
                if kind == "csv":
                    sheet = csv.DictWriter(file, columns)
                    sheet.writeheader()
                    sheet.writerows(rows)
                else:
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            counts[name] = len(rows)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    finally:
        db.conn.close()
    return counts


def _open(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)
