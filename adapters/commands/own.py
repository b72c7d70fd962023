"""Runs that are processes we start: for a driver that has a ``start`` and nobody to ask afterwards.

Each pipeline has a lock file, held by the keeper of its run through the kernel, and each run a record with pid, start time
and boot. A second one is never started while the lock is held or the process of the last one lives. A process that is gone
without an exit code is LOST, never done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.base import NotSent, Sent, Unknown
from adapters.commands import record as rec
from adapters.commands.record import Record
from adapters.commands.wire import STEP, RunTold
from adapters.errors import NotFound, Unreachable
from adapters.first_error import clean
from adapters.local.state import log_name, now_ms, write_json
from adapters.local.words import exit_words, reason
from adapters.model import LogChunk, Run, RunKind, State, StepRun, pipeline_key, run_key
from adapters.run import base_env, kill_group

GRACE_S: Final = 10.0
"""Between the SIGTERM of a stop and the SIGKILL after it."""
_BEGIN_S: Final = 5.0
_LEAVE_S: Final = 2.0
_CHUNK: Final = 1 << 20
_KEEPER: Final = str(Path(__file__).with_name("keep.py"))
_KEEPERS: Final[list[subprocess.Popen[bytes]]] = []
"""Children of this process, whichever adapter began them: they outlive it, and are reaped when they end before."""


class Own:
    """Files below ``folder``. All methods are quick file work for a thread."""

    def __init__(self, source: str, folder: Path, keep: int, warning_codes: frozenset[int]) -> None:
        self._source = source
        self._folder = folder / "own"
        self._keep = keep
        self._warning = warning_codes
        self._known: dict[Path, tuple[int, Record]] = {}

    def _place(self, pipeline: str) -> Path:
        return self._folder / log_name(pipeline, 0).removesuffix(".0.log")

    def _file(self, pipeline: str, run: str) -> Path:
        return self._place(pipeline) / f"{log_name(run, 0).removesuffix('.0.log')}.json"

    def log_path(self, pipeline: str, run: str) -> Path:
        return self._file(pipeline, run).with_suffix(".log")

    # --- looking ------------------------------------------------------------------------------------------------------

    def runs(self, pipelines: Sequence[str]) -> dict[str, RunTold]:
        _KEEPERS[:] = [k for k in _KEEPERS if k.poll() is None]  # no zombie is left behind
        found: dict[str, RunTold] = {}
        for pipeline in pipelines:
            for state in self._records(pipeline):
                run = self._run(pipeline, state)
                step = StepRun(
                    run=run.key, step=STEP, native=run.native, state=run.state, sub=run.sub, queued=run.queued,
                    started=run.started, ended=run.ended, error=run.error, exit_code=run.exit_code,
                )  # fmt: skip
                found[run.key] = RunTold(run, (step,))
        return found

    def _records(self, pipeline: str) -> Iterator[Record]:
        try:
            files = list(self._place(pipeline).glob("*.json"))
        except OSError as error:
            raise Unreachable(clean(f"{self._folder}: {error.strerror}", 200), sent=False) from None
        for file in files:
            try:
                stamp = file.stat().st_mtime_ns
            except OSError:
                continue
            known = self._known.get(file)
            if known is None or known[0] != stamp:
                state = rec.read(file)
                if state is None or not isinstance(state.get("run"), str):
                    continue
                known = self._known[file] = (stamp, state)
            yield known[1]

    def _run(self, pipeline: str, state: Record) -> Run:
        key = run_key(pipeline_key(self._source, pipeline), state["run"])
        code = state.get("code")
        ended: int | None = state.get("ended")
        error: str | None = None
        sub: str | None = None
        if isinstance(code, int) and ended is not None:
            if state.get("stopped"):
                native, now = "stopped", State.STOPPED
            elif code == 0:
                native, now = "exit 0", State.SUCCESS
            else:
                native = exit_words(code if code > 0 else 128 - code)
                now = State.WARNING if code in self._warning else State.FAILED
                if not state.get("error"):  # read once: the record is kept in memory
                    state["error"] = reason(self.log_path(pipeline, state["run"]), code if code > 0 else 128 - code)
                error = state["error"]
        elif self._keeper_lives(pipeline, state):
            native, now = ("running", State.RUNNING) if state.get("child") else ("starting", State.QUEUED)
            if state.get("stopping"):
                native, now = "stopping", State.STOPPING
        elif rec.lives(state.get("child")):
            native, now, sub = "running", State.RUNNING, "its keeper is gone: its exit code will not be known"
        else:
            native, now, sub, ended = "lost", State.LOST, "exit status unknown", self._gone(pipeline, state)
        return Run(
            key=key,
            native=native,
            state=now,
            sub=sub,
            kind=RunKind.MANUAL,
            params=state.get("params") or None,
            business_date=state.get("date"),
            queued=state.get("queued"),
            started=state.get("started"),
            ended=ended if now.terminal else None,
            error=error,
            exit_code=code if now.terminal else None,
            client_id=state.get("client_id"),
        )

    def _keeper_lives(self, pipeline: str, state: Record) -> bool:
        if state.get("keeper"):
            return rec.lives(state["keeper"])
        return self._held(pipeline) and now_ms() - int(state.get("queued") or 0) < 60_000  # it is just beginning

    def _gone(self, pipeline: str, state: Record) -> int:
        """When it was last heard of: its log's last change."""
        with contextlib.suppress(OSError):
            return self.log_path(pipeline, state["run"]).stat().st_mtime_ns // 1_000_000
        return int(state.get("started") or state.get("queued") or 0)

    def _held(self, pipeline: str) -> bool:
        fd = self._lock(pipeline, make=False)
        if fd is None:
            return (self._place(pipeline) / "lock").exists()
        os.close(fd)
        return False

    def _lock(self, pipeline: str, *, make: bool) -> int | None:
        """The lock's descriptor, taken; None where somebody holds it (or there is none and ``make`` is not said)."""
        try:
            fd = os.open(self._place(pipeline) / "lock", os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd

    def active(self, pipeline: str) -> Run | None:
        """The run of it that has not ended, if there is one."""
        mine = (self._run(pipeline, state) for state in self._records(pipeline))
        return next((run for run in mine if not run.state.terminal), None)

    def log(self, pipeline: str, run: str, cursor: str | None, *, over: bool) -> LogChunk:
        path = self.log_path(pipeline, run)
        offset = int(cursor) if cursor and cursor.isdigit() else 0
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(offset if offset <= size else 0)
                data = file.read(_CHUNK)
                offset = file.tell()
        except FileNotFoundError:
            return LogChunk(b"", "0", over, "it wrote nothing" if over else "not started yet")
        return LogChunk(data, str(offset), over and offset >= size, None, str(path))

    # --- doing ----------------------------------------------------------------------------------------------------------

    def start(
        self, pipeline: str, run: str, argv: Sequence[str], folder: Path, env: Mapping[str, str], facts: Record
    ) -> Sent | NotSent | Unknown:
        """Start it, unless it runs already. Asked twice with one run it is started once."""
        place, file = self._place(pipeline), self._file(pipeline, run)
        key = run_key(pipeline_key(self._source, pipeline), run)
        if file.exists():
            return Sent(f"run {clean(run, 60)} was started already", key)
        given = base_env(env)
        if shutil.which(argv[0] if "/" not in argv[0] else str(folder / argv[0]), path=given.get("PATH")) is None:
            return NotSent(f"cannot start {clean(argv[0], 80)!r}: no such program, or it may not be run")
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock(pipeline, make=True)
            until = time.monotonic() + _LEAVE_S
            while lock is None and time.monotonic() < until and self.active(pipeline) is None:
                time.sleep(0.02)  # the last keeper wrote its end and is about to leave
                lock = self._lock(pipeline, make=True)
        except OSError as error:
            return NotSent(clean(f"{place}: {error.strerror}", 200))
        if lock is None:
            return NotSent("it runs already: the lock of its run is held")
        try:
            if (active := self.active(pipeline)) is not None:
                return NotSent(f"it runs already: {clean(active.key, 120)} is {active.native}")
            write_json(file, {"run": run, "pipeline": pipeline, "queued": now_ms(), **facts}, mode=0o600)
            command = [
                sys.executable,
                "-I",
                "-S",
                _KEEPER,
                str(file),
                str(file.with_suffix(".log")),
                str(GRACE_S),
                str(lock),
            ]
            keeper = subprocess.Popen(
                [*command, *argv], cwd=folder, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=(lock,),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                file.unlink()
            return NotSent(clean(f"cannot start its keeper: {getattr(error, 'strerror', None) or error}", 200))
        finally:
            os.close(lock)  # the keeper holds it on
        _KEEPERS.append(keeper)
        self._prune(pipeline)
        until = time.monotonic() + _BEGIN_S
        while time.monotonic() < until:
            state = rec.read(file)
            if state and (state.get("child") or state.get("ended")):
                return Sent(f"run {clean(run, 60)} is started", key)
            if keeper.poll() is not None:
                break
            time.sleep(0.02)
        return Unknown("its keeper did not say that it began")

    def _prune(self, pipeline: str) -> None:
        """The oldest records beyond ``keep`` go, with their logs."""
        mine = sorted(self._records(pipeline), key=lambda s: int(s.get("queued") or 0), reverse=True)
        for state in mine[self._keep :]:
            file = self._file(pipeline, state["run"])
            self._known.pop(file, None)
            for one in (file, file.with_suffix(".log")):
                with contextlib.suppress(OSError):
                    one.unlink()

    def stop(self, pipeline: str, run: str) -> Sent | NotSent:
        """SIGTERM to the run's keeper, which ends its whole group; without a keeper to the group itself."""
        state = self._state(pipeline, run)
        if state.get("ended") is not None:
            return NotSent(f"run {clean(run, 60)} has ended already")
        if rec.lives(state.get("keeper")):
            with contextlib.suppress(OSError):
                os.kill(state["keeper"]["pid"], signal.SIGTERM)
            return Sent(f"SIGTERM is sent, SIGKILL follows after {GRACE_S:.0f} s")
        if rec.lives(state.get("child")):
            kill_group(state["child"]["pid"])
            return Sent("SIGKILL is sent: its keeper is gone")
        return NotSent(f"run {clean(run, 60)} does not run any more")

    def _state(self, pipeline: str, run: str) -> dict[str, Any]:
        state = rec.read(self._file(pipeline, run))
        if state is None:
            raise NotFound(
                f"no run {clean(run, 60)} of {clean(pipeline, 60)} is kept here", f"the last {self._keep} are"
            )
        return state
