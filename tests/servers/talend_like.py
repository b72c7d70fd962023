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
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, Query, walk
from tests.servers.bad_days import STATUS as USUAL
from tests.servers.talend_fields import shape
from tests.servers.talend_routes import Routes
from tests.servers.talend_state import Refused

__all__ = ["FAULTS", "TalendLike"]

FAULTS = COMMON | {"missing-fields", "missing-ids", "unknown-state", "page2", "bad-client"}
_TOKEN = "/security/oauth/token"
_IDS = ("executable", "executionId", "taskId", "jobId", "planId", "id")
_STATUS: dict[str, tuple[int, Any]] = {
    **USUAL,
    "401": (401, {"status": 401, "detail": "Unauthorized"}),
    "403": (403, {"status": 403, "message": "Forbidden", "detail": "no permission", "requestId": "r"}),
    "404": (404, {"status": 404, "message": "Not found", "detail": "no such thing", "requestId": "r"}),
    "409": (409, {"status": 409, "message": "Conflict", "detail": "conflict", "requestId": "r"}),
    "429": (429, {"status": 429, "message": "Too many requests"}),
    "429-after": (429, {"status": 429, "message": "Too many requests"}),
    "429-date": (429, {"status": 429, "message": "Too many requests"}),
    "500": (500, {"status": 500, "message": "Internal error", "detail": "hidden", "requestId": "r"}),
    "503": (503, {"errors": [{"code": "UNAVAILABLE", "message": "come back later"}]}),
}


class TalendLike(BadDays, Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    STATUS, FAULTS = _STATUS, FAULTS

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

    @property
    def secrets(self) -> list[str]:
        """Everything that must appear in no text of ours."""
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return [self.pat, self.client_secret, pair, *self.issued, *self.files]

    # --- one request --------------------------------------------------------------------------------------------

    def mint(self, body: Any, query: Query, authorization: str) -> tuple[int, Any]:
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        audience = given.get("audience")
        named = set(given) == {"grant_type", "audience"} and given["grant_type"] == "client_credentials"
        if query or not named or not isinstance(audience, str) or not audience:
            raise self.invent(f"POST {_TOKEN} with {sorted(query)} and a body of {sorted(given)}")
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if self.mode == "bad-client" or authorization != f"Basic {pair}":
            return 401, {"status": 401, "detail": "bad client"}
        self.audiences.append(audience)
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
            lately = self._lately.setdefault(f"{method} {(shape(method, path) or [None])[0]}", deque())
            while lately and lately[0] < now - 1:
                lately.popleft()
            if len(lately) >= self.rate:
                raise Refused(429, "Too many requests")
            lately.append(now)

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def answer_to(self, asked: Asked) -> Answer:
        if asked.path == _TOKEN and asked.method == "POST":
            return self.mint(asked.body, asked.query, asked.authorization)
        if asked.path.startswith("/presigned/"):
            if asked.method != "GET" or set(asked.query) - {"X-Signature"} or asked.raw:
                raise self.invent(f"{asked.method} {asked.path} {sorted(asked.query)}")
            if asked.authorization:
                self.leaked.append(asked.path)
                raise Refused(400, "two authentications at once")
            name = asked.path.rpartition("/")[2]
            if name not in self.files:
                raise Refused(403, "expired")
            return 200, self.files[name][0]
        self.authorised(asked.method, asked.path, asked.authorization)
        return self.answer(
            asked.method, asked.path, asked.query, asked.raw, asked.body, asked.headers.get("accept", "")
        )

    def private(self, path: str) -> bool:
        return path == _TOKEN

    def changes(self, asked: Asked) -> bool:
        run = asked.method == "POST" and asked.path.startswith("/processing/executions")
        return run or asked.method in ("PUT", "DELETE")

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        if fault == "page2" and int(asked.query.get("offset", ["0"])[0]) > 0:
            return self.STATUS["500"]
        return super().canned(fault, asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        if fault == "unknown-state":
            words = dict.fromkeys(("status", "executionStatus"), "levitating")
            return walk(content, lambda d: {k: words.get(k, v) for k, v in d.items()})
        if fault in ("missing-fields", "missing-ids"):
            return _bare(content, fault == "missing-fields")
        return super().bent(content, fault)


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
