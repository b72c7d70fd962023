"""The judge against what happens to floors: reloads, windows, disorder, warnings, what is upstream, and size."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Listing
from adapters.model import Owed, Pipeline, State, Trigger
from engine.config.model import PipelineRule, Source, Window
from engine.config.units import Moment
from engine.owed.predict import Course, Prediction, Risk
from engine.store import runs
from tests.owed.court import DAY, HOUR, MINUTE, PARIS, SECOND, Court, at, expect

TODAY = {"business_date": "2026-11-20"}
Made = Callable[..., Court]


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, folder: str = "a", **more: Any) -> Court:
        (tmp_path / folder).mkdir(exist_ok=True)
        made.append(Court(tmp_path / folder, *expectations, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- reloads, windows -----------------------------------------------------------------------------------------------


def test_a_reload_keeps_open_due_times(court: Made) -> None:
    floor = court(expect("ready", due="06:00"), expect("other", due="07:00"))
    floor.list("sales")
    floor.reload(expect("ready", due="05:30"), expect("other", due="07:00"))
    assert floor.owed("ready").due == at("06:00")
    assert [e.words for e in floor.reader.owed_events(0)] == ["ready: 2 open occurrences keep their old due time"]
    floor.until("05:35")
    assert floor.owed("ready").state is Owed.PENDING
    floor.until("2026-11-22 05:35", every=HOUR)
    assert floor.owed("ready", "2026-11-22").due == at("2026-11-22 05:30")


def test_a_reload_with_an_engine_that_was_down_keeps_them_too(court: Made) -> None:
    floor = court(expect("ready", due="06:00"))
    floor.list("sales")
    floor.ctx.config = replace(floor.config, expectations=(expect("ready", due="05:30"),))
    floor.restart()
    assert floor.owed("ready").due == at("06:00")
    assert len(floor.reader.owed_events(0)) == 1


def test_what_is_no_longer_configured_goes(court: Made) -> None:
    floor = court(expect("ready", due="06:00"), expect("early", due="05:00"))
    floor.list("sales", schedule=None)
    floor.until("05:01")
    floor.told()
    floor.reload()
    assert floor.told() == [("early", "EXCLUDED", False)]
    assert floor.ask("SELECT promise, gone FROM expectation ORDER BY 1") == [("early", 1), ("overdue", 0), ("ready", 1)]
    assert [(k, s) for k, s in floor.all("early")] == []
    floor.until("06:10")
    assert floor.told() == []
    floor.reload(expect("ready", due="06:30"))
    assert floor.owed("ready").due == at("06:30")


def test_expectations_taken_away_while_the_engine_was_down(court: Made) -> None:
    floor = court(expect("early", due="05:00"))
    floor.list("sales", schedule=None)
    floor.until("05:01")
    floor.ctx.config = replace(floor.config, expectations=())
    floor.restart()
    floor.tick()
    assert floor.told() == [("early", "EXCLUDED", False)]


def test_a_window_moves_what_falls_into_it(court: Made) -> None:
    patching = Window(
        name="patching", on="app:sales", kind="maintenance", start=Moment(minute=330), end=Moment(minute=390), timezone="Europe/Paris",
        expect="shift", post_grace_ms=15 * MINUTE,
    )  # fmt: skip
    rule = PipelineRule(match="air:sales", application="sales")
    floor = court(
        expect("ready", due="06:00"), expect("also", "air:other", due="06:00"), windows=(patching,), pipelines=(rule,)
    )
    floor.list("sales", "other")
    one = floor.owed("ready")
    assert (one.state, one.due, one.declared_due) == (Owed.SHIFTED, at("06:45"), at("06:00"))
    assert floor.owed("also").state is Owed.PENDING
    floor.tick()
    assert [(s.name, s.start, s.until) for s in floor.reader.spans(at("05:00"), at("07:00"))] == [
        ("patching", at("05:30"), at("06:30"))
    ]
    floor.until("06:46")
    assert floor.owed("ready").state is Owed.BREACHED


# --- warnings -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_owed_is_said(court: Made) -> None:
    floor = court(
        expect("e1", "air:events", "start_by"), expect("e2", "air:nowhere", due="06:00"), expect("e3", "tag:gone", due="06:00"),
        expect("e4", "set:x", "completeness", due="06:00", of=("app:none",)), expect("e5", "air:odd", due_after_schedule_ms=HOUR),
    )  # fmt: skip
    assert not [w for w in floor.reader.owed_warnings() if w.promise != "e4"], "nothing was listed yet"
    floor.list("events", schedule=None)
    floor.list("odd", schedule="0:05:00", trigger=Trigger.INTERVAL)
    said = {w.promise: w.words for w in floor.reader.owed_warnings()}
    assert said == {
        "e1": "air:events is started by events: it owes freshness or a due time by the clock, not a schedule",
        "e2": '"air:nowhere" matches no pipeline: nothing is owed by it',
        "e3": '"tag:gone" matches no pipeline: nothing is owed by it',
        "e4": '"app:none" matches no pipeline: nothing is owed by it',
        "e5": 'air:odd has no schedule that can be read ("0:05:00"): give it a due time by the clock',
    }
    assert {w.place for w in floor.reader.owed_warnings()} == {"watchfloor.toml:12"}
    floor.list("nowhere")
    assert "e2" not in {w.promise for w in floor.reader.owed_warnings()}


def test_the_sources_own_next_run_wins(court: Made) -> None:
    floor = court()
    floor.list("sales", next_run=at("04:00") + DAY)
    (said,) = floor.reader.owed_warnings()
    assert said.words == (
        'air:sales: schedule "0 5 * * *" in Europe/Paris reads as 2026-11-21T04:00Z, its source says 2026-11-21T03:00Z:'
        " no tick is owed until a [[pipeline]] gives it the right timezone"
    )
    floor.until("06:00")
    assert floor.told() == []  # a tick that we read wrongly is not called missed
    floor.list("sales", next_run=at("05:00") + DAY)
    assert floor.reader.owed_warnings() == []


def test_one_bad_pipeline_does_not_stop_the_others(court: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    floor = court(expect("a", "air:a", due="06:00"), expect("b", "air:b", due="06:00"))
    floor.list("a", "b")
    from engine.owed import witness

    real = witness.match

    def match(ones: Any, *more: Any) -> Any:
        if any(o.on == "air:a" for o in ones):
            raise ValueError("a date that never was")
        return real(ones, *more)

    monkeypatch.setattr(witness, "match", match)
    floor.restart()
    floor.until("06:01")
    assert floor.owed("b").state is Owed.BREACHED
    assert "owed: a of air:a: ValueError: a date that never was" in floor.lines


# --- order ----------------------------------------------------------------------------------------------------------


def outcome(floor: Court) -> list[Any]:
    return sorted(
        (r.key, r.state, r.reason, r.met_at, r.lateness_ms, r.missed, r.evidence)
        for r in floor.reader.owed(
            0, floor.now + 12 * HOUR
        )  # how far ahead it is opened is a matter of when it is looked
    )


def test_the_order_of_observations_does_not_matter(court: Made) -> None:
    def seen(floor: Court) -> list[Any]:
        return [
            floor.run("r1", "sales", "05:00", None, State.RUNNING, source_updated=at("05:00"), **TODAY),
            floor.run("r1", "sales", "05:00", "05:20", State.FAILED, source_updated=at("05:20"), **TODAY),
            floor.run("r2", "sales", "05:40", "06:10", rerun_of="air:sales/r1", source_updated=at("06:10"), **TODAY),
            floor.run("r0", "sales", "2026-11-19 05:00", "2026-11-19 06:30", business_date="2026-11-19", source_updated=at("04:00")),
            floor.run("m", "sales", "05:50", "05:55", source_updated=at("05:55")),
        ]  # fmt: skip

    expected: list[Any] | None = None
    for n, order in enumerate(itertools.permutations(range(5))):
        if n % 5:
            continue
        floor = court(expect("ready", due="06:00"), expect("starts", type="start_by"), folder=f"o{n}")
        floor.list("sales")
        floor.clock.at = at("06:30")
        for i in order:
            floor.see(seen(floor)[i])
            floor.clock.at += SECOND
        got = outcome(floor)
        expected = expected or got
        assert got == expected, order
        floor.close()
    assert expected is not None


def test_a_restart_at_any_moment_says_the_same(court: Made) -> None:
    said: list[list[Any]] = []
    for often in (False, True):
        floor = court(
            expect("ready", due="06:00", alert_if_late_by_ms=15 * MINUTE), expect("after", due_after_schedule_ms=HOUR),
            expect("set", "set:x", "completeness", due="08:00", of=("air:*",)), folder=f"r{often}",
        )  # fmt: skip
        floor.list("sales", "ads", schedule="0 */2 * * *")
        told: list[Any] = []
        for n in range(20):
            floor.until(floor.now + 13 * MINUTE)
            if n in (6, 7, 13):
                floor.see(floor.run(f"r{n}", "sales", floor.now - 5 * MINUTE, floor.now - MINUTE, **TODAY))
            told += floor.told()
            if often:
                floor.restart()
                floor.tick()
                told += floor.told()
        said.append([outcome(floor), told])
    assert said[0] == said[1]


# --- upstream, prediction -------------------------------------------------------------------------------------------


def test_the_root_is_the_furthest_that_is_broken(court: Made) -> None:
    floor = court(expect("ready", "air:mart", due="06:00"))
    floor.list("extract")
    floor.list("load", schedule=None, after=("air:extract", "air:mart"))  # with a cycle in it
    floor.list("mart", schedule=None, after=("air:load",))
    floor.until("05:20")
    floor.see(floor.run("1", "extract", "05:00", "05:10", State.FAILED, **TODAY))
    floor.until("06:01")
    (change,) = [c for c in floor.heard.changes if c.bound.promise.id == "ready"]
    assert change.root == "air:extract"
    assert {(e.up, e.down, e.kind) for e in floor.reader.edges()} >= {("air:load", "air:mart", "after")}


class Oracle:
    """Says at risk from 05:30 on."""

    def __init__(self) -> None:
        self.asked = 0

    def configured(self, tx: Any, edges: Any) -> None: ...
    def on_runs(self, tx: Any, changes: Any) -> None: ...

    def say(self, tx: Any, bound: Any, one: Any, runs: Any, now: int, risk: Risk) -> Any:
        from types import SimpleNamespace

        from engine.owed.history import Basis

        self.asked += 1
        bad = now >= at("05:30") and one.due_at == at("06:00")
        p = Prediction(
            Course.WAITING,
            now,
            one.due_at + MINUTE,
            one.due_at + HOUR,
            0.9 if bad else 0.1,
            9,
            20,
            None,
            Basis(True, 20),
        )
        return SimpleNamespace(
            prediction=p, risk=Risk(bad, 2 if bad else 0), words="p50 06:01" if bad else None, look_at=at("05:30") if now < at("05:30") else None, root="air:up" if bad else None
        )  # fmt: skip


def test_a_prediction_puts_it_at_risk_and_is_held_against_what_came(court: Made) -> None:
    floor = court(expect("ready", due="06:00"), outlook=Oracle())
    floor.list("sales")
    assert floor.owed("ready").prediction.late == 0.1
    floor.until("05:31")
    one = floor.owed("ready")
    assert (one.state, one.reason, one.prediction.late) == (Owed.AT_RISK, "p50 06:01; not started", 0.9)
    (change,) = [c for c in floor.heard.changes if c.bound.promise.id == "ready"]
    assert (change.after.state, change.root, change.prediction.late, change.alerting) == (
        Owed.AT_RISK,
        "air:up",
        0.9,
        False,
    )
    floor.restart()
    assert floor.owed("ready").state is Owed.AT_RISK
    floor.until("06:20")
    floor.see(floor.run("r1", "sales", "05:45", "06:15", **TODAY))
    late, was, ended = zip(*floor.ask(
        "SELECT p.late, was_late, ended FROM predicted p JOIN occurrence o ON o.id = p.occurrence_id WHERE o.due_at = ? ORDER BY p.at",
        at("06:00"),
    ), strict=True)  # fmt: skip
    assert late[0] == 0.1
    assert 0.9 in late
    assert set(was) == {1}
    assert set(ended) == {at("06:15")}
    assert floor.outlook.asked < 20


# --- size -----------------------------------------------------------------------------------------------------------


def test_two_thousand_pipelines(court: Made) -> None:
    many = 2_000
    floor = court(
        *(expect(f"e{n}", f"big:p{n}", due=f"{n % 24:02}:30") for n in range(many)),
        sources=(Source(name="big", kind="airflow", timezone="Europe/Paris"),),
    )
    items = [
        Pipeline(
            key=f"big:p{n}", name=f"p{n}", schedule=f"{n % 60} * * * *", timezone="Europe/Paris", trigger=Trigger.CRON
        )
        for n in range(many)
    ]
    began = time.process_time()
    with floor.store.transaction() as tx:
        floor.judge.on_pipelines(tx, "big", runs.apply_pipelines(tx, floor.ids["big"], Listing(items, True), ()))
    for _ in range(6):
        floor.tick()
    assert time.process_time() - began < 20
    assert floor.ask("SELECT count(DISTINCT promise) FROM expectation WHERE declared = 1") == [(many,)]
    assert floor.ask("SELECT count(DISTINCT expectation_id) FROM occurrence") == [(2 * many,)]
    # a poll that touches ten of them asks nobody else
    looked: list[str] = []
    look = floor.judge._looking.look  # pyright: ignore[reportPrivateUsage]
    floor.judge._looking.look = lambda tx, w, now: (looked.append(w.thing), look(tx, w, now))[1]  # type: ignore[method-assign]
    floor.clock.at += SECOND
    with floor.store.transaction() as tx:
        seen = [floor.run("r", f"big:p{n}", floor.now - SECOND) for n in range(10)]
        floor.judge.on_runs(tx, runs.apply_runs(tx, floor.ids["big"], seen, floor.now))
    assert "big:p0" in looked  # whose tick comes now; of the others the run is none of a tick's
    assert set(looked) <= {f"big:p{n}" for n in range(10)}


def test_a_clock_that_disagrees_later_is_noticed(court: Made) -> None:
    """Its source moves its next run to where our reading has no tick: from then on no tick of ours is owed."""
    floor = court()
    floor.list("sales", next_run=at("05:00"))
    assert not floor.reader.owed_warnings()
    floor.list("sales", next_run=at("06:00"))
    (warned,) = floor.reader.owed_warnings()
    assert "its source says 2026-11-20T05:00Z" in warned.words
    floor.until("05:20")
    assert not [s for s in floor.told() if s[1] == "BREACHED"], "a tick that its source does not make was missed"


def test_a_set_takes_in_what_a_source_tells_first(court: Made) -> None:
    """On a first start one source answers before the other: the set that is open waits for the pipelines of both."""
    floor = court(
        expect("all", "set:all", "completeness", due="06:00", of=("air:load_*", "dbx:load_*")),
        sources=(
            Source(name="air", kind="airflow", timezone=PARIS),
            Source(name="dbx", kind="airflow", timezone=PARIS),
        ),
    )
    floor.list("load_a", source="air")
    assert floor.owed("all").members == ("air:load_a",)
    floor.list("load_b", source="dbx")
    assert floor.owed("all").members == ("air:load_a", "dbx:load_b")
    floor.list("load_c", source="dbx")
    assert floor.owed("all").members == ("air:load_a", "dbx:load_b"), "what comes later is of tomorrow's"
