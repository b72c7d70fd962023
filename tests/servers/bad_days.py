"""What the servers of the tests have alike: they listen, log what they are asked, and have bad days on a switch.

A server of a new system is its state and its answers; the rest is here. The smallest whole example is ``tidy_like.py``:

    class MineLike(BadDays):
        STATUS = {**STATUS, "401": (401, {"error": "no such token"})}     # how this system words its refusals
        FAULTS = COMMON | {"page2"}                                       # what it can have, further ones by name

        def answer_to(self, asked: Asked) -> Answer:                      # the good day, authentication included
            match asked.method, asked.parts:
                case "GET", ["api", "jobs"]:
                    return 200, {"jobs": [...]}
            return self.undocumented(asked)                               # 500, and it stands in ``invented``

    with MineLike() as server:                        # a free port of 127.0.0.1; ``tls=`` an SSLContext for https
        server.fault = "500"                          # see COMMON; None ends it
        server.skew_s = 3600.0                        # its Date is wrong from now on
        ... server.requests, server.invented

Where a server has a state class with an ``__init__`` of its own, it stands behind this one: ``class MineLike(BadDays, Routes)``.
``noop`` is the one bad day that a server has to play itself: while ``self.mode == "noop"`` it answers a change as if it were
done and changes nothing. ``bent`` is where it leaves out fields, or words a state as nobody knows it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from adapters.contract import Fault

__all__ = ["CHANGES_ONLY", "COMMON", "DAYS", "STATUS", "Answer", "Asked", "BadDays", "Query", "Seen", "walk"]

Query = dict[str, list[str]]
Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
"""Status, content, headers if need be. Content: text or bytes as they are, None for nothing, anything else as JSON."""
S = TypeVar("S", bound="BadDays")

STATUS: Mapping[str, tuple[int, Any]] = {
    "401": (401, {"error": "not authenticated"}),
    "403": (403, {"error": "forbidden"}),
    "404": (404, {"error": "not found"}),
    "409": (409, {"error": "conflict"}),
    "429": (429, {"error": "too many requests"}),  # without Retry-After
    "429-after": (429, {"error": "too many requests"}),  # Retry-After: 7
    "429-date": (429, {"error": "too many requests"}),  # Retry-After: a date 9 s ahead of the server's own clock
    "500": (500, {"error": "internal error"}),
    "503": (503, {"error": "come back later"}),
    "503-after": (503, {"error": "come back later"}),  # Retry-After: 7
    "html": (200, "<html><body><form>please log in</form></body></html>"),
    "redirect": (302, None),  # to another host
    "shape": (200, [{"what": "is this"}]),  # JSON of another shape
    "empty": (200, b""),
}
COMMON = frozenset(STATUS) | {
    "down",  # nobody listens on the port
    "slow",  # answers after slow_s
    "hang",  # takes the request and never answers
    "drip",  # one byte a tenth of a second, for ever
    "reset",  # takes the request, closes without an answer, does nothing
    "truncated",  # cut in the middle, length as cut
    "short",  # closes before Content-Length is reached
    "unknown-fields",  # every object has more than anyone knows
    "lost",  # a change takes effect, then the connection drops without an answer
    "lost-once",  # the same, for the first change only
    "lost-500",  # a change takes effect, then 500
    "noop",  # a change is answered as if done, and nothing is
}
DAYS: Mapping[Fault, str] = {
    Fault.DOWN: "down",
    Fault.SLOW: "slow",
    Fault.HANG: "hang",
    Fault.UNAUTHORIZED: "401",
    Fault.FORBIDDEN: "403",
    Fault.NOT_FOUND: "404",
    Fault.CONFLICT: "409",
    Fault.RATE_LIMITED: "429",
    Fault.RATE_LIMITED_AFTER: "429-after",
    Fault.RATE_LIMITED_DATE: "429-date",
    Fault.SERVER_ERROR: "500",
    Fault.HTML: "html",
    Fault.TRUNCATED: "truncated",
    Fault.SHAPE: "shape",
    Fault.MISSING_IDS: "missing-ids",
    Fault.MISSING_FIELDS: "missing-fields",
    Fault.UNKNOWN_FIELDS: "unknown-fields",
    Fault.UNKNOWN_STATE: "unknown-state",
    Fault.PAGE_TWO: "page2",
    Fault.LOST_ANSWER: "lost",
    Fault.DROPPED: "reset",
    Fault.UNAVAILABLE: "503",
    Fault.DOES_NOTHING: "noop",
}
"""The bad days of the contract by their names here. ``missing-*``, ``unknown-state`` and ``page2`` are a server's own to play."""
CHANGES_ONLY = frozenset({"lost", "lost-once", "lost-500", "noop"})


def walk(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Each object in it changed, the innermost first."""
    if isinstance(value, list):
        return [walk(v, change) for v in value]
    if isinstance(value, dict):
        return change({k: walk(v, change) for k, v in value.items()})
    return value


@dataclass
class Seen:
    """One request as it came in; never its credentials. ``status``: how it was answered, 0 where it was not."""

    method: str
    path: str
    query: Query
    body: Any
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request with all that it brought. Names of headers are in small letters; ``body``: its JSON, None where it is none."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    known: bool
    """It showed a client certificate that this server trusts."""

    @property
    def parts(self) -> list[str]:
        """Parts of the path, each decoded by itself."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


class BadDays:
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    METHODS: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
    STATUS: ClassVar[Mapping[str, tuple[int, Any]]] = STATUS
    """Bad days that are one answer to everything."""
    FAULTS: ClassVar[frozenset[str]] = COMMON
    SERVER: ClassVar[str] = "test"

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.lock = threading.RLock()
        self.skew_s = 0.0
        self.mode: str | None = None
        self.requests: list[Any] = []
        self.invented: list[str] = []
        """What it was asked and does not have."""
        super().__init__()
        self.slow_s = 0.3
        self.fault_on: Callable[[str, str], bool] = lambda method, path: not self.private(path)
        """Which requests the fault hits, by method and path."""
        self._port, self._tls = port, tls
        self._wake = threading.Event()
        self._over = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._pilot: threading.Thread | None = None
        self._open: set[socket.socket] = set()

    # --- what a server says of itself -------------------------------------------------------------------------------

    def answer_to(self, asked: Asked) -> Answer:
        """The answer of a good day, authentication included. An exception with ``status`` and ``body`` is one too."""
        raise NotImplementedError

    def undocumented(self, asked: Asked, what: str = "") -> Answer:
        """The system has no such path or parameter: what is invented does not pass."""
        self.invented.append(what or f"{asked.method} {asked.path} {sorted(asked.query)}")
        return 500, {"error": f"not documented: {self.invented[-1]}"}

    def private(self, path: str) -> bool:
        """Credentials are in the body: it is not logged, and no bad day but its own hits it."""
        return False

    def changes(self, asked: Asked) -> bool:
        """Whether the request would change something."""
        return asked.method != "GET"

    def hits(self, asked: Asked) -> bool:
        """Whether the bad day hits this request."""
        return self.fault_on(asked.method, asked.path)

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        """The answer of a bad day that asks nobody."""
        return self.STATUS.get(fault or "")

    def bent(self, content: Any, fault: str | None) -> Any:
        """The content of an answer as the bad day has it."""
        if fault == "unknown-fields":
            return walk(content, lambda d: d | {"wfNewThing": {"deep": [1, None, "x"]}})
        return content

    def encoded(self, content: Any, asked: Asked, fault: str | None) -> tuple[bytes, str]:
        """The bytes of an answer and their content type."""
        if isinstance(content, bytes):
            return content, "text/plain"
        if isinstance(content, str):
            return content.encode(), "text/html" if content.startswith("<") else "text/plain"
        return b"" if content is None else json.dumps(content).encode(), "application/json"

    def seen(self, asked: Asked) -> Any:
        """What is kept of a request in ``requests``."""
        headers = {k: v for k, v in asked.headers.items() if k != "authorization"}
        body = None if self.private(asked.path) else asked.body
        return Seen(asked.method, asked.path, asked.query, body, headers=headers)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self: S) -> S:
        self._over.clear()
        self._wake = threading.Event()
        self._listen()
        return self

    def stop(self) -> None:
        self._over.set()
        self._wake.set()
        if self._pilot is not None:
            self._pilot.join()
            self._pilot = None
        self._unlisten()

    def __enter__(self: S) -> S:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def autopilot(self, every_s: float) -> None:
        """From now on the server's own ``tick`` every so many seconds, until stopped."""
        tick: Callable[[], object] = self.tick  # type: ignore[attr-defined]
        assert self._pilot is None, "the autopilot is on already"

        def fly() -> None:
            while not self._over.wait(every_s):
                tick()

        self._pilot = threading.Thread(target=fly, daemon=True)
        self._pilot.start()

    @property
    def fault(self) -> str | None:
        return self.mode

    @fault.setter
    def fault(self, name: str | None) -> None:
        assert name is None or name in self.FAULTS, f"no such fault: {name}"
        self.mode = name
        self._wake.set()  # whoever hangs goes on
        self._wake = threading.Event()
        if name == "down":
            self._unlisten()
        else:
            self._listen()

    def _listen(self) -> None:
        if self._server is not None:
            return
        owner = self

        class Handler(_Handler):
            world = owner
            server_version = owner.SERVER

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away is part of the game


class _Handler(BaseHTTPRequestHandler):
    world: BadDays
    protocol_version = "HTTP/1.1"
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

    def _asked(self) -> Asked:
        split = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body: Any = None
        if raw:
            with contextlib.suppress(ValueError):
                body = json.loads(raw)
        known = isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())
        headers = {k.lower(): v for k, v in self.headers.items()}
        query = parse_qs(split.query, keep_blank_values=True)
        return Asked(self.command, split.path, query, headers, raw, body, known)

    def serve(self) -> None:
        world, asked = self.world, self._asked()
        if asked.method not in world.METHODS:
            self.send_error(501)
            return
        seen = world.seen(asked)
        change = not world.private(asked.path) and world.changes(asked)
        with world.lock:
            world.requests.append(seen)
            fault = world.mode if world.hits(asked) else None
            if fault == "lost-once" and change:
                world.mode = None
        if fault in CHANGES_ONLY and not change:
            fault = None
        if fault in ("reset", "hang", "drip", "slow") and self._stall(fault):
            return
        status, content, headers = self._answer(asked, fault)
        if fault in ("lost", "lost-once") and status < 300:
            self.close_connection = True
            return
        if fault == "lost-500" and status < 300:
            status, content = world.STATUS["500"]
        seen.status = status
        self._send(asked, status, content, headers, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

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

    def _answer(self, asked: Asked, fault: str | None) -> tuple[int, Any, Mapping[str, str]]:
        found = self.world.canned(fault, asked)
        if found is None:
            try:
                found = self.world.answer_to(asked)
            except Exception as no:
                if not (hasattr(no, "status") and hasattr(no, "body")):
                    raise
                found = no.status, no.body
        return found if len(found) == 3 else (*found, {})

    def _send(self, asked: Asked, status: int, content: Any, headers: Mapping[str, str], fault: str | None) -> None:
        data, kind = self.world.encoded(self.world.bent(content, fault), asked, fault)
        if fault == "truncated":
            if status in (202, 204):  # there is nothing to cut
                status, data = 200, b"{}"
            data = data[: max(1, len(data) // 2)]
        length = len(data)
        if fault == "short":
            data = data[: length // 2]
            self.close_connection = True
        more = dict(headers)
        if fault in ("429-after", "503-after"):
            more["Retry-After"] = "7"
        if fault == "429-date":
            more["Retry-After"] = formatdate(time.time() + self.world.skew_s + 9, usegmt=True)
        if fault == "redirect":
            more["Location"] = "https://login.example.invalid/?token=abcdef"
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
