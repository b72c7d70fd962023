"""One Databricks workspace: its jobs and pipelines, their runs, tasks and output, its clusters; what is done to it is in ``acts``.

A quiet poll is three requests: all active runs, what started since, the pipelines' latest updates; a fourth for clusters where
they are pipelines too. Nothing here reads a
clock: every "now" is the server's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

import msgspec

from adapters.base import Action, Adapter, Listing, Page, Prepared, Probe, Reconciled, SendResult, SourceSettings
from adapters.databricks import acts, clusters, computing, reads, rights, sweep, tasks, updates
from adapters.databricks.auth import DatabricksAuth
from adapters.databricks.client import DatabricksHttp
from adapters.databricks.options import checked
from adapters.databricks.wire import SUBMIT, Job, JobRun, native_pipeline, pipeline_of, run_of, steps_of
from adapters.errors import AdapterError, Forbidden, NotFound, Unsupported
from adapters.extras import SourceItem, Standing
from adapters.http import words
from adapters.model import (
    Caps,
    Key,
    LogChunk,
    Pipeline,
    Run,
    StepDef,
    StepRun,
    Trigger,
    Verb,
    pipeline_key,
    run_key,
)
from adapters.shared import own_key, read_cursor, write_cursor, zone_of

DAY_MS: Final = 86_400_000
KEPT_DAYS: Final = 60
"""Databricks keeps runs so long."""
EXPAND_MS: Final = 15 * 60_000
"""Tasks of all jobs are listed so often; between, only what is new is asked for them."""
WHOLE_JOBS: Final = 10
"""Jobs of more than 100 tasks that are read whole in one listing; the others keep their first hundred until their turn."""

_WATCHED: Final = 1_000


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``jobs``: of their runs. ``token``: page of pipelines to look at next. ``watch``: (pipeline, update) that were active.
    ``clusters``: page of clusters to look at next. ``lives``: of those that were active. ``turn``: theirs, not that of older runs."""

    jobs: sweep.Sweep = msgspec.field(default_factory=sweep.Sweep)
    token: str | None = None
    watch: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])
    clusters: str | None = None
    lives: computing.Lives = msgspec.field(default_factory=computing.Lives)
    turn: bool = False


class DatabricksAdapter(Adapter):
    """One workspace. ``options``: ``connect_timeout``, ``read_timeout``, ``total_timeout`` in seconds; ``pipelines`` (true: its
    pipelines too), ``submit_runs`` (false; true: one-time runs as runs of a pipeline ``submit``), ``tasks`` (true: the tasks of
    each job with its listing), ``clusters`` (false; true: its all-purpose clusters as pipelines), ``date_parameter`` (the job parameter that carries a business date)."""

    kind: ClassVar[str] = "databricks"
    min_poll_s: ClassVar[float] = 5.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        options = checked(settings.options)
        self._auth = DatabricksAuth(settings.auth)
        self._http = DatabricksHttp(
            settings.url,
            auth=self._auth,
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=options["connect_timeout"],
            read_s=options["read_timeout"],
            total_s=options["total_timeout"],
            transport=transport,
        )
        self._zone = zone_of(settings.timezone)
        self._date = str(options["date_parameter"])
        self._with_pipelines, self._submit, self._tasks, self._with_clusters = (
            bool(options[name]) for name in ("pipelines", "submit_runs", "tasks", "clusters")
        )
        self._no_clusters = ""
        self._listed: tuple[Sequence[clusters.Cluster], int | None] | None = None
        self._names: dict[str, str] = {}
        self._steps: dict[int, tuple[StepDef, ...]] = {}
        self._whole: dict[int, tuple[str, tuple[StepDef, ...]]] = {}
        self._expanded: int | None = None
        self._sick: list[SourceItem] = []
        self._no_pipelines = ""
        self._note = ""
        self._ends: dict[tuple[str, str], tuple[int | None, str | None]] = {}
        self._answered: acts.Answered = {}

    def __repr__(self) -> str:
        return f"DatabricksAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        no_hold = "Databricks cannot hold a run; pause keeps its job from starting further ones"
        no_backfill = "Databricks has no backfill by this API; start with a business date runs one"
        return Caps(
            frozenset({*acts.VERBS, "steps", "log", "history", "items"}),
            {
                Verb.HOLD: no_hold,
                Verb.RELEASE: no_hold,
                Verb.MARK: "Databricks cannot declare a run successful or failed",
                **dict.fromkeys(
                    (Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL), no_backfill
                ),
                "metrics": "Databricks tells cost and load only by SQL on a warehouse, which costs money itself",
                "assets": "Databricks tells what a job reads and writes only by SQL on its lineage tables",
                "operations": "Databricks has no backfill by this API",
            },
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for note in (self._no_pipelines, self._no_clusters, self._note) if note)

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Who we are, and what we may do to one job, pipeline and cluster that stand for the others."""
        found = await rights.probe(self._http, with_pipelines=self._with_pipelines, with_clusters=self._with_clusters)
        warnings = list(found.warnings)
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        ends = self._auth.claims().get("exp")
        if not self._auth.machine and found.server_time is not None and isinstance(ends, (int, float)):
            left = ends - found.server_time / 1000
            warnings.append(f"the token ends in {max(left, 0) / 60:.0f} min, then its reference is asked again")
        return replace(found, warnings=tuple(warnings))

    async def pipelines(self) -> Listing:
        """All jobs and pipelines that the credential may see and ``include`` names, by id or by name."""
        expand = self._tasks and self._due()
        found, first, complete = await reads.jobs(self._http, expand=expand)
        fresh = [j.job_id for j in found if j.job_id not in self._steps] if self._tasks and not expand else []
        if len(fresh) > WHOLE_JOBS:
            expand = True
            found, first, complete = await reads.jobs(self._http, expand=True)
        else:
            await self._learn_new(fresh)
        if expand:
            self._expanded = first.server_time
            await self._learn(found)
        self._names = {str(j.job_id): (j.settings.name if j.settings else None) or str(j.job_id) for j in found}
        source, base = self.settings.name, self._http.base
        out = {
            str(j.job_id): pipeline_of(j, source, base, self._steps.get(j.job_id, ()))
            for j in found
            if self._wanted(str(j.job_id))
        }
        if self._submit:
            out[SUBMIT] = self._one_time()
        if self._with_pipelines:
            statuses, all_of_them = await self._list_pipelines()
            complete = complete and all_of_them
            self._sick = updates.unhealthy(statuses, source, self._http)
            for status in statuses:
                self._names[updates.native(status.pipeline_id)] = status.name or status.pipeline_id
                if self._wanted(updates.native(status.pipeline_id)):
                    out[updates.native(status.pipeline_id)] = updates.pipeline_of(status, source, base)
        if self._with_clusters:
            computed, all_of_them = await self._list_clusters()
            complete = complete and all_of_them
            for one in computed:
                native = computing.native(one.cluster_id)
                self._names[native] = one.cluster_name or one.cluster_id
                if self._wanted(native):
                    out[native] = computing.pipeline_of(one, source, base)
        return Listing(tuple(out.values()), complete, first.server_time)

    async def _list_clusters(self) -> tuple[list[clusters.Cluster], bool]:
        """What may not be listed is a note; then nothing is told of what is gone."""
        try:
            found, first, left = await clusters.listed(self._http)
        except (Forbidden, NotFound) as err:
            self._no_clusters = self._http.words(f"clusters may not be listed: {err.what}")
            return [], False
        self._no_clusters = ""
        whole = left is None and not reads.strange(first)
        self._listed = (found, first.server_time) if whole else None
        return found, whole

    def _one_time(self) -> Pipeline:
        key, url = pipeline_key(self.settings.name, SUBMIT), f"{self._http.base}/jobs/runs"
        return Pipeline(key=key, name="one-time runs", trigger=Trigger.MANUAL, url=url)

    def _due(self) -> bool:
        """By the server's time of the latest answer."""
        now = self._http.server_time
        return self._expanded is None or now is None or not 0 <= now - self._expanded < EXPAND_MS

    async def _learn(self, found: Sequence[Job]) -> None:
        """Tasks of jobs from a listing; of more than a hundred the rest, of a few jobs at a time."""
        here: dict[int, tuple[StepDef, ...]] = {}
        asked = 0
        for job in found:
            steps = steps_of(job.settings.tasks or () if job.settings else ())
            if job.has_more:
                print_ = ",".join(s.name for s in steps)
                known = self._whole.get(job.job_id)
                if (known is None or known[0] != print_) and asked < WHOLE_JOBS:
                    asked += 1
                    try:
                        one, _ = await reads.job(self._http, job.job_id)
                    except (NotFound, Forbidden):
                        one = job
                    known = (print_, steps_of(one.settings.tasks or () if one.settings else ()))
                    self._whole[job.job_id] = known
                steps = known[1] if known is not None else steps
            here[job.job_id] = steps
        self._steps = here
        self._whole = {i: k for i, k in self._whole.items() if i in here}

    async def _learn_new(self, fresh: Sequence[int]) -> None:
        """Tasks of jobs that a listing without tasks tells for the first time."""
        for ident in fresh:
            try:
                one, _ = await reads.job(self._http, ident)
            except (NotFound, Forbidden):
                continue
            self._steps[ident] = steps_of(one.settings.tasks or () if one.settings else ())

    async def _list_pipelines(self) -> tuple[list[updates.Status], bool]:
        """What may not be listed is a note; then nothing is told of what is gone."""
        try:
            found, first, left = await updates.listed(self._http)
        except NotFound:
            self._no_pipelines = ""
            return [], True  # this workspace has none
        except Forbidden as err:
            self._no_pipelines = f"pipelines may not be listed: {err.what}"
            return [], False
        self._no_pipelines = ""
        return found, left is None and not reads.strange(first)

    async def items(self) -> Sequence[SourceItem]:
        try:
            found = await clusters.items(self._http)
        except (Forbidden, NotFound) as err:
            if not self._sick:
                raise
            words_ = self._http.words(err.what)
            found = [SourceItem(kind="cluster", name="", standing=Standing.WARNING, words=words_)]
        return [*found, *self._sick]

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Active runs and those that started, or ended, since ``cursor``; None: active and of the last two days.

        Of two days at most 600 at once; older ones follow a page a poll.
        """
        known = read_cursor(cursor, _Cursor)
        if active_only:
            found, now, *_ = await sweep.active(self._http, self._submit)
            flying, _, _ = await self._updates(known.token, [], now, None)
            flying = [run for run in flying if not run.state.terminal]
            lives, _, _ = await self._lives(known, now)
            flying += [run for run in lives if not run.state.terminal]
            return Page((*self._mapped(found), *flying), cursor, True, now)
        # older runs and clusters take turns, so that a poll stays at four requests
        both = self._with_clusters and (known.jobs.rest is not None or known.jobs.late is not None)
        swept = await sweep.sweep(self._http, known.jobs, self._submit, older=not (both and known.turn))
        odd = sorted({run.native for run in self._mapped(swept.runs) if run.native.endswith("?")})
        said = f"Databricks uses words that are not known here: {', '.join(odd[:3])}" if odd else ""
        self._note = self._http.words(swept.note or said)
        after = _Cursor(jobs=swept.cursor, turn=both and not known.turn)
        moved, after.token, after.watch = await self._updates(known.token, known.watch, swept.now, known.jobs.t)
        lives, after.clusters, after.lives = await self._lives(known, swept.now, ask=not after.turn)
        return Page((*self._mapped(swept.runs), *moved, *lives), write_cursor(after), swept.complete, swept.now)

    async def _lives(
        self, known: _Cursor, now: int | None, *, ask: bool = True
    ) -> tuple[list[Run], str | None, computing.Lives]:
        listed, self._listed = self._listed, None
        if not (self._with_clusters and (ask or listed)):
            return [], known.clusters, known.lives
        name = self.settings.name
        return await computing.runs(self._http, name, known.clusters, known.lives, now, self._wanted, listed)

    async def _updates(
        self, token: str | None, watch: Sequence[tuple[str, str]], now: int | None, since: int | None
    ) -> tuple[list[Run], str | None, list[tuple[str, str]]]:
        """Latest updates of a hundred pipelines, the next hundred with the next call; and of those that were active.

        Those that ended more than two days ago are no news. ``since``: what began after that time has ended since.
        """
        if not self._with_pipelines:
            return [], None, []
        try:
            found, left = await self._a_page(token)
        except (Forbidden, NotFound):
            return [], None, []
        out: dict[tuple[str, str], Run] = {}
        source, base = self.settings.name, self._http.base
        watched, room = {tuple(spot) for spot in watch}, sweep.SINGLES
        for status in found:
            self._names.setdefault(updates.native(status.pipeline_id), status.name or status.pipeline_id)
            if not self._wanted(updates.native(status.pipeline_id)):
                continue
            for item in status.latest_updates or ():
                spot = (status.pipeline_id, item.update_id)
                begun = updates.ms(item.creation_time) or 0
                over, ours = updates.state_of(item)[1].terminal, spot in watched
                if over and not ours and now is not None and begun < now - sweep.RECENT_MS:
                    continue
                ask = (ours or (since is not None and begun > since - sweep.OVERLAP_MS)) and room > 0
                room -= ask and over and spot not in self._ends
                end = await self._end(spot, item, asked=ask)
                out[spot] = updates.run_of(item, spot[0], source, base, self._zone, end)
        here = {status.pipeline_id for status in found}
        whole = token is None and left is None
        unseen = [(p, u) for p, u in watch if (p, u) not in out]
        asked = [spot for spot in unseen if whole or spot[0] in here][: sweep.SINGLES]
        for spot in asked:  # no longer among the latest of its pipeline, or its pipeline is gone
            try:
                item = await updates.update(self._http, *spot)
            except NotFound:
                continue
            end = await self._end(spot, item, asked=True)
            out[spot] = updates.run_of(item, spot[0], source, base, self._zone, end)
        active = [spot for spot, run in out.items() if not run.state.terminal]
        active += [spot for spot in unseen if spot not in asked][:_WATCHED]  # of pages whose turn comes
        return list(out.values()), left, active

    async def _a_page(self, token: str | None) -> tuple[list[updates.Status], str | None]:
        """A token that is no longer known means: from the first page."""
        try:
            found, _, left = await updates.listed(self._http, most=1, start=token)
        except AdapterError as err:
            if token is None or err.status not in (400, 404):
                raise
            found, _, left = await updates.listed(self._http, most=1)
        return found, left

    async def _end(self, spot: tuple[str, str], item: updates.Update, *, asked: bool) -> tuple[int | None, str | None]:
        """When an update ended: asked once, of one that was seen active."""
        if not updates.state_of(item)[1].terminal:
            return (None, None)
        if asked and spot not in self._ends:
            self._ends[spot] = await updates.ended(self._http, *spot)
            while len(self._ends) > 2_000:
                self._ends.pop(next(iter(self._ends)))
        return self._ends.get(spot, (None, None))

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """Ended runs of one job or pipeline, newest first; Databricks keeps those of 60 days."""
        native = own_key(pipeline, self.settings.name).pipeline
        if self._is_cluster(native):
            return ()  # Databricks tells of the present life only
        if native.startswith(updates.PREFIX):
            ident = updates.uuid_of(native)
            past = [
                updates.run_of(u, ident, self.settings.name, self._http.base, self._zone)
                for u in await updates.updates(self._http, ident, enough=depth)
            ]
            return [replace(r, backfilled=True) for r in past if r.state.terminal][:depth]
        params: dict[str, str | int] = {"completed_only": "true"}
        if native == SUBMIT:
            params["run_type"] = "SUBMIT_RUN"
        else:
            params["job_id"] = reads.number(native, "job")
        now = self._http.server_time
        if now is not None:
            params["start_time_from"] = now - min(days, KEPT_DAYS) * DAY_MS
        found, _, _ = await reads.runs(self._http, params, enough=depth)
        ended = [self._run(r) for r in found]
        return [replace(r, backfilled=True) for r in ended if r.state.terminal][:depth]

    async def read(self, key: str) -> Pipeline | Run:
        """One job, pipeline, run or update as it is now."""
        parsed = own_key(key, self.settings.name)
        source, base = self.settings.name, self._http.base
        if self._is_cluster(parsed.pipeline):
            return await computing.read(self._http, parsed, source)
        if parsed.pipeline.startswith(updates.PREFIX):
            ident = updates.uuid_of(parsed.pipeline)
            if parsed.run is None:
                return updates.pipeline_of((await updates.one(self._http, ident))[0], source, base)
            return await self._update(ident, parsed.run)
        if parsed.run is not None:
            return self._run(await self._job_run(parsed))
        if parsed.pipeline == SUBMIT and self._submit:
            return self._one_time()
        job, _ = await reads.job(self._http, reads.number(parsed.pipeline, "job"))
        return pipeline_of(job, source, base, steps_of(job.settings.tasks or () if job.settings else ()))

    async def _job_run(self, key: Key, *, history: bool = False) -> JobRun:
        """The run of a key, which must be one of its pipeline."""
        run, _ = await reads.run(self._http, reads.number(key.run or "", "run"), history=history)
        if native_pipeline(run) != key.pipeline and run.job_id is not None:
            raise NotFound(f"run {run.run_id} is none of {words(key.pipeline)}")
        return run

    async def _update(self, ident: str, update_id: str) -> Run:
        item = await updates.update(self._http, ident, updates.whole(update_id, "update"))
        end = await self._end((ident, update_id), item, asked=True)
        return updates.run_of(item, ident, self.settings.name, self._http.base, self._zone, end)

    def _run(self, item: JobRun) -> Run:
        return run_of(item, self.settings.name, self._http.base, self._zone, self._date)

    def _mapped(self, found: Sequence[JobRun]) -> list[Run]:
        """Only what ``include`` names; a job that the listing does not tell is known by the name of its run."""
        out: list[Run] = []
        for item in found:
            native = native_pipeline(item)
            if native == SUBMIT and not self._submit:
                continue
            if self._wanted(native, item.run_name or ""):
                out.append(self._run(item))
        return out

    def _is_cluster(self, native: str) -> bool:
        return self._with_clusters and native.startswith(computing.PREFIX)

    def _wanted(self, native: str, name: str = "") -> bool:
        globs = self.settings.include
        named = (native, self._names.get(native, name))
        return not globs or any(fnmatchcase(one, g) for g in globs for one in named)

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """Every try of every task that Databricks still tells of; of an update of a pipeline one step."""
        key = own_key(run, self.settings.name, "run")
        if self._is_cluster(key.pipeline):
            return ()
        if key.pipeline.startswith(updates.PREFIX):
            return [updates.step_of(await self._update(updates.uuid_of(key.pipeline), key.run or ""))]
        found = await self._job_run(key, history=True)
        return tasks.steps_of(found, run_key(key.pipeline_key, key.run or ""))

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """New output of one try; of an update its events."""
        key = own_key(step, self.settings.name, "step")
        if self._is_cluster(key.pipeline):
            return computing.no_log()
        if key.pipeline.startswith(updates.PREFIX):
            return await self._events(key, cursor)
        known = read_cursor(cursor, tasks.Cursor)
        ident = reads.number(key.run or "", "run")
        chunk, after = await tasks.log(self._http, ident, key.step or "", attempt, known)
        note = None if chunk.note is None else self._http.words(chunk.note)
        return LogChunk(chunk.data, write_cursor(after), chunk.end, note)

    async def _events(self, key: Key, cursor: str | None) -> LogChunk:
        if key.step != updates.STEP:
            raise NotFound(f"an update has one step, {updates.STEP}")
        ident = updates.uuid_of(key.pipeline)
        item = await updates.update(self._http, ident, updates.whole(key.run or "", "update"))
        known = read_cursor(cursor, updates.EventCursor)
        over, begun = updates.state_of(item)[1].terminal, updates.ms(item.creation_time)
        chunk, after = await updates.log(self._http, ident, item.update_id, known, over, begun)
        return LogChunk(chunk.data, write_cursor(after), chunk.end)

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        if f":{computing.PREFIX}" in action.key and not self._with_clusters:
            raise Unsupported("clusters are acted on only where options has clusters = true")
        try:
            made = await acts.prepare(self._http, self.settings.name, action, self._date)
        except AdapterError as err:  # names of jobs and tasks come from outside
            err.what = self._http.words(err.what)
            err.args = (err.what,)
            raise
        clean = self._http.words
        return replace(made, effect=clean(made.effect), proof=clean(made.proof), note=clean(made.note))

    async def send(self, prepared: Prepared) -> SendResult:
        said = await acts.send(self._http, prepared, self._answered)
        return replace(said, words=self._http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        found = await acts.reconcile(self._http, prepared, self._answered)
        return replace(found, words=self._http.words(found.words))
