"""A server shaped like Airflow 3, for tests: stateful, honest about what was done to it, with bad days on a switch.

It answers the calls of ``/api/v2`` that Watchfloor makes, in the shapes and with the traps of the real one: ``limit``
is silently clamped to 100, ``clear`` defaults to a dry run, unknown task ids clear nothing with 200, a wrong
``update_mask`` changes nothing with 200, unknown query parameters are ignored, unknown body fields are 422, unknown
paths 404.

    with AirflowLike() as server:                     # listens on a free port of 127.0.0.1
        server.add_dag("daily", tasks=("extract", "load"))
        server.add_run("daily", "r1", state="running")
        server.tick()                                 # everything active moves on by one step, logs grow
        server.fault = "500"                          # see FAULTS
        ... server.requests, server.effects           # what it was asked, what was really done to it

Time of the server is ``time.time() + skew_s``; ``Date`` and all stored times follow it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.airflow_routes import Answer, Query, Routes
from tests.servers.airflow_state import Dag, DagRun, Effect, Refused, Seen, Task

__all__ = ["FAULTS", "AirflowLike", "Dag", "DagRun", "Effect", "Seen", "Task"]

FAULTS = frozenset(
    {
        "down",  # nobody listens on the port
        "slow",  # answers after slow_s
        "hang",  # takes the request and never answers
        "drip",  # one byte a tenth of a second, for ever
        "reset",  # takes the request, closes without an answer, does nothing
        "401",
        "403",
        "404",
        "409",
        "422",
        "429",  # without Retry-After
        "429-after",  # Retry-After: 7
        "429-date",  # Retry-After: a date 9 s ahead of the server's own clock
        "500",
        "503",
        "html",  # 200 with a login page
        "redirect",  # 302 to another host
        "truncated",  # 200, JSON cut in the middle, length as cut
        "short",  # 200, closes before Content-Length is reached
        "shape",  # 200, JSON of another shape
        "missing-fields",  # items carry their ids and nothing else
        "missing-ids",  # items without their ids
        "unknown-fields",  # every object has more than anyone knows
        "unknown-state",  # every state reads "levitating"
        "page2",  # any request with an offset: 500
        "lost",  # a change takes effect, then the connection drops without an answer
        "lost-500",  # a change takes effect, then 500
        "noop",  # a change is answered with 200 and as if done, and nothing is
        "scheduler-dead",  # health says so, with 200
        "bad-password",  # /auth/token refuses
        "v2",  # answers like Airflow 2.11
    }
)
_CHANGES_ONLY = {"lost", "lost-500", "noop"}


class AirflowLike(Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    def __init__(
        self, port: int = 0, *, user: str = "ops", password: str = "pa55-of-the-test", role: str = "admin"
    ) -> None:
        super().__init__()
        self.user, self.password, self.role = user, password, role
        self.tokens: set[str] = set()
        self.issued: list[str] = []
        self.expired: set[str] = set()
        self.malformed: set[str] = set()
        self.slow_s = 0.3
        self.forbid: Callable[[str, str], bool] = lambda method, path: False
        """Requests that this user may not make (403 Forbidden), by method and path."""
        self.fault_on: Callable[[str, str], bool] = lambda method, path: path != "/auth/token"
        """Which requests the fault hits, by method and path."""
        self._wake = threading.Event()
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._pilot: threading.Thread | None = None
        self._open: set[socket.socket] = set()

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> AirflowLike:
        self._listen()
        return self

    def stop(self) -> None:
        self._wake.set()
        if self._pilot is not None:
            self._pilot.join()
            self._pilot = None
        self._unlisten()

    def __enter__(self) -> AirflowLike:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def autopilot(self, every_s: float) -> None:
        """From now on ``tick`` every so many seconds, until stopped."""
        assert self._pilot is None, "the autopilot is on already"

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
            still = list(self._open)
        for conn in still:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)

    # --- bad days -----------------------------------------------------------------------------------------------

    @property
    def fault(self) -> str | None:
        return self.mode

    @fault.setter
    def fault(self, name: str | None) -> None:
        assert name is None or name in FAULTS, f"no such fault: {name}"
        self.mode = name
        self._wake.set()  # whoever hangs goes on
        if self._pilot is None:
            self._wake = threading.Event()
        if name == "down":
            self._unlisten()
        else:
            self._listen()

    def expire_tokens(self) -> None:
        """Every token given out so far answers 401 "Token Expired" from now on."""
        self.expired |= self.tokens
        self.tokens.clear()

    def spoil_tokens(self) -> None:
        """Every token given out so far answers 403 "Invalid JWT token" from now on (the server's secret changed)."""
        self.malformed |= self.tokens
        self.tokens.clear()

    @property
    def secrets(self) -> list[str]:
        """Everything that must appear in no text of ours."""
        return [self.password, *self.issued]

    # --- one request --------------------------------------------------------------------------------------------

    def mint(self, body: Any) -> Answer:
        given = (body or {}).get("username"), (body or {}).get("password")
        if self.mode == "bad-password" or given != (self.user, self.password):
            return 401, {"detail": "Invalid credentials"}
        claims = {"sub": self.user, "role": self.role, "exp": int(time.time()) + 86400, "jti": secrets.token_hex(8)}
        head, payload = (
            base64.urlsafe_b64encode(json.dumps(x).encode()).decode().rstrip("=") for x in ({"alg": "HS512"}, claims)
        )
        token = f"{head}.{payload}.{secrets.token_urlsafe(24)}"
        self.tokens.add(token)
        self.issued.append(token)
        return 201, {"access_token": token}

    def route(self, method: str, path: str, query: Query, body: Any, authorization: str) -> Answer:
        """Authentication, then the answer; Refused where the answer is an error."""
        if path == "/auth/token" and method == "POST":
            return self.mint(body)
        if path.startswith("/api/v1/"):
            raise Refused(
                404,
                {"error": "/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead."},
            )
        if path == "/api/v2/version":
            return 200, {"version": "3.3.2", "git_version": None}
        if path == "/api/v2/monitor/health":
            return 200, self.health()
        token = authorization.removeprefix("Bearer ")
        if not authorization:
            raise Refused(401, {"detail": "Not authenticated"})
        if token in self.expired:
            raise Refused(401, {"detail": "Token Expired"})
        if token not in self.tokens:
            raise Refused(403, {"detail": "Invalid JWT token"})
        if self.forbid(method, path):
            raise Refused(403, {"detail": "Forbidden"})
        return self.answer(method, path, query, body)

    def health(self) -> dict[str, Any]:
        dead = {"scheduler"} if self.mode == "scheduler-dead" else set()
        found: dict[str, Any] = {"metadatabase": {"status": "healthy"}}
        for name in ("scheduler", "triggerer", "dag_processor"):
            age = self.beat_age_s.get(name, 0.0)
            word = "unhealthy" if name in dead or age > 30 else "healthy"
            beat = (self.now() - timedelta(seconds=age)).isoformat()
            found[name] = {"status": word, f"latest_{name}_heartbeat": beat}
        return found


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    return value


_IDS = (
    "dag_id", "dag_run_id", "task_id", "map_index", "try_number", "id", "name", "import_error_id", "asset_id",
)  # fmt: skip
_LISTS = (
    "dags", "dag_runs", "task_instances", "pools", "import_errors", "dag_warnings", "assets", "backfills",
)  # fmt: skip
_STATUS: dict[str, tuple[int, Any]] = {
    "401": (401, {"detail": "Not authenticated"}),
    "403": (403, {"detail": "Forbidden"}),
    "404": (404, {"detail": "The Dag with ID: `x` was not found"}),
    "409": (409, {"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}),
    "422": (422, {"detail": "the state does not allow this"}),
    "429": (429, {"detail": "Too many requests"}),
    "429-after": (429, {"detail": "Too many requests"}),
    "429-date": (429, {"detail": "Too many requests"}),
    "500": (500, {"detail": {"reason": "Database error", "statement": "hidden", "orig_error": "hidden"}}),
    "503": (503, {"detail": "database is locked"}),
    "shape": (200, [{"what": "is this"}]),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: AirflowLike
    protocol_version = "HTTP/1.1"
    server_version = "airflow-like"
    wbufsize = -1
    disable_nagle_algorithm = True

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

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        world = self.world
        split = urlsplit(self.path)
        query = parse_qs(split.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        seen = Seen(method, split.path, query, None if split.path.startswith("/auth/") else body)
        with world.lock:
            world.requests.append(seen)
            fault = world.fault if world.fault_on(method, split.path) else None
        dry = split.path.endswith("/dry_run")
        change = method in ("PATCH", "PUT") or (
            method == "POST" and isinstance(body, dict) and not body.get("dry_run", "clear" in split.path.lower())
        )
        change = change and not dry and split.path != "/auth/token"
        if fault in _CHANGES_ONLY and not change:
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

    def _answer(self, method: str, path: str, query: Query, body: Any, fault: str | None) -> Answer:
        if fault in _STATUS:
            return _STATUS[fault]
        if fault == "v2":
            if path.startswith("/api/v2/") or path == "/auth/token":
                return 404, "<html><body>Airflow 404 = lots of circles</body></html>"
            if path == "/api/v1/version":
                return 200, {"version": "2.11.2", "git_version": None}
        if fault == "html":
            return 200, "<html><body><form>please log in</form></body></html>"
        if fault == "redirect":
            return 302, None
        try:
            return self.world.route(method, path, query, body, self.headers.get("Authorization", ""))
        except Refused as no:
            return no.status, no.body

    def _send(self, status: int, answer: Any, fault: str | None) -> None:
        kind = "text/html" if isinstance(answer, str) else "application/json"
        if fault == "unknown-fields":
            answer = _walk(answer, lambda d: d | {"wf_new_thing": {"deep": [1, None, "x"]}})
        if fault == "unknown-state":
            answer = _walk(answer, lambda d: d | {"state": "levitating"} if "state" in d else d)
        if fault in ("missing-fields", "missing-ids") and isinstance(answer, dict):
            keep = fault == "missing-fields"
            for name in _LISTS:
                if name in answer:
                    answer = answer | {
                        name: [{k: v for k, v in i.items() if (k in _IDS) == keep} for i in answer[name]]
                    }
        data = answer.encode() if isinstance(answer, str) else b"" if answer is None else json.dumps(answer).encode()
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
        if fault == "429-after":
            self.send_header("Retry-After", "7")
        if fault == "429-date":
            self.send_header("Retry-After", formatdate(time.time() + self.world.skew_s + 9, usegmt=True))
        if fault == "redirect":
            self.send_header("Location", "https://login.example.invalid/?token=abcdef")
        self.end_headers()
        self.wfile.write(data)
