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
from typing import Any

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, walk
from tests.servers.bad_days import STATUS as USUAL
from tests.servers.dataiku_state import API, ApiKey, Routes, error

__all__ = ["FAULTS", "ApiKey", "DataikuLike"]

_STATUS: dict[str, tuple[int, Any]] = {
    **USUAL,
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
FAULTS = COMMON | {"wrong-types", "missing-fields", "missing-ids", "unknown-state", "page2"}
_IDS = {"projectKey", "id", "runId", "jobId", "name"}
_FRAME = {"scenarioRun", "stepRuns", "step", "metric", "metrics", "def", "baseStatus"}


class DataikuLike(BadDays, Routes):
    """See the module. Everything public may be called while it serves; one lock guards the state."""

    STATUS, FAULTS, SERVER = _STATUS, FAULTS, "dss-like"

    def __init__(self, key: ApiKey | None = None) -> None:
        super().__init__()
        self.key = key or ApiKey("dkuaps-k3y-of-the-test", "ana")
        self.jwt = ""
        """Where set: a token that is accepted as Bearer."""
        self.expired = False
        self.allow: int | None = None

    @property
    def secrets(self) -> list[str]:
        return [self.key.secret, base64.b64encode(f"{self.key.secret}:".encode()).decode(), *filter(None, [self.jwt])]

    def answer_to(self, asked: Asked) -> Answer:
        """Authentication as DSS has it, then the answer."""
        if self.allow is not None:
            self.allow -= 1
            if self.allow < 0:
                return *_STATUS["429-after"], {"Retry-After": "7"}
        if not asked.path.startswith(API + "/"):  # as DSS answers, but nothing of ours has business there
            self.refused.append(f"{asked.method} {asked.path}")
            return 200, "<html><body>the user interface</body></html>"
        kind, _, given = asked.authorization.partition(" ")
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
        first = f"/projects/{next(iter(self.projects), '')}/"
        if self.mode == "page2" and asked.path.endswith("/scenarios/") and first not in asked.path:
            return _STATUS["500"]
        body = asked.raw if asked.raw and asked.body is None else asked.body  # what is no JSON is no body of this API
        return self.answer(self.key, asked.method, asked.path, asked.query, body)

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def bent(self, content: Any, fault: str | None) -> Any:
        match fault:
            case "unknown-state":
                return walk(content, lambda d: d | {k: "LEVITATING" for k in ("outcome", "state") if k in d})
            case "missing-fields":
                return walk(content, lambda d: {k: v for k, v in d.items() if k in _IDS | _FRAME})
            case "missing-ids":
                return walk(content, lambda d: {k: v for k, v in d.items() if k not in _IDS})
            case "wrong-types":
                return walk(content, lambda d: {k: [v] if k in _IDS else v for k, v in d.items()})
        return super().bent(content, fault)
