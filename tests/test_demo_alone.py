"""The demo without a terminal: what it waits for before it prints, and that ``--reset`` removes nothing under an engine."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.model import State
from engine import demo
from engine.config.load import load
from engine.config.paths import places
from engine.config.shapes_owed import TAKES
from engine.leader import Leader
from engine.store.errors import StoreError


def stand_in(monkeypatch: pytest.MonkeyPatch, *, alive: bool, last_ok: int, state: State) -> None:
    """A store in which each of the demo's pipelines has one run of this state."""

    class Stored:
        def __init__(self, _: Any) -> None: ...

        def lock_held(self) -> bool:
            return alive

        def sources(self) -> list[Any]:
            return [SimpleNamespace(last_ok=last_ok)]

        def runs(self, limit: int) -> list[Any]:
            return [SimpleNamespace(name=name, state=state, generated=False) for name in demo.USUAL_S]

        def close(self) -> None: ...

    monkeypatch.setattr("engine.store.reader.Reader", Stored)


def waited(tmp_path: Path) -> float:
    began = time.monotonic()
    demo.wait_until_run(places(demo=True, env={"XDG_STATE_HOME": str(tmp_path)}), 0.4)
    return time.monotonic() - began


SOON = 1 << 62


def test_it_prints_once_each_ran_under_an_engine_that_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, alive=True, last_ok=SOON, state=State.FAILED)
    assert waited(tmp_path) < 0.3


@pytest.mark.parametrize(
    ("alive", "last_ok", "state"),
    [
        (False, SOON, State.SUCCESS),  # the runs of a demo before: the floor would say that nobody watches
        (True, 0, State.SUCCESS),  # an engine that has not looked yet
        (True, SOON, State.SKIPPED),  # a tick that was skipped: nothing ran
        (True, SOON, State.RUNNING),
    ],
)
def test_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool, last_ok: int, state: State) -> None:
    stand_in(monkeypatch, alive=alive, last_ok=last_ok, state=state)
    assert waited(tmp_path) >= 0.4


def test_reset_removes_nothing_under_an_engine_that_does_not_end(tmp_path: Path) -> None:
    place = places(demo=True, env={"XDG_STATE_HOME": str(tmp_path)})
    demo.prepare(place)
    stuck = Leader(place.lock)
    assert stuck.try_lock()
    with pytest.raises(StoreError, match="does not end"):
        demo.reset(place, 0.2)
    assert place.config.exists()
    stuck.close()
    demo.reset(place, 0.2)
    assert not place.state.exists()
    demo.reset(place, 0.2)  # nothing there is nothing to do
    assert not place.state.exists()


# --- what is owed in it ---------------------------------------------------------------------------------------------

TEMPLATE = files("engine.demo").joinpath("watchfloor.toml").read_text()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def prepared(tmp_path: Path, now: float | None = None) -> Any:
    place = places(demo=True, env={"XDG_STATE_HOME": str(tmp_path)})
    place.prepare()
    demo.prepare(place, now=now)
    return load(place.config)


def test_it_promises_something_of_each_type_that_is_judged(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    assert {e.type for e in config.expectations} == set(TAKES)
    assert config.feeds
    assert config.checks
    assert any(w.expect == "shift" for w in config.windows)
    jobs = {f"local:{job.name}" for job in config.jobs}
    named = {e.on for e in config.expectations if e.on.startswith("local:")}
    assert named - jobs == {"local:cdm_to_archive"}, "one selector matches nothing, on purpose"
    assert [w for w in config.warnings if "[[route]]" not in w] == []


def test_its_due_times_are_some_minutes_after_the_first_start_also_over_midnight() -> None:
    text = 'a = "@DUE+2@" b = "@CRON+1@" c = "@PYTHON@" d = "@TIMEZONE@"'
    assert demo.filled(text, "/py", "UTC", at("2026-11-21 15:10:01")) == (
        'a = "15:13" b = "12 15 * * *" c = "/py" d = "UTC"'
    )
    assert demo.filled(text, "/py", "UTC", at("2026-11-21 23:58:00")).startswith('a = "00:00" b = "59 23 * * *"')
    assert demo.filled(text, "/py", "Asia/Kolkata", at("2026-11-21 15:10:01")).startswith('a = "20:43"')
    assert not re.search(r"@\w+(\+\d+)?@", demo.filled(TEMPLATE, "/py", "UTC", 0.0))
    soon = [int(n) for n in re.findall(r"@DUE\+(\d+)@", TEMPLATE)]
    assert max(soon) < 10, "an operator sees each of them within ten minutes"


@pytest.mark.parametrize(
    ("now", "closed"), [("2026-11-21 15:10:00", "2026-11-22"), ("2026-11-21 23:55:00", "2026-11-23")]
)
def test_its_bank_is_closed_on_the_day_after_the_first_due_times(tmp_path: Path, now: str, closed: str) -> None:
    text = demo.holidays("UTC", at(now))
    assert closed in text
    (bank,) = prepared(tmp_path, at(now)).calendars.values()
    assert [str(day) for day in bank.holidays.dates] == [closed] or demo.local_zone() != "UTC"


def test_nothing_that_was_made_up_can_fulfil_what_is_owed_today() -> None:
    now = at("2026-11-21 15:10:00")
    made_up = demo.generate(now)
    assert max(row["started"] for row in made_up) < (now - 25 * 3600) * 1000
    assert {row["job"] for row in made_up} == set(demo.USUAL_S | demo.SLOW_S)
