"""Who waits for whom: the chain as a graph that may loop across days, how far each layer is, what upstream is wrong. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.model import Mode, Owed, State
from tui.present.glyphs import LOOKS, OWED, Look

if TYPE_CHECKING:
    from engine.store.rows import EdgeRow, FloorRow, OwedRow, SourceRow
    from tui.view import Span

ORDER: Final = ("SRC", "LDZ", "RDV", "C360", "F360", "ML", "BI", "OPS")
"""The chain from the sources to those who read; layers of other names follow by name, what has none comes last."""
NO_LAYER: Final = "no layer"

_STAGE: Final[Mapping[str, int]] = {name: 3 if name == "F360" else i for i, name in enumerate(ORDER)}
"""Place in the chain; the two 360s are one stage."""


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


@dataclass(frozen=True, slots=True)
class Chain:
    """``up``: what each waits for. ``down``: what waits for it; these two have no cycle. ``loops``: edges that lead back
    (up, down): ``down`` takes what ``up`` made a day before; by ``up`` they stand in ``after``, by ``down`` in ``before``.
    """

    up: Mapping[str, tuple[str, ...]]
    down: Mapping[str, tuple[str, ...]]
    loops: frozenset[tuple[str, str]]
    after: Mapping[str, tuple[str, ...]]
    before: Mapping[str, tuple[str, ...]]

    def ancestors(self, key: str) -> set[str]:
        """All that it waits for, near and far."""
        return _reach(key, self.up)

    def descendants(self, key: str) -> set[str]:
        """All that waits for it, near and far."""
        return _reach(key, self.down)

    def loops_from(self, key: str) -> tuple[str, ...]:
        """Whom it feeds on the next day."""
        return self.after.get(key, ())

    def loops_to(self, key: str) -> tuple[str, ...]:
        """What of the day before it takes."""
        return self.before.get(key, ())


def _reach(key: str, step: Mapping[str, Sequence[str]]) -> set[str]:
    seen = {key}
    todo = [key]
    while todo:
        for other in step.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen - {key}


def chain_of(edges: Iterable[EdgeRow], layer: Mapping[str, str]) -> Chain:
    """The graph, its cycles cut: in each cycle at edges that lead to an earlier layer, else where a walk by name comes back."""
    down: dict[str, list[str]] = {}
    for edge in sorted({(e.up, e.down) for e in edges}):
        down.setdefault(edge[0], []).append(edge[1])
        down.setdefault(edge[1], [])
    loops: set[tuple[str, str]] = set()
    for part in _knots(down):
        for a in part:
            for b in down[a]:
                here, there = (_STAGE.get(layer.get(k, "").upper()) for k in (a, b))
                if a == b or (b in part and here is not None and there is not None and there < here):
                    loops.add((a, b))
        loops |= _back_edges(part, {a: [b for b in down[a] if b in part and (a, b) not in loops] for a in part})
    after: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    for a, b in sorted(loops):
        after.setdefault(a, []).append(b)
        before.setdefault(b, []).append(a)
    kept = {a: tuple(b for b in others if (a, b) not in loops) for a, others in down.items()}
    up: dict[str, list[str]] = {}
    for a, others in kept.items():
        for b in others:
            up.setdefault(b, []).append(a)
    return Chain(_fixed(up), kept, frozenset(loops), _fixed(after), _fixed(before))


def _fixed(found: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(others) for key, others in found.items()}


def _knots(down: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """Strongly connected parts with a cycle (Tarjan's, without recursion: a chain may be thousands long)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on: set[str] = set()
    out: list[set[str]] = []
    for root in down:
        if root in index:
            continue
        walk: list[tuple[str, int]] = [(root, 0)]
        while walk:
            node, i = walk.pop()
            if i == 0:
                index[node] = low[node] = len(index)
                stack.append(node)
                on.add(node)
            else:
                low[node] = min(low[node], low[down[node][i - 1]])
            others = down[node]
            while i < len(others):
                other = others[i]
                i += 1
                if other not in index:
                    walk += [(node, i), (other, 0)]
                    break
                if other in on:
                    low[node] = min(low[node], index[other])
            else:
                if low[node] == index[node]:
                    part: set[str] = set()
                    while not part or node not in part:
                        part.add(top := stack.pop())
                        on.discard(top)
                    if len(part) > 1 or node in down[node]:
                        out.append(part)
    return out


def _back_edges(part: Iterable[str], down: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """Edges by which a walk in order of names comes back to where it is: without them there is no cycle."""
    found: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in sorted(part):
        path: set[str] = set()
        walk: list[tuple[str, int]] = [(root, 0)] if root not in done else []
        while walk:
            node, i = walk.pop()
            path.add(node)
            others = down[node]
            while i < len(others):
                other = others[i]
                i += 1
                if other in path:
                    found.add((node, other))
                elif other not in done:
                    walk += [(node, i), (other, 0)]
                    break
            else:
                path.discard(node)
                done.add(node)
    return found


# --- how far a layer is ---------------------------------------------------------------------------------------------

DONE: Final = "done"
_WORST: Final = (
    "failed", "timeout", "lost", "missed", "breached", "at risk", "warning", "unproved", "unknown", "long", "retrying", "held", "stopping",
    "stopped", "checking", "running", "queued", "paused", "disabled", "skipped", "no runs", "owed", "not owed", DONE,
)  # fmt: skip
_STYLES: Final[Mapping[str, str]] = {
    **{LOOKS[s].word: LOOKS[s].style for s in State}, "breached": "run-failed b", "at risk": "run-late b", "unproved": "run-warning b", "checking": "run-running", "unknown": "run-stale b",
    "long": "run-late b", DONE: "run-ok",
}  # fmt: skip
_MARKS: Final[Mapping[str, str]] = {
    **{LOOKS[s].word: LOOKS[s].glyph for s in State}, "breached": "◆", "at risk": "◆", "unproved": "▲", "unknown": "?", "long": "►",
}  # fmt: skip


def standing(lane: Lane) -> str:
    """In one word how it stands for the date that is owed now. What is not known is never done."""
    r, o = lane.row, lane.owes
    if r is not None and r.state is not None and r.state.bad:
        return LOOKS[r.state].word
    if o is not None and o.state is Owed.BREACHED:
        return "missed" if o.missed else "breached"
    if lane.look.word in ("unproved", "checking") and not lane.stale:
        return lane.look.word
    kept = o is not None and o.state in (Owed.MET, Owed.MET_LATE)
    if (o is not None and o.state is Owed.UNKNOWN) or (lane.stale and not kept):
        return "unknown"
    if o is not None and o.state is Owed.AT_RISK:
        return "at risk"
    if r is not None and r.state == State.WARNING:
        return "warning"
    if r is not None and r.state is not None and r.state.active:
        return "long" if lane.look.word == "long" else LOOKS[r.state].word
    if kept:
        return DONE
    if o is not None and o.state.waiting:
        return "owed"
    if o is not None and o.state in (Owed.EXCLUDED, Owed.WAIVED):
        return "not owed"
    if r is None:
        return "unknown"
    if r.mode != Mode.ACTIVE:
        return "paused" if r.mode is Mode.PAUSED else "disabled"
    if r.state is None or r.state == State.EXPECTED:
        return "no runs"
    return DONE if r.state == State.SUCCESS else LOOKS[r.state].word


def look(lane: Lane) -> Look:
    """Its glyph in the chain: what last ended well is no answer to what is owed now."""
    return OWED if standing(lane) == "owed" else lane.look


@dataclass(frozen=True, slots=True)
class Hop:
    """How far one layer is: how many there are, and of each word how many, worst first."""

    layer: str
    total: int
    counts: tuple[tuple[str, int], ...]

    @property
    def done(self) -> int:
        return dict(self.counts).get(DONE, 0)

    @property
    def worst(self) -> str:
        return self.counts[0][0] if self.counts else "unknown"

    @property
    def style(self) -> str:
        return _STYLES.get(self.worst, "dim")

    def clauses(self) -> list[list[Span]]:
        """``4 of 5 done``, then what is not, worst first: ``1 failed``."""
        first = (f"{self.done} of {self.total} done", "run-ok" if self.done == self.total else "text")
        return [[first], *([(f"{n} {word}", _STYLES.get(word, "dim"))] for word, n in self.counts if word != DONE)]

    def short(self) -> list[Span]:
        """``4/5 ✗1 ?1``: done of all, and what needs someone or is not known."""
        out: list[Span] = [(f"{self.done}/{self.total}", "run-ok" if self.done == self.total else "text")]
        for word, n in self.counts:
            if _WORST.index(word) <= _WORST.index("long"):
                out += [(" ", ""), (f"{_MARKS.get(word, '·')}{n}", _STYLES.get(word, "dim"))]
        return out


def hops(lanes: Iterable[Lane]) -> list[Hop]:
    """Each layer's state, in the order in which they come."""
    found: dict[str, dict[str, int]] = {}
    for lane in lanes:
        counts = found.setdefault(lane.layer, {})
        word = standing(lane)
        counts[word] = counts.get(word, 0) + 1
    return [
        Hop(layer, sum(counts.values()), tuple(sorted(counts.items(), key=lambda c: _WORST.index(c[0]))))
        for layer, counts in found.items()
    ]


# --- what is wrong upstream -----------------------------------------------------------------------------------------

WRONG: Final = frozenset(_WORST[: _WORST.index("unknown") + 1]) - {"warning"}


def first_wrong(key: str, chain: Chain, state: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """What upstream is wrong with nothing wrong before it: (known to be wrong, only not known), each by name."""
    above = chain.ancestors(key)
    wrong = {k for k in above if state(k) in WRONG}
    behind: set[str] = set()
    todo = [b for k in wrong for b in chain.down.get(k, ())]
    while todo:  # all that comes after something wrong, once
        k = todo.pop()
        if k not in behind and k in above:
            behind.add(k)
            todo.extend(chain.down.get(k, ()))
    roots = sorted(wrong - behind)
    return [k for k in roots if state(k) != "unknown"], [k for k in roots if state(k) == "unknown"]
