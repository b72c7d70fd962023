"""SQLite: a file, through the standard library. Opened read-only, asked read-only, cut short by its progress handler.

The file is looked at before each question: one that was replaced (``mv new.db live.db``) is opened anew, else the old one would
be read for ever.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import ClassVar
from urllib.parse import quote

from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound
from adapters.sql.answer import Table
from adapters.sql.engines.base import Engine, Login, Lost, Refused, Session, Told, fetched, plain, quietly

STEPS = 5_000
"""Of its virtual machine between two looks at the time: well below a millisecond."""


class SQLite(Engine):
    title: ClassVar[str] = "SQLite"
    key: ClassVar[str] = "sqlite"

    def open(self, login: Login) -> Session:
        path = self.place.path
        found = _identity(path)
        if found is None:
            raise NotFound(f"there is no file {path}", "make it, or correct url of this source")
        if not os.access(path, os.R_OK):
            raise Forbidden(f"{path} may not be read", "let the engine's user read it")
        timeout = self.place.options.statement_timeout
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=ro", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA query_only = on")
            return _Session(connection, path, found, timeout)
        except BaseException:
            connection.close()
            raise

    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        said, path = plain(error), self.place.path
        if isinstance(error, FileNotFoundError):
            return NotFound(f"there is no file {path}", "make it, or correct url of this source")
        if isinstance(error, PermissionError):
            return Forbidden(f"{path} may not be read", "let the engine's user read it")
        if not isinstance(error, sqlite3.Error):
            return BadResponse(f"{path}: {said}")
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return BadResponse(f"{path} is no SQLite database, or a damaged one ({said})")
        if code == sqlite3.SQLITE_INTERRUPT:
            return Refused(f"no answer within {self.place.options.statement_timeout:g} s", slow=True)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self.unreachable(
                f"a writer holds it locked for more than {self.place.options.statement_timeout:g} s"
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            return self.unreachable(f"{said}; beside a file in WAL mode its -shm must be there or be made")
        if code == sqlite3.SQLITE_READONLY:
            return Refused("the database is read only for us")
        return Refused(said)


class _Session(Session):
    def __init__(self, connection: sqlite3.Connection, path: str, identity: tuple[int, int], timeout: float) -> None:
        self._db = connection
        self._path = path
        self._identity = identity
        self._timeout = timeout
        self._end = 0.0

    def ask(self, sql: str) -> Table:
        found = _identity(self._path)
        if found is None:
            raise FileNotFoundError(self._path)
        if found != self._identity:
            raise Lost("the file was replaced")
        self._end = time.monotonic() + self._timeout
        self._db.set_progress_handler(lambda: int(time.monotonic() > self._end), STEPS)
        cursor = self._db.cursor()
        try:
            self._db.execute("BEGIN")
            return fetched(cursor.execute(sql))
        finally:
            cursor.close()
            if self._db.in_transaction:
                quietly(self._db.rollback)

    def now(self) -> int | None:
        """Of this host; and whether the file can be read."""
        rows = self.ask(
            "select cast((julianday('now') - 2440587.5) * 86400000 as integer), (select count(*) from sqlite_master)"
        ).rows
        return int(rows[0][0])

    def cancel(self) -> None:
        self._end = 0.0
        quietly(self._db.interrupt)

    def close(self) -> None:
        quietly(self._db.close)

    def told(self) -> Told:
        self.now()
        return Told(sqlite3.sqlite_version)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
