"""When jobs start by themselves: ticks once, overlap, chains, what was missed, pauses, and the dates that runs are for."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Action, Done, NotDone
from adapters.errors import Conflict
from adapters.local.jobs import compile_job
from adapters.model import Mode, Run, RunKind, State, Trigger, Verb
from tests.local.kit import Floor, job, sh, until

Make = Callable[..., Floor]
MINUTE = 60_000


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


NINE = ms(2026, 3, 10, 9)


async def due_runs(f: Floor, name: str) -> dict[str, Run]:
    """Runs of a job by native id."""
    found = await f.all_runs()
    return {key.partition("/")[2]: run for key, run in found.items() if key.startswith(f"local:{name}/")}


async def test_a_tick_starts_its_job_once_although_the_adapter_is_made_anew(floor: Make) -> None:
    f = floor(job("load", sh("echo x >> count"), schedule="0 * * * *"))
    await f.adapter.tick(NINE - 5_000)
    assert (await f.pipeline("load")).trigger == Trigger.CRON
    for at in (NINE - 1, NINE, NINE + 1, NINE + 900):
        await f.adapter.tick(at)
        f.again()
        await f.adapter.tick(at)
    # also if what it remembers of the ticks is lost right after the start
    (f.folder / "state" / "ticks.json").write_text(
        json.dumps({"v": 1, "jobs": {"load": {"schedule": "0 * * * * UTC", "seen": NINE - 1}}})
    )
    f.again()
    await f.adapter.tick(NINE + 2000)
    run = await f.reach("local:load/20260310T090000Z")
    assert (run.state, run.kind, run.business_date) == (State.SUCCESS, RunKind.SCHEDULED, "2026-03-10")
    assert run.client_id == "load 20260310T090000Z"
    assert (f.work / "count").read_text() == "x\n"
    assert list(await due_runs(f, "load")) == ["20260310T090000Z"]


def race(folder: str, go: Any) -> None:
    async def main() -> None:
        f = Floor(Path(folder), job("load", sh("echo x >> count; sleep 0.1"), schedule="* * * * *", overlap="allow"))
        go.wait()
        for n in range(8):
            await f.adapter.tick(NINE + n * MINUTE)

    asyncio.run(main())


async def test_two_adapters_that_race_for_a_tick_start_it_once(floor: Make) -> None:
    f = floor(job("load", sh("echo x >> count; sleep 0.1"), schedule="* * * * *", overlap="allow"))
    await f.adapter.tick(NINE - 1)
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(3)
    racers = [context.Process(target=race, args=(str(f.folder), go)) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        await asyncio.to_thread(racer.join, 30)
        assert racer.exitcode == 0
    for n in range(8):
        run = await f.reach(f"local:load/20260310T09{n:02}00Z")
        assert run.state == State.SUCCESS
    assert (f.work / "count").read_text() == "x\n" * 8


async def test_overlap_skip_shows_the_skipped_run(floor: Make) -> None:
    f = floor(job("load", sh("[ -e go ] || sleep 30"), schedule="* * * * *"))
    await f.adapter.tick(NINE - 1)
    await f.adapter.tick(NINE)
    await f.reach("local:load/20260310T090000Z", State.RUNNING)
    await f.adapter.tick(NINE + MINUTE)
    skipped = await f.read("local:load/20260310T090100Z")
    assert (skipped.state, skipped.started) == (State.SKIPPED, None)
    assert skipped.sub == "skipped: 20260310T090000Z was still active"


async def test_overlap_queue_runs_them_one_after_the_other(floor: Make) -> None:
    f = floor(
        job(
            "load",
            sh("echo begin {run} >> order; sleep 0.15; echo end {run} >> order"),
            schedule="* * * * *",
            overlap="queue",
        )
    )
    await f.adapter.tick(NINE - 1)
    for n in range(3):
        await f.adapter.tick(NINE + n * MINUTE)
    waiting = await f.read("local:load/20260310T090200Z")
    assert (waiting.state, waiting.sub) == (State.QUEUED, "waits for 20260310T090100Z to end")
    manual = await f.start("load")
    f.again()
    while True:
        await f.adapter.tick(NINE + 2 * MINUTE + 1)
        if (await f.read(manual)).state.terminal:
            break
        await asyncio.sleep(0.02)
    order = (f.work / "order").read_text().split()
    assert order[0::2] == ["begin", "end"] * 4
    assert order[1::4] == order[3::4]
    assert order[1::4] == [f"20260310T090{n}00Z" for n in range(3)] + [manual.partition("/")[2]]


async def test_overlap_allow_runs_them_together(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30"), schedule="* * * * *", overlap="allow"))
    await f.adapter.tick(NINE - 1)
    await f.adapter.tick(NINE)
    await f.adapter.tick(NINE + MINUTE)
    for n in range(2):
        await f.reach(f"local:load/20260310T090{n}00Z", State.RUNNING)


async def test_a_waiting_run_can_be_stopped(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30"), overlap="queue"))
    first, second = await f.start("load"), await f.start("load")
    await f.reach(first, State.RUNNING)
    await f.act(Verb.STOP, second)
    run = await f.read(second)
    assert (run.state, run.stopped_by, run.sub, run.started) == (State.STOPPED, "ana", "before it began", None)
    await f.adapter.tick(NINE)
    assert (await f.read(second)).state == State.STOPPED


async def test_ticks_of_an_absence_are_missed_each_and_the_last_within_a_minute_starts(floor: Make) -> None:
    f = floor(job("load", sh("true"), schedule="*/10 * * * *"))
    await f.adapter.tick(NINE - 1)
    f.again()
    await f.adapter.tick(NINE + 40 * MINUTE + 20_000)
    runs = await due_runs(f, "load")
    assert {run: r.state for run, r in runs.items() if r.state == State.MISSED} == {
        f"20260310T09{n}00Z": State.MISSED for n in ("00", "10", "20", "30")
    }
    missed = runs["20260310T091000Z"]
    assert (missed.queued, missed.started, missed.business_date) == (NINE + 10 * MINUTE, None, "2026-03-10")
    assert missed.sub == "Watchfloor was not running when it was due"
    assert (await f.reach("local:load/20260310T094000Z")).state == State.SUCCESS


async def test_with_catchup_last_one_run_makes_up_for_all(floor: Make) -> None:
    f = floor(
        job("load", sh("echo {business_date} >> out"), schedule="0 5 * * *", catchup="last", business_date="logical")
    )
    await f.adapter.tick(NINE)
    f.again()
    await f.adapter.tick(NINE + 3 * 86_400_000)
    run = await f.reach("local:load/20260313T050000Z")
    assert (run.state, run.business_date) == (State.SUCCESS, "2026-03-13")
    runs = await due_runs(f, "load")
    assert {r: run.sub for r, run in runs.items() if run.state == State.SKIPPED} == {
        "20260311T050000Z": "caught up by 20260313T050000Z",
        "20260312T050000Z": "caught up by 20260313T050000Z",
    }
    assert (f.work / "out").read_text() == "2026-03-13\n"


async def test_a_long_absence_shows_a_bounded_number_of_missed_ticks(floor: Make) -> None:
    f = floor(job("load", sh("true"), schedule="* * * * *"))
    await f.adapter.tick(NINE)
    f.again()
    begun = time.monotonic()
    await f.adapter.tick(NINE + 30 * 86_400_000 + 61_000)
    assert time.monotonic() - begun < 2
    names = sorted(path.name for path in (f.folder / "state" / "runs").iterdir())
    assert len(names) == 50
    oldest = await f.read(f"local:load/{names[0].partition('@')[2]}")
    assert (oldest.sub or "").endswith("(and more before it)")


async def test_a_new_or_changed_schedule_owes_nothing_of_the_past(floor: Make) -> None:
    f = floor(job("load", sh("true"), schedule="0 * * * *"))
    await f.adapter.tick(NINE)
    f.jobs = (job("load", sh("true"), schedule="*/5 * * * *"), job("new", sh("true"), schedule="* * * * *"))
    f.again()
    await f.adapter.tick(NINE + 180 * MINUTE + 1)
    assert await f.all_runs() == {}


async def test_a_clock_that_was_wrong_does_not_silence_a_schedule(floor: Make) -> None:
    f = floor(job("load", sh("true"), schedule="* * * * *"))
    await f.adapter.tick(NINE + 400 * 86_400_000)
    f.again()
    await f.adapter.tick(NINE - 1)
    await f.adapter.tick(NINE)
    assert (await f.reach("local:load/20260310T090000Z")).state == State.SUCCESS


async def test_a_paused_schedule_starts_nothing_also_after_a_restart_and_misses_nothing(floor: Make) -> None:
    f = floor(job("load", sh("true"), schedule="*/10 * * * *"))
    await f.adapter.tick(NINE - 1)
    plan = await f.adapter.prepare(Action(verb=Verb.PAUSE, key="local:load", client_id="p", who="ana"))
    assert plan.steady == 2
    assert isinstance(await f.adapter.reconcile(plan), NotDone)
    await f.adapter.send(plan)
    assert isinstance(await f.adapter.reconcile(plan), Done)
    assert f.adapter.enabled_schedules == 0
    f.again()
    paused = await f.pipeline("load")
    assert (paused.mode, paused.next_run) == (Mode.PAUSED, None)
    for n in range(60):
        await f.adapter.tick(NINE + n * MINUTE)
    assert await f.all_runs() == {}
    manual = await f.start("load")  # by hand it starts all the same
    assert (await f.reach(manual)).state == State.SUCCESS
    await f.act(Verb.RESUME, "local:load")
    f.again()
    resumed = await f.pipeline("load")
    assert resumed.mode == Mode.ACTIVE
    assert resumed.next_run is not None
    assert f.adapter.enabled_schedules == 1
    # resumed at the real time of now: the ticks of the pause are not missed
    await f.adapter.tick(int(time.time() * 1000))
    assert {run.state for run in (await f.all_runs()).values()} <= {State.SUCCESS}


async def test_a_job_follows_when_all_before_it_finished_for_the_same_date(floor: Make) -> None:
    f = floor(
        job("a", sh("true")),
        job("b", sh("exit {param.code}")),
        job("c", sh("echo {business_date} >> out"), after=("a", "b")),
        job("d", sh("echo d {business_date} >> out"), after=("c",)),
    )
    assert (await f.pipeline("c")).trigger == Trigger.EVENT
    assert (await f.pipeline("c")).after == ("local:a", "local:b")

    async def settle(*keys: str) -> None:
        for key in keys:
            await f.reach(key)
        await f.adapter.tick(NINE)

    await settle(await f.start("a", business_date="2026-03-01"))
    await settle(await f.start("b", business_date="2026-03-02", params={"code": "0"}))
    assert await due_runs(f, "c") == {}  # not the same date
    await settle(await f.start("b", business_date="2026-03-01", params={"code": "1"}))
    assert await due_runs(f, "c") == {}  # not finished
    f.again()  # and the engine that saw a's end is gone
    await settle(await f.start("b", business_date="2026-03-01", params={"code": "0"}))
    runs = await due_runs(f, "c")
    assert [run.business_date for run in runs.values()] == ["2026-03-01"]
    await settle(*(run.key for run in runs.values()))
    d = await due_runs(f, "d")
    await settle(*(run.key for run in d.values()))
    assert (f.work / "out").read_text() == "2026-03-01\nd 2026-03-01\n"
    for _ in range(3):
        f.again()
        await f.adapter.tick(NINE)
    assert len(await due_runs(f, "c")) == 1
    await settle(await f.start("a", business_date="2026-03-01"))  # done again: what follows too
    assert len(await due_runs(f, "c")) == 2


async def test_a_chain_goes_on_although_the_engine_was_gone_when_the_first_ended(floor: Make) -> None:
    f = floor(job("a", sh("sleep 0.2")), job("b", sh("echo x >> out"), after=("a",)))
    key = await f.start("a", business_date="2026-03-01")
    await until(lambda: f.state(key).get("state") == State.SUCCESS)
    f.again()
    await f.adapter.tick(NINE)
    (run,) = (await due_runs(f, "b")).values()
    assert (await f.reach(run.key)).state == State.SUCCESS


async def test_a_paused_job_does_not_follow(floor: Make) -> None:
    f = floor(job("a", sh("true")), job("b", sh("true"), after=("a",)))
    await f.act(Verb.PAUSE, "local:b")
    await f.reach(await f.start("a"))
    await f.adapter.tick(NINE)
    assert await due_runs(f, "b") == {}


async def test_a_schedule_with_after_waits_for_what_comes_before(floor: Make) -> None:
    f = floor(job("a", sh("true")), job("b", sh("true"), after=("a",), schedule="0 9 * * *"))
    await f.adapter.tick(NINE - 1)
    await f.adapter.tick(NINE)
    waiting = await f.read("local:b/20260310T090000Z")
    assert (waiting.state, waiting.sub) == (State.QUEUED, "waits for a of 2026-03-10")
    f.again()
    await f.reach(await f.start("a", business_date="2026-03-10"))
    await f.adapter.tick(NINE + 1000)
    await f.adapter.tick(NINE + 2000)
    assert (await f.reach("local:b/20260310T090000Z")).state == State.SUCCESS
    assert len(await due_runs(f, "b")) == 1


async def test_a_scheduled_run_without_its_parameter_is_failed_and_says_so(floor: Make) -> None:
    f = floor(job("load", ("echo", "{param.day}"), schedule="* * * * *"))
    await f.adapter.tick(NINE - 1)
    await f.adapter.tick(NINE)
    run = await f.read("local:load/20260310T090000Z")
    assert (run.state, run.error) == (State.FAILED, "not started: the parameter 'day' is not given")


@pytest.mark.parametrize(
    ("rule", "zone", "start", "due", "expected"),
    [
        ("start", "UTC", ms(2026, 3, 10, 23, 59), None, "2026-03-10"),
        ("start", "Europe/Paris", ms(2026, 3, 10, 23, 30), None, "2026-03-11"),
        ("start - 1d", "Europe/Paris", ms(2026, 3, 10, 22, 59), None, "2026-03-09"),
        ("start - 1d", "Europe/Paris", ms(2026, 3, 10, 23, 0), None, "2026-03-10"),
        ("start", "America/New_York", ms(2026, 3, 11, 3, 59), None, "2026-03-10"),
        ("start", "Asia/Kolkata", ms(2026, 3, 10, 18, 30), None, "2026-03-11"),
        # a tick at 23:59:00 that starts two seconds late keeps its date; hours late it does not, unless it is logical
        ("start", "UTC", ms(2026, 3, 11, 0, 0, 1), ms(2026, 3, 10, 23, 59, 30), "2026-03-10"),
        ("start", "UTC", ms(2026, 3, 11, 8), ms(2026, 3, 10, 23, 0), "2026-03-11"),
        ("logical", "UTC", ms(2026, 3, 11, 8), ms(2026, 3, 10, 23, 0), "2026-03-10"),
        ("logical - 2d", "UTC", ms(2026, 3, 11, 8), ms(2026, 3, 10, 23, 0), "2026-03-08"),
        ("logical", "Europe/Paris", ms(2026, 3, 10, 23, 30), None, "2026-03-11"),
        # 24 h after a date in autumn is not the next date
        ("start - 1d", "Europe/Paris", ms(2027, 10, 31, 22, 30), None, "2027-10-30"),
    ],
)
def test_business_dates(rule: str, zone: str, start: int, due: int | None, expected: str) -> None:
    assert compile_job(job("x", ("true",), business_date=rule, timezone=zone)).business_date(start, due) == expected


async def test_a_given_business_date_wins(floor: Make) -> None:
    f = floor(job("load", sh("true"), business_date="start - 1d"))
    assert (await f.reach(await f.start("load", business_date="2020-02-29"))).business_date == "2020-02-29"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"schedule": "61 * * * *"}, "job 'x': schedule '61 * * * *'"),
        ({"timezone": "Mars/Base"}, "job 'x': 'Mars/Base' is not a time zone"),
        ({"business_date": "yesterday"}, "job 'x': business_date 'yesterday' is not known"),
    ],
)
def test_a_job_that_cannot_be_read_is_one_sentence(floor: Make, fields: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        floor(job("x", ("true",), **fields))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_rerun_of_a_missed_tick_is_for_its_date(floor: Make) -> None:
    f = floor(job("load", sh("echo {business_date}"), schedule="0 9 * * *", business_date="start - 1d"))
    await f.adapter.tick(NINE - MINUTE)
    f.again()
    await f.adapter.tick(NINE + 120 * MINUTE)
    sent = await f.act(Verb.RERUN, "local:load/20260310T090000Z")
    run = await f.reach(getattr(sent, "run", ""))
    assert (run.state, run.business_date) == (State.SUCCESS, "2026-03-09")
    assert f.log(run.key, "s1.1.log") == b"2026-03-09\n"
    with pytest.raises(Conflict, match="not a business date"):
        await f.act(Verb.RERUN, run.key, business_date="x")
