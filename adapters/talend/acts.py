"""What is done to TMC: the exact calls, how they are sent, and how the world is asked whether they took effect.

TMC knows no id of ours: after a lost answer a start is looked for among the executions that are there now and were not when
the action was planned, and of them the one that is known to be by our user. Else it is a question for a person. A plan's run cannot be stopped by any documented
call; its running tasks can.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from adapters.base import Action, Call, NotSent, Prepared, SendResult, Sent, Unknown
from adapters.errors import AdapterError, BadResponse, Conflict, NotFound, RateLimited, Unreachable, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, Run, State, Verb, pipeline_key, run_key
from adapters.talend import reads, steps
from adapters.talend.auth import TalendAuth
from adapters.talend.estate import Estate
from adapters.talend.wire import JOB, PLAN, TASK, Made, PlanRun, TaskRun, native, pause_of

VERBS: Final = (
    Verb.START,
    Verb.PAUSE,
    Verb.RESUME,
    Verb.STOP,
    Verb.RERUN,
    Verb.RERUN_FAILED,
    Verb.RERUN_FROM,
)
STARTS: Final = (Verb.START, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM)
MASKED: Final = {"Authorization": "Bearer ****", "Content-Type": "application/json"}
DELETES: Final = {"Authorization": "Bearer ****", "Accept": "*/*"}
"""With ``Accept: application/json`` a stop was answered 406."""
_KNOWN: Final = (
    ("POST", re.compile(r"/processing/executions(/plans)?")),
    ("DELETE", re.compile(r"/processing/executions/(?!plans$)[^/]+")),
    ("PUT", re.compile(r"/orchestration/executables/(tasks|plans)/[^/]+/pause")),
)
_REMEMBERED: Final = 100


class Context:
    """What the acts of one source share. ``made``: client id → execution that its start was answered with; ``sent``: client id →
    the server's time shortly before it was sent. ``user``: id of the user whose credential it is, as configured; empty where it
    is not known."""

    def __init__(self, http: Http, source: str, estate: Estate, user: str) -> None:
        self.http, self.source, self.estate = http, source, estate
        self.made: dict[str, str] = {}
        self.sent: dict[str, int] = {}
        self._user = user
        self._learnt: tuple[int, frozenset[str]] = (0, frozenset())

    def learn(self, user: str) -> None:
        """A run that we were answered with is by this user, so that is who we are as long as the credential is the same."""
        self._learnt = (self._credential, frozenset({user}))

    def ours(self) -> frozenset[str]:
        """Users that are known to be us; empty: nobody knows."""
        count, learnt = self._learnt
        found = learnt if count == self._credential else frozenset[str]()
        return found | {self._user} if self._user else found

    @property
    def _credential(self) -> int:
        auth = self.http.auth
        return auth.changed if isinstance(auth, TalendAuth) else 0

    def remember(self, client_id: str, execution: str) -> None:
        self.made[client_id] = execution
        while len(self.made) > _REMEMBERED:
            self.made.pop(next(iter(self.made)))

    def sending(self, client_id: str) -> None:
        """A start leaves now: what was triggered before is not it."""
        if self.http.server_time is not None:
            self.sent[client_id] = self.http.server_time
        while len(self.sent) > _REMEMBERED:
            self.sent.pop(next(iter(self.sent)))


async def prepare(
    ctx: Context, kind: str, ident: str, key: Key, run: Run | None, item: Any, action: Action
) -> Prepared:
    """Works out the calls. ``run`` and ``item``: the run as it was just read, for verbs of a run."""
    match action.verb:
        case Verb.PAUSE | Verb.RESUME:
            return await _pause(ctx, kind, ident, action)
        case Verb.START:
            return await _start(ctx, kind, ident, action, None)
        case Verb.RERUN:
            assert run is not None
            if not run.state.terminal:
                raise Conflict(f"the run has not ended ({run.native}): stop it first")
            return await _start(ctx, kind, ident, action, run)
        case Verb.STOP:
            assert run is not None
            if run.state.terminal:
                raise Conflict(f"the run has already ended: {run.native}")
            if kind == TASK:
                return _stop_task(ctx, ident, item, action)
            return await _stop_plan(ctx, ident, item, action)
        case Verb.RERUN_FAILED | Verb.RERUN_FROM:
            assert run is not None
            return await _from_step(ctx, kind, ident, key, run, item, action)
        case _:
            raise Unsupported(f"{action.verb} is not offered for TMC")


def _call(http: Http, method: str, path: str, body: Any = None) -> Call:
    return Call(method=method, target=http.url(path), body=body, headers=DELETES if method == "DELETE" else MASKED)


async def _pause(ctx: Context, kind: str, ident: str, action: Action) -> Prepared:
    want = action.verb is Verb.PAUSE
    thing = await reads.thing(ctx.http, kind, ident)
    name = thing.name or ident
    details = thing.planPauseDetails if isinstance(thing, reads.PlanItem) else thing.taskPauseDetails
    if pause_of(details) == want:
        raise Conflict(f"{name} is already {'paused' if want else 'active'}")
    context = f"{'paused' if want else 'resumed'}{f' by {action.who}' if action.who else ''} with Watchfloor"
    if want:
        effect = f"no new run of {kind} {name}: neither by its schedule nor by hand nor by a call"
        note = "runs that are going on end by themselves; what is due meanwhile is skipped, not kept"
    else:
        effect, note = f"{kind} {name} runs again, by its schedule and by hand", ""
        if details is not None and (details.user or details.pauseContext):
            note = f"it was paused by {details.user or '?'}: {details.pauseContext or 'without a reason'}"
    return Prepared(
        action=action,
        calls=(_call(ctx.http, "PUT", reads.pause_path(kind, ident), {"pause": want, "pauseContext": context}),),
        idempotent=True,
        effect=effect,
        proof=f"TMC says pause = {str(want).lower()} in two readings",
        undo="resume" if want else "pause",
        note=note,
        steady=2,
        patience_s=60.0,
        memo={"paused": want},
    )


async def _start(ctx: Context, kind: str, ident: str, action: Action, again: Run | None) -> Prepared:
    thing = await reads.thing(ctx.http, kind, ident)
    name = thing.name or ident
    details = thing.planPauseDetails if isinstance(thing, reads.PlanItem) else thing.taskPauseDetails
    if pause_of(details):
        raise Conflict(f"{kind} {name} is paused: TMC refuses every new run of it, resume it first")
    body: dict[str, Any] = {"executable": ident}
    notes: list[str] = []
    if action.params:
        if kind == PLAN:
            raise Conflict("TMC takes no parameters for a plan; they stand in its tasks")
        body["parameters"] = _parameters(action)
    if action.business_date is not None:
        notes.append("TMC has no business date: a task that needs one takes it as a parameter")
    if again is not None:
        notes.append("TMC keeps no link to the run before and does not tell its parameters: the task's own are used")
    before, going = await _before(ctx.http, kind, ident)
    if going:
        notes.append(f"{going} of it still going: without leave to run in parallel TMC skips this one")
    return Prepared(
        action=action,
        calls=(_call(ctx.http, "POST", reads.start_path(kind), body),),
        idempotent=False,
        effect=f"one run of {kind} {name} now" + (", from its beginning" if again is not None else ""),
        proof="TMC lists a new execution of it that has left the queue",
        undo="stop the run" if kind == TASK else "stop its running tasks",
        note="; ".join(notes),
        memo=before,
    )


def _parameters(action: Action) -> dict[str, Any]:
    """As TMC wants them: texts and numbers."""
    try:
        given = msgspec.to_builtins(dict(action.params), str_keys=True)
    except (TypeError, ValueError):
        raise Conflict("the parameters cannot be written as JSON") from None
    plain = {k: v if isinstance(v, (str, int, float)) and not isinstance(v, bool) else None for k, v in given.items()}
    if odd := [k for k, v in plain.items() if v is None and not isinstance(given[k], bool)]:
        raise Conflict(f"a parameter of a task is a text or a number, and {odd[0]} is neither")
    return {k: str(given[k]).lower() if v is None else v for k, v in plain.items()}


async def _before(http: Http, kind: str, ident: str) -> tuple[dict[str, Any], int]:
    """What is there before a start: ``seen`` execution ids, ``since`` the server's time; and how many are going on."""
    found, answer, _ = await reads.runs(http, kind, {"lastDays": 2}, ident=ident, most=1, until=lambda _: True)
    going = sum(1 for item in found if item.status in ("executing", "dispatching"))
    return {"seen": [item.executionId for item in found], "since": answer.server_time}, going


def _stop_task(ctx: Context, ident: str, item: TaskRun, action: Action) -> Prepared:
    return Prepared(
        action=action,
        calls=(_call(ctx.http, "DELETE", reads.run_path(TASK, item.executionId)),),
        idempotent=False,
        effect=f"ends this run of task {ctx.estate.name(TASK, ident)}",
        proof="TMC says that the execution has ended",
        undo="rerun begins it anew; what it did is not undone",
        note="on a cluster one stop ends the run on one engine: what is still running then needs another",
        patience_s=300.0,
        memo={"tasks": [item.executionId]},
    )


async def _stop_plan(ctx: Context, ident: str, item: PlanRun, action: Action) -> Prepared:
    tasks = await steps.running_tasks(ctx.http, ident, item)
    if not tasks:
        raise Conflict(
            "TMC has no call to stop a plan's run, and no task of it is running at this moment",
            "a step that begins can be stopped then",
        )
    names = ", ".join(ctx.estate.name(TASK, t.of) for t in tasks[:5]) + (" …" if len(tasks) > 5 else "")
    count = f"{len(tasks)} running task{'s' * (len(tasks) != 1)}"
    return Prepared(
        action=action,
        calls=tuple(_call(ctx.http, "DELETE", reads.run_path(TASK, t.executionId)) for t in tasks),
        idempotent=False,
        effect=f"ends the {count} of this run of plan {ctx.estate.name(PLAN, ident)}: {names}",
        proof="TMC says that the plan's execution has ended",
        undo="rerun-failed goes on from the step that was cut off; what its tasks did is not undone",
        note="TMC has no call that stops a plan: whether its later steps then begin depends on its conditions",
        patience_s=300.0,
        memo={"tasks": [t.executionId for t in tasks]},
    )


async def _from_step(ctx: Context, kind: str, ident: str, key: Key, run: Run, item: Any, action: Action) -> Prepared:
    if kind == TASK:
        raise Unsupported("a task's run has no steps to run again from; rerun runs it whole")
    if not run.state.terminal:
        raise Conflict(f"the run has not ended ({run.native}): it can be run again from a step when it has")
    if run.state is not State.FAILED:
        raise Conflict(f"TMC runs a plan again from a step only where the plan failed, and this one is {run.native}")
    found = await steps.of_plan(ctx.http, ctx.estate, ident, item, run)
    only_failed = action.verb is Verb.RERUN_FAILED
    if only_failed:
        step = steps.first_failed(found)
        if step is None:
            raise Conflict("TMC names no failed step of this run; rerun runs the plan whole")
    else:
        if key.step is None:
            raise Unsupported(f"{action.key} is a run; rerun-from needs one of its steps")
        step = found.parent.get(key.step, key.step)
        if step not in {s.step for s in found.steps}:
            raise NotFound(f"the run has no step {key.step}")
        if step not in found.executions:
            raise Conflict(f"step {step} was not reached in that run, so there is nothing to run again from")
    body: dict[str, Any] = {"executable": ident, "executionPlanId": item.executionId, "stepId": found.executions[step]}
    if only_failed:
        body["rerunOnlyFailedTasks"] = True
    before, _ = await _before(ctx.http, PLAN, ident)
    note = f"{key.step} is a task of step {step}" if not only_failed and step != key.step else ""
    return Prepared(
        action=action,
        calls=(_call(ctx.http, "POST", reads.start_path(PLAN), body),),
        idempotent=False,
        effect=f"plan {ctx.estate.name(PLAN, ident)} runs again from step {step}"
        + (", of that step only what failed" if only_failed else ""),
        proof="TMC lists a new execution of the plan that runs",
        undo="stop its running tasks; what they did is not undone",
        note=note,
        memo=before,
    )


def wrong_target(kind: str, key: Key, verb: Verb) -> str:
    """Why a key does not suit a verb, in one clause; empty where it does."""
    of_run = verb not in (Verb.START, Verb.PAUSE, Verb.RESUME)
    if of_run and key.run is None:
        return f"{key} is a {kind}; this needs one of its runs"
    if verb is Verb.RERUN_FROM and kind == TASK:
        return "a task's run has no steps to run again from; rerun runs it whole"
    if verb is Verb.RERUN_FROM and key.step in (None, JOB):
        return f"{key} is no step of a plan; rerun-from needs one"
    return ""


# --- send -----------------------------------------------------------------------------------------------------------


def unknown_call(method: str, path: str) -> str:
    """Why this call is none that is made here; empty where it is."""
    known = any(m == method and shape.fullmatch(path) for m, shape in _KNOWN)
    return "" if known else f"{method} {path} is no call that is made here"


async def send(ctx: Context, kind: str, ident: str, prepared: Prepared) -> SendResult:
    """Sends the prepared calls as they are. What fails before it left this host is NotSent, what may have arrived without a
    readable answer is Unknown; so is everything after a first call that was taken."""
    http = ctx.http
    result: SendResult = NotSent("there was nothing to send")
    taken = 0
    for call in prepared.calls:
        path = call.target.removeprefix(http.base)
        if not call.target.startswith(http.base + "/"):
            return NotSent("the call is not one of this source")
        if why := unknown_call(call.method, path):
            return NotSent(why)
        try:
            if http.auth is not None:
                await http.auth.headers(http)  # so that a failure to get a token is never one of the call
        except AdapterError as err:
            return _partly(taken, NotSent(err.what))
        if prepared.action.verb in STARTS:
            ctx.sending(prepared.action.client_id)
        headers = {"Accept": "*/*"} if call.method == "DELETE" else None
        try:
            answer = await http.ask(call.method, path, body=call.body, headers=headers)
            result = _taken(ctx, kind, ident, prepared, answer)
        except NotFound as err:
            if len(prepared.calls) == 1:
                return NotSent(err.what)
            continue  # one of several tasks ended by itself meanwhile
        except AdapterError as err:
            return _partly(taken, _not_taken(err))
        if not isinstance(result, Sent):
            return _partly(taken, result)
        taken += 1
    ctx.estate.touch()
    return result


def _partly(taken: int, result: SendResult) -> SendResult:
    if taken and isinstance(result, NotSent):
        return Unknown(f"{taken} of the calls were taken, then: {result.words}")
    return result


def _not_taken(err: AdapterError) -> NotSent | Unknown:
    if isinstance(err, Unreachable):
        return Unknown(err.what) if err.sent else NotSent(err.what)
    if err.status == 405:
        return NotSent("TMC refuses: it is paused (HTTP 405)")
    if err.status == 501:
        return NotSent("TMC refuses: it has no run configuration (HTTP 501)")
    refused = err.status is not None and 400 <= err.status < 500 and err.status != 408
    if isinstance(err, BadResponse) and not refused:
        return Unknown(f"{err.what}; it may have happened")
    if isinstance(err, RateLimited) and err.retry_after is not None:
        return NotSent(f"{err.what}; it asks to wait {err.retry_after:.0f} s")
    return NotSent(err.what)


def _taken(ctx: Context, kind: str, ident: str, prepared: Prepared, answer: Answer) -> SendResult:
    """What a 2xx says."""
    action = prepared.action
    if action.verb in STARTS:
        made = answer.decode(Made)
        ctx.remember(action.client_id, made.executionId)
        ours = run_key(pipeline_key(ctx.source, native(kind, ident)), made.executionId)
        return Sent(f"TMC answers with execution {made.executionId}", ours)
    if answer.status not in (202, 204):
        raise BadResponse(
            f"HTTP {answer.status} from {answer.where}, which is not documented for this call", status=200
        )
    if action.verb is Verb.STOP:
        return Sent("TMC took the stop", action.key)
    return Sent("TMC answers: there was nothing to change" if answer.status == 204 else "TMC took it")
