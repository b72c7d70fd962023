"""``start`` and ``stop`` of a pipeline (Delta Live Tables): one update, and its end."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.base import Action, Done, NotDone, Prepared, Reconciled, SendResult, Sent, Several
from adapters.databricks import updates
from adapters.databricks.calls import call
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, State, Verb, run_key

BEFORE_MS = 5_000


class _Made(msgspec.Struct):
    update_id: str


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    ident = updates.uuid_of(key.pipeline)
    if action.verb is Verb.START:
        return await _start(http, ident, action)
    if action.verb is Verb.STOP:
        return await _stop(http, ident, key, action)
    raise Unsupported(
        f"Databricks has no {action.verb} for a pipeline: an update is run again by start, and what starts it is a job"
    )


async def _start(http: Http, ident: str, action: Action) -> Prepared:
    if action.params or action.business_date:
        what = "an update takes no parameters here"
        raise Conflict(what, "a full refresh throws away what is in the tables: do that in Databricks")
    status, answer = await updates.one(http, ident)
    latest = await updates.updates(http, ident)
    active = [u for u in latest if not updates.state_of(u)[1].terminal]
    if active:
        raise Conflict(f"an update is {active[0].state} already, and a pipeline has one at a time")
    body: dict[str, Any] = {"full_refresh": False}
    return Prepared(
        action=action,
        calls=(call(http, updates.path(ident, "/updates"), body),),
        idempotent=False,
        effect=f"one update of {status.name or ident} now",
        proof="Databricks shows a new update past its queue",
        undo="stop the update",
        note="Databricks refuses a second one while it is active",
        memo={"known": [u.update_id for u in latest], "at": answer.server_time},
    )


async def _stop(http: Http, ident: str, key: Key, action: Action) -> Prepared:
    item = await updates.update(http, ident, updates.whole(key.run or "", "update"))
    native, state, _ = updates.state_of(item)
    if state.terminal:
        raise Conflict(f"the update has already ended: {native}")
    return Prepared(
        action=action,
        calls=(call(http, updates.path(ident, "/stop"), {}),),
        idempotent=True,
        effect="ends the update",
        proof="Databricks says the update has ended",
        undo="start makes a new update, which goes on from what is in the tables",
        note="a continuous pipeline stands still until it is started again",
        patience_s=300.0,
    )


async def still_ours(http: Http, key: Key) -> str | None:
    """Why it must not be stopped now: ``stop`` names the pipeline, not the update. None where that update is the active one."""
    item = await updates.update(http, updates.uuid_of(key.pipeline), key.run or "")
    native, state, _ = updates.state_of(item)
    return f"the update has ended meanwhile: {native}" if state.terminal else None


def taken(key: Key, prepared: Prepared, answer: Answer) -> SendResult:
    if prepared.action.verb is Verb.STOP:
        answer.decode(dict[str, Any])
        return Sent("Databricks took it", str(key.run_key))
    made = answer.decode(_Made).update_id
    return Sent(f"Databricks answers: update {made}", run_key(key.pipeline_key, made))


async def reconcile(http: Http, key: Key, prepared: Prepared, answered: str | None) -> Reconciled:
    ident = updates.uuid_of(key.pipeline)
    if prepared.action.verb is Verb.STOP:
        return await _is_stopped(http, ident, key)
    known = set(prepared.memo.get("known", ()))
    new = [u for u in await updates.updates(http, ident) if u.update_id not in known]
    if answered is not None:
        new = [u for u in new if u.update_id == answered]
    else:
        new = [u for u in new if u.cause in (None, "API_CALL")]
    if not new:
        return NotDone("the pipeline has no new update")
    if answered is None:
        what = "an update" if len(new) == 1 else f"{len(new)} updates"
        keys = tuple(run_key(key.pipeline_key, u.update_id) for u in new)
        return Several(f"{what} began since by a call, and Databricks does not tell by whom", keys)
    native, state, sub = updates.state_of(new[0])
    words = f"update {new[0].update_id} is {native}" + (f" ({sub})" if sub else "")
    if native.endswith("?") or (state is State.QUEUED and not sub):
        return NotDone(words, begun=True)
    return Done(words, run_key(key.pipeline_key, new[0].update_id))


async def _is_stopped(http: Http, ident: str, key: Key) -> Reconciled:
    try:
        item = await updates.update(http, ident, key.run or "")
    except NotFound:
        return NotDone("Databricks no longer tells of this update", final=True)
    native, state, _ = updates.state_of(item)
    if not state.terminal:
        return NotDone(f"stop was asked for, the update is still {native}", begun=state is State.STOPPING)
    own = "has ended" if state is State.STOPPED else "had ended by itself"
    return Done(f"the update {own}: {native}", str(key.run_key))
