"""When it is full: what it is now, how it grows, its limit, the day on which the line reaches it, and thirty daily peaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from tui.present import chart, words
from tui.present.bars import full_in as full_in
from tui.present.cut import clean, cut_middle
from tui.present.cut import width as cell_width
from tui.present.lines import Cell, Column, head, row

if TYPE_CHECKING:
    from engine.store.rows import CapacityRow
    from tui.view import Line, Span

FAR: Final = 45
"""Days after which only the month is said: a line that is drawn on for so long promises no day."""
_FOREVER: Final = 730
MOMENTS: Final = ("time", "date")
"""Units of values that are no amounts: an instant, a business date."""


def value(v: float | None, unit: str) -> str:
    """``41%``, ``6.1 GB``, ``1.2 MB/s``, ``1.50``, a business date; ``n/a`` where nothing was measured. Instants: ``reading``."""
    if v is None:
        return "n/a"
    if unit.startswith("%"):
        return f"{v:.0f}%"
    if unit in ("B", "B/s"):
        return words.size(v) + unit[1:]
    if unit == "date":
        return "n/a" if (at := _instant(v)) is None else at.date().isoformat()
    whole = abs(v) >= 100 or (unit != "" and v == int(v))  # three contracts are not 3.00 of them
    number = f"{v:,.0f}" if whole else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}"
    return f"{number} {clean(unit)}".strip()


def reading(v: float | None, unit: str, tz: str, now: int) -> str:
    """A value as ``value`` says it; an instant by the reader's clock: ``05:12``, ``Fri 05:12``, ``7 Nov``."""
    if v is None or unit != "time":
        return value(v, unit)
    return "n/a" if _instant(v) is None else words.clock(int(v), tz, now)


def _instant(v: float) -> datetime | None:
    """Of ms UTC; None: no such instant can be."""
    try:
        return datetime.fromtimestamp(v / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def grows(c: CapacityRow) -> str:
    """``0.9%/d``, ``not growing``, ``9 of 14 days``."""
    if not c.seen:
        return "never seen"
    if c.learning or c.per_day is None:
        return f"{c.n} of {c.need} days"
    if c.days is None and c.per_day <= 0:
        return "not growing"
    if c.unit.startswith("%"):
        return f"{c.per_day:.1f}%/d" if abs(c.per_day) >= 0.05 else f"{c.per_day:.2f}%/d"
    return f"{value(c.per_day, c.unit)}/d"


def reached(c: CapacityRow) -> str:
    """``Sun 29 Nov, 9d``; far away only the month; ``learning`` where nothing can be said yet."""
    if not c.seen:
        return "check its name"
    if c.over:
        return "reached"
    if c.learning:
        return "learning"
    if c.days is None:
        return ""
    if c.days > _FOREVER or c.on is None:
        return "in years"
    days = f"{max(c.days, 0):.0f}d" if c.days >= 1 else "today"
    return f"{_day(c.on) if c.days <= FAR else f'{c.on:%b %Y}'}, {days}"


def _day(on: date) -> str:
    return words.weekday(int(datetime(on.year, on.month, on.day, tzinfo=UTC).timestamp() * 1000), "UTC")


def name(c: CapacityRow, host: str) -> str:
    """``ops-01 /data``, ``ops-01 swap``; what is of no host has its own name."""
    what = clean(c.label or c.metric)
    if not c.series.startswith(("host.", "host@")):
        return what
    return f"{clean(c.host or host)} {metric_name(c.metric, c.label)}"


def metric_name(metric: str, label: str | None) -> str:
    """``/data`` of a disk, else its label."""
    return clean(metric[5:]) if metric.startswith("disk:") else clean(label or metric)


def columns(width: int) -> list[Column]:
    """WHAT NOW GROWS LIMIT (BY) REACHED 30 DAYS, for a screen of that width."""
    if width < 110:
        return [
            Column("WHAT", 20, gap=0), Column("NOW", 5, "r"), Column("GROWS", 12, "r"), Column("LIMIT", 5, "r"), Column("", 0),
            Column("REACHED", 15, gap=2), Column("30 DAYS", max(min(width - 65, 30), 0)),
        ]  # fmt: skip
    wide = width >= 180
    return [
        Column("WHAT", 40 if wide else 24, gap=0), Column("NOW", 8, "r"), Column("GROWS", 13, "r"), Column("LIMIT", 8, "r"),
        Column("SET BY", 30 if wide else 8, gap=2), Column("REACHED", 16, gap=2), Column("30 DAYS", 30),
    ]  # fmt: skip


def line(c: CapacityRow, host: str, width: int, tz: str, now: int, *, stale: bool) -> Line:
    cols = columns(width)
    loud = c.soon and not stale
    strip = cols[-1].width
    top = 100.0 if c.unit.startswith("%") else None
    by = "set" if c.declared else "default"
    if c.declared and c.words and cell_width(clean(c.words)) <= cols[4].width:
        by = clean(c.words)
    says = reached(c)
    style = "run-late b" if loud or not c.seen else "dim"
    curve: list[Span] = [(chart.row(c.past, strip, top), "run-late" if loud else "gauge")]
    values: list[Cell] = [
        [(cut_middle(name(c, host), cols[0].width), "text")], [(reading(c.value, c.unit, tz, now), "text" if c.value is not None else "dim")],
        [(grows(c), "dim")], [(reading(c.limit, c.unit, tz, now), "dim")], [(by, "dim")], [(says, style)], curve,
    ]  # fmt: skip
    return row(cols, values)


def pane_head(width: int) -> Line:
    return head(columns(width))


def record(c: CapacityRow) -> dict[str, Any]:
    """For JSON; the limit in the unit of the series, ``reached`` an ISO date."""
    return {
        "series": c.series, "host": c.host, "unit": c.unit, "value": c.value, "limit": c.limit, "declared": c.declared, "words": c.words or None,
        "days_known": c.n, "days_needed": c.need, "per_day": c.per_day, "fitted": c.fitted, "days_left": c.days,
        "reached": None if c.on is None else c.on.isoformat(), "past": list(c.past),
    }  # fmt: skip


def soonest(rows: Sequence[CapacityRow]) -> list[CapacityRow]:
    """Those that need a person, nearest first."""
    return [c for c in rows if c.soon]
