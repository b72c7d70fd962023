"""What the engine answers on its socket: each request by its word, who asks by the kernel's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from adapters.model import parse_key
from engine.actions.words import REASON_LIMIT, clean
from engine.peer import Peer
from engine.request import DO, PROTOCOL, SCHEMA, RequestError
from engine.server import Client
from engine.store import actions as store_actions
from engine.store import sources as store_sources
from engine.store.writer import StoreError
from engine.version import VERSION

if TYPE_CHECKING:
    from engine.main import Engine

RECORDED = frozenset(
    {"plan", "act", "cancel", "arm", "disarm", "ack", "silence", "waive", "signoff", "ping", "note", "notify"}
)
"""What must be recorded to be done."""
WATCH_LIFE_S = 5.0
"""How long a terminal's look at a run lasts without being renewed."""


class Answers:
    """``handle`` is the socket's handler; what it asks for is done by the engine's rooms."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def handle(self, message: dict[str, Any], peer: Peer, client: Client) -> dict[str, Any]:
        """One request. Who asks is ``peer``, from the kernel; the message may only claim an SSH origin."""
        try:
            return await self._answer(message, peer, client)
        except StoreError as error:
            raise RequestError("refused", str(error), "what cannot be recorded is not done") from None

    async def _answer(self, message: dict[str, Any], peer: Peer, client: Client) -> dict[str, Any]:
        do = message.get("do")
        if do not in DO:
            raise RequestError("bad_request", f"{do!r} is not a request this engine knows", "is the other side newer?")
        if do in RECORDED and (why := self.engine.health.refusal) is not None:
            raise RequestError("refused", why, "what cannot be recorded is not done; free space, it goes on by itself")
        match do:
            case "hello":
                client.peer = peer.claiming(str(message.get("origin") or "") or None)
                return {
                    "protocol": PROTOCOL, "schema": SCHEMA, "version": VERSION, "pid": os.getpid(), "store": str(self.engine.places.store),
                    "config": str(self.engine.ctx.config.path), "config_hash": self.engine.ctx.config.hash, "demo": self.engine.demo,
                    "read_only": self.engine.ctx.read_only,
                }  # fmt: skip
            case "watch":
                client.watch = {
                    k: message[k]
                    for k in ("run", "log", "attempt", "processes", "history", "source", "operations")
                    if message.get(k) is not None
                }
                client.watch_until = self.engine.clock.monotonic() + WATCH_LIFE_S
                return {}
            case "poll":
                return self._poll_request(message)
            case "status":
                return self.status()
            case "plan":
                return await self.engine.actions.plan(message, client.peer)
            case "act":
                return await self.engine.actions.act(message, client.peer)
            case "cancel":
                return await self.engine.actions.cancel(message, client.peer)
            case "arm":
                return await self.engine.actions.arm(message, client.peer)
            case "disarm":
                return await self.engine.actions.disarm(message, client.peer)
            case "ack":
                reply = await self.engine.alerts.ack(message, client.peer)
                self._tell("acknowledged", client.peer, {**message, **reply}, ("alert", "note", "until", "words"))
                return reply
            case "silence":
                reply = await self.engine.alerts.silence(message, client.peer)
                self._tell("silenced", client.peer, message, ("match", "reason", "until"))
                return reply
            case "waive":
                return await self.engine.owing.people.waive(message, client.peer)
            case "signoff":
                return await self.engine.owing.people.signoff(message, client.peer)
            case "ping":
                return await self.engine.owing.pings.ping(message, client.peer)
            case "notify":
                return await self.engine.notifier.asked(message, client.peer)
            case "note":
                reply = self._note(message, client.peer)
                self._tell(
                    "note", client.peer, {**message, "words": message.get("text")}, ("words",), key=message.get("key")
                )
                return reply
            case "reload":
                self._allow_own(client.peer, "reload the configuration")
                before = self.engine.ctx.config.hash
                kept = await self.engine.reload()
                now = {"config_hash": self.engine.ctx.config.hash, "was": before, "words": self.engine.config_error}
                self._tell(
                    "reloaded" if self.engine.config_error is None else "reload refused", client.peer, now, tuple(now)
                )
                if self.engine.config_error:
                    raise RequestError("bad_config", self.engine.config_error, "the old configuration keeps running")
                return {"config_hash": self.engine.ctx.config.hash, "kept": kept}
            case "stop":
                self._allow_own(client.peer, "stop the engine")
                self.engine.stop(f"stopped by {client.peer.login}")
                return {"pid": os.getpid()}
            case _:
                raise RequestError("bad_request", f"{do!r} comes with a later version", "")

    def _tell(self, event: str, peer: Peer, said: dict[str, Any], names: tuple[str, ...], key: Any = None) -> None:
        """A person's word that was taken, for the audit; one that cannot be recorded there does not take it back."""
        body = {
            n: clean(v, REASON_LIMIT) if isinstance(v, str) else v
            for n in names
            if isinstance(v := said.get(n), str | int)
        }
        about = clean(str(key), 300) if key else None
        self.engine.actions.audit.told(event, peer, about, body)

    def _allow_own(self, peer: Peer, what: str) -> None:
        if peer.uid not in (0, os.getuid()):
            raise RequestError("refused", f"only the engine's own user may {what}", "")

    def _poll_request(self, message: dict[str, Any]) -> dict[str, Any]:
        name = message.get("source")
        if name is not None and name not in self.engine.pollers:
            raise RequestError("not_found", f"no source {name!r}", "known: " + ", ".join(sorted(self.engine.pollers)))
        for known, poller in self.engine.pollers.items():
            if name in (None, known):
                poller.poke()
        return {}

    def _note(self, message: dict[str, Any], peer: Peer) -> dict[str, Any]:
        text, key = clean(str(message.get("text") or ""), REASON_LIMIT), str(message.get("key") or "")
        if not text or not key:
            raise RequestError("bad_request", "a note needs a key and a text", "")
        try:
            pipeline = parse_key(key).pipeline_key
        except ValueError as error:
            raise RequestError("bad_request", clean(str(error), 300), "") from None
        with self.engine.store.transaction() as tx:
            if store_actions.pipeline_facts(tx, pipeline) is None:
                raise RequestError("not_found", f"no pipeline {clean(pipeline, 120)} is known", "")
            store_sources.put_note(tx, key, peer.login, text)
        return {}

    def status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(), "version": VERSION, "store": str(self.engine.places.store), "config": str(self.engine.ctx.config.path),
            "config_hash": self.engine.ctx.config.hash, "config_error": self.engine.config_error, "store_error": self.engine.health.refusal,
            "clients": len(self.engine.server.clients),
            "sources": {name: p.standing.health.name.lower() for name, p in self.engine.pollers.items()},
            "wal_bytes": self.engine.store.wal_bytes(), "busy": self.engine.actions.busy or self.engine.notifier.busy, "demo": self.engine.demo,
        }  # fmt: skip
