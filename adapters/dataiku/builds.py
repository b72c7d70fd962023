"""Datasets that are pipelines of their own (``options.builds``): started by a build job, stopped by aborting it.

Native id ``PROJECT.dataset.NAME``; their runs are the jobs of the project that have the dataset among their outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

import msgspec

from adapters.base import (
    Action,
    Done,
    NotDone,
    NotSent,
    Prepared,
    Reconciled,
    SendResult,
    Sent,
    Several,
    SourceSettings,
)
from adapters.dataiku import acts
from adapters.dataiku.dss import DssHttp, dataset_path, job_path, project_path, segment
from adapters.dataiku.options import BUILDS, Options
from adapters.dataiku.steps import LogCursor
from adapters.dataiku.wire import DATASET, JOB_STATES, at, day_of, job_state, text
from adapters.errors import AdapterError, BadResponse, Conflict, NotFound, Unsupported
from adapters.model import (
    Key,
    LogChunk,
    Pipeline,
    Run,
    RunKind,
    State,
    StepRun,
    Trigger,
    Verb,
    parse_key,
    pipeline_key,
    run_key,
)
from adapters.shared import not_taken

WHOLE: Final = "job"
"""The step that is the job's own log, beside those of its activities."""
LAST: Final = 50
MOST: Final = 3_200
"""Jobs of a project that are read: usually, and the most where all of them are new."""
_HAND: Final = ("API", "UI", "MANUAL")
_BACK_MS: Final = 5_000
Dataset = tuple[str, str]


class _Output(msgspec.Struct, rename="camel"):
    target_dataset: Any = None
    target_dataset_project_key: Any = None
    target_partition: Any = None
    id: Any = None


class _Def(msgspec.Struct, rename="camel"):
    id: str
    project_key: Any = None
    name: Any = None
    type: Any = None
    initiator: Any = None
    initiation_timestamp: Any = None
    triggered_from: Any = None
    outputs: list[_Output] | None = None


class _Job(msgspec.Struct, rename="camel"):
    definition: _Def = msgspec.field(name="def")
    state: Any = None
    status: Any = None
    """Where ``state`` is told by this name."""
    start_time: Any = None
    end_time: Any = None
    stable_state: Any = None
    activities: Any = None

    def makes(self, project: str, dataset: str) -> bool:
        for out in self.definition.outputs or ():
            name = text(out.target_dataset) or text(out.id) or ""
            where = text(out.target_dataset_project_key) or project
            if (where, name) == (project, dataset) or name == f"{project}.{dataset}":
                return True
        return False

    @property
    def partition(self) -> str | None:
        return next(
            (p for o in self.definition.outputs or () if (p := text(o.target_partition)) not in (None, "NP")), None
        )


class _Details(msgspec.Struct, rename="camel"):
    base_status: _Job


class _Made(msgspec.Struct):
    id: str


class Builds:
    """Of one source. ``identity``: who our key is, where the probe was told."""

    def __init__(self, http: DssHttp, settings: SourceSettings, options: Options, zone: tzinfo) -> None:
        self._http = http
        self._source = settings.name
        self._zone = zone
        self._type = options.build_type
        self._all: dict[str, Dataset] = {}
        for name in options.builds:
            project, _, dataset = name.partition(".")
            self._all[f"{project}{DATASET}{dataset}"] = (project, dataset)
        self.identity: str | None = None
        self.began: int | None = None
        """Server time of the first poll."""
        self._turn = 0
        self._known: dict[str, tuple[Any, ...]] = {}
        self._seen: dict[str, set[str]] = {}
        """By project, the jobs of its latest list."""
        self._jobs: dict[str, str] = {}
        """Job by client id, as DSS answered; lost with the engine."""

    @property
    def makers(self) -> dict[str, list[str]]:
        """By ``PROJECT.dataset`` the key of the pipeline that it is."""
        return {f"{p}.{d}": [self._key((p, d))] for p, d in self._all.values()}

    def dataset(self, native: str) -> Dataset | None:
        return self._all.get(native)

    def _key(self, dataset: Dataset) -> str:
        return pipeline_key(self._source, f"{dataset[0]}{DATASET}{dataset[1]}")

    def pipelines(self) -> list[Pipeline]:
        return [self._pipeline(d) for d in self._all.values()]

    def _pipeline(self, dataset: Dataset) -> Pipeline:
        project, name = dataset
        return Pipeline(
            key=self._key(dataset),
            name=f"{project}.{name} (build)",
            trigger=Trigger.MANUAL,
            tags=("dataset", f"project:{project}"),
            url=f"{self._http.base}/projects/{segment(project)}/datasets/{segment(name)}/explore/",
        )

    def tell_again(self) -> None:
        """What was told was never taken."""
        self._known, self._seen = {}, {}

    # --- runs -----------------------------------------------------------------------------------------------------

    async def runs(self, since: int | None, active_only: bool) -> list[Run]:
        """Jobs of one project a call, in turn: what runs, and what changed."""
        projects = sorted({p for p, _ in self._all.values()})
        if not projects:
            return []
        self._turn += 1
        project = projects[self._turn % len(projects)]
        found = await self._new(project, since)
        out: list[Run] = []
        for dataset in self._all.values():
            for job in found if dataset[0] == project else ():
                if not job.makes(*dataset):
                    continue
                run = self._run(dataset, job)
                mark = (run.native, run.state, run.ended)
                moment = run.ended or run.started or run.queued
                old = run.state.terminal and since is not None and moment is not None and moment < since
                if run.state.active or (self._known.get(run.key) != mark and not old and not active_only):
                    out.append(run)
                if not active_only:
                    self._known[run.key] = mark
        self._seen[project] = {job.definition.id for job in found}
        return out

    async def _new(self, project: str, since: int | None) -> list[_Job]:
        """Its latest jobs: as many as are new since the list before, or since ``since`` where there is none."""
        limit, before = LAST, self._seen.get(project, set())
        while True:
            found = await self._list(project, limit)
            oldest = min((at(j.definition.initiation_timestamp) or at(j.start_time) or 0 for j in found), default=0)
            known = any(job.definition.id in before for job in found)
            if len(found) < limit or limit >= MOST or known or since is None or oldest < since:
                return found
            limit *= 4

    async def _list(self, project: str, limit: int) -> list[_Job]:
        found, _ = await self._http.get(f"{project_path(project)}/jobs/", list[_Job], {"limit": limit})
        return found

    async def _job(self, project: str, job: str) -> _Job:
        found, _ = await self._http.get(f"{job_path(project, job)}/", _Details)
        return found.base_status

    async def past(self, dataset: Dataset, depth: int, days: int) -> list[Run]:
        found = await self._list(dataset[0], max(depth * 5, LAST))
        now = self._http.server_time
        bound = 0 if now is None else now - days * 86_400_000
        runs = [self._run(dataset, j) for j in found if j.makes(*dataset)]
        runs = [r for r in runs if r.state.terminal and not self._is_news(r)]
        return [r for r in runs if (r.started or r.queued or 0) >= bound][:depth]

    def _is_news(self, run: Run) -> bool:
        """It ended since the first poll, and no poll has told so yet."""
        if self.began is None or (run.ended or run.started or 0) < self.began:
            return False
        return self._known.get(run.key) != (run.native, run.state, run.ended)

    def _run(self, dataset: Dataset, job: _Job) -> Run:
        ended = at(job.end_time)
        native, state = job_state(
            job.state if job.state is not None else job.status, ended is not None, job.stable_state
        )
        said = job.definition
        origin = str(said.triggered_from or "").upper()
        params = {"type": said.type, "partition": job.partition}
        started = at(job.start_time)
        return Run(
            key=run_key(self._key(dataset), said.id),
            native=native,
            state=state,
            kind=RunKind.MANUAL if origin in _HAND or not origin else RunKind.SCHEDULED,
            params={k: v for k, v in params.items() if isinstance(v, str) and v} or None,
            business_date=day_of(started or at(said.initiation_timestamp), self._zone),
            queued=at(said.initiation_timestamp),
            started=started,
            ended=ended if state.terminal else None,
            url=f"{self._http.base}/projects/{segment(dataset[0])}/jobs/{segment(said.id)}/",
        )

    async def read(self, dataset: Dataset, run: str | None) -> Pipeline | Run:
        if run is None:
            await self._there(dataset)
            return self._pipeline(dataset)
        return self._run(dataset, await self._job(dataset[0], run))

    async def _there(self, dataset: Dataset) -> None:
        """NotFound where there is no such dataset."""
        await self._http.get(f"{dataset_path(*dataset)}/info", dict[str, Any])

    # --- steps and logs -------------------------------------------------------------------------------------------

    async def steps(self, dataset: Dataset, key: str, run: str) -> list[StepRun]:
        """The job itself, and its activities where DSS tells them."""
        job = await self._job(dataset[0], run)
        whole = self._run(dataset, job)
        out = [
            StepRun(
                run=key, step=WHOLE, native=whole.native, state=whole.state, queued=whole.queued, started=whole.started,
                ended=whole.ended, operator=text(job.definition.type),
            )
        ]  # fmt: skip
        for name, one in _activities(job.activities):
            ended = at(one.get("endTime"))
            native, state = job_state(one.get("state"), ended is not None, job.stable_state)
            step = StepRun(
                run=key, step=name, native=native, state=state, started=at(one.get("startTime")),
                ended=ended if state.terminal else None, order=len(out), operator=text(one.get("recipeType")),
            )  # fmt: skip
            if name != WHOLE:
                out.append(step)
        return out

    async def log(
        self, dataset: Dataset, run: str, step: str, cursor: LogCursor, pause: bool
    ) -> tuple[LogChunk | None, LogCursor]:
        job = await self._job(dataset[0], run)
        over = self._run(dataset, job).state.terminal
        if pause and not over:
            return None, cursor
        try:
            params = {} if step == WHOLE else {"activity": step}
            body = await self._http.text(f"{job_path(dataset[0], run)}/log", params)
        except NotFound:
            return LogChunk(b"", None, over, "DSS keeps no log of it any more" if over else "no log yet"), cursor
        start = cursor.n if cursor.n <= len(body) else 0
        return LogChunk(body[start:], None, over), LogCursor(len(body))

    # --- acting ---------------------------------------------------------------------------------------------------

    async def prepare(self, dataset: Dataset, key: Key, action: Action) -> Prepared:
        match action.verb:
            case Verb.START:
                return await self._prepare_build(dataset, action, action.params)
            case Verb.PAUSE | Verb.RESUME:
                raise Unsupported("a dataset has no schedule of its own: pause the scenario that builds it")
            case Verb.STOP | Verb.RERUN:
                if key.run is None:
                    raise Unsupported(f"{key} is a dataset; this needs one of its build jobs")
                run = self._run(dataset, job := await self._job(dataset[0], key.run))
            case _:
                raise Unsupported(acts.WHY_NOT.get(action.verb, "not offered for Dataiku"))
        if action.verb is Verb.RERUN:
            if not run.state.terminal:
                raise Conflict("the job still goes on: stop it first")
            return await self._prepare_build(dataset, action, {**(run.params or {}), **action.params})
        if run.state.terminal:
            raise Conflict(f"the job has already ended: {run.native}")
        outputs = len(job.definition.outputs or ())
        return Prepared(
            action=action,
            calls=(acts.call(self._http, "POST", f"{job_path(dataset[0], key.run or '')}/abort"),),
            idempotent=True,
            effect="ends the build job" + (f", which builds {outputs} outputs" if outputs > 1 else ""),
            proof="Dataiku says the job has ended",
            undo="start builds it again; what was written is not undone",
            patience_s=300.0,
        )

    async def _prepare_build(self, dataset: Dataset, action: Action, params: Mapping[str, Any]) -> Prepared:
        project, name = dataset
        odd = next((p for p in params if p not in ("type", "partition")), None)
        if odd is not None:
            raise Conflict(f"a build has no parameter {odd!r}: it takes type and partition")
        kind = params.get("type", self._type)
        if kind not in BUILDS:
            raise Conflict(f"{kind!r} is no type of build: expected {', '.join(BUILDS)}")
        if action.business_date is not None:
            raise Conflict("Dataiku builds partitions, not business dates: give the parameter partition")
        await self._there(dataset)
        before = [j for j in await self._list(project, LAST) if j.makes(*dataset)]
        active = [j for j in before if self._run(dataset, j).state.active]
        if active:
            raise Conflict(f"job {active[0].definition.id} builds it now: stop that first")
        part = text(params.get("partition"))
        body = {
            "type": kind,
            "outputs": [{"type": "DATASET", "id": name, "projectKey": project, "partition": part}],
            "refreshHiveMetastore": False,
            "autoUpdateSchemaBeforeEachRecipeRun": False,
        }
        up = " and what it is made from" if kind != BUILDS[0] else ""
        return Prepared(
            action=action,
            calls=(acts.call(self._http, "POST", f"{project_path(project)}/jobs/", body),),
            idempotent=False,
            effect=f"builds {project}.{name}{f' partition {part}' if part else ''}{up} ({kind})",
            proof="Dataiku shows the job that it answered with",
            undo="stop the job; what was overwritten is not undone",
            note="Dataiku's jobs carry no mark of ours: if its answer is lost, a person must say which job it was",
            memo={"t0": self._http.server_time, "known": [j.definition.id for j in before], "type": kind},
        )

    async def send(self, dataset: Dataset, key: Key, prepared: Prepared) -> SendResult:
        (one,) = prepared.calls
        path = one.target.removeprefix(self._http.base)
        if not one.target.startswith(self._http.base + "/") or not acts.known(one.method, path):
            return NotSent("the call is not one of this source")
        try:
            if self._http.auth is not None:
                await self._http.auth.headers(self._http)
        except AdapterError as err:
            return NotSent(err.what)
        try:
            answer = await self._http.ask(one.method, path, body=one.body)
            if prepared.action.verb is Verb.STOP:
                answer.decode(dict[str, Any])
                return Sent("Dataiku took the abort", str(key))
            made = answer.decode(_Made).id
        except AdapterError as err:
            return not_taken(err)
        self._jobs[prepared.action.client_id] = made
        return Sent(f"Dataiku has job {made}", run_key(self._key(dataset), made))

    async def reconcile(self, dataset: Dataset, key: Key, prepared: Prepared) -> Reconciled:
        if prepared.action.verb is Verb.STOP:
            try:
                run = self._run(dataset, await self._job(dataset[0], key.run or ""))
            except NotFound:
                return NotDone("Dataiku no longer has this job", final=True)
            if not run.state.terminal:
                return NotDone(f"the abort was asked for, the job is still {run.native}")
            return Done(
                "the job was aborted" if run.native == "ABORTED" else f"the job had ended: {run.native}", run.key
            )
        made = self._jobs.get(prepared.action.client_id)
        if made is None and prepared.answered is not None:  # to the engine before this one
            made = parse_key(prepared.answered).run
        if made is not None:
            return await self._is_there(dataset, made)
        t0, old = prepared.memo.get("t0"), {str(known) for known in prepared.memo.get("known") or ()}
        since = t0 - _BACK_MS if isinstance(t0, int) else 0
        found = [
            j for j in await self._list(dataset[0], LAST)
            if j.makes(*dataset) and j.definition.id not in old
            and (j.definition.type in (None, prepared.memo.get("type")))
            and (at(j.definition.initiation_timestamp) or at(j.start_time) or since) >= since
            and (self.identity is None or j.definition.initiator in (None, self.identity))
        ]  # fmt: skip
        if not found:
            return NotDone("no such job is there")
        runs = tuple(run_key(self._key(dataset), j.definition.id) for j in found)
        return Several("jobs that build it since then do not say who asked for them", runs)

    async def _is_there(self, dataset: Dataset, job: str) -> Reconciled:
        try:
            run = self._run(dataset, await self._job(dataset[0], job))
        except NotFound:
            return NotDone(f"Dataiku answered with job {job}, and has no such job")
        if run.native.endswith("?"):
            raise BadResponse(f"job {job} is in a state that is not known: {run.native}")
        if run.state is State.QUEUED:
            return NotDone(f"job {job} has not started yet", begun=True)
        return Done(f"job {job} is {run.native}", run.key)


def _activities(found: Any) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """By name, in the order of their start. Their shape is documented nowhere: an object by name, or a list."""
    if isinstance(found, dict):
        pairs = [(str(k), v) for k, v in found.items() if isinstance(v, dict)]
    elif isinstance(found, list):
        pairs = [(name, v) for v in found if isinstance(v, dict) and (name := text(v.get("id")) or text(v.get("name")))]
    else:
        return ()
    known = [(k, v) for k, v in pairs if v.get("state") in JOB_STATES or text(v.get("state"))]
    return sorted(known, key=lambda p: at(p[1].get("startTime")) or 1 << 60)
