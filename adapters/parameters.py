"""What a verb of a source asks beside its key: type, default, what is recommended and what is never allowed.

Checked before anything is sent: outside what is recommended warns, outside the hard limits (or of another type) refuses.
Pure; a refusal is ``adapters.errors.Conflict`` in one sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from adapters.errors import Conflict
from adapters.first_error import clean

TYPES: Final = ("int", "number", "string", "date", "choice", "flag")
LONGEST: Final = 4_096
"""Characters of one value."""
_SECRET: Final = re.compile(r"(?i)token|passw|pwd|secret|api[_-]?key|credential|private|signature")
"""Names whose values stand in no sentence."""
_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. ``type`` is one of ``TYPES``; ``default`` as it would be given, None: it has none.

    ``recommended`` and ``hard``: least and most, both allowed, None where that side is open; of numbers only. ``pattern``:
    a regular expression that a whole string must match. ``means``: one clause for people.
    """

    name: str
    type: str = "string"
    default: str | None = None
    recommended: tuple[float | None, float | None] | None = None
    hard: tuple[float | None, float | None] | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    required: bool = False
    means: str = ""

    def read(self, value: Any) -> tuple[str, str | None]:
        """The value as one text, and what there is to be said against it (outside of what is recommended). Conflict: it cannot be."""
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if "\0" in text:
            raise Conflict(f"{self.name} holds a NUL character, which no argument can")
        if len(text) > LONGEST:
            raise Conflict(f"{self.name} is {len(text):,} characters long: at most {LONGEST:,}")
        match self.type:
            case "int" | "number":
                return self._number(text.strip())
            case "date":
                return self._date(text.strip()), None
            case "flag":
                word = text.strip().lower()
                if word not in (*_YES, *_NO):
                    raise Conflict(f"{self._given(text)}: expected true or false")
                return ("true" if word in _YES else "false"), None
            case "choice":
                if text not in self.choices:
                    raise Conflict(f"{self._given(text)}: expected {' or '.join(self.choices)}")
                return text, None
            case _:
                if self.pattern is not None and re.fullmatch(self.pattern, text) is None:
                    raise Conflict(f"{self._given(text)}: expected something like {clean(self.pattern, 80)}")
                return text, None

    def _number(self, text: str) -> tuple[str, str | None]:
        try:
            value = int(text) if self.type == "int" else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            whole = "a whole number" if self.type == "int" else "a number"
            raise Conflict(f"{self._given(text)}: expected {whole}{_within(self.hard)}")
        if self.hard is not None and not _inside(value, self.hard):
            raise Conflict(
                f"{self.name} = {self._said(text)}: never {_outside(value, self.hard)} here; nothing was sent"
            )
        if self.recommended is not None and not _inside(value, self.recommended):
            return f"{value:g}" if self.type == "number" else str(value), (
                f"{self.name} = {self._said(text)} is outside of what is recommended: {span(self.recommended)}"
            )
        return (text if self.type == "number" else str(value)), None

    def _date(self, text: str) -> str:
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise Conflict(f"{self._given(text)}: expected a date like 2026-11-20") from None

    def _given(self, text: str) -> str:
        return f"{self.name} = {self._said(clean(text, 60))!r}" if text else f"{self.name} is empty"

    def _said(self, text: str) -> str:
        return "****" if _SECRET.search(self.name) else text

    def shown(self) -> dict[str, Any]:
        """As a plan tells it: JSON-able."""
        return {
            "name": self.name,
            "type": self.type,
            "default": self.default,
            "recommended": None if self.recommended is None else list(self.recommended),
            "hard": None if self.hard is None else list(self.hard),
            "choices": list(self.choices),
            "required": self.required,
            "means": clean(self.means, 200),
            "words": self.words(),
        }

    def words(self) -> str:
        """``whole number, usually 1 to 5, only 1 to 10``: one clause."""
        kind = {"int": "whole number", "string": "text", "flag": "true or false"}.get(self.type, self.type)
        parts = [" or ".join(self.choices) if self.type == "choice" else kind]
        if self.recommended is not None:
            parts.append(f"usually {span(self.recommended)}")
        if self.hard is not None:
            parts.append(("only " if None not in self.hard else "") + span(self.hard))
        return ", ".join(parts)


def read_all(what: str, known: Sequence[Parameter], given: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Every value as one text, defaults filled in, and what is to be said against them. ``what`` is the verb, for the sentence.

    Conflict for one that is not known, not given though required, or not allowed.
    """
    names = [p.name for p in known]
    for name in given:
        if name not in names:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise Conflict(f"{what} has no parameter {clean(str(name), 40)!r}; {has}")
    values: dict[str, str] = {}
    said: list[str] = []
    for one in known:
        value = given.get(one.name)
        if value is None or value == "":
            value = one.default
        if value is None:
            if one.required:
                raise Conflict(f"{what} needs {one.name}: {one.words()}", f"give it as --param {one.name}=VALUE")
            continue
        values[one.name], warning = one.read(value)
        if warning:
            said.append(warning)
    return values, said


def span(bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    if low is None or high is None:
        return f"at most {high:g}" if high is not None else f"at least {low:g}" if low is not None else "anything"
    return f"{low:g} to {high:g}"


def _within(bounds: tuple[float | None, float | None] | None) -> str:
    return "" if bounds is None else f", {span(bounds)}"


def _inside(value: float, bounds: tuple[float | None, float | None]) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def _outside(value: float, bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    return f"below {low:g}" if low is not None and value < low else f"above {high:g}"


def shown_all(known: Iterable[Parameter]) -> list[dict[str, Any]]:
    return [p.shown() for p in known]
