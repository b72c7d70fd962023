"""One run is one life of a connector, for Kafka Connect has no runs.

A life begins with the first sight of a connector and ends when it is deleted, or when it comes back after it was STOPPED
(its tasks were freed). Its id is ``life-N``, counted in the cursor. Kafka Connect tells no time at all: a life has a
beginning or an end only where it was seen to begin or end between two polls, by the server's clock at the later one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.errors import NotFound
from adapters.http import words
from adapters.kafka_connect.wire import (
    CONNECTOR,
    FAILED,
    NO_STATUS,
    STOPPED,
    UNASSIGNED,
    Status,
    cause,
    judged,
    state_of,
    why,
)
from adapters.model import Key, Run, RunKind, State, StepRun, pipeline_key, run_key

_ID: Final = re.compile(r"life-([1-9]\d{0,8})")
_GONE_KEPT: Final = 500
"""Connectors that are gone and whose number of lives is remembered."""
_STOPPED: Final = "s"
_FAILED: Final = "f"
GONE: Final = "g"


class Life(msgspec.Struct, array_like=True):
    """The latest life of one connector. ``last``: how it was seen last (``s f g``, or nothing worth remembering).

    ``tries``: by step, how often it was seen to go on after it had FAILED; ``bad``: the steps that were FAILED."""

    n: int = 1
    last: str = ""
    began: int | None = None
    ended: int | None = None
    tries: dict[str, int] = {}
    bad: list[str] = []


class Cursor(msgspec.Struct):
    """``lives`` by the connector's name, the one that is gone longest first."""

    v: int = 0
    lives: dict[str, Life] = {}


def number_of(run: str) -> int:
    """Of a life by its id; NotFound where it is none."""
    found = _ID.fullmatch(run)
    if found is None:
        raise NotFound(words(f"{run} is no run of Kafka Connect: they are named life-1, life-2 …"))
    return int(found[1])


def key_of(source: str, name: str, life: Life) -> str:
    return run_key(pipeline_key(source, name), f"life-{life.n}")


def advance(known: Life | None, status: Status | None, now: int | None, watched: bool) -> tuple[Life, Life | None]:
    """How a life goes on with what is seen ``now``, and the one before it where that ended.

    ``watched``: the connector would have been seen before, had it been there. ``status`` None: it is there, and has none yet.
    """
    if known is not None and rests(known, status):
        return known, None
    state = judged(status)[1] if status is not None else State.QUEUED
    stopped = status is not None and status.word == STOPPED
    last = _STOPPED if stopped else _FAILED if state is State.FAILED else ""
    before: Life | None = None
    if known is None:
        life = Life(began=now if watched else None)
    elif known.last == GONE or (known.last == _STOPPED and not stopped):
        before = known if known.last == _STOPPED else None
        known, life = None, Life(n=known.n + 1, began=now)
    else:
        life = Life(known.n, known.last, known.began, known.ended, dict(known.tries), list(known.bad))
    if last and last != life.last:
        life.ended = now if known is not None else None  # at first sight nobody knows since when
    elif not last:
        life.ended = None
    life.last = last
    bad = [step for step, part in status.parts if part.state == FAILED] if status is not None else []
    for step in life.bad:
        if step not in bad:
            life.tries[step] = life.tries.get(step, 0) + 1
    life.bad = bad
    return life, before


def rests(known: Life, status: Status | None) -> bool:
    """Whether it was stopped and no worker has it now: when the worker that had it leaves, Kafka Connect 4.1 says UNASSIGNED
    of a stopped connector too, until another takes it; that is no new life."""
    if known.last != _STOPPED:
        return False
    return status is None or (status.word == UNASSIGNED and all(t.state == UNASSIGNED for t in status.tasks or ()))


def gone(known: Life, now: int | None) -> Life:
    return Life(known.n, GONE, known.began, now)


def forget(lives: dict[str, Life]) -> dict[str, Life]:
    """Without those that are gone longest, where there are very many."""
    ended = [name for name, life in lives.items() if life.last == GONE]
    for name in ended[:-_GONE_KEPT]:
        del lives[name]
    return lives


# --- runs -------------------------------------------------------------------------------------------------------------


def run_of(source: str, name: str, life: Life, status: Status | None) -> Run:
    """The present life. No time in it but what was seen, see the module."""
    native, state, sub = judged(status) if status is not None else (NO_STATUS, State.QUEUED, "it has no status yet")
    if rests(life, status):
        state, sub = State.HELD, "it was stopped, and no worker has it now"
    return Run(
        key=key_of(source, name, life),
        native=native,
        state=state,
        sub=sub,
        kind=RunKind.MANUAL,
        started=life.began,
        ended=life.ended if state.terminal else None,
        error=why(status) if status is not None and state is State.FAILED else None,
    )


def ended_run(source: str, name: str, life: Life) -> Run:
    """A life that is over: its connector was deleted, or was stopped and came back."""
    deleted = life.last == GONE
    return Run(
        key=key_of(source, name, life),
        native="deleted" if deleted else STOPPED,
        state=State.STOPPED,
        sub="its connector was deleted" if deleted else "it was stopped, and started again as a new life",
        kind=RunKind.MANUAL,
        started=life.began,
        ended=life.ended,
    )


def steps_of(run: str, status: Status, tries: Mapping[str, int], operator: str | None = None) -> list[StepRun]:
    """The connector's own instance and its tasks, each in its present try."""
    out: list[StepRun] = []
    for order, (step, part) in enumerate(status.parts):
        native, state = state_of(part.state)
        out.append(
            StepRun(
                run=run,
                step=step,
                attempt=tries.get(step, 0) + 1,
                native=native,
                state=state,
                sub=words(f"on {part.worker_id}") if part.worker_id else None,
                order=order,
                operator="connector" if step == CONNECTOR else operator,
                error=(cause(part.trace) or "FAILED, and no trace is told") if state is State.FAILED else None,
            )
        )
    return out


def attempt_of(life: Life | None, key: Key) -> int:
    return (life.tries.get(key.step or "", 0) if life else 0) + 1
