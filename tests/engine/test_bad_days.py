"""A store that is spoiled under a real engine: moved aside as it is, made anew, said; what people did stays."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.model import State
from engine.actions.audit import verify_file
from tests.engine.rig import ROOT, Rig, until
from tests.engine.test_bad_disk import command, start
from tests.pty import Terminal

JOBS = """
[[job]]
name = "quick"
[[job.step]]
name = "s"
run = ["{python}", "-I", "-S", "-c", "print(1)"]
[[job]]
name = "slow"
[[job.step]]
name = "s"
run = ["{python}", "-I", "-S", "-c", "import os, time\\nwhile not os.path.exists('{go}'): time.sleep(0.05)"]
[[job]]
name = "fails"
[[job.step]]
name = "s"
run = ["{python}", "-I", "-S", "-c", "raise SystemExit(3)"]
"""


def lived(rig: Rig) -> None:
    """Something of everything: runs, an alert, an acknowledgement, notes, actions with their audit."""
    rig.polled("local")
    start(rig, "quick")
    start(rig, "fails")
    alert = until(lambda: [a for a in rig.reader().alerts(open_only=True) if a.rule == "failed-run"])[0]
    with rig.ask() as ask:
        for n in range(40):
            ask("note", key="local:quick", text=f"note {n} " + "x" * 300)
        ask("ack", alert=alert.id, note="I have it")
    until(lambda: all(not a.state.in_flight for a in rig.reader().actions()))
    start(rig, "slow")
    until(lambda: [r for r in rig.runs() if r.state is State.RUNNING])


def header(path: Path) -> None:
    spoil(path, 0, os.urandom(100))


def schema_page(path: Path) -> None:
    spoil(path, 100, os.urandom(60))


def leaf_of_runs(path: Path) -> None:
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    db.close()
    spoil(path, (root - 1) * 4096, os.urandom(4096))


def leaf_of_notes(path: Path) -> None:
    """One leaf in the middle of the notes, so that those on both sides of it can be read."""
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'note'").fetchone()
    db.close()
    data = path.read_bytes()
    page = data[(root - 1) * 4096 : root * 4096]
    assert page[0] == 5, "the notes fill more than one page"
    first = int.from_bytes(page[12:14], "big")
    second = int.from_bytes(page[14:16], "big")
    child = int.from_bytes(page[second : second + 4], "big")
    assert first != second
    spoil(path, (child - 1) * 4096, os.urandom(4096))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 1000)


def garbage_log(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(os.urandom(40_000))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def spoil(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def ended(rig: Rig) -> None:
    """The engine stops and nobody reads any more: all that was written stands in the store itself, and there is no log."""
    assert rig.stop() == 0
    for reader in rig._readers:
        reader.close()
    db = sqlite3.connect(rig.place.store)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    assert not Path(f"{rig.place.store}-wal").exists()


def sums(folder: Path, pattern: str) -> dict[str, str]:
    return {
        f.name.partition(".corrupt-")[2].partition("Z")[2] if ".corrupt-" in f.name else f.name.removeprefix("floor.db"):
        hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.glob(pattern) if not f.name.endswith("-shm") and f.stat().st_size + (f.name == "floor.db" or f.name[-1] == "Z")
    }  # fmt: skip


NOTHING = {"cut": 0, "emptied": 0, "schema_page": 0}
"""Where less than all notes can be promised."""


@pytest.mark.parametrize(
    "spoiled", [header, schema_page, leaf_of_runs, leaf_of_notes, cut, garbage_log, emptied], ids=lambda f: f.__name__
)
def test_a_store_spoiled_while_nobody_ran(tmp_path: Path, spoiled: Callable[[Path], None]) -> None:
    go = tmp_path / "go"
    with Rig(tmp_path, JOBS.format(python=sys.executable, go=go)) as rig:
        lived(rig)
        records = len(rig.place.audit.read_text().splitlines())
        ended(rig)
        spoiled(rig.place.store)
        bad = sums(rig.place.store.parent, "floor.db*")
        rig.start()
        kept = [f for f in rig.place.store.parent.glob("floor.db.corrupt-*")]
        if spoiled is garbage_log:
            bad = {"-wal": bad["-wal"]}  # the store itself is whole, and goes on
        assert sums(rig.place.store.parent, "floor.db.corrupt-*") == bad, "the bad store was touched"
        assert len(kept) >= 1
        assert not list(rig.place.store.parent.glob("*.rebuilt*"))
        assert not list(rig.place.store.parent.glob("*.copy*"))
        assert not rig.place.store.with_name("floor.db.rescue").exists()
        assert "was damaged" in rig.log.read_text()
        assert "Traceback" not in rig.log.read_text()
        reader = rig.reader()
        notes = [n.text for n in reader.notes("local:quick")]
        expected = {"cut": 0, "emptied": 0, "schema_page": 0, "leaf_of_notes": 15}.get(spoiled.__name__, 40)
        assert len(notes) >= expected
        assert len(set(notes)) == len(notes)
        if spoiled is leaf_of_notes:
            assert "parts of note could not be read" in rig.log.read_text()
        # the run that went on is found again, and ends as it should
        until(lambda: [r for r in rig.runs() if r.state is State.RUNNING and "slow" in r.key])
        go.touch()
        until(lambda: [r for r in rig.runs() if r.state is State.SUCCESS and "slow" in r.key])
        assert [r.state for r in rig.runs() if "fails" in r.key] == [State.FAILED]
        # the audit is whole: what the store lost stood in its mirror
        assert verify_file(rig.place.store, rig.place.audit) is None
        lines = [json.loads(line) for line in rig.place.audit.read_text().splitlines()]
        assert len(lines) > records
        assert [r["event"] for r in lines].count("store-log-lost" if spoiled is garbage_log else "store-rebuilt") == 1
        failed = [a for a in reader.alerts(open_only=True) if a.rule == "failed-run"]
        if spoiled in (header, leaf_of_runs, leaf_of_notes, garbage_log):
            assert [a.acked_by is not None for a in failed] == [True], (
                "the acknowledgement is kept, and nobody is told twice"
            )
        told = until(lambda: [a for a in rig.reader().alerts(open_only=True) if "damaged store" in a.title])
        assert " kept as floor.db.corrupt-" in told[0].body
        assert "store was damaged" in (reader.engine().note or "")  # type: ignore[union-attr]
        assert "store made anew" in command(rig, "show", "sources", "--height", "60").stdout
        start(rig, "quick")
        until(lambda: len([r for r in rig.runs() if r.state is State.SUCCESS and "quick" in r.key]) >= 2)


def test_a_store_spoiled_under_a_living_engine_and_its_terminal(tmp_path: Path) -> None:
    go = tmp_path / "go"
    often = "import engine.upkeep; engine.upkeep.SCRUB_EVERY_S = 0.05"
    with Rig(tmp_path, JOBS.format(python=sys.executable, go=go), prelude=often) as rig:
        lived(rig)
        assert rig.process is not None
        pid = rig.process.pid
        screen = Terminal(
            [sys.executable, "-m", "tui.cli", "--config", str(rig.config)], 120, 40,
            env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}, cwd=str(ROOT),
        )  # fmt: skip
        try:
            screen.wait_for("slow", 20)
            db = sqlite3.connect(rig.place.store)
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.close()
            with rig.place.store.open("r+b") as file:  # another program writes over it, log and all
                file.seek(4096)
                file.write(os.urandom(4096 * (pages - 1)))
            Path(f"{rig.place.store}-wal").write_bytes(os.urandom(100_000))
            until(lambda: list(rig.place.store.parent.glob("floor.db.corrupt-*")), 30)
            until(lambda: rig.held() and "store was damaged (" in rig.log.read_text(), 30)
            rig.ready()
            assert rig.process.pid == pid, "the same process goes on"
            until(lambda: [r for r in rig.runs() if r.state is State.RUNNING and "slow" in r.key], 20)
            screen.wait_for("slow", 20)
            screen.wait_until_gone("NOBODY", 20)
            go.touch()
            until(lambda: [r for r in rig.runs() if r.state is State.SUCCESS and "slow" in r.key])
            screen.press("0")
            screen.wait_for("store made anew", 20)
        finally:
            screen.close()
        assert verify_file(rig.place.store, rig.place.audit) is None


def test_a_rescue_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    go = tmp_path / "go"
    toml = JOBS.format(python=sys.executable, go=go)
    for number, point in enumerate(("rescue.salvage", "rescue.settle", "rescue.head_of", "Store.close")):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Rig(folder, toml) as rig:
            rig.polled("local")
            with rig.ask() as ask:
                ask("note", key="local:quick", text="kept")
            ended(rig)
            leaf_of_runs(rig.place.store)
            rig.prelude = (
                "import os, signal, engine.rescue as r\n"
                "from engine.store import rescue\nfrom engine.store.writer import Store\n"
                "def die(*a, **k): os.kill(os.getpid(), signal.SIGKILL)\n"
                f"{'r.' if point.startswith('Store') else ''}{point} = die"
            )
            process = rig.start(wait=False)
            assert process.wait(20) == -9
            rig.prelude = ""
            rig.start()
            assert [n.text for n in rig.reader().notes("local:quick")] == ["kept"]
            assert "store was damaged" in (rig.reader().engine().note or "")  # type: ignore[union-attr]
            assert len(list(rig.place.store.parent.glob("floor.db.corrupt-*Z"))) == 1


def test_somebody_elses_file_is_left_where_it_is(tmp_path: Path) -> None:
    with Rig(tmp_path, "", start=False) as rig:
        rig.place.store.parent.mkdir(parents=True)
        rig.place.store.write_bytes(b"my thesis, the only copy\n" * 500)
        process = rig.start(wait=False)
        assert process.wait(20) == 2
        assert "not a Watchfloor store" in rig.log.read_text()
        assert rig.place.store.read_bytes().startswith(b"my thesis")
        assert not list(tmp_path.glob("**/*.corrupt-*"))


def test_a_store_of_a_newer_version_is_refused_and_left(tmp_path: Path) -> None:
    with Rig(tmp_path, JOBS.format(python=sys.executable, go=tmp_path / "go")) as rig:
        ended(rig)
        db = sqlite3.connect(rig.place.store)
        db.execute("PRAGMA user_version = 99")
        db.close()
        before = sums(rig.place.store.parent, "floor.db*")
        rig.log.write_text("")
        assert rig.start(wait=False).wait(20) == 2
        said = rig.log.read_text().splitlines()
        assert len(said) == 1
        assert "made by a newer Watchfloor" in said[0]
        shown = command(rig, "show", "floor")
        assert shown.returncode == 2
        assert "restart me" in shown.stderr
        assert sums(rig.place.store.parent, "floor.db*") == before
