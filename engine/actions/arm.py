"""Arming: for one minute one person may act on one protected environment. Held here, by the engine, never by a screen.

The rows of ``armed`` are for display. What counts is this memory, on the monotonic clock: a wall clock set back does
not lengthen it, and an engine that starts has nothing armed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from adapters.model import parse_key
from engine.actions.audit import Audit
from engine.actions.roles import may_arm
from engine.actions.words import lasted, suggestion
from engine.context import Context
from engine.peer import Peer
from engine.request import RequestError
from engine.store import actions as rows

ARM_S: Final = 60.0


def environment_of(source: Any) -> str:
    """What a source's environment is called when arming and in a typed name: its own name where none is configured."""
    return str(source.environment or source.name)


class Arming:
    """Who has armed what, until when."""

    def __init__(self, ctx: Context, audit: Audit) -> None:
        self._ctx = ctx
        self._audit = audit
        self._until: dict[tuple[str, int], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def left(self, environment: str, uid: int) -> float:
        """Seconds for which this person may still act on this environment; 0 where he has not armed it."""
        until = self._until.get((environment, uid))
        return 0.0 if until is None else max(0.0, until - self._ctx.clock.monotonic())

    async def arm(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"environment"}`` (or a ``source`` or ``key`` of it) → ``{"environment", "until", "seconds", "words"}``."""
        environment = self._named(body)
        if self._ctx.read_only:
            raise RequestError("refused", "this engine is read-only: nothing can be armed")
        sources = [s for s in self._ctx.config.sources if environment_of(s) == environment]
        if not any(s.protected for s in sources):
            raise RequestError("bad_request", f"{environment} is not protected: there is nothing to arm")
        if not may_arm(self._ctx.config, sources, peer):
            raise RequestError(
                "refused", f"{peer.who} may look at {environment}, not act on it", "see [[access]] in the configuration"
            )
        until = self._ctx.clock.now() + int(ARM_S * 1000)
        try:
            with self._ctx.store.transaction(full=True) as tx:
                rows.put_armed(tx, environment, peer.uid, peer.who, until)
                self._audit.record(tx, "armed", peer=peer, body={"environment": environment, "until": until})
        except rows.RECORD_ERRORS as error:
            raise RequestError("refused", f"arming could not be recorded: {error}") from None
        self._until[(environment, peer.uid)] = self._ctx.clock.monotonic() + ARM_S
        self._audit.flush_quietly()
        task = asyncio.create_task(self._expire(environment, peer.uid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        words = f"armed for {environment}, {lasted(int(ARM_S * 1000))}: every action still asks"
        return {"environment": environment, "until": until, "seconds": ARM_S, "words": words}

    async def disarm(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Take back what this person armed: one environment, or all where none is named."""
        named = any(body.get(name) for name in ("environment", "source", "key"))
        environment = self._named(body) if named else None
        for spot in [s for s in self._until if s[1] == peer.uid and environment in (None, s[0])]:
            del self._until[spot]
        try:
            with self._ctx.store.transaction() as tx:
                if rows.drop_armed(tx, environment, peer.uid):
                    self._audit.record(tx, "disarmed", peer=peer, body={"environment": environment})
        except rows.RECORD_ERRORS as error:
            self._ctx.log(f"disarming could not be recorded: {error}")  # it is disarmed all the same
        self._audit.flush_quietly()
        return {"environment": environment, "words": f"{environment or 'everything'} is disarmed"}

    def clear(self) -> None:
        """At start: what an engine before us had armed is not armed any more."""
        self._until.clear()
        with self._ctx.store.transaction() as tx:
            rows.drop_armed(tx)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _expire(self, environment: str, uid: int) -> None:
        """Take the row away when its time is over, so that every screen hears of it."""
        while (left := self.left(environment, uid)) > 0:
            await self._ctx.clock.sleep(left)
        if self._until.pop((environment, uid), None) is None:
            return  # disarmed by hand, or another of these tasks was here before
        try:
            with self._ctx.store.transaction() as tx:
                rows.drop_armed(tx, environment, uid)
        except rows.RECORD_ERRORS as error:
            self._ctx.log(f"the end of arming could not be recorded: {error}")

    def _named(self, body: dict[str, Any]) -> str:
        sources = self._ctx.config.sources
        known = sorted({environment_of(s) for s in sources})
        wanted = body.get("environment")
        name = body.get("source")
        if not wanted and body.get("key"):
            try:
                name = parse_key(str(body["key"])).source
            except ValueError as error:
                raise RequestError("bad_request", str(error)) from None
        if not wanted and name:
            source = next((s for s in sources if s.name == name), None)
            if source is None:
                raise RequestError("not_found", f"no source {name!r}", suggestion(str(name), [s.name for s in sources]))
            wanted = environment_of(source)
        if not wanted:
            guarded = sorted({environment_of(s) for s in sources if s.protected})
            if len(guarded) != 1:
                raise RequestError(
                    "bad_request", "arm what? name an environment", f"protected: {', '.join(guarded) or 'none'}"
                )
            return guarded[0]
        if wanted not in known:
            raise RequestError(
                "not_found",
                f"no environment {wanted!r}",
                suggestion(str(wanted), known) or f"known: {', '.join(known)}",
            )
        return str(wanted)
