"""The one writer of the store. The engine holds the lock beside it; nobody else opens it for writing.

Nothing here or elsewhere in the engine opens or copies the store's file by itself: closing such a descriptor would
drop SQLite's locks of this process, and a committed row can be lost.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from engine.clock import Clock
from engine.store import migrate
from engine.store.errors import StoreDamaged, StoreError, StoreFull
from engine.store.trouble import room

__all__ = ["Store", "StoreDamaged", "StoreError", "StoreFull", "Tx"]

WAL_LIMIT: Final = 32 << 20
"""Bytes that the write-ahead log keeps on disk after a checkpoint."""
CACHE_KB: Final = 8_000
CHECK_S: Final = 1.0
"""How long a start may look for damage; what a large store has beyond that is looked at table by table later."""
LEAST_FREE: Final = 64 << 10
"""Below so many free bytes an I/O error is a disk without room."""
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.glusterfs", "beegfs", "lustre"}
)


class Tx:
    """An open write transaction. ``now`` is the same all through it; ``memo`` outlives it (and is emptied by a rollback)."""

    __slots__ = ("_topics", "db", "memo", "now")

    def __init__(self, db: sqlite3.Connection, now: int, memo: dict[str, Any]) -> None:
        self.db = db
        self.now = now
        self.memo = memo
        self._topics: set[str] = set()

    def bump(self, *topics: str) -> None:
        """Say that what belongs to these topics changed; each moves at most once a transaction, with the commit."""
        for topic in topics:
            if topic not in migrate.TOPICS:
                raise ValueError(f"{topic!r} is not a topic of the store")
            self._topics.add(topic)

    @property
    def bumped(self) -> frozenset[str]:
        return frozenset(self._topics)


class Store:
    """The store, open for writing. Make one with ``Store.open``."""

    def __init__(self, db: sqlite3.Connection, path: Path, clock: Clock) -> None:
        self.path = path
        self._db = db
        self._clock = clock
        self._memo: dict[str, Any] = {}
        self._mutex = threading.Lock()
        self._owner: int | None = None
        self._full = False
        self.on_failure: Callable[[StoreError], None] | None = None
        """Told of each transaction that the disk or the store's state refused, whoever made it."""
        self.checked = True
        """Whether the whole store was found sound when it was opened."""

    # --- opening --------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Clock,
        *,
        system: bool | None = None,
        migrations: Sequence[migrate.Migration] = migrate.MIGRATIONS,
    ) -> Store:
        """Open the store at ``path``, make it where there is none, migrate an older one. StoreError in one sentence.

        The caller holds the engine's lock. The file is 0600; 0640 in system mode (None: a folder with the set-group-id
        bit, as system mode makes it, says so).
        """
        path = Path(os.path.abspath(path))
        _make_folder(path.parent, system)
        kind = filesystem(path.parent)
        if kind in _REMOTE:
            raise StoreError(
                f"{path} lies on {kind}, where SQLite's locks are not safe: put the store on a local disk ([store] path = …)"
            )
        check_log(path)
        fresh = _make_file(path, system)
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise StoreError(f"{path} cannot be written by this user")  # SQLite would silently only read
        try:
            db = sqlite3.connect(
                path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be opened: {error}") from None
        try:
            _check_is_ours(db, path, fresh)
            checked = fresh or _sound(db, path, CHECK_S)
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
            db.execute(f"PRAGMA cache_size = {-CACHE_KB}")
            db.execute("PRAGMA temp_store = MEMORY")
            migrate.migrate(db, path, migrations)
            _check_tables(db, path)
        except sqlite3.Error as error:
            found = failure(error, path)
            _close(db, path, keep_log=isinstance(found, StoreDamaged))
            if fresh:
                path.unlink(missing_ok=True)
            raise found from None
        except StoreError as error:
            _close(db, path, keep_log=isinstance(error, StoreDamaged))
            raise
        store = cls(db, path, clock)
        store.checked = checked
        return store

    def close(self, *, keep_log: bool = False) -> None:
        """End. The last connection to close moves the write-ahead log into the store and removes it; not with ``keep_log``,
        for a store that is damaged and is to be kept as it is.
        """
        with self._mutex:
            if not keep_log:
                try:
                    self._db.execute("PRAGMA optimize")
                except sqlite3.Error:
                    pass
            _close(self._db, self.path, keep_log)

    # --- writing --------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, full: bool = False) -> Generator[Tx]:
        """``BEGIN IMMEDIATE`` … ``COMMIT``; an exception rolls everything back and goes on.

        ``full`` waits for the disk (``synchronous=FULL``): for alerts and actions, whose commit must survive a power
        cut. Not re-entrant, and no ``await`` inside. A disk that is full or gone raises StoreError.
        """
        me = threading.get_ident()
        if self._owner == me:
            raise RuntimeError("a transaction is open already: transactions of the store are not re-entrant")
        with self._mutex:
            self._owner = me
            try:
                yield from self._run(full)
            finally:
                self._owner = None

    def _run(self, full: bool) -> Generator[Tx]:
        db = self._db
        try:
            if full != self._full:
                db.execute("PRAGMA synchronous = FULL" if full else "PRAGMA synchronous = NORMAL")
                self._full = full
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        tx = Tx(db, self._clock.now(), self._memo)
        try:
            yield tx
            if tx.bumped:
                db.executemany(
                    "UPDATE meta SET version = version + 1 WHERE topic = ?", [(t,) for t in sorted(tx.bumped)]
                )
            db.execute("COMMIT")
        except BaseException as error:
            self._memo.clear()
            if db.in_transaction:
                try:
                    db.execute("ROLLBACK")
                except sqlite3.Error:
                    pass  # SQLite did so itself, or will when the next one begins
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                raise self._failed(error) from error
            raise

    def _failed(self, error: sqlite3.Error) -> StoreError:
        found = failure(error, self.path)
        if self.on_failure is not None:
            self.on_failure(found)
        return found

    def heartbeat(self) -> None:
        """Say in the engine's row that it breathes. For display: the lock alone says who writes."""
        with self.transaction() as tx:
            tx.db.execute("UPDATE engine SET heartbeat = ? WHERE id = 1", (tx.now,))

    # --- health ---------------------------------------------------------------------------------------------------

    def wal_bytes(self) -> int:
        """Size of the write-ahead log now; it grows only while somebody holds a read open."""
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return 0

    def store_bytes(self) -> int:
        """Size of the store by its page count (its file is not to be opened, only SQLite may)."""
        with self._mutex:
            pages, size = (
                int(self._db.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size")
            )
        return pages * size

    def checkpoint(self, truncate: bool = False) -> bool:
        """Move the write-ahead log into the store. False: a reader holds it, nothing is lost, ask again later.

        Waits for nobody: what a reader holds is asked for again with the next look.
        """
        with self._mutex:
            db = self._db
            try:
                db.execute("PRAGMA busy_timeout = 0")
                try:
                    busy, had, moved = db.execute(
                        f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})"
                    ).fetchone()
                finally:
                    db.execute("PRAGMA busy_timeout = 5000")
            except sqlite3.Error as error:
                raise self._failed(error) from error
        return not busy and had == moved

    def check(self) -> str | None:
        """A full look for damage (seconds on a large store), for ``doctor``; None when it is sound."""
        with self._mutex:
            try:
                said = str(self._db.execute("PRAGMA quick_check(1)").fetchone()[0])
            except sqlite3.Error as error:
                return words(error, self.path)
        return None if said == "ok" else f"{self.path} is damaged: {said}"


def _close(db: sqlite3.Connection, path: Path, keep_log: bool) -> None:
    """``keep_log``: SQLite must not write the log into the store, as the last one to close does. Python 3.11 has no word for
    that; there a read-only connection, which cannot write, is the last one.
    """
    last: sqlite3.Connection | None = None
    if keep_log and hasattr(db, "setconfig"):
        db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # pyright: ignore
    elif keep_log:
        try:
            last = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            last.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error:
            pass
    db.close()
    if last is not None:
        last.close()


# --- looking before opening ---------------------------------------------------------------------------------------


def failure(error: sqlite3.Error, path: Path) -> StoreError:
    """What SQLite says, as our error: StoreFull, StoreDamaged, or StoreError."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(words(error, path))
    if _no_room(name, path):
        return StoreFull(words(error, path))
    return StoreError(words(error, path))


def _no_room(name: str, path: Path) -> bool:
    """SQLite says FULL of its own files, and only "I/O error" where its shared memory or a journal found no room."""
    if name.startswith("SQLITE_FULL"):
        return True
    found = room(path.parent) if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) else None
    return found is not None and found[0] < LEAST_FREE


def words(error: sqlite3.Error, path: Path) -> str:
    """What SQLite says, as a sentence that helps."""
    name = getattr(error, "sqlite_errorname", "") or ""
    text = str(error)
    if _no_room(name, path):
        return f"the disk under {path} is full: nothing is written and no action is taken until there is room"
    if name.startswith("SQLITE_NOTADB"):
        return f"{path} is not a Watchfloor store (it is no SQLite database): move it away, or use another --config"
    if name.startswith("SQLITE_CORRUPT"):
        return f"{path} is damaged ({text}): move it away and put a backup in its place, or start afresh"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{path} cannot be written by this user ({text})"
    if name.startswith("SQLITE_BUSY"):
        return f"{path} is being written by another process"
    return f"{path}: {text}"


def filesystem(folder: Path, mountinfo: str | None = None) -> str:
    """Type of the file system that holds ``folder`` (``ext4``, ``nfs4`` …); empty when it cannot be told."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    real = os.path.realpath(folder)
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # the last of equal ones lies on top
            best, kind = len(point), right.split(" ", 1)[0]
    return kind


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _make_folder(folder: Path, system: bool | None) -> None:
    """Make the folder where there is none: 0700, in system mode 2750 (files take its group)."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if system:
            folder.chmod(0o2750)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from None


def _make_file(path: Path, system: bool | None) -> bool:
    """Make the empty file with its mode before SQLite does; ``-wal`` and ``-shm`` take its mode. True: it is new."""
    try:
        if system is None:
            mode = path.parent.stat().st_mode
            system = bool(mode & stat.S_ISGID and mode & stat.S_IRGRP)
        # safe to open and close: the file does not exist, so that no lock of ours can be on it
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}") from None
    try:
        os.fchmod(descriptor, 0o640 if system else 0o600)
    finally:
        os.close(descriptor)
    return True


def _check_is_ours(db: sqlite3.Connection, path: Path, fresh: bool) -> None:
    """Refuse somebody else's SQLite file, and one that is shorter than its header says."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    mark = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if tables and mark != migrate.APPLICATION_ID and version != 0:
        raise StoreError(f"{path} is an SQLite database of another program: use another --config")
    if tables and version == 0:
        raise StoreError(f"{path} is an SQLite database, but not a Watchfloor store: use another --config")
    pages, size = (int(db.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size"))
    wal = Path(f"{path}-wal")
    if path.stat().st_size < pages * size and not (wal.exists() and wal.stat().st_size):
        raise StoreDamaged(f"{path} is damaged (cut short): move it away and put a backup in its place")
    if not tables and not fresh and _had_a_life(path):
        raise StoreDamaged(f"{path} is damaged (it is empty, although people acted here): put a backup in its place")


def _had_a_life(path: Path) -> bool:
    """Whether the file beside an empty store says that it was not always empty."""
    try:
        return (path.parent / "audit.jsonl").stat().st_size > 0
    except OSError:
        return False


def check_log(path: Path) -> None:
    """A write-ahead log whose head is not one: SQLite would silently take it for empty, with all that was committed to it.

    Looked at before SQLite opens it: no lock of ours can be on it, and SQLite takes none on this file.
    """
    try:
        with open(f"{path}-wal", "rb") as file:
            head = file.read(32)
    except OSError:
        return
    if not head:
        return
    if not path.exists():
        raise StoreDamaged(f"{path} is damaged (it is gone, its write-ahead log is there): put a backup in its place")
    if head[:3] != b"\x37\x7f\x06" or head[3] not in (0x82, 0x83) or len(head) < 32:
        raise StoreDamaged(f"{path} is damaged (its write-ahead log is garbage): put a backup in its place")


def _sound(db: sqlite3.Connection, path: Path, patience_s: float) -> bool:
    """Look for damage, as long as patience lasts: False where it ended first. StoreDamaged where some was found."""
    timer = threading.Timer(patience_s, db.interrupt)
    timer.start()
    try:
        said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return False
        raise
    finally:
        timer.cancel()
        timer.join()
    if said != "ok":
        raise StoreDamaged(f"{path} is damaged ({_one_line(said)}): put a backup in its place, or start afresh")
    return True


def _one_line(text: str) -> str:
    """SQLite's finding without its own heading."""
    return " ".join(part for part in text.split() if part != "***")[:200]


def _check_tables(db: sqlite3.Connection, path: Path) -> None:
    """One row of each table: finds a schema that is broken or lacks something, in microseconds."""
    for (name,) in db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        db.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchall()  # noqa: S608 - names of our own schema
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
    if missing := {"meta", "source", "pipeline", "run", "pipe_now"} - known:
        raise StoreDamaged(f"{path} is damaged (no table {', '.join(sorted(missing))}): put a backup in its place")
