"""What is owed in glyphs and words, and where every number comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.model import Course, Owed
from engine.store.rows import OwedRow
from tests.tui.owed_stores import owe
from tests.tui.stores import HOUR, MINUTE, TZ, House, text_of
from tui.present import cut, owed, owed_basis, words
from tui.present.owed import basis_lines


@pytest.fixture
def house(tmp_path: Path) -> Any:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    h.pipeline("prod-airflow", "daily_sales")
    yield h
    h.close()


def row(house: House, thing: str = "prod-airflow:daily_sales", **more: Any) -> OwedRow:
    return house_row(house, owe(house, thing, **more))


def house_row(house: House, made: int) -> OwedRow:
    found = house.reader().owed_one(made)
    assert found is not None
    return found


def said(one: OwedRow, house: House) -> str:
    return words.plain(owed.sentence(one, TZ, house.now))


def test_a_promise_at_risk_is_said_with_its_quantiles_and_its_latest_start(house: House) -> None:
    one = row(
        house, due_in=8 * MINUTE, state=Owed.AT_RISK, p50_in=22 * MINUTE, p90_in=34 * MINUTE, late=0.9, must_start_in=-48 * MINUTE,
    )  # fmt: skip
    assert said(one, house) == "due 06:00, p50 06:14 · p90 06:26 · had to start by 05:04"
    assert owed.due_cell(one, TZ, house.now) == "06:00 +14m"
    assert owed.state_cell(one) == [("◆ ", "run-late"), (" ", ""), ("at risk", "run-late b")]


def test_a_running_run_is_not_told_when_it_must_start(house: House) -> None:
    one = row(
        house, due_in=8 * MINUTE, state=Owed.AT_RISK, course=Course.RUNNING, p50_in=22 * MINUTE, p90_in=34 * MINUTE, late=1.0, must_start_in=-48 * MINUTE,
    )  # fmt: skip
    assert "start by" in said(one, house)  # it began now, after the latest safe start
    assert said(one, house).endswith("had to start by 05:04")


def test_early_late_met_and_unknown_have_one_spelling_each(house: House) -> None:
    cases = [
        (dict(due_in=23 * MINUTE, p50_in=15 * MINUTE, p90_in=20 * MINUTE, late=0.0), "06:15 -8m"),
        (dict(due_in=-37 * MINUTE, state=Owed.BREACHED), "05:15 +37m"),
        (dict(due_in=-22 * MINUTE, state=Owed.MET, met_in=-60 * MINUTE), "05:30 met"),
        (dict(due_in=-52 * MINUTE, state=Owed.MET_LATE, met_in=-31 * MINUTE), "05:00 +21m"),
        (dict(due_in=68 * MINUTE, state=Owed.UNKNOWN), "07:00 ?"),
        (dict(due_in=68 * MINUTE, state=Owed.WAIVED), "07:00 -"),
        (dict(due_in=13 * MINUTE, type="start_by"), "06:05"),
        (dict(due_in=13 * MINUTE, course=Course.LEARNING, learnt=False, n=5), "06:05 ?"),
        (dict(due_in=-5 * HOUR, state=Owed.BREACHED), "00:52 +5h"),
    ]
    for i, (more, cell) in enumerate(cases):
        assert owed.due_cell(row(house, promise=f"p{i}", **more), TZ, house.now) == cell
        assert len(cell) <= 10


def test_a_missed_start_a_rerun_a_late_source_and_a_run_past_its_history(house: House) -> None:
    start = row(house, type="start_by", due_in=-57 * MINUTE, state=Owed.BREACHED, missed=True, must_start_in=10 * MINUTE, p50_in=30 * MINUTE, p90_in=40 * MINUTE)  # fmt: skip
    assert said(start, house) == "due to start 04:55, no run seen · must start by 06:02"
    again = row(house, due_in=38 * MINUTE, state=Owed.AT_RISK, course=Course.RERUN, p50_in=42 * MINUTE, p90_in=50 * MINUTE, late=0.6, must_start_in=-4 * MINUTE)  # fmt: skip
    assert said(again, house) == "due 06:30, if rerun now 06:34 ± 5 · had to start by 05:48"
    over = row(house, due_in=8 * MINUTE, state=Owed.AT_RISK, course=Course.OVERRUN, late=0.9)
    assert said(over, house) == "due 06:00, longer than all 20 known runs"
    feed = row(house, "feed:eia", type="source_arrival", due_in=-67 * MINUTE, state=Owed.MET_LATE, met_in=-31 * MINUTE)
    assert words.clause_text(owed.source_words(feed, TZ, house.now)) == "source eia came 05:21 +36m"
    assert said(feed, house) == "due to arrive 04:45, came 05:21 · 36m late"


def test_while_it_learns_no_quantile_is_made_up(house: House) -> None:
    bare = row(house, promise="bare", due_in=8 * MINUTE, course=Course.LEARNING, learnt=False, n=5)
    assert said(bare, house) == "due 06:00, learning 5/8"
    one = row(house, due_in=8 * MINUTE, course=Course.LEARNING, learnt=False, n=5, expected_ms=30 * MINUTE, p50_in=30 * MINUTE)  # fmt: skip
    assert said(one, house) == "due 06:00, learning 5/8, declared 30m is used · then done 06:22"
    told = " ".join(" ".join(text_of(basis_lines(one, TZ, house.now, 100))).split())
    assert "learning 5/8 declared 30m is used; 5 runs, 11 Oct–19 Nov so far" in told
    assert "P(late)" not in told


def test_what_nobody_sees_is_unknown_in_warm_grey_but_what_is_broken_stays_broken(house: House) -> None:
    waits = row(house, due_in=8 * MINUTE, p50_in=5 * MINUTE, p90_in=6 * MINUTE, late=0.0)
    assert owed.state_cell(waits, stale=True) == [("◇?", "run-stale"), (" ", ""), ("unknown", "run-stale")]
    broken = row(house, due_in=-8 * MINUTE, state=Owed.BREACHED)
    assert owed.state_cell(broken, stale=True)[2] == ("breached", "run-stale")
    met = row(house, promise="met", due_in=-8 * MINUTE, state=Owed.MET, met_in=-9 * MINUTE)
    assert owed.look(met, stale=True).word == "met"


@pytest.mark.parametrize("width", [80, 120, 40])
def test_every_number_says_where_it_comes_from(house: House, width: int) -> None:
    one = row(
        house, due_in=8 * MINUTE, state=Owed.AT_RISK, p50_in=44 * MINUTE, p90_in=56 * MINUTE, late=0.5, must_start_in=-48 * MINUTE,
        words="finish by 06:00 Europe/Paris, mon-fri",
    )  # fmt: skip
    lines = text_of(basis_lines(one, TZ, house.now, width))
    assert all(cut.width(line) == width for line in lines)
    told = " ".join(" ".join(lines).split())
    assert "declared in watchfloor.toml:12: finish by 06:00 Europe/Paris, mon-fri, severity high" in told
    assert "p50 44m, p90 56m learnt from 20 weekday runs, 11 Oct–19 Nov" in told
    assert "P(late) 0.50 10 of 20 known runs would end after 06:00" in told
    assert "start by 05:04 the due time less the p90" in told


def test_what_is_judged_without_configuration_says_so(house: House) -> None:
    one = row(house, type="start_by", promise="schedule", declared=False, due_in=-57 * MINUTE, state=Owed.BREACHED)
    assert "not declared: the schedule that its source names" in text_of(basis_lines(one, TZ, house.now, 120))[0]


def test_a_hostile_reason_steers_no_terminal(house: House) -> None:
    one = row(house, due_in=8 * MINUTE, state=Owed.UNKNOWN, reason="\x1b[31mred\nnext", words="\x1b]0;x\x07by noon")
    assert cut.clean(said(one, house)) == said(one, house)
    for line in text_of(basis_lines(one, TZ, house.now, 80)):
        assert cut.clean(line) == line


def test_a_sequence_is_out_of_order_and_not_due(house: House) -> None:
    broken = row(
        house, type="sequence", due_in=8 * MINUTE, state=Owed.BREACHED,
        reason="started 05:40 before its upstream succeeded 05:41",
    )  # fmt: skip
    assert said(broken, house) == "out of order: started 05:40 before its upstream succeeded 05:41"
    late = row(
        house, type="sequence", promise="again", due_in=8 * HOUR, state=Owed.MET_LATE, met_in=-MINUTE,
        lateness_ms=4 * MINUTE,
    )  # fmt: skip
    assert owed.short(owed.lateness_ms(late, house.now) or 0) == "+4m", "against its first start, not its due time"


def test_a_broken_set_says_who_is_missing(house: House) -> None:
    one = row(
        house, "set:night", type="completeness", due_in=-8 * MINUTE, state=Owed.BREACHED, course=Course.WAITING,
        p50_in=MINUTE, reason="due 05:44: 4 of 5 done, missing rdv (failed 05:40)",
    )  # fmt: skip
    assert "4 of 5 done, missing rdv (failed 05:40)" in said(one, house)
    assert "not started" not in said(one, house)


def test_one_run_has_no_time_by_which_it_had_to_start(house: House) -> None:
    one = row(
        house, type="max_duration", due_in=MINUTE, state=Owed.AT_RISK, p50_in=4 * MINUTE, p90_in=5 * MINUTE, late=0.9,
        must_start_in=-48 * MINUTE,
    )  # fmt: skip
    assert "start by" not in said(one, house)


def test_an_occurrence_that_keeps_an_older_due_time_says_so(house: House) -> None:
    kept = row(house, due_in=8 * MINUTE, words="finish by 08:00 Europe/Paris, mon-fri")
    first = owed_basis.basis(kept, TZ, house.now)[0][1]
    assert "opened when 06:00 was declared and keeps it, 08:00 counts for the next" in first
    same = row(house, promise="same", due_in=8 * MINUTE, words="finish by 06:00 Europe/Paris, mon-fri")
    assert "keeps it" not in owed_basis.basis(same, TZ, house.now)[0][1]
    margin = row(house, promise="margin", due_in=8 * MINUTE, words="arrive by 05:50 Europe/Paris + 10m")
    assert "keeps it" not in owed_basis.basis(margin, TZ, house.now)[0][1]


def test_a_time_that_the_clock_skips_is_no_older_due_time() -> None:
    paris = 1_806_195_600_000  # 2027-03-28 03:00 in Paris, where 02:30 is skipped
    assert not words.exists(paris, "02:30", TZ)
    assert words.exists(paris, "03:30", TZ)


def test_what_is_due_tomorrow_does_not_read_as_over(house: House) -> None:
    assert words.day_clock(house.now - 10 * MINUTE, TZ, house.now) == "05:42"
    assert words.day_clock(house.now + 23 * HOUR, TZ, house.now) == "Sat 04:52"
    assert words.day_clock(house.now + 5 * HOUR, TZ, house.now) == "10:52"
    assert words.day_clock(house.now + 30 * HOUR, TZ, house.now) == "21 Nov"
