"""The history of a pipeline: its runs, their steps folded to one cell, what is ordinary, and how that is planned."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import RunKind, State, StepDef, StepRun
from engine.store import history, history_asked, steps
from engine.store.reader import Reader
from engine.store.rows import PastRun, PastStep, StepsRead, steps_read
from tests.store.rig import DAY, HOUR, MIN, NOW, Rig, a_run, past_runs


def a_step(
    run: str, step: str, state: State = State.SUCCESS, *, index: int = -1, attempt: int = 1, **more: Any
) -> StepRun:
    given_: dict[str, Any] = {"native": state.name.lower(), "started": NOW, "ended": NOW + MIN, **more}
    return StepRun(run=run, step=step, state=state, map_index=index, attempt=attempt, **given_)


def put(rig: Rig, run: str, *found: StepRun) -> None:
    with rig.store.transaction() as tx:
        steps.apply_steps(tx, run, found)


def folded(rig: Rig, run: str = "a:p/1") -> dict[str, PastStep]:
    found = rig.reader.past_runs("a:p")
    assert found is not None
    row = next(r for r in found.runs if r.key == run)
    return {s.step: s for s in rig.reader.past_steps([row.id]).get(row.id, ())}


# --- runs -----------------------------------------------------------------------------------------------------------


def test_runs_come_oldest_first_and_say_whether_there_are_more(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 40))
    found = rig.reader.past_runs("a:p", limit=30)
    assert found is not None
    assert [r.key for r in found.runs] == [f"a:p/past-{i}" for i in range(10, 40)]
    assert found.more
    whole = rig.reader.past_runs("a:p")
    assert whole is not None
    assert len(whole.runs) == 40
    assert not whole.more
    assert rig.reader.past_runs("a:nothing") is None


def test_what_is_usual_is_what_the_floor_says(rig: Rig) -> None:
    rig.see(*past_runs([10, 12, 9, 14, 30, 11, 10, 13, 8, 10, 12]))
    rig.see(
        a_run("odd", State.FAILED, ended=NOW + 90 * MIN),
        a_run("hand", State.SUCCESS, ended=NOW + HOUR, kind=RunKind.MANUAL),
    )
    found = rig.reader.past_runs("a:p")
    floor = rig.reader.pipeline("a:p")
    assert found is not None
    assert floor is not None
    assert (found.ordinary.n, found.ordinary.p50, found.ordinary.p90) == (floor.usual_n, floor.usual_ms, floor.p90_ms)
    assert found.ordinary.p25 is not None
    assert found.ordinary.p75 is not None
    assert found.ordinary.p25 <= found.ordinary.p50 <= found.ordinary.p75 <= found.ordinary.p90  # type: ignore[operator]


def test_below_eight_runs_nothing_is_usual(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 5))
    found = rig.reader.past_runs("a:p")
    assert found is not None
    assert (found.ordinary.n, found.ordinary.need, found.ordinary.p50) == (5, 8, None)


def test_a_level_shift_is_dated_and_measured(rig: Rig) -> None:
    rig.see(*past_runs([31, 30, 32, 31, 30, 31, 32, 30, 31, 31, 44, 45, 43, 44, 44, 45]))
    found = rig.reader.past_runs("a:p")
    assert found is not None
    assert found.shift is not None
    assert found.shift.since == found.runs[10].started
    assert (found.shift.before, found.shift.after) == (31 * MIN, 44 * MIN)


def test_noise_is_no_shift(rig: Rig) -> None:
    rig.see(*past_runs([31, 30, 60, 31, 30, 31, 32, 30, 31, 31, 44, 45, 31, 30, 32, 31]))
    found = rig.reader.past_runs("a:p")
    assert found is not None
    assert found.shift is None


# --- steps ----------------------------------------------------------------------------------------------------------


def test_the_last_try_counts_and_mapped_steps_are_the_worst_of_them(rig: Rig) -> None:
    rig.see(a_run("1", State.FAILED, ended=NOW + HOUR))
    run = "a:p/1"
    put(
        rig, run,
        a_step(run, "load", State.FAILED, attempt=1), a_step(run, "load", State.SUCCESS, attempt=2, ended=NOW + 3 * MIN),
        *(a_step(run, "part", State.FAILED if i in (3, 7) else State.SUCCESS, index=i) for i in range(12)),
    )  # fmt: skip
    found = folded(rig)
    assert (found["load"].state, found["load"].tries, found["load"].count) == (State.SUCCESS, 2, 1)
    assert (found["part"].state, found["part"].count, found["part"].alike, found["part"].mapped) == (
        State.FAILED,
        12,
        2,
        True,
    )
    assert found["load"].ms == 3 * MIN


def test_a_step_that_goes_on_has_no_end(rig: Rig) -> None:
    rig.see(a_run("1", State.RUNNING))
    run = "a:p/1"
    put(rig, run, a_step(run, "p", index=0), a_step(run, "p", State.RUNNING, index=1, ended=None))
    assert folded(rig)["p"].state is State.RUNNING
    assert folded(rig)["p"].ms is None


def test_steps_stand_in_their_order(rig: Rig) -> None:
    rig.see(a_run("1", State.SUCCESS, ended=NOW + HOUR))
    run = "a:p/1"
    put(rig, run, a_step(run, "z", order=0), a_step(run, "a", order=1), a_step(run, "m", order=2))
    assert list(folded(rig)) == ["z", "a", "m"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-1, 2), st.integers(1, 3), st.sampled_from(list(State)[:13])),
        max_size=14,
    )
)
def test_each_step_stands_once_and_no_state_is_invented(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, int, int, State]]
) -> None:
    rig = Rig(tmp_path_factory.mktemp("fold"))
    try:
        rig.see(a_run("1", State.FAILED, ended=NOW + HOUR))
        run = "a:p/1"
        unique = {(s, i, a): state for s, i, a, state in made}
        put(rig, run, *(a_step(run, s, state, index=i, attempt=a) for (s, i, a), state in unique.items()))
        found = folded(rig)
        before, history_asked.FEW = history_asked.FEW, 0  # by the store itself: the same
        try:
            assert list(folded(rig).items()) == list(found.items())
        finally:
            history_asked.FEW = before
        last: dict[str, dict[int, State]] = {}
        for (s, i, _), state in sorted(unique.items(), key=lambda e: e[0][2]):
            last.setdefault(s, {})[i] = state
        assert found.keys() == last.keys()
        for name, step in found.items():
            states = list(last[name].values())
            assert step.state in states
            assert step.count == len(states)
            assert step.alike == states.count(step.state)
            assert step.state.bad == any(s.bad for s in states)
    finally:
        rig.close()


# --- what is known of a run's steps ---------------------------------------------------------------------------------


def run_of(state: State = State.SUCCESS, *, started: int = NOW, ended: int | None = NOW + HOUR) -> PastRun:
    return PastRun(1, "a:p/1", state, None, None, RunKind.SCHEDULED, 1, None, started, None, started, ended, None)


@pytest.mark.parametrize(
    ("run", "found", "said"),
    [
        (run_of(), [], StepsRead.NONE),
        (run_of(), [PastStep("a", State.SUCCESS, started=NOW, ended=NOW + MIN)], StepsRead.WHOLE),
        (run_of(), [PastStep("a", State.RUNNING, started=NOW)], StepsRead.EARLY),
        (run_of(State.RUNNING, ended=None), [PastStep("a", State.RUNNING, started=NOW)], StepsRead.WHOLE),
        (run_of(), [PastStep("a", State.FAILED, started=NOW - HOUR, ended=NOW - MIN)], StepsRead.EARLY),
        (run_of(), [PastStep("a", State.QUEUED)], StepsRead.WHOLE),
    ],
)
def test_steps_read_before_the_end_are_not_taken_for_the_end(
    run: PastRun, found: list[PastStep], said: StepsRead
) -> None:
    assert steps_read(run, found) is said


def test_the_engine_wants_the_steps_that_are_not_known_newest_first(rig: Rig) -> None:
    rig.see(*past_runs([10.0] * 6), a_run("now", State.RUNNING), a_run("due", State.MISSED, started=None, queued=NOW))
    first = "a:p/past-5"
    put(
        rig,
        first,
        a_step(first, "load", started=NOW - 20 * DAY + 30 * HOUR, ended=NOW - 20 * DAY + 30 * HOUR + 10 * MIN),
    )
    early = "a:p/past-4"
    put(rig, early, a_step(early, "load", State.RUNNING, ended=None))
    with rig.store.transaction() as tx:
        assert [w.key for w in history.without_steps(tx, "a:p", 30)] == [f"a:p/past-{i}" for i in (4, 3, 2, 1, 0)]
        assert [w.key for w in history.without_steps(tx, "a:p", 3)] == ["a:p/past-4", "a:p/past-3"]
        assert history.without_steps(tx, "a:none", 30) == []


def test_the_last_success_before_a_run(rig: Rig) -> None:
    rig.see(
        *past_runs([10.0] * 3),
        a_run("bad", State.FAILED, started=NOW - HOUR, ended=NOW),
        a_run("worse", State.FAILED, ended=NOW),
    )
    assert rig.reader.success_before("a:p/worse") == "a:p/past-2"
    assert rig.reader.success_before("a:p/past-0") is None
    assert rig.reader.success_before("a:p/none") is None


def test_steps_as_they_are_defined(rig: Rig) -> None:
    rig.list("q", steps=(StepDef(name="a"), StepDef(name="b", after=("a",))))
    assert [(s.name, s.after) for s in rig.reader.step_plan("a:q")] == [("a", ()), ("b", ("a",))]
    assert rig.reader.step_plan("a:p") == ()


def test_runs_that_go_on_after_a_step_failed(rig: Rig) -> None:
    rig.list("q")
    rig.see(a_run("1"), a_run("1", pipeline="a:q"))
    put(rig, "a:p/1", a_step("a:p/1", "load", State.FAILED), a_step("a:p/1", "other", State.RUNNING, ended=None))
    put(rig, "a:q/1", a_step("a:q/1", "load", State.SUCCESS))
    assert [key for _, key in rig.reader.failing_on()] == ["a:p/1"]


# --- plans ----------------------------------------------------------------------------------------------------------


class Watched(Reader):
    def __init__(self, *given_: Any) -> None:
        super().__init__(*given_)
        self.asked: list[tuple[str, Any]] = []

    def all(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        self.asked.append((sql, values))
        return super().all(sql, values)


def test_no_question_scans_runs_or_steps(rig: Rig) -> None:
    rig.list(*(f"f{i}" for i in range(80)))
    rig.see(*(a_run(f"r{i}", State(2 + i % 9), pipeline=f"a:f{i % 80}", started=NOW + i) for i in range(400)))
    watched = Watched(rig.path, rig.clock.now)
    found = watched.past_runs("a:f1")
    assert found is not None
    watched.past_steps([r.id for r in found.runs])
    watched.success_before(found.runs[-1].key)
    watched.step_plan("a:f1")
    watched.failing_on()
    assert len(watched.asked) == 6
    watched.asked.append((history_asked._FOLDED, watched.asked[2][1][:1]))
    for sql, values in watched.asked:
        plan = [row[3] for row in Reader.all(watched, "EXPLAIN QUERY PLAN " + sql, values)]
        for line in plan:
            assert not re.search(r"^SCAN (r|o|s|run|step_run|p|pipeline)( |$)", line), (sql, plan)
    runs_plan = [
        row[3] for row in Reader.all(watched, "EXPLAIN QUERY PLAN " + watched.asked[1][0], watched.asked[1][1])
    ]
    assert not any("TEMP B-TREE" in line for line in runs_plan), runs_plan
    watched.close()


def test_sixty_runs_of_twenty_steps_are_answered_at_once(rig: Rig) -> None:
    rig.list("wide")
    made = [a_run(f"r{i}", State.SUCCESS, pipeline="a:wide", started=NOW - (100 - i) * DAY, ended=NOW - (100 - i) * DAY + HOUR) for i in range(100)]  # fmt: skip
    rig.see(*made)
    for run in made:
        put(rig, run.key, *(a_step(run.key, f"s{i}", order=i) for i in range(20)))
    reader = rig.reader
    best = 9.0
    for _ in range(5):
        began = time.perf_counter()
        found = reader.past_runs("a:wide")
        assert found is not None
        assert len(reader.past_steps([r.id for r in found.runs[-60:]])) == 60
        best = min(best, time.perf_counter() - began)
    assert best < 0.05, f"{best * 1000:.1f} ms"  # about 8 ms here; a scan of every step would take far longer
