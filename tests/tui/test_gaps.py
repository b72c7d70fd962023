"""The gap map: what became of each of the last ninety dates, why, and how a gap is filled."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Owed, RunKind, State
from engine.store.rows import Calendar, DatePromise, DateRuns, Spell
from tests.tui import snap
from tests.tui.gaps_story import day, story
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tests.tui.test_app_screens import opened, text
from tui import keymap
from tui.present import gaps, lines
from tui.present.gaps import FATES, Cell, Fate, Grid
from tui.screens.gaps_view import GapsView
from tui.screens.layers import LayersView
from tui.view import Open, Say

SALES = "prod:daily_sales"
D = "2026-11-17"
DAYS = gaps.window_days(NOW, TZ)


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = story(tmp_path_factory.mktemp("gaps"))
    yield house
    house.close()


def view_of(h: House, key: str | None = None, at: str | None = None, **more) -> GapsView:
    view = GapsView(h.context(**more), key)
    view.load()
    painted(view, 120, 40)
    view.gaps.day = at
    return view


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_map(tale, size):
    view = view_of(tale, SALES, "2026-11-03")
    snap.same(f"gaps-{size[0]}x{size[1]}", painted(view, *size))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_why(tale, size):
    view = view_of(tale, SALES, "2026-10-14")
    view.act("owed.basis")
    snap.same(f"gaps-why-{size[0]}x{size[1]}", painted(view, *size))


def test_no_two_fates_look_alike_without_colour_or_without_our_glyphs():
    assert len({look.glyph for look in FATES.values()}) == len({look.ascii for look in FATES.values()}) == len(Fate)


def test_in_ascii_nothing_but_ascii_is_left(tale):
    shown = painted(view_of(tale, SALES, ascii=True), 200, 50)
    assert all(line.isascii() for line in shown)
    assert any("--00+-+--++++" in line.replace(" ", "") for line in shown)


@settings(max_examples=200, deadline=None)
@given(width=st.integers(60, 300), at=st.integers(0, 89))
def test_dates_fit(width, at):
    grid = Grid.of(width)
    days = DAYS[-grid.n :]
    at = days[min(at, grid.n - 1)]
    for line in gaps.head_lines(days, grid, at):
        assert lines.cells(line) < width
    used = sum(len(grid.gap(i, d)) + 1 for i, d in enumerate(days))
    assert grid.left + used < width
    months, marks = (lines.text(line) for line in gaps.head_lines(days, grid, at))
    place = grid.left + sum(len(grid.gap(i, d)) + 1 for i, d in enumerate(days) if d <= at) - 1
    assert marks.index("┃") == place, "the mark stands over the cursor's date"
    assert f"{int(at[8:])}" in months


# --- what became of a date ------------------------------------------------------------------------------------------


def ran(
    state: State, n: int = 1, good: int | None = None, active: int | None = None, planned: int = 1, **more
) -> DateRuns:
    return DateRuns(
        more.pop("day", D), "s:p/r", state, RunKind.SCHEDULED, NOW, NOW, None, n, int(state.finished) if good is None else good,
        int(state.active) if active is None else active, planned, **more,
    )  # fmt: skip


def owed(state: Owed, *, run: str | None = None) -> DatePromise:
    return DatePromise(1, D, state, NOW, state is Owed.BREACHED, run)


def fate(
    runs=(), owes=(), *, first: str | None = "2026-11-01", spells=(), blind: int | None = None, at: str = D
) -> Fate:
    calendar = Calendar(first, tuple(runs), tuple(owes))
    return gaps.cells_of(calendar, DAYS, spells, TZ, blind_since=blind)[at].fate


@pytest.mark.parametrize(
    ("runs", "owes", "expected"),
    [
        ([ran(State.SUCCESS)], [], Fate.DONE), ([ran(State.WARNING)], [], Fate.DONE), ([ran(State.SUCCESS)], [owed(Owed.MET)], Fate.DONE),
        ([ran(State.SUCCESS)], [owed(Owed.MET_LATE)], Fate.LATE), ([ran(State.SUCCESS)], [owed(Owed.BREACHED)], Fate.LATE),
        ([ran(State.SUCCESS, 3, 1)], [], Fate.DONE), ([ran(State.RUNNING)], [], Fate.RUNNING), ([ran(State.QUEUED)], [owed(Owed.BREACHED)], Fate.RUNNING),
        ([ran(State.FAILED)], [], Fate.FAILED), ([ran(State.TIMED_OUT)], [], Fate.FAILED), ([ran(State.STOPPED)], [], Fate.FAILED),
        ([ran(State.FAILED)], [owed(Owed.WAIVED)], Fate.FAILED), ([ran(State.LOST)], [], Fate.UNKNOWN), ([ran(State.MISSED)], [], Fate.MISSING),
        ([ran(State.SKIPPED)], [], Fate.NOT_OWED), ([ran(State.SKIPPED)], [owed(Owed.BREACHED)], Fate.MISSING),
        ([ran(State.SUCCESS, 24, 23, planned=24)], [], Fate.FAILED), ([ran(State.SUCCESS, 24, 24, planned=24)], [], Fate.DONE),
        ([ran(State.SUCCESS, 24, 20, 1, planned=24)], [], Fate.RUNNING), ([ran(State.SUCCESS, 25, 24, planned=24)], [], Fate.DONE),
        ([], [owed(Owed.BREACHED)], Fate.MISSING), ([], [owed(Owed.PENDING)], Fate.DUE), ([], [owed(Owed.AT_RISK)], Fate.DUE),
        ([], [owed(Owed.SHIFTED)], Fate.DUE), ([], [owed(Owed.UNKNOWN)], Fate.UNKNOWN), ([], [owed(Owed.EXCLUDED)], Fate.NOT_OWED),
        ([], [owed(Owed.WAIVED)], Fate.NOT_OWED), ([], [owed(Owed.MET, run="s:p/gone")], Fate.DONE), ([], [owed(Owed.MET)], Fate.NOT_OWED),
        ([], [owed(Owed.MET), owed(Owed.BREACHED)], Fate.MISSING), ([], [], Fate.NOT_OWED),
    ],
)  # fmt: skip
def test_what_became_of_a_date(runs, owes, expected):
    assert fate(runs, owes) is expected


def test_done_is_only_what_a_run_or_a_kept_promise_proves():
    """Over every state of a run and of a promise: never done without one that ended well."""
    for state in (None, *State):
        for promise in (None, *Owed):
            runs = [] if state is None else [ran(state)]
            owes = [] if promise is None else [owed(promise)]
            if fate(runs, owes) in (Fate.DONE, Fate.LATE):
                assert state is not None
                assert state.finished


def test_before_its_history_nothing_is_claimed():
    assert fate(first="2026-11-18") is Fate.BEFORE
    assert fate(first=None) is Fate.BEFORE
    assert fate(owes=[owed(Owed.BREACHED)], first=None) is Fate.MISSING


def test_a_date_on_which_its_source_was_not_seen_is_unknown():
    noon = gaps.day_start(gaps.date.fromisoformat(D), TZ) + 12 * HOUR
    assert fate(spells=[Spell("s", noon, noon + 2 * HOUR, "")]) is Fate.UNKNOWN
    assert fate(spells=[Spell(None, noon, noon + 2 * HOUR, "")]) is Fate.UNKNOWN
    assert fate(spells=[Spell("s", noon - 3 * DAY, None, "")]) is Fate.UNKNOWN
    assert fate(spells=[Spell("s", noon, noon + 20 * MINUTE, "")]) is Fate.NOT_OWED, "caught up afterwards"
    assert fate(spells=[Spell("s", noon + DAY, noon + 2 * DAY, "")]) is Fate.NOT_OWED
    assert fate([ran(State.SUCCESS)], spells=[Spell("s", noon, None, "")]) is Fate.DONE


def test_what_is_open_is_unknown_while_its_source_is_not_seen_and_what_is_settled_stays():
    since = gaps.day_start(gaps.date.fromisoformat(D), TZ) + HOUR
    assert fate(blind=since) is Fate.UNKNOWN
    assert fate(blind=since + 2 * DAY) is Fate.NOT_OWED
    assert fate([ran(State.RUNNING)], blind=since) is Fate.UNKNOWN
    assert fate(owes=[owed(Owed.PENDING)], blind=since) is Fate.UNKNOWN
    assert fate([ran(State.SUCCESS)], blind=since) is Fate.DONE
    assert fate([ran(State.FAILED)], blind=since) is Fate.FAILED
    assert fate(owes=[owed(Owed.BREACHED)], blind=since) is Fate.MISSING


def test_a_promise_says_for_which_date_a_run_without_one_counts():
    run = ran(State.SUCCESS, day="2026-11-18", dated=False)
    found = gaps.cells_of(Calendar("2026-11-01", (run,), (owed(Owed.MET, run="s:p/r"),)), DAYS, (), TZ)
    assert found[D].fate is Fate.DONE
    assert found["2026-11-18"].fate is Fate.NOT_OWED


def test_gaps_run_over_dates_that_were_not_owed():
    fates = {
        "2026-11-06": Fate.FAILED,
        "2026-11-07": Fate.NOT_OWED,
        "2026-11-09": Fate.MISSING,
        "2026-11-12": Fate.MISSING,
    }
    cells = {d: Cell(fates.get(d, Fate.NOT_OWED if d == "2026-11-08" else Fate.DONE)) for d in DAYS}
    assert gaps.gap_around(cells, DAYS, "2026-11-06") == ("2026-11-06", "2026-11-09")
    assert gaps.gap_around(cells, DAYS, "2026-11-07") is None
    assert gaps.gaps(cells, DAYS) == [("2026-11-06", "2026-11-09"), ("2026-11-12", "2026-11-12")]


# --- the screen -----------------------------------------------------------------------------------------------------


def test_the_story_is_told_as_it_was(tale):
    view = view_of(tale, SALES)
    cells = view.gaps.cells
    wanted = {
        "2026-11-03": Fate.FAILED, "2026-11-09": Fate.MISSING, "2026-11-10": Fate.MISSING, "2026-11-12": Fate.NOT_OWED, "2026-10-14": Fate.DONE,
        "2026-11-14": Fate.NOT_OWED, day(14): Fate.LATE, day(0): Fate.DUE, day(1): Fate.DONE,
    }  # fmt: skip
    assert {d: cells[d].fate for d in wanted} == wanted
    assert cells["2026-11-12"].why == "waived by a person"
    view.gaps.cursor = "prod:hourly_clicks"
    assert view.gaps.cells[day(3)].fate is Fate.FAILED
    assert view.gaps.cells[day(3)].why == "23 of 24 runs of this date ended well"
    assert [view.gaps._cells["dark:segments"][day(n)].fate for n in (0, 1, 2)] == [Fate.UNKNOWN] * 3
    assert {c.fate for c in view.gaps._cells["prod:new_report"].values()} == {Fate.BEFORE}


def test_of_a_date_with_several_runs_the_hours_that_failed_are_said(tale):
    view = view_of(tale, "prod:hourly_clicks", day(3))
    shown = "\n".join(painted(view, 120, 40))
    assert "failed · at 10:00 · 23 of 24 runs of this date ended well" in shown
    assert "failed · at 10:00 · 23 of 24" in "\n".join(painted(view, 80, 24))
    assert list(view.act("list.open")) == [Open("run", "prod:hourly_clicks/3-4")], "the run that makes the gap"
    view.act("owed.basis")
    assert "Hours  at 10:00" in "\n".join(painted(view, 120, 40))
    view.gaps.day = day(4)
    assert "Hours" not in "\n".join(painted(view, 120, 40)), "all of them ended well"


def test_hours_are_grouped_and_of_another_day_with_their_day():
    def at(hour: int) -> int:
        return gaps.day_start(gaps.date.fromisoformat(D), TZ) + hour * HOUR + 5 * MINUTE

    def said(hours: list[tuple[State, int]], most: int = 4) -> list[str]:
        failed = [("r", state, at(h)) for state, h in hours]
        return ["".join(text for text, _ in c) for c in gaps.hours(failed, Cell(Fate.FAILED), D, TZ, most)]

    several = [(State.FAILED, h) for h in (1, 2, 3, 7, 9)]
    assert said([*several, (State.MISSED, 4)]) == ["at 01:05, 02:05, 03:05, 07:05 +1", "missed 04:05"]
    assert said([(State.FAILED, h) for h in (23, 24, 24, 25, 50)]) == ["at 23:05, Wed 00:05, 01:05, Thu 02:05"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (ran(State.SUCCESS, 24, 23, planned=24), True), (ran(State.RUNNING, 7, 5, 1, planned=7), True),
        (ran(State.RUNNING, 7, 6, 1, planned=7), False), (ran(State.FAILED), False), (ran(State.SUCCESS, 24, 24, planned=24), False),
    ],
)  # fmt: skip
def test_hours_are_said_where_several_runs_are_and_some_ended_badly(runs, said):
    (cell,) = (c for d, c in gaps.cells_of(Calendar("2026-11-01", (runs,)), DAYS, (), TZ).items() if d == D)
    assert gaps.several(cell) is said


def test_tab_goes_round_and_keeps_the_pipeline(tale):
    view = LayersView(tale.context(), SALES)
    view.load()
    seen = []
    for _ in range(3):
        view.act("view.pane")
        seen.append((view.pane, view.here.key))
    assert seen == [("matrix", SALES), ("gaps", SALES), ("chain", SALES)]


def test_the_cursor_goes_over_dates_and_the_map_follows_it(tale):
    view = view_of(tale, SALES)
    painted(view, 80, 24)
    assert list(view.act("time.right")) == [Say("this is the newest business date")]
    for _ in range(gaps.DAYS - 1):
        assert view.act("time.left") == ()
    assert list(view.act("time.left")) == [Say("this is the oldest date")]
    shown = painted(view, 80, 24)
    assert view.gaps.date == DAYS[0] == view.gaps.shown_days()[0]
    assert any("┃" in line for line in shown)


def test_enter_opens_the_run_that_counts(tale):
    assert list(view_of(tale, SALES, "2026-10-14").act("list.open")) == [Open("run", "prod:daily_sales/fill")]
    assert list(view_of(tale, SALES, "2026-11-09").act("list.open")) == [
        Say("daily_sales, 2026-11-09: missing, there is no run to open")
    ]


def plan(view) -> dict[str, str]:
    (effect,) = view.act("pipeline.backfill")
    assert effect.screen == "plan"
    verb, key, *given = effect.arg.split(" ")
    assert (verb, key) == ("backfill", SALES)
    return {n: unquote(v) for n, _, v in (g.partition("=") for g in given)}


def test_backfill_takes_the_gap_under_the_cursor(tale):
    assert plan(view_of(tale, SALES, "2026-11-10", engine_alive=True)) == {
        "from": "2026-11-09",
        "to": "2026-11-10",
        "reprocess": "none",
    }
    assert plan(view_of(tale, SALES, "2026-11-03", engine_alive=True)) == {
        "from": "2026-11-03",
        "to": "2026-11-03",
        "reprocess": "failed",
    }


def test_backfill_takes_the_marked_range_either_way(tale):
    view = view_of(tale, SALES, "2026-11-10", engine_alive=True)
    (said,) = view.act("gaps.mark")
    assert "a range begins at 2026-11-10" in said.text
    for _ in range(7):
        view.act("time.left")
    assert "3–10 Nov" in "\n".join(painted(view, 120, 40))
    assert plan(view) == {"from": "2026-11-03", "to": "2026-11-10", "reprocess": "failed"}
    view.act("move.down")
    assert view.gaps.anchor is None, "a range is of one pipeline"


def test_where_nothing_is_to_fill_it_says_so(tale):
    (said,) = view_of(tale, SALES, "2026-11-13", engine_alive=True).act("pipeline.backfill")
    assert said == Say("daily_sales, 2026-11-13: done, there is no gap to fill; Space marks a range of dates")


@pytest.mark.parametrize(
    ("key", "more", "why"),
    [
        ("plain:cleanup", {}, "a job of this host has no dates"), (SALES, {"read_only": True}, "this terminal is read-only"),
        (SALES, {"engine_alive": False}, "nobody is watching"),
    ],
)  # fmt: skip
def test_where_it_cannot_be_filled_the_reason_is_said(tale, key, more, why):
    (said,) = view_of(tale, key, "2026-11-09", **{"engine_alive": True, **more}).act("pipeline.backfill")
    assert isinstance(said, Say)
    assert why in said.text


def test_the_dialog_opens_with_the_dates(tale):
    from tui.screens.plan import PlanView

    (effect,) = view_of(tale, SALES, "2026-11-03", engine_alive=True).act("pipeline.backfill")
    dialog = PlanView(tale.context(engine_alive=True), effect.arg)
    assert dialog.form.params() == {"from": "2026-11-03", "to": "2026-11-03", "reprocess": "failed", "backwards": False}


def test_why_names_run_time_and_who(tale):
    view = view_of(tale, SALES, "2026-10-14")
    view.act("owed.basis")
    shown = "\n".join(painted(view, 120, 40))
    assert "ok after 2 other tries" in shown
    assert "by a backfill · its source does not say by whom" in shown
    view.gaps.cursor, view.gaps.day = "plain:cleanup", day(2)
    assert "its runs name no business date" in "\n".join(painted(view, 120, 40))
    view.act("nav.back")
    assert not view.basis


def test_why_of_a_missed_tick_names_no_run(tale):
    cell = Cell(Fate.MISSING, "missed", ran(State.MISSED))
    said = "\n".join(
        "".join(part for part, _ in line) for line in gaps.why_lines(cell, "2026-11-03", None, TZ, NOW, 80)
    )
    assert "none: nothing started at its tick" in said
    assert "began" not in said


def test_only_pipelines_in_view_are_asked_for(tale, monkeypatch):
    view = GapsView(tale.context())
    asked: list[int] = []
    real = view.context.reader.calendars
    monkeypatch.setattr(view.context.reader, "calendars", lambda ids, *more: asked.extend(ids) or real(ids, *more))
    view.gaps.page = 2
    view.load()
    assert len(asked) < len(view.gaps.lanes)
    asked.clear()
    view.gaps.read()
    assert asked == [], "what is known is not asked again"


def test_a_filter_narrows_the_map(tale):
    view = view_of(tale)
    view.set_filter("layer:LDZ")
    assert {lane.name for lane in view.gaps.lanes} == {"fx_rates", "hourly_clicks"}
    view.set_filter("nothing_is_like_that")
    assert "no pipeline is like that" in "\n".join(painted(view, 120, 40))


def test_an_empty_map_says_what_to_do(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    try:
        assert "no pipeline" in "\n".join(painted(GapsView(h.context()), 120, 40))
        from adapters.model import Trigger

        h.pipeline("s", "manual", trigger=Trigger.MANUAL)
        assert "[[expectation]] says what is due by when" in "\n".join(painted(GapsView(h.context()), 120, 40))
    finally:
        h.close()


def test_a_new_run_moves_the_map(tmp_path):
    h = story(tmp_path)
    try:
        view = view_of(h, SALES, "2026-11-09")
        assert view.gaps.cell.fate is Fate.MISSING
        h.run(
            "prod",
            "daily_sales",
            "now",
            State.SUCCESS,
            started_ago=MINUTE,
            took=1000,
            business_date="2026-11-09",
            kind=RunKind.BACKFILL,
        )
        view.load()
        painted(view, 120, 40)
        assert view.gaps.cell.fate is Fate.LATE, "filled, after it was due"
        assert view.gaps.cell.run_key == "prod:daily_sales/now"
    finally:
        h.close()


def test_for_scripts(tale):
    view = GapsView(tale.context())
    view.load()
    data = json.loads(json.dumps(view.data()))
    sales = next(p for p in data["pipelines"] if p["key"] == SALES)
    assert sales["gaps"] == [{"from": "2026-11-03", "to": "2026-11-03"}, {"from": "2026-11-09", "to": "2026-11-10"}]
    assert sales["counts"]["missing"] == 2
    assert (data["from"], data["to"]) == (DAYS[0], DAYS[-1])
    rows = {(r["key"], r["date"]): r for r in view.rows()}
    assert rows[SALES, "2026-11-09"]["state"] == "missing"
    assert ("prod:new_report", "2026-11-09") not in rows


def test_every_key_of_the_footer_does_something(tale):
    view = view_of(tale, SALES)
    footer = painted(view, 200, 50)[-1]
    for action, word in (
        ("gaps.mark", "range"),
        ("pipeline.backfill", "fill"),
        ("owed.basis", "why"),
        ("view.pane", "chain"),
    ):
        assert f"{keymap.key_of(action)} {word}" in footer


# --- in the app -----------------------------------------------------------------------------------------------------


async def test_by_keys_from_the_floor_to_the_plan_of_a_backfill(tale):
    """As a person goes: 7, Tab, Tab, dates back to the gap, why, a range, the plan."""
    async with opened(tale, "floor") as app:
        pilot = app.pilot
        await pilot.press("7", "tab", "tab")
        assert "Gap map 6 pipelines" in text(app)
        while app.stack[-1].view.here.key != SALES:
            await pilot.press("j")
        await pilot.press(*["left"] * 10, "i")
        assert "daily_sales 2026-11-10, why" in text(app)
        assert "it was owed, and no run came" in text(app)
        await pilot.press("escape", "space", *["left"] * 7)
        assert "3–10 Nov" in text(app)
        await pilot.press("B")
        assert [(do, body["params"]) for do, body in app.link.seen] == [
            ("plan", {"from": "2026-11-03", "to": "2026-11-10", "reprocess": "failed", "backwards": False})
        ]


async def test_by_keys_to_the_run_that_filled_a_date(tale):
    async with opened(tale, "gaps", SALES) as app:
        app.stack[-1].view.gaps.day = "2026-10-14"
        await app.pilot.press("enter")
        assert app.stack[-1].view.name == "run"
        assert "daily_sales" in text(app)
