"""A scenario's triggers in our words: a cron or interval where it is one exactly, else a sentence that nobody reckons with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.dataiku.wire import Settings, at, native_id, text
from adapters.model import StepDef, Trigger, pipeline_key

_DAYS: Final = {
    "monday": "1", "tuesday": "2", "wednesday": "3", "thursday": "4", "friday": "5", "saturday": "6", "sunday": "0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Definition:
    """What a scenario's settings say. ``changed``: ms UTC of the last change of them, where told."""

    trigger: Trigger = Trigger.UNKNOWN
    schedule: str | None = None
    timezone: str | None = None
    owner: str | None = None
    after: tuple[str, ...] = ()
    steps: tuple[tuple[str, str, bool], ...] = ()
    """id, label, enabled."""
    changed: int | None = None
    python: bool = False
    builds: tuple[str, ...] = ()
    """``PROJECT.dataset`` that its steps build."""

    @property
    def step_defs(self) -> tuple[StepDef, ...]:
        return tuple(StepDef(name=label) for _, label, enabled in self.steps if enabled)


def labels(steps: Sequence[tuple[str, Any]]) -> dict[str, str]:
    """Step ids to labels: the name, or name and id where two steps share a name."""
    names = [text(name) or ident for ident, name in steps]
    twice = {name for name in names if names.count(name) > 1}
    return {
        ident: f"{name} ({ident})" if name in twice else name for (ident, _), name in zip(steps, names, strict=True)
    }


def definition(settings: Settings, source: str, project: str, zone: str) -> Definition:
    """``zone``: the source's, for triggers in the server's own zone."""
    triggers = settings.triggers if isinstance(settings.triggers, list) else []
    live = [t for t in triggers if isinstance(t, dict) and t.get("active") is not False]
    kind, schedule, where = _when(live, zone)
    after = tuple(sorted({k for t in live if (k := _followed(t, source, project)) is not None}))
    params = settings.params if isinstance(settings.params, dict) else {}
    raw = params.get("steps")
    found = [s for s in raw if isinstance(s, dict) and text(s.get("id"))] if isinstance(raw, list) else []
    named = labels([(s["id"], s.get("name")) for s in found])
    tag = settings.version_tag if isinstance(settings.version_tag, dict) else {}
    by = tag.get("lastModifiedBy")
    return Definition(
        trigger=kind,
        schedule=schedule,
        timezone=where,
        owner=text(settings.run_as_user) or (text(by.get("login")) if isinstance(by, dict) else None),
        after=after,
        steps=tuple((s["id"], named[s["id"]], s.get("enabled") is not False) for s in found),
        changed=at(tag.get("lastModifiedOn")),
        python=settings.type == "custom_python",
        builds=tuple(sorted({d for s in found if s.get("enabled") is not False for d in _built(s, project)})),
    )


def _built(step: Mapping[str, Any], project: str) -> Iterator[str]:
    """Datasets that a build step names. In no reference; read so by others, and nothing hangs on it but lineage."""
    params = step.get("params")
    builds = params.get("builds") if isinstance(params, dict) and step.get("type") == "build_flowitem" else None
    for one in builds if isinstance(builds, list) else ():
        if isinstance(one, dict) and one.get("type") == "DATASET" and (name := text(one.get("itemId"))):
            yield name if "." in name else native_id(text(one.get("projectKey")) or project, name)


def _when(live: list[Any], zone: str) -> tuple[Trigger, str | None, str | None]:
    if not live:
        return Trigger.MANUAL, None, None
    timed = [t for t in live if t.get("type") == "temporal"]
    if not timed:
        return Trigger.EVENT, None, None
    said = [_temporal(t.get("params"), zone) for t in timed]
    kind, schedule, where = said[0]
    if len(said) > 1:
        return Trigger.UNKNOWN, "; ".join(s for _, s, _ in said), where
    return kind, schedule if len(live) == 1 else f"{schedule}; and on events", where


def _temporal(params: Any, zone: str) -> tuple[Trigger, str, str | None]:
    """One time trigger. A sentence where no cron says the same: every second day, a day of a week in a month."""
    given: Mapping[str, Any] = params if isinstance(params, dict) else {}
    frequency = str(given.get("frequency") or "?")
    each = given.get("repeatFrequency")
    each = each if isinstance(each, int) and each > 0 else 1
    hour, minute = given.get("hour"), given.get("minute")
    hour, minute = (hour if isinstance(hour, int) else 0), (minute if isinstance(minute, int) else 0)
    named = text(given.get("timezone"))
    where = zone if named in (None, "SERVER") else named
    clock = f"{hour:02d}:{minute:02d}"
    match frequency:
        case "Minutely":  # DSS counts from when the trigger was set, which nobody tells: not reckoned with
            return Trigger.INTERVAL, f"each {each} min", where
        case "Hourly" if each == 1:
            return Trigger.CRON, f"{minute} * * * *", where
        case "Hourly":
            return Trigger.INTERVAL, f"each {each} hours at :{minute:02d}", where
        case "Daily" if each == 1:
            return Trigger.CRON, f"{minute} {hour} * * *", where
        case "Daily":
            return Trigger.INTERVAL, f"each {each} days at {clock}", where
        case "Weekly":
            raw = given.get("daysOfWeek")
            days = [_DAYS.get(str(d).lower()) for d in raw] if isinstance(raw, list) else []
            known = sorted(d for d in days if d is not None)
            if each == 1 and known and len(known) == len(days):
                return Trigger.CRON, f"{minute} {hour} * * {','.join(known)}", where
            return Trigger.INTERVAL, f"each {each} weeks at {clock}", where
        case "Monthly":
            day = (text(given.get("startingFrom")) or "")[8:10]
            run_on = given.get("monthlyRunOn")
            if each == 1 and run_on in (None, "ON_THE_DAY") and day.isdigit() and 1 <= int(day) <= 28:
                return Trigger.CRON, f"{minute} {hour} {int(day)} * *", where
            return Trigger.INTERVAL, f"each {each} months at {clock}" + (f" ({run_on})" if run_on else ""), where
        case _:
            return Trigger.UNKNOWN, frequency, where


def _followed(trigger: Any, source: str, project: str) -> str | None:
    """The scenario after which this trigger fires, where its parameters name one."""
    params = trigger.get("params")
    if trigger.get("type") == "temporal" or not isinstance(params, dict):
        return None
    scenario = text(params.get("scenarioId"))
    return pipeline_key(source, native_id(text(params.get("projectKey")) or project, scenario)) if scenario else None
