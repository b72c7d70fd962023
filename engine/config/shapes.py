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
from engine.config.shapes_owed import CALENDAR, CHECK, EXPECTATION, FEED, WINDOW
from engine.config.vocabulary import (
    ACTION_ID,
    ALLOW,
    BUSINESS_DATE,
    COLOR,
    ENVIRONMENT_NAME,
    JOB_DATE,
    SOURCE_NAME,
    STEP_NAME,
    WORDS,
    argv,
    environ,
    links,
    name,
    selector,
    selectors,
    sentences,
    words,
    zone,
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
            Text(
                "a URL like https://airflow.example.com",
                r"[a-z][a-z0-9+.-]*://\S+",
                hint="begin it with https://, or with what the page of its kind says (kafka://, postgresql://)",
            ),
            "where it answers",
            default="",
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
        "limit": Field(Number(own_unit=True), "what it must stay below, in its own unit", required=True),
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
