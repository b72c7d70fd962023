"""The Floor of a machine that watches nothing yet: says so, names three ways in, explains the glyphs once."""

from __future__ import annotations

from adapters.model import State
from tui.present.glyphs import AT_RISK, LONG, LOOKS, PAUSED, Look
from tui.view import Line, Span

_WAYS = (
    ("watchfloor demo", "real pipelines on your machine, in ten seconds, no network"),
    ("watchfloor init", "looks around on this host and writes one TOML file"),
    ("watchfloor check", "reads what you wrote and says what is wrong"),
)
_SHOWN: tuple[Look, ...] = (
    LOOKS[State.FAILED], LOOKS[State.MISSED], AT_RISK, LONG, LOOKS[State.WARNING], LOOKS[State.RUNNING],
    LOOKS[State.QUEUED], PAUSED, LOOKS[State.SUCCESS], LOOKS[State.STOPPED],
)  # fmt: skip


def empty_rows(width: int, height: int) -> list[Line]:
    """Exactly ``height`` rows, the words a little above the middle."""
    left = max((width - 76) // 2, 1)
    inner = width - left - 1

    def at(*spans: Span) -> Line:
        return [(" " * left, ""), *spans]

    def head(text: str) -> Line:
        dashes = max(min(70, inner) - len(text) - 1, 0)
        return at((text, "text b"), (" " + "─" * dashes, "rule"))

    rows: list[Line] = [
        at(("Nothing to watch yet", "text b")),
        at(("Watchfloor has no source: it cannot tell you that all is well.", "dim")),
        [],
        head("Three ways in"),
    ]
    rows += [at(("  ", ""), (f"{command:<17}", "key b"), (words, "dim")) for command, words in _WAYS]
    rows += [[], head("How to read the floor")]
    for part in (_SHOWN[:5], _SHOWN[5:]):
        spans: list[Span] = [("  ", "")]
        for look in part:
            spans += [(look.glyph, look.style), (f" {look.word:<9}", "text")]
        rows.append(at(*spans))
    rows.append(at(("  ", ""), ("?", "run-stale b"), (" not seen, never drawn as ok", "text")))
    above = max((height - len(rows)) // 3, 0)
    out: list[Line] = [*[[]] * above, *rows]
    return [*out[:height], *[[]] * max(0, height - len(out))]
