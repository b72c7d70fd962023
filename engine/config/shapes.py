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
    Spec,
    Table,
    Text,
    looks_secret,
)
from engine.owed.calendar import DAILY, DAYS_WORDS, parse_days

SOURCE_NAME = r"[a-z0-9][a-z0-9-]{0,39}"
ENVIRONMENT_NAME = r"[a-z0-9][a-z0-9_-]{0,39}"
JOB_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
STEP_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
COLOR = r"#[0-9a-fA-F]{6}|[a-z][a-z-]*"
BUSINESS_DATE = r"(start|logical|interval_end)( [-+] \d{1,4}d)?|param:[A-Za-z_][A-Za-z0-9_]*"
JOB_DATE = r"(start|logical)( [-+] \d{1,4}d)?"
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

zone = Text(units.ZONE, parse=units.zone)
words = Text()
selector = Text(units.SELECTOR, parse=units.selector)
clock = Text(units.CLOCK, parse=units.clock)
moment = Text(units.MOMENT, parse=units.moment)
days = Text(DAYS_WORDS, parse=parse_days)
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
        "consumers": Field(ListOf(words, unique=True), "who waits for it", default=()),
        "runbook": Field(words, "file in the runbooks folder"),
        "done_when": Field(ListOf(words, unique=True), "checks that must pass before a success counts", default=()),
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
        "name": Field(
            Text("a name of letters, digits, . - and _ (at most 100)", JOB_NAME), "name of the job", required=True
        ),
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
        "id": Field(words, "its id", required=True),
        "on": Field(selector, "which pipelines", required=True),
        "type": Field(Choice(EXPECTATION_TYPES), "what is owed", required=True),
        "due": Field(clock, "by when"),
        "due_after_schedule": Field(Duration(), "by when, from the scheduled start"),
        "by": Field(clock, "when freshness is looked at"),
        "limit": Field(Duration(), "longest duration"),
        "max_age": Field(Duration(), "oldest allowed"),
        "start_grace": Field(Duration(0), "grace of a start", default=600_000),
        "alert_if_late_by": Field(Duration(0), "alert this much after the due time", default=0),
        "days": Field(days, "on which days", default=DAILY),
        "timezone": Field(zone, "zone of the times"),
        "severity": Field(severity, "of its alert"),
        "runbook": Field(words, "file in the runbooks folder"),
        "consumers": Field(ListOf(words, unique=True), "who waits for it", default=()),
    },
    "what is owed, and by when",
)
NEEDS = {
    "finish_by": ("due", "due_after_schedule"),
    "max_duration": ("limit",),
    "freshness": ("by", "max_age"),
    "source_arrival": ("due",),
    "completeness": ("due",),
    "heartbeat": ("max_age",),
}
"""Of each type of expectation: one of these keys must be there."""

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
        "unit": Field(words, "unit", default=""),
        "normal": Field(
            ListOf(Number(), least=2, most=2, what="lowest and highest normal value"), "lowest and highest normal value"
        ),
    },
    "a number worth keeping",
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
    "window": WINDOW,
    "access": ACCESS,
    "series": SERIES,
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
