"""What there is to run: environments, tasks, plans, what starts them and when next.

A whole listing costs a request for each hundred tasks and plans. One that cost more than a few is therefore kept for
five minutes and handed out as what it is, incomplete (absence from it proves nothing), unless something was done to it.
What starts a task is asked separately and little by little: the schedules in one list, what they do not name one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from adapters.errors import AdapterError, BadResponse, Conflict, Forbidden, NotFound, Unsupported
from adapters.http import Answer, Http, words
from adapters.model import Mode, Pipeline, StepDef, Trigger, pipeline_key
from adapters.talend import reads
from adapters.talend.triggers import RunConfig, Schedules, Triggers, When, when
from adapters.talend.wire import (
    PLAN,
    TASK,
    Named,
    PlanItem,
    Plans,
    Task,
    TaskItem,
    Tasks,
    Workspace,
    chart,
    ms,
    native,
    pause_of,
    segment,
    step_names,
)

FRESH_MS: Final = 300_000
EXTRAS_MS: Final = 900_000
KNOWN_MS: Final = 6 * 3_600_000
CHEAP: Final = 4
"""Requests of a listing that is asked for afresh each time."""
ONE_BY_ONE: Final = 4
"""Run configurations asked for in one look."""
HORIZONS_MS: Final = (24 * 3_600_000, 2 * 3_600_000)
EVENT_PAGES: Final = 3

_TOLERATED: Final = (NotFound, Forbidden, BadResponse, Conflict, Unsupported)


class _Event(msgspec.Struct):
    id: str
    type: str | None = None
    date: Any = None


class _Events(msgspec.Struct):
    items: list[_Event]
    total: int | None = None


class _Place(msgspec.Struct):
    id: str
    name: str | None = None


class Estate:
    """Of one source. ``environment`` and ``workspace``: names or ids that narrow it, empty for all of them."""

    def __init__(self, http: Http, source: str, environment: str, workspace: str) -> None:
        self._http = http
        self._source = source
        self._wanted = (environment, workspace)
        self._params: dict[str, str] | None = None if environment or workspace else {}
        self.environments: list[Named] = []
        self.tasks: dict[str, TaskItem] = {}
        self.plans: dict[str, PlanItem] = {}
        self._when: dict[str, tuple[When, int | None]] = {}
        self._next: dict[str, int] = {}
        self._at: int | None = None
        self._extras_at: int | None = None
        self._cost = 0
        self._complete = False
        self._dirty = True
        self._trouble: dict[str, str] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What of it could not be read, one clause each."""
        return tuple(self._trouble.values())

    def touch(self) -> None:
        """Something was changed: the next listing is a fresh one."""
        self._dirty = True

    async def params(self) -> Mapping[str, str]:
        """``environmentId`` and ``workspaceId`` of what the options name; NotFound where there is no such thing."""
        if self._params is None:
            await self._look_at_places()
        return self._params or {}

    async def _look_at_places(self) -> Answer:
        self.environments, answer = await self._http.get("/orchestration/environments", list[Named])
        environment, workspace = self._wanted
        found: dict[str, str] = {}
        if environment:
            found["environmentId"] = _pick(self.environments, environment, "environment")
        if workspace:
            places, _ = await self._http.get("/orchestration/workspaces", list[_Place])
            found["workspaceId"] = _pick(places, workspace, "workspace")
        self._params = found
        return answer

    # --- listing ------------------------------------------------------------------------------------------------------

    async def look(self) -> tuple[bool, int | None]:
        """Brings it up to date. Whether this is a whole and fresh listing, and the server's time."""
        now = self._http.server_time
        age = None if now is None or self._at is None else now - self._at
        fresh = self._dirty or self._cost <= CHEAP or age is None or not 0 <= age < FRESH_MS
        if fresh:
            await self._list()
        if not fresh or self._cost <= CHEAP:
            await self._extras()
        return fresh and self._complete, self._http.server_time

    async def _list(self) -> None:
        before = self._http.requests
        answer = await self._look_at_places()
        params = await self.params()
        tasks, _, one = await reads.pages(self._http, reads.TASKS, Tasks, lambda p: p.items, lambda p: p.total, params)
        plans, _, two = await reads.pages(self._http, reads.PLANS, Plans, lambda p: p.items, lambda p: p.total, params)
        self.tasks = {t.executable: t for t in tasks}
        self.plans = {p.executable: p for p in plans}
        # fewer than were counted: something was deleted while they were paged, and another fell into the gap
        self._complete = one and two and len(self.tasks) == len(tasks) and len(self.plans) == len(plans)
        self._cost = self._http.requests - before
        self._at, self._dirty = answer.server_time, False
        known = set(self._ids())
        self._when = {k: v for k, v in self._when.items() if k in known}

    def _ids(self) -> Iterable[str]:
        yield from (native(TASK, i) for i in self.tasks)
        yield from (native(PLAN, i) for i in self.plans)

    def pipelines(self) -> list[Pipeline]:
        out = [self.task_pipeline(t.executable, t) for t in self.tasks.values()]
        return out + [self.plan_pipeline(p) for p in self.plans.values()]

    def name(self, kind: str, ident: str) -> str:
        """As the console calls it; its id where that is not known (yet)."""
        item = self.tasks.get(ident) if kind == TASK else self.plans.get(ident)
        return item.name if item is not None and item.name else ident

    def task_pipeline(self, ident: str, item: TaskItem | Task) -> Pipeline:
        tags = [*(item.tags or [])] if isinstance(item, Task) else []
        description = item.description if isinstance(item, Task) else None
        return self._pipeline(
            TASK, ident, item.name, item.workspace, pause_of(item.taskPauseDetails), tags, description
        )

    def plan_pipeline(self, item: PlanItem) -> Pipeline:
        steps = chart(item.chart)
        names = list(step_names(steps).values())
        defs = tuple(StepDef(name=n, after=(names[i - 1],) if i else (), operator="step") for i, n in enumerate(names))
        return self._pipeline(
            PLAN,
            item.executable,
            item.name,
            item.workspace,
            pause_of(item.planPauseDetails),
            [],
            item.description,
            defs,
        )

    def _pipeline(
        self,
        kind: str,
        ident: str,
        name: str | None,
        place: Workspace | None,
        paused: bool,
        tags: list[str],
        description: str | None,
        steps: tuple[StepDef, ...] = (),
    ) -> Pipeline:
        ours = native(kind, ident)
        known = self._when.get(ours)
        starts = known[0] if known else When(Trigger.UNKNOWN)
        environment = place.environment.name if place is not None and place.environment is not None else None
        found = [kind, *(t for t in (environment, place.name if place else None) if t), *tags]
        return Pipeline(
            key=pipeline_key(self._source, ours),
            name=name or ident,
            mode=Mode.PAUSED if paused else Mode.ACTIVE,
            trigger=starts.trigger,
            schedule=starts.schedule,
            timezone=starts.timezone,
            next_run=None if paused else self._next.get(ours),
            owner=place.owner if place is not None else None,
            tags=tuple(sorted(set(found))),
            description=description,
            steps=steps,
        )

    # --- what starts them -----------------------------------------------------------------------------------------------

    async def _extras(self) -> None:
        now = self._http.server_time
        due = now is None or self._extras_at is None or not 0 <= now - self._extras_at < EXTRAS_MS
        if due:
            self._extras_at = now
            await self._niceties()
        await self._one_by_one(now)

    async def _niceties(self) -> None:
        for what, ask in (("schedules", self._schedules), ("next runs", self._events)):
            try:
                why = await ask()
            except _TOLERATED as err:
                why = err.what
            if why:
                self._trouble[what] = words(f"{what} could not be read: {why}")
            else:
                self._trouble.pop(what, None)

    async def _schedules(self) -> str:
        """All schedules that start something. Whether this list needs its environment named is not documented."""
        try:
            found = await self._schedule_pages({})
        except BadResponse as err:
            if err.status != 400 or not self.environments:
                raise
            found = []
            for place in self._places():
                found += await self._schedule_pages({"environmentId": place})
        by: dict[str, list[Any]] = {}
        for one in found:
            if one.executableId:
                kind = PLAN if (one.executableType or "").upper() == "PLAN" or one.executableId in self.plans else TASK
                by.setdefault(native(kind, one.executableId), []).extend(one.triggers or ())
        now = self._http.server_time
        self._when |= {ours: (when(triggers, now), now) for ours, triggers in by.items() if triggers}
        return ""

    async def _schedule_pages(self, params: Mapping[str, str]) -> list[Any]:
        found, _, _ = await reads.pages(
            self._http, "/orchestration/schedules", Schedules, lambda p: p.items, lambda p: p.total, params
        )
        return found

    def _places(self) -> list[str]:
        """Ids of the environments that are looked at."""
        only = (self._params or {}).get("environmentId")
        return [only] if only else [e.id for e in self.environments]

    async def _events(self) -> str:
        """When each runs next, of all of them in one list an environment; of one that is too long nothing is believed, since
        its order is not documented."""
        now = self._http.server_time
        if now is None:
            return "the server does not tell its time"
        nexts: dict[str, int] = {}
        crowded: list[str] = []
        for place in self._places():
            for horizon in HORIZONS_MS:
                body = {"environmentId": place, "from": now, "to": now + horizon}
                found, _, whole = await reads.pages(
                    self._http,
                    "/orchestration/executables/events/search",
                    _Events,
                    lambda p: p.items,
                    lambda p: p.total,
                    body,
                    most=EVENT_PAGES,
                    body=True,
                )
                if whole:
                    for event in found:
                        at = ms(event.date)
                        ours = native(PLAN if (event.type or "").upper() == "PLAN" else TASK, event.id)
                        if at is not None and at >= now:
                            nexts[ours] = min(at, nexts.get(ours, at))
                    break
            else:
                crowded.append(place)
        self._next = nexts
        return f"too many in {len(crowded)} of {len(self._places())} environments" if crowded else ""

    async def _one_by_one(self, now: int | None) -> None:
        """Of tasks and plans that no schedule names, those that run soon first."""
        missing = [i for i in self._ids() if self._old(i, now)]
        missing.sort(key=lambda i: i not in self._next)
        for ours in missing[:ONE_BY_ONE]:
            try:
                await self.learn(ours)
            except _TOLERATED as err:
                self._when.setdefault(ours, (When(Trigger.UNKNOWN), now))
                self._trouble["run configurations"] = words(f"run configurations could not all be read: {err.what}")

    def _old(self, ours: str, now: int | None) -> bool:
        known = self._when.get(ours)
        return known is None or (now is not None and known[1] is not None and not 0 <= now - known[1] < KNOWN_MS)

    async def learn(self, ours: str) -> None:
        """What starts this one, from its own run configuration; several triggers stand in its schedule."""
        kind, _, ident = ours.partition(".")
        where = f"{reads.TASKS if kind == TASK else reads.PLANS}/{segment(ident)}"
        try:
            config, answer = await self._http.get(f"{where}/run-config", RunConfig)
        except NotFound:
            self._when[ours] = (When(Trigger.MANUAL), self._http.server_time)
            return
        triggers = [config.trigger] if config.trigger is not None else []
        if config.trigger is not None and config.trigger.type == "MULTIPLE":
            body, answer = await self._http.get(f"{where}/schedule", Triggers)
            triggers = body.triggers or []
        self._when[ours] = (when(triggers, answer.server_time), answer.server_time)

    async def learn_if_old(self, ours: str) -> None:
        """The same as a nicety: what cannot be read spoils nothing."""
        if not self._old(ours, self._http.server_time):
            return
        try:
            await self.learn(ours)
        except AdapterError:
            return


def _pick(places: Iterable[Named | _Place], wanted: str, what: str) -> str:
    found = [p.id for p in places if p.id == wanted] or [p.id for p in places if p.name == wanted]
    if len(found) == 1:
        return found[0]
    how = "no" if not found else "more than one"
    raise NotFound(words(f"TMC shows {how} {what} {wanted!r} to this credential"), f"see options.{what} of this source")
