"""Kubernetes: what a cluster says about its CronJobs, Jobs and pods. What is done to them is in ``plans`` and ``acts``.

After the first lists a poll is one ``watch`` of Jobs, and a list of the pods of Jobs that are at work, where there are
any: their words (``ImagePullBackOff``, ``Unschedulable`` …) stand nowhere on the Job. Nothing here reads a clock.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

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
from adapters.errors import AdapterError, Forbidden, NotFound, Unsupported
from adapters.extras import SourceItem
from adapters.http import Http, words
from adapters.kubernetes import acts, items, logs, plans, pods, reads, rights, states, wire
from adapters.kubernetes.auth import KubeAuth
from adapters.kubernetes.kubeconfig import Credential, Place, Wanted, find
from adapters.kubernetes.watch import ALL, WATCH_S, Known
from adapters.kubernetes.wire import CronJob, CronJobs, Job, Jobs, Version
from adapters.model import Caps, LogChunk, Pipeline, Run, State, StepRun, Verb, pipeline_key
from adapters.shared import own_key, read_cursor, write_cursor

RUNS_A_PAGE: Final = 1_000
ASKED_WHY: Final = 50
"""Failed Jobs whose pods are asked for with one poll."""
_SECONDS: Final[Mapping[str, float]] = {"connect_timeout": 5.0, "read_timeout": 15.0, "total_timeout": 60.0}
_ONE_HOST: Final = ("http://localhost", "http://127.", "http://[::1]")
_OTHER: Final = ("kubeconfig", "context", "in_cluster", "namespaces")
_WHY_NOT: Final[Mapping[str, str]] = {
    Verb.RERUN_FAILED: "Kubernetes runs a Job again only as a whole, as a new Job: rerun does that",
    Verb.RERUN_FROM: "Kubernetes runs a Job again only as a whole, as a new Job: rerun does that",
    Verb.MARK: "Kubernetes has no way to declare a Job done or failed",
    Verb.BACKFILL: "Kubernetes has no backfills; a CronJob's start makes one Job",
    Verb.BACKFILL_PAUSE: "Kubernetes has no backfills",
    Verb.BACKFILL_RESUME: "Kubernetes has no backfills",
    Verb.BACKFILL_CANCEL: "Kubernetes has no backfills",
    "history": "Kubernetes keeps only Jobs that were not cleaned up yet, and all of those are listed",
    "assets": "Kubernetes knows no data that its Jobs make",
    "operations": "Kubernetes has no backfills",
    "metrics": "use of nodes and pods stands among its parts",
}


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``who``: of which adapter in which process; ``n``: the last change handed out; ``more``: there is more of this look."""

    who: str = ""
    n: int = 0
    more: bool = False


class KubernetesAdapter(Adapter):
    """One cluster, as one identity. ``options``: ``kubeconfig`` (a path), ``context``, ``in_cluster``, ``namespaces`` (a list,
    ``["*"]`` for all; default: that of the context), ``connect_timeout``, ``read_timeout``, ``total_timeout`` in seconds.

    ``url`` with ``auth.token`` needs no kubeconfig (``kubectl proxy``: only ``url``)."""

    kind: ClassVar[str] = "kubernetes"
    min_poll_s: ClassVar[float] = 5.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        self._seconds, self._wanted, self._named = _options(settings)
        self._transport = transport
        self._made: tuple[Http, Place, KubeAuth] | None = None
        self._making = asyncio.Lock()
        self._who = secrets.token_hex(4)
        self._jobs: Known[Job] | None = None
        self._crons: Known[CronJob] | None = None
        self._subs: dict[str, str] = {}
        self._asked_why: set[str] = set()
        self._pods_note: str | None = None
        self._lacks: Mapping[str, str] = {}
        self._spent = (0, 0)

    def __repr__(self) -> str:
        return f"KubernetesAdapter({self.settings.name!r})"

    # --- the way there ----------------------------------------------------------------------------------------------

    async def _open(self) -> Http:
        """Reads the kubeconfig at the first question and never changes the cluster after it."""
        if self._made is None:
            async with self._making:
                if self._made is None:
                    self._made = await self._make()
        return self._made[0]

    async def _make(self) -> tuple[Http, Place, KubeAuth]:
        place = await asyncio.to_thread(find, self._wanted)
        again = replace(self._wanted, context=place.context) if place.context else self._wanted
        auth = KubeAuth(place, lambda: find(again), self.settings.auth.get("token"))
        http = Http(
            place.server,
            auth=auth,
            connect_s=self._seconds["connect_timeout"],
            read_s=self._seconds["read_timeout"] + WATCH_S,  # so long a watch is silent where nothing changes
            total_s=self._seconds["total_timeout"],
            context=auth.context,
            server_name=place.server_name,
            proxy=place.proxy,
            transport=self._transport,
        )
        spaces = self._named or (place.namespace or "default",)
        self._jobs = Known("jobs", Job, Jobs, spaces)
        self._crons = Known("cronjobs", CronJob, CronJobs, spaces)
        return http, place, auth

    @property
    def _spaces(self) -> tuple[str, ...]:
        place = self._made[1] if self._made else None
        return self._named or ((place.namespace if place else "") or "default",)

    @property
    def _alone(self) -> bool:
        return len(self._spaces) == 1 and self._spaces[0] != ALL

    @property
    def caps(self) -> Caps:
        offers = frozenset({*plans.VERBS, "steps", "log", "items"}) - frozenset(self._lacks)
        return Caps(offers, {**_WHY_NOT, **self._lacks})

    @property
    def notes(self) -> tuple[str, ...]:
        found = [n for known in (self._jobs, self._crons) if known for n in known.notes()]
        if self._pods_note:
            found.append(self._pods_note)
        if self._made is not None and (end := self._made[2].ending(self._made[0].server_time)):
            found.append(end)
        return tuple(dict.fromkeys(found))

    @property
    def spent(self) -> tuple[int, int]:
        return (self._made[0].requests, self._made[0].bytes) if self._made else (0, 0)

    async def close(self) -> None:
        if self._made is not None:
            await self._made[0].close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """Version, who we are, each right that we could use; what is refused everywhere is no longer offered."""
        http = await self._open()
        version, answer = await http.get("/version", Version)
        may = await rights.ask(http, self._spaces)
        self._lacks = rights.lacking(may)
        assert self._made is not None
        _, place, auth = self._made
        name = await rights.who(http) or str(auth.claims().get("sub") or "") or place.credential.user
        warnings = list(self.notes)
        if not place.verify or not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified")
        credential = bool(self.settings.auth.get("token")) or place.credential != Credential(user=place.credential.user)
        if place.server.startswith("http://") and credential and not place.server.startswith(_ONE_HOST):
            warnings.append("the credential travels unencrypted: the server's URL is http://")
        if place.assumed and place.context:
            warnings.append(
                f"no options.context: the kubeconfig's current one is taken at each start, now {place.context}"
            )
        if not any(may.get((ns, rights.JOBS)) is not False for ns in self._spaces):
            warnings.append(f"Jobs may not be listed in {', '.join(self._spaces)}: nothing can be watched")
        return Probe(
            version=words(version.git_version),
            identity=words(name) or None,
            permissions=rights.folded(may),
            server_time=answer.server_time,
            warnings=tuple(map(words, warnings)),
        )

    async def pipelines(self) -> Listing:
        """CronJobs, and Jobs that none of them made, as of the last look at Jobs. Not complete where a part may not be read."""
        http = await self._open()
        assert self._jobs is not None
        assert self._crons is not None
        refused: Forbidden | None = None
        try:
            await self._crons.refresh(http)
        except Forbidden as err:
            refused = err
        if refused is not None or not self._jobs.listed:
            try:
                await self._jobs.refresh(http)
            except Forbidden as err:
                if refused is not None:
                    raise
                refused = err
        source = self.settings.name
        found: dict[str, Pipeline] = {}
        for cron in self._crons.items.values():
            if self._include(states.cron_native(cron)):
                one = states.pipeline_of(cron, source, self._alone)
                found[one.key] = one
        by_age = sorted(self._jobs.items.values(), key=lambda j: wire.ms(j.metadata.creation_timestamp) or 0)
        for job in by_age:
            native = states.native_of(job)
            key = pipeline_key(source, native)
            if self._include(native) and not (key in found and f".{states.CRONJOB}." in native):
                found[key] = states.pipeline_of_job(job, source, self._alone)
        complete = refused is None and not self._crons.refused and not self._jobs.refused
        return Listing(tuple(found.values()), complete, http.server_time)

    async def items(self) -> Sequence[SourceItem]:
        http = await self._open()
        return await items.items(http, self._spaces, self._label())

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Active Jobs, and those that changed since ``cursor``; None, or a cursor of another process: all that there are.

        A Job that was deleted while it was watched and had not ended is STOPPED; one that went unseen is not named.
        """
        http = await self._open()
        assert self._jobs is not None
        known = read_cursor(cursor, _Cursor)
        if known.who != self._who:
            known = _Cursor(self._who)
        if not known.more:
            await self._jobs.refresh(http)
            await self._look_at_pods(http)
        now, source = http.server_time, self.settings.name
        active = [j for j in self._jobs.items.values() if not states.state_of(j)[1].terminal]
        if active_only:
            return Page(tuple(self._runs(active, now)), cursor, True, now)
        numbers = self._jobs.numbers
        changed = sorted((n, key) for key, n in numbers.items() if n > known.n)
        gone = sorted((n for n, _ in self._jobs.gone if n > known.n))
        rest = len(changed) > RUNS_A_PAGE
        changed = changed[:RUNS_A_PAGE]
        upto = changed[-1][0] if rest else self._jobs.number
        named = [self._jobs.items[key] for _, key in changed]
        out: dict[str, Run] = {}
        if not rest:
            if gone:
                for number, job in self._jobs.gone:
                    if number > known.n and self._include(states.native_of(job)):
                        run = states.deleted_run(job, source, now)
                        out[run.key] = run
            named += active
        out |= {run.key: run for run in self._runs(named, now)}
        return Page(tuple(out.values()), write_cursor(_Cursor(self._who, upto, rest)), not rest, now)

    def _runs(self, found: Sequence[Job], now: int | None) -> list[Run]:
        return [self._run(j, now) for j in found if self._include(states.native_of(j))]

    def _run(self, job: Job, now: int | None) -> Run:
        sub = self._subs.get(job.metadata.uid) if states.state_of(job)[1] is not State.SUCCESS else None
        return states.run_of(job, self.settings.name, sub, now)

    def _include(self, native: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(native, g) for g in globs)

    def _label(self) -> str:
        """That all pods of Jobs carry: the older one where any Job at work was made before Kubernetes 1.27."""
        for job in self._jobs.items.values() if self._jobs else ():
            template = job.what.template
            labels = (template.metadata.labels if template and template.metadata else None) or {}
            if (job.now.active or 0) and wire.JOB_NAME not in labels:
                return wire.OLD_JOB_NAME
        return wire.JOB_NAME

    async def _look_at_pods(self, http: Http) -> None:
        """What pods say of Jobs that are at work, and of those that failed lately. A nicety: without the right to read pods the
        Jobs are told all the same, and that is said."""
        assert self._jobs is not None
        active = {j.metadata.namespace for j in self._jobs.items.values() if j.now.active}
        spaces = [ns for ns in self._spaces if (ns == ALL and active) or ns in active]
        said: dict[str, str] = {}
        try:
            if spaces:
                said |= pods.said_of(await items.active_pods(http, spaces, self._label()))
            said |= await self._why(http)
        except (Forbidden, NotFound) as err:
            self._pods_note = words(f"why Jobs wait or fail is not told: {err.what}")
            return
        self._pods_note = None
        kept = {j.metadata.uid for j in self._jobs.items.values() if j.now.true("Failed") is not None}
        self._subs = {uid: word for uid, word in self._subs.items() if uid in kept} | said

    async def _why(self, http: Http) -> dict[str, str]:
        """Of Jobs that failed in the last two days and were not asked about, the newest first: one question a namespace."""
        assert self._jobs is not None
        now = http.server_time
        fresh: dict[str, list[tuple[int, Job]]] = {}
        for job in self._jobs.items.values():
            ended = states.ended_of(job)
            lately = ended is not None and (now is None or ended > now - states.RECENT_MS)
            if job.now.true("Failed") is not None and lately and job.metadata.uid not in self._asked_why:
                fresh.setdefault(job.metadata.namespace, []).append((ended or 0, job))
        out: dict[str, str] = {}
        for namespace, found in sorted(fresh.items(), key=lambda f: -max(at for at, _ in f[1]))[:1]:
            found.sort(key=lambda f: -f[0])
            mine = [job for _, job in found[:ASKED_WHY]]
            names = ",".join(job.metadata.name for job in mine)
            asked: dict[str, str | int] = {"labelSelector": f"{wire.OLD_JOB_NAME} in ({names})"}
            out |= pods.said_of(await reads.selected(http, namespace, asked))
            self._asked_why |= {job.metadata.uid for job in mine}
        there = {j.metadata.uid for j in self._jobs.items.values()}
        self._asked_why &= there
        return out

    async def read(self, key: str) -> Pipeline | Run:
        """One CronJob or Job as it is now."""
        parsed = own_key(key, self.settings.name)
        namespace, kind, name = states.split_pipeline(parsed.pipeline)
        http = await self._open()
        if parsed.run is not None:
            job, answer = await reads.job(http, parsed)
            return self._run(job, answer.server_time)
        if kind == states.CRONJOB:
            return states.pipeline_of(await reads.cron(http, namespace, name), self.settings.name, self._alone)
        return states.pipeline_of_job(await reads.latest_job(http, namespace, name), self.settings.name, self._alone)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """None beside what is listed, see ``caps``."""
        return ()

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """Containers of the pods of a Job, each start of them that is still told of."""
        key = own_key(run, self.settings.name, "run")
        states.split_pipeline(key.pipeline)
        http = await self._open()
        job, _ = await reads.job(http, key)
        return pods.steps(job, run, await reads.pods_of(http, job))

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        key = own_key(step, self.settings.name, "step")
        states.split_pipeline(key.pipeline)
        return await logs.log(await self._open(), key, attempt, cursor)

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        key = own_key(action.key, self.settings.name)
        states.split_pipeline(key.pipeline)
        if not self.caps.can(action.verb):
            raise Unsupported(self.caps.why(action.verb))
        http = await self._open()
        try:
            made = await plans.prepare(http, key, action)
        except AdapterError as err:  # names come from outside
            err.what = http.words(err.what)
            err.args = (err.what,)
            raise
        return replace(made, effect=words(made.effect), proof=words(made.proof), note=_clean(made.note))

    async def send(self, prepared: Prepared) -> SendResult:
        http = await self._open()
        said = await acts.send(http, self.settings.name, prepared)
        return replace(said, words=http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        http = await self._open()
        found = await acts.reconcile(http, self.settings.name, prepared)
        return replace(found, words=http.words(found.words))


# --- small things ---------------------------------------------------------------------------------------------------


def _clean(note: str) -> str:
    """Clause by clause, so that none of a long note is cut off."""
    return "; ".join(words(part) for part in note.split("; ") if part)


def _options(settings: SourceSettings) -> tuple[dict[str, float], Wanted, tuple[str, ...]]:
    """Each option typed and checked; what is wrong is one sentence."""
    seconds, given = dict(_SECONDS), settings.options
    for name, value in given.items():
        if name in seconds:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 600:
                raise Unsupported(
                    f"option {name!r} of the kubernetes adapter is a number of seconds up to 600, not {value!r}"
                )
            seconds[name] = float(value)
        elif name in ("kubeconfig", "context"):
            if not isinstance(value, str) or not value:
                raise Unsupported(f"option {name!r} of the kubernetes adapter is a text, not {value!r}")
        elif name == "in_cluster":
            if not isinstance(value, bool):
                raise Unsupported(f"option 'in_cluster' of the kubernetes adapter is true or false, not {value!r}")
        elif name == "namespaces":
            _check_namespaces(value)
        else:
            known = ", ".join((*_OTHER, *seconds))
            raise Unsupported(f"the kubernetes adapter has no option {name!r}; it has {known}")
    odd = [name for name in settings.auth if name != "token"]
    if odd:
        raise Unsupported(f"the kubernetes adapter knows auth.token and not auth.{odd[0]}: the rest is in a kubeconfig")
    if given.get("in_cluster") and (given.get("kubeconfig") or given.get("context")):
        raise Unsupported("options.in_cluster of the kubernetes adapter goes without kubeconfig and context")
    file = given.get("kubeconfig")
    wanted = Wanted(
        url=settings.url,
        kubeconfig=settings.config_folder / Path(file).expanduser() if file else None,
        context=str(given.get("context", "")),
        in_cluster=bool(given.get("in_cluster")),
        ca=settings.tls_ca,
        verify=settings.tls_verify,
    )
    return seconds, wanted, tuple(given.get("namespaces", ()))


def _check_namespaces(value: Any) -> None:
    good = isinstance(value, list | tuple) and bool(value) and all(isinstance(v, str) and v for v in value)
    if not good:
        raise Unsupported(f"option 'namespaces' of the kubernetes adapter is a list of names, not {value!r}")
    if len(set(value)) != len(value) or (ALL in value and len(value) > 1):
        raise Unsupported("option 'namespaces' of the kubernetes adapter names each once, or \"*\" alone")
    if any(v != ALL and not all(c.isalnum() or c == "-" for c in v) for v in value):
        raise Unsupported(f"option 'namespaces' of the kubernetes adapter has a name that is none: {value!r}")
