"""A real Kafka Connect (one distributed worker, one broker), read by the adapter and operated through the engine.

What happened is asked of Kafka Connect with the test's own plain client, and of the files that its connectors read and write.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, BadResponse, NotFound
from adapters.kafka_connect import KafkaConnectAdapter
from adapters.model import ActionState, Health, Mode, Run, State, pipeline_key, run_key
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.real.connect_stand import DELAY_S, PASSWORD, USER, Worker, libraries
from tests.real.kafka_stand import VERSION, Broker
from tests.servers.kafka_connect_like import KafkaConnectLike

pytestmark = pytest.mark.real
NAME = "real"
REASON = "a test of the whole engine"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("connect")
    with (
        Broker(folder / "broker", libraries=libraries(), config={"auto.create.topics.enable": "true"}) as broker,
        Worker(folder / "worker", broker) as running,
    ):
        yield running


def adapter(worker: Worker, password: str = PASSWORD) -> KafkaConnectAdapter:
    return KafkaConnectAdapter(
        SourceSettings(
            name=NAME,
            kind="kafka_connect",
            url=worker.url,
            auth={"user": USER, "password": Secret(lambda: password, "env:T")},
        )
    )


@contextlib.contextmanager
def watching(worker: Worker, folder: Path) -> Iterator[Rig]:
    (folder / "secret").write_text(PASSWORD)
    (folder / "secret").chmod(0o600)
    toml = (
        f'[[source]]\nname = "{NAME}"\nkind = "kafka_connect"\nurl = "{worker.url}"\nenvironment = "test"\nprotected = false\n'
        f'poll = "5s"\nrequests = "900/min"\nauth = {{ user = "{USER}", password = {{ file = "secret" }} }}\n'
    )
    with Rig(folder, toml) as rig:
        yield rig


def source(worker: Worker, folder: Path, *, topic: str = "lines") -> str:
    """A connector that reads a file; running."""
    name = f"from file {uuid.uuid4().hex[:6]}"
    (folder / "in.txt").write_text("one\ntwo\n")
    worker.put(
        name,
        {"connector.class": "FileStreamSource", "tasks.max": "1", "file": str(folder / "in.txt"), "topic": topic,
         "some.password": "s3cr3t-of-the-config"},
    )  # fmt: skip
    until(lambda: worker.states(name) == ("RUNNING", ["RUNNING"]), 60, 0.2)
    return name


def key_of(name: str, life: int = 0) -> str:
    key = pipeline_key(NAME, name)
    return run_key(key, f"life-{life}") if life else key


def state(rig: Rig, key: str) -> State | None:
    detail = rig.reader().run(key)
    return detail.row.state if detail else None


def do(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    return str(ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason=REASON, typed="")["action"])


def done(rig: Rig, action: str, seconds: float = 90) -> Any:
    def ended() -> Any:
        row = rig.reader().action(action)
        return row if row is not None and not row.state.in_flight else None

    row = until(ended, seconds)
    assert row.state is ActionState.DONE, (row.state, row.words)
    return row


async def test_it_is_as_the_test_server_says(worker: Worker, tmp_path: Path) -> None:
    """The facts that the adapter builds on, and the shapes that our own server copies."""
    one = adapter(worker)
    probe = await one.probe()
    assert probe.version == VERSION
    assert probe.server_time is not None
    assert probe.warnings == ()
    assert one.caps.can("stop"), "GET of /stop is 405"
    wrong = adapter(worker, "no")
    with pytest.raises(AuthFailed):
        await wrong.probe()
    await wrong.close()
    name = source(worker, tmp_path)
    listing = await one.pipelines()
    pipeline = next(p for p in listing.items if p.name == name)
    assert "FileStreamSource" in (pipeline.description or "")
    assert "some.password" in (pipeline.description or "")
    assert "s3cr3t" not in repr(listing)
    assert await one.read(pipeline.key) == pipeline
    run = await one.read(key_of(name, 1))
    assert isinstance(run, Run)
    assert (run.state, run.native, run.sub) == (State.RUNNING, "RUNNING", None)
    assert [(s.step, s.state) for s in await one.steps(run.key)] == [
        ("connector", State.RUNNING),
        ("task-0", State.RUNNING),
    ]
    assert len(await one.items()) == 1
    with pytest.raises(NotFound, match="not found"):
        await one.read(key_of("nobody"))
    with pytest.raises((NotFound, BadResponse)):  # Jetty 12 takes no slash in a name
        await one.read(key_of("no/body"))
    page = await one.runs(None)
    worker.ask("DELETE", f"/connectors/{name.replace(' ', '%20')}")
    until(lambda: worker.states(name) == ("", []), 30, 0.2)
    page = await one.runs(page.cursor)
    assert [(r.native, r.state) for r in page.runs if r.key == run.key] == [("deleted", State.STOPPED)]
    await one.close()


def shape(value: Any) -> Any:
    """Names and types of an answer; of a list the first one's."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    return [shape(v) for v in value[:1]] if isinstance(value, list) else type(value).__name__


def within(ours: Any, real: Any) -> bool:
    """Whether the real answer has all that ours has; it may have more."""
    if isinstance(ours, dict) and isinstance(real, dict):
        return all(k in real and within(v, real[k]) for k, v in ours.items())
    if isinstance(ours, list) and isinstance(real, list):
        return not ours or (bool(real) and within(ours[0], real[0]))
    return bool(ours == real)


def test_the_test_server_answers_in_the_same_shapes(worker: Worker, tmp_path: Path) -> None:
    name = source(worker, tmp_path)
    with KafkaConnectLike(user=USER, password=PASSWORD) as like:
        made = like.state.add(name, tasks=1, kind="source")
        made.config = dict.fromkeys(("name", "connector.class", "tasks.max", "topic"), "x")

        def asked(base: str, method: str, path: str) -> tuple[int, Any]:
            pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            request = urllib.request.Request(base + path, method=method, headers={"Authorization": f"Basic {pair}"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as no:
                status, body = no.code, no.read()
            return status, json.loads(body) if body else None

        at = f"/connectors/{name.replace(' ', '%20')}"
        for method, path in (
            ("GET", "/"), ("GET", "/connectors"), ("GET", "/connectors?expand=status&expand=info"), ("GET", at), ("GET", f"{at}/status"),
            ("GET", "/connectors/nobody"), ("GET", "/connectors/nobody/status"), ("GET", "/connectors/nobody/stop"),
            ("PUT", "/connectors/nobody/pause"), ("POST", f"{at}/restart?includeTasks=true&onlyFailed=true"), ("POST", f"{at}/restart"),
            ("POST", f"{at}/tasks/0/restart"), ("PUT", f"{at}/pause"), ("PUT", f"{at}/resume"), ("PUT", f"{at}/stop"),
        ):  # fmt: skip
            ours, real = asked(like.url, method, path), asked(worker.url, method, path)
            assert ours[0] == real[0], (method, path, ours, real)
            assert within(shape(ours[1]), shape(real[1])), (method, path, ours, real)
        assert like.invented == []


def test_a_task_that_cannot_write_is_an_alert_and_is_restarted(worker: Worker, tmp_path: Path) -> None:
    name, out = f"to file {uuid.uuid4().hex[:6]}", tmp_path / "missing" / "out.txt"
    reads = source(worker, tmp_path, topic="written")
    with watching(worker, tmp_path) as rig, rig.ask() as ask:
        until(lambda: state(rig, key_of(reads, 1)) is State.RUNNING, 30)
        worker.put(name, {"connector.class": "FileStreamSink", "tasks.max": "1", "file": str(out), "topics": "written"})
        until(lambda: worker.states(name) == ("RUNNING", ["FAILED"]), 60, 0.2)
        ask("poll", source=NAME)
        key = key_of(name, 1)
        until(lambda: state(rig, key) is State.FAILED, 30)
        row = until(
            lambda: [f for f in rig.reader().floor() if f.key == key_of(name) and "task-0: " in (f.error or "")], 30
        )
        assert "NoSuchFileException" in (row[0].error or "")
        alerts = until(lambda: [a for a in rig.reader().alerts() if name in a.title or a.key == key_of(name)])
        assert len(alerts) == 1
        detail = rig.reader().run(key)
        assert detail is not None
        log = next(g for g in detail.logs if g.step == "task-0")
        assert "Couldn't find or create file" in Path(log.path).read_text()

        out.parent.mkdir()
        done(rig, do(ask, "rerun-failed", key))
        assert worker.states(name) == ("RUNNING", ["RUNNING"])
        until(lambda: out.exists() and out.read_text() == "one\ntwo\n", 30)
        ask("poll", source=NAME)
        until(lambda: state(rig, key) is State.RUNNING, 30)
        until(lambda: not [a for a in rig.reader().alerts() if a.key == key_of(name)], 30)


def carried(worker: Worker) -> dict[str, str]:
    """Connectors by the worker that has their task."""
    found = worker.ask("GET", "/connectors?expand=status")
    return {n: t["worker_id"] for n, e in found.items() for t in e["status"]["tasks"]}


async def test_what_a_worker_carried_waits_when_it_leaves_and_goes_on_elsewhere(worker: Worker, tmp_path: Path) -> None:
    for part in ("a", "b", "c"):
        (tmp_path / part).mkdir()
    mine = {source(worker, tmp_path / part) for part in ("a", "b")}
    halted = source(worker, tmp_path / "c")
    worker.ask("PUT", f"/connectors/{halted.replace(' ', '%20')}/stop")
    until(lambda: worker.states(halted) == ("STOPPED", []), 30, 0.2)
    one = adapter(worker)
    second = Worker(tmp_path / "second", worker.broker)
    with second:
        until(lambda: f"127.0.0.1:{second.port}" in carried(worker).values(), 120, 0.2)
        until(lambda: all(worker.states(n) == ("RUNNING", ["RUNNING"]) for n in mine), 60, 0.2)
        parts = {i.name: i.words for i in await one.items()}
        assert set(parts) == {f"127.0.0.1:{w.port}" for w in (worker, second)}
        moved = {n for n, at in carried(worker).items() if at == f"127.0.0.1:{second.port}"}
        page = await one.runs(None)
        second.leave()
        waiting: dict[str, Run] = {}
        told = time.monotonic() + DELAY_S
        while not {key_of(n, 1) for n in moved} & waiting.keys() and time.monotonic() < told:
            page = await one.runs(page.cursor)
            assert next(r.state for r in page.runs if r.key == key_of(halted, 1)) is State.HELD, "whoever has it now"
            waiting = {r.key: r for r in page.runs if r.state is State.QUEUED}
            await asyncio.sleep(0.2)
        assert {key_of(n, 1) for n in moved} & waiting.keys(), [(r.key, r.native, r.sub) for r in page.runs]
        assert all("UNASSIGNED" in f"{r.native} {r.sub}" for r in waiting.values()), waiting
    # a connector whose task stayed may have lost its own place: every one that waited must go on, not the moved alone
    asleep, told = set(waiting), time.monotonic() + 60 + 2 * DELAY_S
    while asleep and time.monotonic() < told:
        page = await one.runs(page.cursor)
        asleep -= {r.key for r in page.runs if r.state is State.RUNNING}
        await asyncio.sleep(0.5)
    assert {r.key for r in page.runs if r.key.startswith(key_of(halted))} == {key_of(halted, 1)}
    assert not asleep, ([(r.key, r.native, r.sub) for r in page.runs], carried(worker))
    until(lambda: all(worker.states(n) == ("RUNNING", ["RUNNING"]) for n in moved), 30, 0.2)
    await one.close()


def test_pause_resume_stop_start_and_a_worker_that_dies(worker: Worker, tmp_path: Path) -> None:
    name = source(worker, tmp_path)
    key = key_of(name)
    with watching(worker, tmp_path) as rig, rig.ask() as ask:
        until(lambda: state(rig, f"{key}/life-1") is State.RUNNING, 30)
        done(rig, do(ask, "pause", key))
        assert worker.states(name) == ("PAUSED", ["PAUSED"])
        ask("poll", source=NAME)
        until(lambda: next(f.mode for f in rig.reader().floor() if f.key == key) is Mode.PAUSED, 30)
        until(lambda: state(rig, f"{key}/life-1") is State.HELD, 30)
        done(rig, do(ask, "resume", key))
        assert worker.states(name) == ("RUNNING", ["RUNNING"])
        done(rig, do(ask, "stop", f"{key}/life-1"))
        assert worker.states(name) == ("STOPPED", [])
        ask("poll", source=NAME)
        until(lambda: rig.reader().run(f"{key}/life-1").row.native == "STOPPED", 30)  # type: ignore[union-attr]
        done(rig, do(ask, "start", key))
        assert worker.states(name) == ("RUNNING", ["RUNNING"])
        ask("poll", source=NAME)
        until(lambda: state(rig, f"{key}/life-2") is State.RUNNING, 30)
        until(lambda: state(rig, f"{key}/life-1") is State.STOPPED, 30)
        worker.kill()
        with pytest.raises(urllib.error.URLError):
            worker.ask("GET", "/")
        ask("poll", source=NAME)
        until(lambda: rig.reader().sources()[0].health is Health.UNREACHABLE, 30)
        assert state(rig, f"{key}/life-2") is State.RUNNING, "as it was last seen"
        worker.start()
        until(lambda: rig.reader().sources()[0].health is Health.FRESH, 120)
        until(lambda: worker.states(name) == ("RUNNING", ["RUNNING"]), 60 + 2 * DELAY_S, 0.2)
        assert state(rig, f"{key}/life-2") in (State.RUNNING, State.QUEUED)
