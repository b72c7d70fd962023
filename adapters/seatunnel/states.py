"""SeaTunnel's words for a job, as ours; and jobs as runs, steps and pipelines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any, Final

import msgspec

from adapters.http import words
from adapters.model import Pipeline, Run, RunKind, State, StepDef, StepRun, Trigger, pipeline_key, run_key
from adapters.seatunnel.wire import Job, ms, vertices

WHOLE: Final = "job"
"""The step that stands for the job as a whole: SeaTunnel tells one state and keeps one log for all of it."""
GONE: Final = "gone"
"""Our word for a job that SeaTunnel told of as active and now knows no more."""
STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "INITIALIZING": (State.QUEUED, None),
    "CREATED": (State.QUEUED, None),
    "PENDING": (State.QUEUED, "waits for slots"),
    "SCHEDULED": (State.QUEUED, None),
    "RUNNING": (State.RUNNING, None),
    "FAILING": (State.RUNNING, "failing"),
    "DOING_SAVEPOINT": (State.RUNNING, "savepoint"),
    "SAVEPOINT_DONE": (State.HELD, "savepoint"),
    "FAILED": (State.FAILED, None),
    "CANCELING": (State.STOPPING, None),
    "CANCELED": (State.STOPPED, None),
    "FINISHED": (State.SUCCESS, None),
    "UNKNOWABLE": (State.LOST, None),
}
HANGING: Final = ("DOING_SAVEPOINT", "CANCELING", "FAILING")
"""Words in which a job can hang while it stops."""
_SHOWN: Final = ("job.mode", "parallelism", "checkpoint.interval")
"""Of a job's ``env``; what else is in it may be a secret."""
_OURS: Final = 77 * 10**13


def our_id(client_id: str) -> str:
    """The id that a job gets which an action of ours submits: SeaTunnel takes one job per id (seen live), so that a request
    sent twice is one job. Fifteen digits: told from its own ids, which have nineteen, and whole in JavaScript."""
    digest = hashlib.blake2b(client_id.encode(), digest_size=8).digest()
    return str(_OURS + int.from_bytes(digest, "big") % 10**13)


def is_ours(job_id: str) -> bool:
    return len(job_id) == 15 and job_id.startswith("77")


def state_of(job: Job) -> tuple[str, State, str | None]:
    """Native word (with ``?`` where it is not known), state, sub-label."""
    word = words(job.jobStatus or "")
    found = STATES.get(word)
    if found is not None:
        return word, found[0], found[1]
    return f"{word}?", State.WARNING if job.finish is not None else State.RUNNING, None


def key_of(source: str, job: Job) -> str:
    return run_key(pipeline_key(source, job.name), job.id)


def run_of(job: Job, source: str, zone: tzinfo) -> Run:
    native, state, sub = state_of(job)
    created = ms(job.createTime, zone)
    started = ms(job.startTime, zone)
    if started is None and state is not State.QUEUED:
        started = created
    ended = ms(job.finish, zone) if state.terminal else None
    if ended is not None and started is not None and ended < started:  # its clock was set back meanwhile
        started = ended
    restored = job.isStartWithSavePoint is True and state is State.RUNNING and sub is None
    return Run(
        key=key_of(source, job),
        native=native,
        state=state,
        sub="from savepoint" if restored else sub,
        kind=RunKind.MANUAL if is_ours(job.id) else RunKind.SCHEDULED,
        params=_env(job.envOptions),
        queued=created,
        started=started,
        ended=ended,
        error=error_of(job),
    )


def gone_run(source: str, name: str, job_id: str) -> Run:
    return Run(
        key=run_key(pipeline_key(source, name), job_id),
        native=GONE,
        state=State.LOST,
        sub="SeaTunnel knows it no more",
        kind=RunKind.MANUAL if is_ours(job_id) else RunKind.SCHEDULED,
    )


def error_of(job: Job) -> str | None:
    """The most telling line of ``errorMsg``: the innermost cause, where it names one."""
    lines = [line.strip() for line in str(job.errorMsg or "").splitlines() if line.strip()]
    if not lines:
        return None
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return words(causes[-1].removeprefix("Caused by: ") if causes else lines[0])


def slim(job: Job) -> Job:
    """What a run is made of, without graph, figures and trace: thousands of ended jobs are remembered."""
    return msgspec.structs.replace(job, jobDag=None, metrics=None, errorMsg=error_of(job))


def _env(found: Any) -> Mapping[str, Any] | None:
    if not isinstance(found, dict):
        return None
    return {k: words(str(found[k])) for k in _SHOWN if k in found} or None


def steps_of(job: Job, run: str, zone: tzinfo) -> list[StepRun]:
    """The job as a whole, and its vertices. SeaTunnel tells no state of a single vertex: each is what the job is, but of a job
    that failed only what its error names is called failed."""
    native, state, sub = state_of(job)
    told = run_of(job, "x", zone)
    found = [
        StepRun(
            run=run, step=WHOLE, native=native, state=state, sub=sub, queued=told.queued, started=told.started,
            ended=told.ended, operator="job", error=told.error,
        )
    ]  # fmt: skip
    text = str(job.errorMsg or "")
    for order, vertex in enumerate(vertices(job.jobDag), 1):
        mine, label = state, sub
        if state is State.FAILED and vertex.name not in text:
            mine, label = State.STOPPED, "with the job"
        found.append(
            StepRun(
                run=run, step=vertex.name, native=native, state=mine, sub=label, queued=told.queued, started=told.started,
                ended=told.ended, order=order, operator=vertex.kind or None,
            )
        )  # fmt: skip
    return found


def pipelines_of(jobs: Iterable[Job], source: str, names: Iterable[str]) -> dict[str, Pipeline]:
    """Each name once, by name; ``jobs`` the oldest first: the latest says what it consists of."""
    found: dict[str, Pipeline] = {
        name: Pipeline(key=pipeline_key(source, name), name=words(name)) for name in names if name
    }
    for job in jobs:
        steps = tuple(
            StepDef(name=v.name, after=v.after or (WHOLE,), operator=v.kind or None) for v in vertices(job.jobDag)
        )
        found[job.name] = Pipeline(
            key=pipeline_key(source, job.name),
            name=words(job.name),
            trigger=Trigger.CONTINUOUS if job.streaming else Trigger.UNKNOWN,
            steps=(StepDef(name=WHOLE, operator="job"), *steps),
        )
    return found
