"""From the outbox to people: what is due goes out, what fails is tried again, what cannot be delivered goes to a second contact.

A row is marked before it is sent and after: an engine that dies in between sends it once more, with the same id and a word
that it may be a repeat. Never is something lost; exactly once is impossible.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from engine.config.model import Contact
from engine.config.secrets import resolve
from engine.context import Context
from engine.ids import ulid
from engine.notify import letters, message
from engine.notify.channels import Channels, Fault, Outcome, no_address
from engine.peer import Peer
from engine.request import RequestError
from engine.store import alerts as rows
from engine.store import outbox
from engine.store.errors import StoreError
from engine.store.outbox import FIRING, Letter, Post
from engine.store.writer import Tx

RETRY_MS = (10_000, 30_000, 120_000, 600_000, 1_800_000)
JITTER = 0.2
FALLBACK_AFTER_MS = 60_000
LASTING_TRIES = 3
"""Attempts at an address that refuses us: more of them would only annoy."""
GIVE_UP_AFTER_MS = 6 * 3_600_000
AT_ONCE = 4
"""Attempts under way at a time, never two to the same contact."""
LAST_WORDS_S = 5.0
REST_S = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """Of a test message: what became of it for one recipient."""

    recipient: str
    ok: bool
    words: str
    ms: int


class Notifier:
    """``run`` it beside everything else; ``wake`` it when rows were written. ``fault`` is for tests that end the process."""

    def __init__(
        self,
        ctx: Context,
        *,
        channels: Channels | None = None,
        rng: random.Random | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.ctx = ctx
        self.channels = channels or Channels()
        self._rng = rng or random.Random()
        self._fault: Fault = fault or _no_fault
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._ids_under_way: set[str] = set()
        self._awake = asyncio.Event()
        self._unfinished = 0

    @property
    def busy(self) -> bool:
        """Something is to be delivered or being delivered, as of the last turn."""
        return bool(self._under_way) or self._unfinished > 0

    def wake(self) -> None:
        """Rows may be due. From the engine's loop; cheap."""
        self._awake.set()

    async def run(self) -> None:
        """For ever; ends by cancellation, which gives what is under way a few seconds."""
        try:
            with self.ctx.store.transaction(full=True) as tx:
                outbox.recover(tx)
            while True:
                try:
                    wait = await self.turn()
                except StoreError as error:  # a full disk: alerts stay where they are, and so do we
                    self.ctx.log(f"messages wait: {error}")
                    wait = REST_S
                try:
                    async with asyncio.timeout(wait):
                        await self._awake.wait()
                except TimeoutError:
                    pass
                self._awake.clear()
        finally:
            await self.close()

    async def close(self) -> None:
        """End, with a few seconds for what is under way; the rest is sent after the next start."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LAST_WORDS_S)
        for task in list(self._under_way.values()):
            task.cancel()
        if self._under_way:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self.channels.close()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def turn(self) -> float:
        """Start what is due. Returns the seconds until there may be more to do."""
        with self.ctx.store.transaction(full=True) as tx:
            outbox.recover(tx, self._ids_under_way, tx.now + RETRY_MS[0])  # an attempt that could not be recorded
            for letter in outbox.without_fallback(tx, tx.now - FALLBACK_AFTER_MS):
                self._second_contact(tx, letter)
            taken: list[Letter] = []
            for letter in outbox.due(tx):
                if len(self._under_way) + len(taken) >= AT_ONCE:
                    break
                if letter.recipient not in self._under_way and all(letter.recipient != t.recipient for t in taken):
                    taken.append(letter)
                    outbox.begin(tx, letter.id)
            next_due = outbox.next_due(tx)
            self._unfinished = outbox.unfinished(tx)
        self._fault("marked")
        for letter in taken:
            self._ids_under_way.add(letter.id)
            task = asyncio.create_task(self._send(letter), name=f"tell {letter.recipient}")
            self._under_way[letter.recipient] = task
        if not self._under_way:
            await self.channels.rest()
        if next_due is None:
            return REST_S
        return min(REST_S, max(0.05, (next_due - self.ctx.clock.now()) / 1000))

    def _second_contact(self, tx: Tx, letter: Letter) -> None:
        alert = rows.get(tx, letter.alert_id)
        if alert is not None and alert.open and letters.queue_fallback(tx, self.ctx.config, letter, alert):
            rows.event(
                tx, alert.id, "telling", detail=f"{letter.fallback}, because {letter.recipient} could not be told"
            )

    # --- one attempt ------------------------------------------------------------------------------------------------

    async def _send(self, letter: Letter) -> None:
        try:
            outcome = await self._attempt(letter)
            self._fault("answered")
            with self.ctx.store.transaction(full=True) as tx:
                self._record(tx, letter, outcome)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the row stays marked: the next turn finds it
            self.ctx.log(f"message {letter.id} to {letter.recipient}: {type(error).__name__}")
        finally:
            self._under_way.pop(letter.recipient, None)
            self._ids_under_way.discard(letter.id)
            self._awake.set()

    async def _attempt(self, letter: Letter) -> Outcome:
        contact = self.ctx.config.contact(letter.recipient)
        if contact is None:
            return no_address("no contact of this name is configured")
        try:
            url = await asyncio.to_thread(self._address, contact)
        except Exception as error:  # its text may hold what the secret's origin printed
            self.ctx.log(
                f"contact {contact.name}: its address cannot be read from {contact.url} ({type(error).__name__})"
            )
            return no_address(f"its address cannot be read from {contact.url}")
        if not url.strip():
            return no_address(f"its address, read from {contact.url}, is empty")
        body = letter.body + (" · may be a repeat" if letter.unsure else "")
        self._fault("sending")
        return await self.channels.send(
            url, letter.title, body, letter.notify_type, dedup=letter.alert_id, skip=letter.done
        )

    def _address(self, contact: Contact) -> str:
        return resolve(contact.url, self.ctx.config.folder).reveal()

    def _record(self, tx: Tx, letter: Letter, outcome: Outcome) -> None:
        attempts = letter.attempts + 1
        done = letter.done | outcome.done
        outbox.delivery(tx, letter.id, outcome.ok, outcome.ms, outcome.words)
        alert = rows.get(tx, letter.alert_id)
        if outcome.ok:
            outbox.finish(tx, letter.id, Post.SENT, done=done)
            if alert is not None:
                self._was_told(tx, letter, alert)
            return
        if letter.kind in FIRING and alert is not None and (not alert.open or alert.reopened != letter.seq):
            outbox.finish(tx, letter.id, Post.SUPERSEDED, error=outcome.words, done=done, unsure=outcome.unsure)
            if outcome.unsure and alert.resolved is not None and alert.reopened == letter.seq:
                letters.queue_end(tx, self.ctx.config, alert, letter.recipient)  # it may have arrived after all
            return
        wait = RETRY_MS[min(attempts, len(RETRY_MS)) - 1]
        if (
            outcome.lasting
            and letter.kind in FIRING
            and letter.fallback
            and not outbox.stands(tx, letter, letter.fallback)
        ):
            self._second_contact(tx, letter)  # waiting would not help
        next_at = tx.now + int(wait * self._rng.uniform(1 - JITTER, 1 + JITTER))
        if self._give_up(letter, attempts, outcome, next_at, alert):
            outbox.finish(tx, letter.id, Post.FAILED, error=outcome.words, done=done, unsure=outcome.unsure)
            if alert is not None:
                rows.event(
                    tx, alert.id, "not delivered", letter.recipient, f"given up after {attempts}: {outcome.words}"
                )
            return
        outbox.finish(
            tx, letter.id, Post.PENDING, error=outcome.words, next_at=next_at, done=done, unsure=outcome.unsure
        )
        if alert is not None and attempts == 1:
            rows.event(tx, alert.id, "not delivered", letter.recipient, f"will be tried again: {outcome.words}")

    def _was_told(self, tx: Tx, letter: Letter, alert: rows.Alert) -> None:
        if letter.kind not in FIRING:
            rows.event(tx, alert.id, "told the end", letter.recipient)
            return
        rows.event(tx, alert.id, "told", letter.recipient)
        if alert.reopened != letter.seq:
            return
        rows.update(tx, alert.id, told=alert.told + 1)
        if alert.resolved is not None and not alert.open:
            letters.queue_end(tx, self.ctx.config, alert, letter.recipient)  # it ended while this was on its way

    def _give_up(self, letter: Letter, attempts: int, outcome: Outcome, next_at: int, alert: rows.Alert | None) -> bool:
        if letter.kind == "test":
            return True
        if outcome.lasting and attempts >= LASTING_TRIES:
            return True
        critical = alert is not None and alert.severity == 0 and letter.kind in FIRING
        return not critical and next_at - letter.created > GIVE_UP_AFTER_MS

    # --- trying it out ----------------------------------------------------------------------------------------------

    def recipients(self, to: str | None) -> tuple[str, ...]:
        """Of a contact's name, a route's match, or (None) of everything. RequestError in words."""
        config = self.ctx.config
        if not config.contacts:
            raise RequestError(
                "not_found", "no contact is configured: nobody would be told", "add [[contact]] and [[route]]"
            )
        if to is None:
            return tuple(contact.name for contact in config.contacts)
        if config.contact(to) is not None:
            return (to,)
        for route in config.routes:
            if route.match == to:
                return tuple(dict.fromkeys((*route.to, *((route.fallback,) if route.fallback else ()))))
        known = ", ".join(contact.name for contact in config.contacts)
        raise RequestError(
            "not_found",
            f"{message.plain(to, 80)!r} is neither a contact nor the match of a route",
            f"contacts: {known}",
        )

    async def test(self, to: str | None = None) -> list[Report]:
        """A test message through the whole path: outbox, sender, service. One attempt each; ``run`` need not be running."""
        config = self.ctx.config
        with self.ctx.store.transaction(full=True) as tx:
            batch = ulid(tx.now)
            ids: dict[str, str] = {}
            for recipient in self.recipients(to):
                ids[recipient] = ulid(tx.now)
                title, body = message.trial(
                    recipient,
                    message_id=ids[recipient],
                    timezone=letters.zone_of(config, recipient),
                    now=tx.now,
                    where="Watchfloor",
                )
                outbox.put(
                    tx,
                    id=ids[recipient],
                    alert_id=batch,
                    kind="test",
                    recipient=recipient,
                    notify_type="info",
                    title=title,
                    body=body,
                )
        while True:
            await self.turn()
            with self.ctx.store.transaction() as tx:
                found = {name: outbox.get(tx, id) for name, id in ids.items()}
                if all(letter is None or letter.state > Post.SENDING for letter in found.values()):
                    return [self._report(tx, name, letter) for name, letter in found.items()]
            if self._under_way:
                await asyncio.wait(list(self._under_way.values()), return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.05)

    async def asked(self, body: dict[str, Any], _peer: Peer) -> dict[str, Any]:
        """The socket's ``notify``: ``{"to"?: contact or route match}`` → ``{"reports": [{recipient, ok, words, ms}]}``."""
        to = body.get("to")
        return reports(await self.test(str(to) if to is not None else None))

    def _report(self, tx: Tx, recipient: str, letter: Letter | None) -> Report:
        if letter is None:
            return Report(recipient, False, "its message is gone from the store", 0)
        ms, words = outbox.last_delivery(tx, letter.id)
        return Report(recipient, letter.state is Post.SENT, words, ms)


def _no_fault(_point: str) -> None:
    return


def reports(items: list[Report]) -> dict[str, Any]:
    """As a reply on the socket."""
    return {"reports": [{"recipient": r.recipient, "ok": r.ok, "words": r.words, "ms": r.ms} for r in items]}
