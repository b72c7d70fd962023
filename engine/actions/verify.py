"""Whether the world shows the effect. An answer of 200 proves nothing: only reading does.

Asks the adapter's ``reconcile`` (reads only) again and again. Nothing in here sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from adapters.base import Done, NotDone, Prepared, Reconciled, Several
from adapters.errors import AdapterError
from adapters.model import ActionState, unquote_id
from engine.actions.target import timed
from engine.actions.words import clean, lasted
from engine.context import Context

ASK_S: Final = 10.0
DELAYS: Final = (0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 5.0, 5.0)
"""Seconds before each reading; after them every 10 s, and once patience is over ever slower."""
SLOW: Final = (30.0, 60.0, 120.0, 300.0)
BELIEVE: Final = 3
"""So many readings in a row must miss the effect of a lost call before it is said not to have happened."""

Said = Callable[[str], Awaitable[None]]
"""Told the words of a reading that proved nothing (yet)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it came out. ``asked``: readings that were answered. ``open``: nobody knows yet, asking goes on slowly."""

    state: ActionState
    words: str
    run: str | None = None
    asked: int = 0
    open: bool = False


@dataclass(slots=True)
class _Seen:
    """What the readings said so far."""

    done: int = 0
    missing: int = 0
    begun: bool = False
    asked: int = 0
    words: str = ""
    several: bool = False
    unread: str = ""

    def take(self, answer: Reconciled) -> None:
        self.asked += 1
        self.unread = ""
        self.words = clean(answer.words, 300)
        self.several = isinstance(answer, Several)
        self.done = self.done + 1 if isinstance(answer, Done) else 0
        self.begun = isinstance(answer, NotDone) and answer.begun
        self.missing = self.missing + 1 if isinstance(answer, NotDone) and not answer.begun else 0
        if isinstance(answer, Several):
            self.words = _candidates(answer)


def _candidates(answer: Several) -> str:
    if not answer.runs:  # not of runs: its words name them
        return f"{clean(answer.words, 250)}; which one only a person can tell"
    names = ", ".join(clean(unquote_id(run.partition("/")[2] or run), 80) for run in answer.runs[:5])
    if len(answer.runs) == 1:
        return f"{clean(answer.words, 200)}: is it {names}? only a person can tell"
    return f"{clean(answer.words, 200)}: one of {names}, which only a person can tell"


def delays() -> Iterator[float]:
    yield from DELAYS
    while True:
        yield 10.0


def slow_delays() -> Iterator[float]:
    yield from SLOW
    while True:
        yield SLOW[-1]


async def _read(ctx: Context, source: str, prepared: Prepared, seen: _Seen) -> Reconciled | None:
    """One reading, added to what was seen; None where the source could not be asked."""
    adapter = ctx.adapters.get(source)
    if adapter is None:
        seen.unread = f"source {source} is not configured any more"
        return None
    try:
        answer = await timed(adapter.reconcile(prepared), ASK_S)
    except AdapterError as error:
        seen.unread = clean(error.what, 200)
        return None
    except Exception as error:  # a bug in an adapter must not leave an action open without a word
        ctx.log(f"{source}: reconcile stumbled: {type(error).__name__}: {error}")
        seen.unread = f"its adapter stumbled ({type(error).__name__})"
        return None
    seen.take(answer)
    return answer


async def verify(ctx: Context, source: str, prepared: Prepared, sent: str, patience_s: float, say: Said) -> Outcome:
    """After the system took a call: DONE after ``steady`` readings in a row, FAILED_EXECUTED where it cannot come any
    more, VERIFY_TIMEOUT with what was seen last when patience is over."""
    clock = ctx.clock
    began = clock.monotonic()
    seen = _Seen()
    for delay in delays():
        left = patience_s - (clock.monotonic() - began)
        await clock.sleep(1.0 if seen.done else max(0.0, min(delay, left)))
        answer = await _read(ctx, source, prepared, seen)
        if isinstance(answer, Done) and seen.done >= max(1, prepared.steady):
            return Outcome(ActionState.DONE, seen.words, answer.run, seen.asked)
        if isinstance(answer, NotDone) and answer.final:
            return Outcome(ActionState.FAILED_EXECUTED, f"{sent}, but {seen.words}", None, seen.asked)
        took = clock.monotonic() - began
        if took >= patience_s and not seen.done:
            return Outcome(ActionState.VERIFY_TIMEOUT, _unproved(sent, seen, took), None, seen.asked)
        await say(f"{sent}, {seen.words}" if not seen.unread else f"{sent}, cannot be read: {seen.unread}")
    raise AssertionError("delays never end")


def _unproved(sent: str, seen: _Seen, took: float) -> str:
    """Honest words: what was taken, what was seen instead of the effect, for how long."""
    what = f"cannot be read: {seen.unread}" if seen.unread else seen.words
    return f"{sent}, {what} · not proved within {lasted(int(took * 1000))}"


async def reconcile(
    ctx: Context, source: str, prepared: Prepared, lost: str, patience_s: float, say: Said, slow: bool = False
) -> Outcome:
    """After a lost answer: find out by asking, never by sending again.

    ``slow``: patience was over once already; asks rarely, for as long as it takes. An outcome that is ``open`` is still
    UNKNOWN: the source could not be asked, or more than one run may be ours.
    """
    clock = ctx.clock
    began = clock.monotonic()
    seen = _Seen()
    for delay in slow_delays() if slow else delays():
        left = patience_s - (clock.monotonic() - began)
        await clock.sleep(delay if slow else 1.0 if seen.done or left <= 0 else min(delay, left))
        answer = await _read(ctx, source, prepared, seen)
        if isinstance(answer, Done) and seen.done >= max(1, prepared.steady):
            return Outcome(ActionState.RECONCILED_DONE, f"it did happen: {seen.words}", answer.run, seen.asked)
        if isinstance(answer, NotDone) and answer.final:
            return Outcome(ActionState.RECONCILED_NOT_DONE, f"it did not happen: {seen.words}", None, seen.asked)
        took = clock.monotonic() - began
        if took >= patience_s and not seen.done:
            if seen.begun and not seen.unread:
                return Outcome(ActionState.RECONCILED_DONE, f"it did arrive: {seen.words}", None, seen.asked)
            if seen.missing >= BELIEVE and not seen.unread:
                words = f"it did not happen: {seen.words} · asked {seen.asked} times in {lasted(int(took * 1000))}"
                return Outcome(ActionState.RECONCILED_NOT_DONE, words, None, seen.asked)
            if not slow and (seen.several or seen.unread or took >= 2 * patience_s):
                return Outcome(ActionState.UNKNOWN, _open(lost, seen), None, seen.asked, open=True)
        await say(_open(lost, seen))
    raise AssertionError("delays never end")


def _open(lost: str, seen: _Seen) -> str:
    return f"{lost}; {f'asking failed: {seen.unread}' if seen.unread else seen.words}"
