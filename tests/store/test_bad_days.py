"""A damaged store is never written on: not by the look that finds the damage, not by the close after it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.store import scrub
from engine.store.errors import StoreDamaged, StoreError, StoreFull
from engine.store.link import Link
from engine.store.trouble import SIZE, Trouble, packed, read
from engine.store.writer import Store, failure
from tests.store.rig import Rig, Still, a_run


def as_killed(rig: Rig, folder: Path) -> Path:
    """The store as a SIGKILL leaves it: some of it in the log alone."""
    rig.see(*(a_run(str(n)) for n in range(400)))
    assert rig.store.checkpoint()
    with rig.store.transaction() as tx:
        tx.db.execute("INSERT INTO note (key, at, who, text) VALUES ('a:p', 1, 'ana', 'in the log')")
    folder.mkdir()
    for end in ("", "-wal"):
        shutil.copyfile(f"{rig.path}{end}", folder / f"floor.db{end}")
    return folder / "floor.db"


def spoil_runs(path: Path) -> None:
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    roots = [r for (r,) in db.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'run'")]
    db.close()
    with path.open("r+b") as file:
        for root in roots:
            file.seek((root - 1) * 4096)
            file.write(os.urandom(4096))


def content(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), Path(f"{path}-wal").read_bytes()


def test_the_look_that_finds_damage_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    path = as_killed(rig, tmp_path / "killed")
    spoil_runs(path)
    before = content(path)
    with pytest.raises(StoreDamaged, match="is damaged"):
        Store.open(path, Still())
    assert content(path) == before


def test_a_close_that_keeps_the_log_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    path = as_killed(rig, tmp_path / "killed")
    store = Store.open(path, Still())
    with store.transaction() as tx:
        tx.db.execute("INSERT INTO note (key, at, who, text) VALUES ('a:p', 2, 'ana', 'later')")
    before = content(path)
    store.close(keep_log=True)
    assert content(path) == before
    store = Store.open(path, Still())
    store.close()
    assert path.read_bytes() != before[0], "an ordinary close moves the log into the store"
    assert not Path(f"{path}-wal").exists()


def test_damage_in_a_transaction_is_told_to_whoever_owns_the_store(rig: Rig, tmp_path: Path) -> None:
    path = as_killed(rig, tmp_path / "killed")
    store = Store.open(path, Still())
    told: list[StoreError] = []
    store.on_failure = told.append
    spoil_runs(path)
    with store.transaction() as tx:
        tx.db.execute("PRAGMA cache_size = 0")
        tx.db.execute("PRAGMA shrink_memory")
    with pytest.raises(StoreDamaged), store.transaction() as tx:  # noqa: PT012 - which of these meets it is SQLite's business
        tx.db.execute("SELECT sum(length(run)) FROM run").fetchall()
        tx.db.execute("SELECT run FROM run WHERE pipeline_id = 1 AND run = '7'").fetchall()
        tx.db.execute("UPDATE run SET state = 1")
    assert [type(e) for e in told] == [StoreDamaged]
    store.close(keep_log=True)


def test_a_broken_rule_of_ours_is_no_damage(rig: Rig) -> None:
    told: list[StoreError] = []
    rig.store.on_failure = told.append
    with pytest.raises(sqlite3.IntegrityError), rig.store.transaction() as tx:
        tx.db.execute("INSERT INTO meta (topic, version) VALUES ('run', 1)")
    assert told == []


def test_a_table_is_found_damaged_and_the_others_sound(rig: Rig, tmp_path: Path) -> None:
    path = as_killed(rig, tmp_path / "killed")
    assert {"run", "note", "audit"} <= set(scrub.tables(path))
    assert [scrub.look(path, t) for t in scrub.tables(path)] == [None] * len(scrub.tables(path))
    spoil_runs(path)
    found = scrub.look(path, "run")
    assert found is not None
    assert "table run" in found
    assert scrub.look(path, "note") is None
    assert scrub.look(tmp_path / "none.db", "run") is None
    assert scrub.tables(tmp_path / "none.db") == []


def test_a_large_store_is_opened_before_it_is_looked_through(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.see(*(a_run(str(n)) for n in range(3000)))
    rig.store.close()
    monkeypatch.setattr("engine.store.writer.CHECK_S", 0.0)
    rig.store = Store.open(rig.path, rig.clock)
    unchecked = rig.store.checked
    rig.store.close()
    monkeypatch.undo()
    rig.store = Store.open(rig.path, rig.clock)
    assert rig.store.checked
    assert unchecked in (True, False)  # a machine may be faster than no time at all; it opens either way
    assert rig.ask("SELECT count(*) FROM run") == [(3000,)]


def test_a_terminal_says_damaged_and_reads_the_next_store(rig: Rig, tmp_path: Path) -> None:
    path = as_killed(rig, tmp_path / "killed")
    link = Link(path)
    assert link.all("SELECT count(*) FROM run") == [(400,)]
    link.close()
    spoil_runs(path)
    with pytest.raises(StoreDamaged, match="its engine moves it aside"):
        link.all("SELECT run, state FROM run")
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    Store.open(path, Still()).close()
    link.version()
    assert link.all("SELECT count(*) FROM run") == [(0,)]
    link.close()


# --- words in the lock file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["the disk is full", "", "x" * 5000, "\U0001f4a5" * 400, 'a "b"\nc\\d'])
def test_trouble_fits_into_one_block_and_comes_back(tmp_path: Path, words: str) -> None:
    data = packed(4711, Trouble("full", 1_795_000_000_000, words))
    assert len(data) == SIZE
    (tmp_path / "lock").write_bytes(data)
    found = read(tmp_path / "lock")
    assert found is not None
    assert (found.kind, found.since) == ("full", 1_795_000_000_000)
    assert words.startswith(found.words)
    assert int(data.split(b"\n")[0]) == 4711


@pytest.mark.parametrize(
    "data", [b"", b"4711\n", b"4711\n\n   ", b"4711\n{}", b"4711\n[1]\n", b"\xff\xfe\n\xff\n", b'1\n{"kind"']
)
def test_a_lock_file_without_words_means_no_trouble(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lock").write_bytes(data)
    assert read(tmp_path / "lock") is None
    assert read(tmp_path / "none") is None


def test_what_sqlite_calls_an_io_error_is_a_full_disk_where_nothing_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    monkeypatch.setattr("engine.store.writer.room", lambda path: (100, 1000))
    assert isinstance(failure(error, tmp_path / "floor.db"), StoreFull)
    monkeypatch.setattr("engine.store.writer.room", lambda path: (1 << 30, 1 << 40))
    found = failure(error, tmp_path / "floor.db")
    assert type(found) is StoreError
    assert "disk I/O error" in str(found)
