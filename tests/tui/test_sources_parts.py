"""What a source has beside runs, on Sources and on the Floor: panes, cursor, text, age, emptiness, and the same for scripts."""

from __future__ import annotations

import json

import pytest

from adapters.extras import SourceItem, Standing
from adapters.model import Health
from tests.tui import snap
from tests.tui.parts_story import TRACE, assets, broken, components, fill, offer, operations, pool, put, warned
from tests.tui.stores import DAY, MINUTE, SECOND, SIZES, House, painted
from tui.screens.floor import FloorView
from tui.screens.sources import SourcesView
from tui.view import Copy, Open, Say


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("af", kind="airflow", environment="prod")
    h.source("other", kind="local")
    yield h
    h.close()


def sources(h: House, arg: str | None = "af", **more) -> SourcesView:
    view = SourcesView(h.context(**more), arg)
    view.load()
    return view


def to(view: SourcesView, pane: str) -> SourcesView:
    for _ in view.panes:
        if view.pane == pane:
            return view
        view.act("view.pane")
    raise AssertionError(f"Tab never comes to {pane}: {view.panes}")


def shown(view: SourcesView, width: int = 120, height: int = 40) -> str:
    return "\n".join(painted(view, width, height))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(house, size):
    fill(house, "af")
    lines = painted(sources(house), *size)
    snap.same(f"sources-parts-{size[0]}x{size[1]}", [line if " Store " not in line[:8] else " Store" for line in lines])


@pytest.mark.parametrize("size", SIZES)
def test_every_part_can_be_reached_and_read_at_each_size(house, size):
    fill(house, "af")
    view = sources(house)
    seen = ""
    for _ in view.panes:
        seen += shown(view, *size)
        view.act("view.pane")
    for said in ("scheduler", "orders.py", "daily_sales", "heavy", "default_pool", "never_made", "5 of 12", "4 of 4"):
        assert said in seen
    assert view.pane == "detail"


def test_the_summary_says_what_is_wrong_first(house):
    fill(house, "af")
    line = next(line for line in painted(sources(house), 200, 50) if line.startswith(" Has "))
    assert line.split("Has       ")[1].startswith(
        "scheduler silent since 05:12: nothing new starts · 1 import error · pool heavy full"
    )
    put(house, "af", [*components(house), pool("default_pool", 1, 128)])
    line = next(line for line in painted(sources(house), 120, 40) if line.startswith(" Has "))
    assert "4 parts well · 1 pool" in line


def test_a_silent_scheduler_is_no_fresh_source_and_a_problem_of_the_floor(house):
    house.pipeline("af", "daily")
    put(house, "af", components(house, silent_for=40 * MINUTE))
    row = next(line for line in painted(sources(house), 120, 40) if " af " in line[:60] and "prod" in line)
    assert row[1:].startswith("✗  scheduler silent")
    for size in SIZES:
        floor = FloorView(house.context())
        floor.load()
        lines = painted(floor, *size)
        (problem,) = [line for line in lines if "silent  " in line and " af " in line]
        assert "scheduler silent since 05:12" in problem
        assert "1 broken" in lines[1]
        assert "silent" in lines[1]
    assert "nothing new starts" in problem
    floor.act("problem.first")
    assert list(floor.act("list.open")) == [Open("sources", "af")]
    put(house, "af", components(house))
    floor.load()
    assert "silent" not in "\n".join(painted(floor, 120, 40))


def test_of_a_blind_source_nothing_is_said_of_its_scheduler(house):
    house.pipeline("af", "daily")
    put(house, "af", components(house, silent_for=40 * MINUTE))
    with house.tx() as tx:
        from engine.store import sources as store

        store.put_health(tx, house.ids["af"], health=int(Health.UNREACHABLE), since=house.now - 5 * MINUTE)
    floor = FloorView(house.context())
    floor.load()
    text = "\n".join(painted(floor, 120, 40))
    assert "no view" in text
    assert "silent" not in text


def test_empty_parts_say_so_in_words_and_not_asked_is_not_empty(house):
    offer(house, "af")
    text = shown(sources(house))
    assert "Import errors not asked yet" in text
    assert "none" not in text.split("Its parts")[1].split("Engine")[0]
    put(house, "af", [])
    text = shown(sources(house))
    for said in (
        "Import errors none: every file of its pipelines can be read", "Warnings none about any pipeline",
        "Assets none: no pipeline here makes or waits for one", "Backfills none runs, and none ended in the last days",
    ):  # fmt: skip
        assert said in text
    assert "none about any pipeline" in shown(to(sources(house), "warning"))


def test_what_a_system_does_not_have_has_no_pane(house):
    fill(house, "af")
    view = sources(house, "other")
    assert view.panes == ["detail", "engine", "letters", "actions"]
    assert "Import errors" not in shown(view)
    view.act("move.up")
    assert view.cursor == "af"
    assert "import-error" in view.panes


def test_a_listing_that_fails_is_shown_with_its_age_and_its_reason(house):
    fill(house, "af")
    house.clock.at += 20 * MINUTE
    put(house, "af", components(house), why={"assets": "HTTP 403 from GET /api/v2/assets: Forbidden"})
    view = sources(house)
    with house.tx() as tx:
        tx.db.execute("UPDATE source_health SET last_ok = ?", (house.now,))
    view.load()
    lines = painted(view, 120, 40)
    title = next(line for line in lines if line.startswith(" Assets "))
    assert "as of 05:52: HTTP 403 from GET /api/v2/assets: Forbidden" in title
    row = next(spans for spans in view.paint(120, 40) if any("orders" in t for t, _ in spans))
    assert all(style.startswith("run-stale") or not text.strip() for text, style in row), "drawn stale"


def test_what_may_not_be_read_says_so(house):
    refused = SourceItem(
        kind="pool", name="", standing=Standing.WARNING, words="HTTP 403 from GET /api/v2/pools: Forbidden"
    )
    put(house, "af", [*components(house), refused])
    text = shown(sources(house))
    assert "Pools may not be read" in text
    assert "HTTP 403 from GET /api/v2/pools: Forbidden" in text


def test_enter_on_an_import_error_shows_its_text_whole(house):
    long = TRACE + "\n" + "\n".join(f"line {n} " + "x" * 150 for n in range(60))
    put(house, "af", [broken(house, text=long), broken(house, "two.py", "SyntaxError: \x1b[31mbad\u202e")])
    view = to(sources(house), "import-error")
    view.act("list.open")
    text = shown(view, 80, 24)
    assert "Import error orders.py" in text
    assert "Traceback (most recent call last):" in text
    assert "Esc back" in text
    view.act("move.bottom")
    lines = painted(view, 80, 24)
    joined = "".join(line[3:].rstrip() for line in lines)
    assert ("line 59 " + "x" * 150) in joined, "nothing is cut off"
    view.act("nav.back")
    assert view.parts.read is None
    assert view.pane == "import-error"
    view.act("move.down")
    view.act("list.open")
    text = shown(view)
    assert "SyntaxError: bad" in text
    assert "\x1b" not in text
    put(house, "af", [broken(house)])
    view.load()
    assert view.parts.read is None, "it was mended"
    view.act("nav.back")
    assert view.pane == "detail"


def test_enter_on_a_warning_an_asset_and_a_backfill_opens_the_pipeline(house):
    put(house, "af", [warned(house, "af:daily_sales")], assets=assets(house, "af"), operations=operations(house, "af"))
    view = to(sources(house), "warning")
    assert list(view.act("list.open")) == [Open("history", "af:daily_sales")]
    to(view, "operation")
    assert list(view.act("list.open")) == [Open("history", "af:daily_sales")]
    to(view, "asset")
    view.act("list.open")
    assert view.menu is not None
    assert [e.label for e in view.menu.entries] == ["daily_sales", "customer_360", "board_report"]
    assert list(view.type("2") or ()) == [Open("history", "af:customer_360")]
    view.act("move.down")
    assert list(view.act("list.open")) == [Open("history", "af:board_report")]
    view.act("move.down")
    (said,) = view.act("list.open")
    assert isinstance(said, Say)
    assert "never_made" in said.text


def test_links_copy_and_watch(house):
    put(house, "af", [broken(house), warned(house, "af:daily_sales")], operations=operations(house, "af"))
    view = sources(house)
    assert list(view.act("link.menu")) == [Open("links", "af")]
    assert view.watch() == {"source": "af"}
    to(view, "warning")
    assert list(view.act("link.menu")) == [Open("links", "af:daily_sales")]
    to(view, "import-error")
    view.act("copy.menu")
    (copied,) = view.type("t") or ()
    assert isinstance(copied, Copy)
    assert copied.text == TRACE
    to(view, "operation")
    view.act("copy.menu")
    (copied,) = view.type("b") or ()
    assert isinstance(copied, Copy)
    assert copied.text == "7"


def test_the_cursor_of_a_long_pane_stays_in_sight(house):
    put(house, "af", [pool(f"pool_{n:03}", n, 500) for n in range(200)])
    view = to(sources(house), "pool")
    for _ in range(150):
        view.act("move.down")
    for size in SIZES:
        cursor = [line for line in painted(view, *size) if line.startswith("▌") and "pool_150" in line]
        assert len(cursor) == 1
    assert view.cursor == "af", "the table above stands still"


def test_scripts_get_all_of_it_with_ages_and_reasons(house):
    fill(house, "af")
    house.clock.at += DAY
    put(house, "af", components(house), assets=assets(house, "af"), why={"operations": "HTTP 500"})
    found = json.loads(json.dumps(sources(house).data(), default=str))
    af, other = found["sources"]
    assert af["trouble"] is None
    assert {i["name"] for i in af["parts"]["items"]["rows"]} == {
        "scheduler",
        "DAG processor",
        "triggerer",
        "metadata database",
    }
    assert af["parts"]["items"]["rows"][0]["standing"] == "fine"
    assert [a["name"] for a in af["parts"]["assets"]["rows"]] == ["orders", "report", "never_made"]
    assert (af["parts"]["operations"]["why"], af["parts"]["operations"]["stale"]) == ("HTTP 500", True)
    assert [o["state"] for o in af["parts"]["operations"]["rows"]] == ["running", "stopped"]
    assert other["parts"]["items"] == {"offered": False, "seen": None, "why": None, "stale": None, "rows": []}


def test_a_servers_clock_that_is_off_moves_no_age(house):
    house.source("skewed", kind="airflow", skew_ms=-3_600_000)
    beat = house.now - 3_600_000 - 4 * SECOND
    item = SourceItem(kind="component", name="scheduler", words="healthy", value=4, limit=60, unit="s", since=beat)
    put(house, "skewed", [item])
    assert "last beat 05:51:56" in shown(sources(house, "skewed"))


def test_of_a_blind_source_no_part_is_well(house):
    """Its listings are a minute old and were right then; nobody can vouch for them now."""
    fill(house, "af")
    before = shown(to(sources(house), "component"))
    assert "✓  well" in before
    said = {"kind": "airflow", "environment": "prod", "health": Health.AUTH_FAILED}
    house.source("af", **said, ok_ago=MINUTE, since_ago=MINUTE)
    offer(house, "af")
    view = to(sources(house), "component")
    after = shown(view)
    assert view.here is not None
    assert view.here.stale(house.now)
    assert "✓  well" not in after
    assert "✓? well" in after
    has = next(line for line in shown(sources(house)).splitlines() if line.startswith(" Has "))
    assert "as last seen at 05:51" in has
    row = next(
        line
        for line in view.paint(120, 40)
        if "✓" in "".join(t for t, _ in line) and "well" in "".join(t for t, _ in line)
    )
    assert "run-ok" not in {style.split()[0] for _, style in row if style}
