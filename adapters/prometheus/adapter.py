"""A Prometheus, or what speaks its query API: hosts of a fleet and the answers to ``[[series]]``. It runs nothing.

A poll asks one trivial query, so that it is known whether it answers; measuring is two requests more: one union for all
hosts, one union for all named queries. A query that the server refuses is asked by itself from then on, ever less often, so
that it spoils no other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from adapters.auth import HeaderAuth
from adapters.base import Listing, Probe, SourceSettings
from adapters.errors import AdapterError, BadResponse, NotFound
from adapters.extras import Readings, SeriesInfo, SeriesQuery
from adapters.http import Http
from adapters.measuring import MeasuringAdapter
from adapters.model import Caps, Sample, Verb
from adapters.prometheus import fleet
from adapters.prometheus.wire import (
    Api,
    Labels,
    QueryRefused,
    Reading,
    Result,
    clause,
    harmless,
    labelled,
    one_of,
    shown,
    slip,
)

MOST_A_QUERY: Final = 50
"""Series that one ``[[series]]`` may give."""
A_BATCH: Final = 30
"""Named queries in one union."""
FIND_S: Final = 600.0
"""Between two looks at which jobs scrape hosts."""
REFUSED_S: Final = (60.0, 600.0)
"""After a refusal, and at most: when that query is asked again."""
PREFIXES: Final = ("/prometheus", "/api/prom", "/select/0/prometheus")
"""Where the query API lies elsewhere: Mimir and Cortex, old Cortex, a VictoriaMetrics cluster. Looked at only to say it."""


@dataclass(slots=True)
class _Query:
    """What was learnt of one query: ``scalar`` must be made a vector for a union; a refused one rests until ``again``."""

    scalar: bool = False
    why: str = ""
    tries: int = 0
    again: float = 0.0
    split: frozenset[str] = frozenset()
    """Labels that told its series apart when there were several."""


class PrometheusAdapter(MeasuringAdapter):
    """``options``: ``fleet`` = matchers that tell the hosts of the fleet, like ``'job="node"'`` (false: none; default: the jobs
    that scrape hosts, found out); ``host_label`` (``instance``); ``rate`` (``2m``, at least four scrape intervals);
    ``max_series`` of the fleet (2000); ``tenant`` (X-Scope-OrgID); ``query_timeout``, ``connect_timeout``, ``read_timeout``,
    ``total_timeout`` in seconds."""

    kind: ClassVar[str] = "prometheus"
    nothing: ClassVar[str] = "Prometheus measures; it runs nothing"

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        o = Options.read(settings.options)
        self._options = o
        self._auth = HeaderAuth(settings.auth)
        self._http = Http(
            settings.url,
            auth=self._auth,
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=o.connect_timeout,
            read_s=o.read_timeout,
            total_s=o.total_timeout,
            transport=transport,
        )
        self._api = Api(self._http, {"X-Scope-OrgID": o.tenant} if o.tenant else {}, f"{o.query_timeout:g}s")
        self._known: dict[str, _Query] = {}
        self._jobs: tuple[str, ...] = ()
        self._values: dict[str, None] = {}
        """Of the host's label, as seen so far."""
        self._find_due = 0.0
        self._notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"PrometheusAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def caps(self) -> Caps:
        views = ("steps", "log", "history", "items", "assets", "operations")
        return Caps(frozenset({"metrics", "metrics-past"}), dict.fromkeys((*Verb, *views), self.nothing))

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        return slip(text)

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        try:
            answer = await self._api.now("vector(1)")
        except (NotFound, BadResponse) as error:
            if error.status == 404:
                await self._say_where(error)
            raise
        version, _ = await self._api.version()
        warnings = list(answer.warnings)
        await self._find(force=True)
        if self._options.fleet is None and not self._jobs:
            warnings.append(
                "no job here scrapes hosts (node_exporter, windows_exporter): no hosts of a fleet are shown"
            )
        elif self._options.fleet != "":
            warnings += await self._say_hosts()
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        return Probe(
            version=version or "not told",
            identity=self._auth.user or (f"tenant {self._options.tenant}" if self._options.tenant else None),
            permissions={"metrics": True},
            server_time=answer.server_time,
            warnings=tuple(warnings),
        )

    async def _say_hosts(self) -> list[str]:
        matchers = self._matchers()
        found = await self._api.now(f"count(up{{{matchers}}})")
        n = int(found.readings[0].points[0][1]) if found.readings else 0
        return (
            [] if n else [f"no host of the fleet is known: up{{{harmless(matchers)}}} has no data; see options.fleet"]
        )

    async def _say_where(self, error: AdapterError) -> None:
        """Nothing lies at this URL: where else it may lie, for the person who wrote it."""
        for prefix in PREFIXES:
            if self._http.base.endswith(prefix):
                continue
            answer = await self._http.request("GET", f"{prefix}/api/v1/status/buildinfo")
            if answer.status == 200 and not answer.html:
                raise NotFound(error.what, f"the query API lies below: write url = {self._http.base}{prefix}")
        raise NotFound(error.what, "the url must end where /api/v1/query begins (Mimir: …/prometheus)")

    async def pipelines(self) -> Listing:
        return Listing((), True, self._http.server_time)

    async def alive(self) -> int | None:
        return (await self._api.now("vector(1)")).server_time

    # --- what is measured -------------------------------------------------------------------------------------------

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        failed: dict[str, str] = {}
        said: dict[str, None] = {}
        found: list[Sample] = []
        about: list[SeriesInfo] = []
        await self._find()
        if self._wants_hosts:
            try:
                hosts, infos = await self._hosts(failed, said)
                found += hosts
                about += infos
            except QueryRefused as error:
                failed[""] = harmless(f"the hosts: {error.what}")
        found += await self._named(queries, failed, said)
        notes = [text for name, text in failed.items() if not name]
        notes += [f"partly answered: {text}" for text in said]
        self._notes = tuple(map(harmless, notes))
        return Readings(
            samples=tuple(found),
            failed=failed,
            about=tuple(about),
            warnings=tuple(said),
            server_time=self._http.server_time,
        )

    async def past_samples(self, query: SeriesQuery | None, since: int, until: int, step_ms: int) -> Sequence[Sample]:
        last = until - step_ms
        if query is None:
            if not self._wants_hosts:
                return ()
            readings = await self._range(self._fleet_query(fleet.METRICS[1:]), since, last, step_ms)
            return fleet.samples(readings, self._options.host_label, self._names(readings))[0]
        readings = await self._range(query.text, since, last, step_ms)
        if len(readings) > MOST_A_QUERY:
            raise BadResponse(_too_many(len(readings)))
        return self._as_series(query, readings, self._state(query.text))

    async def _range(self, query: str, since: int, last: int, step_ms: int) -> Sequence[Reading]:
        if last < since:
            return ()
        return (await self._api.range(query, since, last, step_ms)).readings

    # --- hosts ------------------------------------------------------------------------------------------------------

    @property
    def _wants_hosts(self) -> bool:
        return self._options.fleet != "" and (self._options.fleet is not None or bool(self._jobs))

    def _matchers(self) -> str:
        return self._options.fleet if self._options.fleet is not None else f"job=~{one_of(self._jobs)}"

    def _fleet_query(self, metrics: Sequence[fleet.Metric]) -> str:
        return fleet.union(metrics, self._options.host_label, self._matchers(), self._options.rate)

    def _names(self, readings: Sequence[Reading]) -> Mapping[str, str]:
        """A host is called the same in the past and now, also while others of its name are away."""
        label = self._options.host_label
        self._values |= dict.fromkeys(r.labels[label] for r in readings if r.labels.get(label))
        return fleet.names(self._values)

    async def _find(self, force: bool = False) -> None:
        """Which jobs scrape hosts; those once found stay: when all of their hosts are down they must still be said."""
        if self._options.fleet is not None or (not force and _now() < self._find_due):
            return
        try:
            found = await self._api.now(f'count by (job) (count_over_time({{__name__=~"{fleet.SIGNS}"}}[1h]))')
        except QueryRefused:  # some give up on it; what is there now they tell all the same
            found = await self._api.now(f'count by (job) ({{__name__=~"{fleet.SIGNS}"}})')
        self._jobs = tuple(sorted({*self._jobs, *(r.labels["job"] for r in found.readings if r.labels.get("job"))}))
        self._find_due = _now() + FIND_S

    async def _hosts(self, failed: dict[str, str], said: dict[str, None]) -> tuple[list[Sample], list[SeriesInfo]]:
        """One request; where the union is refused each metric by itself, and which one it was is said."""
        readings: list[Reading] = []
        try:
            result = await self._api.now(self._fleet_query(fleet.METRICS))
            readings += result.readings
            said |= dict.fromkeys(result.warnings)
        except QueryRefused:
            refused: list[str] = []
            why = ""
            for metric in fleet.METRICS:
                try:
                    readings += (await self._api.now(self._fleet_query([metric]))).readings
                except QueryRefused as error:
                    refused.append(metric.name)
                    why = error.what
                    if metric.name == "up":  # it drives the rest
                        raise
            if refused:
                failed[""] = harmless(f"of the hosts {', '.join(refused)} is refused: {why}")
        most = self._options.max_series
        if len(readings) > most:
            hosts = len({r.labels.get(self._options.host_label) for r in readings})
            failed[""] = (
                f"the fleet gives {len(readings):,} series of {hosts:,} hosts, at most {most:,} are taken: narrow it with"
                ' options.fleet (\'job="node",env="prod"\') or raise options.max_series'
            )
            return [], []
        if not readings:
            failed[""] = f"no host of the fleet: up{{{harmless(self._matchers())}}} has no data"
        label = self._options.host_label
        known = self._names(readings)
        if readings and not known:
            failed[""] = f"no host has the label {label}: see options.host_label"
        return fleet.samples(readings, label, known)

    # --- named queries ----------------------------------------------------------------------------------------------

    async def _named(
        self, queries: Sequence[SeriesQuery], failed: dict[str, str], said: dict[str, None]
    ) -> list[Sample]:
        self._known = {q.text: self._state(q.text) for q in queries}
        now = _now()
        good = [q for q in queries if not self._state(q.text).why]
        found: list[Sample] = []
        for start in range(0, len(good), A_BATCH):
            found += await self._batch(good[start : start + A_BATCH], failed, said)
        for query in queries:
            state = self._state(query.text)
            if state.why and query not in good:
                if now >= state.again:
                    found += await self._alone(query, failed, said)
                else:
                    failed[query.name] = state.why
        return found

    async def _batch(
        self, queries: Sequence[SeriesQuery], failed: dict[str, str], said: dict[str, None]
    ) -> list[Sample]:
        """One union of queries that answer; one that does not is found by asking each."""
        if len(queries) == 1:
            return await self._alone(queries[0], failed, said)
        parts = [
            labelled(f"vector(\n{q.text}\n)" if self._state(q.text).scalar else q.text, fleet.MARK, f"q{i}")
            for i, q in enumerate(queries)
        ]
        try:
            result = await self._api.now("\nor ".join(parts))
        except QueryRefused:
            out: list[Sample] = []
            for query in queries:
                out += await self._alone(query, failed, said)
            return out
        said |= dict.fromkeys(result.warnings)
        found: list[Sample] = []
        for i, query in enumerate(queries):
            mine = tuple(_unmarked(r) for r in result.readings if r.labels.get(fleet.MARK) == f"q{i}")
            odd = tuple(labels for labels in result.odd if labels.get(fleet.MARK) == f"q{i}")
            found += self._taken(query, Result(mine, False, odd, (), None), failed)
        return found

    async def _alone(self, query: SeriesQuery, failed: dict[str, str], said: dict[str, None]) -> list[Sample]:
        state = self._state(query.text)
        try:
            result = await self._api.now(query.text)
        except QueryRefused as error:
            state.tries += 1
            state.why = failed[query.name] = harmless(f"the query is refused: {error.what}")
            state.again = _now() + min(REFUSED_S[0] * 2 ** (state.tries - 1), REFUSED_S[1])
            return []
        state.why, state.tries, state.scalar = "", 0, result.scalar
        said |= {f"{query.name}: {text}": None for text in result.warnings}
        return self._taken(query, result, failed)

    def _taken(self, query: SeriesQuery, result: Result, failed: dict[str, str]) -> list[Sample]:
        if len(result.readings) > MOST_A_QUERY:
            failed[query.name] = _too_many(len(result.readings))
            return []
        if not result.readings:
            failed[query.name] = clause(result, "it")
        return self._as_series(query, result.readings, self._state(query.text))

    def _state(self, text: str) -> _Query:
        return self._known.setdefault(text, _Query())

    def _as_series(self, query: SeriesQuery, readings: Sequence[Reading], state: _Query) -> list[Sample]:
        """One answer has the query's name; of several each has the labels that tell them apart, and keeps them from then on."""
        if len(readings) > 1:
            values: dict[str, set[str | None]] = {}
            for label in {label for r in readings for label in r.labels}:
                values[label] = {r.labels.get(label) for r in readings}
            state.split |= {label for label, seen in values.items() if len(seen) > 1}
        out: list[Sample] = []
        taken: set[str] = set()
        for reading in readings:
            name = query.name + _labels(reading, state.split)
            if name in taken:  # cut short, or differing in nothing that is shown
                name = f"{name[:-1]},{len(taken) + 1}}}"
            taken.add(name)
            out += [Sample(name, t, value, query.unit) for t, value in reading.points]
        return out


def _labels(reading: Reading, split: frozenset[str]) -> str:
    told: Labels = tuple((k, v) for k, v in sorted(reading.labels.items()) if k in split)
    return "{" + ",".join(f"{k}={shown(v)}" for k, v in told) + "}" if told else ""


def _unmarked(reading: Reading) -> Reading:
    return Reading({k: v for k, v in reading.labels.items() if k != fleet.MARK}, reading.points)


def _too_many(n: int) -> str:
    return f"it gives {n:,} series, at most {MOST_A_QUERY} are kept: write sum by (LABEL) (…), max(…) or topk({MOST_A_QUERY}, …)"


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Options:
    """``options`` of a source of this kind, checked; see ``PrometheusAdapter``."""

    fleet: str | None = None
    """None: found out; "": none."""
    host_label: str = "instance"
    rate: str = "2m"
    max_series: int = 2000
    tenant: str = ""
    query_timeout: float = 20.0
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    total_timeout: float = 40.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """ValueError says in one sentence what is wrong."""
        known = {name: kind for name, kind in cls.__annotations__.items()}
        out: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"options: unknown key {name!r}; known: {', '.join(sorted(known))}")
            if name == "fleet" and value is False:
                value = ""
            elif name.endswith("_timeout"):
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 300:
                    raise ValueError(f"options.{name}: expected seconds, more than 0 and at most 300, got {value!r}")
                value = float(value)
            elif name == "max_series":
                if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5000:
                    raise ValueError(f"options.max_series: expected a number from 1 to 5000, got {value!r}")
            elif not isinstance(value, str) or not value.strip():
                more = " or false" if name == "fleet" else ""
                raise ValueError(f"options.{name}: expected a text{more}, got {value!r}")
            out[name] = value
        found = cls(**out)
        if not re.fullmatch(r"[a-zA-Z_]\w*", found.host_label):
            raise ValueError(f"options.host_label: expected the name of a label, got {found.host_label!r}")
        if not re.fullmatch(r"(\d+(ms|[smhdwy]))+", found.rate):
            raise ValueError(f"options.rate: expected a duration like 2m, got {found.rate!r}")
        wrong = slip(found.fleet) if found.fleet else None
        if wrong or (found.fleet and "{" in found.fleet):
            raise ValueError(f"options.fleet: expected matchers like 'job=\"node\"', {wrong or 'without braces'}")
        if not found.tenant.isprintable():
            raise ValueError("options.tenant: expected printable text")
        return found
