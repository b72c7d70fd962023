"""All projects and scenarios of one DSS, and which of them must be looked at.

DSS has no history of runs over the whole instance and no changes since a moment: who ran is told by a project's list of
scenarios (``running``), by the list of futures (one request for all, for an administrator's key), and what came of it by
each scenario's own last runs. So a poll asks what runs now, then about those scenarios only whose answer has changed;
what is left of its few requests goes round: a project's list, and the last runs of a scenario whose turn it is. Of more
projects than the first look may ask for, the rest is read with the polls after it, first those in which something runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from adapters.dataiku.dss import API, DssHttp, project_path, scenario_path, together
from adapters.dataiku.triggers import Definition
from adapters.dataiku.wire import Project, Scenario, ScenarioRun, at, text
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound
from adapters.http import Answer, words
from adapters.schedule import parse

FEW: Final = 3
"""Projects that are listed with each poll; of more, their lists go round."""
SLICE: Final = 4
"""Lists of projects that a listing reads again, where there are more than that."""
FIRST_FILL: Final = 60
"""Requests that the first look at everything may cost, the probe before it included, runs under way apart."""
KEPT: Final = 10
"""Of these, what is kept for runs that are under way, where not all projects can be listed at first."""
FILL: Final = 20
"""Lists that a listing reads of projects that were never read."""
PEEK_S: Final = 60.0
"""How long the list that the probe read counts as one of the first look."""
LAST: Final = 10
FIRST: Final = 25
MOST: Final = 1_600
"""Last runs of a scenario: usually, at the first look, and the most that is asked for where all of them are new."""
MISSES: Final = 3
TRY_AGAIN: Final = 30
"""Listings after which a right that was refused is asked for again."""
LATE_MS: Final = 60_000
"""After a tick of its schedule: a scenario not seen running is looked at."""
_PARTS: Final = (Forbidden, NotFound, BadResponse)


@dataclass(slots=True)
class Seat:
    """One scenario."""

    project: str
    item: Scenario
    looked: int = -1
    """Turn of the last look at its runs; -1: never."""
    looked_ms: int | None = None
    known: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    active: dict[str, ScenarioRun] = field(default_factory=dict[str, ScenarioRun])
    due: bool = False
    missed: int = 0
    strays: int = 0
    began: int | None = None
    """What its list said at the last look about since when it runs."""
    definition: Definition | None = None
    next_run: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.project, self.item.id


class _Future(msgspec.Struct):
    payload: Any = None


class Board:
    """``wants_project`` and ``wants`` say what of it is watched at all."""

    def __init__(
        self, http: DssHttp, wants_project: Callable[[str], bool], wants: Callable[[str, str], bool], all_users: bool
    ) -> None:
        self._http = http
        self._wants_project = wants_project
        self._wants = wants
        self.projects: dict[str, Project] = {}
        self.seats: dict[tuple[str, str], Seat] = {}
        self.seen = 0
        """Projects that the key sees, watched or not."""
        self.filled = False
        """The first look at everything was answered."""
        self._peeked: tuple[str, float] | None = None
        self._fresh: set[str] = set()
        """Projects that were listed since the poll before."""
        self.read: dict[str, int] = {}
        """Turn at which each project was last listed."""
        self.bad: dict[str, str] = {}
        """Projects whose last listing was refused, and why."""
        self.turn = 0
        self.sees_all = all_users
        """Whether the futures of all users can be read."""
        self.why_not_all = "" if all_users else "options.all_users = false"
        self._since_complete: set[str] = set()
        self._running: set[tuple[str, str]] = set()
        self._refused = False
        self._refreshed = 0
        self.unfinished = False
        """The poll that was begun last has not come to its end."""
        self._after_failure = False
        self._filling = False
        """When this poll began there were projects that had never been read."""

    def only_own(self, why: str) -> None:
        """The futures of all users were refused to this key."""
        self.sees_all, self.why_not_all, self._refused = False, why, True

    # --- lists --------------------------------------------------------------------------------------------------

    async def list_projects(self) -> Answer:
        found, answer = await self._http.get(f"{API}/projects/", list[Project])
        self.seen = len(found)
        self.projects = {p.project_key: p for p in found if self._wants_project(p.project_key)}
        for key in [k for k in self.seats if k[0] not in self.projects]:
            del self.seats[key]
        self.read = {p: t for p, t in self.read.items() if p in self.projects}
        self.bad = {p: w for p, w in self.bad.items() if p in self.projects}
        self._since_complete &= self.projects.keys()
        return answer

    @property
    def unread(self) -> list[str]:
        """Projects of which nothing is known yet."""
        return [p for p in self.projects if p not in self.read]

    async def try_list(self, project: str) -> AdapterError | None:
        """For the probe: its scenarios, kept for the first look where that follows at once. Why they cannot be read."""
        error = await self._try(project)
        if error is None and not self.filled:
            self._peeked = project, asyncio.get_running_loop().time()
        return error

    async def refresh(self) -> tuple[Answer, bool]:
        """Projects, and the lists that are oldest; at first as many as the first look may cost. True: since the last such
        answer each project was read."""
        answer = await self.list_projects()
        self._refreshed += 1
        if self._refused and self._refreshed % TRY_AGAIN == 0:
            self.sees_all, self._refused = True, False
        if not self.filled and self._peeked and asyncio.get_running_loop().time() - self._peeked[1] > PEEK_S:
            self.read.pop(self._peeked[0], None)
        unread = self.unread
        if not self.filled:
            room = FIRST_FILL - self._http.requests
            turns = unread if len(unread) < room else unread[: max(FILL, room - KEPT)]
        elif unread:
            turns = unread[:FILL]
        elif self.sees_all or len(self.projects) <= FEW:
            turns = sorted(self.projects, key=lambda p: self.read.get(p, -1))[:SLICE]
        else:
            turns = []  # the polls list enough
        await self.list_some(turns)
        self.filled = True
        complete = self._since_complete == self.projects.keys()
        if complete:
            self._since_complete = set()
        return answer, complete

    async def list_some(self, projects: Iterable[str]) -> None:
        """A project that may not be read, or answers badly, keeps what was known of it; where all do, that is raised."""
        names = list(projects)
        results = await together(self._try(p) for p in names)
        errors = [error for error in results if error is not None]
        for project, error in zip(names, results, strict=True):
            if error is not None:
                self.bad[project] = error.what
                self.read[project] = self.turn  # its turn is over, others are asked before it again
        if errors and len(errors) == len(names) and (len(names) > 1 or len(names) == len(self.projects)):
            for project in names:
                self.read.pop(project, None)
            raise errors[0]

    async def _try(self, project: str) -> AdapterError | None:
        try:
            await self._list(project)
        except _PARTS as err:
            return err
        return None

    async def _list(self, project: str) -> None:
        found, _ = await self._http.get(f"{project_path(project)}/scenarios/", list[Scenario])
        now = {s.id: s for s in found if self._wants(project, s.id)}
        for key in [k for k in self.seats if k[0] == project and k[1] not in now]:
            del self.seats[key]
        for ident, item in now.items():
            seat = self.seats.get((project, ident))
            if seat is None:
                self.seats[(project, ident)] = Seat(project, item)
            else:
                seat.item = item
        self.read[project] = self.turn
        self.bad.pop(project, None)
        self._since_complete.add(project)
        self._fresh.add(project)

    # --- what runs now ------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """Learn what runs now, with at most three requests, or four where a project was never read."""
        self.turn += 1
        self._after_failure, self.unfinished = self.unfinished, True
        self._filling = bool(self.unread)
        oldest = sorted(self.projects, key=lambda p: self.read.get(p, -1))
        if self.turn == 1 and not self.unread:  # all lists were read a moment ago
            self._told_by(set(self.projects))
        elif len(oldest) <= FEW:
            await self.list_some(oldest)
            self._told_by(set(self.projects))
        elif not (self.sees_all and await self._by_futures(oldest)):
            busy = {s.project for s in self.seats.values() if s.active}
            chosen = [p for p in oldest if p in busy][: FEW - 1]
            chosen += [p for p in oldest if p not in chosen][: FEW - len(chosen)]
            await self.list_some(chosen)
            self._told_by(self._fresh)
        self._fresh = set()

    def _told_by(self, projects: set[str]) -> None:
        """What runs in these projects is what their lists say; of the others it is as it was."""
        told = projects - self.bad.keys()
        self._running = {k for k in self._running if k[0] not in projects and k in self.seats}
        self._running |= {k for k, s in self.seats.items() if k[0] in projects and s.item.running is True}
        self._judge(lambda seat: seat.project in told)

    async def _by_futures(self, oldest: list[str]) -> bool:
        """What runs is what the futures of all users say; False where they cannot be read. A list goes round with it: of the
        projects that were never read three, those first in which something runs."""
        named = await self._futures()
        if named is None:
            return False
        unread = set(self.unread)
        calling = {project for project, _ in named}
        turns = sorted(unread, key=lambda p: (p not in calling, oldest.index(p)))[:FEW] or oldest[:1]
        await self.list_some(turns)
        self._running = {k for k in named if k in self.seats}
        for seat in self.seats.values():
            listed = seat.project in turns and seat.project not in self.bad
            if listed and seat.item.running is True and seat.key not in self._running:
                self._running.add(seat.key)
                seat.strays += 1
                if seat.strays >= 2:
                    self.sees_all, self.why_not_all = False, "its list of futures lacks running scenarios"
            elif listed:
                seat.strays = 0
        self._judge(lambda seat: True)
        return True

    async def _futures(self) -> set[tuple[str, str]] | None:
        """Scenarios that run now, by one request; None where this key may not see all of them, or they cannot be read."""
        params = {"withScenarios": "true", "withNotScenarios": "false", "allUsers": "true"}
        try:
            found, _ = await self._http.get(f"{API}/futures/", list[_Future], params)
        except (Forbidden, NotFound) as err:
            self.only_own(err.what)
            return None
        out: set[tuple[str, str]] = set()
        for one in found:
            named = set(_named(one.payload))
            if not named:
                self.sees_all, self.why_not_all = False, "a future does not say which scenario it is"
                return None
            out |= named
        return out

    def _judge(self, told: Callable[[Seat], bool]) -> None:
        """Who must be looked at: began, ended, or runs since another moment. ``told``: whether this poll spoke of it."""
        for seat in self.seats.values():
            if not told(seat):
                continue
            running = seat.key in self._running
            if not running:
                seat.missed = 0
                seat.due = seat.due or bool(seat.active)
            elif not seat.active:
                seat.due = seat.due or seat.missed < MISSES
            else:
                began = at(seat.item.start) if self.read.get(seat.project) == self.turn else None
                other = began is not None and began != seat.began
                seat.due = seat.due or other

    def spare(self, most: int) -> int:
        """Scenarios that this poll may look at although nothing is said of them; lists of projects come first. After a poll
        that failed one of each sort: of those looked at before, and of those that never were."""
        if self._after_failure:
            return max(most, 2)
        if self._filling:
            return 0
        return 0 if not self.sees_all and len(self.projects) > FEW and self.turn % 3 == 0 else most

    def runs_now(self, seat: Seat) -> bool:
        return seat.key in self._running

    # --- whose turn it is ---------------------------------------------------------------------------------------

    def chosen(self, now: int | None, spare: int) -> list[Seat]:
        """Those that must be looked at, then up to five past a tick of their schedule, then as many as are to spare:
        who was looked at before, longest ago first, and who never was, by turns."""
        due = [s for s in self.seats.values() if s.due]
        late: list[Seat] = []
        if now is not None:
            for seat in self.seats.values():
                if not seat.due and seat.looked >= 0 and not seat.active and _ticked(seat, now):
                    late.append(seat)
                    if len(late) == 5:
                        break
        rest = [s for s in self.seats.values() if not s.due and s not in late]
        seen = sorted((s for s in rest if s.looked >= 0), key=lambda s: (s.looked, s.item.active is False))
        fresh = sorted((s for s in rest if s.looked < 0), key=lambda s: s.item.active is False)
        spare -= len(due) + len(late)
        round_robin: list[Seat] = []
        first, second = (seen, fresh) if self.turn % 2 else (fresh, seen)
        while len(round_robin) < spare and (first or second):
            take = first or second
            round_robin.append(take.pop(0))
            first, second = second, first
        return [*due, *late, *round_robin]

    async def look(self, seat: Seat, since: int | None) -> tuple[list[ScenarioRun], int | None]:
        """Its last runs, newest first: as many as are new since ``since`` (ms UTC, server's time)."""
        limit = FIRST if seat.looked < 0 else LAST
        path = f"{scenario_path(*seat.key)}/get-last-runs"
        while True:
            params = {"limit": limit, "onlyFinishedRuns": "false"}
            found, answer = await self._http.get(path, list[ScenarioRun], params)
            oldest = min((at(r.start) or 0 for r in found), default=0)
            known = any(r.run_id in seat.known for r in found)
            if len(found) < limit or limit >= MOST or known or since is None or oldest < since:
                return found, answer.server_time
            limit *= 4

    def notes(self) -> tuple[str, ...]:
        """What of it is not seen, in clauses."""
        out: list[str] = []
        if self.filled and self.unread:
            out.append(f"not all of {len(self.projects)} projects have been read yet: they take turns")
        if self.bad:
            first = sorted(self.bad)[0]
            more = f" and {len(self.bad) - 1} more" if len(self.bad) > 1 else ""
            out.append(words(f"scenarios of project {first}{more} cannot be read: {self.bad[first]}"))
        if not self.sees_all and len(self.projects) > FEW:
            busy = len({s.project for s in self.seats.values() if s.active})
            turns = -(-len(self.projects) // (FEW - min(busy, FEW - 1)))
            out.append(
                words(f"a run of {len(self.projects)} projects is noticed within {turns} polls: {self.why_not_all}")
            )
        return tuple(out)


def next_tick(said: Definition | None, after: int) -> int | None:
    """When its schedule is due next, ms UTC; None where it is no cron."""
    if said is None or said.schedule is None:
        return None
    try:
        return parse(said.schedule, said.timezone or "UTC").after(after)
    except ValueError:
        return None


def _ticked(seat: Seat, now: int) -> bool:
    """Its schedule was due between the last look and a minute ago."""
    if seat.looked_ms is None or seat.item.active is False:
        return False
    tick = next_tick(seat.definition, seat.looked_ms - LATE_MS)
    return tick is not None and tick <= now - LATE_MS


def _named(payload: Any) -> Iterable[tuple[str, str]]:
    """Every (project, scenario) that a future's payload names; its exact shape is documented nowhere."""
    if isinstance(payload, dict):
        project = text(payload.get("projectKey"))
        for name in ("scenarioId", "objectId", "id"):
            ident = text(payload.get(name))
            if project and ident:
                yield project, ident
        for value in payload.values():
            yield from _named(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from _named(value)
