"""Observations: what counts as newer, new attempts, what is kept on write, listings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import Mode, RunKind, Severity, Shape, State, pipeline_key, run_key
from engine.config.model import PipelineRule
from engine.owed.quantile import quantile
from engine.store import current, runs
from engine.store.current import day_number
from tests.store.rig import DAY, HOUR, MIN, NOW, Rig, a_run, past_runs

# --- what is newer ----------------------------------------------------------------------------------------------------


def states(changes: list[runs.RunChange]) -> list[tuple[str, State | None, State, bool]]:
    return [(c.key, c.before, c.after, c.new_attempt) for c in changes]


def test_a_run_is_followed_from_queue_to_end(rig: Rig) -> None:
    assert states(rig.see(a_run(state=State.QUEUED, queued=NOW, started=None))) == [
        ("a:p/1", None, State.QUEUED, False)
    ]
    assert states(rig.see(a_run(started=NOW + 5))) == [("a:p/1", State.QUEUED, State.RUNNING, False)]
    (change,) = rig.see(a_run(state=State.FAILED, started=NOW + 5, ended=NOW + 65_000, error="KeyError"))
    assert (change.before, change.after, change.backfilled) == (State.RUNNING, State.FAILED, False)
    row = rig.reader.run("a:p/1")
    assert row is not None
    assert (row.row.queued, row.row.started, row.row.ended, row.row.error) == (NOW, NOW + 5, NOW + 65_000, "KeyError")
    assert rig.ask("SELECT at FROM run") == [(NOW + 5,)], "lists are ordered by the start, once it is known"


def test_an_older_observation_never_overwrites_a_newer_one(rig: Rig) -> None:
    rig.see(a_run(state=State.SUCCESS, ended=NOW + 9, source_updated=200))
    assert rig.see(a_run(state=State.RUNNING, source_updated=199)) == []
    assert rig.see(a_run(state=State.FAILED, ended=NOW + 9, source_updated=199)) == []
    assert rig.see(a_run(state=State.RUNNING, source_updated=200)) == [], "of one moment, the end is the later word"
    assert states(rig.see(a_run(state=State.FAILED, ended=NOW + 9, source_updated=201))) == [
        ("a:p/1", State.SUCCESS, State.FAILED, False)
    ]


def test_two_observations_in_one_poll_are_judged_by_their_time_not_their_place(rig: Rig) -> None:
    changes = rig.see(
        a_run(state=State.SUCCESS, ended=NOW, source_updated=20), a_run(state=State.RUNNING, source_updated=10)
    )
    assert states(changes) == [("a:p/1", None, State.SUCCESS, False)]


def test_a_wall_clock_that_steps_back_does_not_blind_the_store(rig: Rig) -> None:
    rig.see(a_run())
    assert states(rig.see(a_run(state=State.SUCCESS, ended=NOW), later=-3 * HOUR)) == [
        ("a:p/1", State.RUNNING, State.SUCCESS, False)
    ]


def test_times_of_two_clocks_are_not_compared(rig: Rig) -> None:
    """First seen without a time of the source's; its own, earlier than our clock, is newer all the same."""
    rig.see(a_run())
    assert rig.see(a_run(state=State.SUCCESS, ended=NOW, source_updated=NOW - HOUR)) != []


@pytest.mark.parametrize("number", [2, 1])
def test_a_run_opened_again_keeps_both_attempts(rig: Rig, number: int) -> None:
    """With an attempt number of the source's own, and (clear in Airflow) without."""
    rig.see(a_run(state=State.FAILED, ended=NOW + 10, error="disk full", exit_code=3))
    (change,) = rig.see(a_run(state=State.RUNNING, started=NOW + 50, attempt=number))
    assert (change.before, change.after, change.new_attempt) == (State.FAILED, State.RUNNING, True)
    assert rig.see(a_run(state=State.RUNNING, started=NOW + 50, attempt=number)) == []
    rig.see(a_run(state=State.SUCCESS, started=NOW + 50, ended=NOW + 90, attempt=number))
    detail = rig.reader.run("a:p/1")
    assert detail is not None
    assert [(a.attempt, a.state, a.started, a.ended) for a in detail.attempts] == [(1, State.FAILED, NOW, NOW + 10)]
    assert (detail.row.attempt, detail.row.state, detail.row.started, detail.row.ended) == (
        2,
        State.SUCCESS,
        NOW + 50,
        NOW + 90,
    )
    assert (detail.row.error, detail.exit_code) == (None, None), "what the first attempt said is not said of the second"
    assert rig.ask("SELECT ok, bad FROM run_day") == [(1, 0)], "one run counts once, as it is now"
    rig.see(a_run(state=State.RUNNING, started=NOW + 150, attempt=number + 1))
    again = rig.reader.run("a:p/1")
    assert again is not None
    assert [a.state for a in again.attempts] == [State.FAILED, State.SUCCESS]


def test_an_earlier_attempt_seen_late_is_ignored(rig: Rig) -> None:
    rig.see(a_run(state=State.RUNNING, attempt=2))
    assert rig.see(a_run(state=State.FAILED, ended=NOW, attempt=1)) == []


def test_what_we_inferred_gives_way_without_a_new_attempt(rig: Rig) -> None:
    rig.see(a_run())
    rig.see(a_run(state=State.LOST, sub="exit status unknown"))
    (change,) = rig.see(a_run())
    assert (change.before, change.after, change.new_attempt) == (State.LOST, State.RUNNING, False)
    assert rig.ask("SELECT attempt, ended FROM run") == [(1, None)]


def test_what_a_source_leaves_out_stays_known(rig: Rig) -> None:
    rig.see(
        a_run(
            state=State.FAILED,
            ended=NOW + 5,
            error="from the log",
            business_date="2026-11-20",
            url="http://x/1",
            params={"b": 2},
        )
    )
    assert rig.see(a_run(state=State.FAILED)) == []
    (change,) = rig.see(a_run(state=State.STOPPED, stopped_by="ana"))
    assert change.after is State.STOPPED
    detail = rig.reader.run("a:p/1")
    assert detail is not None
    assert (detail.row.error, detail.row.business_date, detail.row.ended) == ("from the log", "2026-11-20", NOW + 5)
    assert (detail.url, detail.params, detail.stopped_by) == ("http://x/1", {"b": 2}, "ana")
    assert rig.see(a_run(state=State.SUCCESS)) != []
    marked = rig.reader.run("a:p/1")
    assert marked is not None
    assert (marked.row.error, marked.stopped_by) == (None, None)


def test_history_raises_nothing_but_what_was_live_still_does(rig: Rig) -> None:
    (old,) = rig.see(a_run("old", State.FAILED, ended=NOW, backfilled=True))
    assert old.backfilled
    rig.see(a_run("live"))
    (live,) = rig.see(a_run("live", State.FAILED, ended=NOW, backfilled=True))
    assert not live.backfilled, "it was live when it failed, however we heard of it"
    (cleared,) = rig.see(a_run("old", State.RUNNING, started=NOW + 9))
    assert not cleared.backfilled
    (failed,) = rig.see(a_run("old", State.FAILED, started=NOW + 9, ended=NOW + 10))
    assert not failed.backfilled


def test_first_seen_at_its_end_is_marked(rig: Rig) -> None:
    rig.see(
        a_run("late", State.SUCCESS, ended=NOW), a_run("made", State.SUCCESS, ended=NOW, generated=True), a_run("live")
    )
    notes = {name: rig.reader.run(f"a:p/{name}") for name in ("late", "made", "live")}
    assert {n: d.note for n, d in notes.items() if d} == {
        "late": "first seen when it had ended", "made": "made up for the demo", "live": None,
    }  # fmt: skip
    assert [(r.run, r.row.generated) for r in notes.values() if r] == [("late", False), ("made", True), ("live", False)]


def test_text_from_outside_cannot_break_the_store(rig: Rig) -> None:
    nasty = "\x1b]0;owned\x07 \ud800 \x00 " + "x" * 10_000
    name = "manual__2026-11-20T05:00:00+00:00 / # % é"
    rig.see(a_run(name, State.FAILED, error=nasty, sub=nasty, native="weird\udfff"))
    key = run_key("a:p", name)
    detail = rig.reader.run(key)
    assert detail is not None
    assert detail.run == name
    assert detail.row.key == key
    assert len(detail.row.error or "") == 2000
    assert rig.see(a_run(name, State.FAILED, error=nasty, sub=nasty, native="weird\udfff")) == []
    with pytest.raises(ValueError, match="not the key of a run"):
        rig.see(a_run().__class__(key="a:p", native="x", state=State.RUNNING))


def test_a_native_word_is_kept_and_our_own_costs_nothing(rig: Rig) -> None:
    rig.see(a_run("1", State.SUCCESS, native="success"), a_run("2", State.SUCCESS, native="EXECUTION_SUCCESS"))
    assert rig.ask("SELECT run_id, native FROM run_extra") == [(2, "EXECUTION_SUCCESS")]
    assert {r.key: r.native for r in rig.reader.runs()} == {"a:p/1": "success", "a:p/2": "EXECUTION_SUCCESS"}


@pytest.mark.parametrize("form", ["https://air/dags/p/runs/{}", "https://air/dags/p/runs/{}?tab=x", "https://other/{}"])
def test_urls_come_back_as_they_were(rig: Rig, form: str) -> None:
    from urllib.parse import quote

    rig.list("p", url="https://air/dags/p")
    names = ["plain", "scheduled__2026-11-20T05:00:00+00:00", "a b/c"]
    urls = {n: form.format(how(n)) for n, how in zip(names, (str, str, lambda n: quote(n, safe="")), strict=True)}
    rig.see(*(a_run(n, url=u) for n, u in urls.items()))
    for name, url in urls.items():
        detail = rig.reader.run(run_key("a:p", name))
        assert detail is not None
        assert detail.url == url
    assert rig.see(*(a_run(n, url=u) for n, u in urls.items())) == []


# --- what is kept on write ---------------------------------------------------------------------------------------------

H = [38, 40, 41, 41, 42, 42, 43, 43, 44, 44, 45, 45, 46, 47, 48, 49, 52, 55, 61, 74]


def test_usual_is_the_worked_example(rig: Rig) -> None:
    assert quantile(H, 0.5) == 44.5
    assert quantile(H, 0.9) == pytest.approx(55.6)
    rig.see(*past_runs(H[::-1]))
    (row,) = rig.reader.floor()
    assert (row.usual_ms, row.p90_ms, row.usual_n) == (44.5 * MIN, 55.6 * MIN, 20)


def test_what_counts_as_history(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 8))
    others: list[Any] = [
        a_run("manual", State.SUCCESS, kind=RunKind.MANUAL, ended=NOW + HOUR),
        a_run("backfill", State.SUCCESS, kind=RunKind.BACKFILL, ended=NOW + HOUR),
        a_run("partial", State.SUCCESS, shape=Shape.PARTIAL, ended=NOW + HOUR),
        a_run("cleared", State.SUCCESS, attempt=2, ended=NOW + HOUR),
        a_run("failed", State.FAILED, ended=NOW + HOUR),
        a_run("warned", State.WARNING, ended=NOW + HOUR),
        a_run("ancient", State.SUCCESS, started=NOW - 61 * DAY, ended=NOW - 60 * DAY),
        a_run("open", State.SUCCESS, started=None, ended=NOW),
    ]
    rig.see(*others)
    assert rig.ask("SELECT usual_ms, usual_n FROM pipe_now") == [(10 * MIN, 8)]


def test_below_eight_runs_nothing_is_usual_yet(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 7))
    (row,) = rig.reader.floor()
    assert (row.usual_ms, row.p90_ms, row.usual_n) == (None, None, 7)
    assert {height for _, height in row.strip} == {1}, "a flat line while there is no usual"


def test_shapes_have_usuals_of_their_own(rig: Rig) -> None:
    rig.see(*past_runs([60.0] * 9, shape=Shape.FULL))
    rig.see(
        *[
            a_run(f"inc{i}", State.SUCCESS, shape=Shape.INCREMENTAL, started=NOW + i, ended=NOW + i + 5 * MIN)
            for i in range(8)
        ]
    )
    assert rig.ask("SELECT usual_ms, usual_n FROM pipe_now") == [(5 * MIN, 8)]
    rig.see(a_run("full", shape=Shape.FULL, started=NOW + HOUR))
    assert rig.ask("SELECT usual_ms, usual_n FROM pipe_now") == [(60 * MIN, 9)]


def test_the_strip_shows_the_last_thirty_with_heights_against_the_usual(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 40))
    times = [7.4, 10, 12.5, 15, 20, 30]
    rig.see(
        *[
            a_run(f"t{i}", State.SUCCESS, kind=RunKind.MANUAL, started=NOW + i, ended=NOW + i + int(m * MIN))
            for i, m in enumerate(times)
        ]
    )
    rig.see(a_run("bad", State.FAILED, started=NOW + 90, ended=NOW + 91), a_run("on", started=NOW + 99))
    (row,) = rig.reader.floor()
    assert len(row.strip) == 30
    assert [height for _, height in row.strip[-8:-2]] == [0, 1, 2, 3, 5, 7]
    assert [state for state, _ in row.strip[-2:]] == [State.FAILED, State.RUNNING]
    assert row.strip[0] == (State.SUCCESS, 1)


def test_the_current_row_is_the_run_that_started_last(rig: Rig) -> None:
    rig.see(a_run("2", started=NOW + 100, sub="step load", business_date="2026-11-20"))
    rig.see(a_run("1", State.SUCCESS, started=NOW, ended=NOW + 50, native="done"))
    (row,) = rig.reader.floor()
    assert (row.run_key, row.state, row.sub, row.native, row.active, row.last_ok, row.business_date) == (
        "a:p/2", State.RUNNING, "step load", "running", 1, NOW + 50, "2026-11-20",
    )  # fmt: skip
    rig.see(a_run("1", State.RUNNING, started=NOW + 200))
    (row,) = rig.reader.floor()
    assert (row.run_key, row.active, row.attempt) == ("a:p/1", 2, 2)
    rig.see(a_run("1", State.RUNNING, started=NOW + 20, attempt=3))
    (row,) = rig.reader.floor()
    assert (row.run_key, row.active) == ("a:p/2", 2), "the newest one went back in time"


def test_days_are_civil_days() -> None:
    assert [day_number(t) for t in (0, -1, 951_782_400_000, 951_868_800_000, NOW)] == [
        19700101,
        19691231,
        20000229,
        20000301,
        20261118,
    ]


def test_day_counts_follow_a_run_that_moves(rig: Rig) -> None:
    rig.see(
        a_run("1", State.FAILED, started=NOW, ended=NOW + MIN),
        a_run("2", State.SUCCESS, started=NOW, ended=NOW + 2 * MIN),
    )
    rig.see(a_run("1", State.SUCCESS, started=NOW - DAY, ended=NOW - DAY + MIN))
    assert rig.ask("SELECT day, ok, bad, busy_ms FROM run_day ORDER BY day") == [
        (20261117, 1, 0, MIN),
        (20261118, 1, 0, 2 * MIN),
    ]


_observation = st.fixed_dictionaries(
    {
        "name": st.integers(0, 45),
        "state": st.sampled_from(
            [State.QUEUED, State.RUNNING, State.SUCCESS, State.SUCCESS, State.FAILED, State.LOST, State.WARNING]
        ),
        "start": st.one_of(st.none(), st.integers(0, 60)),
        "took": st.integers(0, 50),
        "attempt": st.integers(1, 2),
        "kind": st.sampled_from([RunKind.SCHEDULED, RunKind.SCHEDULED, RunKind.MANUAL]),
        "shape": st.sampled_from([Shape.FULL, Shape.FULL, Shape.INCREMENTAL, Shape.PARTIAL]),
        "updated": st.one_of(st.none(), st.integers(1, 9)),
    }
)


@given(polls=st.lists(st.lists(_observation, max_size=12), max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_kept_on_write_equals_what_is_computed_from_the_runs(
    rig: Rig, polls: list[list[dict[str, Any]]]
) -> None:
    """Any order of any observations: pipe_now, run_day and tally say what the runs say."""
    with rig.store.transaction() as tx:
        for table in ("run", "run_extra", "attempt", "pipe_now", "run_day", "tally"):
            tx.db.execute(f"DELETE FROM {table}")  # noqa: S608
        tx.memo.clear()
    rig.clock.at = NOW
    for poll in polls:
        rig.see(
            *(
                a_run(
                    str(o["name"]), o["state"], started=None if o["start"] is None else NOW + o["start"] * MIN,
                    ended=NOW + (o["start"] or 0) * MIN + o["took"] * 1000 if o["state"].terminal else None,
                    attempt=o["attempt"], kind=o["kind"], shape=o["shape"], source_updated=o["updated"],
                )
                for o in poll
            )
        )  # fmt: skip
    columns = "run_id, run, state, sub, native, kind, attempt, bdate, at, queued, started, ended, active, usual_ms, p90_ms, usual_n, strip, error"
    with rig.store.transaction() as tx:
        kept = tx.db.execute(f"SELECT {columns} FROM pipe_now").fetchall()  # noqa: S608
        days = dict(tx.db.execute("SELECT day, ok + warning + bad + other FROM run_day").fetchall())
        busy = tx.db.execute("SELECT coalesce(sum(busy_ms), 0) FROM run_day").fetchone()[0]
        for (pipeline_id,) in tx.db.execute("SELECT pipeline_id FROM pipe_now").fetchall():
            tx.memo.clear()
            current.rebuild_now(tx, pipeline_id)
        assert kept == tx.db.execute(f"SELECT {columns} FROM pipe_now").fetchall()  # noqa: S608
        rows = tx.db.execute("SELECT at, state, started, ended FROM run").fetchall()
        counted: dict[int, int] = {}
        for at, state, _, _ in rows:
            if state >= 6:
                counted[day_number(at)] = counted.get(day_number(at), 0) + 1
        assert {d: n for d, n in days.items() if n} == counted
        assert busy == sum(max(e - s, 0) for _, state, s, e in rows if state >= 6 and s is not None and e is not None)
        assert (tx.db.execute("SELECT value FROM tally").fetchone() or (0,))[0] == len(rows)


# --- listings -----------------------------------------------------------------------------------------------------------


def mode(rig: Rig, key: str) -> Mode:
    row = rig.reader.pipeline(key)
    assert row is not None
    return row.mode


def test_gone_after_two_complete_listings_never_after_a_partial_one(rig: Rig) -> None:
    assert rig.list("p", "q") == [("a:q", "new")]
    rig.see(a_run("1", pipeline="a:q"))
    for _ in range(3):
        assert rig.list("p", complete=False) == []
    assert rig.list("p") == []
    assert mode(rig, "a:q") is Mode.ACTIVE
    assert rig.list("p") == [("a:q", "gone")]
    assert rig.list("p") == []
    assert mode(rig, "a:q") is Mode.GONE
    assert [r.key for r in rig.reader.floor()] == ["a:p"]
    assert [r.key for r in rig.reader.runs()] == ["a:q/1"], "its history stays"
    assert rig.list("p", "q") == [("a:q", "back")]
    assert mode(rig, "a:q") is Mode.ACTIVE
    rig.list("p")
    rig.list("p", "q")
    rig.list("p")
    assert mode(rig, "a:q") is Mode.ACTIVE, "two in a row, not two in all"


def test_paused_resumed_renamed(rig: Rig) -> None:
    from adapters.base import Listing
    from adapters.model import Pipeline

    def listed(name: str, m: Mode) -> list[tuple[str, str]]:
        rig.clock.at += 1
        with rig.store.transaction() as tx:
            return runs.apply_pipelines(tx, rig.source, Listing([Pipeline(key="a:p", name=name, mode=m)], True), [])

    assert listed("p", Mode.PAUSED) == [("a:p", "paused")]
    row = rig.reader.pipeline("a:p")
    assert row is not None
    assert row.mode_since == rig.clock.at
    assert listed("p", Mode.ACTIVE) == [("a:p", "resumed")]
    assert listed("Daily sales", Mode.ACTIVE) == [("a:p", "renamed")]


def test_a_run_may_come_before_its_pipeline_is_listed(rig: Rig) -> None:
    key = pipeline_key("a", "new flow")
    rig.see(a_run("1", pipeline=key))
    assert [(r.key, r.name, r.state) for r in rig.reader.floor("new")] == [(key, "new flow", State.RUNNING)]


def test_rules_say_what_the_orchestrator_does_not_know(rig: Rig) -> None:
    rules = [
        PipelineRule(match="*", layer="LDZ", owner="data-eng", criticality=Severity.LOW),
        PipelineRule(
            match="a:p*", application="CDM", consumers=("bi", "crm"), runbook="r.md", business_date="start - 1d"
        ),
        PipelineRule(match="app:CDM", criticality=Severity.CRITICAL),
        PipelineRule(match="tag:never", owner="nobody"),
    ]
    rig.list("p", "z", rules=rules, owner="airflow", tags=("nightly",))
    rows = {r.key: r for r in rig.reader.floor()}
    p, z = rows["a:p"], rows["a:z"]
    assert (p.application, p.layer, p.owner, p.criticality) == ("CDM", "LDZ", "data-eng", Severity.CRITICAL)
    assert (z.application, z.layer, z.owner, z.criticality) == (None, "LDZ", "data-eng", Severity.LOW)
    rig.see(a_run())
    detail = rig.reader.run("a:p/1")
    assert detail is not None
    assert (detail.consumers, detail.runbook, detail.layer) == (("bi", "crm"), "r.md", "LDZ")
    assert rig.list("p", "z", rules=rules, owner="airflow", tags=("nightly",)) == []
    rig.list("p", "z", owner="airflow", tags=("nightly",))
    row = rig.reader.pipeline("a:p")
    assert row is not None
    assert (row.owner, row.criticality, row.application) == ("airflow", Severity.MEDIUM, None)
