"""What a verb asks before its plan can be made: dates, a choice, a number. A bad value is one sentence; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from tui.present.cut import clean
from tui.present.dialog import LABEL
from tui.present.field import Field

LONGEST: Final = 366 * 10
"""Days of a backfill from which on it is taken for a slip of the finger."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that is asked: the parameter's name, its label, what may be chosen (none: it is typed), what it is when
    nothing is said, and a word beside the field. ``must``: without it there is no plan."""

    name: str
    label: str
    options: tuple[str, ...] = ()
    default: str = ""
    note: str = ""
    must: bool = False


ASKS: Final[Mapping[str, tuple[Ask, ...]]] = {
    "start": (Ask("date", "Date", note="business date, empty: the usual one"),),
    "mark": (Ask("as", "Mark as", ("success", "failed"), note="←→ choose", must=True),),
    "backfill": (
        Ask("from", "From", note="first date, 2026-11-01", must=True),
        Ask("to", "To", note="last date, it counts too", must=True),
        Ask("reprocess", "Reprocess", ("none", "failed", "completed"), "none", "dates that have a run"),
        Ask("max_active", "At once", note="runs, empty: the usual"),
        Ask("backwards", "Order", ("oldest first", "newest first"), "oldest first", "←→ choose"),
    ),
}
"""Verb → what it asks."""
OF: Final = Ask("of", "Of", ("this step", "the whole run"), "this step", "←→ choose")
"""Asked beside a mark where the key names a step."""


class Digits(Field):
    """A date or a number: letters stay keys of the dialog (``A`` arms, ``c`` copies)."""

    def takes(self, what: str) -> bool:
        return super().takes(what) if what.startswith("edit.") else what in "0123456789-"


class Number(Field):
    """A number; letters stay keys of the dialog."""

    def takes(self, what: str) -> bool:
        return super().takes(what) if what.startswith("edit.") else what in "0123456789-.+e"


class Choice:
    """One of a few words, or none yet. Left, right and the blank go on; a letter takes the word that begins with it."""

    def __init__(self, options: Sequence[str], value: str = "") -> None:
        self.options = tuple(options)
        self.text = value if value in self.options else ""

    def takes(self, what: str) -> bool:
        return what in ("edit.left", "edit.right", "edit.backspace", " ") or self._named(what) is not None

    def type(self, what: str) -> bool:
        """True if another word stands now."""
        before = self.text
        if what in ("edit.left", "edit.right", " "):
            by = -1 if what == "edit.left" else 1
            at = self.options.index(self.text) if self.text else (-1 if by > 0 else 0)
            self.text = self.options[(at + by) % len(self.options)]
        elif (named := self._named(what)) is not None:
            self.text = named
        return self.text != before

    def _named(self, what: str) -> str | None:
        return next((o for o in self.options if len(what) == 1 and o.startswith(what.lower())), None)


class Form:
    """The fields of one verb. ``given``: values that are known already (``{"id": "7"}``); those not asked for go along."""

    def __init__(self, verb: str, given: Mapping[str, str], *, step: bool = False) -> None:
        asks = ASKS.get(verb, ())
        self.asks = (*asks, OF) if verb == "mark" and step else asks
        self.fixed = {name: value for name, value in given.items() if name not in {a.name for a in self.asks}}
        self._own: set[str] = set()
        """Of the fields those that the source declared: what stands in them is its own default unless it is changed."""
        self.values: dict[str, Field | Choice] = {}
        for ask in self.asks:
            start = given.get(ask.name, ask.default)
            self.values[ask.name] = Choice(ask.options, start) if ask.options else Digits(clean(start))

    def declare(self, declared: Sequence[Mapping[str, Any]]) -> None:
        """What the source itself says that the verb may be given: it takes the place of what is usually asked but dates."""
        if not declared:
            return
        known = {ask.name: ask for ask in self.asks}
        names = {str(d.get("name")) for d in declared}
        asks = [a for a in self.asks if a.name in names or a.name in ("date", "of")]
        for one in declared:
            name = str(one.get("name"))
            if name in known or name in _TAKEN or not name:
                continue
            ask = _declared(name, one)
            asks.append(ask)
            if ask.options:
                self.values[name] = Choice(ask.options, ask.default)
            else:
                kinds = {"int": Number, "number": Number, "date": Digits}
                self.values[name] = kinds.get(str(one.get("type")), Field)(clean(self.fixed.pop(name, ask.default)))
        self.asks = tuple(asks)
        self.values = {a.name: self.values[a.name] for a in asks}
        self._own = {a.name for a in asks if a.name not in known} | self._own

    @property
    def names(self) -> list[str]:
        return [ask.name for ask in self.asks]

    def ask(self, name: str) -> Ask:
        return next(a for a in self.asks if a.name == name)

    def text(self, name: str) -> str:
        return self.values[name].text.strip()

    def complete(self) -> bool:
        """Whether a plan can be asked for."""
        return all(self.text(a.name) for a in self.asks if a.must) and self.fault() is None

    def usual(self, name: str) -> bool:
        """Whether a field is one of ours that need not be given and says what it says when nobody touches it."""
        ask = next((a for a in self.asks if a.name == name), None)
        return ask is not None and not ask.must and self.text(name) == ask.default

    def missing(self) -> str | None:
        """The first field without which there is no plan."""
        return next((a.name for a in self.asks if a.must and not self.text(a.name)), None)

    def fault(self) -> tuple[str, str] | None:
        """The first field whose value cannot be meant, and why, in a sentence. What is empty is only missing."""
        for name in ("from", "to", "date"):
            if name in self.values and self.text(name) and day(self.text(name)) is None:
                return name, f"{self.text(name)[:20]} is not a date: write it like 2026-11-20"
        if "from" in self.values:
            first, last = day(self.text("from")), day(self.text("to"))
            if first is not None and last is not None:
                if last < first:
                    return "to", f"{last} is before {first}: the first date comes first"
                if (last - first).days >= LONGEST:
                    return "to", f"these are {(last - first).days + 1:,} days: more than ten years is not meant"
        if "max_active" in self.values:
            many = self.text("max_active")
            if many and not (many.isascii() and many.isdigit() and 0 < int(many) <= 1000):
                return "max_active", f"{many[:20]} is not a number of runs: 1 to 1000, or empty"
        return None

    def params(self) -> dict[str, Any]:
        """What the engine is asked with, in its own types; what is empty is left out."""
        out: dict[str, Any] = dict(self.fixed)
        for ask in self.asks:
            value = self.text(ask.name)
            if not value or ask.name in ("date", "of") or (ask.name in self._own and value == ask.default):
                continue
            if ask.name == "backwards":
                out["backwards"] = value == "newest first"
            elif ask.name == "max_active":
                out["max_active"] = int(value)
            else:
                out[ask.name] = value
        return out

    @property
    def business_date(self) -> str | None:
        return (self.text("date") or None) if "date" in self.values else None

    def key(self, key: str) -> str:
        """The key that is meant: of a step, or of its whole run."""
        return key.partition("#")[0] if "of" in self.values and self.text("of") == "the whole run" else key

    def note(self, name: str) -> str:
        """The word beside a field: how many days, what is wrong, or what belongs there."""
        fault = self.fault()
        if fault is not None and fault[0] == name:
            return fault[1]
        if name == "to":
            first, last = day(self.text("from")), day(self.text("to"))
            if first is not None and last is not None:
                return days_words(first, last)
        ask = self.ask(name)
        if ask.options and ask.must and not self.text(name):
            return f"{ask.note}: nothing is chosen yet"
        return ask.note


_TAKEN: Final = ("reason", "typed", "yes", "date", "of")
"""Names of fields of the dialog itself: a parameter that bears one is given on the command line."""


def _declared(name: str, one: Mapping[str, Any]) -> Ask:
    """A field for a parameter as the engine tells it."""
    options = ("false", "true") if one.get("type") == "flag" else tuple(clean(str(c)) for c in one.get("choices") or ())
    default = "" if one.get("default") is None else clean(str(one["default"]))
    words = clean(str(one.get("words") or ""))
    label = name.capitalize() if len(name) < LABEL else name.capitalize()[: LABEL - 2] + "…"
    note = words if len(name) < LABEL else f"{name}: {words}"
    return Ask(
        name, label, options, default, "←→ choose" if options else note, bool(one.get("required")) and not default
    )


def day(text: str) -> date | None:
    """An ISO date, ten characters; None where it is not one."""
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def days_words(first: date, last: date) -> str:
    """``14 days, 10 of them Mon–Fri``: both ends count. Holidays are not known here."""
    n = (last - first).days + 1
    weeks, rest = divmod(n, 7)
    working = weeks * 5 + sum((first + timedelta(days=weeks * 7 + i)).weekday() < 5 for i in range(rest))
    if n == 1:
        return "1 day" if working else "1 day, on a weekend"
    return f"{n:,} days, {working:,} of them Mon–Fri"
