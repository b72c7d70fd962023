"""Outputs: what a step must have made is asked for when it ended, written down beside what was expected, and asked again for a while."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.extras import Readings
from adapters.model import Sample, State, StepRun
from engine.config.model import Check, Facts, PipelineRule
from engine.facts.checks import Checks
from engine.facts.outputs import LAST_MS, UNREAD_MS, UNREAD_TRIES, expected_words, steps_wanted
from engine.store import metrics
from engine.store import steps as store_steps
from tests.facts.kit import HOUR, MIN, NOW, House, a_run

Make = Callable[..., House]
PY = sys.executable


def checks_of(h: House, *checks: Check, done_when: tuple[str, ...] = ()) -> Checks:
    h.configure(checks=checks)
    h.list("p", rules=(PipelineRule(match="*", done_when=done_when),))
    return Checks(h.ctx, h.judge)


async def asked(checks: Checks) -> None:
    """Whatever is due is asked for, and has answered."""
    checks.step()
    async with asyncio.timeout(20):
        while tasks := [*checks._busy.values(), *checks._asking.values()]:
            await asyncio.gather(*tasks)
            checks.step()


async def later(h: House, checks: Checks, ms: int) -> None:
    h.clock.at += ms
    await asked(checks)


def step(
    h: House, name: str = "load", state: State = State.SUCCESS, *, run: str = "1", began: int = NOW - 5 * MIN, **more
) -> None:
    ended = NOW - 2 * MIN if state.terminal else None
    one = StepRun(
        run=f"a:p/{run}", step=name, native=state.name.lower(), state=state, started=began, ended=ended, **more
    )
    with h.store.transaction() as tx:
        store_steps.apply_steps(tx, f"a:p/{run}", [one])


def shown(h: House, run: str = "1") -> list[tuple[str, str, int, str, str | None, str]]:
    return [(o.name, o.step, o.state, o.expected, o.saw, o.words) for o in h.reader().outputs(f"a:p/{run}")]


def read(h: House, value: float, t: int, series: str = "fact_rows") -> None:
    with h.store.transaction() as tx:
        metrics.put_readings(tx, "a", {series: "rows"}, Readings(samples=[Sample(series, t, value)]))


ROWS = Check(name="rows", on="a:p", step="load", series="fact_rows", normal=(1.0, math.inf))


async def test_a_reading_since_the_step_began_is_seen(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 1204, NOW - 3 * MIN)
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    assert shown(h) == [("rows", "load", 1, "≥ 1", "1,204 rows", "1,204 rows")]
    assert checks.step() > 20, "nothing is left to ask"


async def test_one_from_before_the_step_is_none_of_it(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 1204, NOW - 6 * MIN)  # after the run began, before the step did
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    ((_, _, state, _, saw, words),) = shown(h)
    assert (state, saw) == (0, None)
    assert words == "the last reading of fact_rows, 1,204 rows, is older than it"
    read(h, 7, h.clock.at)
    await later(h, checks, 20_000)
    assert shown(h)[0][2:5] == (1, "≥ 1", "7 rows")


async def test_what_was_seen_and_is_not_expected_is_said_and_asked_again(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="rows", on="a:p", step="load", series="fact_rows", normal=(1.0, 9.0)))
    read(h, 0, NOW - MIN)
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    assert shown(h) == [("rows", "load", 2, "1 to 9", "0 rows", "")]
    read(h, 5, h.clock.at)
    await later(h, checks, 20_000)
    assert shown(h)[0][2] == 1


async def test_a_series_that_nobody_knows_is_not_seen(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    assert shown(h)[0][2:] == (0, "≥ 1", None, "no series fact_rows is known")


async def test_a_file_must_be_written_since_the_step_began(house: Make, tmp_path: Path) -> None:
    h = house()
    file = tmp_path / "out.csv"
    checks = checks_of(h, Check(name="there", on="a:*", step="load", file="out.csv", min_size=3))
    file.write_text("abc")
    os.utime(file, (0, (NOW - 6 * MIN) / 1000))
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    ((_, _, state, expected, saw, words),) = shown(h)
    assert (state, expected, saw) == (2, "out.csv written, 3 bytes or more", None)
    assert "is older than the run" in words
    os.utime(file, (0, (NOW - 3 * MIN) / 1000))
    await later(h, checks, 20_000)
    assert shown(h)[0][2] == 1
    assert "is there, 3 bytes" in (shown(h)[0][4] or "")


async def test_the_last_line_of_a_command_is_what_was_seen(house: Make) -> None:
    h = house()
    checks = checks_of(
        h, Check(name="count", on="a:p", step="load", run=(PY, "-c", "print('1204 rows of', '{business_date}')"))
    )
    h.see(checks, a_run(business_date="2026-11-20"))
    step(h)
    await asked(checks)
    assert shown(h)[0][2:5] == (1, f"{os.path.basename(PY)} exits 0", "1204 rows of 2026-11-20")


async def test_without_a_step_it_is_of_the_run_that_ended_well(house: Make, tmp_path: Path) -> None:
    h = house()
    (tmp_path / "out.csv").write_text("abc")
    os.utime(tmp_path / "out.csv", (0, NOW / 1000))
    checks = checks_of(h, Check(name="there", on="a:p", file="out.csv"))
    h.see(checks, a_run("bad", State.FAILED), a_run("good"))
    await asked(checks)
    assert shown(h, "bad") == []
    assert shown(h, "good")[0][:3] == ("there", "", 1)


async def test_asked_while_the_run_goes_on_once_the_step_ended(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 3, NOW - MIN)
    h.see(checks, a_run(state=State.RUNNING))
    step(h, state=State.RUNNING)
    await asked(checks)
    assert shown(h) == []
    step(h)
    await asked(checks)
    assert shown(h)[0][2] == 1


async def test_a_step_that_failed_made_nothing_and_is_not_asked_again(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 3, NOW - MIN)
    h.see(checks, a_run(state=State.FAILED))
    step(h, state=State.FAILED)
    await asked(checks)
    assert shown(h)[0][2:] == (2, "≥ 1", None, "the step did not end well: failed")
    assert checks.step() > 20


async def test_a_good_step_of_a_failed_run_is_asked(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 3, NOW - MIN)
    h.see(checks, a_run(state=State.FAILED))
    step(h)
    await asked(checks)
    assert shown(h)[0][2] == 1


async def test_a_step_that_there_is_not_is_said(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.see(checks, a_run())
    step(h, "other")
    await asked(checks)
    assert shown(h)[0][2:] == (2, "≥ 1", None, "the run has no step load")


async def test_where_steps_are_never_known_the_run_stands_for_them(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    read(h, 3, NOW - 9 * MIN)
    h.see(checks, a_run())
    await asked(checks)
    assert shown(h)[0][5] == "its steps are not read yet"
    for _ in range(UNREAD_TRIES):
        assert shown(h)[0][2] == 0
        await later(h, checks, UNREAD_MS)
    assert shown(h)[0][2:5] == (1, "≥ 1", "3 rows")


async def test_asked_for_two_hours_and_then_no_more(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.see(checks, a_run())
    step(h)
    for _ in range(LAST_MS // (5 * MIN) + 6):
        await later(h, checks, 5 * MIN)
    assert shown(h)[0][5] == "no series fact_rows is known; not asked any more"
    assert not checks.busy


async def test_it_holds_no_run_back_unless_done_when_names_it(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.see(checks, a_run())
    step(h)
    await asked(checks)
    assert h.reader().unverified() == {}
    checks = checks_of(h, ROWS, done_when=("rows",))
    h.see(checks, a_run("2"))
    step(h, run="2")
    await asked(checks)
    assert [(c.name, c.state) for c in h.reader().unverified()[1]] == [("rows", 0)]
    read(h, 9, h.clock.at)
    await later(h, checks, 10 * MIN)
    assert h.reader().unverified() == {}
    assert shown(h, "2")[0][2] == 1
    assert ("checked", "a:p/2") in h.judge.told


async def test_history_and_other_pipelines_have_none(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.list("q")
    h.see(
        checks,
        a_run("old", backfilled=True),
        a_run("x", pipeline="a:q"),
        a_run("long", ended=NOW - LAST_MS - HOUR, started=NOW - 9 * HOUR),
    )
    await asked(checks)
    assert h.ask("SELECT count(*) FROM run_output") == [(0,)]


async def test_what_is_configured_no_more_goes(house: Make) -> None:
    h = house()
    checks = checks_of(h, ROWS)
    h.see(checks, a_run())
    h.configure(checks=())
    await asked(checks)
    assert shown(h) == []


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check(name="x", series="s"), "a reading of s"), (Check(name="x", series="s", normal=(1.0, math.inf)), "≥ 1"),
        (Check(name="x", series="s", normal=(-math.inf, 0.5)), "≤ 0.5"), (Check(name="x", series="s", normal=(1.0, 10_000.0)), "1 to 10,000"),
        (Check(name="x", file="/data/{business_date}.csv"), "{business_date}.csv written"), (Check(name="x", run=("/bin/count", "-v")), "count exits 0"),
        (Check(name="x"), "ping x ok"),
    ],
)  # fmt: skip
def test_what_is_expected_in_words(check: Check, words: str) -> None:
    assert expected_words(check) == words


def test_steps_are_read_only_where_one_has_an_output(house: Make) -> None:
    h = house()
    h.configure(checks=(ROWS, Check(name="x", on="b:*"), Check(name="y")))
    assert steps_wanted(h.ctx.config, Facts(key="a:p"))
    assert not steps_wanted(h.ctx.config, Facts(key="b:p"))
