"""A server shaped like a Databricks workspace, for tests: stateful, honest about what was done to it, with bad days on a switch.

It answers the documented calls that Watchfloor makes, in the shapes and with the traps of the real one: ids above 2**53,
pages with fewer items than asked for, lists that are absent where they are empty, "does not exist" as a 400, 403 with a
number for a wrong token, ``jobs/update`` that replaces fields whole, ``latest_repair_id`` from the second repair on.
What is not documented is 500 and stands in ``invented``.

    with DatabricksLike() as server:                  # listens on a free port of 127.0.0.1
        job = server.add_job("daily")
        run = server.add_run(job)
        server.tick()                                 # everything active moves on by one step
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
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.databricks_routes import Answer, Query, Routes
from tests.servers.databricks_state import Refused, Seen

__all__ = ["FAULTS", "DatabricksLike"]

TOKEN_PATH = "/oidc/v1/token"
FAULTS = frozenset(
    {
        "down",  # nobody listens on the port
        "slow",  # answers after slow_s
        "hang",  # takes the request and never answers
        "drip",  # one byte a tenth of a second, for ever
        "reset",  # takes the request, closes without an answer, does nothing
        "401",
        "403",
        "403-token",  # 403 as it answers to a wrong token
        "404",
        "409",
        "429",  # without Retry-After
        "429-after",  # Retry-After: 7
        "429-date",  # Retry-After: a date 9 s ahead of the server's own clock
        "500",
        "503",  # without Retry-After
        "503-after",  # Retry-After: 7
        "html",  # 200 with a login page
        "redirect",  # 302 to another host
        "truncated",  # 200, JSON cut in the middle, length as cut
        "short",  # 200, closes before Content-Length is reached
        "shape",  # 200, JSON of another shape
        "other",  # 200, an object that is none of its own
        "missing-fields",  # items carry their ids and nothing else
        "missing-ids",  # items without their ids
        "wrong-types",  # numbers where texts belong
        "unknown-fields",  # every object has more than anyone knows
        "unknown-state",  # every state reads "LEVITATING"
        "page2",  # any request with a page token: 500
        "lost",  # a change takes effect, then the connection drops without an answer
        "lost-once",  # the same, for the first change only
        "lost-500",  # a change takes effect, then 500
        "noop",  # a change is answered with 200 and as if done, and nothing is
        "bad-client",  # the token endpoint refuses
    }
)
_CHANGES_ONLY = {"lost", "lost-once", "lost-500", "noop"}


class DatabricksLike(Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.pat = f"dapi{secrets.token_hex(16)}"
        self.client, self.client_secret = "1111-2222", f"dose{secrets.token_hex(16)}"
        self.life_s = 3600
        self.tokens: set[str] = {self.pat}
        self.issued: list[str] = []
        self.slow_s = 0.3
        self.budget: int | None = None
        """Requests until it says 429 with Retry-After: 1; None: no limit."""
        self.forbid: Callable[[str, str], bool] = lambda method, path: False
        """Requests that this user may not make (403 PERMISSION_DENIED), by method and path."""
        self.fault_on: Callable[[str, str], bool] = lambda method, path: path != TOKEN_PATH
        """Which requests the fault hits, by method and path."""
        self._wake = threading.Event()
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._pilot: threading.Thread | None = None
        self._open: set[socket.socket] = set()

    # --- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> DatabricksLike:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        if self._pilot is not None:
            self._pilot.join()
            self._pilot = None
        self._unlisten()

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

    @property
    def secrets(self) -> list[str]:
        """Everything that must appear in no text of ours."""
        pair = base64.b64encode(f"{self.client}:{self.client_secret}".encode()).decode()
        return [self.pat, self.client_secret, pair, *self.issued]

    def asked(self, path: str) -> list[Seen]:
        """Requests of a path so far."""
        return [r for r in self.requests if r.path == path]

    # --- one request --------------------------------------------------------------------------------------------

    def mint(self, form: Query, authorization: str) -> Answer:
        """Client credentials: Basic, and a form that says so."""
        pair = base64.b64encode(f"{self.client}:{self.client_secret}".encode()).decode()
        wants = {"grant_type": ["client_credentials"], "scope": ["all-apis"]}
        if form != wants:
            return 400, {"error": "unsupported_grant_type"}
        if self.mode == "bad-client" or authorization != f"Basic {pair}":
            return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}
        token = f"eyJhbGciOi.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
        self.tokens.add(token)
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s, "scope": "all-apis"}

    def route(self, method: str, path: str, query: Query, body: Any, authorization: str) -> Answer:
        """Authentication, then the answer; Refused where the answer is an error."""
        if (method, path) == ("GET", "/oidc/.well-known/oauth-authorization-server"):
            return 200, {
                "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
                "token_endpoint": self.url + TOKEN_PATH,
            }
        if (method, path) == ("GET", "/.well-known/databricks-config"):
            return 200, {"oidc_endpoint": f"{self.url}/oidc"}
        if not authorization:
            raise Refused(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
        if authorization.removeprefix("Bearer ") not in self.tokens:
            raise Refused(403, 403, "Invalid access token.")
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0:
                raise Refused(429, "REQUEST_LIMIT_EXCEEDED", "Rate limit exceeded")
        if self.forbid(method, path):
            raise Refused(403, "PERMISSION_DENIED", "User does not have permission")
        return self.answer(method, path, query, body)


def _walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: _walk(v, change) for k, v in value.items()})
    return value


_IDS = ("job_id", "run_id", "task_key", "pipeline_id", "update_id", "cluster_id")
_LISTS = ("jobs", "runs", "tasks", "statuses", "updates", "clusters")
_WORDS = ("life_cycle_state", "result_state", "state", "code")
_STATUS: dict[str, Answer] = {
    "401": (401, {"error_code": "UNAUTHENTICATED", "message": "Request to the API has no credential"}),
    "403": (403, {"error_code": "PERMISSION_DENIED", "message": "ops does not have View permissions"}),
    "403-token": (403, {"error_code": 403, "message": "Invalid access token."}),
    "404": (404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}),
    "409": (409, {"error_code": "RESOURCE_CONFLICT", "message": "it is there already"}),
    "429": (429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}),
    "429-after": (429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}),
    "429-date": (429, {"error_code": "RESOURCE_EXHAUSTED", "message": "Rate limit exceeded"}),
    "500": (500, {"error_code": "INTERNAL_ERROR", "message": "an internal error"}),
    "503": (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "The service is temporarily unavailable"}),
    "503-after": (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "The service is temporarily unavailable"}),
    "shape": (200, [{"what": "is this"}]),
    "other": (200, {"status": "ok"}),
    "html": (200, "<html><body><form>please log in</form></body></html>"),
    "redirect": (302, None),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: DatabricksLike
    protocol_version = "HTTP/1.1"
    server_version = "databricks-like"
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

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        world = self.world
        split = urlsplit(self.path)
        query = parse_qs(split.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        minting = split.path == TOKEN_PATH
        body: Any = None
        if raw and not minting:
            with contextlib.suppress(ValueError):
                body = json.loads(raw)
        seen = Seen(method, split.path, query, body)
        with world.lock:
            world.requests.append(seen)
            fault = world.mode if world.fault_on(method, split.path) else None
            if fault == "lost-once" and method != "GET" and not minting:
                world.mode = None
        change = method != "GET" and not minting
        if fault in _CHANGES_ONLY and not change:
            fault = None
        if fault in ("reset", "hang", "drip", "slow") and self._stall(fault):
            return
        if minting:
            seen.status, answer = world.mint(parse_qs(raw.decode()), self.headers.get("Authorization", ""))
        else:
            seen.status, answer = self._answer(method, split.path, query, body, fault)
        if fault in ("lost", "lost-once") and seen.status < 300:
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
        if fault == "page2" and "page_token" in query:
            return _STATUS["500"]
        try:
            return self.world.route(method, path, query, body, self.headers.get("Authorization", ""))
        except Refused as no:
            return no.status, no.body

    def _send(self, status: int, answer: Any, fault: str | None) -> None:
        kind = "text/html" if isinstance(answer, str) else "application/json"
        if fault == "unknown-fields":
            answer = _walk(answer, lambda d: d | {"wf_new_thing": {"deep": [1, None, "x"]}})
        if fault == "unknown-state":
            answer = _walk(answer, lambda d: d | {k: "LEVITATING" for k in _WORDS if isinstance(d.get(k), str)})
        if fault == "wrong-types":
            answer = _walk(answer, lambda d: d | {k: 7 for k in ("name", "run_name", "task_key") if k in d})
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
        if fault in ("429-after", "503-after"):
            self.send_header("Retry-After", "7")
        elif fault == "429-date":
            self.send_header("Retry-After", formatdate(time.time() + self.world.skew_s + 9, usegmt=True))
        elif status == 429 and fault is None:
            self.send_header("Retry-After", "1")
        if fault == "redirect":
            self.send_header("Location", "https://login.example.invalid/?token=abcdef")
        self.end_headers()
        self.wfile.write(data)
