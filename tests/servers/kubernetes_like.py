"""A server shaped like the Kubernetes API, for tests: stateful, honest about what was done to it, with bad days on a switch.

    with KubernetesLike() as server:                  # listens on a free port of 127.0.0.1
        server.add_cron("daily")
        server.add_job("daily-1", cron="daily", state="running")
        server.tick()                                 # its controllers do one step
        server.fault = "500"                          # see FAULTS
        ... server.requests, server.effects, server.invented

Time of the server is ``time.time() + skew_s``. ``invented`` names every path and parameter that its API does not have;
they are answered with 500.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.kubernetes_routes import Answer, Query, Routes
from tests.servers.kubernetes_state import Effect, Refused, Seen, template_of

__all__ = ["FAULTS", "Effect", "KubernetesLike", "Seen", "template_of"]

FAULTS = frozenset(
    {
        "down", "slow", "hang", "reset", "401", "403", "404", "409", "422", "429", "429-after", "429-date", "500", "503",
        "503-after", "html", "redirect", "truncated", "short", "shape", "wrong-types", "empty", "missing-fields",
        "missing-ids", "unknown-fields", "unknown-state",
        "page2",  # a watch is refused as too old, the first page of a list comes, the second does not
        "lost",  # a change takes effect, then the connection drops without an answer
        "lost-500",  # a change takes effect, then 500
        "noop",  # a change is answered as if done, and nothing is
    }
)  # fmt: skip
_CHANGES_ONLY = {"lost", "lost-500", "noop"}


def _status(code: int, reason: str, message: str) -> tuple[int, Any]:
    return code, Refused(code, reason, message).body


_ANSWERS: dict[str, tuple[int, Any]] = {
    "401": _status(401, "Unauthorized", "Unauthorized"),
    "403": _status(
        403, "Forbidden", 'jobs.batch is forbidden: User "ops" cannot list resource "jobs" in API group "batch"'
    ),
    "404": _status(404, "NotFound", "the server could not find the requested resource"),
    "409": _status(409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    "422": _status(422, "Invalid", "the object is invalid"),
    "429": _status(429, "TooManyRequests", "Too many requests, please try again later."),
    "429-after": _status(429, "TooManyRequests", "Too many requests, please try again later."),
    "429-date": _status(429, "TooManyRequests", "Too many requests, please try again later."),
    "500": _status(500, "InternalError", "etcdserver: request timed out"),
    "503": (503, "apiserver not ready"),
    "503-after": (503, "apiserver is shutting down"),
    "shape": (200, [{"what": "is this"}]),
    "wrong-types": (200, {"kind": 7, "metadata": "none", "items": {"a": 1}, "gitVersion": 3, "status": []}),
    "empty": (200, b""),
}


class KubernetesLike(Routes):
    """See the module. ``tokens``: those that it takes; without a credential one is ``system:anonymous`` and may nothing."""

    def __init__(self, port: int = 0, *, token: str = "t0ken-of-the-test", tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.tokens = {token}
        self.token = token
        self.requests: list[Seen] = []
        self.mode: str | None = None
        self.slow_s = 0.3
        self.certificates = False
        """Takes a verified client certificate for a credential."""
        self._wake = threading.Event()
        self._port = port
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._open: set[socket.socket] = set()

    # --- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> KubernetesLike:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        self._unlisten()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def _listen(self) -> None:
        if self._server is not None:
            return
        owner = self

        class Handler(_Handler):
            world = owner

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def _unlisten(self) -> None:
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.shutdown()
        thread.join()
        server.server_close()
        with self.lock:
            still = list(self._open)
        for conn in still:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)

    # --- bad days ---------------------------------------------------------------------------------------------------

    @property
    def fault(self) -> str | None:
        return self.mode

    @fault.setter
    def fault(self, name: str | None) -> None:
        assert name is None or name in FAULTS, f"no such fault: {name}"
        self.mode = name
        self.noop, self.relist = name == "noop", name == "page2"
        self._wake.set()  # whoever hangs goes on
        self._wake = threading.Event()
        if name == "down":
            self._unlisten()
        else:
            self._listen()

    def route(self, method: str, path: str, query: Query, body: Any, headers: dict[str, str], known: bool) -> Answer:
        """Authentication, then the answer; Refused where the answer is an error."""
        given = headers.get("authorization", "")
        if given and given.removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        if not given and not (known and self.certificates) and path != "/version":
            said = f'User "system:anonymous" cannot get path "{path}"'
            raise Refused(403, "Forbidden", f"forbidden: {said}")
        return self.answer(method, path, query, body, headers.get("content-type", ""))

    def count(self, method: str = "GET") -> int:
        return sum(r.method == method for r in self.requests)


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    return value


_MAPS = {"labels", "annotations", "matchLabels", "limits", "requests", "allocatable", "usage"}


def _more(value: Any, name: str = "") -> Any:
    """Each object has more than anyone knows; what are maps of names stay maps of names."""
    if isinstance(value, list):
        return [_more(v, name) for v in value]
    if isinstance(value, dict) and name not in _MAPS:
        return {k: _more(v, k) for k, v in value.items()} | {"wfNewThing": {"deep": [1, None, "x"]}}
    return value


def _bare(obj: dict[str, Any], keep: bool) -> dict[str, Any]:
    """An object with nothing but what names it, or with everything else."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "name" not in meta:
        return obj
    ids = ("name", "namespace", "uid")
    if keep:
        return {k: v for k, v in obj.items() if k == "kind"} | {"metadata": {k: meta[k] for k in ids if k in meta}}
    return obj | {"metadata": {k: v for k, v in meta.items() if k not in ids}}


def _levitate(obj: dict[str, Any]) -> dict[str, Any]:
    """Words of states that nobody knows, everywhere."""
    status = obj.get("status")
    if not isinstance(status, dict) or "metadata" not in obj:
        return obj
    if "phase" in status:
        names = [c["name"] for c in status.get("containerStatuses", [])]
        odd = [{"name": n, "restartCount": 0, "state": {"levitating": {}}} for n in names]
        return obj | {"status": {"phase": "Levitating", "containerStatuses": odd}}
    if "concurrencyPolicy" in obj.get("spec", {}):
        return obj
    kept = {k: v for k, v in status.items() if k in ("startTime", "completionTime")}
    return obj | {"status": kept | {"conditions": [{"type": "Levitating", "status": "True"}]}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: KubernetesLike
    protocol_version = "HTTP/1.1"
    server_version = "kubernetes-like"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60

    def setup(self) -> None:
        super().setup()
        with self.world.lock:
            self.world._open.add(self.connection)

    def finish(self) -> None:
        with self.world.lock:
            self.world._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.world.skew_s, usegmt=True)

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        world = self.world
        split = urlsplit(self.path)
        query = parse_qs(split.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        headers = {k.lower(): v for k, v in self.headers.items()}
        seen = Seen(method, split.path, query, body, headers={k: v for k, v in headers.items() if k != "authorization"})
        with world.lock:
            world.requests.append(seen)
            fault = world.fault
        change = method != "GET" and "reviews" not in split.path
        if fault in _CHANGES_ONLY and not change:
            fault = None
        if fault in ("reset", "hang", "slow") and self._stall(fault):
            return
        seen.status, answer = self._answer(method, split.path, query, body, headers, fault)
        if fault in ("lost", "lost-500") and seen.status < 300:
            if fault == "lost":
                seen.status = 0
                self.close_connection = True
                return
            seen.status, answer = _ANSWERS["500"]
        self._send(seen.status, answer, fault, query)

    def _stall(self, fault: str) -> bool:
        """True: there will be no answer."""
        wake = self.world._wake
        self.close_connection = fault != "slow"
        if fault == "slow":
            wake.wait(self.world.slow_s)
            return False
        if fault == "hang":
            wake.wait(60)
        return True

    def _answer(self, method: str, path: str, query: Query, body: Any, headers: Any, fault: str | None) -> Answer:
        if fault in _ANSWERS:
            return _ANSWERS[fault]
        if fault == "html":
            return 200, "<html><body><form>please log in</form></body></html>"
        if fault == "redirect":
            return 302, b""
        if fault == "page2" and "continue" in query:
            return _ANSWERS["500"]
        known = isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())
        try:
            return self.world.route(method, path, query, body, headers, known)
        except Refused as no:
            return no.status, no.body

    def _send(self, status: int, answer: Any, fault: str | None, query: Query) -> None:
        kind = "application/json"
        if status < 300:
            change = {
                "unknown-state": _levitate,
                "missing-fields": lambda d: _bare(d, True),
                "missing-ids": lambda d: _bare(d, False),
            }.get(fault or "")
            answer = _walk(answer, change) if change else answer
            answer = _more(answer) if fault == "unknown-fields" else answer
        watching = isinstance(answer, list) and "watch" in query
        if watching and fault != "shape":
            data = b"".join(json.dumps(line).encode() + b"\n" for line in answer)
            asked = float(query.get("timeoutSeconds", ["1"])[0])
            self.world._wake.wait(min(self.world.watch_wait_s, asked))
        elif isinstance(answer, str):
            data, kind = answer.encode(), "text/html" if answer.startswith("<") else "text/plain"
        elif isinstance(answer, bytes):
            data, kind = answer, "text/plain"
        else:
            data = json.dumps(answer).encode()
        length = len(data)
        if fault == "truncated":
            data = data[: length // 2]
            length = len(data)
        if fault == "short":
            data = data[: length // 2]
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if fault in ("429-after", "503-after"):
            self.send_header("Retry-After", "7")
        if fault == "429-date":
            self.send_header("Retry-After", formatdate(time.time() + self.world.skew_s + 9, usegmt=True))
        if fault == "redirect":
            self.send_header("Location", "https://login.example.invalid/?token=abcdef")
        self.end_headers()
        self.wfile.write(data)
