"""SeaTunnel: what its engine says about its jobs. What is done to them is in ``acts``.

A job's name is the pipeline, its id the run. A poll is two requests: all that runs, and what has ended lately. SeaTunnel has
no cursor of changes, so what was seen is kept here and compared. Nothing here reads a clock but ``rates``, for a difference.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

import msgspec

from adapters.base import Action, Adapter, Listing, Page, Prepared, Probe, Reconciled, SendResult, SourceSettings
from adapters.errors import AdapterError, NotFound, Unsupported
from adapters.extras import Readings, SeriesQuery, SourceItem
from adapters.http import Http, words
from adapters.model import Caps, LogChunk, Pipeline, Run, StepRun, Verb
from adapters.parameters import Parameter
from adapters.seatunnel import acts, items, logs, states
from adapters.seatunnel.client import NO_LOGS, Api, signature
from adapters.seatunnel.options import BasicAuth, Options
from adapters.seatunnel.rates import Rates, parsed
from adapters.seatunnel.wire import Job
from adapters.shared import own_key, read_cursor, write_cursor, zone_of

RUNS_A_PAGE: Final = 1_000
KEPT: Final = 20_000
"""Ended jobs, and names, that are remembered."""
ACTIVE_KEPT: Final = 1_000
"""Active jobs that a cursor names, so that one that vanished while nobody watched is told."""
ASKED_GONE: Final = 20
"""Vanished jobs that are asked about with one poll."""
WHY_NOT: Final[Mapping[str, str]] = {
    Verb.PAUSE: "SeaTunnel has no schedules; a running job can be held",
    Verb.RESUME: "SeaTunnel has no schedules; a held job can be released",
    Verb.RERUN_FAILED: "SeaTunnel runs a job again only as a whole: rerun does that",
    Verb.RERUN_FROM: "SeaTunnel runs a job again only as a whole: rerun does that",
    Verb.MARK: "SeaTunnel has no way to declare a job done or failed",
    Verb.BACKFILL: "SeaTunnel has no backfills",
    Verb.BACKFILL_PAUSE: "SeaTunnel has no backfills",
    Verb.BACKFILL_RESUME: "SeaTunnel has no backfills",
    Verb.BACKFILL_CANCEL: "SeaTunnel has no backfills",
    "history": "SeaTunnel keeps ended jobs for a day (history-job-expire-minutes), and all of those are listed",
    "assets": "SeaTunnel tells tables of a running job as its metrics, and keeps no list of them",
    "operations": "SeaTunnel has no backfills",
    "metrics-past": "SeaTunnel keeps no past of its counts",
}


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``who``: of which adapter in which process; ``n``: the last change handed out; ``more``: there is more of this look;
    ``active``: id to name of those at work, for a process that knows nothing yet."""

    who: str = ""
    n: int = 0
    more: bool = False
    active: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class SeaTunnelAdapter(Adapter):
    """One cluster. ``url`` is where v2 answers (with its context path) or Hazelcast's port. ``options``: ``jobs`` = a table of
    job name to configuration file (relative to the folder of the configuration), ``connect_timeout``, ``read_timeout``,
    ``total_timeout`` in seconds. ``timezone``: that of the servers, whose times carry none."""

    kind: ClassVar[str] = "seatunnel"
    min_poll_s: ClassVar[float] = 5.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        self._options = Options.read(settings)
        self._auth = BasicAuth(settings.auth)
        seconds = self._options.seconds
        self._http = Http(
            settings.url,
            auth=self._auth,
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=seconds["connect_timeout"],
            read_s=seconds["read_timeout"],
            total_s=seconds["total_timeout"],
            transport=transport,
        )
        self._api = Api(self._http, self._auth.given)
        self._zone = zone_of(settings.timezone)
        self._rates = Rates(settings.name)
        self._who = secrets.token_hex(4)
        self._n = 0
        self._ended: dict[str, tuple[int, Job]] = {}
        """Id to number of its last change and the job, as it was last told."""
        self._active: dict[str, Job] = {}
        self._missing: dict[str, tuple[str, int]] = {}
        """Id to name and in how many looks in a row it was neither at work nor ended."""
        self._gone: dict[str, tuple[int, str]] = {}
        self._pipes: dict[str, Pipeline] = {}

    def __repr__(self) -> str:
        return f"SeaTunnelAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        offers = {Verb.STOP, Verb.HOLD, "steps", "log", "items", "metrics"}
        why = dict(WHY_NOT)
        if self._options.jobs:
            offers |= {*acts.FROM_FILE}
        else:
            why |= dict.fromkeys(acts.FROM_FILE, acts.NO_FILE)
        return Caps(frozenset(offers), why)

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        try:
            parsed(text)
        except ValueError as err:
            return str(err)
        return None

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Version, which of its interfaces answers, whether it has logs and a forced stop, whether each file can be read."""
        said, answer = await self._api.overview()
        await self._api.running()
        warnings: list[str] = []
        try:
            await self._api.log_names()
        except Unsupported:
            warnings.append(NO_LOGS)
        except AdapterError as err:
            if self._api.generation == "v1" or err.status != 500:
                raise
            warnings.append("it cannot list logs: its nodes ask each other without the password")
        force = await self._api.can_force()
        for name, path in self._options.jobs.items():
            try:
                await acts.content(path)
            except AdapterError as err:
                warnings.append(words(f"{name}: {err.what}"))
        if not self._options.jobs:
            warnings.append("start, rerun and release are not offered: " + acts.NO_FILE)
        if not self._auth.given and self._api.generation == "v2":
            warnings.append("it asks for no password: whoever reaches its port may start and stop jobs")
        if self._api.generation == "v1":
            warnings.append("its older interface (Hazelcast) knows no password: whoever reaches its port may stop jobs")
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        return Probe(
            version=words(f"{said.get('projectVersion') or 'not told'} ({self._api.generation})"),
            identity=self._auth.user or None,
            permissions={Verb.STOP: None, Verb.HOLD: None, "log": self._api.logs, "stop by force": force},
            server_time=answer.server_time,
            warnings=tuple(warnings),
        )

    async def pipelines(self) -> Listing:
        """Names of jobs: of those that run or ended lately, of files in ``options.jobs``, and those seen before (a name is all
        that there is of a pipeline; SeaTunnel forgets it with its last job)."""
        running, answer = await self._api.running()
        ended, _ = await self._api.finished()
        self._learn([*ended, *running])
        mine = tuple(p for name, p in self._pipes.items() if self._include(name))
        return Listing(mine, True, answer.server_time)

    def _learn(self, jobs: Sequence[Job]) -> None:
        found = states.pipelines_of(jobs, self.settings.name, ())
        for name in self._options.jobs:
            if name not in self._pipes:
                found.setdefault(name, states.pipelines_of((), self.settings.name, [name])[name])
        self._pipes |= found
        while len(self._pipes) > KEPT:
            self._pipes.pop(next(iter(self._pipes)))

    def _include(self, native: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(native, g) for g in globs)

    async def items(self) -> Sequence[SourceItem]:
        members, answer = await self._api.members()
        overview, _ = await self._api.overview()
        return items.items(members, overview, answer.where)

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """From the list of running jobs that the last poll brought: it costs no request."""
        if not self._rates.looked:
            running, answer = await self._api.running()
            self._rates.look(running, answer.server_time)
        return replace(self._rates.samples(queries), server_time=self._http.server_time)

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Active jobs, and those that changed since ``cursor``; None, or a cursor of another process: all that there are."""
        known = read_cursor(cursor, _Cursor)
        before = known.active if known.who != self._who else {}
        if known.who != self._who:
            known = _Cursor(self._who)
        if active_only or not known.more:
            now = await self._look(before)
        else:
            now = self._http.server_time
        held = [j for _, j in self._ended.values() if not states.state_of(j)[1].terminal]
        at_work = [*self._active.values(), *held]
        if active_only:
            live = [j for j in at_work if not states.state_of(j)[1].terminal]
            return Page(tuple(self._runs(live)), cursor, True, now)
        changed = sorted((n, job.id) for n, job in self._ended.values() if n > known.n)
        rest = len(changed) > RUNS_A_PAGE
        changed = changed[:RUNS_A_PAGE]
        upto = changed[-1][0] if rest else self._n
        out = {r.key: r for r in self._runs([self._ended[i][1] for _, i in changed])}
        if not rest:
            for job_id, (n, name) in self._gone.items():
                if n > known.n and self._include(name):
                    run = states.gone_run(self.settings.name, name, job_id)
                    out[run.key] = run
            out |= {r.key: r for r in self._runs(list(self._active.values()))}
        names = {job.id: job.name for job in list(self._active.values())[:ACTIVE_KEPT]}
        return Page(tuple(out.values()), write_cursor(_Cursor(self._who, upto, rest, names)), not rest, now)

    def _runs(self, jobs: Sequence[Job]) -> list[Run]:
        return [states.run_of(j, self.settings.name, self._zone) for j in jobs if self._include(j.name)]

    async def _look(self, before: Mapping[str, str]) -> int | None:
        """Both lists, whole, and only then is anything kept: a look that fails changes nothing."""
        running, answer = await self._api.running()
        ended, _ = await self._api.finished({i: signature(j) for i, (_, j) in self._ended.items()})
        was = {
            **before,
            **{i: j.name for i, j in self._active.items()},
            **{i: n for i, (n, _) in self._missing.items()},
        }
        over = {job.id: job for job in ended}
        active: dict[str, Job] = {}
        for job in running:
            twin = over.get(job.id)
            if twin is not None and states.state_of(job)[1].terminal:
                continue  # it has just ended: the other list has its end as well
            active[job.id] = job
            over.pop(job.id, None)  # restored from its savepoint: seen live in both lists
        gone = await self._vanished(was, active, over)
        for job in over.values():
            old = self._ended.get(job.id)
            if old is None or signature(old[1]) != signature(job):
                self._n += 1
                self._ended.pop(job.id, None)
                self._ended[job.id] = (self._n, states.slim(job))
        for job_id in active:
            self._ended.pop(job_id, None)
            self._gone.pop(job_id, None)
        for job_id, name in gone.items():
            self._n += 1
            self._gone[job_id] = (self._n, name)
        for kept in (self._ended, self._gone):
            while len(kept) > KEPT:
                kept.pop(next(iter(kept)))
        self._active = active
        self._learn([*over.values(), *running])
        self._rates.look(list(active.values()), answer.server_time)
        return answer.server_time

    async def _vanished(
        self, was: Mapping[str, str], active: Mapping[str, Job], over: dict[str, Job]
    ) -> dict[str, str]:
        """Jobs that were at work and are in neither list, twice in a row and by their own id as well."""
        missing: dict[str, tuple[str, int]] = {}
        gone: dict[str, str] = {}
        asked = 0
        for job_id, name in was.items():
            if job_id in active or job_id in over or job_id in self._ended or job_id in self._gone:
                continue
            times = self._missing.get(job_id, (name, 0))[1] + 1
            if times < 2 or asked >= ASKED_GONE:
                missing[job_id] = (name, times)
                continue
            asked += 1
            try:
                over[job_id] = (await self._api.job(job_id))[0]
            except NotFound as err:
                if err.status == 404:
                    raise
                gone[job_id] = name
        self._missing = missing
        return gone

    async def read(self, key: str) -> Pipeline | Run:
        found = own_key(key, self.settings.name)
        if found.run is not None:
            return states.run_of(await self._job(found.pipeline, found.run), self.settings.name, self._zone)
        pipes = {p.key: p for p in (await self.pipelines()).items}
        if found.pipeline_key not in pipes:
            raise NotFound(words(f"SeaTunnel knows no job called {found.pipeline}, and options.jobs names none"))
        return pipes[found.pipeline_key]

    async def _job(self, name: str, native: str) -> Job:
        job, _ = await self._api.job(native)
        if job.name != name:
            raise NotFound(words(f"job {native} is called {job.name}, not {name}"))
        return job

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """None beside what is listed, see ``caps``."""
        return ()

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """The job as a whole (its log, its error), then its sources, transforms and sinks."""
        key = own_key(run, self.settings.name, "run")
        return states.steps_of(await self._job(key.pipeline, key.run or ""), run, self._zone)

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """Of the whole job, whichever of its steps is asked for: SeaTunnel keeps no log of a step."""
        return await logs.log(self._api, own_key(step, self.settings.name, "step"), cursor)

    # --- actions ----------------------------------------------------------------------------------------------------

    def parameters(self, verb: Verb, key: str) -> Sequence[Parameter]:
        """``force`` of a stop, for a job that was stopping when it was last seen: of no use to any other."""
        if verb is not Verb.STOP:
            return ()
        try:
            job = self._active.get(own_key(key, self.settings.name, "run").run or "")
        except NotFound:
            return ()
        return (acts.FORCE,) if job is not None and job.jobStatus in states.HANGING else ()

    async def prepare(self, action: Action) -> Prepared:
        key = own_key(action.key, self.settings.name)
        if not self.caps.can(action.verb):
            raise Unsupported(self.caps.why(action.verb))
        made = await acts.prepare(self._api, self._options, self.settings.name, key, action)
        note = "; ".join(words(part) for part in made.note.split("; ") if part)
        return replace(made, effect=words(made.effect), proof=words(made.proof), note=note)

    async def send(self, prepared: Prepared) -> SendResult:
        sent = await acts.send(self._api, self.settings.name, prepared)
        return replace(sent, words=self._http.words(sent.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        found = await acts.reconcile(self._api, self.settings.name, prepared)
        return replace(found, words=self._http.words(found.words))
