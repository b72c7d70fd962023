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
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Vector = list[tuple[dict[str, str], float]]
FAULTS = frozenset(
    {
        "down", "slow", "hang", "drip", "reset", "401", "403", "404", "404-html", "409", "429", "429-after", "429-date", "500", "502", "503",
        "html", "redirect", "truncated", "shape", "empty", "missing-fields", "unknown-fields", "timeout", "no-post",
    }
)  # fmt: skip
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


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    size: int


class PrometheusLike:
    """See the module. One lock guards the state; time is ``time.time() + skew_s``."""

    def __init__(
        self, *, user: str = "ops", password: str = "pa55-of-the-test", token: str = "", prefix: str = ""
    ) -> None:
        self.user, self.password, self.token, self.prefix = user, password, token, prefix
        self.hosts: dict[str, Host] = {}
        self.answers: dict[str, Vector | float | Refused] = {}
        """The tests' own queries; a float is a scalar."""
        self.warnings: list[str] = []
        self.past: Callable[[float], float] | None = None
        """Value at a time (s) of every series, for ranges; None: what it is now."""
        self.skew_s = 0.0
        self.slow_s = 0.1
        self.fault: str | None = None
        self.only: str = ""
        """The fault hits only requests in whose query this stands."""
        self.tenant = ""
        self.version = "2.42.0"
        self.requests: list[Seen] = []
        self.strange: list[str] = []
        self._lock = threading.RLock()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._wake = threading.Event()
        self._open: set[socket.socket] = set()

    # --- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> PrometheusLike:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        self._unlisten()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self.prefix}"

    @property
    def secrets(self) -> list[str]:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [s for s in (self.password, pair, self.token) if s]

    def bad_day(self, fault: str | None, only: str = "") -> None:
        assert fault is None or fault in FAULTS, fault
        if fault == "down":
            self._unlisten()
        elif self.fault == "down":
            self._listen()
        self.fault, self.only = fault, only

    def _listen(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                owner._open.add(self.connection)

            def finish(self) -> None:
                owner._open.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                owner._serve(self)

            def do_POST(self) -> None:
                owner._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _unlisten(self) -> None:
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # --- answers ----------------------------------------------------------------------------------------------------

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(http.path)
        given = parse_qs(parts.query, keep_blank_values=True)
        body = http.rfile.read(int(http.headers.get("content-length") or 0))
        if body:
            given |= parse_qs(body.decode(), keep_blank_values=True)
        params = {k: v[-1] for k, v in given.items()}
        with self._lock:
            self.requests.append(Seen(http.command, parts.path, params, dict(http.headers), len(body)))
        fault = self.fault if self.only in params.get("query", "") else None
        try:
            if not self._misbehaves(http, fault):
                with self._lock:
                    status, answer = self._answer(http, parts.path, params)
                self._send(http, status, answer, fault)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _misbehaves(self, http: BaseHTTPRequestHandler, fault: str | None) -> bool:
        match fault:
            case "hang":
                self._wake.wait(20)
            case "slow":
                time.sleep(self.slow_s)
                return False
            case "reset":
                http.close_connection = True
            case "drip":
                http.send_response(200)
                http.send_header("Content-Length", "1000")
                http.end_headers()
                while not self._wake.wait(0.05):
                    http.wfile.write(b" ")
                    http.wfile.flush()
            case "html":
                self._raw(http, 200, b"<!DOCTYPE html><html><title>Sign in</title></html>", "text/html")
            case "404-html":
                self._raw(http, 404, b"<html>nginx</html>", "text/html")
            case "redirect":
                self._raw(http, 302, b"", "text/html", Location="https://login.example.com/")
            case "404":
                self._raw(http, 404, b"404 page not found\n", "text/plain; charset=utf-8")
            case "401" | "403" | "409" | "500" | "502":
                self._raw(http, int(fault), b"no, because \x1b[31mof " + self.password.encode(), "text/plain")
            case "503":
                self._raw(http, 503, b"upstream is away", "text/plain", Retry_After="7")
            case "429" | "429-after":
                more = {"Retry_After": "7"} if fault == "429-after" else {}
                self._raw(http, 429, b"slow down", "text/plain", **more)
            case "429-date":
                self._raw(http, 429, b"slow down", "text/plain", Retry_After=formatdate(self.now() + 9, usegmt=True))
            case "no-post" if http.command == "POST":
                self._raw(http, 405, b"Method Not Allowed", "text/plain")
            case _:
                return False
        return True

    def _answer(self, http: BaseHTTPRequestHandler, path: str, params: Mapping[str, str]) -> tuple[int, Any]:
        if not self._known(http):
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

    def _known(self, http: BaseHTTPRequestHandler) -> bool:
        if self.tenant and http.headers.get("X-Scope-OrgID") != self.tenant:
            return False
        said = http.headers.get("Authorization", "")
        if self.token:
            return said == f"Bearer {self.token}"
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return not self.password or said == f"Basic {pair}"

    # --- on the wire ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.time() + self.skew_s

    def _send(self, http: BaseHTTPRequestHandler, status: int, answer: Any, fault: str | None) -> None:
        if answer is None:
            self._raw(http, status, b"404 page not found\n", "text/plain; charset=utf-8")
            return
        if fault == "shape":
            answer = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": 7}]}}
        elif fault == "empty":
            answer = {}
        elif fault == "missing-fields" and status == 200 and isinstance(answer.get("data", {}).get("result"), list):
            answer = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}
        elif fault == "unknown-fields":
            answer |= {"infos": ["something new"], "stats": {"timings": {}}}
        data = json.dumps(answer).encode()
        self._raw(http, status, data[: len(data) // 2] if fault == "truncated" else data, "application/json")

    def _raw(self, http: BaseHTTPRequestHandler, status: int, data: bytes, kind: str, **headers: str) -> None:
        http.send_response_only(status)
        http.send_header("Date", formatdate(self.now(), usegmt=True))
        http.send_header("Content-Type", kind)
        http.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            http.send_header(name.replace("_", "-"), value)
        http.end_headers()
        http.wfile.write(data)


def _text(value: float) -> str:
    if value != value:
        return "NaN"
    return {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value, repr(value))
