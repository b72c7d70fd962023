"""What the terminal asks: paging, the Floor's order, one run whole, gauges, alerts, actions, and how it is planned."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from adapters.model import ActionState, AlertState, Mode, RunKind, Sample, Severity, State, StepRun, run_key, step_key
from engine.store import samples, sources, steps
from engine.store.reader import Reader
from engine.store.rows import RunRow
from tests.store.rig import DAY, HOUR, MIN, NOW, Rig, a_run, past_runs


def keys(rows: Sequence[RunRow]) -> list[str]:
    return [row.key for row in rows]


# --- paging -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "narrow",
    [
        {},
        {"pipeline_key": "a:p"},
        {"states": [State.FAILED, State.RUNNING]},
        {"states": [State.SUCCESS]},
        {"text": "A:P"},
    ],
)
def test_pages_meet_without_gap_or_overlap_in_both_directions(rig: Rig, narrow: dict[str, Any]) -> None:
    """Across ties: many runs start in the same millisecond."""
    dice = random.Random(7)
    made = [
        a_run(
            f"r{i}",
            dice.choice([State.SUCCESS, State.FAILED, State.RUNNING]),
            started=NOW + dice.randrange(5),
            pipeline=dice.choice(["a:p", "a:q"]),
        )
        for i in range(120)
    ]
    rig.see(*made)
    whole = rig.reader.runs(limit=1000, **narrow)
    assert whole == sorted(whole, key=lambda r: (r.at, r.id), reverse=True)
    wanted = {
        run.key
        for run in made
        if (not narrow.keys() & {"pipeline_key", "text"} or run.key.startswith("a:p"))
        and run.state in narrow.get("states", [run.state])
    }
    assert set(keys(whole)) == wanted
    assert len(whole) == len(wanted)
    down: list[RunRow] = []
    while page := rig.reader.runs(before=(down[-1].at, down[-1].id) if down else None, limit=7, **narrow):
        down += page
    assert keys(down) == keys(whole)
    up = down[-1:]
    while page := rig.reader.runs(after=(up[0].at, up[0].id), limit=7, **narrow):
        up = page + up
    assert keys(up) == keys(whole)
    assert rig.reader.run_count() == 120


def test_a_filter_finds_words_of_the_pipeline_or_the_beginning_of_a_run(rig: Rig) -> None:
    rig.list("p", "sales_daily", "sales_weekly")
    rig.see(
        a_run("x1", pipeline="a:sales_daily"),
        a_run("x2", pipeline="a:sales_weekly"),
        a_run("manual__2026", pipeline="a:p"),
    )
    assert keys(rig.reader.runs(text="SALES weekly")) == ["a:sales_weekly/x2"]
    assert keys(rig.reader.runs(text="manual__")) == ["a:p/manual__2026"]
    assert keys(rig.reader.runs(text="manual__", states=[State.FAILED])) == []
    assert rig.reader.runs(text="100%_of nothing") == []
    assert rig.reader.runs(pipeline_key="a:none") == []
    assert rig.reader.runs(states=[]) == []


def test_a_filter_over_many_pipelines_walks_in_time(rig: Rig) -> None:
    names = [f"flow_{i}" for i in range(100)]
    rig.list(*names)
    rig.see(*(a_run("1", pipeline=f"a:{n}", started=NOW + i) for i, n in enumerate(names)), a_run("p"))
    assert keys(rig.reader.runs(text="flow", limit=3)) == ["a:flow_99/1", "a:flow_98/1", "a:flow_97/1"]


# --- the Floor ------------------------------------------------------------------------------------------------------------


def healthy(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        sources.put_health(tx, rig.source, health=1, since=NOW, last_ok=rig.clock.at, poll_ms=10_000)


def test_the_floor_has_the_worst_first(rig: Rig) -> None:
    names = ["fine", "held", "warned", "queued", "on", "stopping", "long", "missed", "broken", "broken2", "new", "hurt"]
    rig.list(*names)
    rig.see(*past_runs([10.0] * 8, pipeline="a:long"))
    now = {
        "fine": State.SUCCESS, "held": State.HELD, "warned": State.WARNING, "queued": State.QUEUED, "on": State.RUNNING,
        "stopping": State.STOPPING, "missed": State.MISSED, "broken": State.FAILED, "broken2": State.LOST, "hurt": State.FAILED,
    }  # fmt: skip
    rig.see(
        *(a_run("n", s, pipeline=f"a:{n}") for n, s in now.items()), a_run("n", pipeline="a:long", started=NOW - HOUR)
    )
    with rig.store.transaction() as tx:
        tx.db.execute("UPDATE pipeline SET criticality = 0 WHERE key = 'a:broken2'")
        tx.db.execute("UPDATE pipeline SET next_run = ? WHERE key = 'a:new'", (NOW + 5,))
        for n, (key, state) in enumerate(
            [("a:hurt/n", AlertState.FIRING), ("a:broken2/n", AlertState.ACKED), ("a:fine/n", AlertState.RESOLVED)]
        ):
            tx.db.execute(
                "INSERT INTO alert (id, dedup, rule, key, severity, state, title, body, opened, since, changed)"
                " VALUES (?, ?, 'failed run', ?, 1, ?, 't', 'b', 1, 2, 3)",
                (f"A{n}", f"d{n}", key, int(state)),
            )
    healthy(rig)
    order = [row.name for row in rig.reader.floor()]
    assert (
        order
        == [
            "hurt",
            "broken2",
            "broken",
            "missed",
            "long",
            "stopping",
            "on",
            "queued",
            "held",
            "warned",
            "new",
            "fine",
            "p",
        ][:13]
    )
    rows = {row.name: row for row in rig.reader.floor()}
    assert [(rows[n].alert_id, rows[n].alert_acked, rows[n].alert_since) for n in ("hurt", "broken2", "fine")] == [
        ("A0", False, 2), ("A1", True, 2), (None, False, None),
    ]  # fmt: skip
    assert [r.name for r in rig.reader.floor(limit=2)] == order[:2]
    assert [r.name for r in rig.reader.floor(limit=3, offset=2)] == order[2:5]
    ids = rig.reader.floor_ids(limit=4)
    rig.see(a_run("n2", State.SUCCESS, pipeline="a:hurt", started=NOW + HOUR, ended=NOW + HOUR))
    assert [r.name for r in rig.reader.floor_rows(ids)] == order[:4], (
        "the order of a screen holds while the operator moves"
    )
    counts = rig.reader.counts()
    assert (counts.total, counts.alerts, counts.unacked, counts.stale, counts.paused) == (13, 2, 1, 0, 0)
    assert counts.by_state[State.SUCCESS] == 2
    assert counts.by_state[State.LOST] == 1
    assert sum(counts.by_state.values()) == 11, "two never ran"


def test_a_blind_source_makes_its_pipelines_unknown_but_hides_no_failure(rig: Rig) -> None:
    rig.list("p", "broken", "paused", mode=Mode.PAUSED)
    rig.see(a_run("1", State.SUCCESS), a_run("1", State.FAILED, pipeline="a:broken"))
    healthy(rig)
    assert rig.reader.counts().stale == 0
    rig.clock.at += 30_001
    assert [r.name for r in rig.reader.floor()] == ["broken", "p", "paused"]
    counts = rig.reader.counts()
    assert (counts.stale, counts.paused, counts.total) == (3, 3, 3)


def test_a_filter_of_the_floor_looks_at_all_that_names_a_pipeline(rig: Rig) -> None:
    rig.list("p", "sales", tags=("nightly",), owner="Data-Eng")
    assert [r.name for r in rig.reader.floor("nightly data-eng SAL")] == ["sales"]
    assert [r.name for r in rig.reader.floor("prod")] == ["p", "sales"], "the environment too"
    assert rig.reader.floor("%") == []


# --- one run ----------------------------------------------------------------------------------------------------------------


def test_one_run_whole(rig: Rig) -> None:
    rig.see(
        a_run("0", State.SUCCESS, started=NOW - HOUR, ended=NOW),
        a_run("1", State.FAILED, ended=NOW + MIN),
        a_run("2", started=NOW + HOUR),
    )
    key = "a:p/1"
    made = [
        StepRun(
            run=key,
            step="load",
            native="failed",
            state=State.FAILED,
            order=2,
            started=NOW + 9,
            ended=NOW + MIN,
            exit_code=1,
        ),
        StepRun(run=key, step="extract", native="success", state=State.SUCCESS, order=1, started=NOW, ended=NOW + 9),
        StepRun(run=key, step="map", map_index=3, attempt=2, native="odd", state=State.WARNING, order=3),
    ]
    with rig.store.transaction() as tx:
        assert steps.apply_steps(tx, key, made)
        assert not steps.apply_steps(tx, key, made)
        assert not steps.apply_steps(tx, "a:p/none", made)
        steps.put_log(tx, key, "load", -1, 1, "/logs/x", 10, False, "c1", None)
    topics = rig.reader.topics()
    with rig.store.transaction() as tx:
        steps.put_log(tx, key, "load", -1, 1, "/logs/x", 10, False, "c1", None)
        known = steps.log_cursor(tx, key, "load", -1, 1)
        assert known is not None
        assert (known.size, known.complete, known.cursor) == (10, False, "c1")
        assert steps.log_cursor(tx, key, "load", -1, 2) is None
    assert rig.reader.changed_since(topics) == frozenset()
    detail = rig.reader.run(key)
    assert detail is not None
    assert [(s.key, s.state, s.native, s.attempt) for s in detail.steps] == [
        (step_key(key, "extract"), State.SUCCESS, "success", 1),
        (step_key(key, "load"), State.FAILED, "failed", 1),
        (step_key(key, "map", 3), State.WARNING, "odd", 2),
    ]
    assert [(g.step_key, g.path, g.size, g.complete) for g in detail.logs] == [
        (step_key(key, "load"), "/logs/x", 10, False)
    ]
    assert (detail.older, detail.newer) == ("a:p/0", "a:p/2")
    assert rig.reader.run(step_key(key, "load")) == detail, "a step's key finds its run"
    assert rig.reader.run("a:p/none") is None
    assert rig.reader.run("a:p") is None


def test_what_the_log_taught_about_a_step_is_not_forgotten(rig: Rig) -> None:
    rig.see(a_run("1", State.FAILED))
    said = StepRun(run="a:p/1", step="s", native="failed", state=State.FAILED, error="KeyError")
    with rig.store.transaction() as tx:
        steps.apply_steps(tx, "a:p/1", [said])
        assert not steps.apply_steps(tx, "a:p/1", [StepRun(run="a:p/1", step="s", native="failed", state=State.FAILED)])


def test_usual_of_steps_needs_three_runs_that_succeeded(rig: Rig) -> None:
    rig.see(*past_runs([1.0] * 4), a_run("now"))
    for i, ms in enumerate([100, 300, 200]):
        run = f"a:p/past-{i}"
        with rig.store.transaction() as tx:
            steps.apply_steps(
                tx, run, [StepRun(run=run, step="load", native="x", state=State.SUCCESS, started=NOW, ended=NOW + ms)]
            )
        detail = rig.reader.run("a:p/now")
        assert detail is not None
        assert detail.usual_steps == ({"load": 200} if i == 2 else {})


# --- numbers, alerts, actions -----------------------------------------------------------------------------------------------


def test_gauges_show_the_latest_and_its_past_and_nothing_for_a_sensor_that_fell_silent(rig: Rig) -> None:
    for i in range(30):
        t = NOW + i * 1000
        with rig.store.transaction() as tx:
            samples.put_samples(
                tx, t, [Sample("host.cpu", t, float(i), "%"), *([Sample("host.psi", t, 1.0)] if i < 2 else [])]
            )
            samples.describe_series(tx, "host.mem", unit="B", label="memory", max=8.0, note="no /proc/meminfo")
    cpu, mem, psi = rig.reader.gauges("host.", past=5)
    assert (cpu.value, cpu.t, cpu.past, cpu.unit) == (29.0, NOW + 29_000, (25.0, 26.0, 27.0, 28.0, 29.0), "%")
    assert (psi.value, psi.past) == (None, ())
    assert (mem.value, mem.label, mem.max, mem.note) == (None, "memory", 8.0, "no /proc/meminfo")
    assert [g.series for g in rig.reader.gauges(["host.psi", "host.cpu", "host.none"])] == ["host.psi", "host.cpu"]


def test_alerts_deliveries_and_actions_as_rows(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        for i, (state, severity) in enumerate([(1, 2), (1, 0), (2, 0), (5, 0), (0, 0)]):
            tx.db.execute(
                "INSERT INTO alert (id, dedup, rule, key, severity, state, title, body, opened, since, changed)"
                " VALUES (?, ?, 'r', 'a:p/1', ?, ?, 't', 'b', ?, 1, 1)",
                (f"A{i}", f"d{i}", severity, state, i),
            )
        tx.db.execute("INSERT INTO alert_event (alert_id, at, what, who, detail) VALUES ('A0', 1, 'opened', NULL, 'x')")
        tx.db.execute(
            "INSERT INTO outbox (id, alert_id, kind, recipient, notify_type, title, body, next_at, created)"
            " VALUES ('O1', 'A0', 'fire', 'ana', 'failure', 't', 'b', 5, 4)"
        )
        tx.db.execute(
            "INSERT INTO action (id, nonce, verb, key, pipeline_key, scope, state, client_id, plan_hash, plan, who, uid, created, changed)"
            " VALUES ('X1', 'n', 'stop', 'a:p/1', 'a:p', 'a:p', 3, 'c', 'h', '{}', 'ana', 1000, 1, 2)"
        )
        tx.db.execute("INSERT INTO action_event (action_id, at, state, words) VALUES ('X1', 1, 2, 'sent')")
        tx.db.execute("INSERT INTO armed VALUES ('prod', 'ana', 1000, ?), ('uat', 'ben', 1001, ?)", (NOW + HOUR, NOW))
        samples.put_processes(tx, NOW, [])
    reader = rig.reader
    assert [a.id for a in reader.alerts()] == ["A1", "A0", "A2"], "unacknowledged first, then the worst"
    assert [a.id for a in reader.alerts(open_only=False)] == ["A3", "A2", "A1", "A0"]
    alert = reader.alert("A2")
    assert alert is not None
    assert (alert.state, alert.severity) == (AlertState.ACKED, Severity.CRITICAL)
    assert reader.alert("none") is None
    assert [(e.what, e.detail) for e in reader.alert_events("A0")] == [("opened", "x")]
    assert [(d.recipient, d.state, d.next_at) for d in reader.deliveries("A0")] == [("ana", 0, 5)]
    assert reader.deliveries("A1") == []
    assert len(reader.deliveries()) == 1
    assert [(a.id, a.state) for a in reader.actions()] == [("X1", ActionState.VERIFYING)]
    assert reader.actions(key="a:p/7")[0].id == "X1"
    assert reader.actions(key="a:q") == []
    action = reader.action("X1")
    assert action is not None
    assert action.events == ((1, ActionState.EXECUTING, "sent"),)
    assert [a.environment for a in reader.armed()] == ["prod"]
    assert reader.processes() == []


# --- plans ------------------------------------------------------------------------------------------------------------------


class Watched(Reader):
    """Remembers what was asked."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[tuple[str, Any]] = []

    def all(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        self.asked.append((sql, values))
        return super().all(sql, values)


def test_no_question_of_a_screen_scans_the_runs(rig: Rig) -> None:
    rig.list(*(f"f{i}" for i in range(80)))
    rig.see(*(a_run(f"r{i}", State(2 + i % 9), pipeline=f"a:f{i % 80}", started=NOW + i) for i in range(400)))
    watched = Watched(rig.path, rig.clock.now)
    spot = (NOW + 50, 50)
    watched.floor("f", limit=10)
    watched.counts()
    for narrow in (
        {},
        {"states": [State.FAILED]},
        {"pipeline_key": "a:f1"},
        {"text": "f"},
        {"text": "f1"},
        {"text": "r39"},
    ):
        for place in ({}, {"before": spot}, {"after": spot}):
            watched.runs(limit=20, **narrow, **place)  # type: ignore[arg-type]
    watched.run("a:f1/r1")
    watched.run_count()
    watched.sources()
    watched.gauges("host.")
    assert len(watched.asked) > 40
    for sql, values in watched.asked:
        plan = [row[3] for row in Reader.all(watched, "EXPLAIN QUERY PLAN " + sql, values)]
        for line in plan:
            assert not re.search(r"^SCAN (r|run)$", line), (sql, plan)
        if sql.startswith("SELECT r.at, r.id FROM run r"):  # a page: already in order, however many there are
            assert not any("TEMP B-TREE FOR ORDER BY" in line for line in plan), (sql, plan)
    watched.close()


def test_history_takes_the_tier_that_fits(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        for i in range(0, 700):
            samples.put_samples(tx, NOW + i * 1000, [Sample("host.cpu", NOW + i * 1000, float(i % 10))])
    rows = rig.reader.history("host.cpu", NOW - MIN, NOW + 700_000)
    assert len(rows) == 69, "the bucket that is open is not shown yet"
    assert rows[1][1:] == (4.5, 0.0, 9.0)
    assert len(rig.reader.history("host.cpu", NOW - DAY, NOW + 700_000)) <= 2
    assert rig.reader.history("host.none", 0, NOW) == []


def test_a_key_of_a_run_that_needs_quoting_is_found(rig: Rig) -> None:
    key = run_key("a:p", "a b:c/d")
    rig.see(a_run("a b:c/d", kind=RunKind.MANUAL))
    (row,) = rig.reader.runs()
    assert row.key == key
    assert rig.reader.run(key) is not None
