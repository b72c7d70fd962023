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

import json
import ssl
import time
from collections import deque
from typing import Any

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, Seen, walk
from tests.servers.bad_days import STATUS as USUAL
from tests.servers.kubernetes_routes import Routes
from tests.servers.kubernetes_state import Effect, Refused, template_of

__all__ = ["FAULTS", "Effect", "KubernetesLike", "Seen", "template_of"]


def _status(code: int, reason: str, message: str) -> tuple[int, Any]:
    return code, Refused(code, reason, message).body


_ANSWERS: dict[str, tuple[int, Any]] = {
    **USUAL,
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
    "wrong-types": (200, {"kind": 7, "metadata": "none", "items": {"a": 1}, "gitVersion": 3, "status": []}),
}
FAULTS = COMMON | frozenset(
    {
        "422", "wrong-types", "missing-fields", "missing-ids", "unknown-state",
        "page2",  # a watch is refused as too old, the first page of a list comes, the second does not
    }
)  # fmt: skip


class KubernetesLike(BadDays, Routes):
    """See the module. ``tokens``: those that it takes; without a credential one is ``system:anonymous`` and may nothing."""

    STATUS, FAULTS, SERVER = _ANSWERS, FAULTS, "kubernetes-like"

    def __init__(self, port: int = 0, *, token: str = "t0ken-of-the-test", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port, tls=tls)
        self.tokens = {token}
        self.token = token
        self.certificates = False
        """Takes a verified client certificate for a credential."""
        self.rate: int | None = None
        """Requests a second; one more is 429 with Retry-After: 1, as the API's priority and fairness says it. None: no limit."""
        self._lately: deque[float] = deque()

    def answer_to(self, asked: Asked) -> Answer:
        """Authentication, then the answer; Refused where the answer is an error."""
        given = asked.authorization
        if given and given.removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        if not given and not (asked.known and self.certificates) and asked.path != "/version":
            said = f'User "system:anonymous" cannot get path "{asked.path}"'
            raise Refused(403, "Forbidden", f"forbidden: {said}")
        if not self._room():
            return *_ANSWERS["429"], {"Retry-After": "1"}
        kind = asked.headers.get("content-type", "")
        return self.answer(asked.method, asked.path, asked.query, asked.body, kind)

    def _room(self) -> bool:
        """Whether the rate leaves room for one more request now."""
        if self.rate is None:
            return True
        with self.lock:
            now = time.monotonic()
            while self._lately and self._lately[0] < now - 1:
                self._lately.popleft()
            if len(self._lately) >= self.rate:
                return False
            self._lately.append(now)
            return True

    def count(self, method: str = "GET") -> int:
        return sum(r.method == method for r in self.requests)

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def changes(self, asked: Asked) -> bool:
        return asked.method != "GET" and "reviews" not in asked.path

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        return self.STATUS["500"] if fault == "page2" and "continue" in asked.query else super().canned(fault, asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        match fault:
            case "unknown-state":
                return walk(content, _levitate)
            case "missing-fields":
                return walk(content, lambda d: _bare(d, True))
            case "missing-ids":
                return walk(content, lambda d: _bare(d, False))
            case "unknown-fields":
                return _more(content)
        return content

    def encoded(self, content: Any, asked: Asked, fault: str | None) -> tuple[bytes, str]:
        if isinstance(content, list) and "watch" in asked.query and fault != "shape":
            lasts = float(asked.query.get("timeoutSeconds", ["1"])[0])
            self._wake.wait(min(self.watch_wait_s, lasts))
            return b"".join(json.dumps(line).encode() + b"\n" for line in content), "application/json"
        return super().encoded(content, asked, fault)


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
