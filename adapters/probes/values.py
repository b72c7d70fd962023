"""From what stands in a text or a JSON document to a number; where there is none, why not. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, Final, cast

import msgspec

from adapters.http import words

_NUMBER: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+(?!\d)|\d+(_\d+)*|(?=\.\d))(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_MS_FROM: Final = 100_000_000_000
"""A number of an instant that is greater is in milliseconds, else in seconds: that is 1973 and 5138."""


class NoValue(Exception):
    """There is no value; ``what`` says why in one clause without secrets."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def number(text: str) -> float:
    """``12 -3.5 1e6``, also with separators of thousands (``1,234,567``, ``1_234_567``). NoValue for anything else: ``12,5``
    may be twelve and a half or a slip, so it is none."""
    stripped = text.strip()
    if len(stripped) <= 60 and _NUMBER.fullmatch(stripped):
        found = float(stripped.replace(",", "").replace("_", ""))
        if isfinite(found):
            return found
    if not stripped:
        raise NoValue("it is empty where a number was expected")
    hidden = (
        "" if stripped.isprintable() else ": it holds control characters, as those of colours"
    )  # they are not shown
    raise NoValue(f"{_short(text)} is no number{hidden}")


def instant(raw: str | float) -> float:
    """An instant in ms UTC: ISO 8601 (without a zone it is UTC), or a number of seconds or milliseconds since 1970."""
    if isinstance(raw, str):
        try:
            at = datetime.fromisoformat(raw.strip())
        except ValueError:
            pass
        else:
            if re.match(r"\d{4}-\d\d", raw.strip()):
                return float(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000))
        try:
            raw = number(raw)
        except NoValue:
            raise NoValue(f"{_short(raw)} is no point in time") from None
    return float(int(raw)) if abs(raw) > _MS_FROM else float(int(raw * 1000))


def day(raw: str | float) -> float:
    """Midnight UTC of a date in ms: ``2026-11-20``, ``20261120``, or a point in time, whose date counts."""
    text = raw.strip() if isinstance(raw, str) else f"{raw:.0f}"
    plain = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", text, re.ASCII)
    if plain:
        try:
            return midnight(date(int(plain[1]), int(plain[2]), int(plain[3])))
        except ValueError:
            raise NoValue(f"{_short(text)} is no date") from None
    try:
        at = datetime.fromtimestamp(instant(raw) / 1000, UTC)
    except (NoValue, OverflowError, ValueError, OSError):
        raise NoValue(f"{_short(text)} is no date") from None
    return midnight(at.date())


def midnight(of: date) -> float:
    return float(int(datetime(of.year, of.month, of.day, tzinfo=UTC).timestamp() * 1000))


def value_of(raw: Any, unit: str) -> float:
    """What stood there as a value of that unit: ``time`` an instant, ``date`` a day, else a number; true is 1, false 0."""
    if raw is None:
        raise NoValue("it is null")
    if isinstance(raw, (list, dict)):
        kind = "a list" if isinstance(raw, list) else "an object"
        raise NoValue(f"it is {kind}, expected one value")
    if isinstance(raw, (int, float)):
        try:
            raw = float(raw)
        except OverflowError:
            raw = float("inf")
        if not isfinite(raw):
            raise NoValue("it is no number now (NaN or infinite): no reading")
    elif not isinstance(raw, str):
        raise NoValue("it is no value")
    match unit:
        case "time":
            return instant(raw)
        case "date":
            return day(raw)
        case _:
            return number(raw) if isinstance(raw, str) else raw


def _short(raw: object) -> str:
    text = words(str(raw))
    return f'"{text[:40]}{"…" if len(text) > 40 else ""}"'


# --- a place in a JSON document -------------------------------------------------------------------------------------

_STEP: Final = re.compile(
    r"""\.([A-Za-z_][\w-]*)|\."((?:[^"\\]|\\.)*)"|\["((?:[^"\\]|\\.)*)"\]|\[(-?\d{1,9})\]|(\[\])"""
)
_BY: Final = re.compile(r"(.*?)(?:\s*\|\s*(length))?(?:\s+by\s+(\..*?))?\s*", re.S)
_EACH: Final = object()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """``.data.rows``, ``.items[0].n``, ``."odd key"``, ``.items | length``; ``.items[].lag by .name`` is one value of each
    element, told apart by what stands there under ``.name``."""

    text: str
    steps: tuple[Any, ...]
    length: bool = False
    by: tuple[str, tuple[Any, ...]] | None = None

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """ValueError: a clause on what is wrong."""
        found = _BY.fullmatch(text.strip())
        path, length, by = (found[1], bool(found[2]), found[3]) if found else (text, False, None)
        steps = _steps(path)
        each = steps.count(_EACH)
        if each > 1:
            raise ValueError("[] may stand there once")
        if each and not by:
            raise ValueError("after [] write what tells its elements apart: .items[].lag by .name")
        if by and not each:
            raise ValueError("by needs a [] before it: .items[].lag by .name")
        label = None
        if by:
            inner = _steps(by)
            if _EACH in inner or not inner or not isinstance(inner[-1], str):
                raise ValueError("by needs a plain path, like .name")
            label = (re.sub(r"\W", "_", inner[-1]), inner)
        return cls(path.strip(), steps, length, label)

    def read(self, document: Any) -> list[tuple[dict[str, str], Any]]:
        """What stands there, with labels where there are several. NoValue says what is not there."""
        if self.by is None:
            return [({}, self._end(_walk(document, self.steps, "")))]
        at = self.steps.index(_EACH)
        elements = _walk(document, self.steps[:at], "")
        if not isinstance(elements, list):
            raise NoValue(f"{_path(self.steps[:at])} is no list")
        out: list[tuple[dict[str, str], Any]] = []
        for n, one in enumerate(cast("list[Any]", elements)):
            where = f"{_path(self.steps[:at])}[{n}]"
            label = _walk(one, self.by[1], where)
            out.append(({self.by[0]: str(label)}, self._end(_walk(one, self.steps[at + 1 :], where))))
        if not out:
            raise NoValue(f"{_path(self.steps[:at])} is empty")
        return out

    def _end(self, found: Any) -> Any:
        if not self.length:
            return found
        if isinstance(found, (list, dict, str)):
            return len(cast("list[Any]", found))
        raise NoValue("it has no length")


def document(data: bytes) -> Any:
    """A JSON document. NoValue says what stands there instead."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    if not data.strip():
        raise NoValue("it is empty where JSON was expected")
    raise NoValue("an HTML page where JSON was expected" if data.lstrip()[:1] == b"<" else "truncated or broken JSON")


def _steps(text: str) -> tuple[Any, ...]:
    text = text.strip()
    if not text.startswith((".", "[")):
        raise ValueError("expected a path like .data.rows")
    out: list[Any] = []
    at = 1 if text == "." or text.startswith(".[") else 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"the path cannot be read from {words(text[at : at + 20])!r} on")
        name, quoted, key, index, each = found.groups()
        spelt = quoted if quoted is not None else key
        if each:
            out.append(_EACH)
        elif index is not None:
            out.append(int(index))
        else:
            out.append(name if name is not None else re.sub(r"\\(.)", r"\1", spelt))
        at = found.end()
    return tuple(out)


def _walk(value: Any, steps: tuple[Any, ...], where: str) -> Any:
    for n, step in enumerate(steps):
        found = _MISSING
        if isinstance(step, str) and isinstance(value, dict):
            found = cast("dict[str, Any]", value).get(step, _MISSING)
        elif isinstance(step, int) and isinstance(value, list):
            inner = cast("list[Any]", value)
            found = inner[step] if -len(inner) <= step < len(inner) else _MISSING
        if found is _MISSING:
            raise NoValue(words(f"there is no {where}{_path(steps[: n + 1])} in the answer"))
        value = found
    return value


_MISSING: Final = object()


def _path(steps: tuple[Any, ...]) -> str:
    out = ""
    for step in steps:
        if step is _EACH:
            out += "[]"
        elif isinstance(step, int):
            out += f"[{step}]"
        else:
            out += f".{step}" if re.fullmatch(r"[A-Za-z_][\w-]*", step) else f'."{step}"'
    return out or "."
