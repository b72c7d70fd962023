"""The sender itself: real Apprise in its own process against a real receiver."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.model import State
from engine.notify import Notifier
from engine.notify.channels import Channels, where
from engine.store.outbox import Post
from tests.alerts.conftest import Receiver
from tests.alerts.floor import MINUTE, Floor

TOKEN = "s3cr3t-t0ken-9f8e7d"


@pytest.fixture
async def channels() -> AsyncIterator[Channels]:
    made = Channels()
    yield made
    await made.close()


async def test_it_arrives_with_title_body_and_type(channels: Channels, receiver: Receiver) -> None:
    outcome = await channels.send(receiver.url(), "[HIGH] a <b>", "one\ntwo \\n `x`", "failure")
    assert outcome.ok
    assert outcome.words == f"json://127.0.0.1:{receiver.port} took it"
    (got,) = receiver.bodies
    assert (got["title"], got["message"], got["type"]) == ("[HIGH] a <b>", "one\ntwo \\n `x`", "failure")


@pytest.mark.parametrize(("code", "lasting"), [(401, True), (404, True), (429, False), (500, False), (503, False)])
async def test_refusals_carry_their_number(channels: Channels, receiver: Receiver, code: int, lasting: bool) -> None:
    outcome = await channels.send(receiver.url(f"fail/{code}/{TOKEN}"), "t", "b", "info")
    assert not outcome.ok
    assert outcome.parts[0].code == code
    assert outcome.lasting is lasting
    assert not outcome.unsure
    assert str(code) in outcome.words
    assert TOKEN not in outcome.words


async def test_several_in_one_process_parts_apart_and_invalid_ones_told(channels: Channels, receiver: Receiver) -> None:
    both = await channels.send(f"{receiver.url('fail/500')}, {receiver.url()}", "t", "b", "info")
    assert [part.status for part in both.parts] == ["refused", "ok"]
    assert both.done == {1}
    assert not both.ok
    pid = channels.pid
    again = await channels.send(f"{receiver.url('fail/500')}, {receiver.url()}", "t", "b", "info", skip=both.done)
    assert [part.status for part in again.parts] == ["refused", "ok"]
    assert len(receiver.bodies) == 3  # the part that took it was left alone
    optional = await channels.send(receiver.url("fail/500", "?optional=yes"), "t", "b", "info")
    assert not optional.ok
    assert optional.lasting
    assert "optional=yes" in optional.words
    unknown = await channels.send(f"nosuch://{TOKEN}@host/{TOKEN}", "t", "b", "info")
    assert not unknown.ok
    assert unknown.lasting
    assert TOKEN not in repr(unknown)
    nothing = await channels.send("rubbish", "t", "b", "info")
    assert not nothing.ok
    assert len(receiver.bodies) == 3
    assert channels.pid == pid


async def test_nobody_listens(channels: Channels) -> None:
    outcome = await channels.send("json://127.0.0.1:1/", "t", "b", "info")
    assert not outcome.ok
    assert not outcome.lasting
    assert outcome.words == "json://127.0.0.1:1 could not be reached or did not take it"


async def test_a_hanging_receiver_is_a_timeout_that_may_have_arrived_and_the_loop_goes_on(receiver: Receiver) -> None:
    channels = Channels(limit_s=3.0)
    ticks = 0

    async def count() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    task = asyncio.create_task(count())
    try:
        outcome = await channels.send(receiver.url("hang"), "t", "b", "info")
        assert outcome.unsure
        assert not outcome.ok
        assert ticks > 30
        assert len(receiver.bodies) == 1
        assert (await channels.send(receiver.url(), "t", "b", "info")).ok
    finally:
        task.cancel()
        await channels.close()


async def test_a_read_limit_of_apprise_is_no_refusal(channels: Channels, receiver: Receiver) -> None:
    outcome = await channels.send(receiver.url("hang", "?rto=2.2"), "t", "b", "info")
    assert outcome.unsure
    assert outcome.words.endswith("did not answer in time; it may have arrived")
    assert len(receiver.bodies) == 1


async def test_a_sender_that_does_not_answer_is_killed_and_the_next_one_works(receiver: Receiver) -> None:
    channels = Channels(limit_s=3.0)
    try:
        assert (await channels.send(receiver.url(), "t", "b", "info")).ok
        stuck = channels.pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        channels.limit_s = 0.5
        lost = await channels.send(receiver.url(), "t", "b", "info")
        assert lost.unsure
        assert not Path(f"/proc/{stuck}").exists()
        channels.limit_s = 20.0
        assert (await channels.send(receiver.url(), "t", "b", "info")).ok
        dead = channels.pid
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        assert (await channels.send(receiver.url(), "t", "b", "info")).parts  # whatever it was, an outcome
        assert (await channels.send(receiver.url(), "t", "b", "info")).ok
    finally:
        await channels.close()


async def test_quiet_sender_is_let_go(receiver: Receiver) -> None:
    channels = Channels(quiet_s=0.0)
    assert (await channels.send(receiver.url(), "t", "b", "info")).ok
    pid = channels.pid
    await channels.rest()
    assert channels.pid is None
    assert not Path(f"/proc/{pid}").exists()


async def test_the_address_is_nowhere_to_be_seen(tmp_path: Path, receiver: Receiver) -> None:
    """Not in the sender's argv or environment, the store, the log; whatever the receiver answers."""
    url = receiver.url(f"fail/500/{TOKEN}", f"?+Authorization=Bearer%20{TOKEN}")
    floor = Floor(
        tmp_path,
        urls={"ana": url, "ben": f"slack://{TOKEN}/{TOKEN}/{TOKEN}", "eve": f"nosuch://{TOKEN}"},
        to=("ana", "ben", "eve"),
    )
    floor.clock.forward(MINUTE)
    notifier = Notifier(floor.ctx)
    floor.poll(floor.run(State.FAILED, error="x"))
    await notifier.turn()
    seen = b""
    while notifier._under_way:
        pid = notifier.channels.pid
        if pid is not None and Path(f"/proc/{pid}").exists():
            seen += Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        await asyncio.sleep(0.01)
    assert b"channels.py" in seen
    assert TOKEN.encode() not in seen
    assert {state for _, _, state in floor.letters} == {Post.PENDING}
    assert any(TOKEN in message["path"] for message in receiver.messages)
    wal = b"".join(path.read_bytes() for path in tmp_path.glob("floor.db*"))
    assert b"daily failed" in wal
    assert TOKEN.encode() not in wal
    assert TOKEN not in "\n".join(floor.lines)
    assert TOKEN not in repr(floor.config) + repr(notifier) + repr(floor.all("SELECT * FROM delivery"))
    await notifier.close()
    floor.close()
    assert TOKEN.encode() not in (tmp_path / "floor.db").read_bytes()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("json://user:pw@127.0.0.1:80/tok?x=1", "json://127.0.0.1:80"),
        ("jsons://[::1]:443/tok", "jsons://[::1]:443"),
        ("slack://TokA/TokB/TokC", "slack://…"),
        ("discord://id/token", "discord://…"),
        ("mailto://u:p@mail.example?to=x", "mailto://mail.example"),
        ("ntfy://topic", "ntfy://…"),
        ("json://us:p@ss@word@host/", "json://host"),
        ("json://us:p/ss@host/", "json://…"),
        ("tok tok", "an address without a kind"),
    ],
)
def test_of_an_address_only_kind_and_true_host_are_shown(url: str, shown: str) -> None:
    assert where(url) == shown


def test_the_engine_does_not_load_apprise() -> None:
    code = "import sys, engine.alerts, engine.notify, engine.notify.test; print(sorted(m for m in sys.modules if m.split('.')[0] in ('apprise', 'requests', 'httpx', 'textual')))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


async def test_a_planted_engine_package_cannot_get_in_the_way(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('planted')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    channels = Channels()
    try:
        assert (await channels.send(receiver.url(), "t", "b", "info")).ok
    finally:
        await channels.close()
