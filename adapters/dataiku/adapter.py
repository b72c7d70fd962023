"""Dataiku DSS: what it says about its projects, scenarios, runs, steps and logs. What is done to it is in ``acts``.

Nothing here reads a clock: every "now" is the server's ``Date``. How the few requests of a poll are spent is in ``board``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

import msgspec

from adapters.base import Action, Adapter, Listing, Page, Prepared, Probe, Reconciled, SendResult, SourceSettings
from adapters.dataiku import acts, builds, datasets, metrics, probing
from adapters.dataiku import steps as run_steps
from adapters.dataiku.board import FIRST_FILL, Board, Seat, next_tick
from adapters.dataiku.dss import DssHttp, KeyAuth, scenario_path, together
from adapters.dataiku.options import options
from adapters.dataiku.triggers import Definition, definition
from adapters.dataiku.wire import (
    Light,
    Scenario,
    ScenarioRun,
    Settings,
    at,
    native_id,
    pipeline_of,
    run_of,
)
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound, Unsupported
from adapters.extras import Asset, Readings, SeriesQuery, SourceItem
from adapters.http import words
from adapters.model import Caps, LogChunk, Pipeline, Run, StepRun, parse_key, pipeline_key
from adapters.shared import own_key, read_cursor, write_cursor, zone_of

DAY_MS: Final = 86_400_000
RECENT_MS: Final = 2 * DAY_MS
HOUR_MS: Final = 3_600_000
LOOKS_AT_FIRST: Final = 40
LOOKS_A_CALL: Final = 20
"""Scenarios that changed and are looked at by one call; the next call carries on."""
AT_ONCE_S: Final = 5.0
"""A call so soon after one that left something over carries on with that, and does not ask again what runs."""
SPARE: Final = 1
"""Scenarios that are looked at with each poll although nothing is said of them."""
LOG_BYTES_A_S: Final = 1 << 18
"""DSS sends a log always whole, so a long one that still grows is asked for less often."""


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``t``: server time of the poll; ``n``: which answer it was, so that one that was never taken is told again."""

    t: int | None = None
    n: int = -1


class DataikuAdapter(Adapter):
    """One Dataiku DSS. ``options``: see ``adapters.dataiku.options.Options``."""

    kind: ClassVar[str] = "dataiku"
    min_poll_s: ClassVar[float] = 10.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        self._options = options(settings.options)
        self._http = DssHttp(
            settings.url,
            auth=KeyAuth(settings.auth),
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=self._options.connect_timeout,
            read_s=self._options.read_timeout,
            total_s=self._options.total_timeout,
            transport=transport,
        )
        self._zone = zone_of(settings.timezone)
        self._board = Board(self._http, self._wants_project, self._wants, self._options.all_users)
        self._data = datasets.Datasets(self._http, settings.name, self._options.datasets)
        self._builds = builds.Builds(self._http, settings, self._options, self._zone)
        self._metrics = metrics.Metrics(self._http)
        self._fires: acts.Fires = {}
        self._answers = 0
        self._left_over: float | None = None
        """When the latest answer left scenarios over, by the loop's clock."""
        self._told: list[Seat] = []
        """Scenarios of the latest answer: told once more where it was never taken."""
        self._log_due: dict[str, float] = {}
        self._began: int | None = None
        """Server time of the first poll."""
        self._no_settings = ""

    def __repr__(self) -> str:
        return f"DataikuAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        return Caps(frozenset({*acts.VERBS, "steps", "log", "history", "items", "assets", "metrics"}), acts.WHY_NOT)

    @property
    def notes(self) -> tuple[str, ...]:
        more = (words(f"schedules are not known: {self._no_settings}"),) if self._no_settings else ()
        return (*self._board.notes(), *more)

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Who the key is, of which sort, what it may see; see ``probing``."""
        found = await probing.probe(self._http, self._board, self.settings.tls_verify)
        if self._board.sees_all and found.permissions.get("see all running scenarios") is False:
            self._board.only_own("its list of futures needs an administrator's key")
        self._builds.identity = found.identity
        return found

    async def pipelines(self) -> Listing:
        """All scenarios that are watched. Of more than a few projects their lists are read in turn; the listing is
        complete when each was read since the last complete one."""
        board = self._board
        first = not board.filled
        answer, complete = await board.refresh()
        await self._define(max(0, (FIRST_FILL - self._http.requests) // 2) if first else 1)
        found = [self._pipeline(seat) for seat in board.seats.values()]
        return Listing((*found, *self._builds.pipelines()), complete, answer.server_time)

    def _pipeline(self, seat: Seat) -> Pipeline:
        said, more = seat.definition, {}
        if said is not None:
            more = {
                "trigger": said.trigger, "schedule": said.schedule, "timezone": said.timezone, "owner": said.owner,
                "after": said.after, "steps": said.step_defs,
            }  # fmt: skip
        now, next_run = self._http.server_time, seat.next_run
        if next_run is None or (
            now is not None and next_run < now
        ):  # DSS's own word is asked for with a close look only
            next_run = None if now is None else next_tick(said, now)
        if seat.item.active is False:
            next_run = None
        return pipeline_of(self.settings.name, self._http.base, seat.project, seat.item, next_run=next_run, **more)

    async def _define(self, most: int) -> None:
        """Read the settings of scenarios of which they are not known yet. A nicety: where it fails, it is only said."""
        waiting = [s for s in self._board.seats.values() if s.definition is None]
        waiting.sort(key=lambda s: s.item.active is False)
        try:
            await together(self._definition(s.project, s.item.id) for s in waiting[:most])
        except (NotFound, Forbidden, BadResponse) as err:
            self._no_settings = err.what

    async def _definition(self, project: str, scenario: str) -> Definition:
        path = scenario_path(project, scenario)
        settings, _ = await self._http.get(path, Settings)
        said = definition(settings, self.settings.name, project, self.settings.timezone)
        self._no_settings = ""
        seat = self._board.seats.get((project, scenario))
        if seat is not None:
            seat.definition = said
        return said

    # --- what it has beside runs ------------------------------------------------------------------------------------

    async def items(self) -> Sequence[SourceItem]:
        return await self._data.items()

    async def assets(self) -> Sequence[Asset]:
        if not self._board.projects:
            await self._board.list_projects()
        makers = self._builds.makers
        for seat in self._board.seats.values():
            for dataset in seat.definition.builds if seat.definition is not None else ():
                key = pipeline_key(self.settings.name, native_id(*seat.key))
                makers.setdefault(dataset, []).append(key)
        return await self._data.assets(tuple(self._board.projects), makers)

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """Metrics of datasets as DSS computed them last; see ``metrics``. Without queries nothing is asked."""
        return await self._metrics.samples(queries)

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        """Why this is no query for a metric of a dataset."""
        try:
            metrics.parsed(text)
        except ValueError as err:
            return str(err)
        return None

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """What runs, and what ended of it since the call before; at the first call also last runs of as many scenarios
        as the first fill allows. Runs that began and ended unseen are found when their scenario's turn comes: after a tick
        of its schedule, or going round."""
        board, known = self._board, read_cursor(cursor, _Cursor)
        if not board.filled:
            await board.refresh()
        first = self._answers == 0
        since_last = asyncio.get_running_loop().time() - (self._left_over or 0.0)
        more = self._left_over is not None and since_last < AT_ONCE_S and known.n == self._answers and not active_only
        self._left_over = None
        if not more:
            await board.step()
        if cursor is None or known.n != self._answers:
            self._tell_again()
        now = self._http.server_time
        if self._began is None:
            self._began = self._builds.began = now
        spare = max(0, min(LOOKS_AT_FIRST, FIRST_FILL - self._http.requests)) if first else board.spare(SPARE)
        chosen = board.chosen(now, 0 if active_only or more else spare)
        if active_only:
            chosen = [s for s in chosen if board.runs_now(s)]
        most = max(LOOKS_A_CALL, spare)
        since = None if now is None else min(now - RECENT_MS, (known.t or now) - HOUR_MS)
        looked = await self._look(chosen[:most], since)
        jobs = [] if more else await self._builds.runs(since, active_only)
        named: dict[str, Run] = {r.key: r for r in jobs}
        for seat in () if more else board.seats.values():
            if seat not in chosen[:most] and board.runs_now(seat):
                named |= {r.key: r for r in (self._run(seat, one) for one in seat.active.values())}
        for seat, found in looked:
            named |= {r.key: r for r in self._news(seat, found, since)}
        board.unfinished = False
        runs = [r for r in named.values() if not (active_only and r.state.terminal)]
        if active_only:
            return Page(runs, cursor, True, now)
        self._told = [seat for seat, _ in looked]
        self._answers += 1
        complete = len(chosen) <= most
        self._left_over = None if complete else asyncio.get_running_loop().time()
        return Page(runs, write_cursor(_Cursor(now, self._answers)), complete, now)

    async def _look(self, seats: Sequence[Seat], since: int | None) -> list[tuple[Seat, list[ScenarioRun]]]:
        """Nothing is remembered of it unless all of it was answered: what a failed poll missed comes with the next."""

        async def one(seat: Seat) -> tuple[list[ScenarioRun], int | None]:
            try:
                return await self._board.look(seat, since)
            except NotFound:
                return [], None  # deleted meanwhile: the next list of its project says so

        found = await together(one(s) for s in seats)
        out: list[tuple[Seat, list[ScenarioRun]]] = []
        for seat, (runs, seen) in zip(seats, found, strict=True):
            seat.due, seat.looked, seat.looked_ms = False, self._board.turn, seen
            seat.active = {r.run_id: r for r in runs if r.active}
            seat.missed, seat.began = 0 if seat.active else seat.missed + 1, at(seat.item.start)
            out.append((seat, runs))
        return out

    def _news(self, seat: Seat, found: Sequence[ScenarioRun], since: int | None) -> list[Run]:
        """Of these runs those that were not told before as they are now."""
        out: list[Run] = []
        for one in found:
            mark = (one.result.outcome if one.result is not None else None, at(one.end), one.active)
            late = at(one.end) or at(one.start)
            old = not one.active and since is not None and late is not None and late < since
            if one.active or (seat.known.get(one.run_id) != mark and not old):
                out.append(self._run(seat, one))
            seat.known[one.run_id] = mark
        keep = {r.run_id for r in found}
        if len(seat.known) > 4 * len(keep) + 50:
            seat.known = {k: v for k, v in seat.known.items() if k in keep}
        return out

    def _tell_again(self) -> None:
        for seat in self._told:
            seat.known, seat.due = {}, True
        self._told = []
        self._builds.tell_again()

    def _run(self, seat: Seat, item: ScenarioRun) -> Run:
        return self._mapped(seat.project, seat.item.id, item)

    def _mapped(self, project: str, scenario: str, item: ScenarioRun) -> Run:
        param = self._options.business_date_param
        return run_of(item, self.settings.name, self._http.base, project, scenario, self._zone, param)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """Ended runs of one scenario, newest first. Its settings are read with them where they are not known yet."""
        key = own_key(pipeline, self.settings.name)
        if (dataset := self._builds.dataset(key.pipeline)) is not None:
            return [replace(r, backfilled=True) for r in await self._builds.past(dataset, depth, days)]
        project, scenario = _split(key.pipeline)
        params = {"limit": depth, "onlyFinishedRuns": "true"}
        found, answer = await self._http.get(
            f"{scenario_path(project, scenario)}/get-last-runs", list[ScenarioRun], params
        )
        seat = self._board.seats.get((project, scenario))
        if seat is not None and seat.definition is None and not self._no_settings:
            try:
                await self._definition(project, scenario)
            except (NotFound, Forbidden, BadResponse) as err:
                self._no_settings = err.what
        if seat is not None:
            found = self._past(seat, found)
        bound = None if answer.server_time is None else answer.server_time - days * DAY_MS
        runs = (self._mapped(project, scenario, r) for r in found if not r.active)
        wanted = (r for r in runs if bound is None or r.started is None or r.started >= bound)
        return [replace(r, backfilled=True) for r in wanted if r.state.terminal][:depth]

    def _past(self, seat: Seat, found: Sequence[ScenarioRun]) -> list[ScenarioRun]:
        """Without those that ended since the first poll and that no poll has told yet: they are news, of which alerts come,
        and are told by the next one."""
        began = self._began
        news = {
            r.run_id
            for r in found
            if r.run_id in seat.active
            or (began is not None and r.run_id not in seat.known and (at(r.end) or at(r.start) or 0) >= began)
        }
        seat.due = seat.due or bool(news)
        return [r for r in found if r.run_id not in news]

    async def read(self, key: str) -> Pipeline | Run:
        """One scenario or one run as it is now; of a failed run also which step says why."""
        parsed = own_key(key, self.settings.name)
        if (dataset := self._builds.dataset(parsed.pipeline)) is not None:
            return await self._builds.read(dataset, parsed.run)
        project, scenario = _split(parsed.pipeline)
        if parsed.run is not None:
            found = await run_steps.details(self._http, project, scenario, parsed.run)
            run = self._mapped(project, scenario, found.scenario_run)
            why = run_steps.first_error(found) if run.state.bad else None
            return replace(run, error=self._http.words(why)) if why else run
        path = scenario_path(project, scenario)
        light, _ = await self._http.get(f"{path}/light", Light)
        settings, _ = await self._http.get(path, Settings)
        item = Scenario(
            id=scenario, name=settings.name, type=settings.type, active=light.active, running=light.running,
            start=light.start, tags=settings.tags, short_desc=settings.short_desc,
        )  # fmt: skip
        seat = self._board.seats.get((project, scenario)) or Seat(project, item)
        seat.item, seat.next_run = item, at(light.next_run)
        seat.definition = definition(settings, self.settings.name, project, self.settings.timezone)
        return self._pipeline(seat)

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """Steps that ran with the jobs that they ran; then those that are still to come, as the settings have them."""
        key = own_key(run, self.settings.name, "run")
        if (dataset := self._builds.dataset(key.pipeline)) is not None:
            return await self._builds.steps(dataset, run, key.run or "")
        project, scenario = _split(key.pipeline)
        found = await run_steps.details(self._http, project, scenario, key.run or "")
        seat = self._board.seats.get((project, scenario))
        said = seat.definition if seat is not None else None
        if said is None and found.scenario_run.active:
            try:
                said = await self._definition(project, scenario)
            except (NotFound, Forbidden, BadResponse):
                said = None
        clean = self._http.words
        made = run_steps.steps_of(found, run, said)
        return [replace(s, error=clean(s.error)) if s.error else s for s in made]

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """What is new of a log. DSS sends it whole each time; a long one that grows is asked for less often."""
        key = own_key(step, self.settings.name, "step")
        known = read_cursor(cursor, run_steps.LogCursor)
        now = asyncio.get_running_loop().time()
        pause = cursor is not None and now < self._log_due.get(step, 0.0)
        if (dataset := self._builds.dataset(key.pipeline)) is not None:
            made, after = await self._builds.log(dataset, key.run or "", key.step or "", known, pause)
        else:
            project, scenario = _split(key.pipeline)
            made, after = await run_steps.log(
                self._http, project, scenario, key.run or "", key.step or "", attempt, known, pause
            )
        if made is None:
            return LogChunk(b"", cursor, False)
        self._log_due[step] = now + (after.n / LOG_BYTES_A_S if after.n > LOG_BYTES_A_S else 0.0)
        while len(self._log_due) > 200:
            self._log_due.pop(next(iter(self._log_due)))
        return replace(made, cursor=write_cursor(after))

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        try:
            key = parse_key(action.key)
        except ValueError as err:
            raise NotFound(words(str(err))) from None
        if key.source != self.settings.name:
            raise Unsupported(words(f"{action.key} is not of source {self.settings.name}"))
        if action.verb not in acts.VERBS:
            raise Unsupported(self.caps.why(action.verb))
        try:
            if (dataset := self._builds.dataset(key.pipeline)) is not None:
                made = await self._builds.prepare(dataset, key, action)
            else:
                project, scenario = _split(key.pipeline)
                made = await acts.prepare(self._http, project, scenario, key, action, self._options.business_date_param)
        except AdapterError as err:  # names come from outside
            err.what = self._http.words(err.what)
            err.args = (err.what,)
            raise
        clean = self._http.words
        return replace(made, effect=clean(made.effect), proof=clean(made.proof), note=clean(made.note))

    async def send(self, prepared: Prepared) -> SendResult:
        key = parse_key(prepared.action.key)
        if (dataset := self._builds.dataset(key.pipeline)) is not None:
            said = await self._builds.send(dataset, key, prepared)
        else:
            project, scenario = _split(key.pipeline)
            said = await acts.send(self._http, project, scenario, prepared, self._fires)
            if (seat := self._board.seats.get((project, scenario))) is not None:
                seat.due = True
        return replace(said, words=self._http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        key = parse_key(prepared.action.key)
        if (dataset := self._builds.dataset(key.pipeline)) is not None:
            found = await self._builds.reconcile(dataset, key, prepared)
        else:
            project, scenario = _split(key.pipeline)
            found = await acts.reconcile(self._http, self.settings.name, project, scenario, key, prepared, self._fires)
        return replace(found, words=self._http.words(found.words))

    # --- what is watched --------------------------------------------------------------------------------------------

    def _wants_project(self, project: str) -> bool:
        globs = self._options.projects
        return not globs or any(fnmatchcase(project, g) for g in globs)

    def _wants(self, project: str, scenario: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(native_id(project, scenario), g) for g in globs)


# --- small things ---------------------------------------------------------------------------------------------------


def _split(native: str) -> tuple[str, str]:
    """``PROJECT.scenario``: project keys hold no dot."""
    project, dot, scenario = native.partition(".")
    if not dot or not project or not scenario:
        raise NotFound(words(f"{native} is no scenario: expected PROJECT.scenario"))
    return project, scenario
