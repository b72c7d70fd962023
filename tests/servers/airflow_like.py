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
import json
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.servers.airflow_routes import Query, Routes
from tests.servers.airflow_state import Dag, DagRun, Effect, Refused, Task
from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, Seen, walk
from tests.servers.bad_days import STATUS as USUAL

__all__ = ["FAULTS", "AirflowLike", "Dag", "DagRun", "Effect", "Seen", "Task"]

_IDS = (
    "dag_id", "dag_run_id", "task_id", "map_index", "try_number", "id", "name", "import_error_id", "asset_id",
)  # fmt: skip
_LISTS = (
    "dags", "dag_runs", "task_instances", "pools", "import_errors", "dag_warnings", "assets", "backfills",
)  # fmt: skip
_STATUS: dict[str, tuple[int, Any]] = {
    **USUAL,
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
}
FAULTS = COMMON | {
    "422",
    "missing-fields",  # items carry their ids and nothing else
    "missing-ids",  # items without their ids
    "unknown-state",  # every state reads "levitating"
    "page2",  # any request with an offset: 500
    "scheduler-dead",  # health says so, with 200
    "bad-password",  # /auth/token refuses
    "v2",  # answers like Airflow 2.11
}


class AirflowLike(BadDays, Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    STATUS, FAULTS, SERVER = _STATUS, FAULTS, "airflow-like"

    def __init__(
        self, port: int = 0, *, user: str = "ops", password: str = "pa55-of-the-test", role: str = "admin"
    ) -> None:
        super().__init__(port)
        self.user, self.password, self.role = user, password, role
        self.tokens: set[str] = set()
        self.issued: list[str] = []
        self.expired: set[str] = set()
        self.malformed: set[str] = set()
        self.forbid: Callable[[str, str], bool] = lambda method, path: False
        """Requests that this user may not make (403 Forbidden), by method and path."""

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

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def answer_to(self, asked: Asked) -> Answer:
        return self.route(asked.method, asked.path, asked.query, asked.body, asked.authorization)

    def private(self, path: str) -> bool:
        return path.startswith("/auth/")

    def changes(self, asked: Asked) -> bool:
        if asked.path.endswith("/dry_run"):
            return False
        body = asked.body
        real = isinstance(body, dict) and not body.get("dry_run", "clear" in asked.path.lower())
        return asked.method in ("PATCH", "PUT") or (asked.method == "POST" and real)

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        if fault == "v2":
            if asked.path.startswith("/api/v2/") or asked.path == "/auth/token":
                return 404, "<html><body>Airflow 404 = lots of circles</body></html>"
            if asked.path == "/api/v1/version":
                return 200, {"version": "2.11.2", "git_version": None}
        return super().canned(fault, asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        if fault == "unknown-state":
            return walk(content, lambda d: d | {"state": "levitating"} if "state" in d else d)
        if fault in ("missing-fields", "missing-ids") and isinstance(content, dict):
            keep = fault == "missing-fields"
            for name in _LISTS:
                if name in content:
                    items = [{k: v for k, v in i.items() if (k in _IDS) == keep} for i in content[name]]
                    content = content | {name: items}
            return content
        return super().bent(content, fault)
