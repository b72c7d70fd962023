"""Each table of what is owed, read into our units, and what is said of it without refusing it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from engine.config.load import load, load_text
from engine.config.model import Config
from engine.config.units import Moment
from engine.owed.calendar import DAILY, parse_days

SOURCE = '[[source]]\nname = "air"\nkind = "airflow"\nurl = "https://a.example"\n'
FEED = '[[feed]]\nname = "eia"\nfile = "in/eia_{yyyymmdd}.csv"\n'
ROUTE = '[[contact]]\nname = "ana"\nurl = { env = "U" }\n[[route]]\nmatch = "*"\nto = ["ana"]\n'


def loaded(text: str, folder: Path | None = None) -> Config:
    return load_text(SOURCE + ROUTE + text, folder, kinds=("airflow", "local"))


def owed(text: str) -> str:
    return f'[[expectation]]\nid = "e"\n{text}\n'


def test_a_calendar_of_two_files_of_holidays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12-25 Christmas\n")
    (tmp_path / "b.ics").write_text(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nSUMMARY:Eve\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    config = loaded(
        '[[calendar]]\nname = "bank"\ntimezone = "Europe/Paris"\nweekdays = "sun-thu"\n'
        'hours = ["09:00-12:30", "22:00-06:00"]\nholidays = ["a.txt", "b.ics"]\n',
        tmp_path,
    )
    bank = config.calendars["bank"]
    assert (bank.name, bank.zone, bank.weekdays) == ("bank", "Europe/Paris", {6, 0, 1, 2, 3})
    assert bank.hours == ((540, 750), (1320, 360))
    assert [bank.holidays.name_of(date(2026, 12, day)) for day in (23, 24, 25)] == [None, "Eve", "Christmas"]
    assert config.files[-2:] == (tmp_path / "a.txt", tmp_path / "b.ics")


def test_a_calendar_is_monday_to_friday_in_the_zone_of_all_unless_it_says_otherwise() -> None:
    config = load_text('timezone = "Asia/Tokyo"\n[[calendar]]\nname = "c"\n')
    works = config.calendars["c"]
    assert (works.zone, works.weekdays, works.hours) == ("Asia/Tokyo", frozenset(range(5)), ((0, 1440),))


def test_a_holiday_more_is_another_configuration(tmp_path: Path) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text('[[calendar]]\nname = "c"\nholidays = ["h.txt"]\n')
    (tmp_path / "h.txt").write_text("12-25\n")
    first = load(file).hash
    assert load(file).hash == first
    (tmp_path / "h.txt").write_text("12-25\n12-26\n")
    assert load(file).hash != first


def test_a_file_of_holidays_without_any_is_said(tmp_path: Path) -> None:
    (tmp_path / "h.txt").write_text("# to be written\n")
    config = loaded('[[calendar]]\nname = "c"\nholidays = ["h.txt"]\n', tmp_path)
    assert config.warnings == (
        f"watchfloor.toml:13: calendar[c].holidays[1]: {tmp_path}/h.txt holds no date; nobody has a holiday by it",
    )


def test_a_feed(tmp_path: Path) -> None:
    config = loaded(
        FEED + 'feeds = ["air:load_*"]\nbuffer = "15m"\ntimezone = "Europe/Paris"\nbusiness_date = "start - 1d"\n'
        'layer = "SRC"\napplication = "CDM"\nowner = "eia"\n',
        tmp_path,
    )
    (feed,) = config.feeds
    assert (feed.name, feed.file, feed.feeds) == ("eia", str(tmp_path / "in/eia_{yyyymmdd}.csv"), ("air:load_*",))
    assert (feed.buffer_ms, feed.timezone, feed.business_date) == (900_000, "Europe/Paris", "start - 1d")
    assert (feed.layer, feed.application, feed.owner, feed.place) == ("SRC", "CDM", "eia", "watchfloor.toml:11")
    (bare,) = loaded('[[feed]]\nname = "f"\nfile = "/data/f_*.csv"\n').feeds
    assert (bare.file, bare.feeds, bare.buffer_ms, bare.timezone, bare.business_date) == (
        "/data/f_*.csv",
        (),
        None,
        "UTC",
        "start",
    )


def test_a_home_folder_that_nobody_has_is_a_path_like_any_other(tmp_path: Path) -> None:
    (feed,) = loaded(FEED.replace("in/", "~no-such-user/"), tmp_path).feeds
    assert feed.file == str(tmp_path / "~no-such-user/eia_{yyyymmdd}.csv")


def test_checks_of_each_kind(tmp_path: Path) -> None:
    config = loaded(
        '[[check]]\nname = "rows"\nrun = ["python", "rows.py", "{business_date}"]\ntimeout = "1m"\n'
        '[[check]]\nname = "file"\nfile = "out/{business_date}.csv"\nmin_size = "1KiB"\n'
        '[[check]]\nname = "told"\n'
        '[[pipeline]]\nmatch = "*"\ndone_when = ["rows", "file", "told"]\n',
        tmp_path,
    )
    rows, file, told = config.checks
    assert (rows.run, rows.file, rows.timeout_ms) == (("python", "rows.py", "{business_date}"), None, 60_000)
    assert (file.run, file.file, file.min_size) == ((), str(tmp_path / "out/{business_date}.csv"), 1024)
    assert (told.run, told.file, told.min_size, told.timeout_ms, told.place) == (
        (),
        None,
        0,
        30_000,
        "watchfloor.toml:19",
    )


def test_a_pipeline_waits_for_pipelines_and_feeds() -> None:
    (rule,) = loaded(
        FEED + '[[pipeline]]\nmatch = "air:load"\nafter = ["feed:eia", "air:extract_*", "tag:raw"]\n'
    ).pipelines
    assert rule.after == ("feed:eia", "air:extract_*", "tag:raw")


def test_finish_by_with_every_key_that_it_takes() -> None:
    config = loaded(
        '[[calendar]]\nname = "bank"\n'
        + owed(
            'on = "air:sales"\ntype = "finish_by"\ndue_after_schedule = "90m"\nexpected = "44m"\nwarn = 1\n'
            'warning_counts = false\ndays = "last business day"\ncalendar = "bank"\nalert_if_late_by = "15m"\n'
            'timezone = "Europe/Paris"\nconsumers = ["bi"]\nrunbook = "r.md"\nseverity = "low"'
        )
    )
    (one,) = config.expectations
    assert (one.due, one.due_after_schedule_ms, one.expected_ms, one.warn) == (None, 5_400_000, 2_640_000, 1.0)
    assert (one.warning_counts, one.days, one.calendar) == (False, parse_days("last business day"), "bank")
    assert (one.alert_if_late_by_ms, one.timezone, one.consumers, one.runbook) == (
        900_000,
        "Europe/Paris",
        ("bi",),
        "r.md",
    )
    assert one.place == "watchfloor.toml:13"


def test_what_an_expectation_is_where_it_says_nothing() -> None:
    (one,) = loaded(owed('on = "air:sales"\ntype = "start_by"')).expectations
    assert (one.start_grace_ms, one.alert_if_late_by_ms, one.margin_ms, one.days) == (600_000, 0, 0, DAILY)
    assert (one.warn, one.warning_counts, one.calendar, one.of, one.after) == (0.5, True, None, (), None)


@pytest.mark.parametrize(
    ("text", "on", "of"),
    [
        ('of = ["air:a", "tag:b"]', "set:e", ("air:a", "tag:b")),
        ('on = "set:e"\nof = ["air:a"]', "set:e", ("air:a",)),
        ('on = "air:*"', "set:e", ("air:*",)),
    ],
)
def test_members_of_a_completeness(text: str, on: str, of: tuple[str, ...]) -> None:
    (one,) = loaded(owed(f'{text}\ntype = "completeness"\ndue = "07:00"')).expectations
    assert (one.on, one.of, one.due) == (on, of, 420)


def test_the_types_that_are_no_deadline_of_a_pipeline() -> None:
    config = loaded(
        FEED
        + '[[expectation]]\nid = "a"\non = "feed:eia"\ntype = "source_arrival"\ndue = "04:45"\nmargin = "10m"\n'
        + '[[expectation]]\nid = "b"\non = "ping:backup"\ntype = "heartbeat"\nmax_age = "26h"\n'
        + '[[expectation]]\nid = "c"\non = "air:b"\ntype = "sequence"\nafter = "air:a"\n'
        + '[[expectation]]\nid = "d"\non = "air:b"\ntype = "max_duration"\nlimit = "2h"\nexpected = "1h"\n'
        + '[[expectation]]\nid = "f"\non = "air:b"\ntype = "duration_anomaly"\nexpected = "1h"\n'
    )
    arrival, beat, after, longest, odd = config.expectations
    assert (arrival.on, arrival.due, arrival.margin_ms) == ("feed:eia", 285, 600_000)
    assert (beat.on, beat.max_age_ms) == ("ping:backup", 93_600_000)
    assert (after.on, after.after) == ("air:b", "air:a")
    assert (longest.limit_ms, longest.expected_ms, odd.type) == (7_200_000, 3_600_000, "duration_anomaly")
    assert config.warnings == (), "all of these are judged"


def test_a_window_on_chosen_days_may_overlap_another() -> None:
    config = loaded(
        '[[calendar]]\nname = "bank"\n'
        '[[window]]\nname = "a"\non = "*"\nkind = "maintenance"\nstart = "01:00"\nduration = "4h"\n'
        'days = "first sun"\nexpect = "shift"\nnotify = "suppress"\npost_grace = "30m"\n'
        '[[window]]\nname = "b"\non = "*"\nkind = "freeze"\nstart = "02:00"\nend = "04:00"\n'
        'days = "last business day"\ncalendar = "bank"\n'
        '[[window]]\nname = "c"\non = "*"\nkind = "freeze"\nstart = "sun 02:00"\nend = "04:00"\n'
    )
    a, b, c = config.windows
    assert (a.days, a.duration_ms, a.post_grace_ms, a.calendar) == (
        parse_days("first sun"),
        14_400_000,
        1_800_000,
        None,
    )
    assert (b.days, b.calendar, b.post_grace_ms) == (parse_days("last business day"), "bank", 900_000)
    assert (c.start, c.days) == (Moment(120, 6), None)
    assert config.warnings == (), "windows are kept to"


SERIES = '[[series]]\nname = "lag"\nsource = "air"\nquery = "x"\n'


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("metric", "above = 5"), ("resource", "mean_above = 65\npeak_above = 85\nwindow = \"10m\""), ("volume", "least_share = 0.5"),
        ("reconcile", 'against = "series:lag"'), ("quota", 'most = 10\nresets = "0 0 * * *"'), ("budget", "most = 10"),
        ("forecast", 'most = 10\nwithin = "14d"'),
    ],
)  # fmt: skip
def test_what_is_measured_is_owed(kind: str, keys: str) -> None:
    config = loaded(SERIES + owed(f'on = "series:lag"\ntype = "{kind}"\n{keys}'))
    (one,) = config.expectations
    assert one.value is not None
    assert config.warnings == ()


def test_limits_hold_for_a_minute_and_the_rest_at_once() -> None:
    (one,) = loaded(SERIES + owed('on = "series:lag"\ntype = "metric"\nabove = 5')).expectations
    (two,) = loaded(SERIES + owed('on = "series:lag"\ntype = "budget"\nmost = 5')).expectations
    assert one.value is not None
    assert two.value is not None
    assert (one.value.for_ms, two.value.for_ms) == (60_000, 0)


def test_a_source_that_nobody_knows_is_said_wherever_it_is_named() -> None:
    config = loaded(
        FEED
        + 'feeds = ["ayr:x"]\n[[pipeline]]\nmatch = "*"\nafter = ["feed:eia", "env:produ"]\n'
        + owed('of = ["air:a", "src:aire"]\ntype = "completeness"\ndue = "07:00"')
        + '[[expectation]]\nid = "s"\non = "air:b"\ntype = "sequence"\nafter = "ari:b"\n'
        + '[[window]]\nname = "w"\non = "feed:eia"\nkind = "freeze"\nstart = "02:00"\nend = "04:00"\n'
    )
    said = [warning.partition(": ")[2] for warning in config.warnings]
    assert said == [
        'pipeline[*].after[2]: no environment is called "produ"; it matches nothing until there is one',
        'feed[eia].feeds[1]: no source is called "ayr"; did you mean "air"?',
        'expectation[e].of[2]: no source is called "aire"; did you mean "air"?',
        'expectation[s].after: no source is called "ari"; did you mean "air"?',
    ]


def test_places_in_a_further_file(tmp_path: Path) -> None:
    (tmp_path / "watchfloor.toml").write_text("")
    (tmp_path / "watchfloor.d").mkdir()
    (tmp_path / "watchfloor.d" / "x.toml").write_text("\n" + FEED + owed('on = "a:b"\ntype = "start_by"'))
    config = load(tmp_path / "watchfloor.toml")
    assert (config.feeds[0].place, config.expectations[0].place) == ("watchfloor.d/x.toml:2", "watchfloor.d/x.toml:5")
    assert config.feeds[0].file == str(tmp_path / "in/eia_{yyyymmdd}.csv"), "paths start at the main file's folder"
