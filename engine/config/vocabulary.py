"""What many keys of the configuration are written in: names, selectors, times, days, words, programs."""

from __future__ import annotations

from engine.config import units
from engine.config.fields import Choice, ListOf, MapOf, Text
from engine.owed.calendar import DAYS_WORDS, Days, parse_days

SOURCE_NAME = r"[a-z0-9][a-z0-9-]{0,39}"
ENVIRONMENT_NAME = r"[a-z0-9][a-z0-9_-]{0,39}"
JOB_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
STEP_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
COLOR = r"#[0-9a-fA-F]{6}|[a-z][a-z-]*"
BUSINESS_DATE = r"(start|logical|interval_end)( [-+] \d{1,3}d)?|param:[A-Za-z_][A-Za-z0-9_]*"
JOB_DATE = r"(start|logical)( [-+] \d{1,3}d)?"
FEED_DATE = r"start( [-+] \d{1,3}d)?"
ACTION_ID = r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*"
ALLOW = r"\*|user:[^\s:]+|group:[^\s:]+|uid:\d+"

SEVERITIES = ("critical", "high", "medium", "low", "info", "error", "warning", "information")


def _days(text: str) -> Days:
    try:
        return parse_days(text)
    except ValueError:  # its sentence is whole; ours gets file, line and key
        raise ValueError(DAYS_WORDS) from None


zone = Text(units.ZONE, parse=units.zone)
words = Text()
name = Text("a name of letters, digits, . - and _ (at most 100)", JOB_NAME)
selector = Text(units.SELECTOR, parse=units.selector)
clock = Text(units.CLOCK, parse=units.clock)
moment = Text(units.MOMENT, parse=units.moment)
days = Text(DAYS_WORDS, parse=_days)
WORDS = r"[^\x00-\x1f\x7f]{1,60}"
links = MapOf(
    Text("a URL like https://wiki.example.com/flow", r"[a-z][a-z0-9+.-]*://\S+"),
    name=WORDS,
    what="words for the link (at most 60 characters)",
    hint='write { "flow document" = "https://…" }',
)
sentences = ListOf(words, what="a list of sentences")
selectors = ListOf(selector, unique=True, what="a list of selectors")
severity = Choice(SEVERITIES, parse=units.severity)
argv = ListOf(
    Text("a word in quotes", free=True),
    least=1,
    what="a program and its arguments as a list",
    hint='write ["python", "load.py"]; there is no shell',
)
environ = MapOf(
    Text("a text in quotes", free=True), name=r"[A-Za-z_][A-Za-z0-9_]*", what="the name of an environment variable"
)
