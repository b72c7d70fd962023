"""The one table of glyphs: state → glyph, ascii, word, style; and the table that turns any line into plain ascii.

Every glyph is in the fonts and console fonts that were checked, one cell wide and not emoji-capable. State is always
glyph + word + colour, so that each of them may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.model import Health, Mode, State


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is drawn. ``short`` fits in seven cells (narrow screens). ``style`` is the colour, bold where a
    person is needed.
    """

    glyph: str
    ascii: str
    word: str
    style: str
    short: str = ""

    @property
    def narrow(self) -> str:
        return self.short or self.word

    @property
    def token(self) -> str:
        """The colour alone, without bold."""
        return self.style.partition(" ")[0]


LOOKS: Final[Mapping[State, Look]] = {
    State.EXPECTED: Look("·", ".", "due", "dim"),
    State.QUEUED: Look("○", "o", "queued", "run-queued"),
    State.RUNNING: Look("►", ">", "running", "run-running"),
    State.RETRYING: Look("»", "r", "retrying", "run-late", "retry"),
    State.HELD: Look("║", "=", "held", "run-held"),
    State.STOPPING: Look("□", "s", "stopping", "run-stopped", "stops"),
    State.SUCCESS: Look("✓", "+", "ok", "run-ok"),
    State.WARNING: Look("▲", "!", "warning", "run-warning b"),
    State.FAILED: Look("✗", "X", "failed", "run-failed b"),
    State.TIMED_OUT: Look("≥", "T", "timeout", "run-failed b"),
    State.STOPPED: Look("■", "#", "stopped", "run-stopped"),
    State.SKIPPED: Look("-", "-", "skipped", "dim"),
    State.LOST: Look("?", "?", "lost", "run-missed b"),
    State.MISSED: Look("∅", "0", "missed", "run-missed b"),
}

LONG: Final = Look("►", ">", "long", "run-late b")
AT_RISK: Final = Look("◆", "*", "at risk", "run-late b")
BREACHED: Final = Look("◆", "*", "breached", "run-failed b", "breach")
OWED: Final = Look("◇", ".", "owed", "dim")
PAUSED: Final = Look("║", "=", "paused", "run-held")
DISABLED: Final = Look("-", "-", "disabled", "dim", "off")
GONE: Final = Look("?", "?", "gone", "run-stale")
NO_RUNS: Final = Look("·", ".", "no runs", "dim")
NO_VIEW: Final = Look("?", "?", "no view", "run-stale")
UNKNOWN: Final = Look("?", "?", "unknown", "run-stale")
TROUBLE: Final = Look("✗", "X", "silent", "run-failed b")
"""Of a source that answers while a part of it is dead."""

STALE_MARK: Final = "?"
"""Second cell of a state: what is shown was true, and nobody can say whether it still is."""

MODE_LOOKS: Final[Mapping[Mode, Look]] = {Mode.PAUSED: PAUSED, Mode.DISABLED: DISABLED, Mode.GONE: GONE}

HEALTH_LOOKS: Final[Mapping[Health, Look]] = {
    Health.NEVER: Look("·", ".", "not polled yet", "dim"),
    Health.FRESH: Look("✓", "+", "fresh", "run-ok"),
    Health.STALE: Look("?", "?", "stale", "run-stale b"),
    Health.AUTH_FAILED: Look("✗", "X", "auth failed", "run-failed b"),
    Health.UNREACHABLE: Look("✗", "X", "unreachable", "run-failed b"),
    Health.RATE_LIMITED: Look("»", "r", "rate limited", "run-late b"),
    Health.BAD_ANSWER: Look("▲", "!", "bad answer", "run-warning b"),
}

LEGEND: Final[tuple[tuple[Look, str], ...]] = (
    (LOOKS[State.FAILED], "ended with an error"),
    (LOOKS[State.TIMED_OUT], "ended by its time limit"),
    (LOOKS[State.MISSED], "was due, no run was seen"),
    (LOOKS[State.LOST], "vanished, its end is not known"),
    (AT_RISK, "what it owes will probably be late"),
    (BREACHED, "what it owes is late for certain"),
    (LONG, "runs longer than usual"),
    (LOOKS[State.WARNING], "ended, but not healthy"),
    (LOOKS[State.RETRYING], "an attempt failed, another will come"),
    (LOOKS[State.RUNNING], "runs now"),
    (LOOKS[State.QUEUED], "accepted, not started"),
    (LOOKS[State.HELD], "stands still, can go on"),
    (PAUSED, "its schedule makes no new runs"),
    (LOOKS[State.STOPPING], "asked to stop"),
    (LOOKS[State.STOPPED], "ended by a person or a system"),
    (LOOKS[State.SKIPPED], "not run, by design"),
    (LOOKS[State.SUCCESS], "ended well"),
    (LOOKS[State.EXPECTED], "nothing yet"),
    (Look("✓?", "+?", "stale", "run-stale"), "as last seen, never drawn as ok"),
)

BLOCKS: Final = "▁▂▃▄▅▆▇█"

_ASCII: Final[Mapping[str, str]] = {
    **{
        look.glyph: look.ascii for look in (*LOOKS.values(), LONG, AT_RISK, BREACHED, OWED, PAUSED) if look.glyph != "·"
    },
    **dict(zip(BLOCKS, "_.-==^##", strict=True)),
    "·": ".",
    "━": "=",
    "─": "-",
    "┼": "|",
    "╋": "#",
    "│": "|",
    "┃": "#",
    "░": ":",
    "┊": "|",
    "▌": "|",
    "▏": "|",
    "●": "@",
    "…": "~",
    "×": "x",
    "±": "~",
    "≤": "<",
    "→": ">",
    "↺": "@",
    "←": "<",
    "–": "-",
    "“": '"',
    "”": '"',
    "’": "'",
    "�": "?",
}
_TABLE: Final = str.maketrans(dict(_ASCII))


def to_ascii(text: str) -> str:
    """The same cells in plain ascii: our glyphs by the table, wide characters as ``??``, everything else unknown as
    ``?``.
    """
    if text.isascii():
        return text
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    from tui.present.cut import char_width

    return "".join(c if c.isascii() else "?" * char_width(c) for c in text)


def look_of(state: State | None, mode: Mode = Mode.ACTIVE) -> Look:
    """Look of a pipeline: what its run says where that matters now, else its mode, else "no runs"."""
    if mode == Mode.GONE:
        return GONE
    if state is not None and (state.active or state.bad or state == State.WARNING):
        return LOOKS[state]
    if mode != Mode.ACTIVE:
        return MODE_LOOKS[mode]
    return NO_RUNS if state is None else LOOKS[state]
