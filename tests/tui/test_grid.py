"""What stands on every screen at every size: its title, the clock or an age, the word of each row's state, ``?``."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adapters.model import State, StepRun
from tests.tui import stores
from tests.tui.plan_parts import KEY, reply
from tests.tui.stores import MINUTE, SIZES, House, painted
from tui import registry
from tui.present.glyphs import HEALTH_LOOKS, LOOKS

RUN = "local:fx_rates_probe/r9"
STEPS = (("fetch", State.SUCCESS), ("load", State.FAILED), ("publish", State.SKIPPED))
AGE = re.compile(r"(?<!\w)(\d+[smhd]|\d+h \d\dm)(?!\w)")


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("grid")
    h = stores.story(folder)
    for i, (name, state) in enumerate(STEPS):
        started = None if state is State.SKIPPED else h.now - (12 - i) * MINUTE
        ended = None if started is None else started + 1000
        h.steps(
            RUN, [StepRun(run=RUN, step=name, state=state, native="x", started=started, ended=ended, order=i, error="bad" if i == 1 else None)]
        )  # fmt: skip
    log = folder / "load.log"
    log.write_text("2026-11-20 05:40:00 INFO begin\n2026-11-20 05:40:01 ERROR exit 7: no connection\n")
    h.log(RUN, "load", log)
    return h


def shown(house: House, screen: str, size: tuple[int, int], arg: str | None = None) -> tuple[Any, list[str]]:
    view = registry.make(screen, house.context(), arg)
    view.load()
    return view, painted(view, *size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("screen", "title", "arg"),
    [("floor", "Floor", None), ("runs", "Runs", None), ("run", "Run", RUN), ("log", "Log", f"{RUN}#load"), ("sources", "Sources", None), ("help", "Help", "run")],
)  # fmt: skip
def test_title_clock_and_help(tale: House, screen: str, title: str, arg: str | None, size: tuple[int, int]) -> None:
    _, rows = shown(tale, screen, size, arg)
    assert rows[0].startswith(f" {title} ")
    assert "05:52" in rows[0]
    assert rows[-1].rstrip().endswith("? help")


@pytest.mark.parametrize("size", SIZES)
def test_floor_rows(tale: House, size: tuple[int, int]) -> None:
    view, rows = shown(tale, "floor", size)
    seen = 0
    while True:
        here = next(r for r in rows if r.startswith("▌"))
        item = view.here
        assert item.look.word in here, here
        assert item.name[:8] in here
        problem = view.cursor in view.problems
        assert problem or AGE.search(here), here
        seen += 1
        last = view.cursor
        view.act("move.down")
        rows = painted(view, *size)
        if view.cursor == last:
            break
    assert seen == len(view.all)


@pytest.mark.parametrize("size", SIZES)
def test_runs_rows(tale: House, size: tuple[int, int]) -> None:
    view, rows = shown(tale, "runs", size)
    for _ in range(60):
        here = next(r for r in rows if r.startswith("▌"))
        assert LOOKS[view.here.state].word in here
        assert view.here.name[:8] in here
        view.act("move.down")
        rows = painted(view, *size)


@pytest.mark.parametrize("size", SIZES)
def test_run_rows(tale: House, size: tuple[int, int]) -> None:
    _, rows = shown(tale, "run", size, RUN)
    text = "\n".join(rows)
    assert "✗ failed" in rows[1]
    assert re.search(r"\d+m ago", rows[1])
    for name, state in STEPS:
        row = next(r for r in rows if re.match(rf"[ ▌]. {name}\b", r))
        assert row[1] == LOOKS[state].glyph
    assert "1 ok, 1 failed, 1 not run" in text
    assert "not run" in next(r for r in rows if "publish" in r)
    assert "exit 7" in text


@pytest.mark.parametrize("size", SIZES)
def test_log_rows(tale: House, size: tuple[int, int]) -> None:
    _, rows = shown(tale, "log", size, f"{RUN}#load")
    text = "\n".join(rows)
    assert "ended failed" in rows[1]
    assert "ERROR" in text
    assert "05:40:01" in text
    assert "errors 1" in text


@pytest.mark.parametrize("size", SIZES)
def test_sources_rows(tale: House, size: tuple[int, int]) -> None:
    view, rows = shown(tale, "sources", size)
    for source in view.sources:
        row = next(r for r in rows if source.name in r and "truth" not in r)
        assert any(look.word.split()[0] in row for look in HEALTH_LOOKS.values()), row
        assert AGE.search(row), row


@pytest.mark.parametrize("size", SIZES)
def test_help_rows(tale: House, size: tuple[int, int]) -> None:
    """Every key of the Run screen comes into view, none of its sentences is cut, and so does the legend."""
    view, rows = shown(tale, "help", size, "run")
    text = "\n".join(rows)
    for _ in range(8):
        view.act("move.page_down")
        rows = painted(view, *size)
        text += "\n" + "\n".join(rows)
    for row in view.rows():
        assert row["keys"] in text
        assert row["label"] in text
    assert "…" not in text
    assert "✗  failed" in text


@pytest.mark.parametrize("size", SIZES)
def test_plan(tale: House, size: tuple[int, int]) -> None:
    plan = registry.make("plan", tale.context(), f"stop {KEY}")
    plan.under = registry.make("floor", tale.context())
    plan.load()
    (asked,) = plan.begin()
    plan.answer(
        asked.tag, reply(now={"state": int(State.RUNNING), "words": "running 22m", "read_at": tale.now - 2000}), None
    )
    rows = painted(plan, *size)
    text = "\n".join(rows)
    for words in ("Floor", "PROD prod-airflow · protected", "Stop the run of daily_sales", "► running 22m", "Reason", "prod/daily_sales  to stop it"):  # fmt: skip
        assert words in text, words
    assert re.search(r"read \d+s ago", text)
    assert rows[-1].rstrip().endswith("? help")


@pytest.mark.parametrize("size", SIZES)
def test_wall(tale: House, size: tuple[int, int]) -> None:
    _, rows = shown(tale, "wall", size)
    text = "\n".join(rows)
    assert "Floor" in rows[0]
    assert "truth" in text
    assert AGE.search(text)
    for name in ("FAILED", "LONG"):
        assert name in text
