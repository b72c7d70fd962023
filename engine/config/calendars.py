"""Calendars as they are configured, with the files of holidays that they name."""

from __future__ import annotations

from pathlib import Path

from engine.config.at import At, Node
from engine.config.errors import Problem
from engine.owed.calendar import BusinessCalendar
from engine.owed.holidays import Holidays, read_holidays

_MOST_BYTES = 4 << 20
_MOST_PROBLEMS = 20  # of one file


def read_calendar(name: str, node: Node, zone: str, files: dict[Path, bytes]) -> BusinessCalendar:
    """A ``[[calendar]]``; ``zone`` where it names none. ``files``: what was read of holidays so far, and is from now on."""
    holidays = Holidays()
    for n, path in enumerate(node["holidays"] or ()):
        holidays |= _read(node.at / "holidays" / n, path, files)
    weekdays, hours = node["weekdays"], node["hours"]
    plain = BusinessCalendar(name=name)
    return BusinessCalendar(
        name=name,
        zone=node["timezone"] or zone,
        weekdays=plain.weekdays if weekdays is None else weekdays,
        hours=hours or plain.hours,
        holidays=holidays,
    )


def _read(at: At, path: Path, files: dict[Path, bytes]) -> Holidays:
    """The holidays of a file; what is wrong with it is said with its own name and line."""
    raw = files.get(path)
    try:
        if raw is None:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                at.problem(f"expected a file of holidays, {path} is none", "name a file of dates, text or iCal")
                return Holidays()
            with path.open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        at.problem(f"expected a file of holidays, there is no {path}", "put it there, or name another file")
        return Holidays()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        at.problem(
            f"expected a readable file of holidays, got: {reason} ({path})", "let the user of the engine read it"
        )
        return Holidays()
    if len(raw) > _MOST_BYTES:
        at.problem(f"expected a file of holidays of at most 4 MiB, {path} is larger", "name another file")
        return Holidays()
    files[path] = raw
    hint = f"correct that line or remove it; {at.place} names this file"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        at.doc.problems.append(
            Problem(str(path), line, "", f"expected UTF-8 text, got the byte 0x{raw[error.start]:02x}", hint)
        )
        return Holidays()
    found = read_holidays(text, "")
    for sentence in found.problems[:_MOST_PROBLEMS]:
        number, _, said = sentence.removeprefix(" line ").partition(": ")
        at.doc.problems.append(Problem(str(path), int(number), "", said, hint))
    more = len(found.problems) - _MOST_PROBLEMS
    if more > 0:
        at.doc.problems.append(Problem(str(path), None, "", f"{more} more of its lines are not understood", hint))
    if not found.problems and not found.holidays.dates and not found.holidays.yearly:
        at.warn(f"{path} holds no date", "nobody has a holiday by it")
    return found.holidays
