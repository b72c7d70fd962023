"""A configured job, compiled: its schedule, its business date, and what exactly a run of it executes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from adapters.local import state as st
from adapters.local.words import duration_words
from adapters.model import JobSpec, RunKind, State, StepSpec
from adapters.schedule import Schedule, parse, zone

_RULE: Final = re.compile(r"(start|logical)(?:\s*-\s*(\d{1,4})\s*d)?")
_FIELD: Final = re.compile(r"\{(business_date|run|param\.[A-Za-z0-9_.-]+)\}")
_ON_TIME_MS: Final = 60_000
"""A run that starts within a minute of its due time counts as started when due: a second must not shift its date."""


class Missing(ValueError):
    """A step needs a parameter that was not given."""


@dataclass(frozen=True)
class Job:
    """One ``[[job]]`` as it is used: ``rule`` is (``start`` or ``logical``, days to go back)."""

    spec: JobSpec
    schedule: Schedule | None
    rule: tuple[str, int]

    @property
    def name(self) -> str:
        return self.spec.name

    def business_date(self, start: int, due: int | None) -> str:
        """ISO date in the job's zone, of the start (or of the due time, ``logical``), less the rule's days."""
        word, days = self.rule
        moment = start
        if due is not None and (word == "logical" or 0 <= start - due <= _ON_TIME_MS):
            moment = due
        local = datetime.fromtimestamp(moment / 1000, zone(self.spec.timezone)).date()
        return (local - timedelta(days=days)).isoformat()

    def parameters(self) -> set[str]:
        """Names that its steps ask for."""
        return {
            name.removeprefix("param.")
            for step in self.spec.steps
            for word in step.run
            for name in _FIELD.findall(word)
            if name.startswith("param.")
        }


def compile_job(spec: JobSpec) -> Job:
    """Check what only an evaluation can tell; ValueError in one sentence that names the job."""
    try:
        schedule = parse(spec.schedule, spec.timezone) if spec.schedule else None
        zone(spec.timezone)
    except ValueError as error:
        raise ValueError(f"job {spec.name!r}: {error}") from None
    found = _RULE.fullmatch(spec.business_date.strip())
    if not found:
        raise ValueError(
            f"job {spec.name!r}: business_date {spec.business_date!r} is not known: "
            "expected start, start - 1d or logical"
        )
    if not spec.steps:
        raise ValueError(f"job {spec.name!r} has no step")
    if len(run_name(spec.name, "")) > 150:
        raise ValueError(f"job {spec.name[:40]!r}…: its name is too long for a folder")
    return Job(spec, schedule, (found.group(1), int(found.group(2) or 0)))


def run_name(job: str, run: str) -> str:
    """Name of a run's folder, and its mark."""
    return f"{quote(job, safe='')}@{quote(run, safe='')}"


def fill(argv: Sequence[str], date: str, run: str, params: Mapping[str, Any]) -> list[str]:
    """``{business_date}``, ``{run}``, ``{param.NAME}`` filled in, each staying inside its own word; other braces stand.

    Missing names the parameter that was not given; ValueError a value that no argument can hold.
    """

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "business_date":
            return date
        if name == "run":
            return run
        name = name.removeprefix("param.")
        if name not in params:
            raise Missing(f"the parameter {name!r} is not given")
        text = params[name] if isinstance(params[name], str) else str(params[name])
        if "\0" in text:
            raise ValueError(f"the parameter {name!r} holds a NUL character, which no argument can")
        return text

    return [_FIELD.sub(value, word) for word in argv]


def _step(job: Job, step: StepSpec) -> dict[str, Any]:
    return {
        "name": step.name,
        "env": dict(step.env),
        "timeout_ms": step.timeout_ms,
        "warning_codes": list(step.warning_codes),
        "retries": job.spec.retries,
        "retry_delay_ms": job.spec.retry_delay_ms,
    }


def make_spec(
    job: Job, run: str, date: str, params: Mapping[str, Any], floor: str, cwd: str, done: Mapping[str, str]
) -> st.Record:
    """What the supervisor needs, complete: later changes of the configuration do not reach a run that exists.

    ``done``: steps that are not run, with the run in which they were. Values of ``pass_env`` are not in it: they go
    through the supervisor's own environment, never to disk.
    """
    steps: list[st.Record] = []
    for step in job.spec.steps:
        argv = [] if step.name in done else fill(step.run, date, run, params)
        steps.append(_step(job, step) | {"argv": argv, "done": done.get(step.name)})
    return {
        "v": 1,
        "job": job.name,
        "run": run,
        "marks": {st.MARK: run_name(job.name, run), st.FLOOR: floor},
        "cwd": cwd,
        "env": dict(job.spec.env) | {"WATCHFLOOR_BUSINESS_DATE": date},
        "pass_env": list(job.spec.pass_env),
        "timeout_ms": job.spec.timeout_ms,
        "steps": steps,
    }


def make_state(
    job: Job,
    run: str,
    *,
    now: int,
    date: str,
    kind: RunKind,
    due: int | None = None,
    params: Mapping[str, Any] | None = None,
    client_id: str | None = None,
    rerun_of: str | None = None,
    done: Mapping[str, str] | None = None,
) -> st.Record:
    """A run's first state: QUEUED, its steps to come or done elsewhere."""
    steps: list[st.Record] = []
    for order, step in enumerate(job.spec.steps):
        entry: st.Record = {"name": step.name, "try": 1, "order": order, "state": State.QUEUED, "native": "queued"}
        if done and step.name in done:
            entry.update(
                state=State.SKIPPED, native="skipped", sub=f"done in {done[step.name]}", done_in=done[step.name]
            )
        steps.append(entry)
    return {
        "v": 1,
        "job": job.name,
        "run": run,
        "kind": kind,
        "state": State.QUEUED,
        "native": "queued",
        "business_date": date,
        "params": dict(params) if params else None,
        "client_id": client_id,
        "rerun_of": rerun_of,
        "partial": bool(done),
        "due": due,
        "queued": now,
        "updated": now,
        "steps": steps,
    }


def describe(job: Job) -> str:
    """The job's own limits in words, for a plan's note."""
    words: list[str] = []
    if job.spec.timeout_ms:
        words.append(f"times out after {duration_words(job.spec.timeout_ms)}")
    if job.spec.retries:
        words.append(f"each step tried again {job.spec.retries}× after {duration_words(job.spec.retry_delay_ms)}")
    return ", ".join(words)
