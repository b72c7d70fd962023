"""A server shaped like Prometheus 2.42, for tests: it keeps hosts, answers the query API, and has bad days on a switch.

It is no PromQL engine. A query is a union (``a or b``) of parts, each perhaps marked by ``label_replace``; a part is answered
if it is one of ``answers`` (the tests' own queries), ``vector(1)``, or one of the expressions about hosts that it knows by the
metric in it. Anything else is refused with 400 as a parse error, so that an invented query cannot pass; a path or a
parameter that the API does not have is 500, and is logged in ``strange``.

    with PrometheusLike() as server:
        server.hosts["etl-1:9100"] = Host(cpu=31.0)
        server.answers["max(lag)"] = [({}, 12.0)]
        server.fault = "500"
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays

Vector = list[tuple[dict[str, str], float]]
FAULTS = COMMON | {"404-html", "502", "missing-fields", "timeout", "no-post"}
PARAMS = {
    "/api/v1/query": {"query", "time", "timeout"},
    "/api/v1/query_range": {"query", "start", "end", "step", "timeout"},
    "/api/v1/status/buildinfo": set[str](),
}
_MARKED = re.compile(r'label_replace\(\n(.*?)\n, "(\w+)", "([\w.]+)", "", ""\)', re.S)
_METRICS: dict[str, tuple[str, str]] = {
    # a name that stands in the expression: the host's field, whether several per host
    "up": ("up", ""), "node_cpu_seconds_total": ("cpu", ""), "node_memory_MemAvailable_bytes": ("mem", ""),
    "node_memory_SwapFree_bytes": ("swap", ""), "node_filesystem_avail_bytes": ("disk", "mountpoint"), "iowait": ("io", ""),
    "node_load1": ("load1", ""), "node_network_receive_bytes_total": ("rx", ""), "node_network_transmit_bytes_total": ("tx", ""),
    "node_pressure_cpu_waiting_seconds_total": ("psi", ""), "node_pressure_memory_stalled_seconds_total": ("psi", ""),
    "node_pressure_io_stalled_seconds_total": ("psi", ""),
}  # fmt: skip


class Refused(Exception):
    def __init__(self, status: int, kind: str, words: str) -> None:
        super().__init__(words)
        self.status, self.kind, self.words = status, kind, words


@dataclass
class Host:
    """What its exporter says; ``up`` False: nothing, but that it is down. None: it has no such thing."""

    up: bool = True
    job: str = "node"
    cpu: float | None = 12.0
    mem: float | None = 40.0
    swap: float | None = None
    io: float | None = 1.0
    load1: float | None = 0.5
    rx: float | None = 1000.0
    tx: float | None = 2000.0
    psi: float | None = 0.1
    disk: dict[str, float] = field(default_factory=lambda: {"/": 55.0})


@dataclass
class Seen:
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    size: int
    status: int = 0


class PrometheusLike(BadDays):
    """See the module. One lock guards the state; time is ``time.time() + skew_s``."""

    FAULTS = FAULTS
    METHODS = frozenset({"GET", "POST"})

    def __init__(
        self, *, user: str = "ops", password: str = "pa55-of-the-test", token: str = "", prefix: str = ""
    ) -> None:
        super().__init__()
        self.user, self.password, self.token, self.prefix = user, password, token, prefix
        self.hosts: dict[str, Host] = {}
        self.answers: dict[str, Vector | float | Refused] = {}
        """The tests' own queries; a float is a scalar."""
        self.warnings: list[str] = []
        self.past: Callable[[float], float] | None = None
        """Value at a time (s) of every series, for ranges; None: what it is now."""
        self.slow_s = 0.1
        self.only: str = ""
        """The fault hits only requests in whose query this stands."""
        self.tenant = ""
        self.version = "2.42.0"
        self.requests: list[Seen] = []
        self.strange: list[str] = []

    # --- life -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return super().url + self.prefix

    @property
    def secrets(self) -> list[str]:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [s for s in (self.password, pair, self.token) if s]

    def bad_day(self, fault: str | None, only: str = "") -> None:
        self.only = only
        self.fault = fault

    # --- answers ----------------------------------------------------------------------------------------------------

    def seen(self, asked: Asked) -> Seen:
        headers = {"-".join(part.capitalize() for part in k.split("-")): v for k, v in asked.headers.items()}
        return Seen(asked.method, asked.path, _params(asked), headers, len(asked.raw))

    def hits(self, asked: Asked) -> bool:
        return self.only in _params(asked).get("query", "")

    def changes(self, asked: Asked) -> bool:
        return False

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        match fault:
            case "404-html":
                return 404, "<html>nginx</html>"
            case "404":
                return 404, "404 page not found\n"
            case "401" | "403" | "409" | "500" | "502":
                return int(fault), "no, because \x1b[31mof " + self.password
            case "503":
                return 503, "upstream is away", {"Retry-After": "7"}
            case "429" | "429-after" | "429-date":
                return 429, "slow down"
            case "no-post" if asked.method == "POST":
                return 405, "Method Not Allowed"
            case "shape" | "empty":
                return None  # known to be of its kind, and nothing in it
        return super().canned(fault, asked)

    def answer_to(self, asked: Asked) -> Answer:
        with self.lock:
            status, answer = self._answer(asked, _params(asked))
        return status, "404 page not found\n" if answer is None else answer

    def _answer(self, asked: Asked, params: Mapping[str, str]) -> tuple[int, Any]:
        path = asked.path
        if not self._known(asked):
            return 401, {"status": "error", "errorType": "unauthorized", "error": "no"}
        if not path.startswith(self.prefix):
            return 404, None
        path = path.removeprefix(self.prefix)
        if path not in PARAMS:
            if path.endswith("/api/v1/status/buildinfo"):  # looked for below another prefix: not here
                return 404, None
            self.strange.append(path)
            return 500, {"status": "error", "error": f"no such path {path}"}
        if odd := set(params) - PARAMS[path]:
            self.strange.append(f"{path} {sorted(odd)}")
            return 500, {"status": "error", "error": f"no such parameter {sorted(odd)}"}
        if path.endswith("buildinfo"):
            if not self.version:
                return 404, None
            return 200, {"status": "success", "data": {"version": self.version}}
        try:
            if self.fault == "timeout" and self.only in params["query"]:
                raise Refused(503, "timeout", "query timed out in expression evaluation")
            found = self._evaluate(params["query"])
            if path.endswith("query_range"):
                data = self._matrix(found, params)
            elif isinstance(found, float):
                data = {"resultType": "scalar", "result": [self.now(), _text(found)]}
            else:
                result = [{"metric": labels, "value": [self.now(), _text(value)]} for labels, value in found]
                data = {"resultType": "vector", "result": result}
        except Refused as error:
            return error.status, {"status": "error", "errorType": error.kind, "error": error.words}
        answer: dict[str, Any] = {"status": "success", "data": data}
        if self.warnings:
            answer["warnings"] = self.warnings
        return 200, answer

    def _matrix(self, found: Vector | float, params: Mapping[str, str]) -> dict[str, Any]:
        start, end, step = float(params["start"]), float(params["end"]), float(params["step"].removesuffix("s"))
        n = int((end - start) / step) + 1
        if n > 11_000:
            raise Refused(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries")
        vector: Vector = [({}, found)] if isinstance(found, float) else found
        rows = []
        for labels, value in vector:
            at = [start + i * step for i in range(n)]
            rows.append({"metric": labels, "values": [[t, _text(self.past(t) if self.past else value)] for t in at]})
        return {"resultType": "matrix", "result": rows}

    def _evaluate(self, query: str) -> Vector | float:
        marked = _MARKED.findall(query)
        if not marked:
            return self._part(query)
        rest = _MARKED.sub("", query).replace("\n", " ").replace("or", "").strip()
        if rest:
            raise Refused(400, "bad_data", f'invalid parameter "query": 1:1: parse error: unexpected {rest[:30]!r}')
        out: Vector = []
        for inner, label, value in marked:
            found = self._part(inner)
            if isinstance(found, float):
                raise Refused(400, "bad_data", "parse error: expected type instant vector in call to function")
            out += [({**labels, label: value}, v) for labels, v in found]
        return out

    def _part(self, query: str) -> Vector | float:
        if query in self.answers:
            found = self.answers[query]
            if isinstance(found, Refused):
                raise found
            return found
        if inner := re.fullmatch(r"vector\(\s*(.*?)\s*\)", query, re.S):
            value = 1.0 if inner[1] == "1" else self._part(inner[1])
            if not isinstance(value, float):
                raise Refused(400, "bad_data", "parse error: expected type scalar")
            return [({}, value)]
        if query.startswith("count by (job) ("):
            jobs = {h.job for h in self.hosts.values() if h.up}
            return [({"job": job}, 1.0) for job in sorted(jobs)]
        if query.startswith("count(up{"):
            n = len(self._chosen(query))
            return [({}, float(n))] if n else []
        return self._of_hosts(query)

    def _of_hosts(self, query: str) -> Vector:
        by = re.search(r"by \((\w+)", query)
        if by is None:
            raise Refused(400, "bad_data", f'invalid parameter "query": 1:1: parse error: {query[:40]!r}')
        what = (
            "iowait" if 'mode="iowait"' in query else next((m for m in _METRICS if re.search(rf"\b{m}\b", query)), None)
        )
        if what is None:
            raise Refused(400, "bad_data", f"unknown metric in {query[:60]}")
        field_, per = _METRICS[what]
        out: Vector = []
        for name, host in self._chosen(query).items():
            labels = {by[1]: name} if by[1] == "instance" else {}
            if field_ == "up":
                out.append((labels, 1.0 if host.up else 0.0))
            elif host.up and per:
                out += [({**labels, per: mount}, value) for mount, value in host.disk.items()]
            elif host.up and (value := getattr(host, field_)) is not None:
                out.append((labels, value))
        return out

    def _chosen(self, query: str) -> dict[str, Host]:
        job = re.search(r'job=~?"([^"]*)"', query)
        pattern = job[1].replace("\\\\", "\\") if job else ".*"
        return {name: h for name, h in self.hosts.items() if re.fullmatch(pattern, h.job)}

    def _known(self, asked: Asked) -> bool:
        if self.tenant and asked.headers.get("x-scope-orgid") != self.tenant:
            return False
        said = asked.authorization
        if self.token:
            return said == f"Bearer {self.token}"
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return not self.password or said == f"Basic {pair}"

    # --- on the wire ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.time() + self.skew_s

    def bent(self, content: Any, fault: str | None) -> Any:
        if not isinstance(content, dict):
            return content
        if fault == "shape":
            return {"status": "success", "data": {"resultType": "vector", "result": [{"metric": 7}]}}
        if fault == "empty":
            return {}
        found = content.get("data", {}).get("result") if content.get("status") == "success" else None
        if fault == "missing-fields" and isinstance(found, list):
            return {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}
        if fault == "unknown-fields":
            return content | {"infos": ["something new"], "stats": {"timings": {}}}
        return content


def _params(asked: Asked) -> dict[str, str]:
    """The last value of each, of a form as of an address."""
    form = parse_qs(asked.raw.decode(), keep_blank_values=True) if asked.raw else {}
    return {k: v[-1] for k, v in (asked.query | form).items()}


def _text(value: float) -> str:
    if value != value:
        return "NaN"
    return {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value, repr(value))
