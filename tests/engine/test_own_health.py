"""The engine's own health: what it costs, who holds its log, clocks that are set, what it says of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.model import AlertState, State
from engine.holders import describe, holders
from engine.store.own_rows import OwnState
from tests.engine.rig import Rig, until
from tests.engine.scenario import HOUR, MINUTE, Scenario

JOB = f'\n[[job]]\nname = "load"\n[[job.step]]\nname = "s"\nrun = ["{sys.executable}", "-I", "-S", "-c", "print(1)"]\n'
QUICK = "import engine.health; engine.health.EVERY_S = 0.5; engine.health.WAL_LIMIT = 1 << 20\n"

FAT = """
import engine.main as m
beat = m.Engine.beat
async def fat(self):
    with self.store.transaction() as tx:
        tx.db.execute("INSERT INTO config_version VALUES (hex(randomblob(8)), 0, hex(randomblob(500000)))")
    await beat(self)
m.Engine.beat = fat
"""
"""Half a megabyte each second, so that a held log grows while one looks."""

HOLD = """
import sqlite3, sys, time
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
db.execute("BEGIN")
db.execute("SELECT count(*) FROM run").fetchall()
print("reads", flush=True)
time.sleep(600)
"""


def own_alerts(rig: Rig, occurrence: str) -> list:
    return [a for a in rig.reader().alerts(open_only=True) if a.rule == "own" and a.title and occurrence in a.title]


def reader_process(store: Path) -> subprocess.Popen[bytes]:
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE)
    assert held.stdout is not None
    assert held.stdout.readline() == b"reads\n"
    return held


def test_a_stopped_reader_is_named_and_the_log_shrinks_when_it_is_gone(tmp_path: Path) -> None:
    prelude = QUICK + FAT
    with Rig(tmp_path, JOB, prelude=prelude) as rig:
        wal = Path(f"{rig.place.store}-wal")
        held = reader_process(rig.place.store)
        try:
            os.kill(held.pid, signal.SIGSTOP)
            (alert,) = until(lambda: own_alerts(rig, "held up"), 20)
            assert f"pid {held.pid}" in alert.body
            assert "stopped" in alert.body
            assert f"kill -CONT {held.pid}" in alert.body
            assert wal.stat().st_size > 1 << 20
        finally:
            held.kill()
            held.wait()
            assert held.stdout is not None
            held.stdout.close()
        until(lambda: not own_alerts(rig, "held up"), 20)
        until(lambda: wal.stat().st_size <= 2 << 20)
        events = rig.reader().alert_events(alert.id)
        assert any("the reader is gone" in (e.detail or "") for e in events)


def test_holders_are_those_inside_a_query_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE run (x)")
    idle = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    idle.execute("SELECT * FROM run").fetchall()
    assert holders(path) == []
    held = reader_process(path)
    try:
        (found,) = holders(path)
        assert found.pid == held.pid
        assert found.command.startswith("python")
        assert "randomblob" not in found.words
        assert "BEGIN" not in found.words, "arguments are nobody's business"
    finally:
        held.kill()
        held.wait()
        assert held.stdout is not None
        held.stdout.close()
    assert holders(path) == []
    assert describe(held.pid).state == "gone"
    idle.close()
    db.close()


def test_numbers_of_its_own_are_series_and_stand_on_sources(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB, prelude=QUICK) as rig:
        rig.polled("local")

        def own() -> OwnState | None:
            found = rig.reader().own()
            return found if "own.cpu" in found.values and "own.poll.local.ms" in found.values else None

        found = until(own)
        assert found.values["own.memory"] > 10 << 20
        assert found.values["own.store"] > 100_000
        assert found.values["own.disk.free"] > 0
        assert 0 <= found.values["own.late"] < 60_000
        assert found.values["own.outbox"] == 0
        assert found.polls["local"]["requests"] >= 0
        assert [e.what for e in found.events] == ["start"]
        rig.kill()
        rig.start()
        found = rig.reader().own()
        assert [e.what for e in found.events].count("start") == 2
        assert "ended without a word" in found.events[-1].words


def test_an_absence_is_an_interval_in_which_we_were_blind(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB, prelude="import engine.health; engine.health.BLIND_MS = 500") as rig:
        began = time.time() * 1000
        assert rig.stop() == 0
        ended = time.time() * 1000
        time.sleep(0.6)
        rig.start()
        (blind,) = [e for e in rig.reader().own().events if e.what == "blind"]
        assert began - 1000 <= blind.at <= ended + 1000
        assert blind.until is not None
        assert blind.until >= ended + 500
        assert "SIGTERM" in blind.words


def test_an_engine_that_stood_still_says_that_it_was_blind(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB, prelude=QUICK + "engine.health.BLIND_MS = 1500") as rig:
        until(lambda: rig.reader().own().values)
        assert rig.process is not None
        rig.process.send_signal(signal.SIGSTOP)
        time.sleep(3.2)
        rig.process.send_signal(signal.SIGCONT)
        blind = until(lambda: [e for e in rig.reader().own().events if e.what == "blind"])
        assert "stood still" in blind[0].words
        assert blind[0].until is not None
        assert 1500 <= blind[0].until - blind[0].at < 30_000
        assert not [e for e in rig.reader().own().events if e.what == "clock"]


CLOCK = """
import engine.clock, pathlib, time
engine.clock.Clock.now = lambda self: time.time_ns() // 1_000_000 + int(pathlib.Path({file!r}).read_text() or 0)
"""


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_runs_nothing_twice_and_alarms_nobody(tmp_path: Path, jump: int) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    count = tmp_path / "count"
    toml = (
        '\n[[job]]\nname = "often"\nschedule = "* * * * *"\ncatchup = "last"\n[[job.step]]\nname = "s"\n'
        f'run = ["sh", "-c", "echo $WATCHFLOOR_RUN >> {count}"]\n'
    )
    with Rig(tmp_path, toml, prelude=QUICK + CLOCK.format(file=str(offset))) as rig:
        rig.polled_now = rig.polled  # type: ignore[attr-defined]
        until(lambda: rig.reader().own().values)
        before = {r.key for r in rig.runs()}
        offset.write_text(str(jump))
        (event,) = until(lambda: [e for e in rig.reader().own().events if e.what == "clock"])
        assert ("forward" if jump > 0 else "back") in event.words
        until(lambda: "was set" in rig.log.read_text())
        until(lambda: own_alerts(rig, "the clock was set"))
        offset.write_text("0")
        until(lambda: len([e for e in rig.reader().own().events if e.what == "clock"]) == 2)
        with rig.ask() as ask:
            ask("poll", source="local")
        until(lambda: rig.reader().own().values)  # readings go on, whichever way it went
        alerts = [a for a in rig.reader().alerts(open_only=False) if a.rule != "own"]
        assert alerts == []
        keys = [r.key for r in rig.runs()]
        assert len(keys) == len(set(keys))
        made = count.read_text().split() if count.exists() else []
        assert len(made) == len(set(made)), "a tick ran twice"
        assert all(
            r.state in (State.SUCCESS, State.RUNNING, State.QUEUED, State.MISSED, State.SKIPPED) for r in rig.runs()
        )
        assert before <= set(keys)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_night_with_a_clock_that_jumps_keeps_its_samples_and_its_peace(tmp_path: Path, jump: int) -> None:
    toml = (
        '[[source]]\nname = "af"\nkind = "airflow"\nurl = "{url}"\nenvironment = "prod"\nprotected = false\n'
        'auth = { user = "ops", password = { file = "pw" } }\n'
    )
    (tmp_path / "pw").write_text("pa55-of-the-test")
    (tmp_path / "pw").chmod(0o600)
    async with Scenario(tmp_path, "2026-11-20 03:00", toml) as night:
        night.server.add_dag("daily", tasks=("one",))
        night.past("daily")
        night.begin()
        await night.until("04:30")
        tiers = f"SELECT count(*) FROM sample_1m WHERE t < {night.at('03:25')}"  # noqa: S608
        with night.engine.store.transaction() as tx:
            kept = tx.db.execute(tiers).fetchone()[0]
        assert kept > 0
        steady = night.clock.monotonic
        night.clock.monotonic = lambda: steady() - jump / 1000  # type: ignore[method-assign]
        night.clock.at += jump
        night.server.keep_time()
        await night.step(1000)
        assert "clock was set" in night.out.getvalue()
        for _ in range(20):
            await night.step(MINUTE)
        assert [a.title for a in night.alerts() if a.rule != "own"] == []
        own = [a for a in night.reader.alerts(open_only=False) if a.rule == "own"]
        assert [a for a in own if "clock" in a.title and a.state in (AlertState.FIRING, AlertState.RESOLVED)]
        with night.engine.store.transaction() as tx:
            assert tx.db.execute(tiers).fetchone()[0] == kept
            newest = tx.db.execute("SELECT max(t) FROM sample_raw").fetchone()[0]
            rolled = tx.db.execute("SELECT max(t) FROM sample_1m WHERE t <= ?", (night.clock.at,)).fetchone()[0]
        assert night.clock.at - newest <= MINUTE
        assert night.clock.at - rolled <= 3 * MINUTE, "the tiers go on from the clock as it is now"
