"""What the palette finds: entries of every kind, and which of them a few typed letters mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui.view import Effect

KINDS = ("do", "pipeline", "run", "screen", "source", "host", "card", "view", "setting")


@dataclass(frozen=True, slots=True)
class Found:
    """One entry. ``kind`` of KINDS; ``label`` is what is matched first, ``note`` and ``also`` after it; ``why``: why not now."""

    kind: str
    label: str
    note: str = ""
    key: str = ""
    """The key that does the same, as a person reads it."""
    effects: Sequence[Effect] = ()
    why: str | None = None
    also: str = ""
    """Words that are matched and not shown: an id, a context."""


def score(entry: Found, typed: str) -> int | None:
    """How well an entry fits; lower is better, None: not at all. Every word must be found somewhere.

    The beginning of the label is best, then of one of its words, then inside it, then in the note; letters in order
    (``dlsl`` for daily_sales) come last, and only for a single word.
    """
    label, rest = entry.label.casefold(), f"{entry.note} {entry.also}".casefold()
    total = 0
    words = typed.casefold().split()
    for word in words:
        at = label.find(word)
        if at == 0:
            total += 0
        elif at > 0 and not label[at - 1].isalnum():
            total += 10
        elif at > 0:
            total += 20
        elif word in rest:
            total += 40
        elif len(words) == 1 and len(word) >= 2 and _in_order(word, label):
            total += 60
        else:
            return None
    return total * 100 + min(len(label), 99)


def _in_order(word: str, text: str) -> bool:
    letters = iter(text)
    return all(c in letters for c in word)


def best(entries: Iterable[Found], typed: str, most: int = 60) -> list[Found]:
    """The entries that fit, best first; among equals the order in which they were given, those that can be had first.

    With nothing typed nothing is meant yet: the order in which they were given, which no length of a word upsets.
    """
    if not typed.split():
        return sorted(entries, key=lambda e: e.why is not None)[:most]
    fit = [(s, e.why is not None, i, e) for i, e in enumerate(entries) if (s := score(e, typed)) is not None]
    return [e for _, _, _, e in sorted(fit, key=lambda f: f[:3])[:most]]
