"""Bulk against a real engine with jobs of its own: what the list says is what the store, the world and the audit say."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState, Mode, Verb
from engine.ask import NoEngine
from engine.request import RequestError
from tests.engine.rig import Rig, until
from tests.tui.stores import painted
from tui.present.bulk import Stage
from tui.screens import bulk
from tui.screens.bulk import BulkView
from tui.screens.floor import FloorView
from tui.view import Context, Open, Request

JOBS = "\n".join(
    f'[[job]]\nname = "job_{i}"\nschedule = "0 0 1 1 *"\n[[job.step]]\nname = "a"\nrun = ["true"]\n' for i in range(4)
)


class Hand:
    """A person at a screen: carries the effects of a bulk to the engine and back."""

    def __init__(self, rig: Rig, context: Context) -> None:
        self.rig = rig
        self.floor = FloorView(context)
        self.floor.load()
        self.view: BulkView | None = None

    def open(self, action: str, keys: list[str]) -> BulkView:
        for key in keys:
            self.floor.cursor = key
            self.floor.act("list.mark")
        (effect,) = self.floor.act(action)
        assert isinstance(effect, Open)
        self.view = view = BulkView(self.floor.context, effect.arg)
        view.under = self.floor
        view.load()
        self.carry(view.begin())
        time.sleep(0.51)  # keys of the first half second are swallowed
        return view

    def carry(self, effects: Any) -> None:
        assert self.view is not None
        for effect in effects or ():
            if isinstance(effect, Request):
                try:
                    with self.rig.ask() as ask:
                        reply, error = ask(effect.do, **effect.body), None
                except NoEngine as gone:
                    reply, error = None, {"code": "no_engine", "message": str(gone), "hint": ""}
                except RequestError as no:
                    reply, error = None, {"code": no.code, "message": no.message, "hint": no.hint}
                self.carry(self.view.answer(effect.tag, reply, error))

    def type(self, text: str) -> None:
        assert self.view is not None
        for c in text:
            self.carry(self.view.type(c))

    def tick(self) -> bool:
        assert self.view is not None
        self.view.load()
        self.carry(self.view.go_on())
        return self.view.ended

    def confirm(self, phrase: str) -> None:
        assert self.view is not None
        self.type("the month end is moved")
        self.view.act("dialog.next")
        self.type(phrase)
        self.carry(self.view.act("dialog.confirm"))


def test_pause_and_resume_several_and_one_that_moved_is_void(tmp_path: Path) -> None:
    with Rig(tmp_path, JOBS) as rig:
        reader = rig.reader()
        until(lambda: len(reader.floor()) == 4)
        rig.polled("local")
        keys = sorted(r.key for r in reader.floor())
        context = Context(reader, lambda: time.time_ns() // 1_000_000, read_only=False)
        hand = Hand(rig, context)
        view = hand.open("pipeline.pause", keys)
        assert {r.stage for r in view.items} == {Stage.READY}, view.data()
        with rig.ask() as ask:  # somebody else is faster with one of them
            plan = ask("plan", verb="pause", key=keys[1])
            ask(
                "act",
                plan=plan["plan"],
                nonce=plan["nonce"],
                hash=plan["hash"],
                reason="it is mine to pause",
                typed=plan["needs"]["typed"],
            )
        until(lambda: (found := reader.pipeline(keys[1])) is not None and found.mode is Mode.PAUSED)
        hand.confirm("pause 4")
        until(hand.tick)
        assert [r.stage for r in view.items] == [Stage.DONE, Stage.VOID, Stage.DONE, Stage.DONE], view.data()
        until(lambda: all(r.mode is Mode.PAUSED for r in reader.floor()))
        done = [reader.action(r.action) for r in view.items if r.action]
        assert [a.state for a in done if a is not None] == [ActionState.DONE] * 3
        assert all(a is not None and a.reason == "the month end is moved · in bulk, typed pause 4" for a in done)
        assert "3 done" in "\n".join(painted(view, 80, 24))
        time.sleep(0.51)  # a key of the moment in which it ended is not taken for one that leaves
        view.act("dialog.cancel")
        assert list(hand.floor.marks.names) == [keys[1]]

        hand.floor.load()
        hand.floor.act("list.unmark")
        view = hand.open("pipeline.pause", keys)
        assert view.verb == Verb.RESUME.value
        hand.carry(view.act("dialog.confirm"))
        until(hand.tick)
        assert {r.stage for r in view.items} == {Stage.DONE}, view.data()
        until(lambda: all(r.mode is Mode.ACTIVE for r in reader.floor()))


def test_an_engine_that_is_killed_between_rows_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rig(tmp_path, JOBS) as rig:
        reader = rig.reader()
        until(lambda: len(reader.floor()) == 4)
        rig.polled("local")
        keys = sorted(r.key for r in reader.floor())
        context = Context(reader, lambda: time.time_ns() // 1_000_000, read_only=False)
        hand = Hand(rig, context)
        view = hand.open("pipeline.pause", keys)
        first = view.items[0]
        hand.confirm("pause 4")
        until(lambda: hand.tick() or first.stage is Stage.DONE)
        rig.kill()
        monkeypatch.setattr(bulk, "WAIT_MS", 500)
        until(lambda: hand.tick() or view.held)
        assert "no word of" in (view.held or "")
        lost = next(i for i, r in enumerate(view.items) if r.stage is Stage.LOST)
        rig.start()
        hand.carry(view.act("dialog.confirm"))
        until(hand.tick)
        assert {r.stage for r in view.items[lost:]} == {Stage.VOID}, view.data()
        # what was on its way when the engine died is not claimed to be done before it was asked for
        taken = view.items[:lost]
        assert {r.stage for r in taken} <= {Stage.DONE, Stage.UNKNOWN, Stage.FAILED}, view.data()
        rig.polled("local")
        for row in view.items:
            found = reader.pipeline(row.key)
            assert found is not None
            if row.stage in (Stage.DONE, Stage.VOID):
                assert (found.mode is Mode.PAUSED) == (row.stage is Stage.DONE), view.data()
        rows = [r.key for r in reader.actions() if r.verb == "pause"]
        assert sorted(rows) == keys[:lost], "no pipeline twice, and none that the list calls void"
