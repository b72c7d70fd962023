"""A rescue and a restore that are killed at each rename, or find no room: nothing is lost, nothing old comes back as new."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine import lives, rescue
from engine.clock import Clock
from engine.config.paths import Places, places
from engine.leader import Leader
from engine.store import backup as backup_module
from engine.store.backup import backup, prove, restore
from engine.store.errors import StoreError
from engine.store.writer import Store


class Killed(BaseException):
    """SIGKILL in this moment: nothing after it is run, not even what mends errors."""


def at_home(tmp_path: Path) -> Places:
    config = tmp_path / "watchfloor.toml"
    config.write_text('[store]\npath = "state/floor.db"\n')
    where = places(config)
    where.prepare()
    return where


def lived(path: Path, *texts: str) -> None:
    """A store that was killed: its newest notes stand in the write-ahead log alone."""
    store = Store.open(path, Clock())
    with store.transaction() as tx:
        for text in texts[:-1]:
            tx.db.execute("INSERT INTO note (key, at, who, text) VALUES ('local:load', 1, 'ana', ?)", (text,))
    store.checkpoint(truncate=True)
    with store.transaction() as tx:
        tx.db.execute("INSERT INTO note (key, at, who, text) VALUES ('local:load', 2, 'ana', ?)", (texts[-1],))
    store.close(keep_log=True)
    assert Path(f"{path}-wal").stat().st_size > 0


def notes(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        return [text for (text,) in db.execute("SELECT text FROM note ORDER BY id").fetchall()]
    finally:
        db.close()


def spoil(path: Path) -> None:
    """A page of the schema's last table is garbage; the notes can be read."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    db.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


def dies_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool = False) -> list[int]:
    """Renames are counted; at the one with this number the process is gone."""
    real, count = os.rename, [0]

    def rename(a: Any, b: Any) -> None:
        count[0] += 1
        if count[0] == number and not after:
            raise Killed
        real(a, b)
        if count[0] == number and after:
            raise Killed

    monkeypatch.setattr(os, "rename", rename)
    return count


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_rescue_killed_at_any_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    where = at_home(tmp_path)
    lived(where.store, "old", "in the log alone")
    spoil(where.store)
    dies_at(monkeypatch, number)
    with pytest.raises(Killed):
        rescue.rebuild(where, Clock(), "x (run)", lambda line: None)
    monkeypatch.undo()
    said: list[str] = []
    if rescue.unfinished(where) is None:
        assert where.store.exists()
    rescue.rebuild(where, Clock(), "x (run)", said.append)
    assert notes(where.store) == ["old", "in the log alone"], said
    (log,) = where.store.parent.glob("floor.db.corrupt-*-wal")
    assert log.stat().st_size > 0, "the old log is with the old store, and is not played into the new one"
    db = sqlite3.connect(where.store)
    assert db.execute("SELECT count(*) FROM own_event WHERE what = 'damaged'").fetchone()[0] >= 1
    db.close()


def test_no_room_to_remember_a_rescue_leaves_the_store_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = at_home(tmp_path)
    lived(where.store, "old", "in the log alone")
    spoil(where.store)
    before = where.store.read_bytes()
    real = os.open

    def full(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StoreError, match=r"is left as it is"):
        rescue.rebuild(where, Clock(), "x (run)", lambda line: None)
    monkeypatch.undo()
    assert where.store.read_bytes() == before
    assert not list(where.store.parent.glob("*.corrupt-*"))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_restore_killed_at_any_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    where = at_home(tmp_path)
    lived(where.store, "of the backup", "too")
    copy = backup(where.store, tmp_path / "b.db")
    lived(where.store, "later", "in the log alone")
    dies_at(monkeypatch, number)
    with pytest.raises(Killed):
        restore(prove(copy.path), where.store, "floor.db.before", Clock())
    monkeypatch.undo()
    leader = Leader(where.lock)
    assert leader.try_lock()
    found: list[list[str]] = []

    def life(note: str) -> tuple[int, str | None]:
        store = Store.open(where.store, Clock())
        store.close()
        found.append(notes(where.store))
        return 0, None

    assert lives.run(where, leader, life) == 0
    leader.close()
    old = ["of the backup", "too", "later", "in the log alone"]
    if number == 1:  # nothing was moved yet
        assert found == [old]
    else:
        assert found == [old[:2]]
        assert notes(where.store.with_name("floor.db.before")) == old
    assert not list(where.store.parent.glob("*.restore*")), "nothing is left behind"


def test_a_restore_never_writes_over_what_was_kept_before(tmp_path: Path) -> None:
    where = at_home(tmp_path)
    lived(where.store, "first", "of all")
    copy = backup(where.store, tmp_path / "b.db")
    kept = where.store.with_name("floor.db.before")
    kept.write_text("kept by an earlier one")
    said = restore(prove(copy.path), where.store, kept.name, Clock())
    assert kept.read_text() == "kept by an earlier one"
    assert said is not None
    assert said != kept
    assert notes(said) == ["first", "of all"]


def test_a_backup_onto_a_disk_that_knows_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stick with VFAT: link(2) is EPERM there."""
    where = at_home(tmp_path)
    lived(where.store, "a", "b")

    def link(a: Any, b: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(backup_module.os, "link", link)
    copy = backup(where.store, tmp_path / "stick" / "b.db")
    assert notes(copy.path) == ["a", "b"]
    assert [f.name for f in copy.path.parent.iterdir()] == ["b.db"]
    with pytest.raises(StoreError, match="exists already"):
        backup(where.store, copy.path)
