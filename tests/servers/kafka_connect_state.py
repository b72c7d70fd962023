"""State of the server shaped like Kafka Connect: connectors, their tasks and workers, and what is on its way to change.

What is asked for is taken at once and done by ``tick``: first the connector, then its tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SECRET = "s3cr3t-of-the-config"
"""A value in the configuration of every connector."""
TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n"
    "\tat org.apache.kafka.connect.runtime.WorkerSinkTask.deliverMessages(WorkerSinkTask.java:632)\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
    "Caused by: org.apache.kafka.connect.errors.DataException: {why}\n"
    "\tat org.apache.kafka.connect.json.JsonConverter.toConnectData(JsonConverter.java:333)\n"
    "\t... 14 more\n"
)


class Refused(Exception):
    """An answer that is an error, worded as Kafka Connect words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error_code": status, "message": message}


@dataclass
class Effect:
    """One thing that was really changed from outside."""

    verb: str
    name: str


@dataclass
class Part:
    state: str
    worker: str
    trace: str | None = None

    def fail(self, why: str) -> None:
        self.state, self.trace = "FAILED", TRACE.format(why=why)

    def to(self, state: str) -> None:
        self.state, self.trace = state, None

    def shown(self) -> dict[str, Any]:
        own = {"state": self.state, "worker_id": self.worker}
        return own if self.trace is None else own | {"trace": self.trace}


@dataclass
class Connector:
    name: str
    config: dict[str, str]
    type: str
    own: Part
    tasks: list[Part]
    target: str = "RUNNING"
    again: str = ""
    """Why a part that is restarted fails again."""
    told: bool = True
    """Whether it has a status yet."""
    ended_tasks: int = 0

    def status(self) -> dict[str, Any]:
        tasks = [{"id": i} | t.shown() for i, t in enumerate(self.tasks)]
        return {"name": self.name, "connector": self.own.shown(), "tasks": tasks, "type": self.type}

    def info(self) -> dict[str, Any]:
        tasks = [{"connector": self.name, "task": i} for i in range(len(self.tasks))]
        return {"name": self.name, "config": dict(self.config), "tasks": tasks, "type": self.type}

    def tick(self, worker: str) -> None:
        """One step on the way to what was asked for."""
        for part in (self.own, *self.tasks):
            if part.state == "RESTARTING":
                part.to("RUNNING")
                if self.again:
                    part.fail(self.again)
            elif part.state == "UNASSIGNED":
                part.worker = worker
                part.to("RUNNING")
        if self.own.state != self.target and self.own.state != "FAILED":
            self.own.to(self.target)
            return
        if self.target == "STOPPED":
            self.ended_tasks = self.ended_tasks or len(self.tasks)
            self.tasks = []
            return
        if not self.tasks and self.ended_tasks:
            self.tasks, self.ended_tasks = [Part("UNASSIGNED", worker) for _ in range(self.ended_tasks)], 0
            return
        for task in self.tasks:
            if task.state in ("RUNNING", "PAUSED"):
                task.to(self.target)


@dataclass
class State:
    """``effects``: what was changed from outside. ``rebalances``: so many changes are refused with 409 from now on."""

    connectors: dict[str, Connector] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    workers: list[str] = field(default_factory=lambda: ["10.0.0.1:8083", "10.0.0.2:8083"])
    version: str = "3.9.0"
    rebalances: int = 0

    def add(
        self,
        name: str,
        *,
        tasks: int = 2,
        state: str = "RUNNING",
        kind: str = "sink",
        config: dict[str, str] | None = None,
    ) -> Connector:
        own = {
            "name": name,
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "tasks.max": str(max(1, tasks)),
            "topics": "orders",
            "connection.password": SECRET,
        }
        workers = self.workers
        made = Connector(
            name=name,
            config=own | (config or {}),
            type=kind,
            own=Part(state, workers[len(self.connectors) % len(workers)]),
            tasks=[Part(state, workers[i % len(workers)]) for i in range(tasks)],
            target=state if state in ("PAUSED", "STOPPED") else "RUNNING",
        )
        if state == "STOPPED":
            made.tasks, made.ended_tasks = [], tasks
        self.connectors[name] = made
        return made

    def fail(self, name: str, task: int = 0, why: str = "Converting byte[] to Kafka Connect data failed") -> None:
        self.connectors[name].tasks[task].fail(why)

    def leave(self, worker: str) -> None:
        """A worker goes: what it carried waits for another one."""
        self.workers.remove(worker)
        for connector in self.connectors.values():
            for part in (connector.own, *connector.tasks):
                if part.worker == worker:
                    part.to("UNASSIGNED")

    def tick(self) -> None:
        for connector in self.connectors.values():
            connector.tick(self.workers[0])

    # --- changes --------------------------------------------------------------------------------------------------

    def change(self, verb: str, connector: Connector, target: str) -> None:
        if connector.target != target:
            connector.target = target
            self.effects.append(Effect(verb, connector.name))

    def restart(self, connector: Connector, parts: list[Part], verb: str = "restart") -> None:
        for part in parts:
            part.state = "RESTARTING"  # its old trace stays for so long, as in Kafka 4.1
        if parts:
            self.effects.append(Effect(verb, connector.name))
