"""The acting room: plan → guards → confirm → intent recorded → one call → verified by reading → audited.

``Actions`` is its door; the engine gives it requests from the socket. Every refusal is a ``RequestError`` in words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from adapters.model import VERBS, ActionState, Verb
from engine.actions.arm import Arming
from engine.actions.audit import Audit
from engine.actions.execute import Executor
from engine.actions.guards import Guard, evaluate, refusal
from engine.actions.plan import REASON_MIN, Plan, Planner, moved, needs, plan_age
from engine.actions.roles import NEEDED, role_of
from engine.actions.target import Observed, observe
from engine.actions.words import REASON_LIMIT, clean
from engine.config.model import Facts
from engine.context import Context
from engine.peer import Peer
from engine.request import RequestError
from engine.store import actions as rows
from engine.store.actions import ActionRecord
from engine.store.writer import Tx

__all__ = ["Actions"]

_VOID = "look at it again and confirm what is there now"


class Actions:
    """Requests of people about the outside world. One object an engine."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._audit = Audit(ctx)
        self._arming = Arming(ctx, self._audit)
        self._planner = Planner(ctx, self._arming)
        self._executor = Executor(ctx, self._audit)

    @property
    def audit(self) -> Audit:
        """The one record of who did what: whoever else has something to record uses this one."""
        return self._audit

    @property
    def busy(self) -> bool:
        """Something is being sent, verified, or asked about."""
        return self._executor.busy

    async def resume(self) -> None:
        """Once, before the first request: nothing is armed, what was in flight is taken over, the audit file catches up."""
        self._arming.clear()
        self._executor.resume()
        self._audit.flush_quietly()

    async def close(self) -> None:
        """Wait a moment for a call on its way; the rest is taken over by the next engine."""
        self._arming.close()
        await self._executor.close()

    # --- requests -------------------------------------------------------------------------------------------------

    async def plan(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"verb", "key", "params"?, "business_date"?}`` → what would be done (see engine.actions.plan). Sends nothing."""
        return await self._planner.plan(body, peer)

    async def arm(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return await self._arming.arm(body, peer)

    async def disarm(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return await self._arming.disarm(body, peer)

    async def act(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"plan", "nonce", "hash", "reason"?, "typed"?}`` → ``{"action", "state", "words"}`` once the intent is on disk.

        The same nonce again gives the same action, never a second call. The call and its proof go on in the engine.
        """
        plan_id, nonce, digest = (_text(body, name) for name in ("plan", "nonce", "hash"))
        first = self._first(nonce)
        if first is not None:
            return _reply(first)
        plan = self._planner.get(plan_id)
        if plan is None:
            raise RequestError("plan_void", "this plan is not known any more (too old, or another engine's)", _VOID)
        if plan.nonce != nonce:
            raise RequestError("plan_void", "this is not the plan that was shown", _VOID)
        async with plan.lock:  # the same Enter twice: the second one finds what the first one began
            first = self._first(nonce)
            if first is not None:
                return _reply(first)
            return await self._act(plan, digest, _reason(body), body.get("typed"), peer)

    async def cancel(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"plan"}``: forget it. ``{"action"}``: only before its call. ``{"action", "outcome": done|not-done, "reason"}``:
        a person says what became of an UNKNOWN one that asking cannot tell."""
        if "action" not in body:
            self._planner.drop(_text(body, "plan"))
            return {"words": "the plan is dropped"}
        action = _text(body, "action")
        if body.get("outcome") is not None:
            return self._settle(action, body, peer)
        record = self._known(action)
        self._may(record, peer, "cancel")
        if record.state is not ActionState.EXECUTING or not self._executor.drop_unsent(action):
            raise RequestError(
                "refused",
                f"it is too late: {record.verb} is {_word(record.state)}",
                "undo it with an action of its own",
            )
        return self._moved(
            record, ActionState.REFUSED, f"cancelled by {peer.who} before it was sent", peer, "cancelled", None
        )

    async def note(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"action", "text"}``: a person's words in an action's history and in the audit."""
        record, text = self._known(_text(body, "action")), clean(_text(body, "text"), REASON_LIMIT)
        if not text:
            raise RequestError("bad_request", "a note needs words")
        with _recording("the note"), self._ctx.store.transaction(full=True) as tx:
            rows.event(tx, record.id, record.state, f"{peer.who}: {text}")
            self._audit.record(
                tx, "note", peer=peer, action_id=record.id, verb=record.verb, key=record.key, body={"words": text}
            )
            tx.bump("note")
        self._audit.flush_quietly()
        return {"action": record.id, "words": "noted"}

    # --- acting ---------------------------------------------------------------------------------------------------

    async def _act(self, plan: Plan, digest: str, reason: str | None, typed: Any, peer: Peer) -> dict[str, Any]:
        ctx = self._ctx
        if plan.uid != peer.uid:
            raise self._refused(plan, peer, "this plan was made by somebody else")
        if plan.hash != digest:
            raise RequestError("plan_void", "this is not the plan that was shown", _VOID)
        if plan.expired(ctx.clock.now(), ctx.clock.monotonic()):
            raise self._void(plan, f"this plan is {plan_age(plan, ctx.clock.now())} old")
        if plan.config_hash != ctx.config.hash or ctx.adapters.get(plan.target.source.name) is not plan.adapter:
            raise self._void(plan, "the configuration changed since")
        if plan.typed is not None and typed != plan.typed:
            raise self._refused(plan, peer, f"type {plan.typed} exactly, then it is done")
        if plan.needs_reason and len(reason or "") < REASON_MIN:
            raise self._refused(plan, peer, f"a reason of {REASON_MIN} characters or more is needed")
        observed = await observe(ctx, plan.target)
        if (was := moved(plan, observed)) is not None:
            raise self._void(plan, was)
        record, fresh = self._intend(plan, peer, reason, observed)
        if fresh:
            self._planner.drop(plan.id)
            self._executor.start(record, plan)
        return _reply(record)

    def _intend(self, plan: Plan, peer: Peer, reason: str | None, observed: Observed) -> tuple[ActionRecord, bool]:
        """Guards once more and the intent, in one transaction; then its line in the audit file. Nothing was sent yet.

        The second value is False where the nonce was used: then it is that action.
        """
        ctx, target = self._ctx, plan.target
        try:
            with ctx.store.transaction(full=True) as tx:
                first = rows.by_nonce(tx, plan.nonce)
                if first is not None:
                    return first, False
                armed = self._arming.left(target.environment, peer.uid)
                guards = evaluate(ctx, tx, target, observed, peer, armed, None, plan.prepared.warnings)
                self._check(tx, plan, guards, reason)
                record = self._executor.commit(tx, plan, peer, reason, observed, guards)
        except sqlite3.IntegrityError:
            raise RequestError("refused", f"another action on {target.name} is in flight", "wait for its end") from None
        except rows.RECORD_ERRORS as error:
            raise RequestError("refused", f"nothing was sent: the intent could not be recorded: {error}") from None
        except RequestError as error:
            if error.code == "refused":
                self._note_refusal(plan, peer, error.message)
            raise
        try:
            self._audit.flush()
        except (OSError, *rows.RECORD_ERRORS) as error:
            words = f"nothing was sent: the audit file could not be written: {error}"
            self._executor.refuse_later(record, words)
            raise RequestError("refused", words) from None
        return record, True

    def _check(self, tx: Tx, plan: Plan, guards: list[Guard], reason: str | None) -> None:
        """Refuse by the first guard that forbids; void where somebody acted on the same thing after this plan was made."""
        target = plan.target
        stop = refusal(guards)
        if stop is not None:
            hint = f"arm {target.environment} first" if stop.name == "armed" else ""
            raise RequestError("refused", f"{stop.words}; nothing was sent", hint)
        last = rows.latest_on(tx, target.scope)
        if last is not None and last.id != plan.last_action:
            raise self._void(plan, f"{last.who} asked for {last.verb} after this plan was made ({_word(last.state)})")
        wanted = needs(target, guards, unarmed=False)
        if wanted["reason"] and len(reason or "") < REASON_MIN:
            raise RequestError(
                "refused", f"a reason of {REASON_MIN} characters or more is needed now", "a window opened since"
            )

    def _void(self, plan: Plan, why: str) -> RequestError:
        """The plan is gone; nothing was sent."""
        self._planner.drop(plan.id)
        return RequestError("plan_void", f"{why}; nothing was sent", _VOID)

    def _refused(self, plan: Plan, peer: Peer, why: str) -> RequestError:
        self._note_refusal(plan, peer, why)
        return RequestError("refused", f"{why}; nothing was sent")

    def _note_refusal(self, plan: Plan, peer: Peer, why: str) -> None:
        """Who tried what, for the audit; a record that cannot be written does not change the refusal."""
        try:
            with self._ctx.store.transaction() as tx:
                body = {"words": why, "plan_hash": plan.hash, "environment": plan.target.environment}
                self._audit.record(
                    tx, "refused", peer=peer, verb=plan.target.verb.value, key=plan.target.key, body=body
                )
        except rows.RECORD_ERRORS as error:
            self._ctx.log(f"a refusal could not be recorded: {error}")
        self._audit.flush_quietly()

    # --- what people say of actions -------------------------------------------------------------------------------

    def _settle(self, action: str, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """An UNKNOWN that asking cannot end blocks its pipeline; a person who looked may end it, and is named."""
        record, outcome, reason = self._known(action), body.get("outcome"), _reason(body)
        if outcome not in ("done", "not-done"):
            raise RequestError("bad_request", "an outcome is done or not-done")
        self._may(record, peer, "settle")
        if record.state is not ActionState.UNKNOWN:
            raise RequestError(
                "refused", f"it is {_word(record.state)}: only what is unknown can be settled by a person"
            )
        if len(reason or "") < REASON_MIN:
            raise RequestError("refused", f"say in {REASON_MIN} characters or more how you know")
        state = ActionState.RECONCILED_DONE if outcome == "done" else ActionState.RECONCILED_NOT_DONE
        reply = self._moved(
            record, state, f"{peer.who} says {outcome.replace('-', ' ')}: {reason}", peer, "settled", reason
        )
        self._executor.forget(action)
        return reply

    def _moved(
        self, record: ActionRecord, state: ActionState, words: str, peer: Peer, event: str, reason: str | None
    ) -> dict[str, Any]:  # fmt: skip
        with _recording(event), self._ctx.store.transaction(full=True) as tx:
            if not rows.move(tx, record.id, state, words, ended=True):
                raise RequestError("refused", "it ended in this moment", "look at it again")
            self._audit.record(
                tx, event, peer=peer, action_id=record.id, verb=record.verb, key=record.key,
                body={"state": state.name, "words": words, "reason": reason},
            )  # fmt: skip
        self._audit.flush_quietly()
        return {"action": record.id, "state": int(state), "words": words}

    def _may(self, record: ActionRecord, peer: Peer, what: str) -> None:
        source = record.pipeline_key.partition(":")[0]
        environment = next((s.environment for s in self._ctx.config.sources if s.name == source), "")
        with self._ctx.store.transaction() as tx:
            known = rows.pipeline_facts(tx, record.pipeline_key)
        facts = Facts(
            key=record.key, source=source, environment=environment, application=known.application if known else None,
            layer=known.layer if known else None, tags=known.tags if known else (),
        )  # fmt: skip
        role = role_of(self._ctx.config, facts, peer)
        if self._ctx.read_only or role < NEEDED[VERBS[Verb(record.verb)].klass]:
            raise RequestError("refused", f"{peer.who} may not {what} actions here")

    def _known(self, action: str) -> ActionRecord:
        with self._ctx.store.transaction() as tx:
            record = rows.get(tx, action)
        if record is None:
            raise RequestError("not_found", f"no action {clean(action, 40)}")
        return record

    def _first(self, nonce: str) -> ActionRecord | None:
        try:
            with self._ctx.store.transaction() as tx:
                return rows.by_nonce(tx, nonce)
        except rows.RECORD_ERRORS as error:
            raise RequestError("refused", f"nothing was sent: the intent could not be recorded: {error}") from None


def _reply(record: ActionRecord) -> dict[str, Any]:
    return {"action": record.id, "state": int(record.state), "words": record.words}


def _word(state: ActionState) -> str:
    return state.name.lower().replace("_", " ")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise RequestError("bad_request", f"{name} is missing")
    return value


def _reason(body: dict[str, Any]) -> str | None:
    value = body.get("reason")
    if value is not None and not isinstance(value, str):
        raise RequestError("bad_request", "a reason is text")
    return clean(value or "", REASON_LIMIT) or None


@contextmanager
def _recording(what: str) -> Generator[None]:
    """A store that cannot be written, in words."""
    try:
        yield
    except rows.RECORD_ERRORS as error:
        raise RequestError("refused", f"{what} could not be recorded: {error}") from None
