"""Where pipelines stand in the chain: the order of layers, how one pipeline looks in a lane, what a filter may ask of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.model import Owed, State
from tui.present import floor, owed
from tui.present.cut import clean
from tui.present.glyphs import LONG, LOOKS, Look, look_of
from tui.present.head import source_now

if TYPE_CHECKING:
    from engine.store.rows import FloorRow, OwedRow, SourceRow

ORDER: Final = ("SRC", "LDZ", "RDV", "C360", "F360", "ML", "BI", "OPS")
"""The chain from the sources to those who read; layers of other names follow by name, what has none comes last."""
NO_LAYER: Final = "no layer"


def layer_rank(name: str | None) -> tuple[int, str]:
    """Sorts names of layers."""
    if not name or name == NO_LAYER:
        return len(ORDER) + 1, ""
    upper = name.upper()
    return (ORDER.index(upper), "") if upper in ORDER else (len(ORDER), name.casefold())


@dataclass(frozen=True, slots=True)
class Lane:
    """One thing that runs or owes: a pipeline, or a feed, heartbeat or set (``row`` is None). ``owes``: the promise that
    matters now. ``loud``: a person is needed. ``stale``: nobody vouches for it now; ``seen``: until when somebody did.
    """

    key: str
    name: str
    layer: str
    row: FloorRow | None
    owes: OwedRow | None
    source: SourceRow | None
    look: Look
    loud: bool
    stale: bool
    seen: int | None = None

    @property
    def id(self) -> int | None:
        return None if self.row is None else self.row.id


def lane_of(
    row: FloorRow, owes: OwedRow | None, source: SourceRow | None, now: int, silent_since: int | None, *, silent: bool
) -> Lane:
    """A pipeline as a lane. Without its source nothing vouches for it."""
    stale = silent or source is None or source.stale(now)
    known = silent_since if silent else source.last_ok if source is not None else None
    look, loud = state_look(row, owes, source_now(source, now), stale=stale)
    layer = clean(row.layer) if row.layer else NO_LAYER
    return Lane(row.key, clean(row.name), layer, row, owes, source, look, loud, stale, known if stale else None)


def thing_lane(owes: OwedRow, layer: str | None, *, silent: bool, silent_since: int | None) -> Lane:
    """A feed, heartbeat or set that owes something. The engine itself looks for it: it is stale where no engine does."""
    broken = owes.state in (Owed.BREACHED, Owed.AT_RISK)
    name = clean(owes.name)
    outside = "SRC" if owes.thing.startswith("feed:") else ""
    return Lane(
        owes.thing, name, clean(layer or owes.layer or outside) or NO_LAYER, None, owes, None, owed.look(owes, stale=silent), broken, silent,
        silent_since if silent else None,
    )  # fmt: skip


def state_look(row: FloorRow, owes: OwedRow | None, now: int, *, stale: bool) -> tuple[Look, bool]:
    """Its look and whether a person is needed: a failed run before a broken promise, that before a slow or odd run."""
    if row.state is not None and row.state.bad:
        return LOOKS[row.state], True
    if owes is not None and owes.state is Owed.BREACHED:
        return (LOOKS[State.MISSED] if owes.missed else owed.LOOKS[Owed.BREACHED]), True
    if owes is not None and owes.state is Owed.AT_RISK and not stale:
        return owed.LOOKS[Owed.AT_RISK], True
    if stale:
        return look_of(row.state, row.mode), False
    if floor.is_long(row, now):
        return LONG, True
    return look_of(row.state, row.mode), row.state == State.WARNING


def facts(lane: Lane) -> dict[str, str]:
    """What a filter may ask about a lane. ``state`` holds the words of the run and of the promise."""
    r, o = lane.row, lane.owes
    state = lane.look.word + (" stale unknown" if lane.stale else "")
    if o is not None:
        state += " " + owed.look(o, stale=lane.stale).word
    if r is None:
        return {"key": lane.key, "name": lane.name, "state": state, "layer": lane.layer}
    if r.state is not None:
        state += f" {r.native or ''} {r.state.name.lower()} {LOOKS[r.state].word}"
    return {
        "key": r.key, "name": r.name, "state": state, "source": r.source, "owner": r.owner or "", "layer": r.layer or NO_LAYER,
        "environment": r.environment, "application": r.application or "", "business_date": r.business_date or "",
        "kind": r.kind.name.lower() if r.kind is not None else "",
    }  # fmt: skip


def next_due(owed_now: Iterable[OwedRow], now: int) -> OwedRow | None:
    """What is due next of all that waits."""
    waiting = [r for r in owed_now if r.state.waiting and r.due >= now and r.type not in owed.PER_RUN]
    return min(waiting, key=lambda r: (r.due, int(r.severity), r.name), default=None)


def by_layer(lanes: Sequence[Lane]) -> list[Lane]:
    """In the order of the chain; in a layer by name, so that lanes stay where they are."""
    return sorted(lanes, key=lambda lane: (*layer_rank(lane.layer), lane.name, lane.key))
