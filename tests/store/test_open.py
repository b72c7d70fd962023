"""Opening: a fresh file, an older one, a newer one, not one of ours, a damaged one, the wrong file system; modes."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from engine.request import SCHEMA
from engine.store import migrate
from engine.store.backup import backup
from engine.store.errors import SchemaChanged, StoreError, StoreMissing
from engine.store.reader import Reader
from engine.store.writer import Store, filesystem
from tests.store.rig import Rig, Still, a_run


def test_schema_of_the_writer_is_the_one_that_readers_know() -> None:
    assert migrate.LATEST == SCHEMA
    assert [m.version for m in migrate.MIGRATIONS] == list(range(1, SCHEMA + 1))


def test_a_fresh_store_is_private_and_in_wal_mode(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = Store.open(tmp_path / "deep" / "floor.db", Still())
    finally:
        os.umask(old)
    with store.transaction() as tx:
        tx.bump("run")
        assert tx.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert tx.db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert tx.db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    for name in ("floor.db", "floor.db-wal", "floor.db-shm"):
        assert stat.S_IMODE((tmp_path / "deep" / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700
    store.close()
    assert not (tmp_path / "deep" / "floor.db-wal").exists()


def test_in_a_system_folder_the_group_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    store = Store.open(tmp_path / "floor.db", Still())
    assert stat.S_IMODE((tmp_path / "floor.db").stat().st_mode) == 0o640
    store.close()
    store = Store.open(tmp_path / "made" / "floor.db", Still(), system=True)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o2750
    assert stat.S_IMODE((tmp_path / "made" / "floor.db").stat().st_mode) == 0o640
    store.close()


def test_opened_again_it_still_holds_what_was_written(rig: Rig) -> None:
    rig.see(a_run())
    rig.store.close()
    rig.store = Store.open(rig.path, rig.clock)
    assert rig.ask("SELECT run FROM run") == [("1",)]
    assert not list(rig.path.parent.glob("*.bak"))


def test_an_older_store_is_backed_up_and_migrated(rig: Rig) -> None:
    rig.see(a_run("kept"))
    rig.store.close()

    def add(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT")

    more = (*migrate.MIGRATIONS, migrate.Migration(SCHEMA + 1, run=add))
    rig.store = Store.open(rig.path, rig.clock, migrations=more)
    assert rig.ask("PRAGMA user_version") == [(SCHEMA + 1,)]
    assert rig.ask("SELECT count(*) FROM later") == [(0,)]
    assert rig.ask("SELECT run FROM run") == [("kept",)]
    backup = rig.path.with_name(f"floor.db.v{SCHEMA}.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with sqlite3.connect(backup) as db:
        assert db.execute("SELECT run FROM run").fetchall() == [("kept",)]
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    db.close()


def test_a_migration_that_fails_leaves_the_old_store(rig: Rig) -> None:
    rig.see(a_run("kept"))
    rig.store.close()

    def halfway(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT")
        db.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(StoreError, match="nowhere"):
        Store.open(rig.path, rig.clock, migrations=(*migrate.MIGRATIONS, migrate.Migration(SCHEMA + 1, run=halfway)))
    rig.store = Store.open(rig.path, rig.clock)
    assert rig.ask("SELECT name FROM sqlite_master WHERE name = 'later'") == []
    assert rig.ask("SELECT run FROM run") == [("kept",)]


def test_a_newer_store_is_refused_by_writer_and_reader(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        tx.db.execute(f"PRAGMA user_version = {SCHEMA + 7}")
    rig.store.close()
    with pytest.raises(StoreError, match=r"made by a newer Watchfloor.*update, or use another --config"):
        Store.open(rig.path, rig.clock)
    with pytest.raises(SchemaChanged, match="restart me"):
        Reader(rig.path).open()
    with sqlite3.connect(rig.path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    db.close()
    rig.store = Store.open(rig.path, rig.clock)


def test_a_reader_that_stands_notices_a_newer_schema(rig: Rig) -> None:
    rig.reader.version()
    with rig.store.transaction() as tx:
        tx.db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(SchemaChanged, match="restart me"):
        rig.reader.version()
    with rig.store.transaction() as tx:
        tx.db.execute(f"PRAGMA user_version = {SCHEMA}")


@pytest.mark.parametrize(
    "content", [b"this is not a database, but it is long enough to look at" * 40, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_what_is_no_database_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "floor.db"
    path.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        Store.open(path, Still())
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "floor.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    with pytest.raises(StoreError, match="not a Watchfloor store"):
        Store.open(path, Still())
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    db.close()


def test_a_store_cut_short_is_refused(rig: Rig) -> None:
    rig.see(*(a_run(str(i)) for i in range(2000)))
    rig.store.close()
    with rig.path.open("r+b") as file:
        file.truncate(rig.path.stat().st_size // 2)
    with pytest.raises(StoreError, match="damaged"):
        Store.open(rig.path, rig.clock)
    rig.path.unlink()
    rig.store = Store.open(rig.path, rig.clock)


def test_full_wipe_is_safe(rig: Rig) -> None:
    """The file deleted under a standing reader and made anew: the reader follows to the new one."""
    rig.see(a_run("old"))
    assert [r.key for r in rig.reader.runs()] == ["a:p/old"]
    rig.store.close()
    for left in rig.path.parent.glob("floor.db*"):
        left.unlink()
    with pytest.raises(StoreMissing):
        rig.reader.version()
    rig.store = Store.open(rig.path, rig.clock)
    rig.reader.version()
    assert rig.reader.runs() == []
    assert rig.reader.run_count() == 0


def test_network_file_systems_are_told_by_mountinfo() -> None:
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "23 22 0:40 / /home rw - nfs4 server:/home rw\n"
        "24 23 8:2 / /home/local\\040disk rw - xfs /dev/sdb rw\n"
        "25 22 0:41 / /homes rw - cifs //x/y rw\n"
    )
    assert filesystem(Path("/var"), mounts) == "ext4"
    assert filesystem(Path("/home/ana"), mounts) == "nfs4"
    assert filesystem(Path("/home/local disk/x"), mounts) == "xfs"
    assert filesystem(Path("/homes/x"), mounts) == "cifs"
    assert filesystem(Path("/homestead"), mounts) == "ext4"


def test_a_store_on_nfs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.writer.filesystem", lambda folder: "nfs4")
    with pytest.raises(StoreError, match=r"lies on nfs4.*local disk"):
        Store.open(tmp_path / "floor.db", Still())
    assert not (tmp_path / "floor.db").exists()


def test_no_store_yet_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"no store at .* yet"):
        Reader(tmp_path / "floor.db").open()


def test_a_backup_is_whole_and_private(rig: Rig) -> None:
    rig.see(a_run("kept"))
    backup(rig.path, rig.path.with_name("copy.db"))
    with sqlite3.connect(rig.path.with_name("copy.db")) as db:
        assert db.execute("SELECT run FROM run").fetchall() == [("kept",)]
    db.close()
    assert stat.S_IMODE(rig.path.with_name("copy.db").stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="exists already"):
        backup(rig.path, rig.path.with_name("copy.db"))
    assert rig.store.check() is None


def test_the_store_may_be_on_the_path_of_blanks_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%20" / "floor.db"
    store = Store.open(path, Still())
    reader = Reader(path)
    assert reader.sources() == []
    reader.close()
    store.close()
