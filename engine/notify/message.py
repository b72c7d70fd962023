"""What a message says: the message contract, as plain text for people who are asleep.

First line severity, object, fact; then where and since when in the reader's zone and UTC, why we think so, impact, what to
do, ids. Nothing from outside keeps escape codes, markup or invisible characters in here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.model import Severity
from engine.ids import short

TITLE_MAX = 200
"""Characters; most services allow 200 to 250."""
LINE_MAX = 400
BODY_MAX = 6000

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, with its text
    r"|\x1b[PX^_][^\x1b\x9c]*(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"
)
_INVISIBLE = re.compile(
    "[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]+")
_CLOCK = re.compile(r"\d\d:\d\d")
_TAG = re.compile(r"<(?=[!@#/?A-Za-z|])")
_MENTION = re.compile(r"@(?=(?:everyone|here|channel|all)\b)", re.IGNORECASE)
_LINK = re.compile(r"\]\(")


def plain(text: str, limit: int = LINE_MAX) -> str:
    """One line of harmless text: no escape sequences, control, invisible or direction characters, no tags, links, mass mentions."""
    text = _ESCAPES.sub("", text)
    text = _INVISIBLE.sub("", text)
    text = " ".join(_CONTROL.sub(" ", text).split())
    text = _TAG.sub("‹", text)
    text = _MENTION.sub("@ ", text)
    text = _LINK.sub("] (", text).replace("`", "'")
    return cut(text, limit)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, the loss marked."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def zone(name: str) -> ZoneInfo:
    """The zone, or UTC where this host does not know it (the configuration's check refuses such names)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(at: int, timezone: str, now: int | None = None) -> str:
    """``05:50 Europe/Paris (04:50 UTC)``; with the date when it is not today's in that zone."""
    there = datetime.fromtimestamp(at / 1000, zone(timezone))
    utc = datetime.fromtimestamp(at / 1000, UTC)
    today = datetime.fromtimestamp((at if now is None else now) / 1000, zone(timezone)).date()
    day = "" if there.date() == today else there.strftime("%d %b ")
    if timezone == "UTC":
        return f"{day}{there:%H:%M} UTC"
    return f"{day}{there:%H:%M} {timezone} ({utc:%H:%M} UTC)"


def clock_time(at: int, timezone: str) -> str:
    """``05:50`` on that zone's clocks."""
    return f"{datetime.fromtimestamp(at / 1000, zone(timezone)):%H:%M}"


def length(ms: int) -> str:
    """``9s``, ``4m 02s``, ``2h 08m``, ``3d 4h``."""
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m {seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24}h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a rule found, in words; every part may hold text from outside, and is cleaned here.

    ``object`` and ``fact`` make the title. ``business_date`` is ISO or None.
    """

    object: str
    fact: str
    environment: str
    source: str
    business_date: str | None = None
    now: str
    impact: str
    do: str
    ends: str

    @property
    def title(self) -> str:
        return cut(f"{plain(self.object, 80)} {plain(self.fact, TITLE_MAX)}", TITLE_MAX)

    @property
    def body(self) -> str:
        """What an alert's row keeps: where, Now, Impact, Do, Ends; one line each."""
        where = " / ".join(plain(part, 80) for part in (self.environment, self.source) if part)
        if self.business_date:
            where += f" · business date {plain(self.business_date, 20)}"
        lines = [where or "no environment"]
        for label, words in (("Now", self.now), ("Impact", self.impact), ("Do", self.do), ("Ends", self.ends)):
            lines.append(f"{label}: {plain(words)}")
        return "\n".join(lines)


_OWED = "Owed: "
_BEHIND = "Behind it: "


def with_lines(body: str, owed: str, behind: str) -> str:
    """A story's body with what else is owed (after Now) and what stands behind it (after Impact), in place of what it had of both."""
    where, *rest = body.split("\n")
    out = [where]
    for line in rest:
        if line.startswith((_OWED, _BEHIND)):
            continue
        out.append(line)
        if owed and line.startswith("Now: "):
            out.append(_OWED + plain(_together(owed)))
        elif behind and line.startswith("Impact: "):
            out.append(_BEHIND + plain(behind, 2 * LINE_MAX))
    return "\n".join(out)


_TICKS = 4
"""Due times of one kind that are named; of a schedule of every few minutes nobody reads more."""


def _together(owed: str) -> str:
    """Parts that differ by their due time only as one: ``deadline broken: due 15:31, 15:33, 15:35 … 15:51 (11 times)``."""
    found: dict[str, list[str]] = {}
    for part in owed.split("; "):
        head, due, at = part.rpartition(": due ")
        simple = due and _CLOCK.fullmatch(at)
        found.setdefault(f"{head}{due}" if simple else part, []).append(at if simple else "")
    out: list[str] = []
    for head, times in found.items():
        said = times if len(times) <= _TICKS else [*times[: _TICKS - 1], f"… {times[-1]} ({len(times)} times)"]
        out.append(head + ", ".join(said).replace(", …", " …"))
    return "; ".join(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The alert as a message needs it; ``body`` as Story.body made it. ``due``: where the reader's clocks say another time than it."""

    id: str
    severity: Severity
    title: str
    body: str
    since: int
    due: int | None = None


def message(
    told: Told, *, message_id: str, timezone: str, now: int, notice: int = 1, lead: str = "", runs_on: bool = True
) -> tuple[str, str]:
    """(title, body) of a message about something that fires. ``lead`` stands before the fact: ``ack by ana expired``."""
    head = f"{lead}: " if lead else ""
    title = cut(f"[{told.severity.name}] {head}{plain(told.title, TITLE_MAX)}", TITLE_MAX)
    lines = told.body.split("\n")
    where, rest = lines[0], [line for line in lines[1:] if not line.startswith("Ends: ")]
    due = "" if told.due is None else f" · due {moment(told.due, timezone, now)}"
    out = [f"{where}{due} · since {moment(told.since, timezone, now)}", *rest]
    if runs_on:
        out = [
            line + f" · Ack: watchfloor ack {short(told.id)} --until 30m" if line.startswith("Do: ") else line
            for line in out
        ]
    out.append(f"id {short(told.id)} · message {message_id} · notice {notice}")
    return title, cut("\n".join(out), BODY_MAX)


def resolved(
    told: Told, *, evidence: str, resolved: int, message_id: str, timezone: str, notice: int = 1
) -> tuple[str, str]:  # fmt: skip
    """(title, body) of the end of it, with what proves it."""
    title = cut(f"[RESOLVED] {plain(told.title, TITLE_MAX)}", TITLE_MAX)
    where = told.body.split("\n")[0]
    return title, "\n".join(
        (
            f"{where} · since {moment(told.since, timezone, resolved)}",
            f"Now: {plain(evidence)}, at {moment(resolved, timezone, resolved)}",
            f"Impact: over after {length(resolved - told.since)}; what waited for it is not judged here",
            "Do: nothing more for this alert",
            f"id {short(told.id)} · message {message_id} · notice {notice}",
        )
    )


def trial(contact: str, *, message_id: str, timezone: str, now: int, where: str) -> tuple[str, str]:
    """(title, body) of a test message."""
    return "[INFO] Watchfloor test message: nothing is wrong", "\n".join(
        (
            f"{plain(where, 200)} · since {moment(now, timezone, now)}",
            f"Now: somebody asked whether messages reach {plain(contact, 80)}. This one did.",
            "Impact: none",
            "Do: nothing",
            f"id TEST · message {message_id} · notice 1",
        )
    )


def problems(title: str, body: str) -> list[str]:
    """What a message lacks of the contract; empty when it is whole. For tests and for the sender's last look."""
    missing: list[str] = []
    if not re.match(r"\[(CRITICAL|HIGH|MEDIUM|LOW|INFO|RESOLVED)\] \S+", title):
        missing.append("severity and object in the title")
    lines = body.split("\n")
    for what, found in (
        ("since, with UTC", any("since " in line and "UTC" in line for line in lines[:1])),
        ("Now", any(line.startswith("Now: ") and len(line) > 5 for line in lines)),
        ("Impact", any(line.startswith("Impact: ") for line in lines)),
        ("Do", any(line.startswith("Do: ") for line in lines)),
        ("id", bool(re.match(r"id \S+ · message \S+", lines[-1]))),
    ):
        if not found:
            missing.append(what)
    if _CONTROL.search(body.replace("\n", "")) or _CONTROL.search(title):
        missing.append("harmless text")
    return missing


def quoted(key: str) -> str:
    """A key in a command that somebody pastes: whoever names a pipeline ``x';…`` gets no shell with it."""
    return "'" + key.replace("'", "'\\''") + "'"


def names(items: Sequence[str], limit: int = 5) -> str:
    """``a, b, c and 4 more``."""
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
