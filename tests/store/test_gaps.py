"""The gap map's questions: what ran for each date, the best of it, what was owed; and when nobody saw a source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from adapters.model import Owed, RunKind, State
from engine.store.reader import Reader
from tests.store.rig import DAY, HOUR, MIN, NOW, Rig, a_run
from tui.present.words import zone

SINCE = date(2026, 8, 21)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.close()


def ask(rig: Rig, *names: str, tz=UTC, since: date = SINCE):
    ids = {rig.reader.pipeline(f"a:{n}").id: n for n in names or ("p",)}
    found = rig.reader.calendars(list(ids), since, rig.clock.now() + 2 * DAY, tz)
    return {ids[i]: calendar for i, calendar in found.items()}


def test_the_best_attempt_of_a_date_counts(rig: Rig) -> None:
    for i, state in enumerate((State.FAILED, State.SUCCESS, State.STOPPED)):
        rig.see(a_run(f"r{i}", state, started=NOW + i * HOUR, ended=NOW + i * HOUR + MIN, business_date="2026-11-17"))
    rig.see(a_run("now", State.RUNNING, started=NOW + 5 * HOUR, business_date="2026-11-17"))
    (one,) = ask(rig)["p"].runs
    assert (one.day, one.run_key, one.state) == ("2026-11-17", "a:p/r1", State.SUCCESS)
    assert (one.n, one.good, one.active) == (4, 1, 1)


@pytest.mark.parametrize(
    ("states", "best"),
    [
        ((State.FAILED, State.RUNNING), State.RUNNING), ((State.FAILED, State.SKIPPED), State.FAILED),
        ((State.SUCCESS, State.WARNING), State.WARNING), ((State.LOST, State.STOPPED), State.STOPPED), ((State.SKIPPED,), State.SKIPPED),
    ],
)  # fmt: skip
def test_of_bad_ones_the_newest_and_what_goes_on_before_them(rig: Rig, states, best) -> None:
    for i, state in enumerate(states):
        rig.see(a_run(f"r{i}", state, started=NOW + i * HOUR, business_date="2026-11-17"))
    (one,) = ask(rig)["p"].runs
    assert one.state is best


def test_a_later_backfill_fills_an_old_date_and_reaches_before_the_oldest_run(rig: Rig) -> None:
    rig.see(a_run("r", State.SUCCESS, started=NOW - 5 * DAY, business_date="2026-11-12"))
    rig.see(a_run("fill", State.SUCCESS, started=NOW, business_date="2026-10-01", kind=RunKind.BACKFILL))
    calendar = ask(rig)["p"]
    assert [r.day for r in calendar.runs] == ["2026-10-01", "2026-11-12"]
    assert calendar.runs[0].kind is RunKind.BACKFILL
    assert calendar.first == "2026-10-01"


def test_history_that_was_fetched_counts(rig: Rig) -> None:
    rig.see(
        a_run(
            "old",
            State.SUCCESS,
            started=NOW - 30 * DAY,
            ended=NOW - 30 * DAY + MIN,
            business_date="2026-10-18",
            backfilled=True,
        )
    )
    assert ask(rig)["p"].runs[0].good == 1


def test_a_run_without_a_date_stands_on_the_day_it_began_where_the_reader_is(rig: Rig) -> None:
    late = int(datetime(2026, 11, 16, 23, 30, tzinfo=UTC).timestamp() * 1000)
    rig.see(a_run("r", State.SUCCESS, started=late))
    (utc,) = ask(rig)["p"].runs
    (kolkata,) = ask(rig, tz=zone("Asia/Kolkata"))["p"].runs
    assert (utc.day, utc.dated, kolkata.day) == ("2026-11-16", False, "2026-11-17")


def test_runs_of_one_day_are_one_cell_however_many_quarters_they_began_in(rig: Rig) -> None:
    start = NOW - NOW % DAY
    rig.see(*(a_run(f"r{i}", State.FAILED if i == 3 else State.SUCCESS, started=start + i * HOUR) for i in range(24)))
    (one,) = ask(rig)["p"].runs
    assert (one.n, one.good, one.planned) == (24, 23, 24)
    assert one.state is State.SUCCESS


@pytest.mark.parametrize(
    ("name", "since"),
    [
        ("Europe/Paris", date(2026, 8, 21)), ("Australia/Lord_Howe", date(2026, 8, 21)), ("America/St_Johns", date(2026, 2, 1)),
        ("Africa/Casablanca", date(2026, 1, 20)), ("Pacific/Kiritimati", date(2026, 8, 21)), ("UTC", date(2026, 8, 21)),
    ],
)  # fmt: skip
def test_a_day_is_that_of_the_readers_clock_also_around_its_changes(rig: Rig, name: str, since: date) -> None:
    """Each half hour of ninety days, and the last millisecond before it, stands on the day that the clock there shows."""
    where = zone(name)
    begin = int(datetime(since.year, since.month, since.day, tzinfo=where).timestamp() * 1000)
    times = [begin + i * 30 * MIN - ms for i in range(1, 90 * 48) for ms in (0, 1)]
    rig.see(*(a_run(f"r{at}", State.SUCCESS, started=at) for at in times))
    wanted: dict[str, int] = {}
    for at in times:
        day = datetime.fromtimestamp(at / 1000, where).date().isoformat()
        wanted[day] = wanted.get(day, 0) + 1
    assert {r.day: r.n for r in ask(rig, tz=where, since=since)["p"].runs} == wanted


def test_what_is_owed_is_asked_for_alone_where_no_run_moved(rig: Rig) -> None:
    rig.see(a_run("r", State.SUCCESS, started=NOW, business_date="2026-11-17"))
    number = rig.reader.pipeline("a:p").id
    before = ask(rig)["p"]
    assert rig.reader.owed_again({number: before}, SINCE, NOW + 2 * DAY, UTC)[number] is before
    with rig.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO expectation (id, promise, thing, pipeline_id, type, severity, words) VALUES (1, 'p', 'a:p', ?, 'finish_by', 1, '')",
            (number,),
        )
        tx.db.execute(
            "INSERT INTO occurrence (key, expectation_id, bdate, from_at, declared_at, due_at, alert_at, flags, state, changed)"
            " VALUES ('k', 1, 20261118, 0, 0, ?, 0, 12, 0, 0)",
            (NOW + HOUR,),
        )
    after = rig.reader.owed_again({number: before}, SINCE, NOW + 2 * DAY, UTC)[number]
    assert after == ask(rig)["p"]
    assert [o.day for o in after.owes] == ["2026-11-18"]
    assert after.runs is before.runs


def test_which_runs_of_a_date_did_not_end_well(rig: Rig) -> None:
    start = NOW - NOW % DAY
    states = (State.SUCCESS, State.FAILED, State.RUNNING, State.SKIPPED, State.STOPPED, State.WARNING, State.LOST)
    rig.see(*(a_run(f"r{i}", s, started=start + i * HOUR) for i, s in enumerate(states)))
    rig.see(a_run("dated", State.TIMED_OUT, started=start + 30 * HOUR, business_date="2026-11-18"))
    rig.see(a_run("next", State.FAILED, started=start + 24 * HOUR), a_run("before", State.FAILED, started=start - 1))
    day = datetime.fromtimestamp(start / 1000, UTC).date()
    assert day.isoformat() == "2026-11-18"
    found = rig.reader.failed_of(rig.reader.pipeline("a:p").id, day, UTC)
    assert found == [
        ("r1", State.FAILED, start + HOUR), ("r4", State.STOPPED, start + 4 * HOUR), ("r6", State.LOST, start + 6 * HOUR),
        ("dated", State.TIMED_OUT, start + 30 * HOUR),
    ]  # fmt: skip
    assert rig.reader.failed_of(rig.reader.pipeline("a:p").id, day, zone("Asia/Kolkata"))[0][0] == "before"


def test_of_no_run_nothing_is_said(rig: Rig) -> None:
    calendar = ask(rig)["p"]
    assert calendar.first is None
    assert calendar.runs == ()


def test_only_who_is_asked_for_and_only_since(rig: Rig) -> None:
    rig.list("p", "q")
    rig.see(a_run("r", State.SUCCESS, started=NOW - 200 * DAY, business_date="2026-05-01"))
    rig.see(a_run("r", State.SUCCESS, pipeline="a:q", started=NOW - DAY, business_date="2026-11-16"))
    found = ask(rig)
    assert set(found) == {"p"}
    assert found["p"].runs == ()
    assert found["p"].first == "2026-05-01"


def test_the_asked_pipelines_are_found_by_an_index(rig: Rig) -> None:
    asked: list = []

    class Watched(Reader):
        def all(self, sql, values=()):
            asked.append((sql, values))
            return super().all(sql, values)

    rig.list(*(f"f{i}" for i in range(80)))
    rig.see(*(a_run(f"r{i}", State.SUCCESS, pipeline=f"a:f{i % 80}", started=NOW + i) for i in range(400)))
    watched = Watched(rig.path, rig.clock.now)
    watched.calendars([1, 2, 3], SINCE, NOW + DAY, UTC)
    watched.blind_spells(NOW - 90 * DAY)
    assert len(asked) == 5
    for sql, values in asked:
        for row in Reader.all(watched, "EXPLAIN QUERY PLAN " + sql, values):
            assert not re.match(r"SCAN (r|f|run|o|occurrence|a|alert)\b", row[3]), (sql, row[3])
    watched.close()


def test_when_nobody_watched_is_known(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO own_event (at, until, what, words) VALUES (?, ?, 'blind', 'nobody watched')", (NOW, NOW + HOUR)
        )
        tx.db.execute("INSERT INTO own_event (at, until, what, words) VALUES (?, ?, 'start', 'x')", (NOW, NOW + HOUR))
        tx.db.execute(
            "INSERT INTO alert (id, dedup, rule, key, severity, state, title, body, opened, since, changed)"
            " VALUES ('7K2F', 'd', 'source-unreachable', 'a', 1, 1, 'a is unreachable', '', ?, ?, ?)",
            (NOW + 2 * HOUR, NOW, NOW),
        )
    first, second = rig.reader.blind_spells(NOW - DAY)
    assert (first.source, first.at, first.until) == (None, NOW, NOW + HOUR)
    assert (second.source, second.at, second.until) == ("a", NOW + 2 * HOUR, None)
    assert [s.source for s in rig.reader.blind_spells(NOW + 2 * HOUR)] == ["a"]


def test_who_asked_for_a_run(rig: Rig) -> None:
    rig.see(a_run("r", State.SUCCESS, business_date="2026-11-17", client_id="01ABC"))
    rig.see(a_run("b", State.SUCCESS, business_date="2026-11-17", kind=RunKind.BACKFILL))
    assert rig.reader.asker("a:p/r", "2026-11-17") is None
    with rig.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO action (id, nonce, verb, key, pipeline_key, scope, state, client_id, plan_hash, plan, who, uid, created, changed, reason)"
            " VALUES ('A1', 'n', 'start', 'a:p', 'a:p', 'a:p', 5, '01ABC', '', '{}', 'ana', 1, ?, ?, 'late file')",
            (NOW, NOW),
        )
        tx.db.execute(
            "INSERT INTO operation (source_id, id, pipeline_key, kind, state, first, last, created, who, seen)"
            " VALUES (?, '7', 'a:p', 'backfill', 6, '2026-11-01', '2026-11-20', ?, 'ben', ?)",
            (rig.source, NOW, NOW),
        )
    found = rig.reader.asker("a:p/r", "2026-11-17")
    assert found is not None
    assert (found.who, found.verb, found.reason) == ("ana", "start", "late file")
    assert rig.reader.asker("a:p/b", "2026-11-17").who == "ben"
    assert rig.reader.asker("a:p/b", "2026-12-17") is None


def test_what_was_owed_for_a_date(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO expectation (id, promise, thing, pipeline_id, type, severity, words) SELECT 1, 'p', key, id, 'finish_by', 1, '' FROM pipeline"
        )
        tx.db.execute(
            "INSERT INTO expectation (id, promise, thing, pipeline_id, type, severity, words) SELECT 2, 'q', key, id, 'max_duration', 1, '' FROM pipeline"
        )
        for i, (expectation, state) in enumerate(((1, Owed.BREACHED), (2, Owed.BREACHED))):
            tx.db.execute(
                "INSERT INTO occurrence (key, expectation_id, bdate, from_at, declared_at, due_at, alert_at, flags, state, changed)"
                " VALUES (?, ?, 20261116, 0, 0, ?, 0, 12, ?, 0)",
                (f"k{i}", expectation, NOW - DAY, list(Owed).index(state)),
            )
    (one,) = ask(rig)["p"].owes
    assert (one.day, one.state, one.missed) == ("2026-11-16", Owed.BREACHED, True)
