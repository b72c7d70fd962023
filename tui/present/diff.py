"""Two runs of a pipeline side by side: what differs stands out, what is the same is quiet. Pure.

``this`` is the run that was asked about, ``other`` what it is compared with; every difference is this less other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from adapters.model import State
from engine.store.rows import RunDetail, StepRow
from tui.present import words
from tui.present.cut import clean, cut, cut_middle, first_line
from tui.present.glyphs import LOOKS, Look
from tui.present.head import is_narrow
from tui.present.history import OK
from tui.present.lines import Column, fit, row

if TYPE_CHECKING:
    from tui.view import Line, Span

MASK: Final = "****"
SMALL: Final = 60
"""Cells below which the difference has no column of its own."""
_SECRET: Final = re.compile(
    r"passw|passphrase|secret|token|api[-_]?key|private[-_]?key|credential|authorization|cookie", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"(?<=://)[^/?#@\s]+@")
_QUERY: Final = re.compile(r"([?&;]([^=&#;\s]+)=)([^&#;\s]*)")
NOTABLE_MS: Final = 1000
"""A difference below a second is none: it is not told."""
STANDS_OUT: Final = 1.5
"""Times as long, or as short, from which a difference is drawn loud (and a minute at least)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the head: both values as words. ``gap``: the difference in words, where there is one to tell."""

    name: str
    this: str
    other: str
    gap: str = ""
    main: bool = False
    """Shown also where it is the same."""
    apart: bool = False
    """It differs between any two runs: no news."""

    @property
    def same(self) -> bool:
        return self.this == self.other


@dataclass(frozen=True, slots=True)
class Pair:
    """One step (the last try, mapped ones each) in both runs; None: it is not in that run."""

    name: str
    this: StepRow | None
    other: StepRow | None
    tries: tuple[int, int] = (1, 1)
    unread: bool = False
    """The other side's steps are not known at all: that this one is missing there says nothing."""

    @property
    def gap(self) -> int | None:
        """ms that this took longer; None where either did not end."""
        a, b = took(self.this), took(self.other)
        return None if a is None or b is None else a - b

    @property
    def ratio(self) -> float | None:
        a, b = took(self.this), took(self.other)
        return None if not a or not b else a / b

    @property
    def same(self) -> bool:
        """Nothing to tell: both there, the same end, about as long."""
        a, b = self.this, self.other
        if self.unread:
            return True
        if a is None or b is None or a.state is not b.state or self.tries[0] != self.tries[1]:
            return False
        return self.gap is None or not loud(self.gap, self.ratio)


def took(step: StepRow | None) -> int | None:
    """How long the try ran; None where it did not end, or did not begin."""
    return None if step is None or step.started is None or step.ended is None else max(step.ended - step.started, 0)


def loud(gap: int, ratio: float | None) -> bool:
    """Whether a difference in time deserves a look: half as long again (or less), and a minute at least."""
    return abs(gap) >= words.MINUTE and ratio is not None and (ratio >= STANDS_OUT or ratio <= 1 / STANDS_OUT)


def gap_words(gap: int | None, ratio: float | None) -> str:
    """``+3m 20s  2.1×``; nothing below a second."""
    if gap is None or abs(gap) < NOTABLE_MS:
        return ""
    said = ("+" if gap > 0 else "-") + words.duration(abs(gap))
    return f"{said}  {words.times(ratio)}" if ratio is not None and (ratio >= 1.1 or ratio <= 0.9) else said


# --- facts ----------------------------------------------------------------------------------------------------------


def facts(this: RunDetail, other: RunDetail, tz: str, now: int) -> list[Fact]:
    """What is known of both, the weightiest first; of params only the keys that differ."""
    a, b = this.row, other.row
    ran = (_ran(this), _ran(other))
    waited = (_waited(this), _waited(other))
    ratio = ran[0] / ran[1] if ran[0] and ran[1] else None
    out = [
        Fact("state", _state(this), _state(other), main=True),
        Fact(
            "began",
            _when(a.started or a.queued or a.at, tz),
            _when(b.started or b.queued or b.at, tz),
            main=True,
            apart=True,
        ),
        Fact("ran", _ran_words(this, now), _ran_words(other, now), gap_words(_less(*ran), ratio), main=True),
        Fact("waited", _ms(waited[0]), _ms(waited[1]), gap_words(_less(*waited), None)),
        Fact("business date", a.business_date or "none", b.business_date or "none", apart=True),
        Fact("kind", a.kind.name.lower(), b.kind.name.lower()),
        Fact("attempt", str(a.attempt), str(b.attempt)),
        Fact("steps", _count(this), _count(other)),
    ]
    if this.exit_code is not None or other.exit_code is not None:
        out.append(Fact("exit code", _or(this.exit_code), _or(other.exit_code)))
    if this.stopped_by or other.stopped_by:
        out.append(Fact("stopped by", clean(this.stopped_by or "nobody"), clean(other.stopped_by or "nobody")))
    return [*out, *param_facts(this.params, other.params)]


def param_facts(this: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> list[Fact]:
    """Params that differ, nested ones by their path (``db.schema``); values named like secrets read ``****``."""
    a, b = _flat(this or {}), _flat(other or {})
    out: list[Fact] = []
    for name in sorted(a.keys() | b.keys()):
        if name in a and name in b and a[name] == b[name]:
            continue
        left = shown(name, a[name]) if name in a else "not there"
        right = shown(name, b[name]) if name in b else "not there"
        if left == right:  # both masked, and not the same
            right = f"{right} (another)"
        out.append(Fact(clean(name), left, right))
    return out


def shown(name: str, value: Any) -> str:
    """A param's value as words: secrets masked by their name, passwords in URLs too."""
    if _SECRET.search(name) and value not in (None, "", True, False):
        return MASK
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if "://" in text:
        text = _USERINFO.sub(f"{MASK}@", text)
        text = _QUERY.sub(lambda m: m[1] + (MASK if _SECRET.search(m[2]) else m[3]), text)
    return clean(text)


def _flat(params: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            out.update(_flat(cast("Mapping[str, Any]", value), f"{name}."))
        else:
            out[name] = value
    return out


def _state(d: RunDetail) -> str:
    look = LOOKS[d.row.state]
    return f"{look.glyph} {look.word}"


def _when(ms: int, tz: str) -> str:
    return f"{words.weekday(ms, tz)} {words.hhmm(ms, tz)}"


def _ran(d: RunDetail) -> int | None:
    r = d.row
    return None if r.started is None or r.ended is None else max(r.ended - r.started, 0)


def _ran_words(d: RunDetail, now: int) -> str:
    r = d.row
    if r.started is None:
        return "did not run"
    if r.ended is None:
        return f"{words.running(max(now - r.started, 0))} so far" if r.state.active else "?"
    return words.duration(r.ended - r.started)


def _waited(d: RunDetail) -> int | None:
    r = d.row
    return None if r.queued is None or r.started is None else max(r.started - r.queued, 0)


def _ms(ms: int | None) -> str:
    return "?" if ms is None else words.duration(ms)


def _less(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b


def _or(value: object) -> str:
    return "none" if value is None else str(value)


def _count(d: RunDetail) -> str:
    n = len({(s.step, s.map_index) for s in d.steps})
    return str(n) if n else "none: made up" if d.row.generated else "not read"


# --- steps ----------------------------------------------------------------------------------------------------------


def pairs(this: RunDetail, other: RunDetail) -> list[Pair]:
    """Each step of either run once, in the order of this run; those that only the other has after them."""
    a, b = _last(this.steps), _last(other.steps)
    unread = not a or not b
    return [
        Pair(_name(k), a[k][0] if k in a else None, b[k][0] if k in b else None, (a[k][1] if k in a else 0, b[k][1] if k in b else 0), unread)
        for k in dict.fromkeys((*a, *b))
    ]  # fmt: skip


def _name(key: tuple[str, int]) -> str:
    return key[0] if key[1] < 0 else f"{key[0]}[{key[1]}]"


def _last(steps: Sequence[StepRow]) -> dict[tuple[str, int], tuple[StepRow, int]]:
    out: dict[tuple[str, int], tuple[StepRow, int]] = {}
    for s in steps:
        key = (s.step, s.map_index)
        if key not in out or s.attempt >= out[key][1]:
            out[key] = (s, s.attempt)
    return out


def first_error(d: RunDetail) -> str:
    """The first line of what went wrong: of the step that failed first, else of the run; empty where nothing is said."""
    failed = [s for s in d.steps if s.state.bad and s.error]
    if failed:
        step = min(failed, key=lambda s: (s.ended is None, s.ended or 0))
        return f"{clean(step.step)}: {first_line(step.error or '')}"
    return first_line(d.row.error or "")


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """Of one width: name, this, other, difference."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, width: int) -> Table:
        narrow = is_narrow(width)
        if width < SMALL:
            side = max((width - 20) // 2, 1)
            return cls((Column("", 14, gap=0), Column("", side, gap=2), Column("", side, gap=2), Column("", 0)))
        name = 18 if narrow else 26
        gap = 15 if narrow else 18
        side = (width - 2 - name - gap - 6) // 2
        return cls((Column("", name, gap=0), Column("", side, gap=2), Column("", side, gap=2), Column("", gap, gap=2)))


def head_line(titles: tuple[str, str], table: Table, width: int) -> Line:
    name, this, other, gap = table.columns
    values = ["", cut_middle(titles[0], this.width), cut_middle(titles[1], other.width), "THIS LESS OTHER"[: gap.width]]
    return fit(row(table.columns, [values[0].ljust(name.width), *values[1:]], "dim"), width)


def fact_line(fact: Fact, table: Table, width: int) -> Line:
    this, other = table.columns[1].width, table.columns[2].width
    style = "dim" if fact.same else "text" if fact.apart else "text b"
    loud_state = fact.name == "state" and not fact.same
    cells: list[list[Span]] = [
        [(cut_middle(fact.name, table.columns[0].width), "dim" if fact.same else "text")],
        [(cut(fact.this, this), _state_style(fact.this, style) if loud_state else style)],
        [(cut(fact.other, other), "dim" if fact.same else "text")],
        [(fact.gap, "dim" if fact.same else "text")],
    ]
    return fit(row(table.columns, cells), width)


def _state_style(text: str, style: str) -> str:
    return next((look.style for look in LOOKS.values() if f"{look.glyph} {look.word}" == text), style)


def pair_line(pair: Pair, table: Table, width: int, now: int) -> Line:
    quiet = pair.same
    gap = gap_words(pair.gap, pair.ratio)
    late = pair.gap is not None and pair.gap > 0 and loud(pair.gap, pair.ratio)
    if pair.unread:
        gap = "other not read" if pair.other is None else "this not read"
    elif pair.this is None:
        gap = "only in other"
    elif pair.other is None:
        gap = "only in this"
    cells: list[list[Span]] = [
        [(cut_middle(clean(pair.name), table.columns[0].width), "dim" if quiet else "text b")],
        _side(pair.this, pair.tries[0], quiet, now),
        _side(pair.other, pair.tries[1], quiet, now),
        [(gap, "run-late b" if late else "dim" if quiet else "text")],
    ]
    return fit(row(table.columns, cells), width)


def _side(step: StepRow | None, tries: int, quiet: bool, now: int) -> list[Span]:
    if step is None:
        return [("", "dim")]
    look: Look = OK if step.state is State.SUCCESS else LOOKS[step.state]
    ms = took(step)
    said = words.duration(ms) if ms is not None else ""
    if ms is None and step.started is not None and step.state.active:
        said = f"{words.running(max(now - step.started, 0))} so far"
    elif ms is None and step.state is not State.SKIPPED and (step.state.terminal or step.state is State.EXPECTED):
        said = "not run"
    more = f"  try {tries}" if tries > 1 else ""
    word = "" if step.state is State.SUCCESS else f"{look.word} "
    return [(f"{look.glyph} ", look.style), (word, look.style), (said, "dim" if quiet else "text"), (more, "dim")]


def fact_record(fact: Fact) -> dict[str, Any]:
    return {
        "what": "fact",
        "name": fact.name,
        "this": fact.this,
        "other": fact.other,
        "same": fact.same,
        "difference_ms": None,
    }


def pair_record(pair: Pair) -> dict[str, Any]:
    def side(step: StepRow | None) -> str | None:
        return None if step is None else step.state.name.lower()

    return {
        "what": "step", "name": pair.name, "this": side(pair.this), "other": side(pair.other), "same": pair.same,
        "difference_ms": pair.gap, "this_ms": took(pair.this), "other_ms": took(pair.other),
        "this_tries": pair.tries[0], "other_tries": pair.tries[1],
    }  # fmt: skip
