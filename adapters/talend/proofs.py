"""Whether what was done to TMC took effect. Reads only; Done needs a fact that was not so when the action was planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from adapters.base import Done, NotDone, Prepared, Reconciled, Several
from adapters.errors import NotFound
from adapters.model import State, Verb, parse_key, pipeline_key, run_key
from adapters.talend import reads
from adapters.talend.acts import STARTS, Context
from adapters.talend.changes import active
from adapters.talend.wire import PLAN, TASK, ms, native, pause_of, plan_state, task_state

EARLY_MS: Final = 5_000
"""A trigger may be stamped a little before the server's own time of our question."""


async def reconcile(ctx: Context, kind: str, ident: str, run: str, prepared: Prepared) -> Reconciled:
    """``run``: native id of the run that a verb of a run is about."""
    verb = prepared.action.verb
    if verb in STARTS:
        return await _started(ctx, kind, ident, prepared)
    if verb is Verb.STOP:
        return await _stopped(ctx, kind, ident, run, prepared)
    return await _paused(ctx, kind, ident, bool(prepared.memo["paused"]))


async def _paused(ctx: Context, kind: str, ident: str, want: bool) -> Reconciled:
    thing = await reads.thing(ctx.http, kind, ident)
    details = thing.planPauseDetails if isinstance(thing, reads.PlanItem) else thing.taskPauseDetails
    words = "paused" if pause_of(details) else "active"
    return Done(f"{thing.name or ident} is {words}") if pause_of(details) == want else NotDone(f"still {words}")


# --- start and run again ----------------------------------------------------------------------------------------------


async def _started(ctx: Context, kind: str, ident: str, prepared: Prepared) -> Reconciled:
    """The execution that we were answered with; without an answer, or where that id leads nowhere (to a microservice TMC
    answers with a receipt), the one that is there now, was not before, and is known to be by us. A colleague may start the
    same by hand: what is not known to be ours is for a person to tell, also where it is the only one."""
    told = ctx.made.get(prepared.action.client_id)
    if told is None and prepared.answered is not None:
        told = parse_key(prepared.answered).run
    if told is not None:
        try:
            item, _ = await reads.run(ctx.http, kind, ident, told)
        except NotFound:
            pass
        else:
            if item.userId:
                ctx.learn(item.userId)
            return _judge(ctx, kind, ident, item)
    found = await _begun_since(ctx, kind, ident, prepared)
    if named := [i for i in found if i.executionId == told]:
        return _judge(ctx, kind, ident, named[0])
    ours = ctx.ours()
    maybe = [i for i in found if not ours or not i.userId or i.userId in ours]
    if not maybe:
        others = f" of ours, {len(found)} of others" if found else ""
        return NotDone(f"TMC lists no new execution of this {kind}{others}")
    if len(maybe) == 1 and maybe[0].userId in ours:
        judged = _judge(ctx, kind, ident, maybe[0])
        return replace(judged, words=f"{judged.words} (of user {maybe[0].userId})")
    users = ", ".join(sorted({i.userId or "unknown" for i in maybe}))
    many = f"{len(maybe)} executions" if len(maybe) > 1 else "one execution"
    which = "which of them is ours" if len(maybe) > 1 else "whether it is ours"
    said = f"{many} of this {kind} began since, by user {users}; TMC does not tell {which}"
    return Several(said, tuple(_key(ctx, kind, ident, i) for i in maybe))


async def _begun_since(ctx: Context, kind: str, ident: str, prepared: Prepared) -> list[Any]:
    """New executions that nothing else explains: no schedule, no webhook, no plan."""
    sent = ctx.sent.get(prepared.action.client_id, 0)
    memo = prepared.memo
    seen = {str(i) for i in memo.get("seen") or ()}
    since = memo.get("since")
    listed, _, _ = await reads.runs(ctx.http, kind, {"lastDays": 2}, ident=ident, most=3)
    return [
        i
        for i in listed
        if i.executionId not in seen
        and i.executionType not in ("SCHEDULED", "WEBHOOK", "PLAN")
        and not _too_early(i, max(since, sent) if isinstance(since, int) else sent)
    ]


def _too_early(item: Any, since: int) -> bool:
    at = ms(item.triggerTimestamp) or ms(item.startTimestamp)
    return at is not None and at < since - EARLY_MS


def _key(ctx: Context, kind: str, ident: str, item: Any) -> str:
    return run_key(pipeline_key(ctx.source, native(kind, ident)), item.executionId)


def _judge(ctx: Context, kind: str, ident: str, item: Any) -> Reconciled:
    judge = task_state if kind == TASK else plan_state
    over = ms(item.finishTimestamp) is not None
    word, state, sub = judge(item.executionStatus, item.status, item.misfiredExecutionReason, over)
    named = f"execution {item.executionId}"
    if state is State.SKIPPED:
        return NotDone(f"{named} was refused by TMC: {sub or word}", final=True)
    if state is State.QUEUED or word.endswith("?"):
        return NotDone(f"{named} is there, {word}", begun=True)
    return Done(f"{named} is {word}", _key(ctx, kind, ident, item))


# --- stop -------------------------------------------------------------------------------------------------------------


async def _stopped(ctx: Context, kind: str, ident: str, run: str, prepared: Prepared) -> Reconciled:
    try:
        item, _ = await reads.run(ctx.http, kind, ident, run)
    except NotFound:
        return NotDone("TMC no longer has this run", final=True)
    over = ms(item.finishTimestamp) is not None
    judge = task_state if kind == TASK else plan_state
    word, state, _ = judge(item.executionStatus, item.status, item.misfiredExecutionReason, over)
    if state.terminal:
        how = "had ended by itself" if state in (State.SUCCESS, State.WARNING) else "has ended"
        return Done(f"the run {how}: {word}", prepared.action.key)
    if kind == PLAN:
        going = 0
        for execution in prepared.memo.get("tasks") or ():
            going += await _goes_on(ctx, str(execution))
        if not going:
            return NotDone(f"its tasks were stopped, but the plan goes on ({word}): stop what it runs now, too")
        return NotDone(f"{going} of its tasks still going", begun=False)
    return NotDone(f"stop was asked for, the run is still {word}")


async def _goes_on(ctx: Context, execution: str) -> bool:
    try:
        found, _ = await ctx.http.get(reads.run_path(TASK, execution), reads.TaskRun)
    except NotFound:
        return False
    return active(found)
