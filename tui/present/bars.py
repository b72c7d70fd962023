"""Levels as gauges ``━─``, change as one-colour sparklines, a running run as a bar with a tick at its usual end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.present.glyphs import BLOCKS

if TYPE_CHECKING:
    from engine.store.rows import CapacityRow
    from tui.view import Span

_TICK = 0.6  # where the usual end stands; the bar is full at 1.67 times it


def gauge(share: float | None, n: int, style: str = "gauge") -> list[Span]:
    """A level between 0 and 1 in ``n`` cells; ``n/a`` where there is no sensor."""
    if share is None:
        return [("n/a".ljust(n)[:n], "dim")]
    full = round(min(max(share, 0.0), 1.0) * n)
    return [("━" * full, style), ("─" * (n - full), "rule")]


def sparkline(values: Sequence[float], n: int, top: float | None = None, style: str = "gauge") -> list[Span]:
    """The last ``n`` values, newest right, against ``top`` (else their largest); blanks where nothing is known yet."""
    shown = list(values)[-n:]
    high = top if top else max(shown, default=0.0)
    blocks = "".join(BLOCKS[min(max(int(v / high * 8), 0), 7)] if high > 0 else BLOCKS[0] for v in shown)
    return [(" " * (n - len(shown)), ""), (blocks, style)]


def run_bar(elapsed: int, usual: int, p90: int | None, n: int = 8) -> list[Span]:
    """How far a run is: ``━━━─┼───``; the tick is the usual end. Past ``p90`` the bar takes the late colour."""
    tick = int(_TICK * n)
    full = min(n, round(elapsed / max(usual, 1) * _TICK * n))
    style = "run-late" if p90 is not None and elapsed > p90 else "run-running"
    marks = ["━" if i < full else "─" for i in range(n)]
    marks[tick] = "╋" if tick < full else "┼"
    done, rest = "".join(marks[:full]), "".join(marks[full:])
    return [(done, style), (rest[:1], "dim") if rest[:1] == "┼" else (rest[:1], "rule"), *_rest(rest[1:])]


def _rest(text: str) -> list[Span]:
    before, tick, after = text.partition("┼")
    return [(before, "rule"), (tick, "dim"), (after, "rule")]


def full_in(c: CapacityRow) -> str:
    """``full in 9d``, for a gauge; empty where no person is needed."""
    if c.over:
        return "at its limit"
    if not c.soon or c.days is None:
        return ""
    return "full today" if c.days < 1 else f"full in {c.days:.0f}d"
