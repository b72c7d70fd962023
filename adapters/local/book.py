"""The runs of one floor: made once, found again, followed, adopted when their supervisor died, and forgotten in time.

``runs/<job>@<run>/`` holds a run's files; ``active/<job>@<run>`` is an empty file as long as a run needs attention, so
that a start and each look cost what is active, never what is history. All calls are quick file work without a loop;
the adapter runs them in a thread, one at a time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from adapters.local import state as st
from adapters.local import tree
from adapters.local.jobs import run_name
from adapters.local.words import clean
from adapters.model import State

KEEP: Final = 200
_SPAWN_AGAIN_S: Final = 10.0
_SPAWN_TRIES: Final = 3
_LAUNCH: Final = Path(__file__).with_name("launch.py")
LOST_WORDS: Final = "exit status unknown"


class Book:
    """One per adapter. ``changed`` remembers in which order runs changed, for cursors of this process."""

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self.folder = folder
        self.floor = str(folder.resolve())
        self.keep = keep
        self.active: dict[str, st.Record] = {}
        self.changed: OrderedDict[str, int] = OrderedDict()
        self.seq = 0
        self.settled: list[st.Record] = []  # newly terminal runs that the planner has not seen
        self.stray: dict[str, list[int]] = {}  # adopted runs: their processes when last looked
        self._known: dict[str, set[str]] = {}  # job part of the name → names
        self._seen: dict[str, tuple[int, int]] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._spawned: dict[str, tuple[int, float, int]] = {}  # pid, when, how often
        self._trouble: dict[str, str] = {}  # why a supervisor could not even be started
        self._children: set[int] = set()
        for name in ("runs", "active", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o750)

    # --- making ---------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.folder / "runs" / name

    def create(self, state: st.Record, spec: st.Record | None) -> bool:
        """Make a run, whole, exactly once; False if a run of this name is already there.

        Renaming a folder onto one that is not empty fails: of two that make the same run one wins, also across
        processes. Nothing is started here.
        """
        name = run_name(state["job"], state["run"])
        final = self.path(name)
        if final.exists():
            return False
        scratch = self.folder / "tmp" / f"{secrets.token_hex(8)}"
        scratch.mkdir(mode=0o750)
        try:
            durable = spec is not None
            if spec is not None:
                (scratch / "requests").mkdir(mode=0o750)
                st.write_json(scratch / "spec.json", spec, durable, mode=0o600)  # it holds declared environment
            st.write_json(scratch / "state.json", state, durable)
            (scratch / "lock").touch(mode=0o640)
            (self.folder / "active" / name).touch(mode=0o640)
            try:
                os.rename(scratch, final)
            except OSError:
                if final.exists():
                    return False
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._note(name, state)
        return True

    def start(self, name: str) -> None:
        """Start the run's supervisor, detached. It does nothing if another one has the run or the run has begun."""
        folder = self.path(name)
        spec = st.read_json(folder / "spec.json") or {}
        env = {key: os.environ[key] for key in (*st.BASE_ENV, *spec.get("pass_env", ())) if key in os.environ}
        env.setdefault("PATH", st.DEFAULT_PATH)
        opened: list[int] = []
        pid = 0
        try:
            opened.append(null := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            opened.append(err := os.open(folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", str(_LAUNCH), str(folder)],
                env,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, err, 2),
                ],
                setsigmask=[],
            )
            self._children.add(pid)
        except OSError as error:  # no more processes or descriptors: the run is there, and care() tries again
            self._trouble[name] = f"{error.filename or sys.executable}: {error.strerror}"
        finally:
            for fd in opened:
                os.close(fd)
        self._spawned[name] = (pid, time.monotonic(), self._spawned.get(name, (0, 0.0, 0))[2] + 1)

    # --- looking --------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read what changed since the last look: two stats, and one per active run."""
        self._reap()
        runs, active = self.folder / "runs", self.folder / "active"
        if self._moved(runs):
            fresh: dict[str, set[str]] = {}
            for name in os.listdir(runs):
                fresh.setdefault(name.rpartition("@")[0], set()).add(name)
            known = {name for names in self._known.values() for name in names}
            first = not self._seen and not self._known
            self._known = fresh
            if not first:
                for name in {name for names in fresh.values() for name in names} - known:
                    self._look(name)
        if self._moved(active):
            for name in os.listdir(active):
                if name not in self.active:
                    self._look(name)
        for name in list(self.active):
            self._look(name)

    def _moved(self, folder: Path) -> bool:
        found = os.stat(folder)
        stamp = (found.st_mtime_ns, found.st_nlink)
        # A folder that changed within the clock's grain may change again under the same stamp: look again.
        settled = time.time_ns() - found.st_mtime_ns > 50_000_000
        if self._stamps.get(str(folder)) == stamp:
            return False
        self._stamps[str(folder)] = stamp if settled else (0, 0)
        return True

    def _look(self, name: str) -> None:
        """Read one run's state if its file is another than the one read before."""
        try:
            found = os.stat(self.path(name) / "state.json")
        except OSError:
            self._vanished(name)
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if self._seen.get(name) != stamp:
            state = st.read_state(self.path(name))
            if state is None:
                return
            self._note(name, state)
            self._seen[name] = stamp

    def _vanished(self, name: str) -> None:
        """A mark without its run: being made at this moment, or left by a crash, or its folder was removed."""
        self.active.pop(name, None)
        marker = self.folder / "active" / name
        try:
            if time.time() - marker.stat().st_mtime > 60:
                marker.unlink(missing_ok=True)
            else:
                self._stamps.pop(str(self.folder / "active"), None)
        except OSError:
            pass

    def _note(self, name: str, state: st.Record) -> None:
        self._known.setdefault(name.rpartition("@")[0], set()).add(name)
        self.seq += 1
        self.changed[name] = self.seq
        self.changed.move_to_end(name)
        self.active[name] = state

    def _reap(self) -> None:
        for pid in list(self._children):
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            except ChildProcessError:
                pass
            self._children.discard(pid)

    # --- caring ---------------------------------------------------------------------------------------------------

    def care(self) -> None:
        """Start what waits for a supervisor, adopt what lost one, put terminal runs to rest. Call after ``refresh``."""
        for name, state in list(self.active.items()):
            if State(state["state"]).terminal:
                self._settle(name, state)
            elif state.get("wait"):
                continue
            elif not st.supervised(self.path(name)):
                if state["state"] == State.QUEUED and not state.get("supervisor"):
                    pid, since, count = self._spawned.get(name, (0, -1e9, 0))
                    if pid in self._children and time.monotonic() - since < _SPAWN_AGAIN_S:
                        continue
                    if count >= _SPAWN_TRIES:
                        self._give_up(name)
                    else:
                        self.start(name)
                else:
                    self._adopt(name)

    def _give_up(self, name: str) -> None:
        """Its supervisor ends without beginning it: say why, once, instead of trying for ever."""
        self.end(
            name,
            State.FAILED,
            error=f"its supervisor does not start: {self._last_words(name) or self._trouble.get(name) or 'it says nothing'}",
        )

    def _last_words(self, name: str) -> str:
        """What the supervisor of a run complained of last."""
        try:
            said = (self.path(name) / "supervisor.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return clean(said[-1]) if said else ""

    def marks(self, name: str) -> tuple[bytes, ...]:
        return f"{st.MARK}={name}".encode(), f"{st.FLOOR}={self.floor}".encode()

    def processes(self, name: str, state: st.Record) -> list[int]:
        """Every process of a run now (not its supervisor), found by descent and by mark."""
        supervisor = state.get("supervisor")
        root = supervisor[0] if supervisor and tree.same(*supervisor) else None
        return tree.living(tree.find_run(root, self.marks(name)))

    def descent(self, name: str, state: st.Record) -> list[int]:
        """As ``processes``, for each second: without reading every environment of the host."""
        if name in self.stray:
            return tree.living(self.stray[name])
        supervisor = state.get("supervisor")
        if not supervisor or not tree.same(*supervisor):
            return []
        return tree.living(tree.descendants([supervisor[0]]))

    def _adopt(self, name: str) -> None:
        """Its supervisor was killed: follow its processes; when none is left it is LOST, whatever it may have done."""
        folder = self.path(name)
        lock = st.acquire(folder)
        if lock is None:
            return
        try:
            state = st.read_state(folder)
            if state is None or State(state["state"]).terminal:
                return
            left = self.processes(name, state)
            child = state.get("child")
            if child and child[0] not in left and tree.same(*child):
                left.append(child[0])
            if left:
                self.stray[name] = left
                if not state.get("adopted"):
                    state["adopted"] = st.now_ms()
                    state["sub"] = (
                        "its supervisor was killed; followed by its processes, its exit status will not be known"
                    )
                    st.write_state(folder, state)
                return
            self.lose(name, state)
        finally:
            os.close(lock)

    def lose(self, name: str, state: st.Record) -> None:
        """Write the end of a run whose exit status nobody took. Only with its lock held."""
        self.stray.pop(name, None)
        ended = st.now_ms() if state.get("adopted") else self._last_sign(name)
        close(state, State.LOST, ended, LOST_WORDS)
        said = self._last_words(name)
        state["error"] = (
            f"its supervisor {f'broke ({said})' if said else 'was killed'}, so nobody took its exit status: "
            "look at its log and at what it wrote"
        )
        st.write_state(self.path(name), state)

    def _last_sign(self, name: str) -> int:
        """When a run that ended unseen was last seen at work: its newest file."""
        newest = 0
        for entry in os.scandir(self.path(name)):
            if entry.is_file() and entry.name not in ("supervisor.log", "lock", "spec.json"):
                newest = max(newest, entry.stat().st_mtime_ns // 1_000_000)
        return min(newest or st.now_ms(), st.now_ms())

    def _settle(self, name: str, state: st.Record) -> None:
        self.active.pop(name, None)
        self.stray.pop(name, None)
        self._spawned.pop(name, None)
        self.settled.append(state)

    def rest(self, state: st.Record) -> None:
        """Everything that follows from this run's end has been done: it needs no more attention."""
        name = run_name(state["job"], state["run"])
        (self.folder / "active" / name).unlink(missing_ok=True)
        self._forget(name.rpartition("@")[0])

    def _forget(self, job: str) -> None:
        """Remove the oldest runs of a job beyond ``keep``; never one that is active."""
        names = self._known.get(job, set())
        if len(names) <= self.keep:
            return
        for name in self.newest(job)[self.keep :]:
            if name in self.active or (self.folder / "active" / name).exists():
                continue
            shutil.rmtree(self.path(name), ignore_errors=True)
            names.discard(name)
            self._seen.pop(name, None)
            self.changed.pop(name, None)

    # --- asking ---------------------------------------------------------------------------------------------------

    def newest(self, job_part: str) -> list[str]:
        """Names of a job's runs, the last changed first."""
        return sorted(self._known.get(job_part, ()), key=self._stamp, reverse=True)

    def _stamp(self, name: str) -> int:
        try:
            return os.stat(self.path(name) / "state.json").st_mtime_ns
        except OSError:
            return 0

    def job_parts(self) -> list[str]:
        return list(self._known)

    def state(self, name: str) -> st.Record | None:
        """The run as its file says now."""
        return st.read_state(self.path(name))

    def since(self, watermark_ns: int) -> list[str]:
        """Names of runs whose state was written after a time: what a fresh process owes to an old cursor."""
        names: Iterable[str] = (name for names in self._known.values() for name in names)
        return [name for name in names if self._stamp(name) >= watermark_ns]

    def of_job(self, job: str) -> list[tuple[str, st.Record]]:
        """Active runs of a job, oldest first."""
        found = [(n, s) for n, s in self.active.items() if s["job"] == job and not State(s["state"]).terminal]
        return sorted(found, key=lambda item: (item[1]["queued"], item[0]))

    # --- changing a run that has no supervisor ------------------------------------------------------------------------

    def change(self, name: str, wait_s: float = 0.0, **fields: Any) -> st.Record | None:
        """Set fields of a run under its lock; None if a supervisor has it, or it is terminal."""
        folder = self.path(name)
        lock = st.acquire(folder, wait_s)
        if lock is None:
            return None
        try:
            state = st.read_state(folder)
            if state is None or State(state["state"]).terminal:
                return None
            state.update(fields)
            st.write_state(folder, state)
            self._look(name)
            return state
        finally:
            os.close(lock)

    def end(self, name: str, outcome: State, sub: str | None = None, **fields: Any) -> bool:
        """Make a run terminal that no supervisor has; False if one has it or it has ended."""
        lock = st.acquire(self.path(name))
        if lock is None:
            return False
        try:
            state = st.read_state(self.path(name))
            if state is None or State(state["state"]).terminal:
                return False
            close(state, outcome, st.now_ms(), sub)
            state.update(fields)
            st.write_state(self.path(name), state)
            self.stray.pop(name, None)
            self._look(name)
            return True
        finally:
            os.close(lock)


def close(state: st.Record, outcome: State, ended: int, sub: str | None) -> None:
    """Make a state terminal, its steps too: what ran shares the outcome, what did not is SKIPPED."""
    native = outcome.name.lower().replace("_", " ")
    for step in state["steps"]:
        before = State(step["state"])
        if before == State.QUEUED:
            step.update(state=State.SKIPPED, native="skipped", sub="not reached")
        elif not before.terminal:
            step.update(state=outcome, native=native, ended=ended, sub=sub)
    for passing in ("wait", "child", "before", "held_since"):
        state.pop(passing, None)
    state.update(state=outcome, native=native, ended=ended, sub=sub)
