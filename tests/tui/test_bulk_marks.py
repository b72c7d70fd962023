"""Marks: what is marked, what stays marked, and what keys then are for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Mode, State
from tests.tui.bulk_parts import PROD, floor, opened
from tests.tui.stores import MINUTE, House, painted, story
from tui.screens.runs import RunsView
from tui.view import Open, Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[House]:
    """Four running pipelines of a protected source, two of an open one."""
    h = House(tmp_path)
    h.engine()
    h.source("prod-af", color="red")
    h.source("lab", environment="lab", protected=False)
    for source, n in (("prod-af", 4), ("lab", 2)):
        for i in range(n):
            h.pipeline(source, f"p{i}")
            h.run(source, f"p{i}", "r", State.RUNNING, started_ago=MINUTE)
    yield h
    h.close()


def test_marks_stay_on_their_keys_where_rows_move_and_a_filter_hides_them(house: House) -> None:
    view = floor(house)
    first = view.here
    assert first is not None
    view.act("list.mark")
    assert view.here is not first, "the cursor goes on to the next"
    view.act("list.mark")
    lines = painted(view, 120, 40)
    assert len([line for line in lines if line.startswith("●")]) == 2
    assert "2 marked" in "\n".join(lines)
    view.set_filter(f"name:{first.name}")
    assert "2 marked, 1 hidden by the filter" in "\n".join(painted(view, 120, 40))
    view.set_filter("is:marked")
    assert len(view.keys) == 2
    view.act("move.top")
    view.act("list.mark")
    assert len(view.keys) == 1, "what is no longer marked is no longer among the marked"
    view.set_filter("")
    view.act("list.unmark")
    assert "marked" not in "\n".join(painted(view, 120, 40))
    assert not any(line.startswith("●") for line in painted(view, 120, 40))


def test_a_range_goes_from_the_last_mark_to_here(house: House) -> None:
    view = floor(house)
    view.act("move.bottom")
    for _ in range(4):
        view.act("move.up")
    view.act("list.mark")
    for _ in range(2):
        view.act("move.down")
    view.act("list.mark_range")
    assert list(view.marks.names) == view.keys[-5:-1]


def test_a_blind_source_cannot_be_marked(house: House) -> None:
    view = floor(house)
    view.cursor = "source:dataiku"
    assert view.act("list.mark") == (Say("this row cannot be marked: marks are for pipelines"),)
    assert not view.marks


def test_a_verb_is_for_all_that_is_marked_and_for_the_row_where_nothing_is(small: House) -> None:
    view = floor(small)
    view.cursor = PROD[0]
    assert isinstance(view.act("pipeline.pause")[0], Open)
    for key in PROD[:3]:
        view.cursor = key
        view.act("list.mark")
    assert view.act("pipeline.pause") == (Open("bulk", f"pause {' '.join(PROD[:3])}"),)
    assert view.act("run.stop") == (Open("bulk", "stop " + " ".join(f"{k}/r" for k in PROD[:3])),)
    assert view.act("alert.ack") == (Open("bulk", f"ack {' '.join(PROD[:3])}"),)
    (said,) = view.act("run.mark")
    assert isinstance(said, Say)
    assert "one after the other" in said.text


def test_the_last_row_says_that_keys_are_for_all_that_is_marked(small: House) -> None:
    view = floor(small)
    for _ in range(3):
        view.act("list.mark")
    foot = painted(view, 120, 40)[-1]
    for words in ("p pause 3", "x stop 3", "m ack 3", "u unmark"):
        assert words in foot, words
    read_only = floor(small, read_only=True)
    read_only.act("list.mark")
    assert "pause" not in painted(read_only, 120, 40)[-1]
    runs = RunsView(small.context())
    runs.load()
    runs.act("list.mark")
    assert "r rerun 1" in painted(runs, 80, 24)[-1]


def test_only_where_all_are_paused_the_key_resumes(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s", protected=False)
    for i in range(3):
        h.pipeline("s", f"p{i}", mode=Mode.PAUSED if i < 2 else Mode.ACTIVE)
    view = floor(h)
    for key, verb in (("s:p0", ""), ("s:p1", "resume"), ("s:p2", "pause")):
        view.cursor = key
        view.act("list.mark")
        if verb:
            (effect,) = view.act("pipeline.pause")
            assert isinstance(effect, Open)
            assert (effect.arg or "").startswith(f"{verb} ")
    h.close()


def test_marks_of_runs_are_of_runs_and_a_pipelines_verb_takes_each_pipeline_once(house: House) -> None:
    view = RunsView(house.context())
    view.load()
    view.set_filter("fx_rates")
    for _ in range(3):
        view.act("list.mark")
    assert len(view.marks) == 3
    assert view.act("pipeline.start") == (Open("bulk", "start local:fx_rates_probe"),)
    (effect,) = view.act("run.rerun")
    assert isinstance(effect, Open)
    assert len((effect.arg or "").split()) == 4
    assert "●" in "".join(line[0] for line in painted(view, 80, 24))


@pytest.mark.parametrize(
    ("more", "why"), [({"read_only": True}, "read-only"), ({"engine_alive": False}, "nobody is watching")]
)
def test_a_bulk_needs_somebody_who_may(small: House, more: dict[str, Any], why: str) -> None:
    view = floor(small, **more)
    view.act("list.mark")
    (said,) = view.act("pipeline.pause")
    assert isinstance(said, Say)
    assert why in said.text


def test_too_many_are_refused_in_words_and_none_too(small: House) -> None:
    view = floor(small)
    view.marks.names = {f"s:{i}": str(i) for i in range(101)}
    (said,) = view.act("pipeline.pause")
    assert isinstance(said, Say)
    assert "101 rows are marked, 100 are the most" in said.text
    for arg in ("pause", "", "pause " + " ".join(f"s:{i}" for i in range(101))):
        desk = opened(small, arg.split()[1:], "pause")
        assert desk.asked == []
        text = "\n".join(painted(desk.view, 80, 24))
        assert "blocked" in text
        desk.press("dialog.confirm")
        assert desk.closed
        assert desk.asked == []
