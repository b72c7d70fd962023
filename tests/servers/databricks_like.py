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
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, Query, Seen, walk
from tests.servers.bad_days import STATUS as USUAL
from tests.servers.databricks_routes import Routes
from tests.servers.databricks_state import Refused

__all__ = ["FAULTS", "DatabricksLike"]

TOKEN_PATH = "/oidc/v1/token"
_IDS = ("job_id", "run_id", "task_key", "pipeline_id", "update_id", "cluster_id")
_LISTS = ("jobs", "runs", "tasks", "statuses", "updates", "clusters")
_WORDS = ("life_cycle_state", "result_state", "state", "code")
_STATUS: dict[str, tuple[int, Any]] = {
    **USUAL,
    "401": (401, {"error_code": "UNAUTHENTICATED", "message": "Request to the API has no credential"}),
    "403": (403, {"error_code": "PERMISSION_DENIED", "message": "ops does not have View permissions"}),
    "403-token": (403, {"error_code": 403, "message": "Invalid access token."}),  # as it answers to a wrong token
    "404": (404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}),
    "409": (409, {"error_code": "RESOURCE_CONFLICT", "message": "it is there already"}),
    "429": (429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}),
    "429-after": (429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}),
    "429-date": (429, {"error_code": "RESOURCE_EXHAUSTED", "message": "Rate limit exceeded"}),
    "500": (500, {"error_code": "INTERNAL_ERROR", "message": "an internal error"}),
    "503": (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "The service is temporarily unavailable"}),
    "503-after": (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "The service is temporarily unavailable"}),
    "other": (200, {"status": "ok"}),  # an object that is none of its own
}
FAULTS = (
    frozenset(_STATUS)
    | COMMON
    | {
        "missing-fields",  # items carry their ids and nothing else
        "missing-ids",  # items without their ids
        "wrong-types",  # numbers where texts belong
        "unknown-state",  # every state reads "LEVITATING"
        "page2",  # any request with a page token: 500
        "bad-client",  # the token endpoint refuses
    }
)


class DatabricksLike(BadDays, Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    STATUS, FAULTS, SERVER = _STATUS, FAULTS, "databricks-like"

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.pat = f"dapi{secrets.token_hex(16)}"
        self.client, self.client_secret = "1111-2222", f"dose{secrets.token_hex(16)}"
        self.life_s = 3600
        self.tokens: set[str] = {self.pat}
        self.issued: list[str] = []
        self.budget: int | None = None
        """Requests until it says 429 with Retry-After: 1; None: no limit."""
        self.forbid: Callable[[str, str], bool] = lambda method, path: False
        """Requests that this user may not make (403 PERMISSION_DENIED), by method and path."""

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
        if "/.well-known/" in path and (query or body is not None):
            return self._invent(f"{method} {path} with {sorted(query)}")
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
                return 429, Refused(429, "REQUEST_LIMIT_EXCEEDED", "Rate limit exceeded").body, {"Retry-After": "1"}
        if self.forbid(method, path):
            raise Refused(403, "PERMISSION_DENIED", "User does not have permission")
        return self.answer(method, path, query, body)

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def answer_to(self, asked: Asked) -> Answer:
        if self.private(asked.path):
            if asked.method != "POST" or asked.query:
                return self._invent(f"{asked.method} {asked.path} with {sorted(asked.query)}")
            return self.mint(parse_qs(asked.raw.decode()), asked.authorization)
        if asked.raw and asked.body is None:
            return self._invent(f"{asked.method} {asked.path} with a body that is no JSON")
        return self.route(asked.method, asked.path, asked.query, asked.body, asked.authorization)

    def private(self, path: str) -> bool:
        return path == TOKEN_PATH

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        return self.STATUS["500"] if fault == "page2" and "page_token" in asked.query else super().canned(fault, asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        if fault == "unknown-state":
            return walk(content, lambda d: d | {k: "LEVITATING" for k in _WORDS if isinstance(d.get(k), str)})
        if fault == "wrong-types":
            return walk(content, lambda d: d | {k: 7 for k in ("name", "run_name", "task_key") if k in d})
        if fault in ("missing-fields", "missing-ids") and isinstance(content, dict):
            keep = fault == "missing-fields"
            for name in _LISTS:
                if name in content:
                    items = [{k: v for k, v in i.items() if (k in _IDS) == keep} for i in content[name]]
                    content = content | {name: items}
            return content
        return super().bent(content, fault)
