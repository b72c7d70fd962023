"""A real SeaTunnel 2.3.8, read by the adapter and operated through the engine."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Action, NotSent, Sent, SourceSettings
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.extras import SeriesQuery, Standing
from adapters.model import ActionState, Health, Run, State, Verb
from adapters.seatunnel import SeaTunnelAdapter
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.real.seatunnel_server import SeaTunnel, seatunnel

pytestmark = pytest.mark.real
__all__ = ["seatunnel"]  # the fixture
REASON = "a test of the whole engine"
SECRET = "pa55-of-the-source"


def config(mode: str = "BATCH", rows: list[Any] | None = None) -> str:
    """Fake rows to the console; a streaming one reads one row a second."""
    source: dict[str, Any] = {
        "plugin_name": "FakeSource", "result_table_name": "fake", "password": SECRET,
        "schema": {"fields": {"name": "string", "age": "int"}},
    }  # fmt: skip
    if rows is not None:
        source["rows"] = [{"kind": "INSERT", "fields": row} for row in rows]
    elif mode == "BATCH":
        source["row.num"] = 50
    else:
        source |= {"row.num": 500, "split.num": 500, "split.read-interval": 500}
    env: dict[str, Any] = {"job.mode": mode, "parallelism": 1}
    if mode != "BATCH":  # 2.3.8 may say of a batch job that fails in the middle of a checkpoint that *that* failed
        env["checkpoint.interval"] = 1000
    return json.dumps(
        {"env": env, "source": [source], "sink": [{"plugin_name": "Console", "source_table_name": ["fake"]}]}
    )


@contextmanager
def watching(server: SeaTunnel, folder: Path, jobs: dict[str, str]) -> Iterator[Rig]:
    """``jobs``: name to configuration, in files beside the engine's own."""
    folder.mkdir()
    for name, text in jobs.items():
        (folder / f"{name}.json").write_text(text)
    table = ", ".join(f'"{name}" = "{name}.json"' for name in jobs)
    toml = f"""
[[source]]
name = "st"
kind = "seatunnel"
url = "{server.url}"
environment = "test"
protected = false
poll = "5s"
requests = "900/min"
options = {{ jobs = {{ {table} }} }}
"""
    with Rig(folder, toml) as rig:
        until(lambda: [s for s in rig.reader().sources() if s.name == "st" and s.health is Health.FRESH], 40)
        yield rig


def do(ask: Ask, verb: str, key: str, **more: Any) -> str:
    plan = ask("plan", verb=verb, key=key, **more)
    assert not plan["blocked"], plan["blocked"]
    assert SECRET not in json.dumps(plan)
    return str(ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason=REASON, typed="")["action"])


def done(rig: Rig, action: str) -> Any:
    def ended() -> Any:
        row = rig.reader().action(action)
        return row if row is not None and not row.state.in_flight else None

    row = until(ended, 90)
    assert row.state is ActionState.DONE, (row.state, row.words)
    return row


def state(rig: Rig, key: str) -> State | None:
    with rig.ask() as ask:
        ask("poll", source="st")
    detail = rig.reader().run(key)
    return detail.row.state if detail else None


def run_of(rig: Rig, name: str) -> Any:
    return next((r for r in rig.runs() if r.name == name), None)


def test_a_batch_job_is_started_once_and_a_broken_one_is_an_alert(seatunnel: SeaTunnel, tmp_path: Path) -> None:
    jobs = {"batch": config(), "broken": config(rows=[["a", 1], ["b", "no int"]])}
    with watching(seatunnel, tmp_path / uuid.uuid4().hex, jobs) as rig, rig.ask() as ask:
        until(
            lambda: {"batch", "broken"} <= {f.name for f in rig.reader().floor()}, 30
        )  # from their files: none has run
        done(rig, do(ask, "start", "st:batch"))
        key = until(lambda: (r := run_of(rig, "batch")) and r.key, 30)
        until(lambda: state(rig, key) is State.SUCCESS, 60, 1.0)
        native = key.rpartition("/")[2]
        found = seatunnel.job(native)
        assert (found["jobName"], found["jobStatus"]) == ("batch", "FINISHED")
        assert until(lambda: seatunnel.job(native)["metrics"].get("SinkWriteCount"), 30, 0.5) == "50"
        assert len([j for j in seatunnel.get("/finished-jobs") if j["jobName"] == "batch"]) == 1
        seatunnel.submit("broken", jobs["broken"])  # by somebody else
        until(lambda: (r := run_of(rig, "broken")) and state(rig, r.key) is State.FAILED, 60, 1.0)
        alerts = until(lambda: [a for a in rig.reader().alerts() if "broken" in a.key], 20)
        assert len(alerts) == 1
        row = until(lambda: next((f for f in rig.reader().floor() if f.name == "broken" and f.error), None), 30)
        assert 'For input string: "no int"' in row.error
        rig.stop()
        for file in (rig.folder / "state").rglob("*"):
            assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_a_streaming_job_is_held_released_and_stopped(seatunnel: SeaTunnel, tmp_path: Path) -> None:
    with watching(seatunnel, tmp_path / uuid.uuid4().hex, {"stream": config("STREAMING")}) as rig, rig.ask() as ask:
        native = seatunnel.submit("stream", (rig.folder / "stream.json").read_text())
        key = f"st:stream/{native}"
        until(lambda: state(rig, key) is State.RUNNING, 40, 1.0)

        def received() -> float:
            """Rows of the source so far; 0 while there are no metrics, as for a moment after each change."""
            return float(seatunnel.job(native)["metrics"].get("SourceReceivedCount", 0))

        until(lambda: received() > 4, 60, 0.5)

        def rate() -> Any:
            ask("poll", source="st")
            return next((s.value for s in rig.reader().series("st@stream") if s.value is not None), None)

        until(lambda: (rate() or 0.0) > 0.0, 60, 2.0)
        done(rig, do(ask, "hold", key))
        assert seatunnel.job(native)["jobStatus"] == "SAVEPOINT_DONE"
        until(lambda: state(rig, key) is State.HELD, 30, 1.0)
        rows = until(received, 30, 0.5)
        done(rig, do(ask, "release", key))
        found = seatunnel.job(native)
        assert (found["jobStatus"], found["isStartWithSavePoint"]) == ("RUNNING", True)
        until(lambda: state(rig, key) is State.RUNNING, 30, 1.0)
        until(lambda: received() > rows, 60, 0.5)  # goes on counting
        done(rig, do(ask, "stop", key))
        assert seatunnel.job(native)["jobStatus"] == "CANCELED"
        until(lambda: state(rig, key) is State.STOPPED, 30, 1.0)
        assert [a for a in rig.reader().alerts(open_only=False) if "stream" in a.key] == []
        assert [r.key for r in rig.runs() if r.name == "stream"] == [key], "one job, whatever was done to it"


async def test_what_the_interface_says_and_does_not(seatunnel: SeaTunnel, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(config())
    (tmp_path / "mine.conf").write_text('env { job.mode = "BATCH" }\n')
    options = {"jobs": {"mine, too": "mine.json", "hocon": "mine.conf"}}
    one = SeaTunnelAdapter(
        SourceSettings(name="st", kind="seatunnel", url=seatunnel.url, options=options, config_folder=tmp_path)
    )
    probe = await one.probe()
    assert probe.version == "2.3.8 (v1)"
    assert (probe.permissions["log"], probe.permissions["stop by force"]) == (False, False)
    (member,) = await one.items()
    assert (member.kind, member.standing) == ("component", Standing.FINE)
    assert "heap" in member.words

    start = await one.prepare(Action(verb=Verb.START, key="st:mine,%20too", client_id=uuid.uuid4().hex))
    sent = await one.send(start)
    assert isinstance(sent, Sent)
    assert sent.run is not None
    again = await one.send(start)
    assert isinstance(again, Sent), "SeaTunnel takes one job per id"
    for _ in range(300):
        run = await one.read(sent.run)
        assert isinstance(run, Run)
        if run.ended is not None:
            break
        await asyncio.sleep(0.2)
    late = await one.send(start)  # it has ended: 500 "has already been submitted"
    assert isinstance(late, Sent)
    assert len([j for j in seatunnel.get("/finished-jobs") if j["jobName"] == "mine, too"]) == 1
    steps = await one.steps(sent.run)
    assert [s.step for s in steps] == ["job", "Source[0]-FakeSource", "Sink[0]-Console-MultiTableSink"]
    chunk = await one.log(f"{sent.run}#job", 1, None)
    assert (chunk.data, chunk.end) == (b"", True)
    assert "no REST path for logs" in (chunk.note or "")

    stopped = Action(verb=Verb.STOP, key=sent.run, client_id="c")
    with pytest.raises(Conflict):
        await one.prepare(stopped)
    with pytest.raises(NotFound):
        await one.read("st:mine,%20too/123")
    with pytest.raises(Unsupported):
        await one.prepare(Action(verb=Verb.START, key="st:nobody", client_id="c"))
    refused = await one.send(await one.prepare(Action(verb=Verb.START, key="st:hocon", client_id=uuid.uuid4().hex)))
    assert isinstance(refused, NotSent), "before 2.3.9 it takes JSON only"
    assert "Invalid JSON" in refused.words
    wrong = await one.samples([SeriesQuery("x", "read.rows_s nobody")])
    assert "no job nobody is running" in wrong.failed["x"]
    await one.close()
