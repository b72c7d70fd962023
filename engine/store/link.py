"""A read-only connection to the store: how it is opened, how it notices changes, when it must be opened anew.

``mode=ro`` first. Only if that fails and nothing stands in a ``-wal`` (a clean close removed it) the file is read as
``immutable``; it is opened anew as soon as a ``-wal`` or a holder of the engine's lock appears. After a kill a ``-wal``
remains and ``immutable`` would miss committed rows, so it is never used then.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from engine.request import SCHEMA
from engine.store import trouble
from engine.store.errors import SchemaChanged, StoreDamaged, StoreError, StoreMissing

APPLICATION_ID: Final = 0x57466C72
_STEP: Final = 1 << 40


class Link:
    """One reader's connection. Rows are always fetched whole: a cursor kept open would hold the write-ahead log back."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(os.path.abspath(path))
        self.lock = self.path.parent / "engine.lock"
        self.immutable = False
        """Read without the engine's files: nobody is watching, and what is shown will not change."""
        self._db: sqlite3.Connection | None = None
        self._opened = 0
        self._file: tuple[int, int] = (0, 0)
        self._seen = -1
        self._in_snapshot = False

    # --- opening --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open, or open anew. StoreMissing, SchemaChanged ("restart me") or StoreError, each one sentence."""
        self.close()
        try:
            info = self.path.stat()
        except FileNotFoundError:
            missing = f"there is no store at {self.path} yet: start the engine (watchfloor engine run)"
            raise StoreMissing(self._why_missing(missing)) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from None
        self._file = (info.st_dev, info.st_ino)
        try:
            self._db = self._connect("mode=ro")
            self.immutable = False
        except sqlite3.Error as error:
            if self._wal():
                raise StoreError(f"{self.path} cannot be read: {error}") from None
            try:
                self._db = self._connect("mode=ro&immutable=1")
            except sqlite3.Error as second:
                raise StoreError(f"{self.path} cannot be read: {second}") from None
            self.immutable = True
        self._opened += 1
        self._seen = -1
        self._check_schema(self._db)

    def _connect(self, options: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"file:{quote(str(self.path))}?{options}",
            uri=True,
            timeout=2.0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchall()
            db.execute("PRAGMA cache_size = -8000")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _wal(self) -> bool:
        """Whether committed rows may stand in a write-ahead log; an empty one (left by a reader) holds none."""
        try:
            return os.stat(f"{self.path}-wal").st_size > 0
        except OSError:
            return False

    def _check_schema(self, db: sqlite3.Connection) -> None:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        mark = int(db.execute("PRAGMA application_id").fetchone()[0])
        if found == SCHEMA and mark == APPLICATION_ID:
            return
        self.close()
        if found == 0:
            raise StoreMissing(f"{self.path} holds nothing yet: start the engine (watchfloor engine run)")
        if mark != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a Watchfloor store: use another --config")
        if found > SCHEMA:
            raise SchemaChanged(
                f"the store was made by a newer Watchfloor (schema {found}, this one knows {SCHEMA}): restart me"
            )
        raise SchemaChanged(
            f"the store is of an older Watchfloor (schema {found}, this one reads {SCHEMA}): restart its engine"
        )

    # --- noticing -------------------------------------------------------------------------------------------------

    def version(self) -> int:
        """A number that moves with every commit that changed something (1.6 µs). Opens the store anew where it must.

        SchemaChanged when a newer engine migrated the store meanwhile.
        """
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            self.close()
            raise StoreMissing(self._why_missing(f"the store {self.path} is gone")) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from None
        if (
            self._db is None
            or (info.st_dev, info.st_ino) != self._file
            or (self.immutable and (self._wal() or self.lock_held()))
        ):
            self.open()
        db = self._db
        assert db is not None
        try:
            seen = int(db.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                self._check_schema(db)
                self._seen = seen
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        return self._opened * _STEP + seen

    def topics(self) -> dict[str, int]:
        """Counter of each topic; one that moved is worth querying again."""
        opened = self._opened
        return {topic: version + opened * _STEP for topic, version in self.all("SELECT topic, version FROM meta")}

    def changed_since(self, before: Mapping[str, int]) -> frozenset[str]:
        """Topics that moved since ``before`` (an earlier ``topics()``)."""
        return frozenset(topic for topic, version in self.topics().items() if before.get(topic) != version)

    def lock_held(self) -> bool:
        """Whether an engine holds the lock beside the store. Asked with a shared lock that is given back at once."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        else:
            return False
        finally:
            os.close(descriptor)

    def trouble(self) -> trouble.Trouble | None:
        """Why the engine that holds the lock can record nothing now; None: it can, as far as it said."""
        return trouble.read(self.lock)

    def room(self) -> tuple[int, int] | None:
        """Bytes free and in all of the disk that the store lies on."""
        return trouble.room(self.path.parent)

    def _why_missing(self, words: str) -> str:
        said = self.trouble() if self.lock_held() else None
        if said is None or said.kind != "rebuilding":
            return words
        return f"the store {self.path} was damaged and its engine is making a new one: a moment"

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        """The next question opens the store anew: its engine replaces one that is damaged."""
        name = getattr(error, "sqlite_errorname", "") or ""
        if not name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return StoreError(f"{self.path} cannot be read: {error}")
        if not self._in_snapshot:
            self.close()
        return StoreDamaged(f"{self.path} is damaged ({error}): its engine moves it aside and makes a new one")

    # --- asking ---------------------------------------------------------------------------------------------------

    def all(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of one statement. Opened on first use; a store that moved under us is opened anew once."""
        if self._db is None:
            self.open()
        try:
            return self._fetch(sql, values)
        except sqlite3.Error as error:
            if self._in_snapshot:
                raise self._unreadable(error) from None
            self.open()
            try:
                return self._fetch(sql, values)
            except sqlite3.Error as second:
                raise self._unreadable(second) from None

    def _fetch(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        assert self._db is not None
        return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first row, or None."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Several statements that see one moment. Ended at once: a held read lets the write-ahead log grow."""
        if self._in_snapshot:
            yield
            return
        if self._db is None:
            self.open()
        db = self._db
        assert db is not None
        db.execute("BEGIN")
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            if db.in_transaction:
                db.execute("COMMIT")
