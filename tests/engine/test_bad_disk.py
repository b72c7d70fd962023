"""A disk without room under a real engine: said on every screen, nothing begun, nothing lost, and it goes on by itself.

The disk is a small tmpfs, which only root may mount; elsewhere these tests are skipped and say so.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import State
from engine.request import RequestError
from tests.engine.rig import ROOT, Rig, until
from tests.pty import Terminal

SIZE = "12m"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The rig's state folder on a file system of its own."""
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes=200,mode=0700", "watchfloor-test", str(state)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system of a given size can be mounted here: {mounted.stderr.decode()[:200]}")
    yield state
    subprocess.run(["umount", "-l", str(state)], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


def receiver(folder: Path) -> tuple[subprocess.Popen[bytes], Path, int]:
    """Somebody who takes messages, in a process of its own."""
    port, record = folder / "port", folder / "record.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "alerts" / "receiver.py"), str(port), str(record)], stdin=subprocess.PIPE
    )
    until(port.exists)
    return process, record, int(port.read_text())


def told(record: Path) -> list[str]:
    return [json.loads(line)["body"]["title"] for line in record.read_text().splitlines()] if record.exists() else []


JOBS = """
[[contact]]
name = "ana"
url = {{ file = "ana.url" }}
[[route]]
match = "*"
severity = ">=info"
to = ["ana"]

[[job]]
name = "fails"
[[job.step]]
name = "s"
run = ["{python}", "-I", "-S", "-c", "import os, time\\nwhile not os.path.exists('{go}'): time.sleep(0.05)\\nraise SystemExit(3)"]

[[job]]
name = "quick"
[[job.step]]
name = "s"
run = ["{python}", "-I", "-S", "-c", "open('{proof}', 'a').write('x')"]
"""


def start(rig: Rig, job: str) -> None:
    with rig.ask() as ask:
        plan = ask("plan", verb="start", key=f"local:{job}")
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])


def test_a_disk_that_fills_and_empties_under_a_living_engine(tmp_path: Path, small: Path) -> None:
    go, proof = tmp_path / "go", tmp_path / "proof"
    people, record, port = receiver(tmp_path)
    (tmp_path / "ana.url").write_text(f"json://127.0.0.1:{port}/")
    (tmp_path / "ana.url").chmod(0o600)
    toml = JOBS.format(python=sys.executable, go=go, proof=proof)
    prelude = "import engine.health; engine.health.EVERY_S = 0.5"
    try:
        with Rig(tmp_path, toml, prelude=prelude, start=False) as rig:
            rig.log = small / "engine.log"  # where it lies in life: it finds no room either
            rig.start()
            rig.polled("local")
            start(rig, "quick")
            until(lambda: [r for r in rig.runs() if r.state is State.SUCCESS])
            start(rig, "fails")
            until(lambda: [r for r in rig.runs() if r.state is State.RUNNING])
            with rig.ask() as ask:
                ask("note", key="local:fails", text="before the disk was full")
            # little room is said before there is none
            low = until(lambda: [a for a in rig.reader().alerts(open_only=True) if "runs out of disk" in a.title])
            assert "MB are free under" in low[0].body
            screen = Terminal(
                [sys.executable, "-m", "tui.cli", "--config", str(rig.config)], 120, 40,
                env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}, cwd=str(ROOT),
            )  # fmt: skip
            try:
                screen.wait_for("fails", 20)
                with rig.log.open("ab") as log:  # up to the end of its last block
                    log.write(b"\n" * (-rig.log.stat().st_size % 4096))
                ballast = fill(small)
                screen.wait_for("DISK FULL", 60)
                shown = "\n".join(screen.lines())
                assert "nothing is recorded, no action possible" in shown
                assert "0 B free of 12.6 MB" in shown
                assert str(small)[:40] in shown
                assert "it goes on by itself" in shown
                assert "actions off" in shown
                assert "NOBODY IS WATCHING" not in shown
                before = len(proof.read_text())
                for do, body in (
                    ("plan", {"verb": "start", "key": "local:quick"}),
                    ("ack", {"alert": low[0].id}),
                    ("note", {"key": "local:quick", "text": "x"}),
                    ("silence", {"match": "*", "until": 1, "reason": "x"}),
                ):
                    with rig.ask() as ask, pytest.raises(RequestError) as refused:
                        ask(do, **body)
                    assert refused.value.code == "refused"
                    assert "is full" in refused.value.message
                    assert "MB free of 13 MB" in refused.value.message
                for argv in (["show", "sources"], ["show", "floor"]):
                    out = command(rig, *argv)
                    assert "DISK FULL" in out.stdout
                assert command(rig, "show", "floor", "--fail-on", "missed").returncode == 7
                go.touch()  # a failure that nobody can record now
                assert rig.process is not None
                assert rig.process.poll() is None
                assert len(proof.read_text()) == before
                ballast.unlink()
                screen.wait_until_gone("DISK FULL", 30)
                until(lambda: [r for r in rig.runs() if r.state is State.FAILED], 30)
                until(lambda: [t for t in told(record) if "fails" in t], 30)
            finally:
                screen.close()
            events = [e for e in rig.reader().own().events if e.what == "full"]
            assert len(events) == 1
            assert events[0].until is not None
            until(lambda: [t for t in told(record) if "could not record" in t], 20)
            start(rig, "quick")
            until(lambda: len(proof.read_text()) == before + 1)
            assert [n.text for n in rig.reader().notes("local:fails")] == ["before the disk was full"]
            assert rig.stop() == 0
        assert len([t for t in told(record) if "fails" in t]) == 1, told(record)
        db = sqlite3.connect(small / "floor.db")
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
    finally:
        assert people.stdin is not None
        people.stdin.close()
        people.wait()


def command(rig: Rig, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | {
        "HOME": str(rig.folder), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *argv, "--config", str(rig.config)],
        check=False, capture_output=True, text=True, env=env, cwd=str(ROOT), timeout=60,
    )  # fmt: skip


def test_an_engine_begins_on_a_full_disk_only_in_words(tmp_path: Path, small: Path) -> None:
    with Rig(tmp_path, JOBS.split("[[job]]")[0].split("[[contact]]")[0]) as rig:
        assert rig.stop() == 0
        ballast = fill(small)
        process = rig.start(wait=False)
        # it either runs on what SQLite still has, or says in one line why not; never a traceback
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        said = rig.log.read_text()
        assert "Traceback" not in said, said
        if code is not None:
            assert code == 2
            assert "full" in said.splitlines()[-1]
            ballast.unlink()
            rig.start()
        else:
            ballast.unlink()
        rig.ready()
        until(rig.held)


def test_a_first_start_on_a_full_disk_is_one_sentence(tmp_path: Path, small: Path) -> None:
    number = 0
    try:
        while True:  # no room for another file either: a tmpfs has so many of them
            (small / f"x{number}").touch()
            number += 1
    except OSError:
        pass
    with Rig(tmp_path, "", start=False) as rig:
        code = rig.start(wait=False).wait(20)
        said = rig.log.read_text().splitlines()
        assert code == 2
        assert len(said) == 1
        assert "No space left on device" in said[0]
        for n in range(number):
            (small / f"x{n}").unlink()
        rig.start()
