"""The engine: one process, the only writer. Wires the rooms and keeps them alive.

Started by ``python -P -m engine.main`` (a terminal, a service manager, a person); no Textual in here.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from adapters.errors import AdapterError
from adapters.model import Health
from engine import lives
from engine.actions import Actions
from engine.adapters_in import NoAdapter, make_adapter
from engine.alerts import Alerts
from engine.answers import Answers
from engine.clock import Clock
from engine.config.load import ConfigError, load
from engine.config.model import Config, Source
from engine.config.paths import Places, places
from engine.config.seen import load_or_empty, stamp
from engine.context import Context
from engine.demo.life import first_round
from engine.health import Health as OwnHealth
from engine.leader import Leader, file_id
from engine.notify import Notifier
from engine.owing import Owing
from engine.poll.source import Poller
from engine.request import EXIT_BAD_INPUT, EXIT_BUG, EXIT_NO_ENGINE, EXIT_OK, PROTOCOL
from engine.samples import Sampler
from engine.server import Server
from engine.store import health as store_health
from engine.store import sources as store_sources
from engine.store.configured import put_configured, record
from engine.store.writer import Store, StoreDamaged, StoreError
from engine.upkeep import Upkeep
from engine.version import VERSION

IDLE_LIFE_S = 600.0
DEMO_LIFE_S = 60.0


class Engine:
    """``await run()`` until asked to stop. ``asked`` says why it ended, ``failed`` that it was a bug of ours.

    ``idle_life_s`` and ``demo_life_s``: how long an engine that a terminal started stays without a client.
    """

    def __init__(
        self, where: Places, config: Config, *, clock: Clock | None = None, demo: bool = False, read_only: bool = False,
        stay: bool = True, out: TextIO | None = None, system: bool = False,
        idle_life_s: float = IDLE_LIFE_S, demo_life_s: float = DEMO_LIFE_S, leader: Leader | None = None,
        note: str | None = None,
    ) -> None:  # fmt: skip
        self.places = where
        self.clock = clock or Clock()
        self.demo = demo
        self.stay = stay
        self.system = system
        self._out = out or sys.stderr
        self.store = Store.open(where.store, self.clock, system=system)
        self.ctx = Context(
            clock=self.clock, store=self.store, config=config, places=where, adapters={}, source_ids={},
            poll_soon=self.poll_soon, log=self.log, read_only=read_only, demo=demo,
        )  # fmt: skip
        self.alerts = Alerts(self.ctx)
        self.notifier = Notifier(self.ctx)
        self.actions = Actions(self.ctx)
        self.owing = Owing(self.ctx, self.alerts, self.actions.audit)
        self.ctx.look_soon = self._look_soon
        self.pollers: dict[str, Poller] = {}
        self.answers = Answers(self)
        self.server = Server(where.socket, self.answers.handle, mode=0o660 if system else 0o600, log=self.log)
        self.health = OwnHealth(self.ctx, self.alerts, lambda: self.pollers, leader)
        self.store.on_failure = self._not_written
        self.upkeep = Upkeep(self.ctx, self.health, self._not_written)
        self.sampler = Sampler(self.ctx, lambda: any("processes" in w for w in self.watches()))
        self.asked = ""
        self.failed = False
        self._note = note
        self._idle_life_s = idle_life_s
        self._demo_life_s = demo_life_s
        self._stopping = asyncio.Event()
        self.config_error: str | None = None
        self._config_stamp = self._config_seen = stamp(config)
        self._reloading = asyncio.Lock()
        self._store_file = file_id(where.store)

    # --- life -----------------------------------------------------------------------------------------------------

    def log(self, line: str) -> None:
        """One line to the engine's own log, without control characters."""
        clean = "".join(c if c.isprintable() else " " for c in line)[:2000]
        with suppress(OSError):  # a full disk takes no log either, and that must not end what goes on
            print(f"{self.clock.now() // 1000} {clean}", file=self._out, flush=True)

    def begin(self) -> None:
        """Say in the store who writes it from now on, and make adapters and pollers; nothing is asked yet."""
        config = self.ctx.config
        with self.store.transaction() as tx:
            last = store_health.last_engine(tx)
            self.health.begun(tx, last)
            store_sources.engine_started(
                tx, pid=os.getpid(), host=socket.gethostname(), version=VERSION, protocol=PROTOCOL,
                config_path=str(config.path), config_hash=config.hash, demo=self.demo, timezone=config.timezone,
                note=self._note,
            )  # fmt: skip
        self._wire(config)
        with self.store.transaction() as tx:
            for words in self.owing.configured(tx):
                self.log(words)
        settle_memory()

    async def run(self) -> None:
        ctx = self.ctx
        self.begin()
        await self.actions.resume()  # before anybody can ask: it disarms what an earlier engine had armed
        await self.server.start()
        if self.demo:
            await first_round(self.ctx.adapters["local"], self.clock.now())
        for poller in self.pollers.values():
            poller.start()
        tasks = [
            asyncio.create_task(self.notifier.run(), name="notify"),
            asyncio.create_task(self._beat(), name="beat"),
            asyncio.create_task(self._tick_local(), name="local"),
            asyncio.create_task(self.upkeep.housekeeping(), name="housekeeping"),
            asyncio.create_task(self.upkeep.look_for_damage(), name="damage"),
            *(asyncio.create_task(work, name=name) for name, work in self.owing.work()),
        ]
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task is not stop and (error := task.exception()) is not None:
                    self.asked = f"{task.get_name()} died: {type(error).__name__}: {error}"
                    self.failed = True
                    self.log("".join(traceback.format_exception(error)))
        finally:
            await self._shut(tasks)
        ctx.log(f"engine {os.getpid()} ends: {self.asked or 'asked to stop'}")

    async def _shut(self, tasks: list[asyncio.Task[None]]) -> None:
        """In order: no more questions, no more ticks, jobs of a demo end, the row says so, the socket goes, the store closes."""
        await self.server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.actions.close()
        await self.owing.close()
        for name, poller in self.pollers.items():
            stop_all = getattr(poller.adapter, "stop_all", None)
            if (
                self.demo and callable(stop_all) and not self.health.damaged
            ):  # jobs go on, and the next round finds them
                try:
                    await stop_all("the end of the demo")  # pyright: ignore[reportGeneralTypeIssues]
                except Exception as error:
                    self.log(f"{name}: stopping its jobs: {error}")
            await poller.close()
        self.sampler.close()
        try:
            with self.store.transaction() as tx:
                store_sources.engine_stopped(tx, self.asked or "asked to stop")
        except StoreError as error:
            self.log(f"the last words were not written: {error}")
        self.store.close(keep_log=self.health.damaged is not None)

    def stop(self, why: str) -> None:
        self.asked = self.asked or why
        self._stopping.set()

    def _wire(self, config: Config) -> None:
        """Sources of the configuration: rows, adapters, pollers. A source whose adapter is missing stands there, and says so."""
        self._sync(config)
        for source in config.sources:
            if source.name in self.pollers:
                continue
            try:
                adapter = make_adapter(source, config, self.places)
            except (NoAdapter, AdapterError, ValueError, OSError) as error:
                self._cannot(source, str(error))
                continue
            self.ctx.adapters[source.name] = adapter
            self.pollers[source.name] = Poller(
                self.ctx,
                source,
                adapter,
                self.ctx.source_ids[source.name],
                self.alerts,
                self.owing,
                self.notifier.wake,
                self.watches,
            )

    def _sync(self, config: Config) -> None:
        records = [record(config, source, order) for order, source in enumerate(config.sources)]
        with self.store.transaction() as tx:
            self.ctx.source_ids = store_sources.sync_sources(tx, records)
            put_configured(tx, config)

    def _cannot(self, source: Source, why: str) -> None:
        now = self.clock.now()
        self.log(f"{source.name}: {why}")
        with self.store.transaction() as tx:
            store_sources.put_health(
                tx, self.ctx.source_ids[source.name], health=int(Health.BAD_ANSWER), since=now, last_try=now, failures=1, detail=why, hint="",
                poll_ms=source.poll_ms,
            )  # fmt: skip
            self.alerts.on_health(tx, source.name, Health.NEVER, Health.BAD_ANSWER, now, why, "")

    # --- heartbeats -----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Once a second, one after the other: heartbeat and freshness, this host, alerts' timers, changed configuration, lifetime."""
        while True:
            began = self.clock.monotonic()
            self.sampler.look()
            await self.beat()
            if file_id(self.places.store) != self._store_file:  # nobody could read what is written, or see our lock
                self.stop(f"{self.places.store} was removed or replaced under it")
            self._maybe_leave()
            due = began + max(1.0, self.clock.monotonic() - began + 0.05)
            await self.clock.sleep(due - self.clock.monotonic())
            self.health.late_s = max(self.health.late_s, self.clock.monotonic() - due)

    async def beat(self) -> None:
        """One of those seconds."""
        self.health.look()
        try:
            with self.store.transaction() as tx:  # one commit a second: readers wake up once
                store_sources.engine_beat(tx)
                for poller in self.pollers.values():
                    store_sources.put_health(tx, poller.source_id, **poller.health_fields())
                self.owing.tick(tx)
                self.alerts.tick(tx)
                self.sampler.put(tx)
                self.health.put(tx)
                over = self.health.writable()
                if over and (words := self.health.written(tx)):
                    store_sources.engine_note(tx, words)
            self.health.kept()
            if over and self.health.trouble is not None:
                self.health.say(None)
                self.poll_all()
            self.notifier.wake()
            await self._look_at_config()
        except StoreError:  # a full disk: nothing is lost that the sources still know, and so we stay; on_failure knows
            pass

    def _not_written(self, error: StoreError) -> None:
        """A transaction of whoever failed. A damaged store ends this engine; ``main`` makes a new one and goes on."""
        self.health.refused(error)
        if self.health.damaged:
            self.stop("the store is damaged")

    def poll_all(self) -> None:
        for poller in self.pollers.values():
            poller.poke()

    async def _look_at_config(self) -> None:
        """A changed file is taken once it stands still for a second: an editor may be in the middle of writing it."""
        seen = stamp(self.ctx.config)
        if seen != self._config_stamp and seen == self._config_seen:
            await self.reload()
        self._config_seen = seen

    async def _tick_local(self) -> None:
        """Local jobs become due here."""
        while True:
            for name, adapter in list(self.ctx.adapters.items()):
                try:
                    await adapter.tick(self.clock.now())
                except StoreError:
                    pass  # asked again in a second; on_failure knows
                except Exception as error:
                    self.log(f"{name}: tick: {type(error).__name__}: {error}")
            await self.clock.sleep(1.0)

    def _maybe_leave(self) -> None:
        if self.stay or self.server.clients:
            return
        alone = asyncio.get_running_loop().time() - self.server.last_client
        if self.demo:
            if alone > self._demo_life_s:
                self.stop("the demo's last terminal closed")
            return
        if alone > self._idle_life_s and not self._needed():
            self.stop(f"nobody came for {self._idle_life_s / 60:.0f} minutes and nothing is owed")

    def _needed(self) -> bool:
        config = self.ctx.config
        return bool(
            any(job.schedule for job in config.jobs)
            or config.routes
            or config.expectations
            or self.actions.busy
            or self.owing.busy
            or self.alerts.open_count
            or self.notifier.busy
        )

    # --- requests -------------------------------------------------------------------------------------------------

    def watches(self) -> list[dict[str, Any]]:
        now = self.clock.monotonic()
        return [client.watch for client in self.server.clients if client.watch and client.watch_until > now]

    def poll_soon(self, name: str) -> None:
        poller = self.pollers.get(name)
        if poller is not None:
            poller.poke()

    def _look_soon(self, run: str) -> None:
        poller = self.pollers.get(run.partition(":")[0])
        if poller is not None:
            poller.look_soon(run)

    # --- configuration ----------------------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Take the new configuration whole, or keep the old one and show why; which open occurrences keep their old due time.

        StoreError: not taken, asked again soon.
        """
        kept: list[str] = []
        async with self._reloading:
            old = self.ctx.config
            now = stamp(old)
            try:
                new = load_or_empty(self.places, system=self.system) if self._never_written(old) else load(old.path)
            except ConfigError as error:
                self.config_error = str(error).splitlines()[0]
                self.log(f"configuration not taken: {error}")
            else:
                self.config_error = None
                if new.hash != old.hash:
                    kept = await self._take(old, new)
            with self.store.transaction() as tx:
                store_sources.engine_config(tx, self.ctx.config.hash, self.config_error)
            self._config_stamp = now
        return kept

    def _never_written(self, config: Config) -> bool:
        """The floor opened empty because there was no file, and there is none yet."""
        return not config.sources and not config.path.exists()

    async def _take(self, old: Config, new: Config) -> list[str]:
        before = {s.name: s for s in old.sources}
        after = {s.name: s for s in new.sources}
        self._sync(new)  # first: a store that cannot be written leaves the old configuration whole
        if new.store.path != old.store.path:
            with self.store.transaction() as tx:
                store_sources.engine_note(
                    tx, f"[store] path is now {new.store.path or 'the usual one'}: takes effect after a restart"
                )
        for name in list(self.pollers):
            same = after.get(name) == before.get(name) and (name != "local" or old.jobs == new.jobs)
            if not same:
                await self.pollers.pop(name).close()
                self.ctx.adapters.pop(name, None)
                was, is_now = before.get(name), after.get(name)
                if was and is_now and (was.kind, was.url) != (is_now.kind, is_now.url):
                    with (
                        self.store.transaction() as tx
                    ):  # another server: what the last one was asked up to means nothing
                        store_sources.put_health(tx, self.ctx.source_ids[name], cursor=None)
        kept = set(self.pollers)
        self.ctx.config = new
        self._wire(new)
        with self.store.transaction(full=True) as tx:
            said = self.owing.configured(tx)
        for name, poller in self.pollers.items():
            if name not in kept:
                poller.start()
            else:
                poller.poke()
        self.log("; ".join((f"configuration {new.hash[:12]} taken", *said)))
        return said


def settle_memory() -> None:
    """What was made at the start stays: the collector need not walk through thousands of promises again and again."""
    gc.collect()
    gc.freeze()


def main(argv: list[str] | None = None) -> int:
    """Entry of the engine process; returns an exit code, with one sentence on stderr where it is not 0."""
    parser = argparse.ArgumentParser(prog="watchfloor engine run")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--system", action="store_true")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--auto", action="store_true", help="started by a terminal: leaves when nobody needs it")
    parser.add_argument(
        "--standby", action="store_true", help="wait for the running engine to end instead of leaving at once"
    )
    parser.add_argument("--read-only", action="store_true")
    args = parser.parse_args(argv)
    where = places(args.config, system=args.system, demo=args.demo)
    os.umask(0o027 if args.system else 0o077)
    try:
        config = load_or_empty(where, system=args.system)
        where.prepare()
        where.lock.touch(0o640)  # a disk that takes no new file says so here
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"{error.filename or where.state}: {error.strerror}; the engine needs to write there", file=sys.stderr)
        return EXIT_BAD_INPUT
    leader = Leader(where.lock)
    while not leader.try_lock():
        if not args.standby:
            print(
                f"another engine (pid {leader.holder()}) watches {where.store}; see: watchfloor engine status",
                file=sys.stderr,
            )
            return EXIT_NO_ENGINE
    try:
        return lives.run(
            where,
            leader,
            lambda note: asyncio.run(
                _run(where, _fresh(where, config, args) if note else config, args, leader, note=note)
            ),
            system=args.system,
        )
    except (ConfigError, StoreError) as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    finally:
        leader.close()


def _fresh(where: Places, config: Config, args: argparse.Namespace) -> Config:
    """The configuration as it is now, for a further life; the one that ran where it cannot be read."""
    try:
        return load_or_empty(where, system=args.system)
    except ConfigError:
        return config


async def _run(
    where: Places, config: Config, args: argparse.Namespace, leader: Leader, *, note: str = ""
) -> tuple[int, str | None]:
    """One life of the engine: its exit code, and why its store must be made anew, if it must. ``note``: stands on Sources."""
    engine = Engine(
        where,
        config,
        demo=args.demo,
        read_only=args.read_only,
        stay=not args.auto and not args.demo,
        system=args.system,
        leader=leader,
        note=note or None,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, engine.stop, signal.Signals(number).name)
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await engine.reload()
        except StoreError as error:
            engine.log(f"configuration not taken: {error}")

    def hangup() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, hangup)
    try:
        await engine.run()
    except StoreDamaged:  # at its very beginning
        engine.store.close(keep_log=True)
        raise
    return EXIT_BUG if engine.failed and not engine.health.damaged else EXIT_OK, engine.health.damaged


if __name__ == "__main__":
    sys.exit(main())
