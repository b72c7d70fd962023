"""From the configuration to what each thing owes: which expectation is bound to which pipeline, feed, heartbeat or set.

No store and no clock: pipelines come as rows, bounds go out without an id. What cannot be owed as it is written (a schedule
that an event-driven pipeline does not have, a selector that matches nothing) comes out as a warning with its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Final

from adapters import schedule as schedules
from adapters.extras import series_of
from adapters.model import Mode, Severity, Trigger
from adapters.schedule import Schedule
from engine.config.model import LOCAL, Config, Expectation, Facts, Feed, ValueRule, matches
from engine.owed.bound import APART, MEASURED, PER_RUN, Bound
from engine.owed.calendar import BusinessCalendar
from engine.owed.occurrences import Promise, disagreement, promise
from engine.owed.windows import Window, from_config, with_calendar
from engine.owed.wording import amount
from engine.store.owed_facts import Thing

SCHEDULE, OVERDUE, RUNAWAY = "schedule", "overdue", "runaway"
"""Promise ids of what is owed without configuration."""
GRACE_MS: Final = 600_000
FOR_MS: Final = 60_000
"""How long a number must be bad where nobody says otherwise."""
FEED, PING, SET, SERIES, ASSET = "feed:", "ping:", "set:", "series:", "asset:"
OUTSIDE: Final = (FEED, PING, SET, SERIES, ASSET)
"""How keys of what is no pipeline begin."""
_GLOB: Final = frozenset("*?[")
_FACTS: Final = frozenset({"app", "layer", "tag", "env", "src"})
_EVENTS: Final = (Trigger.EVENT, Trigger.MANUAL, Trigger.CONTINUOUS)
_ON_PIPELINES: Final = ("start_by", "finish_by", "sequence", "freshness", *PER_RUN, *MEASURED)

Warned = tuple[str, str, str]
"""(promise, words, place)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A bound without its id. ``fingerprint``: of everything that decides when it is due. ``ticks``: the schedule by which it opens."""

    bound: Bound
    fingerprint: str
    ticks: str = ""


class Binder:
    """One configuration, laid out so that a pipeline's expectations are found without asking all of them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._exact: dict[str, list[Expectation]] = {}
        self._globs: list[Expectation] = []
        self.others: list[Expectation] = []
        """Expectations of feeds, heartbeats, sets, series and assets."""
        self.series: Mapping[str, str] = {}
        """Series that are measured now, and their sources."""
        self.settled = False
        """Whether every source had time to say what it measures: until then a selector that means nothing is no mistake."""
        for e in config.expectations:
            self._lay(e).append(e)
        self._windows: list[tuple[str, Window]] = []
        for w in config.windows:
            window = from_config(w)
            if w.calendar is not None and w.calendar in config.calendars:
                window = with_calendar(window, config.calendars[w.calendar])
            self._windows.append((w.on, window))
        self._jobs = {job.name: job for job in config.jobs}
        self._zones = {s.name: s.timezone for s in config.sources}
        self._schedules: dict[tuple[str, str], Schedule | None] = {}
        self._said: dict[int, str] = {}
        self._dated = [rule for rule in config.pipelines if rule.business_date]
        self.dates_vary = bool(self._dated) or any(job.business_date != "start" for job in config.jobs)
        """Whether the same due time may be of another date for another pipeline."""

    def _lay(self, e: Expectation) -> list[Expectation]:
        """Among which others it stands."""
        if e.type == "completeness" or e.on.startswith(OUTSIDE):
            return self.others
        source, colon, _ = e.on.partition(":")
        if colon and not _GLOB.intersection(e.on) and source not in _FACTS:
            return self._exact.setdefault(e.on, [])
        return self._globs

    def follow(self, config: Config, gone: Iterable[Expectation], fresh: Iterable[Expectation]) -> None:
        """The configuration is another one, but only in these expectations."""
        self.config = config
        for e in gone:
            self._lay(e).remove(e)
        for e in fresh:
            self._lay(e).append(e)

    # --- pipelines ------------------------------------------------------------------------------------------------

    def of_pipeline(self, thing: Thing, warned: list[Warned]) -> list[Draft]:
        """What a pipeline owes, declared and by default."""
        found: list[Draft] = []
        started = False
        for e in self.declared_for(thing):
            if e.type not in _ON_PIPELINES:
                continue
            draft = self._declared(e, thing, warned)
            if draft is not None:
                found.append(draft)
                started = started or e.type == "start_by"
        found += self._defaults(thing, started, warned)
        return found

    def declared_for(self, thing: Thing) -> list[Expectation]:
        """Expectations whose selector means this pipeline."""
        chosen = self._exact.get(thing.key, ())
        if not self._globs:
            return list(chosen)
        facts = thing.facts
        return [*chosen, *(e for e in self._globs if matches(e.on, facts))]

    def _declared(self, e: Expectation, thing: Thing, warned: list[Warned]) -> Draft | None:
        if e.type in MEASURED:
            made = promise(e, thing.key, windows=self._windows_of(thing.facts))
            return self._draft(e, made, e.severity, thing, words_of(e, None))
        schedule = self.schedule_of(thing)
        if e.due is None and schedule is None and e.type in ("start_by", "finish_by"):
            if thing.trigger in _EVENTS:
                why = f"{thing.key} is started by events: it owes freshness or a due time by the clock, not a schedule"
            else:
                said = f' ("{thing.schedule}")' if thing.schedule else ""
                why = f"{thing.key} has no schedule that can be read{said}: give it a due time by the clock"
            warned.append((e.id, why, e.place))
            return None
        heard = warned if thing.mode is Mode.ACTIVE else []
        if schedule is not None and not self._agree(e.id, thing, schedule, e.place, heard):
            if e.due is None and e.type in ("start_by", "finish_by"):
                return None  # ticks that never come are not owed
            schedule = None  # its runs are told by when they come: the dates of our ticks are not theirs
        rule, date_zone = self._date_rule(thing)
        calendar = self._calendar(e)
        made = promise(
            e, thing.key, schedule=schedule, calendar=calendar, business_date=rule, date_zone=date_zone,
            logical_before=self._tick_before(thing, rule), upstream=e.after, windows=self._windows_of(thing.facts),
        )  # fmt: skip
        return self._draft(e, made, e.severity, thing, words_of(e, thing.schedule))

    def _defaults(self, thing: Thing, started: bool, warned: list[Warned]) -> list[Draft]:
        """Missed ticks of a known schedule; else silence beyond its own history."""
        if thing.mode is not Mode.ACTIVE or started or thing.trigger in (Trigger.MANUAL, Trigger.CONTINUOUS):
            return []
        severity = Severity(min(thing.criticality + 1, Severity.LOW))
        windows = self._windows_of(thing.facts)
        schedule = self.schedule_of(thing)
        if schedule is not None and self._agree(SCHEDULE, thing, schedule, "", warned):
            rule, date_zone = self._date_rule(thing)
            made = Promise(
                id=SCHEDULE, type="start_by", on=thing.key, zone=schedule.zone, schedule=schedule, business_date=rule, date_zone=date_zone,
                logical_before=self._tick_before(thing, rule), grace_ms=GRACE_MS, windows=windows,
            )  # fmt: skip
            return [self._draft(None, made, severity, thing, f"start within 10m of its schedule ({schedule.text})")]
        zone = thing.timezone or self._zones.get(thing.source, "UTC")
        made = Promise(id=OVERDUE, type="start_by", on=thing.key, zone=_zone(zone), windows=windows)
        return [self._draft(None, made, severity, thing, "start as often as it used to")]

    def _agree(self, id: str, thing: Thing, schedule: Schedule, place: str, warned: list[Warned]) -> bool:
        """Whether the source's own next run is a tick of ours; its word is right, and a difference is told."""
        at = thing.next_run
        if at is None or schedule.between(at - 60_001, at + 60_000):
            return True
        words = disagreement(schedule, at, at - 1)
        if words is not None:
            warned.append((id, f"{thing.key}: {words}", place))
        return False

    def agrees(self, thing: Thing) -> bool:
        """Whether its source's own next run is a tick as we read its schedule (or there is nothing to compare)."""
        at, schedule = thing.next_run, self.schedule_of(thing)
        return at is None or schedule is None or bool(schedule.between(at - 60_001, at + 60_000))

    def schedule_of(self, thing: Thing) -> Schedule | None:
        """Its schedule, where a text that we read says it; None for what is not started by the clock."""
        if thing.schedule is None or thing.trigger not in (Trigger.CRON, Trigger.INTERVAL):
            return None
        spot = (thing.schedule, thing.timezone or self._zones.get(thing.source, "UTC"))
        if spot not in self._schedules:
            try:
                self._schedules[spot] = schedules.parse(*spot)
            except ValueError:
                self._schedules[spot] = None
        return self._schedules[spot]

    def _date_rule(self, thing: Thing) -> tuple[str, str | None]:
        """By which rule its runs are dated, and in which zone: of local jobs their own, else [[pipeline]]'s, else by the tick itself."""
        if thing.kind == LOCAL:
            job = self._jobs.get(thing.key.partition(":")[2])
            if job is not None:
                return job.business_date, job.timezone
        rule = "start"
        if self._dated and thing.kind != LOCAL:
            facts = thing.facts
            rule = next(
                (r.business_date for r in reversed(self._dated) if r.business_date and matches(r.match, facts)), rule
            )
        return rule, self._zones.get(thing.source, "UTC")

    def _tick_before(self, thing: Thing, rule: str) -> bool:
        """Whether its logical date is that of the tick before, as with data intervals; of a local job it is its own."""
        return thing.kind != LOCAL and rule.startswith("logical")

    # --- feeds, heartbeats, sets ----------------------------------------------------------------------------------

    def of_others(self, things: Iterable[Thing], warned: list[Warned]) -> list[Draft]:
        """What feeds, heartbeats and sets owe."""
        found: list[Draft] = []
        known = list(things) if any(e.type == "completeness" for e in self.others) else []
        for e in self.others:
            if e.type == "completeness":
                draft = self._set(e, known, warned)
                if draft is not None:
                    found.append(draft)
            elif e.type == "source_arrival":
                meant = [f for f in self.config.feeds if matches(e.on, feed_facts(f))]
                found += [self._feed(e, f) for f in meant]
                if not meant:
                    warned.append((e.id, f'"{e.on}" matches no [[feed]]: nothing is owed by it', e.place))
            elif e.type == "heartbeat":
                made = promise(
                    e, e.on, calendar=self._calendar(e), windows=self._windows_of(Facts(key=e.on, source="ping"))
                )
                found.append(self._draft(e, made, e.severity, None, words_of(e, None)))
            elif e.on.startswith(SERIES):
                found += self._of_series(e, warned)
            elif e.on.startswith(ASSET):
                made = promise(e, e.on, windows=self._windows_of(Facts(key=e.on, source="asset")))
                found.append(self._draft(e, made, e.severity, None, words_of(e, None)))
        return found

    def _of_series(self, e: Expectation, warned: list[Warned]) -> list[Draft]:
        """Of each series that the selector means; also of one that is configured and was never answered."""
        wanted = e.on.removeprefix(SERIES)
        meant = [name for name in self.series if name == wanted or fnmatchcase(name, wanted) or series_of(wanted, name)]
        if not meant and any(s.name == wanted for s in self.config.series):
            meant = [wanted]
        if not meant and self.settled:
            warned.append((e.id, f'"{e.on}" matches no series that is measured: nothing is owed by it', e.place))
        found: list[Draft] = []
        for name in meant:
            source = self.series.get(name) or next((s.source for s in self.config.series if s.name == name), "")
            environment = next((s.environment for s in self.config.sources if s.name == source), "")
            facts = Facts(key=SERIES + name, source=source, environment=environment)
            made = promise(
                e, SERIES + name, calendar=self._calendar(e), business_date=e.business_date or "start - 1d",
                windows=self._windows_of(facts),
            )  # fmt: skip
            draft = self._draft(e, made, e.severity, None, words_of(e, None))
            found.append(replace(draft, bound=replace(draft.bound, source=source)))
        return found

    def _feed(self, e: Expectation, feed: Feed) -> Draft:
        made = promise(
            e, FEED + feed.name, calendar=self._calendar(e), business_date=feed.business_date, date_zone=feed.timezone,
            windows=self._windows_of(feed_facts(feed)),
        )  # fmt: skip
        return self._draft(e, made, e.severity, None, words_of(e, None))

    def _set(self, e: Expectation, things: list[Thing], warned: list[Warned]) -> Draft | None:
        members = members_of(e, things)
        if not members:
            warned.append((e.id, f"{_of(e.of)} matches no pipeline: nothing is owed by it", e.place))
            return None
        made = promise(
            e,
            e.on,
            calendar=self._calendar(e),
            members=members,
            windows=self._windows_of(Facts(key=e.on, source="set")),
        )
        return self._draft(e, made, e.severity, None, words_of(e, None))

    def shadow(self, owed: Promise, thing: Thing) -> Promise:
        """The same due time as it is for one member of a set, or for what a sequence waits for: by that one's own schedule and dates."""
        rule, date_zone = self._date_rule(thing)
        schedule = self.schedule_of(thing)
        if schedule is not None and not self._agree(owed.id, thing, schedule, "", []):
            schedule = None
        return replace(
            owed, type="finish_by", on=thing.key, schedule=schedule, business_date=rule, date_zone=date_zone, members=(),
            logical_before=self._tick_before(thing, rule), due=1440 if owed.due is None else owed.due, windows=(),
        )  # fmt: skip

    # --- what belongs to any ----------------------------------------------------------------------------------------

    def unmatched(self, things: Iterable[Thing], listed: frozenset[str]) -> list[Warned]:
        """Selectors that mean no pipeline, of sources that have told which they have."""
        found: list[Warned] = []
        known = {t.key for t in things}
        for key, items in self._exact.items():
            source = key.partition(":")[0]
            if key not in known and (source in listed or source not in self._zones):
                found += [(e.id, f'"{key}" matches no pipeline: nothing is owed by it', e.place) for e in items]
        if self._globs:
            facts = [t.facts for t in things]
            whole = all(name in listed for name in self._zones)
            for e in self._globs:
                source = e.on.partition(":")[0]  # one that names its source needs only that one's answer
                if (whole or source in listed) and not any(matches(e.on, f) for f in facts):
                    found.append((e.id, f'"{e.on}" matches no pipeline: nothing is owed by it', e.place))
        return found

    def spans(self, a: int, b: int) -> list[tuple[str, str, str, int, int, str]]:
        """Windows as instants that lie in [a, b): (name, kind, match, start, until, words)."""
        found: list[tuple[str, str, str, int, int, str]] = []
        for config, (on, window) in zip(self.config.windows, self._windows, strict=True):
            effects = {"shift": "moves what falls due", "waive": "waives what falls due", "keep": ""}[config.expect]
            found += [(config.name, config.kind, on, start, end, effects) for start, end in window.between(a, b)]
        return found

    def edges(self, things: Mapping[int, Thing]) -> list[tuple[str, str, str]]:
        """(up, down, kind): who waits for whom. A source's own word wins over ours."""
        found: dict[tuple[str, str], str] = {}
        by_key = {t.key: t for t in things.values()}
        facts = (
            [(t, t.facts) for t in things.values()]
            if self.config.feeds or any(r.after for r in self.config.pipelines)
            else []
        )
        for feed in self.config.feeds:
            for selector in feed.feeds:
                found.update({(FEED + feed.name, t.key): "feed" for t, f in facts if matches(selector, f)})
        for rule in self.config.pipelines:
            if not rule.after:
                continue
            downs = [t.key for t, f in facts if matches(rule.match, f)]
            ups = [t.key for t, f in facts if any(matches(a, f) for a in rule.after if not a.startswith(FEED))]
            ups += [a for a in rule.after if a.startswith(FEED)]
            found.update({(up, down): "declared" for up in ups for down in downs if up != down})
        for thing in things.values():
            for name in thing.after:
                up = name if name in by_key else f"{thing.source}:{name}"
                if up in by_key and up != thing.key:
                    found[up, thing.key] = "after"
        return [(up, down, kind) for (up, down), kind in found.items()]

    def _windows_of(self, facts: Facts) -> tuple[Window, ...]:
        return tuple(w for on, w in self._windows if w.expect != "keep" and matches(on, facts)) if self._windows else ()

    def _calendar(self, e: Expectation) -> BusinessCalendar | None:
        return None if e.calendar is None else self.config.calendars.get(e.calendar)

    def _draft(
        self, e: Expectation | None, made: Promise, severity: Severity, thing: Thing | None, words: str
    ) -> Draft:
        ticks = "" if made.schedule is None else f"{made.schedule.text}|{made.schedule.zone}"
        bound = Bound(
            id=0, promise=made, severity=severity, words=words, declared=e is not None, pipeline_id=None if thing is None else thing.id,
            source="" if thing is None else thing.source, warn=0.5 if e is None else e.warn, limit_ms=None if e is None else e.limit_ms,
            expected_ms=None if e is None else e.expected_ms, consumers=() if e is None else e.consumers,
            runbook=None if e is None else e.runbook, place="" if e is None else e.place,
        )  # fmt: skip
        p = made
        says = (
            p.type, p.zone, p.due, p.due_after_ms, p.days.text, p.business_date, p.date_zone, p.grace_ms, p.margin_ms, p.late_by_ms, p.max_age_ms,
            p.warning_counts, p.upstream, self._of_calendar(p.calendar), [(w, self._of_calendar(w.calendar)) for w in p.windows],
        )  # fmt: skip
        return Draft(bound, blake2b(f"{says}".encode(), digest_size=8).hexdigest(), ticks)

    def _of_calendar(self, calendar: BusinessCalendar | None) -> str:
        """A calendar may be long; its text is made once."""
        if calendar is None:
            return ""
        if id(calendar) not in self._said:
            self._said[id(calendar)] = blake2b(repr(calendar).encode(), digest_size=8).hexdigest()
        return self._said[id(calendar)]


def changed(old: Config, new: Config) -> tuple[list[Expectation], list[Expectation]] | None:
    """(gone or changed, new or changed) expectations; None where more than expectations changed, so that all are bound anew."""
    for part in ("windows", "calendars", "feeds", "pipelines", "jobs", "sources", "timezone", "checks", "series"):
        a, b = getattr(old, part), getattr(new, part)
        if a is not b and a != b:
            return None
    before = {e.id: e for e in old.expectations}
    fresh: list[Expectation] = []
    gone: list[Expectation] = []
    for e in new.expectations:
        had = before.pop(e.id, None)
        if had is e:
            continue
        if had is None or had != e:
            fresh.append(e)
            if had is not None:
                gone.append(had)
    return [*gone, *before.values()], fresh


def members_of(e: Expectation, things: Iterable[Thing]) -> tuple[str, ...]:
    """Keys of the pipelines that a completeness is over."""
    return tuple(sorted({t.key for t in things if t.mode is not Mode.GONE and any(matches(s, t.facts) for s in e.of)}))


def feed_facts(feed: Feed) -> Facts:
    """What a selector can ask of a feed."""
    return Facts(key=FEED + feed.name, source="feed", application=feed.application, layer=feed.layer)


# --- words ----------------------------------------------------------------------------------------------------------


def words_of(e: Expectation, schedule: str | None) -> str:
    """How an expectation reads: "finish by 06:00 Europe/Paris, mon-fri"."""
    due = "" if e.due is None else f"{_clock(e.due)} {e.timezone}"
    match e.type:
        case "finish_by":
            words = f"finish by {due}" if due else f"finish within {span(e.due_after_schedule_ms or 0)} of its schedule"
        case "start_by":
            words = (
                f"start by {due}"
                if due
                else f"start within {span(e.due_after_schedule_ms or e.start_grace_ms)} of its schedule"
            )
        case "max_duration":
            words = f"at most {span(e.limit_ms or 0)} a run"
        case "duration_anomaly":
            words = "as long as usual" + ("" if e.expected_ms is None else f", about {span(e.expected_ms)}")
        case "sequence":
            words = f"start after {e.after or '?'} succeeded"
        case "completeness":
            words = f"all of {_of(e.of)} done by {due}"
        case "heartbeat":
            words = f"a sign of life every {span(e.max_age_ms or 0)}"
        case "source_arrival":
            words = f"arrive by {due}" + (f" + {span(e.margin_ms)}" if e.margin_ms else "")
        case "freshness":
            words = (
                f"fresh by {_clock(e.by)} {e.timezone}"
                if e.by is not None
                else f"not older than {span(e.max_age_ms or 0)}"
            )
        case _:
            words = e.type.replace("_", " ") if e.value is None else value_words(e.type, e.value)
    if e.type not in APART and e.type != "heartbeat" and e.days.text not in ("", "daily"):
        words += f", {e.days.text}"
    return words + (f", calendar {e.calendar}" if e.calendar else "")


def value_words(kind: str, rule: ValueRule) -> str:
    """``above 20,000 for 1m``, ``at most 90 within 14 days``, ``equal to rdv_rows``."""
    last = span(rule.window_ms)
    parts = [
        f"{words} {amount(limit)}"
        for words, limit in (
            ("not above", rule.above), ("not below", rule.below), (f"mean of {last} not above", rule.mean_above),
            (f"mean of {last} not below", rule.mean_below), (f"peak of {last} not above", rule.peak_above),
        )
        if limit is not None
    ]  # fmt: skip
    parts += [] if rule.clear_at is None else [f"well again at {amount(rule.clear_at)}"]
    parts += (
        [] if rule.events is None else [f"of at least {amount(rule.min_events)} {rule.events.removeprefix(SERIES)}"]
    )
    most = amount(rule.most or 0.0)
    match kind:
        case "volume":
            parts = [] if rule.normal is None else [f"{amount(rule.normal[0])} to {amount(rule.normal[1])}"]
            parts += [] if rule.least_share is None else [f"at least {rule.least_share:.0%} of the usual"]
            parts += ["as usual"] if rule.anomaly else []
        case "reconcile":
            parts = [f"equal to {(rule.against or '?').removeprefix(SERIES)}"]
            parts += [f"± {amount(rule.tolerance)}"] if rule.tolerance else []
            parts += [f"± {amount(rule.tolerance_percent)} %"] if rule.tolerance_percent else []
        case "quota":
            parts = [f"at most {most}" + (f', anew "{rule.resets}"' if rule.resets else "")]
        case "budget":
            parts = [f"at most {most} a {rule.period}"]
        case "forecast":
            parts = [f"{most} not reached within {span(rule.within_ms or 0)}"]
        case _:
            pass
    if rule.for_ms not in (0, FOR_MS):
        parts.append(f"for {span(rule.for_ms)}")
    return ", ".join(parts) or kind


def _of(selectors: tuple[str, ...]) -> str:
    return " ".join(f'"{s}"' for s in selectors) or "nothing"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def span(ms: int) -> str:
    """``90s``, ``40m``, ``1h 30m``."""
    seconds = ms // 1000
    if seconds < 120 and seconds % 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 120 and (minutes < 60 or minutes % 60):
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if minutes else f"{hours}h"


def _zone(name: str) -> str:
    try:
        schedules.zone(name)
    except ValueError:
        return "UTC"
    return name
