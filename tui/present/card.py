"""The reference card as rows: what to look at, what to do when it is wrong, whom to call, what is known. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from adapters.model import State
from engine.store.rows import CardRow, FloorRow, LinkRow
from tui.present import lines, words
from tui.present.cut import clean, pad
from tui.present.glyphs import STALE_MARK, look_of
from tui.view import Line, Span

OLD_DAYS: Final = 180
"""A card that nobody looked at for so long is said to be old (domain: documentation drift)."""
LABEL: Final = 18


def updated(card: CardRow, today: date) -> list[Span]:
    """`` words of 3 Nov 2026, 18 days ago``; amber where nobody looked for half a year."""
    if card.updated is None:
        return [("no date says when its words were last looked at", "dim")]
    try:
        days = (today - date.fromisoformat(card.updated)).days
    except ValueError:
        return [(f"last looked at {clean(card.updated)}", "dim")]
    said = "today" if days == 0 else f"{words.many(days, 'day')} ago" if days > 0 else f"in {words.many(-days, 'day')}"
    old = days > OLD_DAYS
    return [(f"last looked at {card.updated}, {said}", "run-late" if old else "dim")]


def state_of(rows: Sequence[FloorRow], blind: Container[str] = (), room: int = 1000) -> list[Span]:
    """How the pipelines of a card are now, worst words first: ``2 failed · 1 running · 4 ok``; whole entries, ``room`` cells.

    ``blind``: sources that cannot be trusted now; what was seen of theirs last is stale: ``✓? 4 ok, stale``.
    """
    if not rows:
        return [("it is for no pipeline that is known", "dim")]
    found: dict[tuple[int, str, str, str], int] = {}
    for row in rows:
        look = look_of(row.state, row.mode)
        rank = 0 if row.state is not None and row.state.bad else 1 if row.state is State.WARNING else 2
        at = (rank, look.glyph, look.word, look.style)
        if row.source in blind:
            at = (
                rank + 3,
                f"{look.glyph}{STALE_MARK}",
                f"{look.word}, stale",
                "run-stale b" if not rank else "run-stale",
            )
        found[at] = found.get(at, 0) + 1
    out: list[Span] = []
    for i, ((_, glyph, word, style), n) in enumerate(sorted(found.items())):
        entry: list[Span] = [("   " if out else "", ""), (f"{glyph} {n} {word}", style)]
        more = f"   +{len(found) - i}"
        if out and lines.cells([*out, *entry]) > room - (len(more) if i + 1 < len(found) else 0):
            return [*out, (more, "dim")]
        out += entry
    return out


def body(
    card: CardRow | None,
    about: Mapping[str, Any],
    contacts: Mapping[str, str],
    links: Iterable[LinkRow],
    rows: Sequence[FloorRow],
    width: int,
    blind: Container[str] = (),
) -> list[Line]:
    """All rows of a card, its texts wrapped and never cut. ``about``: what is known of the pipeline it was opened on."""
    out: list[Line] = []
    if card is not None:
        out += _listed("Morning check", card.check, 'nothing is written: [[card]] check = ["…"]', width)
        out += _listed("If wrong", card.if_wrong, 'nothing is written: [[card]] if_wrong = ["…"]', width)
        out.append(lines.rule("Whom to call", "by kind of trouble", "", width))
        people = [_pair(kind, who, width) for kind, who in card.contacts.items()]
        none = 'nobody is named: [[card]] contacts = { data = "…", infrastructure = "…", business = "…" }'
        out += [row for part in people for row in part] or [_dim(none, width)]
        out.append(_blank(width))
    if about:
        out.append(lines.rule("What is known", "of the pipeline it was opened on", "", width))
        known = (
            ("owner", about.get("owner")), ("waits for it", ", ".join(about.get("consumers", ()))), ("runbook", about.get("runbook")),
            ("schedule", about.get("schedule")), ("what it is", about.get("description")),
        )  # fmt: skip
        for name, value in known:
            out += _pair(name, value or "not written", width, quiet=not value)
        out.append(_blank(width))
    if rows:
        out.append(lines.rule("Now", words.many(len(rows), "pipeline"), "", width))
        bad = [r for r in rows if r.state is not None and (r.state.bad or r.state is State.WARNING)]
        bad.sort(key=lambda r: r.state is State.WARNING)
        for row in bad[:8]:
            look = look_of(row.state, row.mode)
            error = clean(row.error or "")
            stale = row.source in blind
            out.append(
                lines.fit(
                    [
                        (" ", ""),
                        (
                            pad(f"{look.glyph}{STALE_MARK if stale else ''} {look.word}", 11),
                            "run-stale b" if stale else look.style,
                        ),
                        (pad(clean(row.name), 30), "text b"),
                        ("  ", ""),
                        (error, "dim"),
                    ],
                    width,
                )
            )
        if not bad:
            out.append(lines.fit([(" ", ""), *state_of(rows, blind)], width))
        elif len(bad) > 8:
            out.append(_dim(f"and {len(bad) - 8} more: the Floor lists them", width))
        out.append(_blank(width))
    listed = list(links)
    if listed:
        out.append(lines.rule("Links", "", "", width))
        for link in listed:
            out += _pair(link.words, link.url, width)
    return out


def _listed(title: str, texts: Sequence[str], none: str, width: int) -> list[Line]:
    out: list[Line] = [lines.rule(title, "", "", width)]
    for i, text in enumerate(texts, 1):
        parts = textwrap.wrap(clean(text), max(width - 6, 20)) or [""]
        out.append(lines.fit([(f" {i:>2} ", "key b"), (" ", ""), (parts[0], "text")], width))
        out += [lines.fit([("     ", ""), (part, "text")], width) for part in parts[1:]]
    if not texts:
        out.append(_dim(none, width))
    out.append(_blank(width))
    return out


def _pair(name: str, value: str, width: int, quiet: bool = False) -> list[Line]:
    """A label and its text; what does not fit goes on below, so that a URL can be read and selected whole."""
    room = max(width - LABEL - 4, 20)
    text = clean(value)
    parts = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    style = "dim" if quiet else "text"
    return [
        lines.fit([(" ", ""), (pad(clean(name) if i == 0 else "", LABEL), "dim"), ("  ", ""), (part, style)], width)
        for i, part in enumerate(parts)
    ]


def _dim(text: str, width: int) -> Line:
    return lines.fit([(" ", ""), (text, "dim")], width)


def _blank(width: int) -> Line:
    return [(" " * width, "")]
