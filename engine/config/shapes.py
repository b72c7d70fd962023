"""Every key of the configuration, once: the loader reads by it and the JSON schema is written from it."""

from __future__ import annotations

from adapters.model import Severity
from engine.config import units
from engine.config.fields import (
    Anything,
    Bool,
    Choice,
    Duration,
    Field,
    FilePath,
    Int,
    KeysOfAction,
    ListOf,
    MapOf,
    Number,
    Secret,
    Share,
    Spec,
    Table,
    Text,
    looks_secret,
)
from engine.owed.calendar import DAILY, DAYS_WORDS, Days, parse_days

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
EXPECTATION_TYPES = (
    "start_by",
    "finish_by",
    "max_duration",
    "duration_anomaly",
    "freshness",
    "volume",
    "metric",
    "sequence",
    "completeness",
    "reconcile",
    "resource",
    "quota",
    "budget",
    "forecast",
    "source_arrival",
    "heartbeat",
)


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


def _auth(name: str) -> Spec | None:
    return Secret() if looks_secret(name) or name.endswith("key") else None


ENVIRONMENT = Table(
    {"color": Field(Text('a colour word or "#rrggbb"', COLOR), "colour of its band", default="")}, "an environment"
)

SOURCE = Table(
    {
        "name": Field(
            Text("a name of small letters, digits and dashes (at most 40)", SOURCE_NAME),
            "its name in keys: source:pipeline",
            required=True,
        ),
        "kind": Field(words, "which adapter: airflow, local, …", required=True),
        "url": Field(
            Text("a URL like https://airflow.example.com", r"[a-z][a-z0-9+.-]*://\S+"), "where it answers", default=""
        ),
        "environment": Field(
            Text("a name of small letters, digits, - and _", ENVIRONMENT_NAME),
            "prod, uat, dev …: what a person types to confirm",
        ),
        "protected": Field(Bool(), "read-only until armed (the default)"),
        "poll": Field(Duration(1000), "fastest cadence; slower when idle", default=10_000),
        "requests": Field(Text(units.RATE, parse=units.rate), "request budget", default=60),
        "include": Field(ListOf(words, unique=True), "globs on native ids; none: all", default=()),
        "timezone": Field(zone, "for sources whose times carry no zone"),
        "auth": Field(
            MapOf(Secret(literal=True), special=_auth, hint='write { user = "ops", password = { env = "NAME" } }'),
            "user name, and references to secrets",
            default={},
        ),
        "tls": Field(
            Table(
                {
                    "ca": Field(FilePath(), "certificate authority, a PEM file"),
                    "verify": Field(Bool(), "false: accept any certificate, and say so on screen", default=True),
                }
            ),
            "how its certificate is checked",
        ),
        "options": Field(MapOf(Anything()), "the adapter's own settings", default={}),
    },
    "an orchestrator to watch",
)

PIPELINE = Table(
    {
        "match": Field(selector, "which pipelines", required=True),
        "application": Field(words, "application"),
        "layer": Field(words, "layer, for example LDZ"),
        "criticality": Field(
            Choice(("critical", "high", "medium", "low"), parse=units.severity), "how much it matters"
        ),
        "owner": Field(words, "who answers for it"),
        "business_date": Field(
            Text('"start", "start - 1d", "logical", "interval_end" or "param:NAME"', BUSINESS_DATE),
            "which date a run is for",
        ),
        "timezone": Field(zone, "zone of its schedule, where its source does not say it"),
        "consumers": Field(ListOf(words, unique=True), "who waits for it", default=()),
        "runbook": Field(words, "file in the runbooks folder"),
        "done_when": Field(ListOf(words, unique=True), "checks that must pass before a success counts", default=()),
        "after": Field(selectors, "what it waits for, where its source does not say so", default=()),
        "links": Field(links, "words = URL: flow document, dictionary, playbook", default={}),
    },
    "what the orchestrator does not know about pipelines",
)

STEP = Table(
    {
        "name": Field(Text("a name of letters, digits, - and _", STEP_NAME), "name of the step", required=True),
        "run": Field(
            argv, "program and arguments; {business_date}, {run} and {param.NAME} are filled in", required=True
        ),
        "env": Field(environ, "environment variables", default={}),
        "timeout": Field(Duration(1000), "longest time; it does not run while held"),
        "warning_codes": Field(
            ListOf(Int(1, 255), unique=True), 'exit codes that mean "finished, not healthy"', default=()
        ),
    },
    "one step of a job",
)

JOB = Table(
    {
        "name": Field(name, "name of the job", required=True),
        "schedule": Field(words, 'five cron fields, or "every 15m"; none: only runs when started'),
        "timezone": Field(zone, "zone of the schedule"),
        "after": Field(ListOf(words, unique=True), "jobs that must have finished first", default=()),
        "timeout": Field(Duration(1000), "longest time of a run; it does not run while held"),
        "retries": Field(Int(0, 100), "further tries of a failed step", default=0),
        "retry_delay": Field(Duration(0), "wait before a retry", default=30_000),
        "overlap": Field(Choice(("skip", "queue", "allow")), "when the last run still runs", default="skip"),
        "catchup": Field(Choice(("none", "last")), "after downtime", default="none"),
        "business_date": Field(
            Text('"start", "start - 1d" or "logical"', JOB_DATE), "which date a run is for", default="start"
        ),
        "env": Field(environ, "environment variables of all steps", default={}),
        "pass_env": Field(
            ListOf(Text("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*"), unique=True),
            "variables of the engine that the job may see",
            default=(),
        ),
        "owner": Field(words, "who answers for it"),
        "tags": Field(ListOf(words, unique=True), "tags", default=()),
        "description": Field(words, "one line about it"),
        "step": Field(ListOf(STEP, least=1, what="steps"), "its steps, one after the other", required=True),
    },
    "a job that Watchfloor runs on this host",
)

CONTACT = Table(
    {
        "name": Field(words, "name", required=True),
        "url": Field(Secret(), "reference to an Apprise URL", required=True),
        "timezone": Field(zone, "zone of the times in messages"),
    },
    "a person or a desk",
)

ROUTE = Table(
    {
        "match": Field(selector, "which things", required=True),
        "severity": Field(
            Text(units.SEVERITY_TEST, parse=units.severity_test),
            "which severities; none: all",
            default=units.SeverityTest(">=", Severity.INFO),
        ),
        "to": Field(ListOf(words, least=1, unique=True, what="names of contacts"), "who is told", required=True),
        "fallback": Field(words, "who is told when that fails"),
    },
    "who is told; the first match wins",
)

EXPECTATION = Table(
    {
        "id": Field(Text("a name without |", r"[^|]+"), "its id", required=True),
        "on": Field(
            selector,
            "which pipelines; feed:NAME of source_arrival, ping:NAME of heartbeat, series:NAME of what is measured, asset:NAME",
        ),
        "of": Field(
            ListOf(selector, least=1, unique=True, what="a list of selectors"),
            "members of a completeness, in place of on",
            default=(),
        ),
        "type": Field(Choice(EXPECTATION_TYPES), "what is owed", required=True),
        "due": Field(clock, "by when"),
        "due_after_schedule": Field(Duration(), "by when, from the scheduled start"),
        "by": Field(clock, "when freshness is looked at"),
        "after": Field(selector, "what a sequence waits for"),
        "limit": Field(Duration(), "longest duration"),
        "expected": Field(Duration(), "how long it takes, until its own history tells"),
        "margin": Field(Duration(0), "how long after due a source may still come", default=0),
        "max_age": Field(Duration(), "oldest allowed"),
        "start_grace": Field(Duration(0), "grace of a start", default=600_000),
        "alert_if_late_by": Field(Duration(0), "alert this much after the due time", default=0),
        "warn": Field(Share(), "probability of being late that makes it at risk", default=0.5),
        "warning_counts": Field(Bool(), "whether a run that finished with warnings fulfils it", default=True),
        "days": Field(days, "on which days", default=DAILY),
        "calendar": Field(words, "name of a [[calendar]]: nothing is owed where it is closed"),
        "timezone": Field(zone, "zone of the times"),
        "severity": Field(severity, "of its alert"),
        "runbook": Field(words, "file in the runbooks folder"),
        "consumers": Field(ListOf(words, unique=True), "who waits for it", default=()),
        "business_date": Field(
            Text('"start" or "start - 1d"', FEED_DATE), 'which partition is required; none: "start - 1d"'
        ),
        "series": Field(words, "the number of its runs that is meant, where on names pipelines"),
        "above": Field(Number(), "broken while a reading is above"),
        "below": Field(Number(), "broken while a reading is below"),
        "mean_above": Field(Number(), "broken while the mean of window is above"),
        "mean_below": Field(Number(), "broken while the mean of window is below"),
        "peak_above": Field(Number(), "broken while the highest of window is above"),
        "window": Field(Duration(60_000), "of mean and peak", default=900_000),
        "for": Field(Duration(0), "how long it must be so", default=60_000),
        "clear_at": Field(Number(), "it is over when a reading is back at this"),
        "events": Field(selector, "series:NAME of how many events a ratio is of"),
        "min_events": Field(Number(), "below so many events nothing is said", default=0.0),
        "normal": Field(ListOf(Number(), least=2, most=2, what="lowest and highest value"), "lowest and highest value"),
        "least_share": Field(Share(), "least share of the median volume, like 0.5"),
        "anomaly": Field(Bool(), "whether an unusual volume is told", default=True),
        "allow_empty": Field(Bool(), "whether nothing at all is fine", default=False),
        "most": Field(Number(), "the quota, the budget, the limit"),
        "share": Field(Share(), "share of most that is a risk", default=0.8),
        "resets": Field(words, 'when a quota begins anew: five cron fields, or "every 1h"'),
        "period": Field(Choice(("day", "week", "month", "quarter", "year")), "of a budget", default="month"),
        "over": Field(Number(), "share above the prorated budget that breaks it", default=0.2),
        "within": Field(Duration(), "reached sooner than this it is broken"),
        "against": Field(selector, "series:NAME that it must equal"),
        "tolerance": Field(Number(), "how far apart they may be", default=0.0),
        "tolerance_percent": Field(Number(), "how far apart they may be, in percent of the larger", default=0.0),
    },
    "what is owed, and by when",
)
NEEDS = {
    "finish_by": ("due", "due_after_schedule"),
    "max_duration": ("limit",),
    "sequence": ("after",),
    "freshness": ("by", "max_age"),
    "source_arrival": ("due",),
    "completeness": ("due",),
    "heartbeat": ("max_age",),
    "metric": ("above", "below", "mean_above", "mean_below", "peak_above"),
    "resource": ("above", "below", "mean_above", "mean_below", "peak_above"),
    "reconcile": ("against",),
    "quota": ("most",),
    "budget": ("most",),
    "forecast": ("most",),
}
"""Of each type of expectation: one of these keys must be there."""
_DATED = ("days", "calendar", "alert_if_late_by")
_LIMITS = (
    "series", "above", "below", "mean_above", "mean_below", "peak_above", "window", "for", "clear_at", "events", "min_events",
    "alert_if_late_by",
)  # fmt: skip
TAKES = {
    "start_by": ("due", "due_after_schedule", "start_grace", *_DATED),
    "finish_by": ("due", "due_after_schedule", "expected", "warn", "warning_counts", *_DATED),
    "max_duration": ("limit", "expected", "warn"),
    "duration_anomaly": ("expected",),
    "sequence": ("after", "due", "days", "calendar"),
    "completeness": ("of", "due", "expected", "warn", "warning_counts", *_DATED),
    "source_arrival": ("due", "margin", *_DATED),
    "heartbeat": ("max_age", "calendar", "alert_if_late_by"),
    "freshness": ("by", "max_age", "business_date", "warning_counts", *_DATED),
    "metric": _LIMITS,
    "resource": _LIMITS,
    "volume": ("series", "normal", "least_share", "anomaly", "allow_empty", "alert_if_late_by"),
    "reconcile": ("against", "tolerance", "tolerance_percent", "for", "alert_if_late_by"),
    "quota": ("most", "share", "resets", "alert_if_late_by"),
    "budget": ("most", "period", "over", "alert_if_late_by"),
    "forecast": ("most", "within", "alert_if_late_by"),
}
"""Of each type that is judged: the keys that mean something, beside ``EVERY``."""
EVERY = ("id", "on", "type", "timezone", "severity", "runbook", "consumers")
MADE = ("schedule", "overdue", "runaway")
"""Ids of what is owed without configuration."""

CALENDAR = Table(
    {
        "name": Field(name, "its name", required=True),
        "timezone": Field(zone, "zone of its dates and hours"),
        "weekdays": Field(
            Text(units.DAYS_WORDS, parse=units.days), "weekdays that are worked", default=frozenset(range(5))
        ),
        "hours": Field(
            ListOf(Text(units.HOURS, parse=units.hours), least=1, unique=True, what="a list of hours"),
            "hours that are open; none: the whole day",
        ),
        "holidays": Field(
            ListOf(FilePath(), unique=True, what="a list of files"), "files of dates, text or iCal", default=()
        ),
    },
    "which days and hours are worked",
)

FEED = Table(
    {
        "name": Field(name, "its name in keys: feed:NAME", required=True),
        "file": Field(
            words, "path with * and ?, and {business_date} or {yyyymmdd} where its date stands", required=True
        ),
        "feeds": Field(selectors, "pipelines that need it", default=()),
        "buffer": Field(Duration(0), "how long before they start it should be there"),
        "timezone": Field(zone, "zone of its dates"),
        "business_date": Field(
            Text('"start" (the date it comes) or "start - 1d"', FEED_DATE),
            "its date, where its name tells none",
            default="start",
        ),
        "layer": Field(words, "layer, for example SRC"),
        "application": Field(words, "application"),
        "owner": Field(words, "who answers for it"),
    },
    "a file that comes from outside",
)

CHECK = Table(
    {
        "name": Field(name, "its name, for done_when and watchfloor ping", required=True),
        "run": Field(
            argv, "program and arguments that exit with 0; {business_date} and {run} are filled in", default=()
        ),
        "file": Field(words, "a file that must have been written since the run began"),
        "min_size": Field(Text(units.SIZE, parse=units.size), "least size of the file", default=0),
        "timeout": Field(Duration(1000), "longest time of the program", default=30_000),
        "on": Field(
            selector, "pipelines whose output it is: asked of each of their runs, and shown beside what was expected"
        ),
        "step": Field(words, "the step of them that makes it; none: the whole run"),
        "series": Field(words, "a [[series]] that must have a reading since then, in place of run and file"),
        "normal": Field(
            ListOf(Number(), least=2, most=2, what="lowest and highest value"),
            "lowest and highest value of series; inf: no end",
        ),
    },
    "what must be true before a success counts, or what a step must have made; without run, file and series: `watchfloor ping NAME ok`",
)

WINDOW = Table(
    {
        "name": Field(words, "name", required=True),
        "on": Field(selector, "which things", required=True),
        "kind": Field(Choice(("maintenance", "intervention", "freeze")), "what it is", required=True),
        "start": Field(moment, "first moment", required=True),
        "end": Field(moment, "last moment"),
        "duration": Field(Duration(), "how long, instead of end"),
        "timezone": Field(zone, "zone of the times"),
        "actions": Field(Choice(("block", "reason", "allow")), "what may be done", default="allow"),
        "notify": Field(Choice(("suppress", "keep")), "whether people are told", default="keep"),
        "expect": Field(Choice(("shift", "waive", "keep")), "what becomes of due times", default="keep"),
        "days": Field(days, "on which days it starts, in place of a weekday in start"),
        "calendar": Field(words, "name of a [[calendar]]: tells the business days of days"),
        "post_grace": Field(Duration(0), "time after its end for what it shifted", default=900_000),
    },
    "a maintenance window",
)

ACCESS = Table(
    {
        "allow": Field(
            ListOf(
                Text("user:NAME, group:NAME, uid:NUMBER or *", ALLOW), least=1, unique=True, what="users and groups"
            ),
            "whom",
            required=True,
        ),
        "role": Field(Choice(("viewer", "operator", "lead")), "what they may do", required=True),
        "on": Field(selector, "on which things", default="*"),
    },
    "who may do what",
)

SERIES = Table(
    {
        "name": Field(words, "name", required=True),
        "source": Field(words, "which source is asked", required=True),
        "query": Field(Text(free=True), "what it is asked", required=True),
        "unit": Field(words, 'unit; "time" of an instant, "date" of a business date', default=""),
        "every": Field(Duration(10_000), "how often it is asked; none: with each look at its source"),
        "normal": Field(
            ListOf(Number(), least=2, most=2, what="lowest and highest normal value"), "lowest and highest normal value"
        ),
    },
    "a number worth keeping",
)

RUN_METRIC = Table(
    {
        "name": Field(words, "name: its series is NAME{pipeline=KEY}", required=True),
        "on": Field(selector, "of which pipelines", required=True),
        "step": Field(words, "in the logs of which of their steps, * and ? allowed", default="*"),
        "regex": Field(Text(free=True), "an expression with one group ( ) around the number", required=True),
        "take": Field(Choice(("last", "sum", "max")), "which one of several, in one log or in those of all", default="last"),
        "unit": Field(words, "unit", default=""),
    },
    "a number that runs print, read from their logs when they have ended well",
)  # fmt: skip

CARD = Table(
    {
        "name": Field(words, "its name: a project, an application", required=True),
        "match": Field(selector, "which pipelines it is for; none: all", default="*"),
        "updated": Field(Text("a date like 2026-11-20", r"\d{4}-\d\d-\d\d"), "when its words were last looked at"),
        "check": Field(sentences, "what to look at each morning", default=()),
        "if_wrong": Field(sentences, "what to do when it is wrong, in order", default=()),
        "contacts": Field(
            MapOf(words, name=WORDS, what="a kind of issue", hint='write { data = "ana", infrastructure = "desk" }'),
            "kind of issue = whom to call: the name of a contact, or words",
            default={},
        ),
        "links": Field(links, "words = URL", default={}),
    },
    "a quick-reference card",
)

VIEW = Table(
    {
        "name": Field(words, "its name", required=True),
        "screen": Field(
            Choice(("floor", "runs", "deadlines", "timeline", "layers")), "on which screen", default="floor"
        ),
        "filter": Field(words, "as typed after / on that screen", default=""),
    },
    "a saved view, for everybody",
)

LIMIT = Table(
    {
        "on": Field(words, "name of a series, * and ? allowed (watchfloor show hosts names them)", required=True),
        "limit": Field(Number(), "what it must stay below, in its own unit", required=True),
        "words": Field(words, "what happens there", default=""),
    },
    "a limit of a resource",
)

UI = Table(
    {
        "theme": Field(words, "dark, light, ansi, or the name of an own theme"),
        "ascii": Field(Bool(), "true: glyphs that any font has; false: as the terminal can"),
        "title": Field(Bool(), "whether the terminal's title shows what is wrong"),
        "bell": Field(Bool(), "whether a new alert rings the terminal's bell"),
    },
    "the terminal",
)

LISTS = {
    "source": SOURCE,
    "pipeline": PIPELINE,
    "job": JOB,
    "contact": CONTACT,
    "route": ROUTE,
    "expectation": EXPECTATION,
    "calendar": CALENDAR,
    "feed": FEED,
    "check": CHECK,
    "window": WINDOW,
    "access": ACCESS,
    "series": SERIES,
    "run_metric": RUN_METRIC,
    "card": CARD,
    "view": VIEW,
    "limit": LIMIT,
}
"""What stands in ``[[…]]``; files of ``watchfloor.d`` may add these."""

_MORE = {
    "environment": Field(
        MapOf(ENVIRONMENT, name=ENVIRONMENT_NAME, what="a name of small letters, digits, - and _"),
        "environments",
        default={},
    )
} | {
    name: Field(ListOf(shape, what=f"tables written [[{name}]]", hint=f"write [[{name}]]"), shape.doc, default=())
    for name, shape in LISTS.items()
}

ROOT = Table(
    {
        "timezone": Field(zone, "of people and schedules where nothing nearer says otherwise", default="UTC"),
        "ui": Field(UI, "the terminal"),
        "keys": Field(
            MapOf(KeysOfAction(), name=ACTION_ID, what="the id of an action (watchfloor keys lists them)"),
            "action id = keys",
            default={},
        ),
        "store": Field(
            Table(
                {
                    "path": Field(FilePath(), "the database; default: floor.db in the state folder"),
                    "retain_runs": Field(Duration(86_400_000), "how long runs are kept", default=400 * 86_400_000),
                }
            ),
            "the store",
        ),
        "runbooks": Field(Table({"path": Field(FilePath(), "the folder", required=True)}), "runbooks"),
        **_MORE,
    },
    "Watchfloor's configuration (watchfloor.toml)",
)
MORE = Table(_MORE, "a file of watchfloor.d: adds entries")
