"""What must hold before a call goes out. Every guard is evaluated and listed; deny by default.

``ok`` True holds, None warns, False forbids. Evaluated for the plan and once more in the transaction of the intent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.model import ActionState, KeyOf, Verb, VerbClass
from engine.actions.roles import NEEDED, role_of
from engine.actions.target import Observed, Target
from engine.actions.words import clean, lasted
from engine.config.model import Window, matches
from engine.context import Context
from engine.peer import Peer
from engine.store import actions as rows
from engine.store.writer import Tx

FRESH_MS: Final = 30_000
"""Older than this, a reading is not the truth any more."""
COOLDOWN_MS: Final = 60_000
"""How long the same verb on the same thing is pointed out."""
_NEVER_BEGAN: Final = frozenset({ActionState.REFUSED, ActionState.FAILED_NOT_EXECUTED, ActionState.RECONCILED_NOT_DONE})


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard's answer in a clause. ``needs_reason``: it lets through whoever says why."""

    name: str
    ok: bool | None
    words: str
    needs_reason: bool = False

    def shown(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "words": self.words}


def evaluate(
    ctx: Context,
    tx: Tx,
    target: Target,
    observed: Observed,
    peer: Peer,
    armed_s: float,
    unable: str | None,
    warnings: Sequence[str] = (),
) -> list[Guard]:
    """All guards in the order in which they are shown. ``unable``: why the adapter cannot do it, None where it can;
    ``warnings``: what it says against it."""
    return [
        _read_only(ctx),
        _fresh(ctx, target, observed),
        Guard(
            "capability",
            unable is None,
            f"{target.source.kind} can {target.verb}" if unable is None else clean(unable, 300),
        ),
        *(Guard("parameters", None, clean(words, 300)) for words in warnings),
        _role(ctx, target, peer),
        *_armed(target, armed_s),
        *_windows(ctx, target),
        *_conflict(ctx, tx, target, observed),
    ]


def refusal(guards: list[Guard], *, but: str = "") -> Guard | None:
    """The first guard that forbids; ``but`` names one that does not count."""
    return next((g for g in guards if g.ok is False and g.name != but), None)


def _read_only(ctx: Context) -> Guard:
    return Guard(
        "read-only",
        not ctx.read_only,
        "this engine was started read-only" if ctx.read_only else "acting is allowed here",
    )


def _fresh(ctx: Context, target: Target, observed: Observed) -> Guard:
    age = max(0, ctx.clock.now() - observed.read_at)
    words = f"{target.source.name} was asked {lasted(age)} ago"
    return Guard("truth", age <= FRESH_MS, words if age <= FRESH_MS else f"{words}: too long, ask again")


def _role(ctx: Context, target: Target, peer: Peer) -> Guard:
    role = role_of(ctx.config, target.facts, peer)
    needed = NEEDED[target.spec.klass]
    if role >= needed:
        return Guard("role", True, f"{peer.who} is {role.name.lower()}")
    return Guard(
        "role",
        False,
        f"{peer.who} is {role.name.lower()} here, which may not {target.verb}: {needed.name.lower()} is needed",
    )


def _armed(target: Target, armed_s: float) -> list[Guard]:
    if not target.source.protected:
        return []
    if armed_s > 0:
        return [Guard("armed", True, f"{target.environment} is armed, {lasted(int(armed_s * 1000))} left")]
    return [Guard("armed", False, f"{target.environment} is protected and not armed by you")]


def _windows(ctx: Context, target: Target) -> list[Guard]:
    found: list[Guard] = []
    for window in ctx.config.windows:
        if window.actions == "allow" or not matches(window.on, target.facts):
            continue
        until = open_until(window, ctx.clock.now())
        if until is None:
            continue
        end = datetime.fromtimestamp(until / 1000, ZoneInfo(window.timezone)).strftime("%H:%M")
        words = f"{window.kind} window {clean(window.name, 60)} until {end} {window.timezone}"
        if window.actions == "block":
            found.append(Guard("window", False, f"{words} blocks actions"))
        else:
            found.append(Guard("window", None, f"{words}: needs your reason", needs_reason=True))
    return found or [Guard("window", True, "no window is against it")]


def _conflict(ctx: Context, tx: Tx, target: Target, observed: Observed) -> list[Guard]:
    """One action at a time on one thing; the same again within a minute, and a second run beside one, are pointed out."""
    now = ctx.clock.now()
    flying = rows.in_flight(tx, target.scope)
    if flying is not None:
        state = flying.state.name.lower()
        return [
            Guard(
                "conflict",
                False,
                f"{flying.verb} of {clean(flying.key, 120)} by {flying.who} is in flight ({state} since {lasted(now - flying.created)})",
            )
        ]
    found: list[Guard] = []
    last = rows.latest_on(tx, target.scope)
    if last and last.verb == target.verb and last.key == target.key and last.state not in _NEVER_BEGAN:
        ago = now - last.created
        if ago < COOLDOWN_MS:
            found.append(
                Guard("conflict", None, f"{last.who} asked the same {lasted(ago)} ago: {clean(last.words, 120)}")
            )
    if observed.active and target.spec.of is KeyOf.PIPELINE and target.verb is Verb.START:
        n = len(observed.active)
        found.append(
            Guard("conflict", None, f"{n} run{'s are' if n > 1 else ' is'} active already: this one comes beside")
        )
    return found or [Guard("conflict", True, "nothing else is in flight")]


def typed_name(target: Target) -> str | None:
    """What must be typed: disruptive on a protected source, or destructive anywhere."""
    klass = target.spec.klass
    hard = klass is VerbClass.DESTRUCTIVE or (klass is VerbClass.DISRUPTIVE and target.source.protected)
    return target.name if hard else None


# --- windows -------------------------------------------------------------------------------------------------------


def open_until(window: Window, now: int) -> int | None:
    """When a window that is open at ``now`` closes (ms UTC); None while it is closed.

    Evaluated in the window's zone and converted: on the day the clock changes it is as long as its wall times say.
    """
    zone = ZoneInfo(window.timezone)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    back = 8 if window.duration_ms is None else 8 + window.duration_ms // 86_400_000
    for days in range(-back, 2):
        date = today + timedelta(days=days)
        if window.start.day not in (None, date.weekday()):
            continue
        start = datetime(
            date.year, date.month, date.day, window.start.minute // 60, window.start.minute % 60, tzinfo=zone
        )
        end = _end(window, start)
        if end is not None and ms(start) <= now < end:
            return end
    return None


def _end(window: Window, start: datetime) -> int | None:
    if window.duration_ms is not None:
        return ms(start) + window.duration_ms
    if window.end is None:
        return None
    for days in range(8):
        date = start.date() + timedelta(days=days)
        if window.end.day not in (None, date.weekday()):
            continue
        end = datetime(
            date.year, date.month, date.day, window.end.minute // 60, window.end.minute % 60, tzinfo=start.tzinfo
        )
        if ms(end) > ms(start):
            return ms(end)
    return None


def ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
