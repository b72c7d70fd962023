"""The engine's own health: can it write, does it see, what does it cost. Looked at each second, measured each ten.

Its numbers are series named ``own.*``; what happened to it is remembered in ``own_event``; its troubles are alerts of the
rule ``own``. What cannot be written because there is no room is said in the lock file, which terminals read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from adapters.model import Severity
from engine import holders
from engine.alerts.own import Own, judge
from engine.context import Context
from engine.holders import Holder
from engine.notify.message import clock_time, length
from engine.store import health as rows
from engine.store.errors import StoreDamaged, StoreError, StoreFull
from engine.store.trouble import Trouble, room
from engine.store.writer import Tx

if TYPE_CHECKING:
    from engine.alerts import Alerts
    from engine.leader import Leader
    from engine.poll.source import Poller

EVERY_S: Final = 10.0
WAL_LIMIT = 64 << 20
"""Bytes of write-ahead log beyond which somebody is holding it."""
LEAST_FREE: Final = 100 << 20
GO_ON_FREE: Final = 1 << 20
"""After a full disk nothing is promised again before so many bytes are free: small writes may fit where larger ones do not."""
JUMP_MS: Final = 5_000
BLIND_MS: Final = 10_000
TELL_MS: Final = 10 * 60_000
"""How long something that is over already stays an open alert, so that people hear of it."""
TELL_DAMAGE_MS: Final = 86_400_000
FAR_MS: Final = 86_400_000
"""A clock that is set by more may be wrong (no battery, a snapshot that came back): nothing is forgotten by it for a while."""
ABSENT_MS: Final = 30 * 86_400_000
"""So long after the engine before us (or before it) the clock we begin with is not believed at once either."""
DOUBT_S: Final = 3600.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Health:
    """``look`` before the beat's transaction, ``put`` inside it, ``written`` after it; ``refused`` whenever a write fails."""

    def __init__(
        self, ctx: Context, alerts: Alerts, pollers: Callable[[], Mapping[str, Poller]], leader: Leader | None = None
    ) -> None:
        self.ctx = ctx
        self.trouble: Trouble | None = None
        self.damaged: str | None = None
        """The store is not what was written: the engine ends, and a new one is made."""
        self.late_s = 0.0
        """The longest that the loop was late since the last measurement; the beat sets it."""
        self._alerts = alerts
        self._pollers = pollers
        self._leader = leader
        self._due = 0.0
        self._clock = (ctx.clock.now(), ctx.clock.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))
        self._cpu = (time.process_time(), time.monotonic())
        self._numbers: dict[str, tuple[float, str]] = {}
        self._measured = False
        self._jumps: list[tuple[str, int, int, str]] = []
        self._full_since: int | None = None
        self._room: tuple[int, int] | None = None
        self._wal = 0
        self._holders: list[Holder] = []
        self._held_since: dict[int, int] = {}
        self._low = False
        self._doubt_until = 0.0

    @property
    def doubts(self) -> bool:
        """Whether the clock is not believed yet: what is old by it is kept until it has stood for an hour."""
        return self.ctx.clock.monotonic() < self._doubt_until

    def _doubt(self) -> None:
        self._doubt_until = self.ctx.clock.monotonic() + DOUBT_S

    # --- life -----------------------------------------------------------------------------------------------------

    def begun(self, tx: Tx, last: rows.LastEngine | None) -> None:
        """The engine's row is ours now; ``last``: what it said before."""
        if last is not None and abs(tx.now - last.heartbeat) > ABSENT_MS:
            self._doubt()
        else:
            rows.sweep(tx)
        if last is None:
            rows.add_event(tx, "start", tx.now, None, f"engine {os.getpid()} started, the first one here")
            return
        end = last.heartbeat if last.stopped is None else last.stopped
        how = "ended without a word" if last.stopped is None else (last.words or "stopped")
        rows.add_event(tx, "start", tx.now, None, f"engine {os.getpid()} started; engine {last.pid}: {how}")
        if tx.now - end > BLIND_MS:
            rows.add_event(tx, "blind", end, tx.now, f"nothing is recorded of this time: {how}")

    def say(self, trouble: Trouble | None) -> None:
        """Into the lock file, for terminals."""
        if trouble != self.trouble:
            self.trouble = trouble
            if self._leader is not None:
                self._leader.say(trouble)

    # --- writing that fails -----------------------------------------------------------------------------------------

    def refused(self, error: StoreError) -> None:
        """A transaction could not be written. Of damage the engine makes a new store; everything else may pass by itself."""
        words = str(error)
        if isinstance(error, StoreDamaged):
            self.damaged = self.damaged or words
            return
        kind = "full" if isinstance(error, StoreFull) else "denied"
        if self.trouble is None or self.trouble.kind != kind:
            since = self.ctx.clock.now() if self.trouble is None else self.trouble.since
            self.ctx.log(f"cannot write: {words}")
            self.say(Trouble(kind, since, words))

    @property
    def refusal(self) -> str | None:
        """Why nothing that must be recorded may be begun now, as a sentence for whoever asks for it; None: it may."""
        found = self.trouble
        if found is None:
            return None
        since = clock_time(found.since, self.ctx.config.timezone)
        if found.kind != "full":
            return f"nothing can be recorded since {since}: {found.words}"
        free = room(self.ctx.places.store.parent)
        left = "" if free is None else f" ({megabytes(free[0])} free of {megabytes(free[1])})"
        return f"the disk under {self.ctx.places.store} is full{left}: nothing is recorded since {since}, and nothing is done"

    def writable(self) -> bool:
        """Inside a beat: whether what was refused before may be taken for over."""
        if self.trouble is None or self.trouble.kind != "full":
            return True
        free = room(self.ctx.places.store.parent)
        return free is None or free[0] >= GO_ON_FREE

    def written(self, tx: Tx) -> str | None:
        """The trouble is over with this transaction; what to say of it. To be called where ``writable``."""
        found = self.trouble
        if found is None:
            return None
        zone = self.ctx.config.timezone
        cause = "the disk was full" if found.kind == "full" else found.words
        words = (
            f"nothing could be written from {clock_time(found.since, zone)} to {clock_time(tx.now, zone)}: {cause};"
            " the sources were asked again"
        )
        rows.add_event(tx, "full" if found.kind == "full" else "blind", found.since, tx.now, words)
        self.ctx.log(words)
        return words

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Each second, outside of any transaction: the clock; each ten seconds the rest."""
        self._look_at_clock()
        now = self.ctx.clock.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_S
        self._measured = True
        if self.late_s * 1000 > BLIND_MS:  # stopped, starved, or a disk that answered nothing
            at = self.ctx.clock.now()
            stood = round(self.late_s * 1000)
            self._jumps.append(("blind", at - stood, at, f"the engine stood still for {length(stood)}"))
        try:
            self._measure()
        except OSError as error:  # /proc may be closed to us; what is unknown stays unknown
            self.ctx.log(f"own health: {error}")

    def _look_at_clock(self) -> None:
        clock = self.ctx.clock
        now, mono, boot = clock.now(), clock.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        was_now, was_mono, was_boot = self._clock
        self._clock = (now, mono, boot)
        jump = (now - was_now) - round((mono - was_mono) * 1000)
        slept = round((boot - was_boot - (mono - was_mono)) * 1000)
        if slept > JUMP_MS:
            self._jumps.append(("blind", was_now, now, f"this host slept for {length(slept)}"))
            jump -= slept
        if abs(jump) > FAR_MS:
            self._doubt()
        if abs(jump) > JUMP_MS:
            way = "forward" if jump > 0 else "back"
            words = f"this host's clock was set {way} by {length(abs(jump))}: times around then may not fit together"
            self._jumps.append(("clock", now, now, words))
            self.ctx.log(words)

    def _measure(self) -> None:
        store, numbers = self.ctx.store, self._numbers
        numbers.clear()
        self._room = room(self.ctx.places.store.parent)
        self._wal = store.wal_bytes()
        numbers["own.wal"] = self._wal, "bytes"
        numbers["own.store"] = store.store_bytes(), "bytes"
        if self._room is not None:
            numbers["own.disk.free"] = self._room[0], "bytes"
        with open("/proc/self/statm", encoding="ascii") as file:
            numbers["own.memory"] = int(file.read().split()[1]) * _PAGE, "bytes"
        cpu, at = time.process_time(), time.monotonic()
        was_cpu, was_at = self._cpu
        self._cpu = cpu, at
        if at - was_at > 0.5:
            numbers["own.cpu"] = 100 * (cpu - was_cpu) / (at - was_at), "%"
        numbers["own.late"] = 1000 * self.late_s, "ms"
        self.late_s = 0.0
        for name, poller in self._pollers().items():
            numbers[f"own.poll.{name}.requests"] = poller.budget.requests, "1/min"
            numbers[f"own.poll.{name}.bytes"] = poller.budget.bytes, "bytes/min"
            if poller.standing.latency_ms is not None:
                numbers[f"own.poll.{name}.ms"] = poller.standing.latency_ms, "ms"
        self._look_at_wal()

    def _look_at_wal(self) -> None:
        """A log that grows is held by a reader; when that one is gone, the log is cut."""
        if self._wal <= WAL_LIMIT:
            self._holders, self._held_since = [], {}
            return
        now = self.ctx.clock.now()
        found = [h for h in holders.holders(self.ctx.places.store) if h.pid != os.getpid()]
        self._held_since = {h.pid: self._held_since.get(h.pid, now) for h in found}
        self._holders = [h for h in found if self._held_since[h.pid] < now]  # seen twice: it does not only pass by
        try:
            if self.ctx.store.checkpoint(truncate=not self._holders):
                self._wal = self.ctx.store.wal_bytes()
                self._numbers["own.wal"] = self._wal, "bytes"
        except StoreError as error:
            self.ctx.log(f"the write-ahead log cannot be moved: {error}")

    # --- into the store ---------------------------------------------------------------------------------------------

    def put(self, tx: Tx) -> None:
        """What was looked at, and what of it people must hear."""
        if self._jumps:
            for what, at, until, words in self._jumps:
                rows.add_event(tx, what, at, until, words)
        elif not self._measured:
            return
        depth, oldest = rows.outbox_depth(tx)
        self._numbers["own.outbox"] = depth, ""
        self._numbers["own.outbox.oldest"] = 0 if oldest is None else max(tx.now - oldest, 0) / 1000, "s"
        rows.put_numbers(tx, self._numbers)
        judge(tx, self._alerts.life, self._troubles(tx), _OVER)

    def kept(self) -> None:
        """The transaction is committed: what it holds is not put again."""
        self._measured = False
        self._jumps.clear()

    def _troubles(self, tx: Tx) -> dict[str, Own]:
        found = [self._disk(tx), self._wal_held(tx)]
        found += [_happened("full", e, Severity.HIGH) for e in rows.events(tx, "full", 0) if _told(e, tx.now, TELL_MS)]
        found += [_happened("clock", e, Severity.MEDIUM) for e in rows.events(tx, "clock", tx.now - TELL_MS)]
        found += [_happened("store", e, Severity.HIGH) for e in rows.events(tx, "damaged", tx.now - TELL_DAMAGE_MS)]
        return {own.occurrence: own for own in found if own is not None}

    def _disk(self, tx: Tx) -> Own | None:
        if self._room is None:
            return None
        free, whole = self._room
        least = max(LEAST_FREE, 2 * self._wal)
        self._low = free < (least * 3 // 2 if self._low else least)
        if not self._low:
            return None
        return Own(
            "disk", Severity.HIGH, tx.now, "runs out of disk",
            now=f"{megabytes(free)} of {megabytes(whole)} are free under {self.ctx.places.store.parent}",
            impact="when it is full nothing is recorded and nothing can be done",
            do=f"free {megabytes(least * 3 // 2 - free)} or more", ends="when there is room again",
        )  # fmt: skip

    def _wal_held(self, tx: Tx) -> Own | None:
        if not self._holders or self._wal <= WAL_LIMIT:
            return None
        first = min(self._holders, key=lambda h: self._held_since[h.pid])
        since = self._held_since[first.pid]
        more = f", and {len(self._holders) - 1} more" if len(self._holders) > 1 else ""
        return Own(
            "wal", Severity.MEDIUM, since, f"is held up by a reader: pid {first.pid}",
            now=f"{first.words} has been reading since {clock_time(since, self.ctx.config.timezone)} or longer{more}",
            impact="the write-ahead log grows until it ends, and may fill the disk",
            do=first.do, ends=f"when the log is below {megabytes(WAL_LIMIT)} again",
        )  # fmt: skip


_OVER: Final = {
    "disk": "there is room again",
    "wal": "the reader is gone and the log is moved into the store",
    "full": "everything is recorded again since then",
    "clock": "the clock ran evenly for ten minutes",
    "store": "a day has passed since; what was kept is on Sources",
}


def _told(event: rows.Event, now: int, for_ms: int) -> bool:
    return event.until is not None and now - event.until < for_ms


def _happened(what: str, event: rows.Event, severity: Severity) -> Own:
    fact = {
        "full": "could not record anything",
        "clock": "noticed that the clock was set",
        "store": "had a damaged store",
    }[what]
    do = {
        "full": "look at what it would have done meanwhile: due jobs, messages, actions",
        "clock": "look at NTP; what was due around then may be told late or early",
        "store": "keep the bad file until you know why; look at the disk",
    }[what]
    return Own(
        f"{what}:{event.at}", severity, event.at, fact, now=event.words, impact="the record has a gap or a seam there", do=do,
        ends="by itself",
    )  # fmt: skip


def megabytes(size: float) -> str:
    """As people read it: ``412 MB``, ``3.1 GB``."""
    if size >= 10e9 or size < 1e9:
        return f"{size / 1e9:.0f} GB" if size >= 10e9 else f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.1f} GB"
