"""Words that a supervisor and its adapter share: durations, signals, the line of a log that says what went wrong."""

from __future__ import annotations

import signal
from pathlib import Path

from adapters.first_error import clean, first_error, last_line

__all__ = ["clean", "duration_words", "exit_words", "reason", "signal_name"]


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


def exit_words(code: int) -> str:
    name = signal_name(code - 128) if code > 128 else None
    return f"killed by {name}" if name else f"exit {code}"


def reason(log: Path, code: int) -> str:
    """What went wrong in the log's own words, then how it exited: ``duplicate key … · exit 1``."""
    said = first_error(log) or last_line(log)
    return f"{said} · {exit_words(code)}" if said else f"{exit_words(code)} · it wrote nothing"
