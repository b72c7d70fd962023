"""The incremental judge against the pure verdict: whatever happened, in whatever order, across restarts, what is stored is what is true.

Each seed is a world of its own (``tests.owed.truth``). ``JUDGE_SEEDS=400`` tries so many, ``JUDGE_SEEDS=17:18`` one of them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Mode, Owed, State
from engine.owed.bind import Binder
from engine.owed.bound import PER_RUN
from engine.owed.matching import RunFact, match
from engine.owed.occurrences import OPENED, Occurrence, beside, open_between
from engine.owed.verdict import Facts, judge
from engine.owed.watch import FREEZE, NEVER
from engine.store import owed as rows
from engine.store import owed_facts as asked
from engine.store.current import day_number, rebuild_now
from engine.store.owed_facts import PLACEHOLDER
from engine.store.writer import Tx
from tests.owed.court import HOUR, MINUTE
from tests.owed.truth import RolledBack, World, as_opened, dump

RETIRED = ("no longer configured", "no longer owed", "no longer at its source", "its pipeline is")
DUE = 4
"""Where ``dump`` has it."""
STEPS = (10, 30, 60, 60, 300, 300, 600, 1200, 2400)


FOUND = (18, 140, 182, 219, 239, 304, 317, 318, 342, 394, 406, 482)
"""Worlds in which a restart once said otherwise: each of another cause."""


def seeds(default: int, *more: int) -> list[int]:
    text = os.environ.get("JUDGE_SEEDS", "")
    first, _, last = text.partition(":")
    if not text:
        return [*range(default), *more]
    return list(range(int(first), int(last))) if last else list(range(int(first)))


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(seed: int, **more: Any) -> World:
        folder = tmp_path / f"w{len(made)}"
        folder.mkdir()
        made.append(World(folder, seed, **more))
        return made[-1]

    yield make
    for world in made:
        world.close()


# --- what is true ---------------------------------------------------------------------------------------------------


class Truth:
    """The verdicts on all declared occurrences, from nothing but what the store knows of the world."""

    def __init__(self, world: World, tx: Tx) -> None:
        self.tx, self.now = tx, world.now
        self.binder = Binder(world.config)
        self.things = {row[0]: asked.thing(row) for row in asked.thing_rows(tx)}
        self.by_key = {t.key: t for t in self.things.values()}
        self.checks = {t.id: t.done_when for t in self.things.values() if t.done_when}
        drafts = [d for t in self.things.values() for d in self.binder.of_pipeline(t, [])]
        drafts += self.binder.of_others(self.things.values(), [])
        self.bounds = {(d.bound.promise.id, d.bound.promise.on): d.bound for d in drafts}
        self.looked = world.looked
        self.often = world.real.often
        self.absent: list[str] = []
        """Due within the hour, and not opened."""
        self.settled: dict[str, tuple[int, int]] = {
            key: (changed, due + FREEZE * (state == Owed.WAIVED))
            for key, state, changed, due in tx.db.execute(
                "SELECT key, state, changed, due_at FROM occurrence WHERE state IN (2, 3, 6, 8)"
            ).fetchall()
        }
        self.after: set[str] = set()
        """Runs that came up two hours after it was known what became of the occurrence that they are nearest to: none of its own
        any more. Whose they are then depends on what is still open."""
        self._runs: dict[int, list[RunFact]] = {}
        self.ever_waived = {key.split("|")[1] for (key,) in tx.db.execute("SELECT occurrence FROM waiver").fetchall()}
        self.waived = {
            (thing, date)
            for thing, date, type_ in tx.db.execute(
                "SELECT e.thing, o.bdate, e.type FROM occurrence o JOIN expectation e ON e.id = o.expectation_id WHERE o.state = 8 AND e.gone = 0"
            ).fetchall()
            if type_ in OPENED  # who allows one run to be long excuses no date
        }

    def runs(self, pipeline: int) -> list[RunFact]:
        if pipeline not in self._runs:
            found = asked.facts_since(self.tx, pipeline, 0, self.checks)
            self._runs[pipeline] = [fact for facts in found.values() for fact in facts]
        return self._runs[pipeline]

    def of_other(self, bound: Any, ones: list[Occurrence], pipeline: int) -> dict[str, tuple[RunFact, ...]]:
        """Runs of a member, or of something upstream, by the key of the occurrence that they are for."""
        owed = self.binder.shadow(bound.promise, self.things[pipeline])
        shadows = [(one.key, beside(owed, one)) for one in ones]
        found = match([o for _, o in shadows], self.runs(pipeline))
        return {key: found.get(o.key, ()) for key, o in shadows}

    def by_right(self, one: Occurrence, true: Occurrence) -> bool:
        """Whether it may be as it was once: its waiver or that of a member may have ended long after; its pipeline may have gone then."""
        if any(p.key in self.after for p in (*one.evidence, *true.evidence)):
            return True
        if one.due_at < self.now - 2 * HOUR and any(
            f"/{kind}-" in p.key for kind in ("hand", "backfill") for p in (*one.evidence, *true.evidence)
        ):
            return True  # what a run by hand, or for an old date, makes good depends on what was still open
        if one.type == "heartbeat":
            return one.state is Owed.WAIVED
        if one.type == "completeness":
            return not self.ever_waived.isdisjoint(one.members)
        if one.on in self.often and one.tick is None:
            return True
        if one.due_at < self.now - 2 * HOUR and (one.state is Owed.WAIVED or one.on in self.often):
            return True  # of ticks that come often it is settled after two hours which run was whose
        if abs(one.due_at - self.now) < 2 * MINUTE:
            return True  # it waits for the poll that was asked for
        return one.on in self.by_key and self.by_key[one.on].mode is Mode.GONE and not one.state.unsettled

    def verdicts(self) -> Iterator[tuple[Occurrence, Occurrence]]:
        """(as it is stored, as it should be)."""
        db = self.tx.db
        for id, promise, thing in db.execute(
            "SELECT id, promise, thing FROM expectation WHERE gone = 0 AND declared = 1 ORDER BY id"
        ).fetchall():
            bound = self.bounds.get((promise, thing))
            if bound is None or bound.promise.type not in OPENED:
                continue
            stored = [one for _, one in rows.occurrences(self.tx, id, 0)]
            self.absent += [
                o.key
                for o in open_between(bound.promise, self.now, self.now + HOUR)
                if o.key not in {s.key for s in stored}
            ] * (thing not in self.by_key or self.by_key[thing].mode is not Mode.GONE)
            ones = [as_opened(o) for o in stored]
            for one, facts in zip(ones, self.facts(bound, ones), strict=True):
                have = next(o for o in stored if o.key == one.key)
                if not (have.state is Owed.EXCLUDED and have.reason.startswith(RETIRED)):
                    yield have, judge(one, facts, self.now)

    def facts(self, bound: Any, ones: list[Occurrence]) -> Iterator[Facts]:
        promise, tx = bound.promise, self.tx
        thing = self.things.get(bound.pipeline_id or -1)
        gone = thing is not None and thing.mode is Mode.GONE
        mine = match(ones, self.runs(thing.id)) if thing is not None else {}
        for one in ones:
            settled, due = self.settled.get(one.key, (NEVER, 0))
            self.after |= {run.key for run in mine.get(one.key, ()) if run.begun > max(settled + FREEZE, due)}
        seen: int | None = None if thing is None else self.looked[thing.source]
        others: dict[str, dict[str, tuple[RunFact, ...]]] = {}
        if promise.type == "completeness":
            keys = {m for one in ones for m in one.members}
            others = {m: self.of_other(bound, ones, self.by_key[m].id) for m in keys}
        elif promise.type == "sequence":
            up = self.by_key.get(promise.upstream)
            others = {promise.upstream: {} if up is None else self.of_other(bound, ones, up.id)}
        for one in ones:
            waiver = asked.waiver(tx, one.key)
            runs = mine.get(one.key, ())
            if promise.type == "completeness":
                excused = frozenset(
                    m for m in one.members if (m, int(one.business_date.replace("-", ""))) in self.waived
                )
                members = {m: others[m].get(one.key, ()) for m in one.members}
                known = min(self.looked[m.partition(":")[0]] for m in one.members)
                yield Facts(seen=known, waiver=waiver, members=members, excused=excused)
            elif promise.type == "sequence":
                ups = others[promise.upstream].get(one.key, ())
                looked = self.looked[promise.upstream.partition(":")[0]]
                yield Facts(runs=runs, seen=seen, waiver=waiver, upstream=ups, upstream_seen=looked, gone=gone)
            elif promise.type == "source_arrival":
                yield Facts(seen=asked.looked(tx, "eia"), waiver=waiver, arrivals=asked.arrivals(tx, "eia", 0))
            elif promise.type == "heartbeat":
                beats = asked.beats(tx, "backup", one.from_at)
                well = min((at for at, what, _ in beats if what == "ok"), default=self.now)
                beats = [b for b in beats if b[0] <= well]  # the next one owes what comes then
                yield Facts(
                    seen=self.now, waiver=waiver, beats=tuple(at for at, what, _ in beats if what == "ok"),
                    fails=tuple((at, words) for at, what, words in beats if what == "fail"),
                )  # fmt: skip
            else:
                yield Facts(runs=runs, seen=seen, waiver=waiver, gone=gone)


def result(one: Occurrence) -> tuple[Any, ...]:
    if one.state.waiting:
        return ("waits",)
    return one.state.name, one.met_at, one.lateness_ms, one.missed


def untrue(world: World, tx: Tx) -> list[str]:
    """Declared occurrences whose stored verdict is not the pure one, and those that are not there."""
    truth = Truth(world, tx)
    found = [
        f"{have.key}: stored {result(have)} ({have.reason}), true {result(true)} ({true.reason})"
        for have, true in truth.verdicts()
        if result(have) != result(true) and not truth.by_right(have, true)
    ]
    return found + [f"{key} is not opened" for key in truth.absent]


# --- what must always hold --------------------------------------------------------------------------------------------


def broken_rules(world: World, tx: Tx) -> list[str]:
    """What holds at any moment."""
    db, wrong = tx.db, list[str]()
    for key, due in db.execute(
        "SELECT key, due_at FROM occurrence o JOIN expectation e ON e.id = o.expectation_id WHERE e.declared = 1"
    ).fetchall():
        if world.dues.setdefault(key, due) != due:
            wrong.append(f"{key}: due moved from {world.dues[key]} to {due}")
    for key, state, due, thing, type_, extra in db.execute(
        "SELECT o.key, o.state, o.due_at, e.thing, e.type, coalesce(o.extra ->> '$.members', '[]') FROM occurrence o"
        " JOIN expectation e ON e.id = o.expectation_id WHERE e.type IN ('finish_by', 'start_by', 'completeness')"
    ).fetchall():
        had, world.states[key] = world.states.get(key, (0, 0)), (state, due)
        if state == Owed.BREACHED and had[0] != Owed.BREACHED:
            names = (
                {m.partition(":")[0] for m in json.loads(extra)}
                if type_ == "completeness"
                else {thing.partition(":")[0]}
            )
            unseen = [n for n in names if world.looked[n] < due]
            if unseen:
                wrong.append(f"{key}: BREACHED, but {unseen} was not seen since before it was due")
    for thing, key, of, gone in db.execute(
        "SELECT n.thing, o.key, e.thing, e.gone FROM owed_now n LEFT JOIN occurrence o ON o.id = n.occurrence_id"
        " LEFT JOIN expectation e ON e.id = o.expectation_id"
    ).fetchall():
        if key is None or of != thing or gone:
            wrong.append(f"owed_now of {thing} is {key} of {of}, gone {gone}")
    wrong += [
        f"{key} has no expectation"
        for (key,) in db.execute(
            "SELECT key FROM occurrence WHERE expectation_id NOT IN (SELECT id FROM expectation)"
        ).fetchall()
    ]
    wrong += [
        f"prediction {id} of nothing"
        for (id,) in db.execute(
            "SELECT occurrence_id FROM prediction WHERE occurrence_id NOT IN (SELECT id FROM occurrence)"
        ).fetchall()
    ]
    wrong += [
        f"{key}: predicted at {at}, though {Owed(state).name} since {changed}"
        for key, at, state, changed in db.execute(
            "SELECT o.key, p.at, o.state, o.changed FROM prediction p JOIN occurrence o ON o.id = p.occurrence_id"
            " WHERE o.state IN (2, 3, 6, 8) AND p.at > o.changed"
        ).fetchall()
    ]
    wrong += [
        f"{n} open alerts of {about}: {titles}"
        for about, n, titles in db.execute(
            "SELECT w.occurrence, count(DISTINCT w.alert_id) AS n, group_concat(DISTINCT a.title) FROM alert_owed w JOIN alert a"
            " ON a.id = w.alert_id WHERE a.state < 4 AND w.state < 2 AND w.role < 2 GROUP BY 1 HAVING n > 1"
            " UNION ALL SELECT run_key, count(*) AS n, group_concat(title) FROM alert WHERE state < 4 AND run_key <> '' AND rule = 'failed-run'"
            " GROUP BY 1 HAVING n > 1"
        ).fetchall()
    ]
    return wrong


RANK = {Owed.BREACHED: 0, Owed.AT_RISK: 1, Owed.UNKNOWN: 2, Owed.PENDING: 3, Owed.SHIFTED: 3}


def wrong_at_rest(world: World, tx: Tx) -> list[str]:
    """What holds once everything was told and judged."""
    db, wrong = tx.db, broken_rules(world, tx)
    # the worst of a thing matters
    shown = {
        thing: RANK.get(Owed(state), 4)
        for thing, state in db.execute(
            "SELECT n.thing, o.state FROM owed_now n JOIN occurrence o ON o.id = n.occurrence_id"
        ).fetchall()
    }
    for thing, key, state, type_ in db.execute(
        "SELECT e.thing, o.key, o.state, e.type FROM occurrence o JOIN expectation e ON e.id = o.expectation_id WHERE e.gone = 0 AND o.state IN (0, 1, 4, 5, 7)"
    ).fetchall():
        if RANK[Owed(state)] < shown.get(thing, 9) and not (
            type_ in PER_RUN and state not in (Owed.BREACHED, Owed.AT_RISK)
        ):
            wrong.append(f"owed_now of {thing} shows rank {shown.get(thing)}, though {key} is {Owed(state).name}")
    # holes in history
    missed = {
        (thing, at)
        for thing, at in db.execute(
            "SELECT e.thing, coalesce(o.tick, o.declared_at) FROM occurrence o JOIN expectation e ON e.id = o.expectation_id"
            " WHERE e.type = 'start_by' AND e.promise <> 'overdue' AND o.flags & 8 <> 0 AND o.state IN (4, 6)"
        ).fetchall()
    }
    holes = set(
        db.execute(
            f"SELECT p.key, r.at FROM run r JOIN pipeline p ON p.id = r.pipeline_id WHERE r.run GLOB '{PLACEHOLDER}*'"  # noqa: S608
        ).fetchall()
    )
    wrong += [f"a hole of {key} at {at} that no occurrence missed" for key, at in sorted(holes - missed)]
    wrong += [f"{key} missed {at}, but history shows no hole" for key, at in sorted(missed - holes)]
    # what single runs owe
    wrong += [
        f"{key} is {Owed(state).name}, though its run ended {State(run_state).name}"
        for key, state, run_state in db.execute(
            "SELECT o.key, o.state, r.state FROM occurrence o JOIN expectation e ON e.id = o.expectation_id JOIN pipeline p ON p.key = e.thing"
            " JOIN run r ON r.pipeline_id = p.id AND r.run = o.run WHERE e.type IN ('max_duration', 'duration_anomaly', 'runaway') AND e.gone = 0"
            " AND o.state IN (0, 1) AND r.state >= 6 AND r.state <> 12"
        ).fetchall()
    ]
    return wrong + kept_wrongly(tx)


NOW = (
    "SELECT pipeline_id, run_id, run, state, sub, native, kind, attempt, bdate, at, queued, started, ended, error, active, last_ok, usual_ms,"
    " p90_ms, usual_n, strip FROM pipe_now ORDER BY pipeline_id"
)


def kept_wrongly(tx: Tx) -> list[str]:
    """``pipe_now``, ``run_day`` and the tally against the runs themselves. The transaction is to be rolled back after it."""
    db, wrong = tx.db, list[str]()
    had = {row[0]: row for row in db.execute(NOW).fetchall()}
    days: dict[tuple[int, int], list[int]] = {}
    for pipeline, at, state in db.execute("SELECT pipeline_id, at, state FROM run WHERE state >= 6").fetchall():
        sums = days.setdefault((pipeline, day_number(at)), [0, 0, 0, 0])
        word = State(state)
        sums[0 if word is State.SUCCESS else 1 if word is State.WARNING else 2 if word.bad else 3] += 1
    stored = {
        (p, d): list(sums)
        for p, d, *sums in db.execute("SELECT pipeline_id, day, ok, warning, bad, other FROM run_day").fetchall()
        if any(sums)
    }
    wrong += [f"run_day {spot}: {stored.get(spot)}, runs say {days.get(spot)}" for spot in sorted(days.keys() | stored.keys()) if days.get(spot) != stored.get(spot)]  # fmt: skip
    count, tally = db.execute(
        "SELECT (SELECT count(*) FROM run), (SELECT value FROM tally WHERE name = 'runs')"
    ).fetchone()
    if count != (tally or 0):
        wrong.append(f"tally says {tally} runs, there are {count}")
    for pipeline in had:
        rebuild_now(tx, pipeline)
    after = {row[0]: row for row in db.execute(NOW).fetchall()}
    wrong += [f"pipe_now {had[p]} rebuilt {after[p]}" for p in had if had[p] != after[p]]
    return wrong


def read(world: World, ask: Callable[[World, Tx], Any]) -> Any:
    """Ask, and leave the store as it was."""
    found: list[Any] = []
    with contextlib.suppress(RolledBack), world.store.transaction() as tx:
        tx.memo = {}
        found.append(ask(world, tx))
        raise RolledBack
    return found[0]


def rows_of(world: World) -> dict[str, Any]:
    with world.store.transaction() as tx:
        return dump(tx)


def restart(world: World) -> list[str]:
    """What another engine makes of the store at the same moment. Of what was settled long ago it may know better."""
    for _ in range(6):  # what waits for its next look has it
        world.clock.at += 6_000
        world.outside(world.now)
        world.beat()
    before = rows_of(world)
    world.restart()
    world.beat()
    world.beat()
    after = rows_of(world)
    if before == after:
        return []
    true = {
        have.key
        for have, true in read(world, lambda w, tx: list(Truth(w, tx).verdicts()))
        if result(have) == result(true)
    }
    return [
        f"restart at {world.now}: {key}: before it {before.get(key)}, after it {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and not (key not in before and after[key][DUE] > world.now)  # how far ahead it opens is nobody's right
        and not (key not in before and key.startswith("odd"))  # enough was learnt only after the run began
        and not (
            key in before and before[key][DUE] < world.now - 2 * HOUR and (key in true or key.startswith("schedule|"))
        )
    ]


def live(world: World) -> list[str]:
    """The whole life; what was wrong at any moment of it."""
    wrong: list[str] = []
    while world.now < world.real.end and not wrong:
        world.step(world.rng.choice(STEPS) * 1000)
        dice = world.rng.random()
        if dice < 0.12:
            world.happen()
        elif dice < 0.16:
            world.note("restart")
            wrong += restart(world)
        if dice < 0.3:
            with world.store.transaction() as tx:
                wrong += [f"at {world.now}: {w}" for w in broken_rules(world, tx)]
    return wrong


@pytest.mark.parametrize("seed", seeds(6, *FOUND))
def test_what_is_stored_is_what_is_true(worlds: Callable[..., World], seed: int) -> None:
    world = worlds(seed)
    wrong = live(world)
    if not wrong:
        world.settle()
        wrong += read(world, untrue) + read(world, wrong_at_rest) + restart(world) + read(world, untrue)
    wrong += world.log
    assert not wrong, f"seed {seed}:\n" + "\n".join([*wrong[:12], "--- after", *world.trace[-12:]])


@pytest.mark.parametrize("seed", seeds(3))
def test_the_order_in_which_it_is_told_changes_nothing(worlds: Callable[..., World], seed: int) -> None:
    """The same world, polled at other moments, with other pages and other repetitions: the same verdicts in the end."""
    ends: list[dict[str, Any]] = []
    for order in (1, 2):
        world = worlds(seed, order=order, calm=True)
        for source in world.looked:  # a set has the members that are known when it is opened
            world.list(source)
        while world.now < world.real.end:
            world.step(world.rng.choice(STEPS) * 1000)
            if world.rng.random() < 0.03:
                world.restart()
        world.clock.at = world.real.end + HOUR
        world.settle()
        assert not (wrong := read(world, untrue)), f"seed {seed}, order {order}:\n" + "\n".join(wrong[:12])
        found = read(world, lambda w, tx: [have for have, _ in Truth(w, tx).verdicts()])
        ends.append({o.key: result(o) for o in found if o.type != "heartbeat" and o.on not in world.real.often})
    assert ends[0] == ends[1], f"seed {seed}"
