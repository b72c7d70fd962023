"""Timetables as a real Airflow 3.3.2 described them, on Saturday 21 November 2026 at about 15:20 UTC: what we make of each."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters import schedule
from adapters.airflow.wire import Dag, pipeline_of
from adapters.model import Trigger

NEVER = "Never, external triggers only"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ms(text: str) -> int:
    return int(moment(text).timestamp() * 1000)


READ = [
    ("0 0 * * *", "2026-11-22T00:00", Trigger.CRON, "0 0 * * *"),  # @daily arrives so
    ("0 0 1 */3 *", "2027-01-01T00:00", Trigger.CRON, "0 0 1 */3 *"),  # @quarterly
    ("0 0 * * 0", "2026-11-22T00:00", Trigger.CRON, "0 0 * * 0"),
    ("0 6 * * MON-FRI", "2026-11-23T06:00", Trigger.CRON, "0 6 * * MON-FRI"),
    ("0 6 * * 1#1", "2026-12-07T06:00", Trigger.CRON, "0 6 * * 1#1"),
    ("0 6 * * L5", "2026-11-27T06:00", Trigger.CRON, "0 6 * * L5"),
    ("0 6 L * *", "2026-11-30T06:00", Trigger.CRON, "0 6 L * *"),
    ("0 6 1 * 1", "2026-11-23T06:00", Trigger.CRON, "0 6 1 * 1"),
    ("0:07:00", "2026-11-21T15:27:03.460327", Trigger.INTERVAL, "every 7m + 6m3s"),
    ("3:00:00", "2026-11-21T18:00", Trigger.INTERVAL, "every 3h"),
    ("3:00:00", "2026-11-21T18:20:03.466727", Trigger.INTERVAL, "every 3h + 20m3s"),
    ("1 day, 2:00:00", "2026-11-22T17:20:03.462006", Trigger.INTERVAL, "every 1d2h + 7h20m3s"),
    ("7 days, 0:00:00", "2026-11-28T15:20:03.468276", Trigger.INTERVAL, "every 7d + 2d15h20m3s"),
    ("relativedelta(hours=+6)", "2026-11-21T21:20:03.566245", Trigger.INTERVAL, "every 6h + 3h20m3s"),
]


@pytest.mark.parametrize(("summary", "next_run", "trigger", "words"), READ)
def test_what_is_read_comes_due_when_airflow_says(summary: str, next_run: str, trigger: Trigger, words: str) -> None:
    found = pipeline_of(Dag("d", timetable_summary=summary, next_dagrun_run_after=moment(next_run)), "air", "http://a")
    assert (found.trigger, found.schedule) == (trigger, words)
    assert found.schedule is not None
    assert found.next_run is not None
    read = schedule.parse(found.schedule)
    ours = read.after(ms("2026-11-21T15:21"))
    assert ours is not None
    assert 0 <= found.next_run - ours < 1000
    assert read.trigger is trigger


@pytest.mark.parametrize(
    ("summary", "described", "trigger"),
    [
        ("30 6 * * * 15", "", Trigger.CRON),  # the sixth field of croniter is the second
        ("10 1 * * *, 30 2 * * *", "At 01:10, At 02:30", Trigger.CRON),  # MultipleCronTriggerTimetable
        ("relativedelta(months=+1)", "", Trigger.INTERVAL),
        ("PartitionedAtRuntime", "", Trigger.UNKNOWN),
        ("@once", "Once, as soon as possible", Trigger.MANUAL),
        ("@continuous", "As frequently as possible, but only one run at a time.", Trigger.CONTINUOUS),
        ("Asset", "Triggered by assets", Trigger.EVENT),
        ("Partitioned Asset", "Triggered by assets", Trigger.EVENT),
        ("Asset or 0 1 * * *", "Triggered by assets or At 01:00", Trigger.EVENT),
        ("2 events", "2 events between 2026-12-01T06:00:00+00:00 and 2026-12-03T06:00:00+00:00", Trigger.EVENT),
    ],
)
def test_what_is_not_read_as_ticks_keeps_its_trigger(summary: str, described: str, trigger: Trigger) -> None:
    found = pipeline_of(Dag("d", timetable_summary=summary, timetable_description=described), "air", "http://a")
    assert (found.trigger, found.schedule) == (trigger, summary)
    with pytest.raises(ValueError, match="schedule"):
        schedule.parse(summary)


@pytest.mark.parametrize(
    ("summary", "days"),
    [
        ("0 4 */2 * MON", "11-23 11-25 11-27 11-29 11-30"),
        ("0 4 1-7 * */2", "11-22 11-24 11-26 11-28 11-29"),
        ("0 4 1-31 * 1", "11-22 11-23 11-24 11-25 11-26"),
        ("0 4 4-5 * 0-6", "11-22 11-23 11-24 11-25 11-26"),
        ("0 4 ? * 2", "11-24 12-01 12-08 12-15 12-22"),
        ("0 4 13 * ?", "12-13 01-13 02-13 03-13 04-13"),
        ("0 4 * * FRI-MON", "11-22 11-23 11-27 11-28 11-29"),
        ("0 4 13 * 1#2", "12-14 01-11 02-08 03-08 04-12"),
    ],
)
def test_days_are_those_of_airflows_own_croniter(summary: str, days: str) -> None:
    """What croniter 7.0.0 answers from 2026-11-21 15:20 on."""
    found = pipeline_of(Dag("d", timetable_summary=summary), "air", "http://a")
    assert found.schedule is not None
    read = schedule.parse(found.schedule)
    at, ours = ms("2026-11-21T15:20"), []
    for _ in range(5):
        at = read.after(at) or 0
        ours.append(datetime.fromtimestamp(at / 1000, UTC).strftime("%m-%d %H:%M"))
    assert ours == [f"{day} 04:00" for day in days.split()]


def test_none_is_no_schedule() -> None:
    found = pipeline_of(Dag("d", timetable_summary=None, timetable_description=NEVER), "air", "http://a")
    assert (found.trigger, found.schedule, found.next_run) == (Trigger.MANUAL, None, None)


def test_a_delta_keeps_its_words_from_run_to_run_and_has_no_offset_while_paused() -> None:
    def words(next_run: str, paused: bool = False) -> str | None:
        dag = Dag("d", timetable_summary="0:07:00", next_dagrun_run_after=moment(next_run), is_paused=paused)
        return pipeline_of(dag, "air", "http://a").schedule

    assert words("2026-11-21T15:27:03.460327") == words("2026-11-21T15:34:03.460327") == "every 7m + 6m3s"
    assert words("2026-11-21T15:27:03.460327", paused=True) == "every 7m"


def test_an_offset_moves_every_tick() -> None:
    plain, beside = schedule.parse("every 7m"), schedule.parse("every 7m + 2m3s")
    a, b = ms("2026-11-21T15:00"), ms("2026-11-22T15:00")
    moved = [t + 123_000 for t in plain.between(a - 123_000, b - 123_000)]
    assert beside.between(a, b) == moved
    assert beside.last(a, b, 3) == moved[-3:]
    assert [beside.after(t) for t in moved[:-1]] == moved[1:]
    assert beside.after(moved[0] - 1) == moved[0]
    with pytest.raises(ValueError, match="less than 7m"):
        schedule.parse("every 7m + 7m")
