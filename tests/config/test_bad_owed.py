"""Every way to promise it wrong, with the exact sentence that a person gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.config.load import ConfigError, load, load_text

KINDS = ("airflow", "local", "prometheus")
HEAD = '[[expectation]]\nid = "e"\n'
FEED = '[[feed]]\nname = "eia"\nfile = "in/eia.csv"\n'
CHECK = '[[check]]\nname = "rows"\n'
CALENDAR = '[[calendar]]\nname = "fr"\n'
WINDOW = '[[window]]\nname = "w"\non = "*"\nkind = "freeze"\nend = "04:00"\n'
SOURCE = '[[source]]\nname = "af"\nkind = "airflow"\nurl = "https://a.example"\n'


def owes(type: str, on: str = "*", id: str = "e") -> str:
    """The head of an expectation, four lines."""
    return f'[[expectation]]\nid = "{id}"\non = "{on}"\ntype = "{type}"\n'


FINISH = owes("finish_by")


def problems(text: str, more: dict[str, str] | None = None, folder: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, folder, more, kinds=KINDS)
    return str(caught.value).splitlines()


CASES = {
    "a source named like a thing": (
        SOURCE.replace('"af"', '"feed"'),
        '2: source[feed].name: expected another name, got "feed", which is a word of selectors; give the source another name',
    ),
    "zone of an expectation": (
        FINISH + 'due = "05:00"\ntimezone = "Europe/Pari"',
        '6: expectation[e].timezone: expected a time zone like "Europe/Paris", got "Europe/Pari"; did you mean "Europe/Paris"?',
    ),
    "selector of an expectation": (
        owes("finish_by", "sales") + 'due = "05:00"',
        '3: expectation[e].on: expected a selector: source:pipeline (with * and ?), app:…, layer:…, tag:…, env:…, src:… or *, got "sales"',
    ),
    "no on": (
        HEAD + 'type = "finish_by"\ndue = "05:00"',
        "1: expectation[e]: expected on, which is missing; add on: which pipelines",
    ),
    "limit of zero": (
        owes("max_duration") + 'limit = "0s"',
        '5: expectation[e].limit: expected more than nothing, got "0s"',
    ),
    "limit on finish_by": (
        FINISH + 'due = "05:00"\nlimit = "1h"',
        "6: expectation[e].limit: expected a key that means something with finish_by, limit does not; remove it; finish_by takes due, due_after_schedule, expected, warn, warning_counts, days, calendar, alert_if_late_by",
    ),
    "due where there is none": (
        owes("max_duration") + 'limit = "1h"\ndue = "05:00"',
        "6: expectation[e].due: expected a key that means something with max_duration, due does not; remove it; max_duration takes limit, expected, warn",
    ),
    "due of an anomaly": (
        owes("duration_anomaly") + 'due = "05:00"',
        "5: expectation[e].due: expected a key that means something with duration_anomaly, due does not; remove it; duration_anomaly takes expected",
    ),
    "alert_if_late_by per run": (
        owes("max_duration") + 'limit = "1h"\nalert_if_late_by = "5m"',
        "6: expectation[e].alert_if_late_by: expected a key that means something with max_duration, alert_if_late_by does not; remove it; max_duration takes limit, expected, warn",
    ),
    "days per run": (
        owes("max_duration") + 'limit = "1h"\ndays = "mon-fri"',
        "6: expectation[e].days: expected a key that means something with max_duration, days does not; remove it; max_duration takes limit, expected, warn",
    ),
    "due twice": (
        FINISH + 'due = "05:00"\ndue_after_schedule = "1h"',
        "6: expectation[e].due_after_schedule: expected either due or due_after_schedule, got both; keep one of them",
    ),
    "of elsewhere": (
        FINISH + 'due = "05:00"\nof = ["a:b"]',
        "6: expectation[e].of: expected a key that means something with finish_by, of does not; remove it; finish_by takes due, due_after_schedule, expected, warn, warning_counts, days, calendar, alert_if_late_by",
    ),
    "after elsewhere": (
        FINISH + 'due = "05:00"\nafter = "a:b"',
        "6: expectation[e].after: expected a key that means something with finish_by, after does not; remove it; finish_by takes due, due_after_schedule, expected, warn, warning_counts, days, calendar, alert_if_late_by",
    ),
    "warn": (
        FINISH + 'due = "05:00"\nwarn = 0',
        "6: expectation[e].warn: expected a share above 0 and at most 1, like 0.5, got the number 0",
    ),
    "warn 2": (
        FINISH + 'due = "05:00"\nwarn = 1.5',
        "6: expectation[e].warn: expected a share above 0 and at most 1, like 0.5, got the number 1.5",
    ),
    "made id": (
        owes("finish_by", id="overdue") + 'due = "05:00"',
        '2: expectation[overdue].id: expected another id, got "overdue", which names what is owed without configuration; rename it',
    ),
    "id |": (
        owes("finish_by", id="a|b") + 'due = "05:00"',
        '2: expectation[a|b].id: expected a name without |, got "a|b"',
    ),
    "unknown calendar": (
        CALENDAR + FINISH + 'due = "05:00"\ncalendar = "fra"',
        '8: expectation[e].calendar: expected the name of a calendar, got "fra"; did you mean "fr"?',
    ),
    "unknown calendar none": (
        FINISH + 'due = "05:00"\ncalendar = "fr"',
        '6: expectation[e].calendar: expected the name of a calendar, got "fr"; add a [[calendar]] with name = "fr"',
    ),
    "feed on finish_by": (
        FEED + owes("finish_by", "feed:eia") + 'due = "05:00"',
        '6: expectation[e].on: expected a selector of pipelines, got "feed:eia"; feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured',
    ),
    "source_arrival on pipeline": (
        owes("source_arrival") + 'due = "05:00"',
        '3: expectation[e].on: expected a feed with source_arrival, like "feed:NAME", got "*"; add a [[feed]] for the file and name it',
    ),
    "unknown feed": (
        FEED + owes("source_arrival", "feed:ei") + 'due = "05:00"',
        '6: expectation[e].on: expected the name of a feed, got "ei"; did you mean "eia"?',
    ),
    "heartbeat on pipeline": (
        owes("heartbeat") + 'max_age = "26h"',
        '3: expectation[e].on: expected a heartbeat\'s name, like "ping:backup", got "*"; its program says `watchfloor ping NAME ok`',
    ),
    "heartbeat name": (
        owes("heartbeat", "ping:*") + 'max_age = "26h"',
        '3: expectation[e].on: expected a heartbeat\'s name, like "ping:backup", got "ping:*"; its program says `watchfloor ping NAME ok`',
    ),
    "heartbeat max_age": (
        owes("heartbeat", "ping:b"),
        "4: expectation[e].type: expected max_age with heartbeat, there is none; add max_age",
    ),
    "metric on a pipeline": (
        owes("metric", "air:x") + "above = 5",
        '3: expectation[e].on: expected what is measured, like "series:cdm_lag", got "air:x"; write on = "series:NAME", or name in series what its runs tell',
    ),
    "metric without a limit": (
        owes("metric", "series:lag"),
        "4: expectation[e].type: expected above or below or mean_above or mean_below or peak_above with metric, there is none; add above",
    ),
    "metric of series on series": (
        owes("metric", "series:lag") + 'above = 5\nseries = "rows"',
        '6: expectation[e].series: expected pipelines in on beside series, got "series:lag"; name the pipelines, or remove series',
    ),
    "clear_at on the bad side": (
        owes("metric", "series:lag") + "above = 5\nclear_at = 6",
        "6: expectation[e].clear_at: expected clear_at on the good side of 5, got the number 6; it is where a value must come back to",
    ),
    "a window of readings that are not kept": (
        owes("metric", "series:lag") + 'mean_above = 5\nwindow = "6h"',
        "6: expectation[e].window: expected a window of at most 2 h, got a longer one; older readings are kept by the minute only; name less",
    ),
    "a number that no run tells": (
        '[[run_metric]]\nname = "rows"\non = "*"\nregex = "(\\\\d+)"\n' + owes("metric") + 'above = 5\nseries = "row"',
        '10: expectation[e].series: expected the name of a run_metric, got "row"; did you mean "rows"?',
    ),
    "a tolerance below nothing": (
        owes("reconcile", "series:lag") + 'against = "series:l"\ntolerance = -1',
        "6: expectation[e].tolerance: expected 0 or more, got the number -1; write it without the sign",
    ),
    "clear_at of a mean": (
        owes("metric", "series:lag") + "mean_above = 5\nclear_at = 4",
        "6: expectation[e].clear_at: expected either above or below beside clear_at; name one of them",
    ),
    "min_events of nothing": (
        owes("metric", "series:lag") + "above = 5\nmin_events = 4",
        '6: expectation[e].min_events: expected events beside min_events, there is none; add events = "series:NAME"',
    ),
    "against a pipeline": (
        owes("reconcile", "series:lag") + 'against = "air:x"',
        '5: expectation[e].against: expected "series:NAME", got "air:x"; name one series',
    ),
    "forecast without within": (
        owes("forecast", "series:lag") + "most = 90",
        '4: expectation[e].type: expected within with forecast, there is none; add within = "14d"',
    ),
    "a quota of nothing": (
        owes("quota", "series:lag") + "most = 0",
        "5: expectation[e].most: expected more than nothing, got the number 0; name the limit",
    ),
    "resets": (
        owes("quota", "series:lag") + 'most = 5\nresets = "each day"',
        "6: expectation[e].resets: schedule 'each day' has 2 fields: expected five (minute hour day month weekday), @daily, or every 15m; "
        'write "0 0 * * *" for each midnight',
    ),
    "volume upside down": (
        owes("volume", "series:lag") + "normal = [9, 1]",
        "5: expectation[e].normal: expected the lowest value first; write [1.0, 9.0]",
    ),
    "freshness both": (
        owes("freshness", "series:lag") + 'by = "07:00"\nmax_age = "26h"',
        "6: expectation[e].max_age: expected either by or max_age, got both; keep one of them, or make two",
    ),
    "freshness of a feed": (
        FEED + owes("freshness", "feed:eia") + 'max_age = "26h"',
        '6: expectation[e].on: expected a selector of pipelines, got "feed:eia"; freshness is of pipelines, series:NAME or asset:NAME',
    ),
    "an asset by a time": (
        owes("freshness", "asset:x") + 'by = "07:00"',
        "5: expectation[e].by: expected max_age of an asset, got by; an asset tells when it was made, not of which date",
    ),
    "freshness of a number": (
        '[[series]]\nname = "lag"\nsource = "air"\nquery = "x"\nunit = "rows"\n'
        + owes("freshness", "series:lag")
        + 'max_age = "26h"',
        '8: expectation[e].on: expected a series of an instant or a date, lag has the unit "rows"; write unit = "time" or "date" in its [[series]]',
    ),
    "freshness days without by": (
        owes("freshness", "series:lag") + 'max_age = "26h"\ndays = "mon-fri"',
        "6: expectation[e].days: expected by beside days, there is none; add by, or remove days",
    ),
    "metric with due": (
        owes("metric", "series:lag") + 'above = 5\ndue = "05:00"',
        "6: expectation[e].due: expected a key that means something with metric, due does not; remove it; metric takes series, above, "
        "below, mean_above, mean_below, peak_above, window, for, clear_at, events, min_events, alert_if_late_by",
    ),
    "sequence without after": (
        owes("sequence"),
        "4: expectation[e].type: expected after with sequence, there is none; add after",
    ),
    "sequence self": (
        owes("sequence", "a:*") + 'after = "a:*"',
        "5: expectation[e].after: expected another pipeline than on, got the same; name what comes first",
    ),
    "sequence on feed": (
        owes("sequence") + 'after = "feed:eia"',
        '5: expectation[e].after: expected a selector of pipelines, got "feed:eia"; feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured',
    ),
    "completeness none": (
        HEAD + 'type = "completeness"\ndue = "05:00"',
        "3: expectation[e].type: expected of with completeness, there is none; add of: selectors of its members",
    ),
    "completeness both": (
        owes("completeness") + 'due = "05:00"\nof = ["a:b"]',
        "3: expectation[e].on: expected of alone, got on beside it; remove on: its members are those of of",
    ),
    "completeness empty": (
        HEAD + 'type = "completeness"\ndue = "05:00"\nof = []',
        "5: expectation[e].of: expected a list of selectors of at least one entry, got 0",
    ),
    "completeness id": (
        HEAD.replace('"e"', '"a b"') + 'type = "completeness"\ndue = "05:00"\nof = ["a:b"]',
        '2: expectation[a b].id: expected a name of letters, digits, . - and _ (at most 100) as the id of a completeness, got "a b"; its key is set:ID',
    ),
    "completeness of a feed": (
        HEAD + 'type = "completeness"\ndue = "05:00"\nof = ["feed:x"]',
        '5: expectation[e].of[1]: expected a selector of pipelines, got "feed:x"; feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured',
    ),
    "overlap": (
        FINISH + 'due = "05:00"\n' + owes("finish_by", id="f") + 'due = "06:00"\ndays = "mon-fri"',
        '6: expectation[f]: expected no overlap with another finish_by of the same selector, got one with "e" (watchfloor.toml:1); keep one of them, or give them different days',
    ),
    "overlap by months": (
        FINISH + 'due = "05:00"\ndays = "-1"\n' + owes("finish_by", id="f") + 'due = "06:00"\ndays = "last fri"',
        '7: expectation[f]: expected no overlap with another finish_by of the same selector, got one with "e" (watchfloor.toml:1); keep one of them, or give them different days',
    ),
    "overlap max_duration": (
        owes("max_duration") + 'limit = "1h"\n' + owes("max_duration", id="f") + 'limit = "2h"',
        '6: expectation[f]: expected no overlap with another max_duration of the same selector, got one with "e" (watchfloor.toml:1); keep one of them',
    ),
    "overlap sets": (
        HEAD
        + 'type = "completeness"\ndue = "05:00"\nof = ["a:b", "a:c"]\n'
        + HEAD.replace('"e"', '"f"')
        + 'type = "completeness"\ndue = "06:00"\nof = ["a:c", "a:b"]\n',
        '6: expectation[f]: expected no overlap with another completeness of the same selector, got one with "e" (watchfloor.toml:1); keep one of them, or give them different days',
    ),
    "same id": (
        FINISH + 'due = "05:00"\n' + FINISH + 'due = "06:00"',
        '7: expectation[e].id: "e" is there twice (first: watchfloor.toml:2); give one of them another name',
    ),
    "done_when": (
        CHECK + '[[pipeline]]\nmatch = "*"\ndone_when = ["row"]',
        '5: pipeline[*].done_when[1]: expected the name of a check, got "row"; did you mean "rows"?',
    ),
    "done_when none": (
        '[[pipeline]]\nmatch = "*"\ndone_when = ["zz"]',
        '3: pipeline[*].done_when[1]: expected the name of a check, got "zz"; add a [[check]] with name = "zz"',
    ),
    "pipeline after feed": (
        FEED + '[[pipeline]]\nmatch = "*"\nafter = ["feed:eai"]',
        '6: pipeline[*].after[1]: expected the name of a feed, got "eai"; did you mean "eia"?',
    ),
    "pipeline after ping": (
        '[[pipeline]]\nmatch = "*"\nafter = ["ping:x"]',
        '3: pipeline[*].after[1]: expected a selector of pipelines, got "ping:x"; feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured',
    ),
    "pipeline after word": (
        '[[pipeline]]\nmatch = "*"\nafter = ["sales"]',
        '3: pipeline[*].after[1]: expected a selector: source:pipeline (with * and ?), app:…, layer:…, tag:…, env:…, src:… or *, got "sales"',
    ),
    "check both": (
        CHECK + 'run = ["true"]\nfile = "a"',
        "4: check[rows].file: expected either run or file, got both; keep one of them, or make two checks",
    ),
    "check min_size": (
        CHECK + 'min_size = "1KiB"',
        "3: check[rows].min_size: expected file beside min_size, there is none; add file, or remove min_size",
    ),
    "check size": (
        CHECK + 'file = "a"\nmin_size = "much"',
        '4: check[rows].min_size: expected a size like "512MiB" or "8GiB", got "much"',
    ),
    "check timeout": (
        CHECK + 'file = "a"\ntimeout = "1m"',
        "4: check[rows].timeout: expected run beside timeout, there is none; add run, or remove timeout",
    ),
    "check placeholder": (
        CHECK + 'file = "out/{busines_date}.csv"',
        '3: check[rows].file: expected {business_date} or {run}, got "{busines_date}"; did you mean "{business_date}"?',
    ),
    "check program": (
        CHECK + 'run = [""]',
        '3: check[rows].run[1]: expected a program, got nothing; write ["python", "count.py"]',
    ),
    "feed url": (
        FEED.replace("in/eia.csv", "s3://b/eia.csv"),
        "3: feed[eia].file: expected a path on this host, got a URL; name a file that this host can see",
    ),
    "feed placeholder": (
        FEED.replace("eia.csv", "{date}.csv"),
        '3: feed[eia].file: expected {business_date} or {yyyymmdd}, got "{date}"; remove it',
    ),
    "feed date": (
        FEED + 'business_date = "logical"',
        '4: feed[eia].business_date: expected "start" (the date it comes) or "start - 1d", got "logical"',
    ),
    "feeds a feed": (
        FEED + 'feeds = ["feed:x"]',
        '4: feed[eia].feeds[1]: expected a selector of pipelines, got "feed:x"; feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured',
    ),
    "feed twice": (
        FEED + FEED,
        '5: feed[eia].name: "eia" is there twice (first: watchfloor.toml:2); give one of them another name',
    ),
    "calendar zone": (
        CALENDAR + 'timezone = "Paris/Europe"',
        '3: calendar[fr].timezone: expected a time zone like "Europe/Paris", got "Paris/Europe"',
    ),
    "calendar hours": (
        CALENDAR + 'hours = ["9-18"]',
        '3: calendar[fr].hours[1]: expected hours like "09:00-18:00", got "9-18"',
    ),
    "calendar equal": (
        CALENDAR + 'hours = ["09:00-09:00"]',
        '3: calendar[fr].hours[1]: expected hours like "09:00-18:00", got "09:00-09:00"; the whole day is "00:00-24:00"',
    ),
    "calendar weekdays": (
        CALENDAR + 'weekdays = "1-5"',
        '3: calendar[fr].weekdays: expected days like "mon-fri", "mon,wed" or "daily", got "1-5"',
    ),
    "calendar twice": (
        CALENDAR + CALENDAR,
        '4: calendar[fr].name: "fr" is there twice (first: watchfloor.toml:2); give one of them another name',
    ),
    "window both": (
        WINDOW + 'start = "sun 02:00"\ndays = "first sun"',
        "7: window[w].days: expected days or a weekday in start, got both; keep one of them",
    ),
    "window calendar": (
        WINDOW + 'start = "02:00"\ncalendar = "fr"',
        '7: window[w].calendar: expected days beside calendar, there is none; add days, like days = "last business day"',
    ),
    "window unknown calendar": (
        WINDOW + 'start = "02:00"\ndays = "last business day"\ncalendar = "fr"',
        '8: window[w].calendar: expected the name of a calendar, got "fr"; add a [[calendar]] with name = "fr"',
    ),
    "window grace": (
        WINDOW + 'start = "02:00"\npost_grace = "-5m"',
        '7: window[w].post_grace: expected a duration like "90s", "15m", "4h" or "7d", got "-5m"',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_with_file_line_key_expectation(name: str) -> None:
    text, sentence = CASES[name]
    assert problems(text) == [f"watchfloor.toml:{sentence}"]


def holidays(folder: Path, raw: bytes, name: str = "fr.txt") -> list[str]:
    (folder / name).write_bytes(raw)
    return problems(CALENDAR + f'holidays = ["{name}"]', folder=folder)


class TestHolidays:
    """What is wrong with a file of holidays is said with that file's own line."""

    HINT = "correct that line or remove it; watchfloor.toml:3 names this file"

    def test_lines_of_text(self, tmp_path: Path) -> None:
        said = holidays(tmp_path, b"12-25 Christmas\n2026-13-01\nsoon\n")
        wanted = f'{tmp_path}/fr.txt:{{}}: expected a date like 2026-12-25 or 12-25, got "{{}}"; {self.HINT}'
        assert said == [wanted.format(2, "2026-13-01"), wanted.format(3, "soon")]

    def test_ical(self, tmp_path: Path) -> None:
        said = holidays(
            tmp_path, b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260714\nRRULE:FREQ=WEEKLY\nEND:VEVENT\nEND:VCALENDAR\n"
        )
        assert said == [f"{tmp_path}/fr.txt:4: RRULE is not understood: only FREQ=YEARLY is; {self.HINT}"]

    def test_not_utf8(self, tmp_path: Path) -> None:
        said = holidays(tmp_path, b"12-25\n07-14 F\xeate\n")
        assert said == [f"{tmp_path}/fr.txt:2: expected UTF-8 text, got the byte 0xea; {self.HINT}"]

    def test_a_file_of_something_else_is_not_told_line_by_line_for_ever(self, tmp_path: Path) -> None:
        said = holidays(tmp_path, b"noise\n" * 500)
        assert len(said) == 21
        assert any(f"{tmp_path}/fr.txt: 480 more of its lines are not understood" in line for line in said)

    def test_none_there(self, tmp_path: Path) -> None:
        assert problems(CALENDAR + 'holidays = ["gone.ics"]', folder=tmp_path) == [
            f"watchfloor.toml:3: calendar[fr].holidays[1]: expected a file of holidays, there is no {tmp_path}/gone.ics; "
            "put it there, or name another file"
        ]

    def test_a_folder(self, tmp_path: Path) -> None:
        assert problems(CALENDAR + 'holidays = ["."]', folder=tmp_path) == [
            f"watchfloor.toml:3: calendar[fr].holidays[1]: expected a file of holidays, {tmp_path} is none; "
            "name a file of dates, text or iCal"
        ]


def test_an_overlap_names_the_line_of_the_other_file() -> None:
    more = owes("finish_by", id="f") + 'due = "06:00"'
    assert problems(FINISH + 'due = "05:00"', {"x.toml": "\n" + more}) == [
        "watchfloor.d/x.toml:2: expectation[f]: expected no overlap with another finish_by of the same selector, "
        'got one with "e" (watchfloor.toml:1); keep one of them, or give them different days'
    ]


@pytest.mark.parametrize(
    ("days", "others"),
    [
        ("mon-fri", "sat,sun"),
        ("last business day", "sat,sun"),
        ("1-7", "second mon"),
        ("2026-12-24", "2026-12-25"),
    ],
)
def test_different_days_do_not_overlap(days: str, others: str) -> None:
    two = owes("finish_by", id="f") + f'due = "06:00"\ndays = "{others}"'
    assert len(load_text(FINISH + f'due = "05:00"\ndays = "{days}"\n' + two).expectations) == 2


def test_what_another_calendar_closes_does_not_overlap() -> None:
    weekend = '[[calendar]]\nname = "weekend"\nweekdays = "sat,sun"\n'
    two = owes("finish_by", id="f") + 'due = "06:00"\ncalendar = "weekend"'
    assert len(load_text(weekend + FINISH + 'due = "05:00"\ndays = "mon-fri"\n' + two).expectations) == 2


def test_two_sequences_of_one_pipeline_wait_for_different_ones() -> None:
    one = owes("sequence") + 'after = "a:b"\n'
    assert len(load_text(one + one.replace('"e"', '"f"').replace("a:b", "a:c")).expectations) == 2


def test_check_refuses_with_exit_2_and_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(FINISH + 'due = "05:00"\nlimit = "1h"\n')
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "check", "--config", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert (
        f"{file}:6: expectation[e].limit: expected a key that means something with finish_by"
        in done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr
    with pytest.raises(ConfigError):
        load(file)
