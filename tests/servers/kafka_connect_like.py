"""A server shaped like the REST API of Kafka Connect, for tests: stateful, honest about what was done to it, bad days on a switch.

    with KafkaConnectLike() as server:                # listens on a free port of 127.0.0.1
        server.state.add("orders")
        server.state.fail("orders")                   # its first task
        server.state.tick()                           # what was asked for comes a step nearer
        server.state.rebalances = 2                   # the next two changes are refused with 409
        server.state.version = "2.2.0"                # knows no ``expand``, no ``stop``, no restart of tasks
        server.fault = "500"
        ... server.requests, server.state.effects, server.invented

``user`` and ``password``: Basic authentication is wanted. ``base``: a path below which all of it lies (a proxy).
"""

from __future__ import annotations

import base64
import re
import ssl
from typing import Any

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays
from tests.servers.bad_days import STATUS as USUAL
from tests.servers.kafka_connect_state import Connector, Refused, State

FAULTS = COMMON | {"wrong-types", "missing-fields", "missing-ids", "unknown-state"}


def _status(code: int, message: str) -> tuple[int, Any]:
    return code, {"error_code": code, "message": message}


_ANSWERS: dict[str, tuple[int, Any]] = {
    **USUAL,
    "401": (401, "User cannot access the resource."),  # BasicAuthSecurityRestExtension, as plain text
    "403": _status(403, "the gateway lets nobody through"),
    "404": _status(404, "HTTP 404 Not Found"),
    "409": _status(
        409,
        "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)",
    ),
    "429": _status(429, "too many requests"),
    "429-after": _status(429, "too many requests"),
    "429-date": _status(429, "too many requests"),
    "500": _status(500, "Request timed out. The worker is currently ensuring membership in the cluster"),
    "wrong-types": (200, {"version": 3, "name": 7, "orders": {"status": {"name": [], "tasks": "none"}}}),
}


class KafkaConnectLike(BadDays):
    """See the module."""

    STATUS, FAULTS, SERVER = _ANSWERS, FAULTS, "Jetty"

    def __init__(
        self, port: int = 0, *, user: str = "", password: str = "", base: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(port, tls=tls)
        self.state = State()
        self.base = base
        self.pair = f"{user}:{password}" if user else ""

    @property
    def at(self) -> str:
        """Where its API begins."""
        return self.url + self.base

    def count(self, method: str = "GET") -> int:
        return sum(r.method == method for r in self.requests)

    @property
    def _number(self) -> tuple[int, int]:
        found = re.match(r"(\d+)\.(\d+)", self.state.version)
        assert found
        return int(found[1]), int(found[2])

    def answer_to(self, asked: Asked) -> Answer:
        with self.lock:
            if self.pair:
                want = "Basic " + base64.b64encode(self.pair.encode()).decode()
                if asked.authorization != want:
                    return self.STATUS["401"]
            if not asked.path.startswith(self.base + "/"):
                return 404, "<html>nothing is here</html>"
            parts = asked.parts[len(self.base.split("/")) - 1 :]
            if asked.raw:
                return self.undocumented(asked, f"{asked.method} {asked.path} with a body")
            match asked.method, parts:
                case "GET", [""] if not asked.query:
                    return 200, {"version": self.state.version, "commit": "5a2ab0f", "kafka_cluster_id": "I4ZmrWqfT2e"}
                case "GET", ["connectors"]:
                    return self._listed(asked)
                case "GET", ["connectors", name] if not asked.query:
                    return 200, self._connector(name).info()
                case "GET", ["connectors", name, "status"] if not asked.query:
                    if name not in self.state.connectors or not self.state.connectors[name].told:
                        raise Refused(404, f"No status found for connector {name}")
                    return 200, self.state.connectors[name].status()
                case "GET", ["connectors", _, "stop"] if not asked.query:
                    raise (
                        Refused(405, "HTTP 405 Method Not Allowed")
                        if self._number >= (3, 5)
                        else Refused(404, "HTTP 404 Not Found")
                    )
                case "PUT", ["connectors", name, "pause" | "resume" | "stop" as verb] if not asked.query:
                    return self._target(name, verb)
                case "POST", ["connectors", name, "restart"]:
                    return self._restart(name, asked)
                case "POST", ["connectors", name, "tasks", task, "restart"] if not asked.query:
                    return self._restart_task(name, task)
            return self.undocumented(asked)

    def _listed(self, asked: Asked) -> Answer:
        expand = asked.query.get("expand", [])
        if set(asked.query) - {"expand"} or set(expand) - {"status", "info"}:
            return self.undocumented(asked)
        found = self.state.connectors
        if not expand or self._number < (2, 3):
            return 200, list(found)
        return 200, {
            name: {what: one.status() if what == "status" else one.info() for what in expand}
            for name, one in found.items()
            if one.told or "status" not in expand
        }

    def _connector(self, name: str) -> Connector:
        if name not in self.state.connectors:
            raise Refused(404, f"Connector {name} not found")
        return self.state.connectors[name]

    def _changed(self, name: str) -> Connector:
        """The connector that is to be changed, unless workers rebalance."""
        if self.state.rebalances:
            self.state.rebalances -= 1
            status, body = self.STATUS["409"]
            raise Refused(status, body["message"])
        return self._connector(name)

    def _target(self, name: str, verb: str) -> Answer:
        if verb == "stop" and self._number < (3, 5):
            raise Refused(404, "HTTP 404 Not Found")
        one = self._changed(name)
        if self.mode != "noop":
            self.state.change(verb, one, {"pause": "PAUSED", "resume": "RUNNING", "stop": "STOPPED"}[verb])
        return (204 if verb == "stop" else 202), None  # as Kafka 4.1 does

    def _restart(self, name: str, asked: Asked) -> Answer:
        query = {k: v[0] for k, v in asked.query.items()}
        if set(query) - {"includeTasks", "onlyFailed"} or set(query.values()) - {"true", "false"}:
            return self.undocumented(asked)
        one = self._changed(name)
        tasks, failed = query.get("includeTasks") == "true", query.get("onlyFailed") == "true"
        if self._number < (3, 0):
            tasks = failed = False
        parts = [one.own, *(one.tasks if tasks else [])]
        parts = [p for p in parts if not failed or p.state == "FAILED"]
        if self.mode != "noop":
            self.state.restart(one, parts)
        return (202, one.status()) if tasks or failed else (204, None)

    def _restart_task(self, name: str, task: str) -> Answer:
        one = self._changed(name)
        if not task.isdigit() or int(task) >= len(one.tasks):
            raise Refused(404, f"Unknown task: {name}-{task}")
        if self.mode != "noop":
            self.state.restart(one, [one.tasks[int(task)]], "restart task")
        return 204, None

    # --- what a bad day is here ---------------------------------------------------------------------------------

    def bent(self, content: Any, fault: str | None) -> Any:
        change = _BENT.get(fault or "")
        return _things(content, change) if change else content


def _things(content: Any, change: Any) -> Any:
    """Each status and each connector in an answer, changed."""
    if not isinstance(content, dict):
        return content
    if "name" in content or "version" in content:
        return change(content)
    if "error_code" in content:
        return content
    return {n: {what: change(thing) for what, thing in entry.items()} for n, entry in content.items()}


def _more(thing: dict[str, Any]) -> dict[str, Any]:
    new = {"wfNewThing": {"deep": [1, None, "x"]}}
    tasks = [t | new for t in thing["tasks"]] if "tasks" in thing else []
    return thing | new | ({"tasks": tasks} if tasks else {})


def _bare(thing: dict[str, Any]) -> dict[str, Any]:
    ids = ("id", "connector", "task")
    tasks = [{k: t[k] for k in ids if k in t} for t in thing.get("tasks", [])]
    return {k: thing[k] for k in ("name", "version") if k in thing} | {"tasks": tasks}


def _nameless(thing: dict[str, Any]) -> dict[str, Any]:
    tasks = [{k: v for k, v in t.items() if k not in ("id", "task")} for t in thing.get("tasks", [])]
    return {k: v for k, v in thing.items() if k != "name"} | {"tasks": tasks}


def _levitate(thing: dict[str, Any]) -> dict[str, Any]:
    if "config" in thing or "connector" not in thing:
        return thing
    odd = {"state": "LEVITATING"}
    return thing | {"connector": thing["connector"] | odd, "tasks": [t | odd for t in thing["tasks"]]}


_BENT: dict[str, Any] = {
    "unknown-fields": _more,
    "missing-fields": _bare,
    "missing-ids": _nameless,
    "unknown-state": _levitate,
}
