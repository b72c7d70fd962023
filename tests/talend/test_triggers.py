"""Schedules of TMC: a cron line where one says exactly the same, else words that nobody takes for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adapters.model import Trigger
from adapters.schedule import parse
from adapters.talend.triggers import TriggerBody, When, quartz, when

NOW = 1_795_000_000_000  # 2026-11-18


def body(**fields: Any) -> TriggerBody:
    return msgspec.convert(fields, TriggerBody)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "DAILY", "interval": 1, "atTimes": {"type": "AT_TIME", "time": "05:30"}}, "30 5 * * *"),
        (
            {"type": "DAILY", "interval": 1, "atTimes": {"type": "AT_SPECIFIC_TIMES", "times": ["18:15", "06:15"]}},
            "15 6,18 * * *",
        ),
        (
            {"type": "DAILY", "interval": 1, "atTimes": {"type": "AT_SPECIFIC_TIMES", "times": ["06:15", "06:45"]}},
            "15,45 6 * * *",
        ),
        (
            {
                "type": "WEEKLY",
                "interval": 1,
                "atDays": {"type": "DAY_OF_WEEK", "days": ["MONDAY", "FRIDAY"]},
                "atTimes": {"type": "AT_TIME", "time": "10:00"},
            },
            "0 10 * * mon,fri",
        ),
        (
            {
                "type": "MONTHLY",
                "interval": 1,
                "atDays": {"type": "DAY_OF_MONTH", "day": 3},
                "atTimes": {"type": "AT_TIME", "time": "10:00"},
            },
            "0 10 3 * *",
        ),
        ({"type": "CRON", "cronExpression": "0 6 ? * MON-FRI *"}, "0 6 * * mon-fri"),
    ],
)
def test_what_a_cron_line_says_exactly(fields: dict[str, Any], text: str) -> None:
    found = when([body(**fields, timeZone="Europe/Paris", startDate="2024-01-01")], NOW)
    assert (found.trigger, (found.schedule or "").lower(), found.timezone) == (Trigger.CRON, text, "Europe/Paris")
    parse(found.schedule or "", "Europe/Paris")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"type": "DAILY", "interval": 1, "atTimes": {"type": "AT_SPECIFIC_TIMES", "times": ["06:15", "18:45"]}},
            "each day at 06:15, 18:45",
        ),
        ({"type": "DAILY", "interval": 2, "atTimes": {"type": "AT_TIME", "time": "05:30"}}, "each 2 days at 05:30"),
        (
            {
                "type": "DAILY",
                "interval": 1,
                "atTimes": {"type": "AT_INTERVALS", "startTime": "10:00", "endTime": "23:00", "interval": 10},
            },
            "each day every 10m from 10:00 to 23:00",
        ),
        (
            {
                "type": "WEEKLY",
                "interval": 3,
                "atDays": {"days": ["MONDAY"]},
                "atTimes": {"type": "AT_TIME", "time": "1:00"},
            },
            "each 3 weeks on Monday at 1:00",
        ),
        ({"type": "MONTHLY", "atDays": {"day": 31}}, "each month on day 31"),
        ({"type": "CRON", "cronExpression": "0 0 1W * ? *"}, "0 0 1W * ? *"),
        ({"type": "CRON", "cronExpression": "0 0 1 * ? 2027"}, "0 0 1 * ? 2027"),
        (
            {
                "type": "DAILY",
                "interval": 1,
                "startDate": "2027-03-01",
                "atTimes": {"type": "AT_TIME", "time": "05:30"},
            },
            "30 5 * * * from 2027-03-01",
        ),
    ],
)
def test_what_no_cron_line_says_stays_words(fields: dict[str, Any], text: str) -> None:
    found = when([body(**{"startDate": "2024-01-01"} | fields)], NOW)
    assert (found.trigger, found.schedule) == (Trigger.CRON, text)
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 6 ? * 2-6 *", "0 6 * * mon-fri"),  # Quartz counts from 1 = Sunday
        ("0 6 ? * 1 *", "0 6 * * sun"),
        ("0 6 ? * 7", "0 6 * * sat"),
        ("*/5 * * * ?", "*/5 * * * *"),
        ("0 6 ? * 2#1 *", "0 6 * * mon#1"),
        ("0 6 ? * 6L *", "0 6 * * fril"),
        ("0 6 L * ? *", "0 6 L * *"),
        ("0 6 ? * MON,3 *", "0 6 * * mon,tue"),
    ],
)
def test_quartz_counts_weekdays_otherwise(text: str, cron: str) -> None:
    assert quartz(text).lower() == cron.lower()
    parse(quartz(text))


def test_what_is_not_started_by_the_clock() -> None:
    assert when([], NOW) == When(Trigger.MANUAL)
    assert when([body(type="MANUAL")], NOW) == When(Trigger.MANUAL)
    assert when([body(type="WEBHOOK")], NOW) == When(Trigger.EVENT, "webhook")
    once = body(type="ONCE", startDate="2026-12-01", atTimes={"type": "AT_TIME", "time": "11:00"})
    assert when([once], NOW) == When(Trigger.MANUAL, "once, 2026-12-01 at 11:00")
    assert when([body(type="HOURLY")], NOW) == When(Trigger.UNKNOWN, "HOURLY")
    assert when([body()], NOW) == When(Trigger.UNKNOWN)
