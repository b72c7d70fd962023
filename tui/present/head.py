"""What the rows above the panes are made of: widths, environments, counts, who is blind, whether anybody watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Health, State
from tui.present import words
from tui.present.cut import clean

if TYPE_CHECKING:
    from engine.store.rows import ArmedRow, CapacityRow, Counts, EngineRow, GaugeRow, SourceRow, Trouble
    from tui.view import Context

NARROW: Final = 110
WIDE: Final = 180
_GAUGES: Final = ("host.cpu", "host.mem", "host.io", "host.load1")
SILENT_MS: Final = 60_000
"""How long a silence is only a bold age, unless the engine said goodbye."""

_BANDS: Final = {
    "prod": ("red", "violet", "purple", "magenta", "prod", "production", "live"),
    "uat": ("blue", "cyan", "teal", "amber", "yellow", "orange", "uat", "test", "staging", "preprod", "int", "qa"),
    "dev": ("green", "dev", "development", "sandbox"),
    "local": ("grey", "gray", "white", "black", "local", "demo", ""),
}


def is_narrow(width: int) -> bool:
    return width < NARROW


def is_wide(width: int) -> bool:
    return width >= WIDE


def band(environment: str, color: str, protected: bool) -> str:
    """Palette name of an environment's band (``prod uat dev local``): its configured colour, else its name, else
    its protection.
    """
    for word in (color.lower(), environment.lower()):
        for name, known in _BANDS.items():
            if word and word in known:
                return name
    return "prod" if protected else "local"


@dataclass(frozen=True, slots=True)
class Environment:
    name: str
    band: str
    sources: int
    protected: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What the rows above the panes say; read once a load, the same numbers on every screen."""

    engine: EngineRow | None
    sources: Sequence[SourceRow]
    counts: Counts
    gauges: Sequence[GaugeRow]
    armed: Sequence[ArmedRow]
    limits: Sequence[CapacityRow] = ()
    """When this host's disks are full, nearest first."""

    @classmethod
    def read(cls, ctx: Context) -> Head:
        """A few small queries, whatever the number of pipelines."""
        reader = ctx.reader
        gauges = reader.gauges(_GAUGES, 8, also="host.disk:")
        return cls(reader.engine(), reader.sources(), reader.counts(), gauges, reader.armed(), reader.disk_limits())

    @property
    def environments(self) -> list[Environment]:
        """Protected ones first, in the order of the configuration."""
        found: dict[str, Environment] = {}
        for s in self.sources:
            name = s.environment or ("local" if s.kind == "local" else "unnamed")
            old = found.get(name)
            found[name] = Environment(
                name,
                old.band if old and old.protected else band(name, s.color, s.protected),
                (old.sources if old else 0) + 1,
                s.protected or bool(old and old.protected),
            )
        return sorted(found.values(), key=lambda e: not e.protected)

    def source(self, name: str) -> SourceRow | None:
        return next((s for s in self.sources if s.name == name), None)

    def armed_now(self, now: int) -> ArmedRow | None:
        return next((a for a in self.armed if a.until > now), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of line 1, reckoned by the screen that knows the rows."""

    broken: int = 0
    since: int | None = None
    long: int = 0
    warnings: int = 0
    unknown: int = 0
    mending: int = 0
    """Pipelines that are active while an earlier failure is not made good."""
    unrun: int = 0
    """Pipelines that never ran: nothing can be said of them."""
    total: int = 0
    beside: int = 0
    """Broken or in danger without being a pipeline (a number, a feed, a ping): not of ``total``."""
    next_name: str | None = None
    next_at: int | None = None
    oldest: int | None = None
    """Age in ms of the oldest truth on the screen."""
    of_runs: bool = False
    """Only runs were looked at: of what is owed nothing can be said, neither that it is broken nor that it is kept."""
    promised: int = 0
    """Things of which somebody declared a promise; 0: nothing is owed, and no deadline is spoken of."""
    unjudged: int = 0
    """Promises of what is no pipeline that nobody can judge now, and of which no blind source speaks."""
    danger: tuple[tuple[str, int], ...] = ()
    """Names and due times of promises at risk, soonest due first."""
    due_name: str | None = None
    due_at: int | None = None
    due_late: int | None = None
    """The promise that is due next, and its predicted lateness in ms (negative: to spare; None: not known)."""


def verdict_of(counts: Counts) -> Verdict:
    """Line 1 of the screens that do not know the pipelines one by one."""
    n = counts.known
    return Verdict(
        broken=sum(n.get(s, 0) for s in State if s.bad),
        warnings=n.get(State.WARNING, 0),
        unknown=counts.unknown,
        total=counts.total,
        of_runs=True,
    )


def trouble(ctx: Context) -> Trouble | None:
    """Why the engine that runs can record nothing, as it said itself (a full disk, a store that is made anew)."""
    return ctx.extra.get("trouble")


def hung(ctx: Context) -> bool:
    """Whether the silent engine's process is there and holds the store: no other can start before it ends or wakes."""
    return bool(ctx.extra.get("hung"))


def refresh_word(ctx: Context) -> str:
    """What ``app.refresh`` does now."""
    return "poll now" if ctx.engine_alive or hung(ctx) else "start engine"


def silent(ctx: Context, engine: EngineRow | None) -> bool:
    """Whether the banner is due: no engine holds the store, and it said goodbye or a minute has passed; or nothing can be
    recorded, so that all that is shown is what was true then.
    """
    if trouble(ctx) is not None:
        return True
    if ctx.engine_alive:
        return False
    since = silent_since(ctx, engine)
    return since is None or (engine is not None and engine.stopped is not None) or ctx.now() - since >= SILENT_MS


def silent_since(ctx: Context, engine: EngineRow | None) -> int | None:
    if (found := trouble(ctx)) is not None:
        return found.since
    if ctx.engine_silent_since is not None:
        return ctx.engine_silent_since
    return None if engine is None else engine.stopped or engine.heartbeat


def blind(sources: Sequence[SourceRow], now: int) -> list[SourceRow]:
    """Sources whose word cannot be trusted now. One that was never polled is not blind yet, only unknown."""
    return [s for s in sources if s.stale(now) and s.health != Health.NEVER]


def troubled(sources: Sequence[SourceRow], now: int) -> list[SourceRow]:
    """Sources that answer, and say themselves that a part of them is dead. Of a blind one that is not known any more."""
    return [s for s in sources if s.trouble and not s.stale(now)]


def ailing(sources: Sequence[SourceRow], now: int) -> list[SourceRow]:
    """Sources that work, with parts that cannot be read or used. Those that are blind or dead say worse of themselves."""
    return [s for s in sources if s.ails is not None and not s.trouble and not s.stale(now)]


def trouble_words(source: SourceRow, tz: str, now: int) -> str:
    """``scheduler silent since 05:12: nothing new starts``."""
    what, _, so = clean(source.trouble or "").partition(": ")
    since = f" since {words.clock(source.trouble_since, tz, now)}" if source.trouble_since is not None else ""
    return f"{what}{since}" + (f": {so}" if so else "")


def source_now(source: SourceRow | None, now: int) -> int:
    """``now`` by that source's own clock: what runs there is measured by its stamps alone. Small differences are noise."""
    skew = source.skew_ms or 0 if source is not None else 0
    return now + skew if abs(skew) >= 2_000 else now


def source_age(source: SourceRow | None, now: int) -> int | None:
    """How old at most what this source said is, in ms. While it answers in its rhythm that is one rhythm, so
    nothing ticks.
    """
    if source is None or source.last_ok is None:
        return None
    return max(now - source.last_ok, source.poll_ms * 5 // 4)


def head_data(head: Head, now: int) -> dict[str, Any]:
    """The same facts for ``--format json``."""
    return {
        "engine": None
        if head.engine is None
        else {"pid": head.engine.pid, "host": head.engine.host, "stopped": head.engine.stopped},
        "sources": len(head.sources),
        "blind": [s.name for s in blind(head.sources, now)],
        "counts": {state.name.lower(): n for state, n in head.counts.known.items()},
        "paused": head.counts.resting,
        "unknown": head.counts.unknown,
        "total": head.counts.total,
        "alerts": head.counts.alerts,
        "unacked": head.counts.unacked,
    }
