"""What is written, in our units; and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import Severity
from engine.config import units
from engine.config.at import duration_ms
from engine.config.units import Moment, SeverityTest


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90000),
        ("15m", 900000),
        ("4h", 14400000),
        ("26h", 93600000),
        ("7d", 604800000),
        ("1h30m", 5400000),
        ("500ms", 500),
        ("1.5s", 1500),
        ("2w", 1209600000),
        ("0s", 0),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert units.duration(text) == duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "5min", "1e3s", "٣s", "101y", "9999999d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        units.duration(text)
    with pytest.raises(ValueError, match=r"^expected a duration .*, got "):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 << 30), ("8GB", 8 * 10**9), ("512 MiB", 512 << 20), ("0.5KiB", 512), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert units.size(text) == size


@pytest.mark.parametrize("text", ["8", "8G", "8gib", "-1MB", "MiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r'^a size like "512MiB" or "8GiB"$'):
        units.size(text)


def test_rates() -> None:
    assert [units.rate(t) for t in ("60/min", "2/s", "600/h", "1/h", "60 / m")] == [60, 120, 10, 1, 60]
    for text in ("0/min", "60", "60/day", "-1/s"):
        with pytest.raises(ValueError):
            units.rate(text)


def test_clock_moments_and_days() -> None:
    assert (units.clock("00:00"), units.clock("06:05"), units.clock("23:59")) == (0, 365, 1439)
    assert units.moment("sun 02:00") == Moment(120, 6)
    assert units.moment("04:00") == Moment(240)
    assert units.days("mon-fri") == frozenset(range(5))
    assert units.days("fri-mon") == {4, 5, 6, 0}
    assert units.days("mon, wed") == {0, 2}
    assert units.days("daily") == frozenset(range(7))
    for parse, text in (
        (units.clock, "6:00"),
        (units.clock, "24:00"),
        (units.moment, "xxx 04:00"),
        (units.days, "mon-"),
        (units.days, ""),
    ):
        with pytest.raises(ValueError):
            parse(text)


def test_hours() -> None:
    assert [units.hours(t) for t in ("09:00-18:00", "22:00 - 06:00", "00:00-24:00")] == [
        (540, 1080),
        (1320, 360),
        (0, 1440),
    ]
    for text in ("09:00", "09:00-", "24:00-06:00", "09:00-09:00", "9-18", "09:00-25:00"):
        with pytest.raises(ValueError, match=r"^hours like "):
            units.hours(text)


def test_severity_tests_count_the_worse_as_more() -> None:
    bad_or_worse = units.severity_test(">=medium")
    assert [bad_or_worse.takes(s) for s in Severity] == [True, True, True, False, False]
    assert [units.severity_test("high").takes(s) for s in Severity] == [False, True, False, False, False]
    assert [units.severity_test("<medium").takes(s) for s in Severity] == [False, False, False, True, True]
    assert [units.severity_test(">error").takes(s) for s in Severity] == [True, False, False, False, False]
    assert SeverityTest(">=", Severity.INFO).takes(Severity.INFO)


@given(st.text(max_size=30))
def test_parsers_raise_nothing_but_value_errors(text: str) -> None:
    for parse in (
        units.duration,
        units.size,
        units.rate,
        units.clock,
        units.moment,
        units.hours,
        units.days,
        units.zone,
        units.severity_test,
    ):
        with suppress(ValueError):
            parse(text)
