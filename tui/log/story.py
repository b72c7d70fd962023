"""The lines of a log that tell what happened, for the Run screen: around the first error, or the last ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tui.log.index import Text
from tui.log.lines import HEAD, LEVEL, parts
from tui.log.page import LogPage, readable
from tui.log.source import Source

LOOK_S: Final = 0.02
"""How long the first error is looked for; in a log of gigabytes it is the last lines then."""
_WIDE: Final = 4096


@dataclass(slots=True)
class Story:
    """``lines``: (level, clock, level word, text); ``where``: ``line 4,120 of 4,126``; ``bad``: they stand around an error."""

    lines: list[tuple[int, str, str, str]]
    where: str
    bad: bool


def tell(path: str, bad: bool, count: int) -> Story:
    """``count`` lines around the first error where ``bad``, else the last. OSError where the log cannot be read."""
    source = Source(path)
    try:
        text = Text(source)
        page = LogPage(text)
        at: int | None = None
        if bad:
            found = page.worker.seek("error", 1, -1, LOOK_S)
            at = found.offset if found is not None else None
        if at is None:
            lines = page.walk(text.size, -1, count)
        else:
            lines = [*page.walk(at, -1, 2), *page.walk(at - 1, 1, count - 2)][:count]
        return Story([_parts(text, line) for line in lines], _where(text, lines, at), at is not None)
    finally:
        source.close()


def _parts(text: Text, at: int) -> tuple[int, str, str, str]:
    state = text.state(at)
    found = parts(text.line(at, _WIDE))
    return state & LEVEL, found.clock, found.word if state & HEAD else "", readable(found.rest)


def _where(text: Text, lines: list[int], at: int | None) -> str:
    if not lines:
        return ""
    for _ in range(64):  # 16 MiB: some milliseconds
        if not text.count():
            break
    whole = text.lines
    total = f"{whole:,}" if whole is not None else f"~{text.about_lines():,}"
    if at is None:
        return f"{total} {'line' if whole == 1 else 'lines'}"
    number, exact = text.number(at)
    return f"line {'' if exact else '~'}{number + 1:,} of {total}"
