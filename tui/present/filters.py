"""What stands behind ``/``: text, ``!text``, ``field:value``, ``age<2h``, ``is:paused``. A bad word is one sentence and
changes nothing.

A word is ``[!]text``, ``[!]field:value[,value…]`` or ``[!]number<value``; quotes keep blanks, commas and colons together,
``*`` stands for anything. All words must hold; values of one field are alternatives.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

T = TypeVar("T")

FIELDS: Final[Mapping[str, str]] = {
    "state": "state", "src": "source", "source": "source", "owner": "owner", "layer": "layer", "env": "environment",
    "app": "application", "kind": "kind", "date": "business_date", "name": "name", "tag": "tags", "is": "is",
}  # fmt: skip
"""Word before the colon → the fact it looks at."""
WORD_OF: Final[Mapping[str, str]] = {fact: word for word, fact in reversed(FIELDS.items()) if word != "source"}
NUMBERS: Final[Mapping[str, str]] = {
    "age": "age", "dur": "dur", "late": "late", "due": "due", "attempt": "attempt",
}  # fmt: skip
"""Word before ``<`` or ``>`` → the number it looks at: ms since the run began, ms it took, ms late, ms until due; tries."""
IS: Final = ("paused", "stale", "marked", "running", "problem")
"""What ``is:`` may ask."""
UNITS: Final[Mapping[str, int]] = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,3})?[smhdw])+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_COUNT: Final = re.compile(r"[0-9]{1,9}")

Facts = Mapping[str, str]
Number = Callable[[str], int | None]
"""A number of a row by its name; None where it is not known."""


class FilterError(ValueError):
    """One sentence about a word that cannot be meant. ``at``: column of the mistake, from 1 on."""

    def __init__(self, words: str, at: int = 1) -> None:
        super().__init__(words)
        self.at = at


def _nothing(_name: str) -> int | None:
    return None


@lru_cache(maxsize=256)
def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", value)), re.DOTALL)


def _fits(value: str, text: str) -> bool:
    """``text`` is casefolded. With ``*`` the whole of it or one of its words must fit, else a part of it."""
    if "*" not in value:
        return value in text
    if not value.strip("*"):
        return bool(text)
    pattern = _pattern(value)
    return pattern.fullmatch(text) is not None or any(pattern.fullmatch(word) for word in text.split())


@dataclass(frozen=True, slots=True)
class Term:
    """One word: of a text (``fact`` empty), of a field, or of a number (``op`` is ``<``, ``>`` or ``=``)."""

    fact: str
    value: str
    negative: bool
    op: str = ""
    number: int = 0

    def holds(self, facts: Facts, number: Number = _nothing) -> bool:
        """Whether a row passes. A number that is not known is neither smaller nor larger."""
        if self.op:
            known = number(self.fact)
            found = known is not None and _compared(known, self.op, self.number)
        elif "*" in self.value:
            where = (self.fact,) if self.fact else ("key", "name")
            found = any(_fits(self.value, facts.get(f, "").casefold()) for f in where)
        elif self.fact:
            found = self.value in facts.get(self.fact, "").casefold()
        else:  # thousands of rows at each key: no generator here
            found = self.value in facts.get("name", "").casefold() or self.value in facts.get("key", "").casefold()
        return found != self.negative

    def __str__(self) -> str:
        """As it would be typed; ``parse`` reads the same term from it."""
        no = "!" if self.negative else ""
        if self.op:
            return f"{no}{self.fact}{':' if self.op == '=' else self.op}{self.value}"
        if self.fact:
            return f"{no}{WORD_OF[self.fact]}:{quoted(self.value, ',')}"
        plain = _SPLIT.search(self.value) is None and not self.value.startswith("!")
        return no + (quoted(self.value) if plain else _in_quotes(self.value))


def _compared(known: int, op: str, number: int) -> bool:
    return known < number if op == "<" else known > number if op == ">" else known == number


_SPLIT: Final = re.compile(r"[:<>]")


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted(text: str, also: str = "") -> str:
    """A value as it is typed: in quotes where blanks, quotes or the letters of ``also`` are in it."""
    hard = not text or any(c.isspace() or c in '"\\' or c in also for c in text)
    return _in_quotes(text) if hard else text


@dataclass(frozen=True, slots=True)
class Filter:
    """All terms must hold; terms of one ``field:`` are alternatives (``state:failed state:missed``). ``text``: as typed."""

    text: str = field(compare=False)
    terms: tuple[Term, ...]
    groups: tuple[tuple[Term, ...], ...] = field(init=False, compare=False, repr=False)
    """Alternatives together, all in the order in which they were typed."""

    def __post_init__(self) -> None:
        found: dict[object, list[Term]] = {}
        for i, term in enumerate(self.terms):
            together = term.fact and not term.negative and not term.op
            found.setdefault(term.fact if together else i, []).append(term)
        object.__setattr__(self, "groups", tuple(map(tuple, found.values())))

    def holds(self, facts: Facts, number: Number = _nothing) -> bool:
        return self._depth(facts, number) == len(self.groups)

    def _depth(self, facts: Facts, number: Number) -> int:
        """How many groups a row passes before the first that it does not."""
        depth = 0
        for group in self.groups:
            for term in group:
                if term.holds(facts, number):
                    break
            else:
                return depth
            depth += 1
        return depth

    def sift(self, rows: Iterable[T], asked: Callable[[T], tuple[Facts, Number]]) -> tuple[list[T], str]:
        """The rows that hold, in one pass over all; and where none does, the words with which the last ones went."""
        every, deepest = len(self.groups), -1
        out: list[T] = []
        for row in rows:
            depth = self._depth(*asked(row))
            if depth == every:
                out.append(row)
            elif depth > deepest:
                deepest = depth
        if out or deepest < 0:
            return out, ""
        return out, str(Filter("", self.groups[deepest]))

    def asks(self, fact: str) -> bool:
        """Whether a term looks at this fact or number."""
        return any(term.fact == fact for term in self.terms)

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A word as typed: where it begins, its letters and for each whether it stood in quotes."""

    at: int
    letters: str
    inside: tuple[bool, ...]
    open: int | None = None
    """Where a quote begins that never ends."""

    def find(self, wanted: str, start: int = 0) -> int:
        """Place of the first letter of ``wanted`` outside quotes, or -1."""
        for i in range(start, len(self.letters)):
            if self.letters[i] in wanted and not self.inside[i]:
                return i
        return -1

    def parts(self, start: int) -> list[str]:
        """What stands between commas outside quotes."""
        out: list[str] = []
        while True:
            end = self.find(",", start)
            if end < 0:
                return [*out, self.letters[start:]]
            out.append(self.letters[start:end])
            start = end + 1


def split(text: str) -> list[Word]:
    """The words of a line; a quote that never ends takes the rest and says so."""
    out: list[Word] = []
    i = 0
    while i < len(text):
        if text[i].isspace():
            i += 1
            continue
        at, opened = i, None
        letters: list[str] = []
        inside: list[bool] = []
        while i < len(text) and (opened is not None or not text[i].isspace()):
            c = text[i]
            if c == '"':
                opened = i if opened is None else None
            else:
                if c == "\\" and opened is not None and i + 1 < len(text) and text[i + 1] in '"\\':
                    i += 1
                    c = text[i]
                letters.append(c)
                inside.append(opened is not None)
            i += 1
        out.append(Word(at, "".join(letters), tuple(inside), opened))
    return out


def parse(
    text: str,
    states: Callable[[], frozenset[str]] | None = None,
    fields: Collection[str] = tuple(FIELDS),
    numbers: Collection[str] = tuple(NUMBERS),
) -> Filter:
    """Read what was typed. FilterError on a field that is not in ``fields`` or ``numbers``, on a word that is in no state's
    name, on a number or a quote that cannot be read. A field without its value yet says nothing.
    """
    terms: list[Term] = []
    for word in split(text):
        if word.open is not None:
            raise FilterError("the quote is not closed", word.open + 1)
        negative = word.letters.startswith("!") and not word.inside[0]
        start = int(negative)
        if len(word.letters) == start:
            continue
        cut = word.find(":<>", start)
        name = word.letters[start:cut].casefold() if cut >= 0 else ""
        if not (name.isalpha() and name.isascii()) or any(word.inside[start:cut]):
            terms.append(Term("", word.letters[start:].casefold(), negative))
            continue
        terms += _of_field(word, name, cut, negative, states, fields, numbers)
    return Filter(text, tuple(terms))


def _of_field(
    word: Word, name: str, cut: int, negative: bool, states: Callable[[], frozenset[str]] | None, fields: Collection[str],
    numbers: Collection[str],
) -> list[Term]:  # fmt: skip
    op, rest, at = word.letters[cut], word.letters[cut + 1 :].casefold(), word.at + 1 + int(negative)
    if name in numbers:
        if not rest:
            return []
        if op == ":" and name != "attempt":
            raise FilterError(f"{name} is compared: {name}<{rest} or {name}>{rest}", at + len(name))
        number = _number(name, rest, at + len(name) + 1)
        return [Term(NUMBERS[name], rest, negative, "=" if op == ":" else op, number)]
    fact = FIELDS.get(name) if name in fields else None
    if fact is None:
        known = [*fields, *numbers]
        near = difflib.get_close_matches(name, known, 1, 0.5)
        if near:
            hint = f"did you mean {near[0]}{':' if near[0] in fields else '<'}"
        else:
            hint = "known are " + " ".join([f + ":" for f in fields if f != "source"] + [n + "<" for n in numbers])
        raise FilterError(f"there is no {'field' if op == ':' else 'number'} {name}{op} here, {hint}", at)
    if op != ":":
        raise FilterError(f"{name} is a word: {name}:{rest}", at + len(name))
    values = [value.casefold() for value in word.parts(cut + 1) if value]
    for value in values:
        if fact == "state" and states is not None and not any(_fits(value, s) for s in states()):
            near = difflib.get_close_matches(value, states(), 1, 0.4)
            raise FilterError(
                f"no state is called {value}" + (f", did you mean {near[0]}?" if near else ""), at + len(name) + 1
            )
        if fact == "is" and not any(_fits(value, s) for s in IS):
            raise FilterError(f"nothing is called {value}; is: knows {' '.join(IS)}", at + len(name) + 1)
    return [Term(fact, value, negative) for value in dict.fromkeys(values)]


def _number(name: str, text: str, at: int) -> int:
    if name == "attempt":
        if _COUNT.fullmatch(text) is None:
            raise FilterError(f"{text} is no number of tries: attempt>1", at)
        return int(text)
    if _DURATION.fullmatch(text) is None:
        unit = _COUNT.fullmatch(text) is not None
        raise FilterError(f"{text} of what? s m h d w" if unit else f"{text} is no time: 90s 15m 4h 1h30m 7d", at)
    return sum(int(float(n) * UNITS[unit]) for n, unit in _PART.findall(text))


# --- completing -------------------------------------------------------------------------------------------------------


def complete(
    text: str,
    at: int,
    fields: Sequence[str],
    numbers: Sequence[str],
    values: Callable[[str], Iterable[str]],
) -> tuple[int, list[str]]:
    """What the word before ``at`` may become: (where the part to replace begins, candidates in order).

    Names of fields first; behind a colon the values that exist, of ``values`` by the name of a fact.
    """
    head = text[:at]
    words = split(head)
    word = words[-1] if words and (words[-1].open is not None or not head[-1:].isspace()) else None
    if word is None:
        return at, [f"{f}:" for f in fields if f != "source"]
    raw = head[word.at :]
    negative = raw.startswith("!")
    cut = raw.find(":")
    if cut < 0:
        begun = raw[int(negative) :].casefold()
        named = [f"{f}:" for f in fields if f.startswith(begun)] + [f"{n}<" for n in numbers if n.startswith(begun)]
        return word.at + int(negative), named
    fact = FIELDS.get(raw[int(negative) : cut].casefold(), "")
    if not fact or raw[int(negative) : cut].casefold() not in fields:
        return at, []
    # behind the last comma that no quote holds
    begun = split(raw[cut + 1 :] or "x")
    start, letters = word.at + cut + 1, "" if cut + 1 == len(raw) else begun[-1].letters
    if (comma := raw.rfind(",", cut)) >= 0 and raw[cut:comma].count('"') % 2 == 0:
        start, letters = word.at + comma + 1, raw[comma + 1 :].strip('"')
    wanted = letters.casefold()
    found = sorted({value for value in values(fact) if value and value.casefold().startswith(wanted)}, key=str.casefold)
    return start, [quoted(value, ",") for value in found]


def common_start(candidates: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(candidates), max(candidates)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:n]
