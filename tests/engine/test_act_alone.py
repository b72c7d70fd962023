"""``watchfloor act`` whose engine is killed under it: it says so and ends, it does not wait for ever."""

from __future__ import annotations

import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState
from engine import commands_act, commands_bulk
from engine.clock import Clock
from engine.config.paths import Places, places
from engine.leader import Leader
from engine.request import EXIT_UNKNOWN
from engine.store import actions as rows
from engine.store.actions import ActionRecord
from engine.store.reader import Reader
from engine.store.writer import Store


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A store with an action whose call was being made when its engine was killed."""
    (tmp_path / "w.toml").write_text('[store]\npath = "floor.db"\n')
    place = places(tmp_path / "w.toml")
    place.prepare()
    store = Store.open(place.store, Clock())
    with store.transaction() as tx:
        rows.insert(
            tx,
            ActionRecord(
                id="A1", nonce="n", verb="pause", key="a:p", pipeline_key="a:p", scope="a:p", environment="prod",
                state=ActionState.EXECUTING, words="ana asked for pause", client_id="c", plan_hash="h", plan="{}", prepared="{}",
                reason=None, who="ana", uid=1, created=tx.now, changed=tx.now, before="{}", attempt=0, seen_attempt=0,
            ),
        )  # fmt: skip
    store.close()
    monkeypatch.setattr(commands_act, "GONE_S", 0.3)
    return place


def follow(place: Places) -> tuple[threading.Thread, list[Any]]:
    args, came = Namespace(config=str(place.store.with_name("w.toml")), system=False, format="text"), []
    thread = threading.Thread(target=lambda: came.append(commands_act._follow(args, "A1")), daemon=True)
    thread.start()
    return thread, came


def test_it_ends_when_nobody_is_there_to_tell(where: Places, capsys: pytest.CaptureFixture[str]) -> None:
    thread, came = follow(where)
    thread.join(10)
    assert came == [EXIT_UNKNOWN]
    assert "the engine is gone and nobody knows what became of it" in capsys.readouterr().err


def test_it_waits_while_an_engine_is_there(where: Places) -> None:
    leader = Leader(where.lock)
    assert leader.try_lock()
    thread, came = follow(where)
    thread.join(1.0)
    assert came == []
    leader.close()
    thread.join(10)
    assert came == [EXIT_UNKNOWN]


def test_a_bulk_ends_too(where: Places) -> None:
    args = Namespace(config=str(where.store.with_name("w.toml")), system=False, arm=False)
    reader = Reader(where.store)
    plan = {"plan": "p", "nonce": "n", "hash": "h", "needs": {}, "environment": "prod"}
    try:
        done, words, lost = commands_bulk._one(lambda do, **body: {"action": "A1"}, args, reader, plan, "")
    finally:
        reader.close()
    assert (done, lost) == (False, True)
    assert "the engine is gone" in words
