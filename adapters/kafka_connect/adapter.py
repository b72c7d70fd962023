"""Kafka Connect: what its workers say about connectors and tasks. What is done to them is in ``acts``, what a run is in ``lives``.

A poll is one request, whatever the number of connectors; a second one only where a connector vanished. Nothing here reads a
clock.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from adapters.auth import HeaderAuth
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
from adapters.errors import AdapterError, NotFound, Unsupported
from adapters.extras import SourceItem, Standing
from adapters.http import Http, words
from adapters.kafka_connect import acts, lives, reads
from adapters.kafka_connect.lives import Cursor, Life
from adapters.kafka_connect.wire import FAILED, Entry, Status, pipeline_of
from adapters.model import Caps, Key, LogChunk, Pipeline, Run, StepRun, Verb
from adapters.shared import own_key, read_cursor, write_cursor

_SECONDS: Final[Mapping[str, float]] = {
    "connect_timeout": 5.0,
    "read_timeout": 15.0,
    "total_timeout": 60.0,
    "rebalance_wait": 2.0,
}
_OTHER: Final[Mapping[str, int]] = {"rebalance_retries": 3}
_ONE_RUN: Final = "a connector has one run, its present life; pause and resume the connector"
_NO_BACKFILL: Final = "Kafka Connect has no backfills"
_WHY_NOT: Final[Mapping[str, str]] = {
    Verb.HOLD: _ONE_RUN,
    Verb.RELEASE: _ONE_RUN,
    Verb.RERUN: "a restart of what runs leaves no trace in what Kafka Connect tells: it could not be proved",
    Verb.RERUN_FROM: "tasks of a connector run beside each other; rerun-failed restarts those that failed",
    Verb.MARK: "Kafka Connect has no way to declare a task done or failed",
    Verb.BACKFILL: _NO_BACKFILL,
    Verb.BACKFILL_PAUSE: _NO_BACKFILL,
    Verb.BACKFILL_RESUME: _NO_BACKFILL,
    Verb.BACKFILL_CANCEL: _NO_BACKFILL,
    "history": "Kafka Connect keeps no history of its connectors",
    "assets": "topics are shown on the connector; what becomes of them Kafka Connect does not tell",
    "operations": _NO_BACKFILL,
    "metrics": "its measurements are in JMX; a Prometheus that scrapes them is a source of its own",
}
_OLD: Final = (
    "this Kafka Connect (before 2.3) tells the status of one connector at a time: {} are asked about in turn, {} a poll"
)


class KafkaConnectAdapter(Adapter):
    """One group of workers, by the REST address of any of them. ``options``: ``rebalance_retries`` (how often a call that a
    rebalance refuses is sent again), ``rebalance_wait`` between them, ``connect_timeout``, ``read_timeout``,
    ``total_timeout`` in seconds."""

    kind: ClassVar[str] = "kafka_connect"
    min_poll_s: ClassVar[float] = 5.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        seconds, again = _options(settings.options)
        self._patience = acts.Patience(again, seconds["rebalance_wait"])
        self._auth = HeaderAuth(settings.auth)
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
        self._lives: dict[str, Life] = {}
        """As of the latest poll; empty before the first one."""
        self._old: dict[str, Status | None] | None = None
        """What was told one by one, where all at once is not offered."""
        self._stops: bool | None = None
        self._whole_restart: bool | None = None

    def __repr__(self) -> str:
        return f"KafkaConnectAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        offers = {*acts.VERBS, "steps", "log", "items", "streams"}
        if self._stops is False:
            offers -= {Verb.STOP, Verb.START}
        return Caps(frozenset(offers), {**_WHY_NOT, Verb.STOP: acts.NO_STOP, Verb.START: acts.NO_START})

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self._old is None else (_OLD.format(len(self._old), reads.ONE_BY_ONE),)

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        said, answer = await reads.version(self._http)
        self._whole_restart = reads.restarts_tasks(said.version)
        self._stops = await reads.can_stop(self._http)
        found, _ = await reads.listed(self._http, "status")
        warnings = list(self.notes)
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        if self.settings.auth and urlsplit(self._http.base).scheme == "http" and not _near(self._http.base):
            warnings.append("the credential travels unencrypted: the server's URL is http://")
        if not self._stops:
            warnings.append(acts.NO_STOP)
        if isinstance(found, list) and found:
            warnings.append(_OLD.format(len(found), reads.ONE_BY_ONE))
        return Probe(
            version=words(said.version) or "not told",
            identity=self._auth.user or None,
            permissions={"pipelines": True, **{v: None for v in acts.VERBS if self.caps.can(v)}},
            server_time=answer.server_time,
            warnings=tuple(dict.fromkeys(words(w) for w in warnings)),
        )

    async def pipelines(self) -> Listing:
        found, answer = await reads.listed(self._http, "status", "info")
        if isinstance(found, list):
            old = self._old or {}
            found = {name: Entry(old.get(name)) for name in found}
        source = self.settings.name
        items = tuple(
            pipeline_of(source, n, e.status, e.info, self._rests(n, e.status))
            for n, e in found.items()
            if self._include(n)
        )
        return Listing(items, True, answer.server_time)

    async def items(self) -> Sequence[SourceItem]:
        """Its workers, as far as connectors and tasks name them: one without any is not told by Kafka Connect."""
        found, _, _ = await self._statuses()
        parts: dict[str, list[tuple[str, str | None]]] = {}
        for status in found.values():
            for step, part in status.parts if status else ():
                if part.worker_id:
                    parts.setdefault(part.worker_id, []).append((step, part.state))
        return [_worker(name, parts[name]) for name in sorted(parts)]

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """The present life of every connector, and those that ended since ``cursor``."""
        known = read_cursor(cursor, Cursor)
        fresh = known.v != 1
        before = known.lives if not fresh else dict(self._lives) if active_only else {}
        found, unasked, now = await self._statuses()
        source = self.settings.name
        out: list[Run] = []
        after = {n: life for n, life in before.items() if n in unasked or (life.last == lives.GONE and n not in found)}
        vanished = [name for name in before if name not in found and name not in after]
        there = await reads.names(self._http) if vanished else set[str]()
        for name in vanished:
            if name in there:
                found[name] = None
            else:
                after[name] = lives.gone(before[name], now)
                out.append(lives.ended_run(source, name, after[name]))
        for name, status in found.items():
            after[name], ended = lives.advance(before.get(name), status, now, not fresh)
            if ended is not None:
                out.append(lives.ended_run(source, name, ended))
            out.append(lives.run_of(source, name, after[name], status))
        self._lives = lives.forget(after)
        if active_only:
            return Page(tuple(r for r in out if not r.state.terminal and self._mine(r)), cursor, True, now)
        return Page(tuple(filter(self._mine, out)), write_cursor(Cursor(1, after)), True, now)

    async def _statuses(self) -> tuple[dict[str, Status | None], set[str], int | None]:
        """Of every connector that tells one; before 2.3 as they were told last, some of them anew, and those never asked about."""
        found, answer = await reads.listed(self._http, "status")
        if isinstance(found, dict):
            self._old = None
            told = {name: entry.status for name, entry in found.items() if entry.status is not None}
            return dict[str, Status | None](told), set(), answer.server_time
        if not found:
            return {}, set(), answer.server_time
        old = dict(self._old or {})
        mine = [n for n in found if self._include(n)]
        await reads.one_by_one(self._http, mine, old, reads.ONE_BY_ONE)
        self._old = old
        return dict(old), set(mine) - set(old), answer.server_time

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """None, see ``caps``."""
        return ()

    async def read(self, key: str) -> Pipeline | Run:
        parsed = own_key(key, self.settings.name)
        if parsed.run is None:
            info, _ = await reads.info(self._http, parsed.pipeline)
            status = await self._status_of(parsed)
            rests = self._rests(parsed.pipeline, status)
            return pipeline_of(self.settings.name, parsed.pipeline, status, info, rests)
        life = self._life(parsed)
        if life.last == lives.GONE:
            return lives.ended_run(self.settings.name, parsed.pipeline, life)
        status = await self._status_of(parsed)
        if status is None:
            await reads.info(self._http, parsed.pipeline)  # NotFound where the connector is not there either
        now = self._http.server_time
        seen, _ = lives.advance(life, status, now, False)
        if seen.n != life.n:  # came back since the last poll, which will tell
            return lives.ended_run(self.settings.name, parsed.pipeline, life)
        if seen.last != life.last:
            seen.ended = None  # when, the next poll will say
        return lives.run_of(self.settings.name, parsed.pipeline, seen, status)

    async def _status_of(self, key: Key) -> Status | None:
        """None: the connector itself says that it has no status."""
        try:
            return (await reads.status(self._http, key.pipeline))[0]
        except NotFound as err:
            if not reads.names_it(err, key.pipeline):
                raise
        return None

    def _rests(self, name: str, status: Status | None) -> bool:
        known = self._lives.get(name)
        return known is not None and lives.rests(known, status)

    def _life(self, key: Key) -> Life:
        """The life that a key names; before the first poll any is taken for the present one. NotFound for one that is over."""
        number = lives.number_of(key.run or "")
        known = self._lives.get(key.pipeline)
        if known is None:
            return Life(number)
        if known.n != number:
            raise NotFound(words(f"{key.run} of {key.pipeline} is over: the present one is life-{known.n}"))
        return known

    def _include(self, name: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(name, g) for g in globs)

    def _mine(self, run: Run) -> bool:
        return not self.settings.include or self._include(own_key(run.key, self.settings.name).pipeline)

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """The connector's own instance and its tasks as they are now; of a life that is over Kafka Connect tells nothing."""
        key = own_key(run, self.settings.name, "run")
        life = self._life(key)
        status, _ = await reads.status(self._http, key.pipeline)
        return lives.steps_of(run, status, self._tries(life, status))

    @staticmethod
    def _tries(life: Life, status: Status) -> Mapping[str, int]:
        return lives.advance(life, status, None, False)[0].tries

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """The trace of its failure. It never ends: another failure has another trace, which is put below."""
        key = own_key(step, self.settings.name, "step")
        life = self._life(key)
        status, _ = await reads.status(self._http, key.pipeline)
        part = dict(status.parts).get(key.step or "")
        if part is None:
            raise NotFound(words(f"connector {key.pipeline} has no {key.step} now"))
        present = self._tries(life, status).get(key.step or "", 0) + 1
        if key.pipeline in self._lives and attempt < present:
            return LogChunk(b"", cursor, True, "Kafka Connect keeps the trace of the present failure only")
        return _since(part.trace or "", cursor)

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        if action.verb not in acts.VERBS:
            raise Unsupported(_WHY_NOT.get(action.verb, f"{action.verb} is not offered for Kafka Connect"))
        key = own_key(action.key, self.settings.name, "run" if action.verb in (Verb.STOP, Verb.RERUN_FAILED) else "")
        if key.run is not None:
            self._life(key)
        if action.verb in (Verb.STOP, Verb.START) and self._stops is None:
            self._stops = await reads.can_stop(self._http)
        if not self.caps.can(action.verb):
            raise Unsupported(self.caps.why(action.verb))
        status, _ = await reads.status(self._http, key.pipeline)
        if action.verb is Verb.RERUN_FAILED and self._whole_restart is None:
            self._whole_restart = reads.restarts_tasks((await reads.version(self._http))[0].version)
        try:
            made = acts.prepare(
                self._http,
                key,
                action,
                status,
                whole_restart=bool(self._whole_restart),
                masked=bool(self.settings.auth),
            )
        except AdapterError as err:  # names come from outside
            err.what = self._http.words(err.what)
            err.args = (err.what,)
            raise
        return replace(made, effect=words(made.effect), proof=words(made.proof))

    async def send(self, prepared: Prepared) -> SendResult:
        said = await acts.send(self._http, prepared, self._patience)
        return replace(said, words=self._http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        found = await acts.reconcile(self._http, prepared)
        return replace(found, words=self._http.words(found.words))


# --- small things ---------------------------------------------------------------------------------------------------


class _Read(msgspec.Struct):
    """How much of which trace was read."""

    size: int = 0
    of: str = ""


def _since(trace: str, cursor: str | None) -> LogChunk:
    """What is new of a trace; another one than was read before comes whole, below a blank line."""
    data = trace.encode("utf-8", "replace")
    known = read_cursor(cursor, _Read)
    note = (
        None
        if data
        else "no trace: Kafka Connect tells that of a failure and no other log; the workers' own logs are not in its API"
    )
    if not data:
        return LogChunk(b"", cursor, False, note)
    same = _digest(data[: known.size]) == known.of
    new = data[known.size :] if same else data + b"\n"
    if not same and known.size:
        new = b"\n" + new
    return LogChunk(new, write_cursor(_Read(len(data), _digest(data))), False, None)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _worker(name: str, parts: Sequence[tuple[str, str | None]]) -> SourceItem:
    """``parts``: step and state of what it is said to carry."""
    connectors = sum(not step.startswith("task-") for step, _ in parts)
    tasks = len(parts) - connectors
    counts = Counter(words(state or "?") for _, state in parts if state != "RUNNING")
    said = [f"{connectors} connector{'' if connectors == 1 else 's'}", f"{tasks} task{'' if tasks == 1 else 's'}"]
    said += [f"{n} {word}" for word, n in sorted(counts.items())]
    left = counts.get("UNASSIGNED", 0) == len(parts)
    what = "left?" if left else FAILED if counts.get(FAILED) else ""
    if left:
        said.append("nothing of it is assigned: it may have left")
    return SourceItem(
        kind="component",
        name=words(name),
        standing=Standing.WARNING if what else Standing.FINE,
        words=(f"{what}: " if what else "") + ", ".join(said),
    )


def _near(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _options(given: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """Each option typed and checked; Unsupported with one sentence."""
    seconds, again = dict(_SECONDS), _OTHER["rebalance_retries"]
    for name, value in given.items():
        if name in seconds:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 600:
                raise Unsupported(
                    f"option {name!r} of the kafka_connect adapter is a number of seconds up to 600, not {value!r}"
                )
            seconds[name] = float(value)
        elif name == "rebalance_retries":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10:
                raise Unsupported(
                    f"option 'rebalance_retries' of the kafka_connect adapter is a number up to 10, not {value!r}"
                )
            again = value
        else:
            known = ", ".join((*_OTHER, *seconds))
            raise Unsupported(f"the kafka_connect adapter has no option {name!r}; it has {known}")
    return seconds, again
