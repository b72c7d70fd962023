"""What the Floor must not hide: an earlier failure behind a run that is active, a clock that differs, a pipeline that never ran."""

from __future__ import annotations

from pathlib import Path

from adapters.model import State
from tests.tui import parts_story
from tests.tui.stores import HOUR, MINUTE, SECOND, House, painted
from tui.screens.floor import FloorView


def floor(h: House, width: int = 120) -> str:
    view = FloorView(h.context())
    view.load()
    return "\n".join(painted(view, width, 40))


def test_a_failure_behind_an_active_run_stays_among_the_problems(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    key = h.pipeline("s", "daily")
    h.run("s", "daily", "r1", State.FAILED, started_ago=30 * MINUTE, took=MINUTE)
    h.run("s", "daily", "r2", State.RUNNING, started_ago=20 * MINUTE)
    assert "not made good" not in floor(h)
    h.alert("7K2F", key, ago=29 * MINUTE)
    text = floor(h)
    assert "1 not made good" in text
    row = next(line for line in text.splitlines() if "daily" in line and "►" in line)
    assert "running" in row
    assert "went wrong at 05:23, not made good yet" in row
    h.close()


def test_durations_are_of_the_sources_own_clock(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s", skew_ms=-HOUR)
    h.pipeline("s", "p")
    h.history("s", "p", usual=10 * MINUTE)
    h.run("s", "p", "r", State.RUNNING, started_ago=HOUR + 5 * MINUTE)  # five minutes ago by the server's clock
    row = next(line for line in floor(h).splitlines() if " p " in line and "running" in line)
    assert "5m / 10m" in row
    assert "long" not in row
    h.close()


def test_what_never_ran_is_not_counted_as_fine(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    h.run("s", "p", "r", State.SUCCESS, started_ago=HOUR, took=MINUTE)
    h.pipeline("s", "never")
    text = floor(h)
    assert "1 fine   1 never ran" in text
    assert "All 2 fine" not in text
    h.close()


def test_a_file_that_cannot_be_read_is_no_quiet_matter(tmp_path: Path) -> None:
    """The source answers, all its pipelines are fine, and two of its files are broken: what stood there may be gone."""
    h = House(tmp_path)
    h.engine()
    h.source("air", ok_ago=SECOND)
    h.pipeline("air", "orders")
    h.run("air", "orders", "r1", State.SUCCESS, started_ago=HOUR, took=MINUTE)
    parts_story.put(h, "air", [parts_story.broken(h, "dags/orders.py"), parts_story.broken(h, "dags/stock.py")])
    view = FloorView(h.context())
    view.load()
    rows = painted(view, 120, 40)
    (row,) = [r for r in rows if "import errors" in r]
    assert "▲" in row
    assert "warning" in row
    assert "air" in row
    assert "2 import errors: dags/" in row
    assert not any("All 1" in r for r in rows[:3])
    parts_story.put(h, "air", [])
    view.load()
    assert not any("import error" in r for r in painted(view, 120, 40))
    h.close()
