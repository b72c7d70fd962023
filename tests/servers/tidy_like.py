"""A scheduler that there is not, for docs/adapters.md and its test: jobs, runs with a number of their latest change, logs.

It is also the smallest example of a server on ``bad_days``. Everything lies below ``/api``, needs ``Authorization: Bearer``,
and is JSON; times are milliseconds since 1970:

    GET  /info                        {"version", "user"}
    GET  /jobs?after=NAME             {"jobs": [{"name", "paused"}], "more"}: 200 at most, by name
    GET  /jobs/NAME
    GET  /runs?after=SEQ              {"runs": [{"id", "job", "state", "started", "ended", "seq"}], "active": [all of them], "more"}:
                                      what changed after that change, 200 at most, by seq
    GET  /runs/ID
    GET  /runs/ID/log?from=CHARS      {"text", "next", "ended"}
    POST /jobs/NAME/runs              {"id": "ours"}: 201 the new run; 200 the run that already has that id
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.servers.bad_days import COMMON, Answer, Asked, BadDays, walk

PAGE = 200
PARAMS = {"jobs": {"after"}, "runs": {"after"}, "log": {"from"}}
IDS = {"id", "name", "job", "jobs", "runs", "active", "more", "seq"}


@dataclass
class Run:
    id: str
    job: str
    state: str
    started: int | None
    ended: int | None
    seq: int


@dataclass
class Refused(Exception):
    status: int
    body: dict[str, Any] = field(default_factory=lambda: {"error": "no such thing"})


class TidyLike(BadDays):
    """``jobs``: name → paused. ``effects``: what was really started from outside."""

    FAULTS = COMMON | {"missing-fields", "missing-ids", "unknown-state", "page2"}

    def __init__(self) -> None:
        super().__init__()
        self.token = "t1dy-t0ken-of-the-test"
        self.jobs: dict[str, bool] = {}
        self.runs: dict[str, Run] = {}
        self.logs: dict[str, str] = {}
        self.effects: list[str] = []
        self._seq = 0

    def now(self) -> int:
        return int((time.time() + self.skew_s) * 1000)

    def run(self, job: str, state: str = "running", ident: str = "", log: str = "") -> Run:
        """A run that began a minute ago, and that ended now where ``state`` says so."""
        with self.lock:
            self._seq += 1
            ended = self.now() if state in ("ok", "failed") else None
            run = Run(ident or f"r{self._seq}", job, state, self.now() - 60_000, ended, self._seq)
            self.runs[run.id], self.logs[run.id] = run, log
            return run

    def end(self, ident: str, state: str = "ok") -> None:
        with self.lock:
            self._seq += 1
            run = self.runs[ident]
            run.state, run.ended, run.seq = state, self.now(), self._seq

    def tick(self) -> None:
        """What waits begins to run."""
        with self.lock:
            for run in self.runs.values():
                if run.state == "waiting":
                    self._seq += 1
                    run.state, run.started, run.seq = "running", self.now(), self._seq

    # --- answers ----------------------------------------------------------------------------------------------------

    def answer_to(self, asked: Asked) -> Answer:
        if asked.authorization != f"Bearer {self.token}":
            return self.STATUS["401"]
        with self.lock:
            _, *parts = asked.parts
            kind = "log" if parts[-1] == "log" else parts[0] if len(parts) == 1 else ""
            if set(asked.query) - PARAMS.get(kind, set()):
                return self.undocumented(asked)
            after = asked.query.get("after", [""])[0]
            match asked.method, parts:
                case "GET", ["info"]:
                    return 200, {"version": "1.4", "user": "ops"}
                case "GET", ["jobs"]:
                    names = sorted(n for n in self.jobs if n > after)
                    return 200, self._page("jobs", [self._job(n) for n in names])
                case "GET", ["jobs", name]:
                    return 200, self._job(name)
                case "GET", ["runs"]:
                    runs = sorted((r for r in self.runs.values() if r.seq > int(after or 0)), key=lambda r: r.seq)
                    active = [asdict(r) for r in self.runs.values() if r.ended is None]
                    return 200, self._page("runs", [asdict(r) for r in runs]) | {"active": active}
                case "GET", ["runs", ident]:
                    return 200, asdict(self._run(ident))
                case "GET", ["runs", ident, "log"]:
                    run, text = self._run(ident), self.logs[ident]
                    begin = int(asked.query.get("from", ["0"])[0])
                    return 200, {"text": text[begin:], "next": len(text), "ended": run.ended is not None}
                case "POST", ["jobs", name, "runs"] if asked.body and set(asked.body) == {"id"}:
                    return self._start(self._job(name)["name"], asked.body["id"])
            return self.undocumented(asked)

    def _start(self, job: str, ident: str) -> Answer:
        if ident in self.runs:
            return 200, asdict(self.runs[ident])
        if self.mode == "noop":
            return 201, asdict(Run(ident, job, "waiting", None, None, self._seq + 1))
        self.effects.append(f"start {job}")
        return 201, asdict(self.run(job, "waiting", ident))

    def _page(self, what: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {what: items[:PAGE], "more": len(items) > PAGE}

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise Refused(404)
        return {"name": name, "paused": self.jobs[name]}

    def _run(self, ident: str) -> Run:
        if ident not in self.runs:
            raise Refused(404)
        return self.runs[ident]

    # --- what a bad day is here ---------------------------------------------------------------------------------------

    def canned(self, fault: str | None, asked: Asked) -> Answer | None:
        second = fault == "page2" and asked.query.get("after", ["0"])[0] not in ("", "0")
        return self.STATUS["500"] if second else super().canned(fault, asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        match fault:
            case "unknown-state":
                return walk(content, lambda d: d | {"state": "levitating"} if "state" in d else d)
            case "missing-fields":
                return walk(content, lambda d: {k: v for k, v in d.items() if k in IDS})
            case "missing-ids":
                return walk(content, lambda d: {k: v for k, v in d.items() if k not in ("id", "name", "job")})
        return super().bent(content, fault)
