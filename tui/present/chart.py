"""A curve in eighth blocks of one colour, its axes, and the runs under it. A gap stays a gap. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from adapters.model import State
from tui.present import words
from tui.present.glyphs import BLOCKS, LOOKS

if TYPE_CHECKING:
    from engine.store.rows import Bar, RunLane
    from tui.view import Span

SECOND: Final = 1000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000
_NICE: Final = tuple(
    s * SECOND
    for s in (
        10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400,
    )
)  # fmt: skip
_TICKS: Final = tuple(m * MINUTE for m in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400))
_PAST: Final = 0.8
"""Share of the axis that has been; the rest is for what is planned."""


# --- blocks ---------------------------------------------------------------------------------------------------------


def row(values: Sequence[float | None], width: int, top: float | None = None) -> str:
    """The last ``width`` values in one row of blocks, newest right, against ``top`` (else their largest); a gap is blank."""
    shown = list(values)[-width:] if width > 0 else []
    high = top if top else max((v for v in shown if v is not None), default=0.0)
    return "".join(" " if v is None else BLOCKS[_level(v, high, 8)] for v in shown).rjust(max(width, 0))


def _level(value: float, high: float, levels: int) -> int:
    """0 … levels - 1."""
    return 0 if high <= 0 else min(max(int(value / high * levels), 0), levels - 1)


def area(values: Sequence[float | None], rows: int, top: float) -> list[str]:
    """``rows`` rows of blocks, the highest first. What was measured has at least the lowest eighth: only a gap is blank."""
    out = [""] * rows
    for value in values:
        eighths = 0 if value is None else _level(value, top, rows * 8) + 1
        for y in range(rows):
            here = eighths - (rows - 1 - y) * 8
            out[y] += " " if here <= 0 else BLOCKS[min(here, 8) - 1]
    return out


def nice_top(unit: str, highest: float, most: float | None = None) -> float:
    """Top of a scale: the next 1, 2 or 5 with zeros above what was measured, at most ``most``; 100 % where it is near."""
    if unit == "%" and highest > 50:
        return 100.0
    top = 5.0 if unit == "%" else 1.0
    while top < highest:
        top *= 2.5 if f"{top:e}"[0] == "2" else 2
    return min(top, most) if most else top


# --- the axis -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Axis:
    """``past`` cells of ``cell`` ms from ``start`` (the last is the one that goes on now), the now-line, ``ahead`` cells."""

    start: int
    cell: int
    past: int
    ahead: int

    @property
    def now(self) -> int:
        """Where the cell that goes on now ends."""
        return self.start + self.cell * self.past

    @property
    def end(self) -> int:
        return self.now + self.cell * self.ahead

    @property
    def width(self) -> int:
        return self.past + 1 + self.ahead

    def at(self, t: int) -> int:
        """Column of an instant; it may lie outside. The now-line's own column is ``past``."""
        x = (t - self.start) // self.cell
        return x if x < self.past else x + 1


def axis(now: int, span: int, width: int) -> Axis:
    """The last ``span`` ms and what comes, in ``width`` columns; it moves one cell at a time, on round times."""
    room = max(int((width - 1) * _PAST), 4)
    cell = next((c for c in _NICE if c * room >= span), -(-span // (room * DAY)) * DAY)
    past = min(-(-span // cell), width - 1)
    start = (now // cell - past + 1) * cell
    return Axis(start, cell, past, max(width - 1 - past, 0))


def ticks(axis: Axis, tz: str) -> str:
    """The times under the axis: ``05:40`` within hours, ``04``, or days ``Fri 20``; whole labels, as many as there is room for."""
    step = next((s for s in _TICKS if s >= axis.cell * (5 if HOUR <= s < DAY else 8)), _TICKS[-1])
    zone = words.zone(tz)

    def offset(t: int) -> int:
        found = datetime.fromtimestamp(t / 1000, zone).utcoffset()
        return 0 if found is None else int(found.total_seconds() * 1000)

    local = -(-(axis.start + offset(axis.start)) // step) * step
    out = ""
    while True:
        t = local - offset(local - offset(axis.start))
        if t >= axis.end or step <= 0:
            break
        x = axis.at(t)
        here = datetime.fromtimestamp(local / 1000, UTC)
        label = (
            f"{here:%H:%M}"
            if step < HOUR
            else f"{here:%H}"
            if step < DAY
            else words.weekday(local, "UTC").rpartition(" ")[0]
        )
        if x >= len(out) + (1 if out else 0) and x + len(label) <= axis.width:
            out = out.ljust(x) + label
        local += step
    return out.ljust(axis.width)[: axis.width]


# --- runs under the curve -------------------------------------------------------------------------------------------

_BLANK, _AHEAD, _RAN, _NOW, _BAD = range(5)


def lane(
    runs: RunLane,
    axis: Axis,
    now: int,
    *,
    planned: Sequence[tuple[int, int, bool]] = (),
    stale: bool = False,
    tz: str = "UTC",
) -> list[Span]:
    """When a pipeline used the host: ``█``, how it ended where that was bad, ``░`` what is planned (from, until, running).

    Where there were too many runs to read, ``·`` says that nothing is known of them.
    """
    n = axis.width
    char, style, rank = [" "] * n, [""] * n, [_BLANK] * n

    def put(x: int, c: str, s: str, r: int) -> None:
        if 0 <= x < n and x != axis.past and r >= rank[x]:
            char[x], style[x], rank[x] = c, s, r

    if runs.since is not None:
        for x in range(max(min(axis.at(runs.since), axis.past), 0)):
            put(x, "·", "dim", _BLANK)
    for bar in runs.bars:
        _bar(put, bar, axis, now)
    label: tuple[int, str] | None = None
    for begin, end, running in planned:
        a, b = max(axis.at(begin), axis.past + 1), axis.at(max(end - 1, begin))
        for x in range(a, min(b, n - 1) + 1):
            put(x, "░", "run-running" if running else "dim", _AHEAD)
        if running and b < n and label is None:
            label = max(b, axis.past) + 2, f"to {words.hhmm(end, tz)}"
    if label is not None and label[0] + len(label[1]) <= n:
        x, text = label
        if all(c == " " for c in char[x - 1 : x + len(text) + 1]):
            for i, c in enumerate(text):
                char[x + i], style[x + i] = c, "dim"
    if axis.past < n:
        char[axis.past], style[axis.past] = "│", "key"
    if stale:
        style = ["run-stale" if s and s != "key" else s for s in style]
    return _joined(char, style)


def _bar(put: _Put, bar: Bar, axis: Axis, now: int) -> None:
    if bar.started is None or bar.started >= axis.now:
        return
    look = LOOKS[bar.state]
    end = bar.ended if bar.ended is not None else now if bar.state.active else bar.started
    a, b = axis.at(bar.started), min(axis.at(max(end - 1, bar.started)), axis.past - 1)
    bad = bar.state.bad or bar.state in (State.STOPPED, State.WARNING, State.LOST)
    colour = "strip-ok" if bar.state == State.SUCCESS else look.token
    for x in range(max(a, 0), b + 1):
        put(x, "█", colour, _NOW if bar.state.active else _RAN)
    if bad and b >= 0:
        put(b, look.glyph, look.token, _BAD)


def _joined(char: Sequence[str], style: Sequence[str]) -> list[Span]:
    out: list[Span] = []
    for c, s in zip(char, style, strict=True):
        if out and out[-1][1] == s:
            out[-1] = (out[-1][0] + c, s)
        else:
            out.append((c, s))
    return out


if TYPE_CHECKING:
    from collections.abc import Callable

    _Put = Callable[[int, str, str, int], None]
