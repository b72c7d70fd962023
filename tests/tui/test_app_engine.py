"""The app and the engine: requests over its socket, how it is started."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.request import PROTOCOL, SCHEMA, RequestError, decode, encode
from tests.tui.app_parts import ROOT, place, screen, until
from tests.tui.demo_app import DemoView, build
from tui import start
from tui.client import Client, NoEngine


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("THEME", "dark")
    monkeypatch.delenv("NO_COLOR", raising=False)
    (tmp_path / "value").write_text("one")
    app = build(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        app.pilot = pilot
        await pilot.pause()
        yield app


# --- requests -----------------------------------------------------------------------------------------------------------


class Engine:
    """A socket that answers as told; ``seen`` are the requests."""

    def __init__(self, folder: Path, **hello: Any) -> None:
        self.path = folder / "engine.sock"
        self.store = folder / "floor.db"
        self.hello = {"protocol": PROTOCOL, "schema": SCHEMA, "pid": 4711, "store": str(self.store), **hello}
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    async def open(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        self.server = await asyncio.start_unix_server(self._serve, f"/proc/self/fd/{folder}/{self.path.name}")
        os.close(folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            message = decode(line)
            self.seen.append(message)
            if message["do"] == "hello":
                writer.write(encode({"id": message["id"], "ok": self.hello}))
                continue
            answer = self.answers.get(message["do"], {"ok": {}})
            if answer == "close":
                break
            if answer == "silent":
                continue
            writer.write(encode({"id": message["id"], **answer}))
        writer.close()

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path)
    await engine.open()
    yield engine
    await engine.close()


async def test_requests_and_answers_by_number(engine: Engine) -> None:
    client = Client(engine.path, engine.store)
    engine.answers = {
        "status": {"ok": {"pid": 1}},
        "stop": {"error": {"code": "refused", "message": "no", "hint": "ask"}},
    }
    assert await client.ask("status") == {"pid": 1}
    with pytest.raises(RequestError) as caught:
        await client.ask("stop")
    assert (caught.value.code, caught.value.message, caught.value.hint, caught.value.exit_code) == (
        "refused",
        "no",
        "ask",
        3,
    )
    both = await asyncio.gather(client.ask("status"), client.ask("watch", {"run": "a:b/c"}))
    assert both == [{"pid": 1}, {}]
    assert engine.seen[-1]["run"] == "a:b/c"
    assert [m["do"] for m in engine.seen].count("hello") == 1, "one conversation"
    await client.close()


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (
            {"protocol": PROTOCOL + 1},
            f"engine 4711 speaks protocol {PROTOCOL + 1}, this screen {PROTOCOL}: restart this screen",
        ),
        ({"schema": 0}, f"engine 4711 speaks store schema 0, this screen {SCHEMA}: restart the engine"),
        ({"store": "/elsewhere/floor.db"}, "watches another store (/elsewhere/floor.db)"),
    ],
)
async def test_an_engine_that_does_not_fit_is_one_sentence(tmp_path: Path, hello: dict[str, Any], words: str) -> None:
    engine = Engine(tmp_path, **hello)
    await engine.open()
    client = Client(engine.path, engine.store)
    with pytest.raises(NoEngine, match="engine 4711") as caught:
        await client.ask("status")
    assert words in str(caught.value)
    await client.close()
    await engine.close()


async def test_no_engine_a_lost_one_and_a_new_one(engine: Engine, tmp_path: Path) -> None:
    nobody = Client(tmp_path / "nobody.sock", engine.store)
    with pytest.raises(NoEngine, match="no engine is running"):
        await nobody.ask("status")
    client = Client(engine.path, engine.store)
    engine.answers = {"act": "close"}
    with pytest.raises(NoEngine, match="went away before it answered"):
        await client.ask("act")
    assert [m["do"] for m in engine.seen].count("act") == 1, "an act is never sent twice"
    engine.answers = {}
    assert await client.ask("status") == {}, "the next request connects anew"
    await engine.close()
    await until(lambda: not client.connected)
    later = Engine(tmp_path)

    async def start_later() -> None:
        await asyncio.sleep(0.2)
        await later.open()

    task = asyncio.create_task(start_later())
    assert await client.ask("status", patience=5.0) == {}
    await task
    await client.close()
    await later.close()


async def test_a_long_path_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    engine = Engine(deep)
    await engine.open()
    client = Client(engine.path, engine.store)
    assert await client.ask("status") == {}
    await client.close()
    await engine.close()


async def test_an_answer_comes_to_the_view_that_asked_if_it_is_still_there(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("one")
    engine.answers = {"plan": {"ok": {"plan": "P1"}}}
    app = build(tmp_path, place=place(tmp_path))
    async with app.run_test(size=(100, 30)) as pilot:
        view = app.stack[-1].view
        app._do(view.act("run.rerun"))
        await until(lambda: bool(view.answers))
        assert view.answers == [("tag", {"plan": "P1"}, None)]
        await pilot.pause()
        assert "answer tag" in screen(app)
        await pilot.press("enter")
        other = app.stack[-1].view
        engine.answers = {"plan": {"error": {"code": "refused", "message": "not armed", "hint": "press A"}}}
        app._do(other.act("run.rerun"))
        await until(lambda: bool(other.answers))
        assert other.answers == [("tag", None, {"code": "refused", "message": "not armed", "hint": "press A"})]
        engine.answers = {"plan": "silent"}
        app._do(other.act("run.rerun"))
        await pilot.press("escape")
        assert len(other.answers) == 1


async def test_what_is_looked_at_is_told_again_and_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DemoView, "watch", lambda self: {"run": "a:b/c"})
    monkeypatch.setattr("tui.app.WATCH_EVERY", 0.2)
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    app = build(tmp_path, place=place(tmp_path))
    async with app.run_test(size=(80, 24)):
        await until(lambda: [m["do"] for m in engine.seen].count("watch") >= 2)
        assert {"run": "a:b/c"}.items() <= engine.seen[-1].items()
    os.close(lock)


async def test_the_engine_is_silent_when_its_lock_is_free_or_its_pulse_a_minute_old(tmp_path: Path) -> None:
    from dataclasses import dataclass

    @dataclass
    class Row:
        heartbeat: int
        stopped: int | None = None
        pid: int = 1

    app = build(tmp_path, place=place(tmp_path))
    now = app.context.now()
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    app.context.reader.engine = lambda: Row(now)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, now)
    fcntl.flock(lock, fcntl.LOCK_EX)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (True, None)
    app.context.reader.engine = lambda: Row(now - 61_000)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, now - 61_000)
    os.close(lock)
    app.context.reader.engine = lambda: Row(now - 1000, now - 500)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, None), "it said goodbye"


# --- starting an engine -------------------------------------------------------------------------------------------------


PLANTED = "import pathlib; pathlib.Path({mark!r}).write_text('planted ran')"


def test_a_planted_engine_never_runs(tmp_path: Path) -> None:
    """Neither from the current folder nor from PYTHONPATH, whatever that holds."""
    mark = tmp_path / "mark"
    for folder in ("here", "there"):
        package = tmp_path / folder / "engine"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(PLANTED.format(mark=str(mark)))
        (package / "main.py").write_text(PLANTED.format(mark=str(mark)))
    where = place(tmp_path)
    argv = start.command(where)
    assert argv[:2] == [sys.executable, "-P"]
    env = start.environment({**os.environ, "PYTHONPATH": f"{tmp_path / 'there'}::.:{ROOT}"})
    assert env.get("PYTHONPATH") == str(ROOT)
    env["PYTHONPATH"] = str(tmp_path / "there")  # even if it had got through
    code = argv[argv.index("-c") + 1].replace(
        "from engine.main import main; sys.exit(main(sys.argv[1:]))", "import engine; print(engine.__file__, sys.argv)"
    )
    done = subprocess.run(
        [*argv[:2], "-c", code, *argv[4:]],
        cwd=tmp_path / "here",
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.startswith(str(ROOT / "engine" / "__init__.py"))
    assert "--auto" in done.stdout
    assert start.root() not in done.stdout.split("[", 1)[1], "the folder is not an argument of the engine"
    assert not mark.exists()


def test_at_most_one_engine_a_second_and_none_beside_a_running_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_last_start", float("-inf"))
    monkeypatch.setattr(
        start,
        "command",
        lambda place, **more: [
            sys.executable,
            "-c",
            "import os, sys; print(os.getsid(0) == os.getpid(), os.getcwd(), sys.stdin.read())",
        ],
    )
    where = place(tmp_path)
    object.__setattr__(where, "engine_log", tmp_path / "engine.log")
    object.__setattr__(where, "state", tmp_path)
    assert start.start_engine(where)
    assert not start.start_engine(where)
    assert start._children[-1].wait(10) == 0
    assert (tmp_path / "engine.log").read_text() == "True / \n", "own session, folder /, nothing on stdin"
    assert oct((tmp_path / "engine.log").stat().st_mode)[-3:] == "600"
    monkeypatch.setattr(start, "_last_start", float("-inf"))
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert not start.start_engine(where)
    os.close(lock)


def test_nothing_slow_is_imported_before_the_first_frame(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.tui import demo_app; from pathlib import Path; import tui.launch, tui.wall;"
        "app = demo_app.build(Path(sys.argv[1]));"
        "bad = [m for m in ('httpx', 'apprise', 'sqlite_utils', 'msgspec', 'psutil', 'subprocess', 'engine.main') if m in sys.modules];"
        "print(bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    found = done.stdout.strip()
    assert found in ("[]", "['subprocess']"), "textual itself may bring subprocess"
