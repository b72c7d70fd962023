"""A source that is a driver: what its commands list is the world, and what is done to it is an argv."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

import msgspec

from adapters.auth import known_auth
from adapters.base import (
    Action,
    Adapter,
    Done,
    Listing,
    NotSent,
    Page,
    Prepared,
    Probe,
    Reconciled,
    SendResult,
    Sent,
    SourceSettings,
    Unknown,
)
from adapters.commands import acts
from adapters.commands.argv import fill, places
from adapters.commands.calls import Driver
from adapters.commands.options import checked, option_of
from adapters.commands.own import Own
from adapters.commands.seen import Seen
from adapters.commands.wire import Reading, RunTold, Told
from adapters.errors import AdapterError, BadResponse, NotFound, Unreachable, Unsupported
from adapters.extras import Operation
from adapters.first_error import clean, tidy
from adapters.local.state import now_ms
from adapters.model import VERBS, Caps, Key, KeyOf, LogChunk, Pipeline, Run, StepRun, Verb, pipeline_key, run_key
from adapters.parameters import Parameter
from adapters.shared import own_key, read_cursor, write_cursor, zone_of

MOST_ONE_BY_ONE: Final = 60
"""Pipelines of a source whose state is asked for one by one."""
AT_ONCE: Final = 4
WHOLE_LOG: Final = 16 << 20
"""Bytes of a log that is written whole each time; what follows is not read."""
_MUCH: Final = 1 << 16
FRESH_S: Final = 0.8
"""So long an answer serves further questions of the same look."""


class _Cursor(msgspec.Struct):
    """``who``: of which adapter in which process; ``n``: the last change that was handed out."""

    who: str = ""
    n: int = 0


class CommandsAdapter(Adapter):
    """``options`` as docs/systems/commands.md has them; Unsupported in one sentence for what cannot be.

    ``settings.folder`` keeps the runs that are processes of ours; commands run in ``options.folder``, from
    ``settings.config_folder`` on.
    """

    kind: ClassVar[str] = "commands"
    min_poll_s: ClassVar[float] = 5.0
    secret_options: ClassVar[tuple[str, ...]] = ("env",)

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        known_auth(settings.auth)
        self._options = checked(settings.options)
        self._source = settings.name
        self._zone = zone_of(settings.timezone)
        self._driver = Driver(self._options, settings.config_folder, self._options.reads)
        self._own = Own(settings.name, settings.folder, self._options.keep, self._options.warning_codes)
        self._seen = Seen(settings.name, settings.folder)
        self._who = secrets.token_hex(4)
        self._changed: dict[str, tuple[int, Run]] = {}
        self._count = 0
        self._unread: tuple[float, Told] | None = None
        self._last: tuple[float, str, Told] | None = None
        self._each: frozenset[str] = frozenset()
        """Pipelines that are asked about one by one."""
        self._same: tuple[bytes, Told] | None = None
        self._made: dict[str, str] = {}
        self._ended_well: set[str] = set()
        self._notes: tuple[str, ...] = ()
        self._caps = self._offered()

    def __repr__(self) -> str:
        return f"CommandsAdapter({self._source!r})"

    def _offered(self) -> Caps:
        own = self._options.own
        offers = {v.value for v in self._options.acts} | {"steps"}
        if own:
            offers |= {Verb.STOP.value, "log"}
            offers &= {Verb.START.value, Verb.STOP.value, "steps", "log"}
        if self._driver.has("logs"):
            offers.add("log")
        if self._driver.has("operations"):
            offers.add("operations")
        else:
            offers -= {v.value for v in acts.BACKFILLS}
        why = acts.why_not(self._options) | {
            "log": "no command is described for it: add options.logs",
            "operations": "no command is described for it: add options.operations",
            "history": "what the driver lists is all that it tells",
            "assets": "a driver tells of no data that its pipelines make",
            "items": "a driver tells of no parts beside its pipelines",
            "metrics": "a driver measures nothing; a [[series]] asks another source",
        }
        return Caps(frozenset(offers), {k: v for k, v in why.items() if k not in offers})

    @property
    def caps(self) -> Caps:
        return self._caps

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    @property
    def spent(self) -> tuple[int, int]:
        """Commands that were run, and bytes that they wrote."""
        return self._driver.calls, self._driver.bytes

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _all(self) -> Told:
        """Everything, in one call where the driver lists."""
        try:
            told = await self._ask_all()
        except AdapterError:
            self._unread = self._last = None
            raise
        self._notes = told.notes
        self._last = (time.monotonic(), "", told)
        return told

    async def _ask_all(self) -> Told:
        now = now_ms()
        if self._driver.has("list"):
            data = await self._driver.ask("list", {})
            told = await self._listed(data, now)
        else:
            told = Told()
        for name in self._options.pipelines:
            told.pipelines.setdefault(name, self._plain(name))
        self._include(told)
        if self._options.own:
            told.runs |= await self._files(lambda: self._own.runs(list(told.pipelines)))
        elif self._driver.has("status") and not self._options.status_of_run and not told.runs and not told.bare:
            await self._one_by_one(told, now)
        if told.bare:
            bare, names = told.bare, list(told.pipelines)
            told.runs |= await self._files(lambda: self._seen.look(bare, told.now or now, names))
        return told

    async def _listed(self, data: bytes, now: int) -> Told:
        """What a list tells. The same bytes once more are not read again; many are read in a thread."""
        if self._same is None or self._same[0] != data:
            reading = self._reading("list", now)
            form = self._options.list_format
            told = reading.told(data, form) if len(data) < _MUCH else await asyncio.to_thread(reading.told, data, form)
            self._same = (data, told)
        told = self._same[1]
        return replace(told, pipelines=dict(told.pipelines), runs=dict(told.runs), bare=dict(told.bare))

    def _reading(self, what: str, now: int) -> Reading:
        return Reading(self._source, self._zone, self._options, what, now)

    def _include(self, told: Told) -> None:
        globs = self.settings.include
        if not globs:
            return
        kept = {n for n in told.pipelines if any(fnmatchcase(n, g) for g in globs)}
        told.pipelines = {n: p for n, p in told.pipelines.items() if n in kept}
        told.bare = {n: r for n, r in told.bare.items() if n in kept}
        keys = {p.key for p in told.pipelines.values()}
        told.runs = {k: r for k, r in told.runs.items() if k.partition("/")[0] in keys}

    async def _files(self, work: Any) -> Any:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            what = f"{error.filename or self.settings.folder}: {error.strerror or 'error'}"
        raise Unreachable(clean(what, 200), "look whether the disk is full and the state folder is ours", sent=False)

    async def _one_by_one(self, told: Told, now: int) -> None:
        """A driver that can only be asked about one pipeline: a command for each."""
        names = list(told.pipelines)
        if len(names) > MOST_ONE_BY_ONE:
            raise Unsupported(
                f"{len(names)} pipelines would be asked about one by one, at most {MOST_ONE_BY_ONE} are",
                "let options.list write JSON with their states, or narrow include",
            )
        room = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> Told | AdapterError:
            try:
                async with room:
                    return await self._status(name, None, now)
            except AdapterError as error:
                return error

        wrong: list[AdapterError] = []
        for name, found in zip(names, await asyncio.gather(*map(one, names)), strict=True):
            if isinstance(found, AdapterError):  # the others are told all the same; of this one nothing is
                wrong.append(found)
                told.notes = (*told.notes, clean(f"{name}: {found.what}", 200))
                continue
            told.runs |= found.runs
            told.bare |= found.bare
            told.pipelines[name] = found.pipelines.get(name, told.pipelines[name])
        if wrong and len(wrong) == len(names):
            raise wrong[0]
        self._each = frozenset(names)

    async def _one(self, pipeline: str) -> Told:
        """Of a driver that is asked one by one only what is wanted."""
        now = now_ms()
        told = await self._status(pipeline, None, now)
        told.pipelines.setdefault(pipeline, self._plain(pipeline))
        if told.bare:
            bare = {pipeline: told.bare[pipeline]} if pipeline in told.bare else {}
            told.runs |= await self._files(lambda: self._seen.look(bare, now, None))
        return told

    def _plain(self, name: str) -> Pipeline:
        return Pipeline(key=pipeline_key(self._source, name), name=clean(name, 200) or "?")

    async def _status(self, pipeline: str, run: str | None, now: int) -> Told:
        """What ``status`` tells of one pipeline, or of one run of it."""
        values = {"pipeline": pipeline, "run": run}
        if self._options.status_format == "exit":
            argv = fill(self._options.reads["status"], values, self._options.allow_dash)
            ran = await self._driver.try_("status", argv)
            state = None if ran.code is None else self._options.exit.get(ran.code)
            if state is None or ran.flooded:
                self._driver.refuse("status", ran, self._options.timeout)
                raise BadResponse(f"status: exit {ran.code} is no state: add it to options.exit")
            word = state.name.lower()
            said = next(
                (t for t in map(tidy, reversed(ran.out[-4096:].decode("utf-8", "replace").splitlines())) if t), ""
            )
            key = pipeline_key(self._source, pipeline)
            bad = self._driver.words(said) if state.bad and said else None
            found = Run(key=run_key(key, "?"), native=word, state=state, error=bad, exit_code=ran.code)
            return Told(bare={pipeline: found})
        data = await self._driver.ask("status", values)
        return self._reading("status", now).told(data, self._options.status_format)

    async def look(self, key: Key, *, fresh: bool = True) -> Told:
        """What is told now about what the key names: by ``status`` of a run where there is such a command, else by the list."""
        by_run = key.run is not None and self._options.status_of_run
        by_pipeline = key.pipeline in self._each
        about = str(Key(key.source, key.pipeline, key.run if by_run else None)) if by_run or by_pipeline else ""
        last = self._last
        if not fresh and last is not None and last[1] == about and time.monotonic() - last[0] < FRESH_S:
            return last[2]
        if not about:
            return await self._all()
        try:
            told = await (self._one(key.pipeline) if by_pipeline else self._status(key.pipeline, key.run, now_ms()))
        except AdapterError:
            self._unread = self._last = None
            raise
        told.pipelines.setdefault(key.pipeline, self._plain(key.pipeline))
        self._last = (time.monotonic(), about, told)
        return told

    async def _run(self, text: str, of: str = "run", *, fresh: bool) -> RunTold:
        key = own_key(text, self._source, of)
        told = await self.look(key, fresh=fresh)
        found = told.runs.get(key.run_key or "")
        if found is None:
            raise NotFound(f"the driver tells of no run {clean(key.run or '?', 60)!r} of {clean(key.pipeline, 60)!r}")
        return found

    # --- the contract's readings ----------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        told = await self._all()
        version = "driver"
        warnings: list[str] = list(told.notes)
        if self._driver.has("version"):
            said = await self._driver.ask("version", {})
            version = next((t for t in map(tidy, said.decode("utf-8", "replace").splitlines()) if t), "driver")[:60]
        if not told.pipelines:
            warnings.append("it lists no pipeline")
        if not self._options.own and not (told.runs or self._driver.has("list") or self._driver.has("status")):
            warnings.append("nothing can be proved: neither list nor status is described")
        may: dict[str, bool | None] = dict.fromkeys(self._caps.offers, True)
        for verb, template in self._options.acts.items():
            if self._caps.can(verb.value):
                lacks = await asyncio.to_thread(self._driver.lacks, template)
                may[verb.value] = None if lacks is None else False
                if lacks is not None:
                    warnings.append(f"{option_of(verb)}: there is no program {lacks!r}, or it may not be run")
        return Probe(
            version=clean(version, 60),
            identity=login(),
            permissions=may,
            server_time=told.now,
            warnings=tuple(warnings),
        )

    async def pipelines(self) -> Listing:
        told = await self._all()
        self._unread = (time.monotonic(), told)
        return Listing(list(told.pipelines.values()), True, told.now)

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        left, self._unread = self._unread, None
        if left is not None and time.monotonic() - left[0] < FRESH_S and not active_only:
            told = left[1]  # the same poll has just asked
        else:
            told = await self._all()
        if active_only:
            return Page([r.run for r in told.runs.values() if not r.run.state.terminal], cursor, True, told.now)
        for key, one in told.runs.items():
            known = self._changed.get(key)
            if known is None or replace(one.run, backfilled=known[1].backfilled) != known[1]:
                self._count += 1
                late = (
                    known is not None and not known[1].backfilled
                )  # what was seen to run is news, however late it is told
                self._changed[key] = (self._count, replace(one.run, backfilled=False) if late else one.run)
        for key in self._changed.keys() - told.runs.keys():
            del self._changed[key]
        mark = read_cursor(cursor, _Cursor)
        since = mark.n if mark.who == self._who else 0
        news = [run for n, run in self._changed.values() if n > since or run.state.active]
        return Page(news, write_cursor(_Cursor(self._who, self._count)), True, told.now)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        raise Unsupported(self._caps.why("history"))

    async def read(self, key: str) -> Pipeline | Run:
        parsed = own_key(key, self._source)
        if parsed.run is not None:
            return (await self._run(key, fresh=True)).run
        found = (await self.look(parsed)).pipelines.get(parsed.pipeline)
        if found is None:
            raise NotFound(f"the driver lists no pipeline {clean(parsed.pipeline, 80)!r}")
        return found

    async def steps(self, run: str) -> Sequence[StepRun]:
        return (await self._run(run, fresh=False)).steps

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        key = own_key(step, self._source, "step")
        told = await self._run(step, "step", fresh=False)
        name = key.step if key.map_index < 0 else f"{key.step}.{key.map_index}"
        if name not in {s.step for s in told.steps}:
            raise NotFound(f"run {clean(key.run or '?', 60)} has no step {clean(name or '?', 60)!r}")
        over = told.run.state.terminal
        if self._options.own:
            return await self._files(lambda: self._own.log(key.pipeline, key.run or "", cursor, over=over))
        if not self._driver.has("logs"):
            raise Unsupported(self._caps.why("log"))
        return await self._log(key, name or "", attempt, cursor, over)

    async def _log(self, key: Key, step: str, attempt: int, cursor: str | None, over: bool) -> LogChunk:
        offset = int(cursor) if cursor and cursor.isdigit() else 0
        values = {
            "pipeline": key.pipeline,
            "run": key.run,
            "step": step,
            "attempt": str(attempt),
            "offset": str(offset),
        }
        if "offset" in places(self._options.reads["logs"]):
            most = self._options.output_kib << 10
            data = await self._driver.ask("logs", values, cut=True, raw=True)
            return LogChunk(self._driver.hide(data), str(offset + len(data)), over and len(data) < most)
        data = await self._driver.ask("logs", values, most=WHOLE_LOG, cut=True)
        full = len(data) >= WHOLE_LOG
        if offset > len(data):
            offset = 0  # it was begun anew
        note = f"it is longer than {WHOLE_LOG >> 20} MiB: let options.logs take {{offset}}" if full else None
        return LogChunk(data[offset:], str(len(data)), over or full, note)

    async def operations(self, known: Sequence[str] = ()) -> Sequence[Operation]:
        if not self._driver.has("operations"):
            return ()
        data = await self._driver.ask("operations", {})
        found = self._reading("operations", now_ms()).operations(data)
        globs = self.settings.include
        if globs:
            found = [o for o in found if any(fnmatchcase(own_key(o.pipeline, self._source).pipeline, g) for g in globs)]
        return list({o.id: replace(o, words=self._driver.words(o.words)) for o in found}.values())

    # --- acting ---------------------------------------------------------------------------------------------------------

    def parameters(self, verb: Verb, key: str) -> Sequence[Parameter]:
        return acts.parameters(self._options, verb) if self._caps.can(verb.value) else ()

    async def prepare(self, action: Action) -> Prepared:
        verb = action.verb
        if not self._caps.can(verb.value):
            raise Unsupported(self._caps.why(verb.value))
        key = own_key(action.key, self._source, "" if VERBS[verb].of is KeyOf.PIPELINE else VERBS[verb].of.value)
        if verb is Verb.STOP and verb not in self._options.acts:
            return await self._prepare_own_stop(action, key)
        return await acts.prepare(self, self._driver, self._options, key, action)

    async def _prepare_own_stop(self, action: Action, key: Key) -> Prepared:
        told = await self._run(action.key, fresh=True)
        acts.refuse(told.run.state.terminal, f"run {clean(key.run or '?', 60)} has ended already: {told.run.native}")
        return Prepared(
            action=action,
            calls=(acts.signal_call(key),),
            idempotent=True,
            effect=f"run {clean(key.run or '?', 60)} of {clean(key.pipeline, 80)} ends, with its whole process group",
            proof="its process is gone and its end is written down",
            patience_s=60.0,
            memo={"values": {}},
        )

    async def send(self, prepared: Prepared) -> SendResult:
        action = prepared.action
        self._last = self._unread = None
        try:
            key = own_key(action.key, self._source)
            if action.verb is Verb.STOP and action.verb not in self._options.acts:
                return await self._files(lambda: self._own.stop(key.pipeline, key.run or ""))
            argv = acts.argv_of(self._options, key, prepared)
            if self._driver.shown(argv) != prepared.calls[0]:
                return NotSent("the command is not the one that was planned: plan it again")
            if self._options.own:
                return await self._start_own(action, key, argv)
        except AdapterError as error:
            return NotSent(error.what)
        result, out = await self._driver.do(argv)
        if isinstance(result, Sent):
            self._ended_well.add(action.client_id)
        if isinstance(result, Sent) and action.verb is Verb.START:
            return self._named(result, key, action, out)
        return result

    async def _start_own(self, action: Action, key: Key, argv: Sequence[str]) -> Sent | NotSent | Unknown:
        env = await self._driver.env()
        facts = {"client_id": action.client_id, "date": action.business_date, "who": action.who}
        run, folder = acts.own_run(action), self._driver.folder
        return await self._files(lambda: self._own.start(key.pipeline, run, argv, folder, env, facts))

    def _named(self, sent: Sent, key: Key, action: Action, out: bytes) -> Sent:
        """A command may say which run it made, in JSON."""
        try:
            told = self._reading("start", now_ms()).told(out, "json") if out.lstrip()[:1] in (b"{", b"[") else Told()
        except BadResponse:
            told = Told()
        mine = told.of(key.pipeline_key)
        if len(mine) != 1:
            return sent
        self._made[action.client_id] = mine[0].run.key
        return Sent(sent.words, mine[0].run.key)

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        key = own_key(prepared.action.key, self._source)
        if prepared.action.verb is Verb.STOP and self._options.own:
            found = (await self._all()).runs.get(key.run_key or "")
            return acts.stopped(found)
        ours = prepared.action.client_id
        found = await acts.reconcile(self, self._options, key, prepared, self._made.get(ours), ours in self._ended_well)
        if isinstance(found, Done):
            self._made.pop(ours, None)
            self._ended_well.discard(ours)
        return found


def login() -> str:
    """Whom the commands run as."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
