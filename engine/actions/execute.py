"""From a confirmed plan to its end: intent on disk, one call, what the world says, the record of it.

Order is the law here: nothing is sent before its intent is committed with ``synchronous=FULL`` and its audit line is on
disk; a call is made at most once, whatever is lost; what is not known is called unknown until it was asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, Final

from adapters.base import Action, Adapter, Call, NotSent, Prepared, SendResult, Unknown
from adapters.errors import (
    AdapterError,
    AuthFailed,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.model import ActionState, Key, Run, Verb, parse_key
from engine.actions.audit import Audit, canonical, facts
from engine.actions.guards import Guard
from engine.actions.plan import Plan
from engine.actions.target import Observed, Target, timed
from engine.actions.verify import Outcome, reconcile, verify
from engine.actions.words import clean, hide, mask, pipeline_words, run_words, secret_values, shown, state_word
from engine.context import Context
from engine.ids import ulid
from engine.peer import Peer
from engine.store import actions as rows
from engine.store.actions import ActionRecord
from engine.store.writer import Tx

SEND_S: Final = 60.0
"""Seconds that a call may take; after that its answer is lost."""
CLOSE_S: Final = 5.0
"""How long an engine that ends waits for a call that is on its way."""
LEAST_PATIENCE_S: Final = 10.0
LOST_BY_US: Final = "the engine ended while the call was being made: it may have happened"
UNREADABLE: Final = "what was prepared for it cannot be read any more: a person must find out"
BACKFILLS: Final = (Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL)
_REFUSED: Final = (NotFound, Forbidden, AuthFailed, Conflict, Unsupported, RateLimited)
"""Errors that are answers: the system looked at the call and did not do it."""


class Executor:
    """Owns every action in flight. One task each; ``busy`` while there are any."""

    def __init__(self, ctx: Context, audit: Audit) -> None:
        self._ctx = ctx
        self._audit = audit
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sending: dict[str, asyncio.Event] = {}
        """Actions whose call is on its way or whose answer is not written yet; set when it is."""

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    # --- intent ---------------------------------------------------------------------------------------------------

    def commit(
        self, tx: Tx, plan: Plan, peer: Peer, reason: str | None, observed: Observed, guards: list[Guard]
    ) -> ActionRecord:  # fmt: skip
        """Write intent and audit record. Raises IntegrityError where nonce or scope is taken; the caller's transaction."""
        target, prepared = plan.target, plan.prepared
        before = {**observed.now(), **facts(observed.thing), **_more(tx, target, prepared.action)}
        record = ActionRecord(
            id=ulid(tx.now),
            nonce=plan.nonce,
            verb=target.verb.value,
            key=target.key,
            pipeline_key=target.parsed.pipeline_key,
            scope=target.scope,
            environment=target.environment,
            state=ActionState.EXECUTING,
            words=f"{peer.who} asked for {target.verb}",
            client_id=prepared.action.client_id,
            plan_hash=plan.hash,
            plan=canonical({k: v for k, v in plan.shown.items() if k not in ("nonce", "hash", "plan", "expires")}),
            prepared=pack(prepared),
            reason=reason,
            who=peer.who,
            uid=peer.uid,
            created=tx.now,
            changed=tx.now,
            before=canonical(before),
            attempt=observed.attempt,
            seen_attempt=observed.seen_attempt,
        )
        rows.insert(tx, record)
        self._audit.record(
            tx,
            "intent",
            peer=peer,
            action_id=record.id,
            verb=record.verb,
            key=record.key,
            body={
                "class": target.spec.klass.value,
                "environment": target.environment,
                "protected": target.source.protected,
                "reason": reason,
                "typed": plan.typed,
                "plan_hash": plan.hash,
                "config_hash": plan.config_hash,
                "client_id": record.client_id,
                "params": hide(mask(dict(prepared.action.params)), secret_values(prepared.action.params)),
                "business_date": prepared.action.business_date,
                "calls": plan.shown["calls"],
                "guards": [g.shown() for g in guards],
                "before": before,
            },
        )
        return record

    def start(self, record: ActionRecord, plan: Plan) -> None:
        """Send, in a task of its own; called once, after the intent is on disk."""
        self._spawn(record.id, self._execute(record, plan))

    def drop_unsent(self, action_id: str) -> bool:
        """Take an action's task away if its call has not begun; False where it has."""
        task = self._tasks.get(action_id)
        if task is None or action_id in self._sending:
            return False
        task.cancel()
        return True

    def forget(self, action_id: str) -> None:
        """Stop asking after an action that a person has settled."""
        task = self._tasks.get(action_id)
        if task is not None:
            task.cancel()

    def refuse_later(self, record: ActionRecord, words: str) -> None:
        """An intent whose audit line could not be written: it is refused as soon as the store can be written."""
        self._spawn(record.id, self._mark(record, ActionState.REFUSED, words, ended=True))

    # --- one action -----------------------------------------------------------------------------------------------

    async def _execute(self, record: ActionRecord, plan: Plan) -> None:
        prepared = plan.prepared
        over = self._sending[record.id] = asyncio.Event()
        try:
            result = await self._send(plan)
            said = clean(result.words, 300)
            if isinstance(result, NotSent):
                await self._mark(record, ActionState.FAILED_NOT_EXECUTED, f"not done: {said}", ended=True)
            elif isinstance(result, Unknown):
                await self._mark(record, ActionState.UNKNOWN, said, sent=True)
            else:
                await self._mark(record, ActionState.VERIFYING, said, result_key=result.run, sent=True)
        finally:
            del self._sending[record.id]
            over.set()
        if isinstance(result, NotSent):
            return
        self._ctx.poll_soon(plan.target.source.name)
        if isinstance(result, Unknown):
            await self._ask(record, prepared, said, prepared.patience_s)
        else:
            await self._prove(record, prepared, said, prepared.patience_s)

    async def _send(self, plan: Plan) -> SendResult:
        """The one call. What cannot be told to have failed before it left is Unknown, bugs included."""
        try:
            return await timed(plan.adapter.send(plan.prepared), SEND_S)
        except Unreachable as error:
            return Unknown(error.what) if error.sent else NotSent(error.what)
        except _REFUSED as error:
            return NotSent(error.what)
        except AdapterError as error:
            return Unknown(f"the answer was lost: {error.what}")
        except Exception as error:
            self._ctx.log(f"{plan.target.source.name}: send stumbled: {type(error).__name__}: {error}")
            return Unknown(f"the call stumbled ({type(error).__name__}); it may have left")

    async def _prove(self, record: ActionRecord, prepared: Prepared, sent: str, patience_s: float) -> None:
        async def say(words: str) -> None:
            await self._mark(record, ActionState.VERIFYING, words, quiet=True)

        outcome = await verify(self._ctx, _source(record), prepared, sent, patience_s, say)
        await self._end(record, outcome)

    async def _ask(
        self, record: ActionRecord, prepared: Prepared, lost: str, patience_s: float, slow: bool = False
    ) -> None:
        """UNKNOWN until asking tells; after patience rarely, but as long as this engine lives."""

        async def say(words: str) -> None:
            await self._mark(record, ActionState.UNKNOWN, words, quiet=True, ended=slow)

        while True:
            outcome = await reconcile(self._ctx, _source(record), prepared, lost, patience_s, say, slow)
            await self._end(record, outcome)
            if not outcome.open:
                return
            slow = True

    async def _end(self, record: ActionRecord, outcome: Outcome) -> None:
        """The outcome and, where the effect is there, the state as it is read now."""
        self._ctx.poll_soon(_source(record))
        after = None
        if outcome.state in (
            ActionState.DONE,
            ActionState.RECONCILED_DONE,
            ActionState.VERIFY_TIMEOUT,
            ActionState.FAILED_EXECUTED,
        ):
            after = await self._after(record, outcome.run)
        await self._mark(
            record, outcome.state, outcome.words, result_key=outcome.run, after=after, ended=True, asked=outcome.asked
        )

    async def _after(self, record: ActionRecord, made: str | None) -> str | None:
        """State after the action, best effort: of the run it made where there is one, else of its target."""
        adapter = self._ctx.adapters.get(_source(record))
        if adapter is None:
            return None
        parsed = parse_key(record.key)
        key = made or parsed.run_key or record.pipeline_key
        began = self._ctx.clock.now()
        try:
            thing = await timed(adapter.read(key), 5.0)
            more = await timed(_look_closer(adapter, record, parsed), 5.0)
        except Exception as error:  # only an addition to the record: the outcome stands without it
            return canonical({"key": key, "words": f"could not be read: {clean(str(error), 200)}", "read_at": began})
        if isinstance(thing, Run):
            seen: dict[str, Any] = {
                "state": int(thing.state),
                "word": state_word(thing.state),
                "native": clean(thing.native, 60),
            }
            seen |= {"attempt": thing.attempt, "words": run_words(thing, began)}
        else:
            with self._ctx.store.transaction() as tx:
                active = rows.active_runs(tx, record.pipeline_key)
            seen = {"mode": int(thing.mode), "word": thing.mode.name.lower(), "words": pipeline_words(thing, active)}
        return canonical({"read_at": began, **seen, **facts(thing), **more})

    async def _mark(
        self,
        record: ActionRecord,
        state: ActionState,
        words: str,
        *,
        result_key: str | None = None,
        after: str | None = None,
        ended: bool = False,
        sent: bool = False,
        quiet: bool = False,
        asked: int | None = None,
    ) -> None:
        """Write a step of its life; while the disk refuses, try again: what happened outside must not be forgotten.

        ``quiet``: progress within a state, which the audit leaves out and which may be lost.
        """
        pause = 0.5
        while True:
            try:
                with self._ctx.store.transaction(full=not quiet) as tx:
                    if not rows.move(
                        tx, record.id, state, words, result_key=result_key, after=after, ended=ended, sent=sent
                    ):
                        return
                    if not quiet:
                        body: dict[str, Any] = {"state": state.name, "words": words, "result": result_key}
                        body |= {} if asked is None else {"readings": asked}
                        body |= (
                            {}
                            if after is None
                            else {"before": json.loads(record.before or "null"), "after": json.loads(after)}
                        )
                        self._audit.record(
                            tx,
                            state.name.lower(),
                            peer=None,
                            action_id=record.id,
                            verb=record.verb,
                            key=record.key,
                            body=body,
                        )
                break
            except rows.RECORD_ERRORS as error:
                self._ctx.log(f"action {record.id}: {state.name} could not be written: {error}")
                if quiet:
                    return
                await self._ctx.clock.sleep(pause)
                pause = min(pause * 2, 10.0)
        if not quiet:
            self._audit.flush_quietly()

    # --- life -----------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Take over what an engine before us left. A call that may have been on its way is never made again."""
        with self._ctx.store.transaction(full=True) as tx:
            found = rows.open_actions(tx)
            for record in found:
                if record.state is ActionState.EXECUTING:
                    body = {"state": ActionState.UNKNOWN.name, "words": LOST_BY_US}
                    rows.move(tx, record.id, ActionState.UNKNOWN, LOST_BY_US)
                    self._audit.record(
                        tx, "unknown", peer=None, action_id=record.id, verb=record.verb, key=record.key, body=body
                    )
            said = {record.id: rows.first_words(tx, record.id, record.state) for record in found}
        for record in found:
            try:
                prepared = unpack(record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._ctx.log(
                    f"action {record.id}: what was prepared cannot be read ({error}); a person must settle it"
                )
                self._spawn(record.id, self._mark(record, ActionState.UNKNOWN, UNREADABLE, ended=True))
                continue
            age = max(0, self._ctx.clock.now() - record.created) / 1000
            left = max(LEAST_PATIENCE_S, prepared.patience_s - age)
            if record.state is ActionState.VERIFYING:
                self._spawn(record.id, self._prove(record, prepared, said[record.id], left))
            elif record.state is ActionState.EXECUTING:
                self._spawn(record.id, self._ask(record, prepared, LOST_BY_US, prepared.patience_s))
            else:
                self._spawn(
                    record.id, self._ask(record, prepared, said[record.id], left, slow=record.ended is not None)
                )

    async def close(self) -> None:
        """Wait a moment for a call that is on its way, then leave; what was not written is found as it stands."""
        try:
            async with asyncio.timeout(CLOSE_S):
                for over in list(self._sending.values()):
                    await over.wait()
        except TimeoutError:
            pass
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, action_id: str, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"action {action_id}")
        self._tasks[action_id] = task
        task.add_done_callback(lambda t: self._over(action_id, t))

    def _over(self, action_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(action_id) is task:
            del self._tasks[action_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ctx.log(f"action {action_id} stumbled: {type(error).__name__}: {error}")


def _source(record: ActionRecord) -> str:
    return record.pipeline_key.partition(":")[0]


# --- what only some verbs change ---------------------------------------------------------------------------------------


def _more(tx: Tx, target: Target, action: Action) -> dict[str, Any]:
    """Of a step its state, of a backfill how far it is, as they were seen last: the source was not asked for these."""
    if target.parsed.step is not None:
        named = target.parsed.step if target.parsed.map_index < 0 else f"{target.parsed.step}.{target.parsed.map_index}"
        state = dict(rows.steps_now(tx, target.read_key)).get(named)
        return {"step": clean(named, 200), "step_state": None if state is None else state_word(state)}
    ident = action.params.get("id")
    if action.verb in BACKFILLS and ident is not None:
        return {"operation": rows.operation_words(tx, target.source.name, str(ident))}
    return {}


async def _look_closer(adapter: Adapter, record: ActionRecord, key: Key) -> dict[str, Any]:
    """The same as its source tells it now."""
    if key.step is not None and key.run_key is not None:
        tries = [s for s in await adapter.steps(key.run_key) if (s.step, s.map_index) == (key.step, key.map_index)]
        last = max(tries, key=lambda s: s.attempt, default=None)
        named = key.step if key.map_index < 0 else f"{key.step}.{key.map_index}"
        return {"step": clean(named, 200), "step_state": None if last is None else state_word(last.state)}
    if record.verb not in BACKFILLS and record.verb != Verb.BACKFILL:
        return {}
    wanted = str(json.loads(record.prepared)["action"]["params"].get("id") or "")
    found = [o for o in await adapter.operations((record.pipeline_key,)) if o.pipeline == record.pipeline_key]
    if wanted:
        found = [o for o in found if o.id == wanted]
    elif record.verb == Verb.BACKFILL:  # the one that came to be
        found = [o for o in found if o.created is not None and o.created >= record.created - 60_000]
    if len(found) != 1:
        return {}
    one = found[0]
    return {"operation": rows.progress_words(one.id, one.state, one.done, one.failed, one.planned)}


# --- prepared, as it is kept ---------------------------------------------------------------------------------------


def pack(prepared: Prepared) -> str:
    """JSON of what ``reconcile`` needs after a restart. Params, calls and memo masked: no secret goes into the store."""
    action = prepared.action
    secrets = secret_values(action.params)
    return canonical(
        {
            "action": {
                "verb": action.verb.value,
                "key": action.key,
                "client_id": action.client_id,
                "params": hide(mask(dict(action.params)), secrets),
                "business_date": action.business_date,
                "who": action.who,
            },
            "calls": [shown(call, secrets) for call in prepared.calls],
            **{name: hide(getattr(prepared, name), secrets) for name in ("effect", "proof", "undo", "note")},
            **{name: getattr(prepared, name) for name in ("idempotent", "steady", "patience_s")},
            # by name only: a value that also stands in an id must not keep reconcile from finding it
            "memo": mask(dict(prepared.memo)),
        }
    )


def unpack(record: ActionRecord) -> Prepared:
    """The same again. It is good for ``reconcile`` and must never be sent: its calls are masked."""
    found: dict[str, Any] = json.loads(record.prepared)
    action: dict[str, Any] = found.pop("action")
    verb = Verb(action.pop("verb"))
    calls = tuple(Call(**call) for call in found.pop("calls"))
    return Prepared(action=Action(verb=verb, **action), calls=calls, answered=record.result_key, **found)
