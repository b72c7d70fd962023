"""One detached process per run: starts its steps in order, writes down what becomes of them, outlives the engine.

It reads spec.json, keeps state.json, and takes wishes (hold, release, stop) from the folder ``requests`` of the run;
SIGUSR1 is the doorbell. Being a child subreaper (prctl(2)), it stays the ancestor of whatever its steps leave behind
by setsid or double fork; a step has ended when its main process and all of these have ended.
Only the standard library and adapters.model: it starts in a bare interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from adapters.local import state as st
from adapters.local import tree
from adapters.local.words import duration_words, reason, signal_name
from adapters.model import State

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_EVENTS: Final = {signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_TICK_S: Final = 1.0
_CANNOT_START: Final = 127
_MAY_NOT_START: Final = 126


class Gone(Exception):
    """The run's folder was taken away: nothing can be recorded any more."""


class Supervisor:
    """Holds the run's lock for its whole life; the only writer of its state meanwhile."""

    def __init__(self, folder: Path, spec: st.Record, state: st.Record) -> None:
        self.folder = folder
        self.spec = spec
        self.state = state
        self.marks = tuple(f"{name}={spec['marks'][name]}".encode() for name in (st.MARK, st.FLOOR))
        self.main: int | None = None
        self.status: int | None = None  # exit code of the main process, once it has ended
        self.empty = True  # no child left, ours or adopted
        self.wish: dict[str, Any] | None = None  # a stop that was asked for
        self.held_at: float | None = None
        self.held_s = 0.0
        self.begun = time.monotonic()
        self.dirty = False

    # --- time and truth -------------------------------------------------------------------------------------------

    def active(self) -> float:
        """Seconds since the run began, without those on hold."""
        now = time.monotonic()
        return now - self.begun - self.held_s - (now - self.held_at if self.held_at is not None else 0.0)

    def save(self) -> None:
        """Write the state. A full disk must not end the job: it is tried again until it succeeds."""
        try:
            st.write_state(self.folder, self.state)
            self.dirty = False
        except FileNotFoundError:
            raise Gone from None
        except OSError as error:
            self.dirty = True
            print(f"state not written: {error.strerror}", file=sys.stderr, flush=True)

    def find(self) -> list[int]:
        return tree.find_run(os.getpid(), self.marks)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.empty = True
                return
            if pid == 0:
                self.empty = False
                return
            if pid == self.main:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code

    def pump(self, wait_s: float = _TICK_S) -> None:
        """Sleep until something happens, at most ``wait_s``; reap, and hear wishes."""
        found = signal.sigtimedwait(_EVENTS, max(0.0, min(wait_s, _TICK_S)))
        while found is not None:
            if found.si_signo == signal.SIGTERM and self.wish is None:
                self.wish = {"verb": "stop", "who": None, "sub": "this host told it to end (SIGTERM)"}
            found = signal.sigtimedwait(_EVENTS, 0)
        self.reap()
        self.hear()
        if self.dirty:
            self.save()

    def pause(self, seconds: float) -> None:
        signal.sigtimedwait({signal.SIGCHLD}, seconds)
        self.reap()

    # --- wishes ---------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        box = self.folder / "requests"
        try:
            names = sorted(os.listdir(box))
        except FileNotFoundError:
            if not self.folder.exists():
                raise Gone from None
            return
        for name in names:
            if not name.endswith(".json"):
                continue
            wish = st.read_json(box / name) or {}
            verb = wish.get("verb")
            if verb == "hold" and self.held_at is None and self.wish is None:
                self.hold(wish)
            elif verb == "release" and self.held_at is not None:
                self.release()
            elif verb == "stop":
                self.wish = self.wish or wish
                continue  # it lies there until the state says STOPPING: at no moment is it lost
            (box / name).unlink(missing_ok=True)

    def hold(self, wish: dict[str, Any]) -> None:
        stood = tree.freeze(self.find)
        self.held_at = time.monotonic()
        before = {k: self.state.get(k) for k in ("state", "native", "sub")}
        self.state.update(
            state=State.HELD, native="held", held_since=st.now_ms(), held_by=wish.get("who"), before=before,
            sub=f"{len(stood)} process{'es' * (len(stood) != 1)} stand{'s' * (len(stood) == 1)} still",
        )  # fmt: skip
        self.save()

    def release(self) -> None:
        if self.held_at is None:
            return
        self.held_s += time.monotonic() - self.held_at
        self.held_at = None
        self.state.update(self.state.pop("before", None) or {})
        self.state.pop("held_since", None)
        self.state["held_ms"] = round(self.held_s * 1000)
        tree.thaw(self.find)
        self.save()

    def end_tree(self) -> str | None:
        """End every process of the run; a clause about what could not be ended."""
        if self.held_at is not None:
            self.held_s += time.monotonic() - self.held_at
            self.held_at = None
            self.state.pop("before", None)
            self.state.pop("held_since", None)
        left = tree.end(self.find, self.pause)
        self.reap()
        return f"could not be ended: process {' '.join(map(str, left))}" if left else None

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        me = os.getpid()
        self.state.update(
            state=State.RUNNING, native="running", sub=None, started=st.now_ms(),
            supervisor=[me, tree.start_time(me)],
        )  # fmt: skip
        self.save()  # from here on a second supervisor must not begin it again
        self.hear()
        outcome = State.SUCCESS
        for spec in self.spec["steps"]:
            if spec.get("done"):
                continue
            result = self.step(spec)
            if result == State.WARNING:
                outcome = State.WARNING
            elif result != State.SUCCESS:
                outcome = result
                break
        self.finish(outcome)

    def step(self, spec: dict[str, Any]) -> State:
        """All tries of one step; its outcome."""
        attempt, tries = 1, int(spec["retries"]) + 1
        while True:
            while self.held_at is not None and self.wish is None:
                self.pump()  # held between two steps or tries
            if self.wish is not None:
                return self.stopped(None)
            record = self.record(spec["name"], attempt)
            result, again = self.attempt(spec, record, last=attempt >= tries)
            if result.finished or not again:
                return result
            attempt += 1
            ready = st.now_ms()
            self.state["steps"].insert(
                self.state["steps"].index(record) + 1,
                {"name": spec["name"], "try": attempt, "state": State.QUEUED, "native": "waiting to retry",
                 "order": record["order"], "queued": ready},
            )  # fmt: skip
            delay = int(spec["retry_delay_ms"]) / 1000
            self.state.update(
                state=State.RETRYING, native="waiting to retry",
                sub=f"{spec['name']}: try {attempt} of {tries} after {duration_words(spec['retry_delay_ms'])}",
            )  # fmt: skip
            self.save()
            until = self.active() + delay
            while self.active() < until and self.wish is None:
                self.pump(until - self.active() if self.held_at is None else _TICK_S)
                if self.late():
                    return self.timed_out(None, None)

    def record(self, name: str, attempt: int) -> dict[str, Any]:
        for found in self.state["steps"]:
            if found["name"] == name and found["try"] == attempt:
                return found
        raise KeyError(name)

    def late(self) -> bool:
        limit = self.spec.get("timeout_ms")
        return limit is not None and self.active() * 1000 >= limit

    def attempt(self, spec: dict[str, Any], record: dict[str, Any], last: bool) -> tuple[State, bool]:
        """One try: (its outcome, whether another may follow)."""
        log = self.folder / st.log_name(spec["name"], record["try"])
        record.update(state=State.RUNNING, native="running", started=st.now_ms())
        if record.get("queued") is None:
            record["queued"] = record["started"]
        problem = self.spawn(spec, record, log)
        self.state.update(state=State.RUNNING, native="running", sub=None)
        if problem is not None:
            code, words = problem
            record.update(state=State.FAILED, native="failed", ended=st.now_ms(), exit_code=code, error=words)
            return State.FAILED, False
        self.save()
        began, limit, told = self.active(), spec.get("timeout_ms"), False
        while True:
            deadlines = [_TICK_S]
            if self.held_at is None:
                if limit is not None:
                    deadlines.append(began + limit / 1000 - self.active())
                if self.spec.get("timeout_ms") is not None:
                    deadlines.append(self.spec["timeout_ms"] / 1000 - self.active())
            self.pump(min(deadlines))
            if self.wish is not None:
                return self.stopped(record), False
            if self.status is not None and self.empty:
                break
            if self.late():
                return self.timed_out(record, None), False
            if limit is not None and (self.active() - began) * 1000 >= limit:
                return self.timed_out(record, limit), not last
            if self.status is not None and not told:
                told = True
                self.state["sub"] = f"{spec['name']}: main process ended with exit {self.status}, processes of it go on"
                self.save()
        code = self.status
        assert code is not None
        record.update(ended=st.now_ms(), exit_code=code)
        if code == 0:
            record.update(state=State.SUCCESS, native="success")
        elif code in spec.get("warning_codes", ()):
            record.update(state=State.WARNING, native="warning", error=reason(log, code))
        else:
            record.update(state=State.FAILED, native="failed", error=reason(log, code))
            if code > 128 and (name := signal_name(code - 128)):
                record["sub"] = f"killed by {name}"
            return State.FAILED, not last
        return State(record["state"]), False

    def spawn(self, spec: dict[str, Any], record: dict[str, Any], log: Path) -> tuple[int, str] | None:
        """Start the step's main process; (exit code, sentence) where that cannot be done."""
        env = {name: os.environ[name] for name in (*st.BASE_ENV, *self.spec["pass_env"]) if name in os.environ}
        env.setdefault("PATH", st.DEFAULT_PATH)
        env.update(self.spec["env"])
        env.update(spec.get("env") or {})
        env.update(self.spec["marks"])
        env["WATCHFLOOR_STEP"] = spec["name"]
        argv, cwd = list(spec["argv"]), self.spec["cwd"]
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self.status, self.main = None, None
        problem: tuple[int, str] | None = None
        try:
            program = argv[0] if "/" in argv[0] else _which(argv[0], env["PATH"])
            if program is None:
                problem = _CANNOT_START, f"cannot start {argv[0]!r}: no such program on PATH {env['PATH']}"
            elif not os.path.isdir(cwd):
                problem = _CANNOT_START, f"cannot start {argv[0]!r}: its folder {cwd} does not exist"
            else:
                child = subprocess.Popen(
                    argv, executable=program, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    close_fds=True, process_group=0, preexec_fn=_unblock,  # noqa: PLW1509 - one thread only
                )  # fmt: skip
                self.main, self.empty = child.pid, False
                child.returncode = 0  # we reap it ourselves: Popen must never wait for this pid
                record["child"] = [child.pid, tree.start_time(child.pid)]
                self.state["child"] = record["child"]
        except FileNotFoundError:
            problem = (
                _CANNOT_START,
                f"cannot start {argv[0]!r}: no such program in {cwd}, or the interpreter that it names is missing",
            )
        except PermissionError:
            problem = _MAY_NOT_START, f"cannot start {argv[0]!r}: it may not be executed"
        except (OSError, ValueError) as error:
            problem = _MAY_NOT_START, f"cannot start {argv[0]!r}: {getattr(error, 'strerror', None) or error}"
        finally:
            if problem is not None:
                os.write(out, f"watchfloor: {problem[1]}\n".encode(errors="replace"))
            os.close(out)
        return problem

    # --- ends -----------------------------------------------------------------------------------------------------

    def stopped(self, record: dict[str, Any] | None) -> State:
        wish = self.wish or {}
        self.state.update(state=State.STOPPING, native="stopping", sub=wish.get("sub"), stopped_by=wish.get("who"))
        self.save()
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder / "requests"):
                (self.folder / "requests" / name).unlink(missing_ok=True)
        trouble = self.end_tree()
        self.state["error"] = trouble
        if record is not None:
            record.update(state=State.STOPPED, native="stopped", ended=st.now_ms(), exit_code=self.status)
        return State.STOPPED

    def timed_out(self, record: dict[str, Any] | None, step_limit: int | None) -> State:
        limit = step_limit if step_limit is not None else self.spec["timeout_ms"]
        trouble = self.end_tree()
        words = f"timed out after {duration_words(limit)}" + (
            f" for the step {record['name']}" if step_limit and record else ""
        )
        if self.held_s >= 1:
            words += f", not counting {duration_words(round(self.held_s * 1000))} on hold"
        if trouble:
            words += f"; {trouble}"
        if record is None:
            self.state["error"] = words
        else:
            record.update(
                state=State.TIMED_OUT, native="timed out", ended=st.now_ms(), exit_code=self.status, error=words
            )
        return State.TIMED_OUT

    def finish(self, outcome: State) -> None:
        deciding: dict[str, Any] | None = None
        for record in self.state["steps"]:
            state = State(record["state"])
            if state == State.QUEUED:
                record.update(state=State.SKIPPED, native="skipped", sub="not reached", queued=None)
            elif state == outcome or deciding is None:
                deciding = record
        ended = st.now_ms()
        self.state.update(
            state=outcome, native=outcome.name.lower().replace("_", " "), ended=ended,
            sub=self.state.get("sub") if outcome == State.STOPPED else None,
        )  # fmt: skip
        if deciding is not None and outcome != State.STOPPED:
            self.state["exit_code"] = deciding.get("exit_code")
            if outcome != State.SUCCESS and not self.state.get("error"):
                self.state["error"] = f"{deciding['name']}: {deciding.get('error') or 'failed'}"
        for passing in ("child", "before", "held_since"):
            self.state.pop(passing, None)
        self.save()
        while self.dirty:  # a full disk: the truth is told as soon as there is room
            time.sleep(1)
            self.save()


def _which(name: str, path: str) -> str | None:
    for folder in path.split(os.pathsep):
        full = os.path.join(folder or ".", name)
        if os.path.isfile(full) and os.access(full, os.X_OK):
            return full
    return None


def _unblock() -> None:
    """In the child, before exec: it must not inherit our blocked signals."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _detach() -> None:
    """Own session, no descriptor but 0-2, cwd /: nothing of the engine is kept open or locked."""
    os.chdir("/")
    try:
        os.setsid()
    except PermissionError:
        pass  # a session leader already
    os.closerange(3, max(256, max(map(int, os.listdir("/proc/self/fd"))) + 1))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        print(
            "not a subreaper: processes that leave the tree are found by their mark only", file=sys.stderr, flush=True
        )


def main(args: list[str]) -> int:
    """Run what lies in the folder ``args[0]``; 0 also when nothing is to be done (another one has it, or it ended)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _EVENTS)
    folder = Path(args[0])
    _detach()
    if st.acquire(folder, wait_s=5.0) is None:
        return 0
    spec, state = st.read_json(folder / "spec.json"), st.read_state(folder)
    if spec is None or state is None:
        print(f"{folder}: spec.json or state.json is missing or damaged", file=sys.stderr)
        return 1
    if state["state"] != State.QUEUED or state.get("supervisor"):
        return 0
    job = Supervisor(folder, spec, state)
    try:
        job.run()
    except Gone:
        tree.end(job.find, job.pause)
    return 0
