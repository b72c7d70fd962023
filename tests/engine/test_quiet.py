"""How often a source is asked and the store is written, seen from outside: by the server's own count and SQLite's."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import Health, State
from tests.engine.rig import Rig, until
from tests.engine.test_airflow_world import poll, rig, source, state_of
from tests.servers.airflow_like import AirflowLike

FAST = """
from adapters.airflow.adapter import AirflowAdapter
import engine.poll.source as poller
AirflowAdapter.min_poll_s = 0.3
real = poller.Pace
poller.Pace = lambda _: real(0.3)
"""


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load"))
        yield found


def fast(tmp_path: Path, server: AirflowLike, requests: str = "600/min") -> Rig:
    """A rig whose source is asked every 0.3 s, more often than people may configure."""
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    toml = source(server).replace('requests = "600/min"', f'requests = "{requests}"')
    return Rig(tmp_path, toml, prelude=FAST)


def asked(server: AirflowLike) -> int:
    with server.lock:
        return len(server.requests)


def health(r: Rig) -> Health:
    return r.reader().sources()[0].health


def test_an_idle_engine_commits_once_a_second_and_moves_no_topic_of_pipelines(
    tmp_path: Path, server: AirflowLike
) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        r.polled("af")
        reader = r.reader()
        time.sleep(1.5)  # what a first poll leads to is over
        reader.version()
        before = reader.topics()
        db = sqlite3.connect(f"file:{r.place.store}?mode=ro", uri=True)
        moves, end, polls = [], time.monotonic() + 8, asked(server)
        last = db.execute("PRAGMA data_version").fetchone()[0]
        while time.monotonic() < end:
            now = db.execute("PRAGMA data_version").fetchone()[0]
            if now != last:
                moves.append(time.monotonic())
                last = now
            time.sleep(0.005)
        db.close()
        assert asked(server) > polls, "there was no poll to be quiet about"
        assert 6 <= len(moves) <= 10, len(moves)
        moved = reader.changed_since(before)
        assert moved <= {"health", "sample"}, moved


def test_down_it_is_asked_ever_less_and_then_only_by_a_probe(tmp_path: Path, server: AirflowLike) -> None:
    with fast(tmp_path, server) as r:
        until(lambda: health(r) is Health.FRESH)
        server.fault = "500"
        began = asked(server)
        until(lambda: r.reader().sources()[0].failures >= 5, 40)
        spent = asked(server) - began
        until(lambda: _gap(r) > 300 * 2**4)  # five failures: 0.3 s has become about ten
        assert spent <= 5 * 4, spent
        began = asked(server)
        poll(r)  # a person may ask at once; the open circuit sends one question, with its one retry
        until(lambda: r.reader().sources()[0].failures >= 6, 15)
        assert asked(server) - began <= 3
        server.fault = None
        poll(r)
        until(lambda: health(r) is Health.FRESH, 15)
        assert r.reader().sources()[0].failures == 0


def _gap(r: Rig) -> int:
    """Milliseconds between the last question and the next one."""
    row = r.reader().sources()[0]
    return (row.next_try or 0) - (row.last_try or 0)


def test_the_budget_is_kept_whoever_asks(tmp_path: Path, server: AirflowLike) -> None:
    for n in range(60):
        server.add_run("daily", f"r{n}", state="running")
    with fast(tmp_path, server, requests="30/min") as r:
        until(lambda: health(r) is Health.FRESH)
        end = time.monotonic() + 8
        with r.ask() as ask:
            while time.monotonic() < end:
                ask("poll", source="af")
                ask("watch", run="af:daily/r1", log="af:daily/r1#load")
                time.sleep(0.05)
        with server.lock:
            counted = [s for s in server.requests if s.path != "/auth/token"]
        assert 10 <= len(counted) <= 33, len(counted)
        row = r.reader().sources()[0]
        assert row.requests_min <= 34
        assert row.budget_min == 30


def test_a_named_wait_is_not_undercut_by_people(tmp_path: Path, server: AirflowLike) -> None:
    with fast(tmp_path, server) as r:
        until(lambda: health(r) is Health.FRESH)
        server.fault = "429-after"
        until(lambda: health(r) is Health.RATE_LIMITED)
        row = r.reader().sources()[0]
        assert row.until is not None
        time.sleep(0.5)
        began = asked(server)
        for _ in range(20):
            poll(r)
            time.sleep(0.1)
        assert asked(server) == began
        server.fault = None
        until(lambda: health(r) is Health.FRESH, 12)


def test_a_watched_run_is_followed_closely_and_only_while_it_is_watched(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    server.set_task("daily", "r1", "extract", state="running", try_number=1, start=server.now())
    server.append_log("daily", "r1", "extract", "first line of the log")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        reader = r.reader()
        detail = reader.run("af:daily/r1")
        assert detail is not None
        assert not detail.logs
        with r.ask() as ask:
            ask("watch", run="af:daily/r1", log="af:daily/r1#extract")
            until(lambda: _log(r, "first line"), 2.5)
            server.append_log("daily", "r1", "extract", "second line, later")
            until(lambda: _log(r, "second line"), 2.5)
            steps = reader.run("af:daily/r1")
            assert steps is not None
            assert {s.step for s in steps.steps} == {"extract", "load"}
        r.polled("af")

        def logs() -> int:
            with server.lock:
                return sum("/logs/" in s.path for s in server.requests)

        time.sleep(0.3)
        count = logs()
        assert count
        time.sleep(2.5)
        assert logs() == count, "the log was asked for after the last terminal had left"


def _log(r: Rig, words: str) -> bool:
    detail = r.reader().run("af:daily/r1")
    return bool(detail and detail.logs and words in Path(detail.logs[0].path).read_text())


def test_the_process_table_is_there_while_it_is_watched(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        until(lambda: r.reader().gauges("host.cpu"))
        assert r.reader().processes() == []
        with r.ask() as ask:
            ask("watch", processes=True)
            found = until(lambda: r.reader().processes())
            assert any(p.pid == r.process.pid for p in found)  # type: ignore[union-attr]
        until(lambda: not r.reader().processes())


def test_sensors_have_labels_and_those_that_lack_say_why(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        row = until(
            lambda: next((g for g in r.reader().gauges("host.cpu") if g.series == "host.cpu" and g.label), None)
        )
        assert row.max == 100.0
        for gauge in r.reader().gauges("host."):
            assert gauge.label, gauge
            assert gauge.value is not None or gauge.note or gauge.past, gauge
