"""What the Floor knows of promises: whose occurrence matters now, what waits for it, which checks it has not passed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from adapters.model import Course, Owed
from tui.present import running_on
from tui.present.glyphs import Look
from tui.present.owed import MEASURED, PER_RUN
from tui.present.running_on import RunningOn

if TYPE_CHECKING:
    from engine.store.reader import Reader
    from engine.store.rows import CheckRow, EdgeRow, FloorRow, OwedRow

DAY: Final = 86_400_000
UNPROVED_MS: Final = 30 * 60_000
"""A check that failed and is asked again is no problem for so long after the run ended."""
SAME_MS: Final = 100
"""What moved so lately is read again: two commits may bear the same millisecond."""
_DEEPEST: Final = 200
"""Things behind one pipeline that are looked at: a sentence names the first of them only."""

CHECKING: Final = Look("►", ">", "checking", "run-running", "check")
UNPROVED: Final = Look("▲", "!", "unproved", "run-warning b", "unprovd")


@dataclass(frozen=True, slots=True)
class Owing:
    """``now``: by the key of a thing, its occurrence that matters; ``down`` and ``up``: who waits for whom, by keys.

    ``checks``: by pipeline id, what its current run has not passed yet. ``on``: by run key, what runs on after a step failed.
    """

    now: Mapping[str, OwedRow] = field(default_factory=dict[str, "OwedRow"])
    down: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    up: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    checks: Mapping[int, Sequence[CheckRow]] = field(default_factory=dict[int, "Sequence[CheckRow]"])
    marks: Mapping[str, tuple[int, int, int, str]] | None = None
    on: Mapping[str, RunningOn] = field(default_factory=dict[str, "RunningOn"])
    unmeasured: tuple[OwedRow, ...] = ()
    """What is owed of numbers that nobody measures now."""

    @property
    def unjudged(self) -> Sequence[OwedRow]:
        """Declared promises that nobody can judge now, and that no row of a pipeline shows."""
        things = [r for r in self.now.values() if r.pipeline_id is None and r.declared and r.state is Owed.UNKNOWN]
        return [*things, *(r for r in self.unmeasured if self.now.get(r.thing) != r)]

    @classmethod
    def of(
        cls,
        now: Mapping[str, OwedRow],
        edges: Sequence[EdgeRow] = (),
        checks: Mapping[int, Sequence[CheckRow]] | None = None,
    ) -> Owing:
        """From ``reader.owed_now()``, ``reader.edges()`` and ``reader.unverified()``."""
        down: dict[str, list[str]] = {}
        up: dict[str, list[str]] = {}
        for edge in edges:
            down.setdefault(edge.up, []).append(edge.down)
            up.setdefault(edge.down, []).append(edge.up)
        return cls(now, down, up, checks or {})

    @classmethod
    def read(cls, reader: Reader, before: Owing | None = None) -> Owing:
        """What is owed now: one small question for what moved, then only that is read; all of it without a ``before``."""
        marks = reader.owed_marks()
        if before is None or before.marks is None:
            now = reader.owed_now() if marks else {}
        else:
            had, newest = before.marks, max((max(m[1], m[2]) for m in marks.values()), default=0) - SAME_MS
            moved = [key for key, m in marks.items() if had.get(key) != m or m[1] >= newest or m[2] >= newest]
            fresh = reader.owed_now(moved) if moved else {}
            now = {key: row for key, row in before.now.items() if key in marks} | fresh
        found = cls.of(now, reader.edges(), reader.unverified())
        return replace(found, marks=marks, on=running_on.read(reader), unmeasured=reader.owed_unmeasured(MEASURED))

    def moved(self, before: Owing) -> set[str]:
        """Keys of the things that owe something else than before, or no longer anything."""
        had = before.now
        new = {key for key, row in self.now.items() if row is not (old := had.get(key)) and row != old}
        on = {key for key in (*self.on, *before.on) if self.on.get(key) != before.on.get(key)}
        return new | {key for key in had if key not in self.now} | {key.partition("/")[0] for key in on}

    @property
    def declared(self) -> bool:
        """Whether anybody declared a promise: if not, nobody misses a deadline."""
        return any(row.declared for row in self.now.values())

    def behind(self, key: str, date: str | None, now: int) -> tuple[OwedRow, ...]:
        """Promises of what waits for this pipeline, of the same business date or due within a day, soonest due first."""
        found: list[OwedRow] = []
        seen, todo = {key}, [key]
        while todo and len(seen) < _DEEPEST:
            for thing in self.down.get(todo.pop(), ()):
                if thing in seen:
                    continue
                seen.add(thing)
                todo.append(thing)
                row = self.now.get(thing)
                if row is not None and still_owed(row) and _same_day(row, date, now):
                    found.append(row)
        return tuple(sorted(found, key=lambda r: (r.due, r.name)))

    def late_sources(self, key: str) -> tuple[OwedRow, ...]:
        """Feeds right above it that came late, or are not here."""
        rows = [self.now.get(thing) for thing in self.up.get(key, ()) if thing.startswith("feed:")]
        late = (Owed.MET_LATE, Owed.BREACHED, Owed.AT_RISK)
        return tuple(r for r in rows if r is not None and r.state in late)


NOTHING: Final = Owing()


def still_owed(row: OwedRow) -> bool:
    """A declared promise that is neither kept nor excused."""
    return row.declared and row.state.unsettled and row.type not in PER_RUN


def owes(r: FloorRow, row: OwedRow | None) -> bool:
    """Whether the run that a pipeline shows is the one that has to keep its promise."""
    if row is None or not still_owed(row):
        return False
    again = row.prediction is not None and row.prediction.course is Course.RERUN
    return again or row.run_key == r.run_key or (row.business_date is not None and row.business_date == r.business_date)


def _same_day(row: OwedRow, date: str | None, now: int) -> bool:
    if row.business_date is not None and date is not None:
        return row.business_date == date
    return row.due - now < DAY


def unproved(ended: int | None, checks: Sequence[CheckRow], now: int) -> bool:
    """Of a run that ended then: a check failed, and it has been unproved for long."""
    return any(c.state == 2 for c in checks) and ended is not None and now - ended >= UNPROVED_MS


def check_look(ended: int | None, checks: Sequence[CheckRow], now: int) -> Look:
    """Of a finished run that is not verified: never the look of a success."""
    return UNPROVED if unproved(ended, checks, now) else CHECKING


def unverified(r: FloorRow, checks: Sequence[CheckRow]) -> bool:
    """Finished, but not all of its checks have passed."""
    return bool(checks) and r.state is not None and r.state.finished
