"""The verdict: every state with its reason, evidence and lateness; and that neither order nor doubles matter."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Owed, State
from adapters.schedule import parse
from engine.owed.calendar import DAILY, DAY_MS
from engine.owed.matching import RunFact, match
from engine.owed.occurrences import Evidence, Occurrence, Promise, open_between, rolling
from engine.owed.verdict import Arrival, Facts, Waiver, judge
from engine.owed.windows import Window

PARIS = "Europe/Paris"
MINUTE = 60_000


def at(time: str) -> int:
    text = time if "T" in time else f"2026-11-21T{time}"
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PARIS)).timestamp()) * 1000


def one(kind: str = "finish_by", **more: object) -> Occurrence:
    owed = Promise(id="e", type=kind, on="air:sales", zone=PARIS, due=360, late_by_ms=15 * MINUTE, days=DAILY)
    (found,) = open_between(replace(owed, **more), at("00:05"), at("00:05") + DAY_MS)
    return found


def run(begun: str | None, ended: str | None = None, state: State = State.SUCCESS, **more: object) -> RunFact:
    fact = RunFact(
        key="air:sales/r1",
        state=state,
        started=None if begun is None else at(begun),
        ended=None if ended is None else at(ended),
    )
    return replace(fact, **more)


def says(
    occurrence: Occurrence, now: str, *runs: RunFact, seen: str | None = "now", **more: object
) -> tuple[Owed, str]:
    looked = at(now) if seen == "now" else (None if seen is None else at(seen))
    found = judge(occurrence, Facts(runs=runs, seen=looked, **more), at(now))  # type: ignore[arg-type]
    assert judge(found, Facts(runs=runs, seen=looked, **more), at(now)) is found  # type: ignore[arg-type]
    return found.state, found.reason


RUNNING = run("05:01", None, State.RUNNING)
FAILED = run("05:01", "05:12", State.FAILED)


@pytest.mark.parametrize(
    ("now", "runs", "state", "reason"),
    [
        ("05:00", (), Owed.PENDING, "not started"),
        ("05:30", (RUNNING,), Owed.PENDING, "running since 05:01"),
        ("05:30", (FAILED,), Owed.PENDING, "failed 05:12, a success is still owed"),
        ("05:59:59", (), Owed.PENDING, "not started"),
        ("06:00", (), Owed.BREACHED, "due 06:00: not started"),
        ("06:01", (RUNNING,), Owed.BREACHED, "due 06:00: running since 05:01"),
        ("06:01", (FAILED,), Owed.BREACHED, "due 06:00: failed 05:12, a success is still owed"),
        ("05:50", (run("05:01", "05:40"),), Owed.MET, "succeeded 05:40, due 06:00"),
        ("07:00", (run("05:01", "06:00"),), Owed.MET, "succeeded 06:00, due 06:00"),
        ("07:00", (run("05:01", "06:21"),), Owed.MET_LATE, "succeeded 06:21, due 06:00: 21m late"),
        ("07:00", (run("05:01", "05:40", State.WARNING),), Owed.MET, "finished with warnings 05:40, due 06:00"),
        (
            "07:00",
            (run("05:01", "05:40", checked=False),),
            Owed.BREACHED,
            "due 06:00: succeeded 05:40, not yet verified",
        ),
        (
            "07:00",
            (run("05:01", "05:40", checked_at=at("06:05")),),
            Owed.MET_LATE,
            "succeeded 06:05, due 06:00: 5m late",
        ),
        (
            "07:00",
            (run("05:01", "05:12", State.STOPPED),),
            Owed.BREACHED,
            "due 06:00: stopped 05:12, a success is still owed",
        ),
        ("05:30", (run("2026-11-20T23:50", None, State.RUNNING),), Owed.PENDING, "running since 2026-11-20 23:50"),
    ],
)
def test_finish_by(now: str, runs: tuple[RunFact, ...], state: Owed, reason: str) -> None:
    assert says(one(), now, *runs) == (state, reason)


def test_a_repaired_run_shows_both_attempts() -> None:
    again = run("05:30", None, State.RUNNING, attempt=2, updated=9)
    found = judge(one(), Facts(runs=(FAILED, again), seen=at("05:40")), at("05:40"))
    assert [e.words for e in found.evidence] == ["failed 05:12", "running since 05:30 (attempt 2)"]
    done = replace(again, state=State.SUCCESS, ended=at("05:55"), updated=10)
    assert says(one(), "06:30", FAILED, again, done) == (Owed.MET, "succeeded 05:55, due 06:00")
    # what was done in time stays done when somebody runs it again later
    cleared = run("08:00", None, State.RUNNING, attempt=3, updated=20)
    assert says(one(), "08:10", FAILED, done, cleared)[0] is Owed.MET


def test_evidence_and_lateness() -> None:
    found = judge(one(), Facts(runs=(run("05:01", "06:21"),), seen=at("07:00")), at("07:00"))
    assert found.evidence == (Evidence("run", "air:sales/r1", at("06:21"), "succeeded 06:21"),)
    assert (found.lateness_ms, found.met_at, found.since) == (21 * MINUTE, at("06:21"), at("06:21"))
    broken = judge(one(), Facts(seen=at("07:00")), at("07:00"))
    assert (broken.lateness_ms, broken.met_at, broken.since, broken.missed) == (None, None, at("06:00"), True)
    assert judge(broken, Facts(runs=(run("05:01", "06:21"),), seen=at("07:00")), at("07:00")).missed is False


def test_warnings_may_not_count() -> None:
    strict = one(warning_counts=False)
    assert says(strict, "07:00", run("05:01", "05:40", State.WARNING))[0] is Owed.BREACHED


def test_people_are_told_after_the_grace() -> None:
    broken = judge(one(), Facts(seen=at("06:01")), at("06:01"))
    assert [broken.alerting(at(t)) for t in ("06:01", "06:14:59", "06:15")] == [False, False, True]
    assert not one().alerting(at("09:00"))


def test_unknown_is_neither_red_nor_green() -> None:
    assert says(one(), "06:10", RUNNING, seen="05:50") == (
        Owed.UNKNOWN, "not seen since 05:50, it was due 06:00; last known: running since 05:01",
    )  # fmt: skip
    assert says(one(), "06:10", seen=None)[1] == "never seen, it was due 06:00; last known: not started"
    assert says(one(), "05:50", RUNNING, seen="05:00")[0] is Owed.PENDING
    # known before it went blind: stays met, stays broken
    assert says(one(), "06:30", run("05:01", "05:40"), seen="05:41")[0] is Owed.MET
    assert says(one(), "06:30", RUNNING, seen="06:01")[0] is Owed.BREACHED
    assert judge(one(), Facts(seen=at("05:50")), at("06:10")).missed is False
    assert says(one(), "06:30", gone=True)[0] is Owed.UNKNOWN


def test_at_risk_and_shifted_wait() -> None:
    assert says(one(), "05:50", RUNNING, risk="p50 06:14") == (Owed.AT_RISK, "p50 06:14; running since 05:01")
    assert says(one(), "06:01", RUNNING, risk="p50 06:14")[0] is Owed.BREACHED
    moved = one(due=180, windows=(Window(name="patching", start=120, end=240, zone=PARIS, expect="shift"),))
    assert says(moved, "03:30") == (Owed.SHIFTED, "moved by window patching from 03:00 to 04:15; not started")
    assert says(moved, "04:20", run("03:00", "04:10"))[0] is Owed.MET
    assert says(moved, "04:15") == (Owed.BREACHED, "due 04:15: not started")


def test_a_waiver_holds_until_it_ends() -> None:
    waiver = Waiver("ana", "source is being rebuilt", at("09:00"))
    assert says(one(), "06:30", FAILED, waiver=waiver) == (
        Owed.WAIVED,
        "waived by ana until 09:00: source is being rebuilt",
    )
    assert says(one(), "09:00", FAILED, waiver=waiver)[0] is Owed.BREACHED
    assert says(one(), "06:30", run("05:01", "05:40"), waiver=waiver)[0] is Owed.MET
    assert says(one(), "06:30", run("05:01", "06:20"), waiver=waiver)[0] is Owed.WAIVED


def test_excluded_and_waived_by_a_window_stay_so() -> None:
    for state in (Owed.EXCLUDED, Owed.WAIVED):
        closed = replace(one(), opened_as=state, state=state, reason="why")
        assert judge(closed, Facts(runs=(FAILED,), seen=at("07:00")), at("07:00")) is closed


@pytest.mark.parametrize(
    ("now", "runs", "state", "reason", "missed"),
    [
        ("05:05", (), Owed.PENDING, "not started", False),
        ("05:10", (), Owed.BREACHED, "due 05:10: not started", True),
        ("05:20", (run(None, None, State.QUEUED, queued=at("05:01")),), Owed.BREACHED, "due 05:10: queued since 05:01, not started", False),
        ("05:20", (run("05:09", None, State.RUNNING),), Owed.MET, "started 05:09, due 05:10", False),
        ("05:20", (run("05:09", "05:11", State.FAILED),), Owed.MET, "started 05:09, due 05:10", False),
        ("06:20", (run("05:45", None, State.RUNNING),), Owed.MET_LATE, "started 05:45, due 05:10: 35m late", False),
        ("05:20", (run("05:00", "05:00", State.SKIPPED),), Owed.BREACHED, "due 05:10: skipped 05:00, not started", False),
    ],
)  # fmt: skip
def test_start_by(now: str, runs: tuple[RunFact, ...], state: Owed, reason: str, missed: bool) -> None:
    owed = one("start_by", due=None, schedule=parse("0 5 * * *", PARIS))
    assert says(owed, now, *runs) == (state, reason)
    assert judge(owed, Facts(runs=runs, seen=at(now)), at(now)).missed is missed


def test_completeness() -> None:
    owed = one("completeness", members=("a:x", "a:y", "b:z"))
    done = {"a:x": (run("04:00", "04:30", key="a:x/1"),), "a:y": (run("04:00", "05:30", key="a:y/1"),)}
    assert says(owed, "05:50", members=done) == (Owed.PENDING, "2 of 3 done, missing z")
    failed = {**done, "b:z": (run("05:00", "05:20", State.FAILED, key="b:z/1"),)}
    assert says(owed, "06:00", members=failed) == (Owed.BREACHED, "due 06:00: 2 of 3 done, missing z (failed 05:20)")
    assert says(owed, "06:00", members=done, excused=frozenset({"b:z"})) == (
        Owed.MET,
        "2 of 3 done 05:30, 1 waived, due 06:00",
    )
    late = {**done, "b:z": (run("05:00", "06:20", key="b:z/1"),)}
    found = judge(owed, Facts(members=late, seen=at("07:00")), at("07:00"))
    assert (found.state, found.evidence[0].key) == (Owed.MET_LATE, "b:z/1")
    many = one("completeness", members=tuple(f"a:{n}" for n in range(40)))
    assert says(many, "06:00") == (Owed.BREACHED, "due 06:00: 0 of 40 done, missing 0, 1, 2 and 37 more")
    assert says(one("completeness"), "06:00") == (Owed.BREACHED, "due 06:00: its selector matches nothing")


def test_source_arrival() -> None:
    owed = one("source_arrival", margin_ms=30 * MINUTE)
    there = Arrival("eia.csv", at("06:21"), "2026-11-21")
    assert says(owed, "06:25", arrivals=(there,)) == (Owed.MET, "arrived 06:21, due 06:30")
    assert says(owed, "06:31", arrivals=(replace(there, business_date="2026-11-20"),)) == (
        Owed.BREACHED,
        "due 06:30: not arrived",
    )
    assert says(owed, "07:31", arrivals=(replace(there, at=at("07:00")),))[0] is Owed.MET_LATE
    old = Arrival("eia.csv", at("2026-11-20T06:10"))
    assert says(owed, "06:31", arrivals=(old,))[0] is Owed.BREACHED  # still yesterday's
    before_midnight = Arrival("eia.csv", at("2026-11-20T23:30"))
    assert says(owed, "06:31", arrivals=(before_midnight,))[0] is Owed.MET
    late = Arrival("eia.csv", at("2026-11-21T17:00"))
    assert says(owed, "17:01", arrivals=(late,))[0] is Owed.MET_LATE
    tomorrows = Arrival("eia.csv", at("2026-11-22T06:20"))
    assert says(owed, "2026-11-22T06:25", arrivals=(tomorrows,))[0] is Owed.BREACHED  # does not hide yesterday's hole


def test_heartbeat() -> None:
    beat = Promise(id="alive", type="heartbeat", on="backup", zone=PARIS, max_age_ms=60 * MINUTE)
    owed = rolling(beat, at("05:00"))
    assert owed is not None
    assert says(owed, "05:30", beats=(at("05:00"),)) == (Owed.PENDING, "no sign of life since 05:00")
    assert says(owed, "06:00", beats=(at("05:00"),)) == (Owed.BREACHED, "due 06:00: no sign of life since 05:00")
    assert says(owed, "06:00", beats=(at("05:00"), at("05:59")))[0] is Owed.MET
    assert says(owed, "06:30", beats=(at("06:20"),)) == (Owed.MET_LATE, "sign of life 06:20, due 06:00: 20m late")


A_DONE = run("03:00", "04:30", key="air:a/1")


@pytest.mark.parametrize(
    ("now", "runs", "upstream", "state", "reason"),
    [
        ("05:00", (), (), Owed.PENDING, "not started"),
        ("05:00", (run("04:40", None, State.RUNNING),), (A_DONE,), Owed.MET, "started 04:40, its upstream succeeded 04:30"),
        ("05:00", (run("04:20", None, State.RUNNING),), (), Owed.BREACHED, "started 04:20 before its upstream succeeded"),
        ("05:00", (run("04:20", None, State.RUNNING),), (A_DONE,), Owed.BREACHED, "started 04:20 before its upstream succeeded 04:30"),
        ("05:00", (run("04:20", "04:25", State.FAILED), run("04:50", "04:55", attempt=2)), (A_DONE,), Owed.MET_LATE,
         "started 04:20 before its upstream succeeded 04:30; ran again 04:50, in order"),
        ("06:00", (), (A_DONE,), Owed.EXCLUDED, "nothing started, so nothing was out of order"),
    ],
)  # fmt: skip
def test_sequence(now: str, runs: tuple[RunFact, ...], upstream: tuple[RunFact, ...], state: Owed, reason: str) -> None:
    assert says(one("sequence"), now, *runs, upstream=upstream, upstream_seen=at(now)) == (state, reason)


def test_sequence_is_broken_at_once_and_unknown_when_its_upstream_is_not_seen() -> None:
    begun = run("04:20", None, State.RUNNING)
    found = judge(one("sequence"), Facts(runs=(begun,), seen=at("05:00"), upstream_seen=at("05:00")), at("05:00"))
    assert found.since == at("04:20")
    assert found.alerting(at("05:00"))
    assert says(one("sequence"), "05:00", begun, upstream_seen=at("04:00")) == (
        Owed.UNKNOWN, "started 04:20; whether its upstream had succeeded is not known",
    )  # fmt: skip


# --- order and doubles ----------------------------------------------------------------------------------------------

PROMISES = (
    Promise(id="f", type="finish_by", on="air:sales", zone=PARIS, due=360),
    Promise(id="s", type="start_by", on="air:sales", zone=PARIS, schedule=parse("0 */2 * * *", PARIS)),
    Promise(id="q", type="sequence", on="air:sales", zone=PARIS, due=360),
    Promise(id="c", type="completeness", on="air:*", zone=PARIS, due=360, members=("air:sales",)),
)

sights = st.lists(
    st.builds(
        lambda n, attempt, state, begun, length, updated: RunFact(
            key=f"air:sales/{n}", attempt=attempt, state=state, started=at("00:00") + begun * MINUTE,
            ended=at("00:00") + (begun + length) * MINUTE if state.terminal else None, updated=updated,
        ),
        st.integers(0, 2), st.integers(1, 2), st.sampled_from([s for s in State if s is not State.EXPECTED]),
        st.integers(-60, 500), st.integers(1, 90), st.integers(0, 5),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(PROMISES), sights, st.randoms(use_true_random=False), st.integers(0, 600), st.integers(-100, 600)
)
def test_any_order_and_any_doubles_end_the_same(
    owed: Promise, facts: list[RunFact], dice: random.Random, later: int, seen: int
) -> None:
    opened = open_between(owed, at("00:05"), at("00:05") + DAY_MS)
    now, looked = at("00:00") + later * MINUTE, at("00:00") + seen * MINUTE

    def verdicts(known: list[RunFact], before: list[Occurrence], when: int) -> list[Occurrence]:
        mine = match(before, known)
        return [
            judge(
                o,
                Facts(runs=mine.get(o.key, ()), seen=min(looked, when), upstream=mine.get(o.key, ()), upstream_seen=looked,
                      members={"air:sales": mine.get(o.key, ())}),
                when,
            )
            for o in before
        ]  # fmt: skip

    expected = verdicts(facts, opened, now)
    mixed = [*facts, *facts[: len(facts) // 2]]
    dice.shuffle(mixed)
    stepwise = opened
    for n in range(len(mixed) + 1):  # one by one, each time judged, the clock going on
        stepwise = verdicts(mixed[:n], stepwise, now - (len(mixed) - n) * 20 * MINUTE)
    stepwise = verdicts(mixed, stepwise, now)
    assert stepwise == expected
    assert all(a is b for a, b in zip(verdicts(mixed, stepwise, now), stepwise, strict=True))
