"""The strip of last runs: height is the duration against the usual, a glyph is what went wrong.

A quiet, flat line with marks, readable without colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from adapters.model import State
from tui.present.glyphs import BLOCKS, LOOKS
from tui.present.lines import merge

if TYPE_CHECKING:
    from tui.view import Span

_MARKED: Final = frozenset(
    {State.WARNING, State.STOPPED, State.MISSED, State.SKIPPED, State.LOST, State.TIMED_OUT, State.FAILED}
)
_STEPS: Final = ((0.75, 0), (1.125, 1), (1.375, 2), (1.75, 3), (2.5, 5))


def level(ms: int, usual: int | None) -> int:
    """Height 0-7 of a duration against the usual: ≤ 0.75× ``▁``, usual ``▂``, 1.25 ``▃``, 1.5 ``▄``, 2 ``▆``, ≥ 3
    ``█``.
    """
    if not usual:
        return 1
    for limit, height in _STEPS:
        if ms <= limit * usual:
            return height
    return 7


def decode(data: bytes) -> tuple[tuple[State, int], ...]:
    """Stored strip → (state, height), oldest first: the state in the high four bits, the height in the low three."""
    return tuple((State(b >> 4), b & 7) for b in data if b >> 4 <= max(State))


def spans(strip: Iterable[tuple[State, int]], n: int, *, paused: bool = False, stale: bool = False) -> list[Span]:
    """The last ``n`` runs, newest right; ``·`` where there is nothing. ``paused`` goes on as ``·``; ``stale`` has
    one colour.
    """
    runs = list(strip)
    tail = min(5, n // 3) if paused else 0
    runs = runs[-(n - tail) :] if n > tail else []
    out: list[Span] = [("·" * (n - tail - len(runs)), "dim")]
    for state, height in runs:
        if state == State.SUCCESS:
            out.append((BLOCKS[min(max(height, 0), 7)], "strip-ok"))
        elif state in _MARKED or state.active:
            look = LOOKS[state]
            out.append(("·" if state == State.QUEUED else look.glyph, "dim" if state == State.QUEUED else look.token))
        else:
            out.append(("·", "dim"))
    out.append(("·" * tail, "dim"))
    if stale:
        return merge((text, "run-stale") for text, _ in out)
    return merge(out)
