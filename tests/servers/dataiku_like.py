"""A server shaped like Dataiku DSS, for tests: stateful, honest about what was done to it, with bad days on a switch.

    with DataikuLike() as server:                     # listens on a free port of 127.0.0.1
        server.add_scenario("CDM", "daily")
        run = server.add_run("CDM", "daily")          # running; with an outcome: ended
        server.tick()                                 # fires become runs, runs go on by a step
        server.fault = "500"                          # see FAULTS
        ... server.requests, server.effects, server.refused

Whatever is not documented is answered with 500 and kept in ``refused``. ``allow`` requests may be made, where it is set;
further ones are 429. Time is ``time.time() + skew_s``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.dataiku_state import API, ApiKey, Query, Refused, Routes, Seen, error

__all__ = ["FAULTS", "ApiKey", "DataikuLike"]

_NO = "com.dataiku"
_STATUS: dict[str, tuple[int, Any]] = {
    "401": (401, error("UnauthorizedException", "Invalid API key")),
    "403": (403, error("UnauthorizedException", "Action forbidden")),
    "404": (404, error("NotFoundException", "not there")),
    "409": (409, error("ConflictException", "somebody else changed it")),
    "429": (429, "slow down"),
    "429-after": (429, "slow down"),
    "429-date": (429, "slow down"),
    "500": (500, error("CodedException", "the backend stumbled")),
    "503": (503, "starting"),
    "503-after": (503, "starting"),
    "shape": (200, [["what", "is this"]]),
}
FAULTS = frozenset(_STATUS) | {
    "down", "slow", "hang", "drip", "reset", "html", "redirect", "truncated", "short", "empty", "wrong-types", "missing-fields",
    "missing-ids", "unknown-fields", "unknown-state", "page2", "lost", "lost-500", "noop",
}  # fmt: skip
_CHANGES_ONLY = {"lost", "lost-500", "noop"}
_IDS = {"projectKey", "id", "runId", "jobId", "name"}
_FRAME = {"scenarioRun", "stepRuns", "step", "metric", "metrics", "def", "baseStatus"}


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    return value


class DataikuLike(Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    def __init__(self, key: ApiKey | None = None) -> None:
        super().__init__()
        self.key = key or ApiKey("dkuaps-k3y-of-the-test", "ana")
        self.jwt = ""
        """Where set: a token that is accepted as Bearer."""
        self.expired = False
        self.allow: int | None = None
        self.slow_s = 0.3
        self.fault_on: Callable[[str, str], bool] = lambda method, path: True
        self._wake = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._pilot: threading.Thread | None = None
        self.open: set[socket.socket] = set()

    def __enter__(self) -> DataikuLike:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        if self._pilot is not None:
            self._pilot.join()
        self._unlisten()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def secrets(self) -> list[str]:
        return [self.key.secret, base64.b64encode(f"{self.key.secret}:".encode()).decode(), *filter(None, [self.jwt])]

    def autopilot(self, every_s: float) -> None:
        """From now on ``tick`` every so many seconds, until stopped."""

        def fly() -> None:
            while not self._wake.wait(every_s):
                self.tick()

        self._pilot = threading.Thread(target=fly, daemon=True)
        self._pilot.start()

    def _listen(self) -> None:
        if self._server is not None:
            return
        owner = self

        class Handler(_Handler):
            world = owner

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
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
            still = list(self.open)
        for conn in still:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)

    @property
    def fault(self) -> str | None:
        return self.mode

    @fault.setter
    def fault(self, name: str | None) -> None:
        assert name is None or name in FAULTS, f"no such fault: {name}"
        self.mode = name
        if self._pilot is None:
            self._wake.set()  # whoever hangs goes on
            self._wake = threading.Event()
        if name == "down":
            self._unlisten()
        else:
            self._listen()

    def route(self, method: str, path: str, query: Query, body: Any, authorization: str) -> tuple[int, Any]:
        """Authentication as DSS has it, then the answer."""
        if self.allow is not None:
            self.allow -= 1
            if self.allow < 0:
                return _STATUS["429-after"]
        if not path.startswith(API + "/"):
            return 200, "<html><body>the user interface</body></html>"
        kind, _, given = authorization.partition(" ")
        if kind == "Bearer":
            good = bool(self.jwt) and given == self.jwt
        else:
            try:
                user, _, password = base64.b64decode(given).decode().partition(":")
            except ValueError:
                user, password = "", "?"
            good = kind == "Basic" and user == self.key.secret and not password
        if self.expired or not good:
            return _STATUS["401"]
        if (
            self.mode == "page2"
            and path.endswith("/scenarios/")
            and f"/projects/{next(iter(self.projects))}/" not in path
        ):
            return _STATUS["500"]
        try:
            return self.answer(self.key, method, path, query, body)
        except Refused as no:
            return no.status, no.body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: DataikuLike
    protocol_version = "HTTP/1.1"
    server_version = "dss-like"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        with self.world.lock:
            self.world.open.add(self.connection)

    def finish(self) -> None:
        with self.world.lock:
            self.world.open.discard(self.connection)
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

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        world, split = self.world, urlsplit(self.path)
        query = parse_qs(split.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        seen = Seen(method, split.path, query, body)
        with world.lock:
            world.requests.append(seen)
            fault = world.fault if world.fault_on(method, split.path) else None
        if fault in _CHANGES_ONLY and method == "GET":
            fault = None
        if fault in ("reset", "hang", "drip", "slow") and self._stall(fault):
            return
        seen.status, answer = self._answer(method, split.path, query, body, fault)
        if fault == "lost" and seen.status < 300:
            seen.status = 0
            self.close_connection = True
            return
        if fault == "lost-500" and seen.status < 300:
            seen.status, answer = _STATUS["500"]
        self._send(seen.status, answer, fault)

    def _stall(self, fault: str) -> bool:
        """True: there will be no answer."""
        wake = self.world._wake
        self.close_connection = fault != "slow"
        if fault == "slow":
            wake.wait(self.world.slow_s)
            return False
        if fault == "hang":
            wake.wait(60)
        if fault == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
            with contextlib.suppress(OSError):
                while not wake.wait(0.1):
                    self.wfile.write(b" ")
                    self.wfile.flush()
        return True

    def _answer(self, method: str, path: str, query: Query, body: Any, fault: str | None) -> tuple[int, Any]:
        if fault in _STATUS:
            return _STATUS[fault]
        if fault == "html":
            return 200, "<html><body><form>please log in</form></body></html>"
        if fault == "redirect":
            return 302, None
        if fault == "empty":
            return 200, b""
        return self.world.route(method, path, query, body, self.headers.get("Authorization", ""))

    def _send(self, status: int, answer: Any, fault: str | None) -> None:
        kind = "application/json"
        if isinstance(answer, bytes):
            kind = "text/plain; charset=utf-8"
        elif isinstance(answer, str):
            kind = "text/html" if answer.startswith("<") else "text/plain"
        else:
            answer = self._bent(answer, fault)
        if isinstance(answer, bytes):
            data = answer
        elif kind.startswith("text"):
            data = answer.encode()
        else:
            data = b"" if answer is None else json.dumps(answer).encode()
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
        if fault in ("429-after", "503-after") or (status == 429 and fault is None):
            self.send_header("Retry-After", "7")
        if fault == "429-date":
            self.send_header("Retry-After", formatdate(time.time() + self.world.skew_s + 9, usegmt=True))
        if fault == "redirect":
            self.send_header("Location", "https://login.example.invalid/?token=abcdef")
        self.end_headers()
        self.wfile.write(data)

    def _bent(self, answer: Any, fault: str | None) -> Any:
        if fault == "unknown-fields":
            return _walk(answer, lambda d: d | {"wfNewThing": {"deep": [1, None, "x"]}})
        if fault == "unknown-state":
            return _walk(answer, lambda d: d | {k: "LEVITATING" for k in ("outcome", "state") if k in d})
        if fault == "missing-fields":
            return _walk(answer, lambda d: {k: v for k, v in d.items() if k in _IDS | _FRAME})
        if fault == "missing-ids":
            return _walk(answer, lambda d: {k: v for k, v in d.items() if k not in _IDS})
        if fault == "wrong-types":
            return _walk(answer, lambda d: {k: [v] if k in _IDS else v for k, v in d.items()})
        return answer
