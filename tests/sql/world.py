"""A SQLite file as the contract of sources that measure wants its server: it is read by the adapter and written by somebody else."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.base import SourceSettings
from adapters.contract import Fault
from adapters.extras import SeriesQuery
from adapters.sql import SqlAdapter


def settings(path: Path, **more: Any) -> SourceSettings:
    options = {"statement_timeout": "400ms", **more.pop("options", {})}
    known: dict[str, Any] = {"name": "w", "kind": "sql", "url": f"sqlite://{path}", "options": options}
    return SourceSettings(**(known | more))


class File:
    """``adapters.contract_server.MetricsServer`` on a file."""

    source = "w"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "facts of the day.db"
        self.kept = folder / "kept.db"
        self._writer: sqlite3.Connection | None = None
        self._adapters: list[SqlAdapter] = []
        with sqlite3.connect(self.path) as db:
            db.execute("CREATE TABLE numbers (name TEXT PRIMARY KEY, value)")
        db.close()

    def write(self, *statements: str, many: Sequence[Any] = ()) -> None:
        with sqlite3.connect(self.path) as db:
            for statement in statements:
                db.execute(statement, many)
        db.close()

    def adapter(self, **more: Any) -> SqlAdapter:
        self._adapters.append(SqlAdapter(settings(self.path, **more)))
        return self._adapters[-1]

    def fault(self, fault: Fault | None) -> bool:
        self._well()
        if fault is Fault.NOT_FOUND:
            self.path.rename(self.kept)
        elif fault in (Fault.HTML, Fault.TRUNCATED):
            self.path.rename(self.kept)
            data = b"<!doctype html><title>Sign in</title>" * 40 if fault is Fault.HTML else self.kept.read_bytes()[:50]
            self.path.write_bytes(data)
        elif fault in (Fault.HANG, Fault.SLOW):
            self._lock()
            if fault is Fault.SLOW:
                threading.Timer(0.1, self._well).start()
        else:
            return fault is None
        return True

    def _lock(self) -> None:
        self._writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._writer.execute("BEGIN EXCLUSIVE")

    def _well(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.rollback()
            writer.close()
        if self.kept.exists():
            os.replace(self.kept, self.path)

    def skew(self, seconds: float) -> None:
        """A file has no clock but this host's."""

    def now(self) -> int:
        return round(time.time() * 1000)

    def measure(self, name: str, value: float) -> SeriesQuery:
        self.write("INSERT OR REPLACE INTO numbers VALUES (?, ?)", many=(name, value))
        return SeriesQuery(name, f"select value from numbers where name = '{name}'")  # noqa: S608

    def refused(self, name: str) -> SeriesQuery:
        return SeriesQuery(name, "select \x1b[31m value from " + "far_too_long_" * 40)

    def hosts(self, count: int) -> int:
        return 0

    def asked(self) -> int:
        return sum(a.spent[0] for a in self._adapters)

    def secrets(self) -> Sequence[str]:
        return ()
