"""A migration that is killed, or that finds no room: the old store stands, the next start finishes, the backup is one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.clock import Clock
from engine.request import SCHEMA
from engine.store import migrate
from engine.store.errors import StoreFull
from engine.store.writer import Store

ROOT = Path(__file__).resolve().parent.parent.parent

CHILD = """
import os, random, signal, sqlite3, sys
from pathlib import Path
from engine.clock import Clock
from engine.store import migrate, writer

point = sys.argv[2]
def die(*a, **k):
    os.kill(os.getpid(), signal.SIGKILL)

real_connect = sqlite3.connect
class Dying(sqlite3.Connection):
    begun = 0
    def execute(self, sql, *more):
        if point == "vacuum" and sql.startswith("VACUUM INTO"):
            self.set_progress_handler(die, 2000)
        if point == "commit" and sql == "COMMIT":
            die()
        if point.startswith("statement") and Dying.begun:
            Dying.begun += 1
            if Dying.begun > int(point.partition(":")[2]):
                die()
        if sql == "BEGIN EXCLUSIVE":
            if point == "begin":
                die()
            Dying.begun = 1
        found = super().execute(sql, *more)
        if point == "copied" and sql.startswith("VACUUM INTO"):
            die()
        if point == "committed" and sql == "COMMIT":
            die()
        return found
writer.sqlite3.connect = lambda *a, **k: real_connect(*a, **{**k, "factory": Dying})
if point == "replaced":
    replace = os.replace
    os.replace = lambda *a: (replace(*a), die())
writer.Store.open(Path(sys.argv[1]), Clock())
print("survived")
"""


def old_store(path: Path, rows: int = 400) -> None:
    """A store of the first version, as an engine of then left it."""
    Store.open(path, Clock(), migrations=migrate.MIGRATIONS[:1]).close()
    db = sqlite3.connect(path)
    db.executemany(
        "INSERT INTO note (key, at, who, text) VALUES ('a:p', ?, 'ana', ?)",
        [(n, f"{n} " + "x" * 900) for n in range(rows)],
    )
    db.commit()
    db.close()


def notes(path: Path) -> tuple[int, int]:
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return db.execute("SELECT count(*), count(DISTINCT text) FROM note").fetchone()
    finally:
        db.close()


POINTS = ("vacuum", "copied", "replaced", "begin", "statement:2", "statement:20", "statement:60", "commit", "committed")


@pytest.mark.parametrize("point", POINTS)
def test_a_migration_killed_half_way_is_finished_by_the_next_start(tmp_path: Path, point: str) -> None:
    path = tmp_path / "floor.db"
    old_store(path)
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), point], check=False, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert killed.returncode == -9, (killed.stdout, killed.stderr)
    store = Store.open(path, Clock())
    with store.transaction() as tx:
        assert tx.db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert tx.db.execute("SELECT count(*) FROM own_event").fetchone() == (0,)
    store.close()
    assert notes(path) == (400, 400)
    backup = tmp_path / "floor.db.v1.bak"
    assert notes(backup) == (400, 400)
    assert not (tmp_path / "floor.db.v1.bak.new").exists()
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(backup, again / "floor.db")  # what is kept is a store that can be gone back to
    Store.open(again / "floor.db", Clock()).close()
    assert notes(again / "floor.db") == (400, 400)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "watchfloor-test", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no file system of a given size can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_room_for_the_backup_is_one_sentence_and_the_old_store_stands(small: Path) -> None:
    path = small / "floor.db"
    old_store(path, 300)
    before = path.read_bytes()
    with pytest.raises(StoreFull, match=r"no room for .*floor\.db\.v1\.bak.* left as it was") as refused:
        Store.open(path, Clock())
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before
    assert sorted(f.name for f in small.iterdir() if f.stat().st_size) == ["floor.db"]
    subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
    Store.open(path, Clock()).close()
    assert notes(path) == (300, 300)


def test_no_room_for_the_migration_itself_leaves_the_old_store(small: Path) -> None:
    path = small / "floor.db"
    old_store(path, 100)
    filled = 0
    backup = small / "floor.db.v1.bak"
    with (small / "ballast").open("ab", buffering=0) as ballast:
        # room for the copy, none for the new tables
        free = os.statvfs(small)
        spare = free.f_bavail * free.f_frsize - path.stat().st_size - 120_000
        while filled < spare:
            filled += ballast.write(b"\0" * 4096)
    with pytest.raises(StoreFull, match=r"full|no room"):
        Store.open(path, Clock())
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    assert notes(path) == (100, 100)
    (small / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
    Store.open(path, Clock()).close()
    assert notes(path) == (100, 100)
    assert notes(backup) == (100, 100)
