"""Airflow 3 and 2: what it says about its DAGs, runs, tasks and logs. What is done to it is in ``acts`` and ``v2_acts``.

Two requests a poll: everything active, and what changed since the server's own ``Date`` of the poll before. Nothing
here reads a clock: every "now" is the server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

import msgspec

from adapters.airflow import acts, backfills, reads, v2, v2_acts, v2_datasets, v2_logs
from adapters.airflow import items as parts
from adapters.airflow.auth import TokenAuth
from adapters.airflow.logs import render, split_head
from adapters.airflow.reads import PAGE
from adapters.airflow.wire import (
    TASK_STATES,
    DagRun,
    Dags,
    HealthBody,
    LogPage,
    TaskInstance,
    TaskInstances,
    Version,
    cleared,
    iso,
    ms,
    pipeline_of,
    run_of,
    segment,
    step_of,
)
from adapters.base import (
    Action,
    Adapter,
    Listing,
    Page,
    Prepared,
    Probe,
    Reconciled,
    SendResult,
    SourceSettings,
)
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound, Unsupported
from adapters.extras import Asset, Operation, SourceItem
from adapters.http import Params, words
from adapters.model import Caps, Key, LogChunk, Pipeline, Run, State, StepRun, Verb, pipeline_key, run_key
from adapters.shared import own_key, read_cursor, write_cursor, zone_of

OVERLAP_MS: Final = 5_000
DAY_MS: Final = 86_400_000
RECENT_MS: Final = 2 * DAY_MS
PAGES_A_CALL: Final = 20
"""Of changed runs; the cursor carries on from there."""
STEP_BACK_MS: Final = 60_000
SETTLE_MS: Final = 15_000
"""A stopped task's process writes on until its heartbeat is refused (5 s) and it is killed (5 s more), while Airflow
already calls its log ended."""
TRIES_A_CALL: Final = 20

_OPTIONS: Final[Mapping[str, float]] = {
    "connect_timeout": 5.0,
    "read_timeout": 15.0,
    "total_timeout": 60.0,
    "token_life": 0.0,
}
_MOST: Final[Mapping[str, float]] = {"token_life": 86_400.0}
_APIS: Final[Mapping[Any, int]] = {"v1": 2, "v2": 3}


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``t``: server time up to which changes are known. ``off``/``at``: a sweep not finished yet, and when it began.
    ``old``: active runs that a look at recent ones would not show once they end."""

    t: int | None = None
    off: int = 0
    at: int | None = None
    old: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])


class _LogCursor(msgspec.Struct, omit_defaults=True):
    """``n`` records were handed out; ``token`` continues after them, without it they are skipped."""

    n: int = 0
    token: str | None = None


class AirflowAdapter(Adapter):
    """One Airflow, 3 or 2. ``options``: ``connect_timeout``, ``read_timeout``, ``total_timeout`` in seconds; ``token_life``, seconds
    after which ``auth.token`` or ``auth.web_token`` is asked for again (0, the default: when it is refused or says itself that it
    has ended); ``api`` = ``"v1"`` (Airflow 2) or ``"v2"`` (Airflow 3), where it must not be found out."""

    kind: ClassVar[str] = "airflow"
    min_poll_s: ClassVar[float] = 5.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        seconds = _options(settings.options)
        self._auth = TokenAuth(settings.auth, seconds["token_life"])
        self._http = v2.AirflowHttp(
            settings.url,
            self._auth,
            forced=_APIS.get(settings.options.get("api"), 0),
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=seconds["connect_timeout"],
            read_s=seconds["read_timeout"],
            total_s=seconds["total_timeout"],
            transport=transport,
        )
        self._zone = zone_of(settings.timezone)
        self._notes: tuple[str, ...] = ()
        self._why: dict[str, str] = {}
        self._backfills = backfills.Known()
        self._tries: dict[tuple[str, str, int, int], tuple[TaskInstance, ...]] = {}

    def __repr__(self) -> str:
        return f"AirflowAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        if self._http.generation == 2:
            return v2_acts.caps()
        return Caps(
            frozenset({*acts.VERBS, "steps", "log", "history", "items", "assets", "operations"}),
            {
                Verb.HOLD: "Airflow cannot hold a run; pause stops its DAG from starting further tasks",
                Verb.RELEASE: "Airflow cannot hold a run",
                "metrics": "Airflow offers none by this API",
            },
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Version, health, who we are; of an Airflow 2 also what we may do."""
        version = await self._http.ask_version()
        health, _ = await self._http.get(v2.HEALTH, HealthBody, auth=self._auth.comes_first)
        self._notes = tuple(map(words, health.troubles()))
        _, answer = await self._http.get("/api/v2/dags", Dags, {"limit": 1})
        claims = self._auth.claims()
        can: Mapping[str, bool | None]
        if self._http.generation == 2:
            can = await self._http.may()
        else:
            role = claims.get("role")
            viewer = isinstance(role, str) and role.lower() == "viewer"
            can = {verb: False if viewer else None for verb in acts.VERBS}
        who = claims.get("sub")
        warnings = list(self._notes)
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        return Probe(
            version=words(version),
            identity=words(str(who)) if who else self._auth.user or None,
            permissions={"view": True, **can},
            server_time=answer.server_time,
            warnings=tuple(warnings),
        )

    async def pipelines(self) -> Listing:
        """All DAGs that ``include`` names. Also looks at the health of Airflow's parts, see ``notes``."""
        await self._look_at_health()
        dags, first, complete = await reads.pages(
            self._http, "/api/v2/dags", {"order_by": "dag_id"}, Dags, lambda p: p.dags, lambda p: p.total_entries
        )
        base, source = self._http.base, self.settings.name
        found = {d.dag_id: pipeline_of(d, source, base) for d in dags if self._wanted(d.dag_id)}
        return Listing(tuple(found.values()), complete, first.server_time)

    async def _look_at_health(self) -> None:
        try:
            health, _ = await self._http.get(v2.HEALTH, HealthBody, auth=self._auth.comes_first)
        except (NotFound, Forbidden, BadResponse) as err:
            self._notes = (f"Airflow's health could not be read: {err.what}",)
        else:
            self._notes = tuple(map(words, health.troubles()))

    # --- what it has beside runs ------------------------------------------------------------------------------------

    async def items(self) -> Sequence[SourceItem]:
        return await parts.items(self._http, self.settings.name, self._wanted)

    async def assets(self) -> Sequence[Asset]:
        if await self._http.settle() == 2:
            return await v2_datasets.assets(self._http, self.settings.name)
        return await parts.assets(self._http, self.settings.name)

    async def operations(self, known: Sequence[str] = ()) -> Sequence[Operation]:
        if await self._http.settle() == 2:
            return ()
        keys = [own_key(k, self.settings.name).pipeline_key for k in known]
        return await backfills.operations(self._http, self.settings.name, self._zone, keys, self._backfills)

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Active runs and those that changed since ``cursor``; None: active and of the last two days.

        Changes are asked from the server's time of the poll before, minus 5 s, and of an Airflow 3 bounded to recent
        runs, since it has no index on the time of change. Older runs that were active are asked about one by one when
        they are no longer. Airflow 2 has nothing to bound them by: its runs are dated by the begin of their interval.
        """
        two = await self._http.settle() == 2
        known = read_cursor(cursor, _Cursor)
        order = {"order_by": "id" if two else "-run_after"}
        params = {"state": ["running", "queued"], **order}
        active, first, _ = await reads.runs(self._http, "~", params)
        now = first.server_time
        if active_only:
            return Page(self._mapped(active), cursor, True, now)
        sweep = _Cursor() if known.t and now and now < known.t - STEP_BACK_MS else known
        recent = dict(order)
        if now is not None and two:
            recent[self._http.changed] = iso(now - RECENT_MS if sweep.t is None else sweep.t - OVERLAP_MS)
        elif now is not None:
            bound = min(now - RECENT_MS, (sweep.t or now) - DAY_MS)
            recent["run_after_gte"] = iso(bound)
            if sweep.t is not None:
                recent["updated_at_gte"] = iso(sweep.t - OVERLAP_MS)
        changed, _, complete = await reads.runs(self._http, "~", recent, offset=sweep.off, most=PAGES_A_CALL)
        seen = {(r.dag_id, r.dag_run_id): r for r in (*active, *changed)}
        lost = [k for k in sweep.old if k not in seen]
        for dag, run in lost[:PAGES_A_CALL]:
            try:
                seen[(dag, run)] = await reads.dag_run(self._http, dag, run)
            except NotFound:
                continue
        if sweep.t is not None:
            await self._find_reasons([r for r in changed if r.state == "failed"], recent)
        old_before = None if now is None else now - DAY_MS
        old = [(r.dag_id, r.dag_run_id) for r in active if old_before is None or (ms(r.run_after) or 0) < old_before]
        old = [] if two else old
        began = sweep.at if sweep.off and sweep.at else now
        after = _Cursor(old=[*old, *lost[PAGES_A_CALL:]])
        if complete:
            after.t = began
        else:
            after.t, after.off, after.at = sweep.t, sweep.off + len(changed), began
        return Page(self._mapped(seen.values()), write_cursor(after), complete, now)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """Ended runs of one DAG, newest first."""
        dag = own_key(pipeline, self.settings.name).pipeline
        two = await self._http.settle() == 2
        now = self._http.server_time
        if now is None:
            _, answer = await self._http.get("/api/v2/version", Version, auth=self._auth.comes_first)
            now = answer.server_time
        order, bound = ("-execution_date", "start_date_gte") if two else ("-run_after", "run_after_gte")
        params: dict[str, str | list[str]] = {"order_by": order, "state": ["success", "failed"]}
        if now is not None:
            params[bound] = iso(now - days * DAY_MS)
        found, _, _ = await reads.runs(self._http, dag, params, enough=depth)
        return [replace(self._run(r), backfilled=True) for r in found[:depth]]

    async def read(self, key: str) -> Pipeline | Run:
        """One DAG or one run as it is now; of a failed run also which task failed."""
        parsed = own_key(key, self.settings.name)
        if parsed.run is None:
            return pipeline_of(await reads.dag(self._http, parsed.pipeline), self.settings.name, self._http.base)
        item = await reads.dag_run(self._http, parsed.pipeline, parsed.run)
        if item.state == "failed":
            await self._find_reasons([item], None)
        return self._run(item)

    async def _find_reasons(self, failed: Sequence[DagRun], recent: Params | None) -> None:
        """Which task made them fail, one request for all. A nicety: no answer to it spoils the poll."""
        fresh = [r for r in failed if self._key(r) not in self._why and self._wanted(r.dag_id)]
        if not fresh:
            return
        one = fresh[0] if len(fresh) == 1 else None
        where = reads.run_path(one.dag_id, one.dag_run_id) if one else "/api/v2/dags/~/dagRuns/~"
        bounds = {k: v for k, v in (recent or {}).items() if k.endswith("_gte")} if one is None else {}
        params: Params = {"state": "failed", "limit": PAGE, **bounds}
        try:
            found, _ = await self._http.get(f"{where}/taskInstances", TaskInstances, params)
        except AdapterError:
            return
        first: dict[str, TaskInstance] = {}
        for ti in found.task_instances:
            key = run_key(pipeline_key(self.settings.name, ti.dag_id or ""), ti.dag_run_id or "")
            if key not in first or (ms(ti.end_date) or 0) < (ms(first[key].end_date) or 0):
                first[key] = ti
        for run in fresh:
            if (ti := first.get(self._key(run))) is not None:
                self._why[self._key(run)] = f"task {reads.named(ti)} failed"
        while len(self._why) > 2_000:
            self._why.pop(next(iter(self._why)))

    def _run(self, item: DagRun) -> Run:
        key = self._key(item)
        if item.state != "failed":
            self._why.pop(key, None)
        run = run_of(item, self.settings.name, self._http.base, self._zone, self._why.get(key))
        if self._http.generation != 2:
            return run
        return replace(run, url=v2.run_url(self._http.base, segment(item.dag_id), segment(item.dag_run_id)))

    def _mapped(self, items: Iterable[DagRun]) -> Sequence[Run]:
        """Each run once, the later reading of it; only what ``include`` names."""
        unique = {(r.dag_id, r.dag_run_id): r for r in items if self._wanted(r.dag_id)}
        return tuple(self._run(r) for r in unique.values())

    def _key(self, item: DagRun) -> str:
        return run_key(pipeline_key(self.settings.name, item.dag_id), item.dag_run_id)

    def _wanted(self, dag: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(dag, g) for g in globs)

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """Every try of every task instance of a run, in the order in which they started; waiting ones after them."""
        key = own_key(run, self.settings.name, "run")
        items = await reads.instances(self._http, key.pipeline, key.run or "")
        history = await self._earlier(run, key, items)
        tries = [*items, *history]
        place = {(t.task_id, t.map_index): i for i, t in enumerate(sorted(items, key=_by_start))}
        out = {s.key + f"~{s.attempt}": s for s in (step_of(t, run, place[(t.task_id, t.map_index)]) for t in tries)}
        return sorted(out.values(), key=lambda s: (s.order, s.attempt))

    async def _earlier(self, run: str, key: Key, items: Sequence[TaskInstance]) -> list[TaskInstance]:
        """Earlier tries, failed steps first and at most 20 requests a call. They never change, so they are kept."""
        if self._http.generation == 2 and not self._http.since(2, 10):
            return []
        again = [t for t in items if t.try_number > 1 or cleared(t)]
        again.sort(key=lambda t: t.state != "failed")
        out: list[TaskInstance] = []
        asked = 0
        for ti in again:
            mark = (run, ti.task_id, ti.map_index, -ti.try_number if cleared(ti) else ti.try_number)
            past = self._tries.get(mark)
            if past is None:
                if asked >= TRIES_A_CALL:
                    continue
                asked += 1
                path = reads.task_path(Key(key.source, key.pipeline, key.run, ti.task_id))
                path += "/tries" if ti.map_index < 0 else f"/{ti.map_index}/tries"
                try:
                    found, _ = await self._http.get(path, TaskInstances)
                except NotFound:
                    continue
                upto = ti.try_number if cleared(ti) else ti.try_number - 1
                past = tuple(t for t in found.task_instances if 0 < t.try_number <= upto and t.state is not None)
                self._tries[mark] = past
                while len(self._tries) > 1_000:
                    self._tries.pop(next(iter(self._tries)))
            out += past
        return out

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """New lines of one try. After the end it is asked once more, when a stopped process has fallen silent."""
        key = own_key(step, self.settings.name, "step")
        if await self._http.settle() == 2:
            return await v2_logs.log(self._http, key, attempt, cursor, self._settled)
        known = read_cursor(cursor, _LogCursor)
        if known.n and known.token is None and not await self._settled(key, attempt):
            return LogChunk(b"", cursor, False)
        try:
            page = await self._log_page(key, attempt, known.token)
        except NotFound:
            return await self._no_log(key, attempt, cursor)
        except BadResponse as err:
            if known.token is None or err.status != 400:
                raise
            known.token = None  # the server was restarted and no longer knows its own token
            page = await self._log_page(key, attempt, None)
        if known.token is None:
            head, body = split_head(page.content)
            body = body[known.n :]
            data = (render(head) if cursor is None else b"") + render(body)
        else:
            body = page.content
            data = render(body)
        after = _LogCursor(known.n + len(body), page.continuation_token)
        if page.continuation_token is not None:
            return LogChunk(data, write_cursor(after), False)
        return LogChunk(data, write_cursor(after), await self._settled(key, attempt))

    async def _log_page(self, key: Key, attempt: int, token: str | None) -> LogPage:
        params: dict[str, str | int] = {"map_index": key.map_index}
        if token is not None:
            params["token"] = token
        page, _ = await self._http.get(f"{reads.task_path(key)}/logs/{attempt}", LogPage, params)
        return page

    async def _settled(self, key: Key, attempt: int) -> bool:
        """This try has ended, and long enough ago that nothing writes any more."""
        ti, answer = await reads.instance(self._http, key)
        if ti.try_number > attempt or (ti.state is None and ti.try_number == attempt):
            return True
        if not TASK_STATES.get(ti.state or "none", (State.RUNNING, None))[0].terminal:
            return ti.state == "up_for_retry"
        ended = ms(ti.end_date)
        if ti.state == "success":
            return True
        return ended is None or answer.server_time is None or answer.server_time - ended > SETTLE_MS

    async def _no_log(self, key: Key, attempt: int, cursor: str | None) -> LogChunk:
        """404 for a log: not started, never run, or gone. NotFound only where the task itself is not there."""
        ti, _ = await reads.instance(self._http, key)
        over = TASK_STATES.get(ti.state or "none", (State.RUNNING, None))[0].terminal
        if not over and attempt >= ti.try_number:
            return LogChunk(b"", cursor, False, "not started yet")
        if over and ti.try_number == 0:
            try:
                page = await self._log_page(key, 0, None)
            except NotFound:
                return LogChunk(b"", cursor, True, "it never ran, so it has no log")
            return LogChunk(render(split_head(page.content)[1]), cursor, True)
        return LogChunk(b"", cursor, True, f"Airflow keeps no log of try {attempt}")

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        try:
            how = v2_acts if await self._http.settle() == 2 else acts
            made = await how.prepare(self._http, self.settings.name, self._zone, action)
        except AdapterError as err:  # names of tasks and runs come from outside
            err.what = self._http.words(err.what)
            err.args = (err.what,)
            raise
        clean = self._http.words
        return replace(made, effect=clean(made.effect), proof=clean(made.proof), note=clean(made.note))

    async def send(self, prepared: Prepared) -> SendResult:
        said = await acts.send(self._http, self.settings.name, prepared)
        return replace(said, words=self._http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        how = v2_acts if await self._http.settle() == 2 else acts
        found = await how.reconcile(self._http, prepared)
        return replace(found, words=self._http.words(found.words))


# --- small things ---------------------------------------------------------------------------------------------------


def _by_start(ti: TaskInstance) -> tuple[float, float, int, str, int]:
    """Started first; what waits, nearest to the start of the DAG first (Airflow weighs a task by what hangs on it)."""
    never = float("inf")
    started = None if TASK_STATES.get(ti.state or "none", (State.RUNNING,))[0] is State.QUEUED else ms(ti.start_date)
    return (started or never, ms(ti.queued_when) or never, -ti.priority_weight, ti.task_id, ti.map_index)


def _options(given: Mapping[str, Any]) -> dict[str, float]:
    seconds = dict(_OPTIONS)
    for name, value in given.items():
        if name == "api":
            if value not in ("v1", "v2"):
                raise Unsupported(f'option \'api\' of the airflow adapter is "v1" or "v2", not {value!r}')
            continue
        if name not in seconds:
            raise Unsupported(f"the airflow adapter has no option {name!r}; it has {', '.join(seconds)}, api")
        most = _MOST.get(name, 600.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
            what = f"option {name!r} of the airflow adapter is a number of seconds up to {most:.0f}, not {value!r}"
            raise Unsupported(what)
        seconds[name] = float(value)
    return seconds
