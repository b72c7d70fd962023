"""Every key of what is owed: expectations, calendars, feeds, checks, windows; and which of them mean something with which type."""

from __future__ import annotations

from engine.config import units
from engine.config.fields import Bool, Choice, Duration, Field, FilePath, ListOf, Number, Share, Table, Text
from engine.config.vocabulary import (
    FEED_DATE,
    argv,
    clock,
    days,
    moment,
    name,
    selector,
    selectors,
    severity,
    words,
    zone,
)
from engine.owed.calendar import DAILY

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
    "volume": ("series", "normal", "least_share", "anomaly", "allow_empty", "for", "alert_if_late_by"),
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
