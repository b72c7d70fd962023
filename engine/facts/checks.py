"""``done_when``: what must be true before a success counts. Opened when a run ends well, asked until it passes.

A check that passes the first time it is asked is taken to have been true when the run ended: that we looked later says
nothing about the run. A file counts from its own time, a beat from when it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from adapters import run
from adapters.apart import Apart, Hangs
from adapters.first_error import clean
from adapters.globs import shown
from adapters.local.jobs import fill
from adapters.local.words import duration_words, exit_words
from adapters.model import unquote_id
from engine.config.model import Check
from engine.context import Context
from engine.facts.outputs import Outputs, series_said
from engine.facts.said import Said
from engine.store import facts as rows
from engine.store import outputs as output_rows
from engine.store.errors import StoreError
from engine.store.facts import FAILED, PASSED, WAITING, DueCheck
from engine.store.outputs import DueOutput
from engine.store.packed import bdate_text
from engine.store.runs import RunChange
from engine.store.writer import Tx

AT_ONCE: Final = 2
AGAIN_S: Final = (30, 60, 120, 300)
"""Between one asking and the next; the last one from then on."""
GIVE_UP_MS: Final = 24 * 3_600_000
WORDS_MAX: Final = 200
STAT_S: Final = 5.0
CLOCKS_MS: Final = 1_000
"""A file may be older than the run by as much: file systems and sources tell whole seconds."""
_TAIL: Final = 8_192


class Told(Protocol):
    """What is said to the judge."""

    def on_checked(self, tx: Tx, run_key: str) -> None: ...


class Checks:
    """``on_runs`` with what each poll changed, before the judge hears of it; ``run`` for ever; ``poke`` when one may pass now."""

    def __init__(self, ctx: Context, judge: Told) -> None:
        self._ctx = ctx
        self._judge = judge
        self._tries: dict[tuple[int, int, str], int] = {}
        self._busy: dict[tuple[int, int, str], asyncio.Task[None]] = {}
        self._open = False
        self._version = -1
        self._awake = asyncio.Event()
        self._apart = Apart()
        self.outputs = Outputs(ctx)
        self._asking: dict[tuple[int, int, str], asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """A check is being asked, or waits to be asked again."""
        return bool(self._busy) or self._open or bool(self._asking)

    def poke(self) -> None:
        """Look at once what is to be asked."""
        self._awake.set()

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """Runs that ended well are to be verified; those that go on again are not any more. History is not checked."""
        wanted: Mapping[int, tuple[str, ...]] | None = None
        if self.outputs.on_runs(tx, changes):
            self._awake.set()
        for change in changes:
            if change.new_attempt:
                rows.put_off(tx, change.run_id, change.run.attempt)
            if change.backfilled or change.run.generated or not change.after.finished or change.before == change.after:
                continue
            if (change.run.ended or tx.now) < tx.now - GIVE_UP_MS:
                continue
            if wanted is None:
                wanted = rows.done_when(tx, (c.pipeline_id for c in changes if c.after.finished))
            names = wanted.get(change.pipeline_id)
            if names and rows.open_checks(tx, change.run_id, change.run.attempt, names):
                self._awake.set()

    async def run(self) -> None:
        """Ask for ever. What an earlier engine left open is asked on."""
        try:
            while True:
                try:
                    wait_s = self.step()
                except StoreError as error:
                    self._ctx.log(f"checks: {error}")
                    wait_s = 10.0
                with contextlib.suppress(TimeoutError):
                    # wait_for of Python 3.11 would lose a cancel that comes with the event
                    async with asyncio.timeout(wait_s):
                        await self._awake.wait()
                self._awake.clear()
        finally:
            await self.close()

    async def close(self) -> None:
        """What is being asked ends, with its processes."""
        tasks = [*self._busy.values(), *self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def step(self) -> float:
        """Begin what is due, as far as there is room; seconds until the next look."""
        with self._ctx.store.transaction() as tx:
            version = self._wanted_since(tx)
            due = [one for one in rows.due_checks(tx, tx.now) if one.spot not in self._busy]
            next_at, now = rows.next_check(tx), tx.now
            if next_at is not None and next_at <= now and not due and not self._busy:
                rows.forget_lost_checks(tx)
                next_at = rows.next_check(tx)
            self.outputs.look_at_steps(tx)
            outputs = [one for one in output_rows.due(tx) if one.run.spot not in self._asking]
            after = output_rows.next_due(tx)
        self._version, self._open = version, next_at is not None
        for output in outputs[: max(0, AT_ONCE - len(self._asking))]:
            self._asking[output.run.spot] = asyncio.create_task(self._output(output), name=f"output {output.run.name}")
        if after is not None and (next_at is None or after < next_at):
            next_at = after
        for one in due[: max(0, AT_ONCE - len(self._busy))]:
            self._busy[one.spot] = asyncio.create_task(self._one(one), name=f"check {one.name}")
        if self._busy or due or self._asking:
            return 5.0  # an end wakes us
        return 30.0 if next_at is None else min(30.0, max(0.05, (next_at - now) / 1000))

    def _wanted_since(self, tx: Tx) -> int:
        """A pipeline may have got a check, by a reload, after its run ended: what stands there now is verified too."""
        version = rows.pipeline_version(tx)
        if version == self._version:
            return version
        for run_id, attempt, names in rows.finished_now(tx, tx.now - GIVE_UP_MS):
            rows.open_checks(tx, run_id, attempt, names)
        return version

    async def _one(self, one: DueCheck) -> None:
        try:
            check = next((c for c in self._ctx.config.checks if c.name == one.name), None)
            said = None
            if not one.run_state.finished:
                said = Said(FAILED, "the run is not finished after all")
            elif check is not None and one.name in one.wanted:
                said = await self.ask(check, self._since(check, one))
            self._keep(one, said)
        except StoreError as error:
            self._ctx.log(f"check {one.name}: {error}")
            await self._ctx.clock.sleep(10)  # asked again when there is room on the disk
        except Exception as error:
            self._ctx.log(f"check {one.name} of {one.run_key}: {''.join(traceback.format_exception(error))}")
            await self._ctx.clock.sleep(10)
        finally:
            self._busy.pop(one.spot, None)
            self._awake.set()

    async def _output(self, one: DueOutput) -> None:
        try:
            await self.outputs.one(one, self)
        except StoreError as error:
            self._ctx.log(f"output {one.run.name}: {error}")
            await self._ctx.clock.sleep(10)
        except Exception as error:
            self._ctx.log(f"output {one.run.name} of {one.run.run_key}: {''.join(traceback.format_exception(error))}")
            await self._ctx.clock.sleep(10)
        finally:
            self._asking.pop(one.run.spot, None)
            self._awake.set()

    def _keep(self, one: DueCheck, said: Said | None) -> None:
        """Write down what it said; when it was the last one that had to pass, the judge is told. None: it is not wanted any more."""
        with self._ctx.store.transaction() as tx:
            if said is None:
                rows.drop_check(tx, one.spot)
            else:
                tries = self._tries.get(one.spot, 0)
                first = tries == 0 and one.state == WAITING and not one.words
                at = tx.now if said.state != PASSED else said.at or (one.ended if first else tx.now)
                next_at, words = None, said.words
                if said.state != PASSED:
                    next_at = tx.now + AGAIN_S[min(tries, len(AGAIN_S) - 1)] * 1000
                    if not one.run_state.finished:
                        next_at = None
                    elif next_at > one.ended + GIVE_UP_MS:
                        next_at, words = None, f"not asked any more after 24h: {words}"[:WORDS_MAX]
                    self._tries[one.spot] = tries + 1
                if next_at is None:
                    self._tries.pop(one.spot, None)
                if not rows.put_check(tx, one.spot, said.state, at, words, next_at):
                    return
            if (said is None or said.state == PASSED) and not rows.checks_left(tx, one.run_id, one.attempt):
                self._judge.on_checked(tx, one.run_key)

    # --- asking ---------------------------------------------------------------------------------------------------

    def _since(self, check: Check, one: DueCheck) -> DueCheck:
        """Of a check that is bound to a step: since that began, where it is known."""
        if check.step is None:
            return one
        with self._ctx.store.transaction() as tx:
            began = output_rows.step_began(tx, one.run_id, check.step)
        return one if began is None else replace(one, started=began)

    async def ask(self, check: Check, one: DueCheck) -> Said:
        """Ask one check about one run; raises nothing that a check can cause."""
        try:
            if check.run:
                if self._ctx.read_only:
                    return Said(WAITING, "not asked: this engine is read-only and runs no command")
                argv = filled(check.run, one)
                return await run_command(argv, self._ctx.config.folder, check.timeout_ms)
            if check.file is not None:
                (path,) = filled((check.file,), one)
                return await self._file(
                    os.path.join(self._ctx.config.folder, os.path.expanduser(path)), check.min_size, one
                )
            if check.series is not None:
                with self._ctx.store.transaction() as tx:
                    return series_said(tx, check, one.started)
        except ValueError as error:
            return Said(FAILED, clean(str(error), WORDS_MAX))
        return self._beat(check, one)

    def _beat(self, check: Check, one: DueCheck) -> Said:
        with self._ctx.store.transaction() as tx:
            beat = rows.last_beat(tx, check.name, one.ended)
        if beat is None:
            return Said(WAITING, f"waits for: watchfloor ping {check.name} ok")
        at, what, words = beat
        told = clean(f"ping {what}" + (f": {words}" if words else ""), WORDS_MAX)
        return Said(PASSED, told, at) if what == "ok" else Said(FAILED, told)

    async def _file(self, path: str, least: int, one: DueCheck) -> Said:
        """Its mount may hang: looked at apart."""
        looked = await self._apart(path, lambda: look_at(path, least, one.started, self._ctx.clock.now()), STAT_S)
        if isinstance(looked, Hangs):
            return Said(FAILED, clean(f"{shown(path, 120)} does not answer: a mount whose server is gone?", WORDS_MAX))
        return looked


def filled(words: Sequence[str], one: DueCheck) -> list[str]:
    """``{business_date}`` and ``{run}`` filled in as in jobs; ValueError in words where the run has no date."""
    if one.bdate is None and any("{business_date}" in word for word in words):
        raise ValueError("the run has no business date, which the check asks for")
    found = fill(words, bdate_text(one.bdate) or "", unquote_id(one.run), {})
    if any("\0" in word for word in found):
        raise ValueError("the run's id holds a NUL character, which no argument can")
    return found


def look_at(path: str, least: int, began: int, now: int) -> Said:
    """Whether a file was written since ``began`` and is large enough. Blocks as long as its file system does."""
    name = shown(path, 120)
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Said(FAILED, f"{name} is not there")
    except PermissionError:
        return Said(FAILED, f"{name} may not be looked at: permission denied")
    except (OSError, ValueError) as error:
        return Said(
            FAILED, clean(f"{name} cannot be looked at: {getattr(error, 'strerror', None) or error}", WORDS_MAX)
        )
    mtime = info.st_mtime_ns // 1_000_000
    if not stat.S_ISREG(info.st_mode):
        return Said(FAILED, f"{name} is no file")
    if mtime < began - CLOCKS_MS:
        return Said(FAILED, f"{name} is older than the run: written {duration_words(began - mtime)} before it began")
    if info.st_size < least:
        return Said(FAILED, f"{name} has {info.st_size} bytes, expected {least} or more")
    return Said(PASSED, f"{name} is there, {info.st_size} byte{'s' * (info.st_size != 1)}", min(mtime, now))


# --- a command ------------------------------------------------------------------------------------------------------


async def run_command(argv: Sequence[str], folder: Path, timeout_ms: int) -> Said:
    """Run it without a shell, in a process group of its own that does not outlive it; exit 0 passes.

    It sees what local jobs see of the engine's variables. Said: how it ended, and the last line that it wrote.
    """
    try:
        ran = await run.run(argv, folder, timeout_ms / 1000)
    except run.CannotStart as error:
        return Said(FAILED, clean(f"cannot start {argv[0]!a}: {error}", WORDS_MAX))
    said = _last_line(ran.out[-_TAIL:])
    if ran.flooded:
        return Said(FAILED, clean(f"ended: it wrote more than {run.OUTPUT_MAX >> 20} MB; {said}", WORDS_MAX))
    if ran.code is None:
        limit = f"timed out after {duration_words(timeout_ms)}"
        return Said(FAILED, clean(f"{limit}: {said}" if said else limit, WORDS_MAX))
    if ran.code == 0:
        return Said(PASSED, clean(said or "exit 0", WORDS_MAX))
    how = exit_words(ran.code if ran.code > 0 else 128 - ran.code)
    return Said(FAILED, clean(f"{how}: {said}" if said else how, WORDS_MAX))


def _last_line(data: bytes) -> str:
    lines = [clean(line, WORDS_MAX) for line in data.decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
