"""What is done to Databricks: which verb is which, how a call is sent, how its answer is read.

200 is no proof: ``send`` reads the answer, ``reconcile`` reads the world.
"""

from __future__ import annotations

import asyncio
from typing import Final

from adapters.base import Action, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent, Unknown
from adapters.databricks import computing, pausing, repairing, starting, updates, updating
from adapters.databricks.calls import RUN_NOW, too_much
from adapters.databricks.client import refusal
from adapters.databricks.wire import SUBMIT
from adapters.errors import AdapterError, BadResponse, NotFound, RateLimited, Unreachable, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, Verb, parse_key

VERBS: Final = (
    Verb.START,
    Verb.PAUSE,
    Verb.RESUME,
    Verb.STOP,
    Verb.RERUN,
    Verb.RERUN_FAILED,
    Verb.RERUN_FROM,
)
SOON_S: Final = 5.0
"""An answer lost within this time is asked for again at once, where that can start nothing new."""
Answered = dict[str, str]
"""By the action's own id: the native id of the run, update or repair that was answered with."""


async def prepare(http: Http, source: str, action: Action, date_parameter: str) -> Prepared:
    """Reads the thing again and works out the calls. Conflict where it makes no sense now, NotFound, Unsupported."""
    try:
        key = parse_key(action.key)
    except ValueError as err:
        raise NotFound(str(err)) from None
    if key.source != source:
        raise Unsupported(f"{action.key} is not of source {source}")
    if action.verb not in VERBS:
        raise Unsupported(f"{action.verb} is not offered for Databricks")
    if action.verb not in (Verb.START, Verb.PAUSE, Verb.RESUME) and key.run is None:
        raise Unsupported(f"{action.key} is a pipeline; this needs one of its runs")
    if key.pipeline.startswith(updates.PREFIX):
        return await updating.prepare(http, key, action)
    if key.pipeline.startswith(computing.PREFIX):
        return await computing.prepare(http, key, action)
    if key.pipeline == SUBMIT and action.verb not in (Verb.STOP, Verb.RERUN_FAILED, Verb.RERUN_FROM):
        raise Unsupported("one-time runs belong to no job that could be started, paused or run again")
    match action.verb:
        case Verb.START:
            return await starting.prepare(http, key, action, date_parameter)
        case Verb.RERUN:
            return await starting.again(http, key, action)
        case Verb.PAUSE | Verb.RESUME:
            return await pausing.prepare(http, key, action)
        case _:
            return await repairing.prepare(http, key, action)


async def send(http: Http, prepared: Prepared, answered: Answered) -> SendResult:
    """Sends the prepared call as it is. What fails before it left this host is NotSent, what may have arrived without a
    readable answer is Unknown. A ``run-now`` whose answer was lost is sent once more: its token makes that a question."""
    if len(prepared.calls) != 1:
        return NotSent("there was nothing to send")
    (call,) = prepared.calls
    if not call.target.startswith(http.base + "/"):
        return NotSent("the call is not one of this source")
    path = call.target.removeprefix(http.base)
    if (why := too_much(call.method, path, call.body)) is not None:
        return NotSent(why)
    key = parse_key(prepared.action.key)
    try:
        if http.auth is not None:
            await http.auth.headers(http)  # so that a failure to get a token is never one of the call
    except AdapterError as err:
        return NotSent(err.what)
    if (stop := await _may_go(http, key, prepared)) is not None:
        return stop
    began = asyncio.get_running_loop().time()
    result, made = await _once(http, key, prepared, path, call.body)
    if isinstance(result, Unknown) and path == RUN_NOW and asyncio.get_running_loop().time() - began < SOON_S:
        again, made = await _once(http, key, prepared, path, call.body)
        result = again if isinstance(again, Sent) else result
    if isinstance(result, Sent) and made is not None:
        answered[prepared.action.client_id] = made
        while len(answered) > 500:
            answered.pop(next(iter(answered)))
    return result


async def _may_go(http: Http, key: Key, prepared: Prepared) -> NotSent | None:
    """What is looked at once more right before the call."""
    if key.pipeline.startswith(computing.PREFIX):
        return await computing.may_go(http, key, prepared)
    if prepared.action.verb in (Verb.PAUSE, Verb.RESUME):
        return await pausing.may_go(http, key, prepared)
    if prepared.action.verb is Verb.STOP and key.pipeline.startswith(updates.PREFIX):
        try:
            why = await updating.still_ours(http, key)
        except AdapterError as err:
            why = f"the update could not be read again before its pipeline is stopped: {err.what}"
        return NotSent(why) if why else None
    return None


async def _once(http: Http, key: Key, prepared: Prepared, path: str, body: object) -> tuple[SendResult, str | None]:
    """How it went, and the native id of what it was answered with."""
    try:
        answer = await http.request("POST", path, body=body)
    except AdapterError as err:
        return (Unknown(err.what) if isinstance(err, Unreachable) and err.sent else _as_unknown(err)), None
    if not 200 <= answer.status < 300:
        return _refused(http, answer), None
    try:
        return _taken(key, prepared, answer)
    except AdapterError as err:
        return Unknown(f"{err.what}; it may have happened"), None


def _as_unknown(err: AdapterError) -> NotSent | Unknown:
    if isinstance(err, Unreachable):
        return NotSent(err.what)
    return Unknown(f"{err.what}; it may have happened") if isinstance(err, BadResponse) else NotSent(err.what)


def _refused(http: Http, answer: Answer) -> NotSent | Unknown:
    """4xx: it did not happen. 5xx and 408: it may have, whatever they ask for."""
    err = refusal(answer, http.auth.secrets if http.auth else ())
    if answer.status >= 500 or answer.status in (408, 499) or 300 <= answer.status < 400:
        return Unknown(f"{err.what}; it may have happened")
    if isinstance(err, RateLimited) and err.retry_after is not None:
        return NotSent(f"{err.what}; it asks to wait {err.retry_after:.0f} s")
    return NotSent(err.what)


def _taken(key: Key, prepared: Prepared, answer: Answer) -> tuple[SendResult, str | None]:
    verb = prepared.action.verb
    if verb in (Verb.PAUSE, Verb.RESUME):
        answer.decode(dict[str, object])
        return Sent("Databricks took it"), None
    if key.pipeline.startswith(updates.PREFIX):
        said = updating.taken(key, prepared, answer)
    elif key.pipeline.startswith(computing.PREFIX):
        said = computing.taken(key, prepared, answer)
    elif verb in (Verb.START, Verb.RERUN):
        said = starting.taken(key, answer)
    else:
        return repairing.taken(key, prepared, answer)
    return said, _run_of(said.run) if isinstance(said, Sent) else None


def _run_of(key: str | None) -> str | None:
    return parse_key(key).run if key is not None else None


async def reconcile(http: Http, prepared: Prepared, answered: Answered) -> Reconciled:
    """Reads only. Done needs a fact that was not so when the action was prepared."""
    key = parse_key(prepared.action.key)
    verb = prepared.action.verb
    here = answered.get(prepared.action.client_id)
    if verb in (Verb.RERUN_FAILED, Verb.RERUN_FROM):
        return await repairing.is_repaired(http, key, prepared, here)
    known = here or _run_of(prepared.answered)
    if key.pipeline.startswith(updates.PREFIX):
        return await updating.reconcile(http, key, prepared, known)
    if key.pipeline.startswith(computing.PREFIX):
        return await computing.reconcile(http, key, prepared, taken=known is not None)
    if verb in (Verb.START, Verb.RERUN):
        return await starting.reconcile(http, key, prepared, int(known) if known else None)
    if verb in (Verb.PAUSE, Verb.RESUME):
        return await pausing.reconcile(http, key, prepared)
    if verb is Verb.STOP:
        return await repairing.is_stopped(http, key)
    return NotDone(f"{verb} is not offered for Databricks", final=True)
