"""A server shaped like Talend Management Console, for tests: stateful, honest about what was done to it, with bad days on a switch.

It answers the documented calls that Watchfloor makes, and only with the documented parameters (see ``talend_routes``), in
the shapes and with the traps of the real one: pages of at most 100, lists by the trigger's time alone, 405 for what is paused,
406 to a stop that asks for JSON, receipts of microservices, 429 without a word on when to return.

    with TalendLike() as server:                      # listens on a free port of 127.0.0.1
        server.add_task("t1", "Load sales")
        server.add_run("t1", "e1")
        server.tick()                                 # everything active moves on by one step
        server.fault = "500"                          # see FAULTS
        ... server.requests, server.effects, server.invented

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
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.talend_routes import Query, Routes
from tests.servers.talend_state import Refused, Seen

__all__ = ["FAULTS", "TalendLike"]

FAULTS = frozenset(
    [
        "down",
        "slow",
        "hang",
        "reset",
        "401",
        "403",
        "404",
        "409",
        "429",
        "429-after",
        "429-date",
        "500",
        "503",
        "html",
        "redirect",
        "truncated",
        "short",
        "shape",
        "missing-fields",
        "missing-ids",
        "unknown-fields",
        "unknown-state",
        "page2",
        "lost",
        "lost-500",
        "noop",
        "bad-client",
    ]
)
_TOKEN = "/security/oauth/token"
_CHANGES_ONLY = {"lost", "lost-500", "noop"}
_IDS = ("executable", "executionId", "taskId", "jobId", "planId", "id")
_STATUS: dict[str, tuple[int, Any]] = {
    "401": (401, {"status": 401, "detail": "Unauthorized"}),
    "403": (403, {"status": 403, "message": "Forbidden", "detail": "no permission", "requestId": "r"}),
    "404": (404, {"status": 404, "message": "Not found", "detail": "no such thing", "requestId": "r"}),
    "409": (409, {"status": 409, "message": "Conflict", "detail": "conflict", "requestId": "r"}),
    "429": (429, {"status": 429, "message": "Too many requests"}),
    "429-after": (429, {"status": 429, "message": "Too many requests"}),
    "429-date": (429, {"status": 429, "message": "Too many requests"}),
    "500": (500, {"status": 500, "message": "Internal error", "detail": "hidden", "requestId": "r"}),
    "503": (503, {"errors": [{"code": "UNAVAILABLE", "message": "come back later"}]}),
    "shape": (200, [{"what": "is this"}]),
}


class TalendLike(Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    def __init__(self) -> None:
        super().__init__()
        self.pat = "pat-of-the-test-0123456789"
        self.client_id, self.client_secret = "svc-client-1", "secret-of-the-service-account"
        self.tokens: set[str] = set()
        self.issued: list[str] = []
        self.expires_in: Any = "1800"
        self.audiences: list[str] = []
        self.slow_s = 0.15
        self.rate: int | None = None
        """Requests a second to one endpoint; one more is 429."""
        self.forbid: Callable[[str, str], bool] = lambda method, path: False
        self._lately: dict[str, deque[float]] = {}
        self._wake = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._pilot: threading.Thread | None = None
        self._done = threading.Event()
        self._open: set[socket.socket] = set()

    # --- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> TalendLike:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._wake.set()
        if self._pilot is not None:
            self._pilot.join()
        self._unlisten()

    def autopilot(self, every_s: float) -> None:
        """From now on ``tick`` every so many seconds, until it ends."""

        def fly() -> None:
            while not self._done.wait(every_s):
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
        self.url = f"http://127.0.0.1:{self._port}"
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

    @property
    def fault(self) -> str | None:
        return self.mode

    @fault.setter
    def fault(self, name: str | None) -> None:
        assert name is None or name in FAULTS, f"no such fault: {name}"
        self.mode = name
        self._wake.set()
        self._wake = threading.Event()
        if name == "down":
            self._unlisten()
        else:
            self._listen()

    @property
    def secrets(self) -> list[str]:
        """Everything that must appear in no text of ours."""
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return [self.pat, self.client_secret, pair, *self.issued, *self.files]

    # --- one request --------------------------------------------------------------------------------------------

    def mint(self, body: Any, authorization: str) -> tuple[int, Any]:
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if self.mode == "bad-client" or authorization != f"Basic {pair}":
            return 401, {"status": 401, "detail": "bad client"}
        if not isinstance(body, dict) or body.get("grant_type") != "client_credentials" or not body.get("audience"):
            return 400, {"status": 400, "detail": "grant_type and audience are needed"}
        self.audiences.append(body["audience"])
        token = f"tok-{secrets.token_urlsafe(24)}"
        self.tokens.add(token)
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}

    def authorised(self, method: str, path: str, authorization: str) -> None:
        token = authorization.removeprefix("Bearer ")
        if token != self.pat and token not in self.tokens:
            raise Refused(401, "Unauthorized")
        if self.forbid(method, path):
            raise Refused(403, "no permission")
        if self.rate is not None:
            now = time.monotonic()
            lately = self._lately.setdefault(f"{method} {self.template(method, path)}", deque())
            while lately and lately[0] < now - 1:
                lately.popleft()
            if len(lately) >= self.rate:
                raise Refused(429, "Too many requests")
            lately.append(now)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: TalendLike
    protocol_version = "HTTP/1.1"
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

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        world = self.world
        split = urlsplit(self.path)
        query: Query = parse_qs(split.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        token = split.path == _TOKEN
        seen = Seen(method, split.path, query, None if token else body)
        with world.lock:
            world.requests.append(seen)
        fault = None if token else world.fault
        change = method in ("PUT", "DELETE") or (method == "POST" and split.path.startswith("/processing/executions"))
        if fault in _CHANGES_ONLY and not change:
            fault = None
        if fault == "page2" and int(query.get("offset", ["0"])[0]) > 0:
            fault = "500"
        if fault in ("reset", "hang", "slow"):
            wake = world._wake
            if fault != "reset":
                wake.wait(60 if fault == "hang" else world.slow_s)
            if fault != "slow":
                self.close_connection = True
                return
        headers: dict[str, str] = {}
        if fault in _STATUS:
            seen.status, answer = _STATUS[fault or ""]
        elif fault == "html":
            seen.status, answer = 200, "<html><body><form>please log in</form></body></html>"
        elif fault == "redirect":
            seen.status, answer = 302, None
        else:
            try:
                seen.status, answer, headers = self._answer(method, split.path, query, body)
            except Refused as no:
                seen.status, answer = no.status, no.body
        if fault in ("lost", "lost-500") and seen.status < 300:
            if fault == "lost":
                seen.status = 0
                self.close_connection = True
                return
            seen.status, answer = _STATUS["500"]
        self._send(seen.status, answer, fault, headers)

    def _answer(self, method: str, path: str, query: Query, body: Any) -> tuple[int, Any, dict[str, str]]:
        world = self.world
        authorization = self.headers.get("Authorization", "")
        if path == _TOKEN and method == "POST":
            return *world.mint(body, authorization), {}
        if path.startswith("/presigned/"):
            if authorization:
                world.leaked.append(path)
                raise Refused(400, "two authentications at once")
            name = path.rpartition("/")[2]
            if name not in world.files:
                raise Refused(403, "expired")
            return 200, world.files[name][0], {}
        world.authorised(method, path, authorization)
        return world.answer(method, path, query, body, self.headers.get("Accept", ""))

    def _send(self, status: int, answer: Any, fault: str | None, headers: dict[str, str]) -> None:
        kind = (
            "text/html"
            if isinstance(answer, str)
            else "text/plain"
            if isinstance(answer, bytes)
            else "application/json"
        )
        if fault == "unknown-fields":
            answer = _walk(answer, lambda d: d | {"wfNewThing": {"deep": [1, None, "x"]}})
        if fault == "unknown-state":
            words = dict.fromkeys(("status", "executionStatus"), "levitating")
            answer = _walk(answer, lambda d: {k: words.get(k, v) for k, v in d.items()})
        if fault in ("missing-fields", "missing-ids"):
            answer = _bare(answer, fault == "missing-fields")
        if isinstance(answer, bytes):
            data = answer
        else:
            data = (
                answer.encode() if isinstance(answer, str) else b"" if answer is None else json.dumps(answer).encode()
            )
        length = len(data)
        if fault == "truncated" and status in (202, 204):  # there is nothing to cut
            status, data = 200, b"{"
        if fault == "truncated":
            data = data[: max(1, length // 2)]
            length = len(data)
        if fault == "short":
            data = data[: length // 2]
            self.close_connection = True
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        if fault == "429-after":
            self.send_header("Retry-After", "7")
        if fault == "429-date":
            self.send_header("Retry-After", formatdate(time.time() + self.world.skew_s + 9, usegmt=True))
        if fault == "redirect":
            self.send_header("Location", "https://login.example.invalid/?token=abcdef")
        self.end_headers()
        self.wfile.write(data)


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    return value


def _bare(answer: Any, keep: bool) -> Any:
    """Items with nothing but their ids, or without them."""
    if isinstance(answer, list):
        return [_bare(one, keep) if isinstance(one, dict) else one for one in answer]
    if not isinstance(answer, dict):
        return answer
    if isinstance(answer.get("items"), list):
        return answer | {"items": _bare(answer["items"], keep)}
    if not any(k in answer for k in _IDS):
        return answer
    return {k: v for k, v in answer.items() if (k in _IDS) == keep}
