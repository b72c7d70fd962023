"""A real engine in a process of its own, with a place of its own; what it did is read from its store and its socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from engine.ask import Ask, NoEngine
from engine.config.paths import Places, places
from engine.leader import Leader
from engine.request import RequestError
from engine.store.errors import StoreError
from engine.store.reader import Reader

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent.parent


def until(what: Callable[[], T], patience_s: float = 15.0, every_s: float = 0.05) -> T:
    """The first true answer; AssertionError with the last one when patience ends."""
    end = time.monotonic() + patience_s
    answer = what()
    while not answer and time.monotonic() < end:
        time.sleep(every_s)
        answer = what()
    assert answer, f"not within {patience_s:.0f}s: {answer!r}"
    return answer


class Rig:
    """``with Rig(tmp_path, toml) as rig``: configuration, engine process, reader, socket."""

    def __init__(
        self, folder: Path, toml: str, *, start: bool = True, args: tuple[str, ...] = (), prelude: str = ""
    ) -> None:
        """``prelude``: Python that the engine's process runs first, to make long times short."""
        self.folder = folder
        self.config = folder / "watchfloor.toml"
        self.config.write_text('[store]\npath = "state/floor.db"\n' + toml)
        self.place: Places = places(self.config)
        self.log = folder / "engine.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.args = args
        self.prelude = prelude
        self._readers: list[Reader] = []
        if start:
            self.start()

    def start(self, *, wait: bool = True) -> subprocess.Popen[bytes]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        env |= {"HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{self.prelude}\nimport sys; from engine.main import main; sys.exit(main())",
                 "--config", str(self.config), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/", start_new_session=True,
            )  # fmt: skip
        if wait:
            self.ready()
        return self.process

    def ready(self) -> None:
        """Wait until the process that was started last answers."""
        assert self.process is not None
        pid = self.process.pid

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            try:
                with self.ask() as ask:
                    return ask("status")["pid"] == pid
            except (NoEngine, RequestError):
                return False

        until(answers)

    def polled(self, source: str) -> None:
        """Wait until a poll that begins from now on has been good."""
        now = time.time_ns() // 1_000_000
        with self.ask() as ask:
            ask("poll", source=source)
        reader = self.reader()
        until(lambda: [s for s in reader.sources() if s.name == source and (s.last_ok or 0) > now])

    def kill(self) -> None:
        """SIGKILL the engine alone: its jobs and supervisors go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def held(self) -> bool:
        leader = Leader(self.place.lock)
        if leader.try_lock(0.0):
            leader.close()
            return False
        return True

    def reader(self) -> Reader:
        reader = Reader(self.place.store)
        self._readers.append(reader)
        return reader

    def ask(self) -> Ask:
        return Ask(self.place.socket)

    def runs(self, **kwargs: Any) -> list[Any]:
        try:
            reader = self.reader()
            return reader.runs(limit=kwargs.pop("limit", 500), **kwargs)
        except StoreError:
            return []

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.end_jobs()

    def end_jobs(self) -> None:
        """No supervisor or job of this rig is left behind."""
        mark = str(self.folder).encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "cmdline").read_bytes() or (
                        b"WATCHFLOOR_RUN=" in (entry / "environ").read_bytes()
                        and mark in (entry / "environ").read_bytes()
                    ):
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue
