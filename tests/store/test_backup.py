"""``watchfloor backup`` beside a living engine, and ``watchfloor restore``: what comes back is what was there."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.model import State
from engine.actions.audit import verify_file
from engine.clock import Clock
from engine.request import SCHEMA
from engine.store import backup as module
from engine.store import migrate
from engine.store.backup import backup, prove
from engine.store.errors import StoreError
from engine.store.writer import Store
from tests.engine.rig import Rig, until
from tests.engine.test_bad_disk import command, start
from tests.store.rig import Rig as StoreRig
from tests.store.rig import a_run

JOB = f'\n[[job]]\nname = "load"\n[[job.step]]\nname = "s"\nrun = ["{sys.executable}", "-I", "-S", "-c", "print(1)"]\n'


def note(rig: Rig, text: str) -> None:
    with rig.ask() as ask:
        ask("note", key="local:load", text=text)


def test_round_trip_on_a_living_engine(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "monday.db"
    with Rig(tmp_path, JOB) as rig:
        rig.polled("local")
        start(rig, "load")
        until(lambda: [r for r in rig.runs() if r.state is State.SUCCESS])
        until(lambda: all(not a.state.in_flight for a in rig.reader().actions()))
        note(rig, "before")
        done = command(rig, "backup", str(file))
        assert done.returncode == 0, done.stderr
        assert "read through and sound" in done.stdout
        assert "1 run, " in done.stdout
        assert "1 note" in done.stdout
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [f.name for f in file.parent.iterdir()] == ["monday.db"]
        assert rig.process is not None
        assert rig.process.poll() is None
        note(rig, "after")
        start(rig, "load")
        until(lambda: len([r for r in rig.runs() if r.state is State.SUCCESS]) == 2)

        refused = command(rig, "restore", str(file), "--yes")
        assert refused.returncode == 3
        assert "nothing was done: first watchfloor engine stop" in refused.stderr
        assert [n.text for n in rig.reader().notes("local:load")] in (["before", "after"], ["after", "before"])

        assert rig.stop() == 0
        for reader in rig._readers:
            reader.close()
        asked = command(rig, "restore", str(file))
        assert asked.returncode == 3
        assert "to restore it add --yes" in asked.stderr
        restored = command(rig, "restore", str(file), "--yes")
        assert restored.returncode == 0, restored.stderr
        (kept,) = rig.place.store.parent.glob("floor.db.before-restore-*Z")
        with sqlite3.connect(kept) as db:
            assert db.execute("SELECT count(*) FROM note").fetchone() == (2,)
        db.close()
        rig.start()
        assert [n.text for n in rig.reader().notes("local:load")] == ["before"]
        # what the sources know comes back by itself, also what happened after the backup
        until(lambda: len([r for r in rig.runs() if r.state is State.SUCCESS]) == 2)
        rig.polled("local")
        assert verify_file(rig.place.store, rig.place.audit) is None
        lines = [json.loads(line) for line in rig.place.audit.read_text().splitlines()]
        assert [r["event"] for r in lines].count("store-restored") == 1
        assert list(rig.place.audit.parent.glob("audit.jsonl.*")), "the mirror that knew more is kept"
        events = rig.reader().own().events
        assert [e.what for e in events if e.what == "restored"] == ["restored"]
        assert "monday.db" in next(e.words for e in events if e.what == "restored")
        assert stat.S_IMODE(rig.place.store.stat().st_mode) == 0o600
        again = command(rig, "backup", "--format", "json")
        found = json.loads(again.stdout)["data"]
        assert found["schema"] == SCHEMA
        assert Path(found["path"]).parent == rig.place.state / "backups"
        assert found["bytes"] == Path(found["path"]).stat().st_size


def test_a_copy_made_while_somebody_writes_is_one_moment(tmp_path: Path) -> None:
    """Each transaction of the writer adds a note and an audit-like pair; a copy between two of them would not be even."""
    writer = (
        "import sys\nfrom pathlib import Path\nfrom engine.clock import Clock\nfrom engine.store.writer import Store\n"
        "store = Store.open(Path(sys.argv[1]), Clock())\nprint('on', flush=True)\nn = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    with store.transaction() as tx:\n"
        "        tx.db.execute(\"INSERT INTO note (key, at, who, text) VALUES ('a', ?, 'w', ?)\", (n, 'x' * 500))\n"
        "        tx.db.execute('INSERT INTO beat (name, at, what, who) VALUES (\\'a\\', ?, \\'ok\\', \\'w\\')', (n,))\n"
    )
    store = tmp_path / "floor.db"
    process = subprocess.Popen([sys.executable, "-c", writer, str(store)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        for number in range(5):
            time.sleep(0.05)
            copy = backup(store, tmp_path / f"{number}.db")
            db = sqlite3.connect(copy.path)
            notes, beats = (db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("note", "beat"))  # noqa: S608
            db.close()
            assert notes == beats == copy.rows["note"]
            assert notes > 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_what_a_backup_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = StoreRig(tmp_path)
    try:
        rig.see(*(a_run(str(n)) for n in range(50)))
        there = tmp_path / "there.db"
        there.write_text("mine")
        with pytest.raises(StoreError, match="exists already and is left as it is"):
            backup(rig.path, there)
        assert there.read_text() == "mine"
        with pytest.raises(StoreError, match="no store at"):
            backup(tmp_path / "none.db", tmp_path / "x.db")
        monkeypatch.setattr(module, "room", lambda path: (1000, 2000))
        with pytest.raises(StoreError, match=r"no room for a copy of .* bytes are needed, 1,000 are free"):
            backup(rig.path, tmp_path / "x.db")
        monkeypatch.undo()
        with rig.store.transaction() as tx:
            tx.db.execute("INSERT INTO note (key, at, who, text) VALUES ('a:p', 1, 'ana', 'x')")
        monkeypatch.setattr(
            module, "_counts", lambda db: {"note": 99, "run": 1, "meta": 0, "source": 0, "pipeline": 0, "audit": 0}
        )
        monkeypatch.setattr(module, "prove", lambda path: module.Copy(path, 1, SCHEMA, {"note": 1}, None))
        with pytest.raises(StoreError, match="lacks rows of note"):
            backup(rig.path, tmp_path / "x.db")
        assert not (tmp_path / "x.db").exists()
        assert not (tmp_path / "x.db.part").exists()
    finally:
        rig.close()


def test_an_older_backup_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    Store.open(file, Clock(), migrations=migrate.MIGRATIONS[:1]).close()
    db = sqlite3.connect(file)
    db.execute("INSERT INTO note (key, at, who, text) VALUES ('local:load', 1, 'ana', 'from long ago')")
    db.execute(
        "INSERT INTO outbox (id, alert_id, kind, recipient, notify_type, title, body, next_at, created)"
        " VALUES ('o', 'a', 'fire', 'ana', 'failure', 't', 'b', 1, 1)"
    )
    db.commit()
    db.close()
    with Rig(tmp_path, JOB, start=False) as rig:
        done = command(rig, "restore", str(file), "--yes")
        assert done.returncode == 0, done.stderr
        assert "there was no store before" in done.stdout
        assert sorted(f.name for f in rig.place.store.parent.iterdir() if "floor" in f.name) == ["floor.db"]
        rig.start()
        assert [n.text for n in rig.reader().notes("local:load")] == ["from long ago"]
        assert [d.state for d in rig.reader().deliveries()] == [4], "nothing old is sent again"


@pytest.mark.parametrize("what", ["garbage", "songs", "newer", "torn", "none", "itself"])
def test_what_is_no_backup_is_refused_and_the_store_stays(tmp_path: Path, what: str) -> None:
    file = tmp_path / "file.db"
    with Rig(tmp_path, JOB) as rig:
        rig.polled("local")
        note(rig, "stays")
        if what in ("newer", "torn"):
            assert command(rig, "backup", str(file)).returncode == 0
        assert rig.stop() == 0
        if what == "garbage":
            file.write_bytes(os.urandom(9000))
        elif what == "songs":
            db = sqlite3.connect(file)
            db.execute("CREATE TABLE songs (x)")
            db.close()
        elif what == "newer":
            db = sqlite3.connect(file)
            db.execute("PRAGMA user_version = 99")
            db.close()
        elif what == "torn":
            with file.open("r+b") as torn:
                torn.seek(4096 * 5)
                torn.write(os.urandom(4096 * 20))
        elif what == "itself":
            file = rig.place.store
        before = file.read_bytes() if file.exists() else b""
        done = command(rig, "restore", str(file), "--yes")
        assert done.returncode == 2, done.stdout
        assert len(done.stderr.splitlines()) == 1
        assert {"garbage": "is no SQLite database", "songs": "not a Watchfloor store", "newer": "made by a newer Watchfloor",
                "torn": "damaged", "none": "there is no file", "itself": "is the store itself"}[what] in done.stderr  # fmt: skip
        assert (file.read_bytes() if file.exists() else b"") == before
        assert not list(rig.place.store.parent.glob("*before-restore*"))
        assert not list(rig.place.store.parent.glob("*.restored*"))
        rig.start()
        assert [n.text for n in rig.reader().notes("local:load")] == ["stays"]


def test_a_proof_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    rig = StoreRig(tmp_path)
    rig.close()
    folder = tmp_path / "kept"
    copy = backup(rig.path, folder / "b.db")
    assert prove(copy.path).rows == copy.rows
    assert [f.name for f in folder.iterdir()] == ["b.db"]
