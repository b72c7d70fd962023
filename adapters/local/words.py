"""Words that a supervisor and its adapter share: durations, signals, the line of a log that says what went wrong."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Final

_TAIL: Final = 65_536
_LONGEST: Final = 300
# ESC sequences (CSI, OSC, others), then whatever control character is left: a log is hostile text
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_ERROR: Final = re.compile(
    r"\b(?:\w*error|\w*exception|fatal|panic|failed|failure|denied|violat\w+|cannot|could not|refused|no such|"
    r"not found|abort\w*)\b",
    re.IGNORECASE,
)
_WARNING: Final = re.compile(r"\b(?:warn\w*|reject\w*|skipped|partial\w*)\b", re.IGNORECASE)
# a logger's stamp and level say nothing that the screen does not say beside it
_STAMP: Final = re.compile(
    r"^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+"
    r"(?:\[?(?:ERROR|WARN|WARNING|FATAL|CRITICAL)\]?:?\s+)?"
)


def duration_words(ms: int) -> str:
    """``250ms``, ``1.5s``, ``90s``, ``10m``, ``2h05m``: short and exact enough for a sentence."""
    if ms < 1000:
        return f"{ms}ms"
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m" + (f"{rest:02}s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h" + (f"{minutes:02}m" if minutes else "")


def signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def clean(text: str, longest: int = _LONGEST) -> str:
    """One line without escapes and controls, at most ``longest`` characters."""
    line = _CONTROLS.sub(" ", _ESCAPES.sub("", text)).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def exit_words(code: int) -> str:
    name = signal_name(code - 128) if code > 128 else None
    return f"killed by {name}" if name else f"exit {code}"


def first_error(log: Path, code: int) -> str:
    """``exit 1 · <line>``: the last line of the log that speaks of an error, else of a warning, else its last."""
    try:
        with open(log, "rb") as source:
            size = source.seek(0, 2)
            source.seek(max(0, size - _TAIL))
            text = source.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line for raw in text.splitlines() if (line := clean(raw))]
    for pattern in (_ERROR, _WARNING):
        said = next((line for line in reversed(lines) if pattern.search(line)), None)
        if said is not None:
            break
    else:
        said = lines[-1] if lines else "it wrote nothing"
    return f"{exit_words(code)} · {_STAMP.sub('', said) or said}"
