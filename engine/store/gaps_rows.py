"""Rows of the gap map, as the reader hands them out. Times ms UTC, dates ISO, None is "not known"."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import Owed, RunKind, State


@dataclass(frozen=True, slots=True)
class DateRuns:
    """All runs of a pipeline for one date, and the best of them: one that ended well, else one that goes on, else a bad one, the
    newest of each. ``n``: runs; ``good``: ended well; ``active``: go on; ``planned``: made by a schedule. ``dated`` False: the run
    names no business date and stands on the day it began.
    """

    day: str
    run_key: str
    state: State
    kind: RunKind
    at: int
    started: int | None
    ended: int | None
    n: int
    good: int
    active: int
    planned: int
    dated: bool = True


@dataclass(frozen=True, slots=True)
class DatePromise:
    """What was owed for one date, of promises about a date; ``id`` for ``owed_one``."""

    id: int
    day: str
    state: Owed
    due: int
    missed: bool
    run_key: str | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """What is known of a pipeline's dates. ``first``: date of the oldest run that is kept; None: none ever ran here."""

    first: str | None = None
    runs: tuple[DateRuns, ...] = ()
    owes: tuple[DatePromise, ...] = ()


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a source was not seen. ``source`` None: nobody watched at all. ``until`` None: it goes on."""

    source: str | None
    at: int
    until: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked us for a run: the action's verb, the person, when, and the reason that was given."""

    verb: str
    who: str
    at: int
    reason: str | None
