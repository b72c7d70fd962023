"""What stands behind ``/``: plain text, ``!text`` and ``field:value``. A bad word is one sentence and changes
nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

FIELDS: Final[Mapping[str, str]] = {
    "state": "state", "src": "source", "source": "source", "owner": "owner", "layer": "layer", "env": "environment",
    "app": "application", "kind": "kind", "date": "business_date", "name": "name",
}  # fmt: skip
"""Word before the colon → the fact it looks at."""

Facts = Mapping[str, str]


class FilterError(ValueError):
    """One sentence about a word that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Term:
    fact: str
    value: str
    negative: bool

    def holds(self, facts: Facts) -> bool:
        if self.fact:
            found = self.value in facts.get(self.fact, "").casefold()
        else:
            found = any(self.value in facts.get(f, "").casefold() for f in ("key", "name"))
        return found != self.negative


@dataclass(frozen=True, slots=True)
class Filter:
    """All terms must hold; terms of one ``field:`` are alternatives (``state:failed state:missed``)."""

    text: str
    terms: tuple[Term, ...]

    def holds(self, facts: Facts) -> bool:
        either: dict[str, bool] = {}
        for term in self.terms:
            if term.fact and not term.negative:
                either[term.fact] = either.get(term.fact, False) or term.holds(facts)
            elif not term.holds(facts):
                return False
        return all(either.values())

    def __bool__(self) -> bool:
        return bool(self.terms)


def parse(
    text: str, states: Callable[[], frozenset[str]] | None = None, fields: Collection[str] = tuple(FIELDS)
) -> Filter:
    """Read what was typed. FilterError on a field that is not in ``fields``, or on a word that is in no state's name."""
    terms: list[Term] = []
    for word in text.split():
        negative = word.startswith("!")
        body = word[1:] if negative else word
        if not body:
            continue
        name, colon, value = body.partition(":")
        if not colon or not name.isalpha():
            terms.append(Term("", body.casefold(), negative))
            continue
        fact = FIELDS.get(name.casefold()) if name.casefold() in fields else None
        if fact is None:
            near = difflib.get_close_matches(name.casefold(), fields, 1, 0.5)
            known = " ".join(f + ":" for f in fields if f != "source")
            raise FilterError(
                f"there is no field {name}: here, " + (f"did you mean {near[0]}:" if near else f"known are {known}")
            )
        value = value.casefold()
        if not value:
            continue
        if fact == "state" and states is not None and not any(value in s for s in states()):
            near = difflib.get_close_matches(value, states(), 1, 0.4)
            hint = f", did you mean {near[0]}?" if near else ""
            raise FilterError(f"no state is called {value}{hint}")
        terms.append(Term(fact, value, negative))
    return Filter(text, tuple(terms))
