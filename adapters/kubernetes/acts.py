"""How what was planned is sent, and how the cluster is asked whether it took effect.

200 is taken for nothing: ``send`` compares the answer with what was asked for, ``reconcile`` reads the cluster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from adapters.base import (
    Done,
    NotDone,
    NotSent,
    Prepared,
    Reconciled,
    SendResult,
    Sent,
    Unknown,
)
from adapters.errors import AdapterError, BadResponse, Conflict, Forbidden, NotFound
from adapters.http import Answer, Http, words
from adapters.kubernetes import bodies, plans, reads, states, wire
from adapters.kubernetes.wire import CronJob, Job
from adapters.model import Key, State, Verb, parse_key
from adapters.shared import not_taken

_METHODS: Final = frozenset({"POST", "PATCH", "DELETE"})
_MAKES: Final = (Verb.START, Verb.RERUN)


async def send(http: Http, source: str, prepared: Prepared) -> SendResult:
    """Sends the prepared calls as they are; of a new Job what was masked in the plan is filled in again, if its template is
    still the same. What fails before it left this host is NotSent, what may have arrived without an answer Unknown."""
    result: SendResult = NotSent("there was nothing to send")
    for call in prepared.calls:
        if not call.target.startswith(http.base + "/") or call.method not in _METHODS:
            return NotSent("the call is not one of this source")
        where, body = call.target.removeprefix(http.base), call.body
        if (why := too_much(call.method, where, body)) is not None:
            return NotSent(why)
        try:
            if http.auth is not None:
                await http.auth.headers(http)  # so that a failure to get a token is never one of the call
            if prepared.action.verb in _MAKES:
                body = await _filled(http, prepared)
        except AdapterError as err:
            return NotSent(f"nothing was sent: {err.what}")
        kind = call.headers.get("Content-Type", "application/json")
        try:
            answer = await http.ask(call.method, where, body=body, headers={"Content-Type": kind})
            result = _taken(source, prepared, answer)
        except Conflict as err:
            return await _after_conflict(http, source, prepared, err)
        except NotFound as err:
            return NotSent(err.what if prepared.action.verb is not Verb.STOP else f"it is gone already: {err.what}")
        except AdapterError as err:
            return not_taken(err)
        if not isinstance(result, Sent):
            return result
    return result


def too_much(method: str, where: str, body: Any) -> str | None:
    """Why this call may change more than one object; None where it names what it changes.

    ``DELETE`` of a whole collection is one missing name away, and a patch of anything but ``suspend`` is not ours.
    """
    parts = where.split("/")
    if parts[:5] != ["", "apis", "batch", "v1", "namespaces"] or "" in parts[1:]:
        return f"{method} {words(where)} is no Job or CronJob of one namespace"
    kind, named = parts[6] if len(parts) > 6 else "", len(parts) == 8
    if method == "POST":
        return None if kind == "jobs" and len(parts) == 7 else f"POST {words(where)} makes no Job"
    if not named or kind not in ("jobs", "cronjobs"):
        return f"{method} {words(where)} names no single thing"
    given: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if method == "DELETE":
        uid = wire.said(given, "preconditions", "uid")
        good = kind == "jobs" and uid and given.get("propagationPolicy") == "Background"
        return None if good else "a Job is deleted by its uid and in the background, or not at all"
    return None if set(given) == {"spec"} and set(given["spec"]) == {"suspend"} else "only suspend is patched"


async def _filled(http: Http, prepared: Prepared) -> dict[str, Any]:
    """The Job that was planned, with what the plan masked. Conflict where its template is not what it was."""
    key = parse_key(prepared.action.key)
    found, body, _ = await plans.template(http, key, prepared.action)
    same = wire.said(found, "metadata", "uid") == prepared.memo["uid"]
    same = same and wire.said(found, "metadata", "generation") == prepared.memo["generation"]
    if not same or bodies.shown(body) != prepared.calls[0].body:
        raise Conflict("its template was changed since the plan was made: plan again")
    return body


async def _after_conflict(http: Http, source: str, prepared: Prepared, err: Conflict) -> SendResult:
    """409 to our own name: this very action has made it before. To a delete: another Job has the name now."""
    if prepared.action.verb not in _MAKES:
        return NotSent(err.what)
    name, namespace = str(prepared.memo["name"]), str(prepared.memo["namespace"])
    try:
        answer = await reads.gone(http, reads.job_path(namespace, name), name)
        job = answer.decode(Job) if answer is not None else None
    except AdapterError as more:
        return NotSent(err.what) if isinstance(more, Conflict) else Unknown(f"{err.what}; and it could not be read")
    if job is None or job.metadata.note(wire.CLIENT_ID) != prepared.action.client_id:
        return NotSent(f"{err.what}: another Job has this name")
    return Sent("already there: this action had made it before", states.key_of(source, job))


def _taken(source: str, prepared: Prepared, answer: Answer) -> SendResult:
    """What a 2xx says, compared with what was asked for; a difference is said, and left to ``reconcile``."""
    verb, key = prepared.action.verb, prepared.action.key
    if verb is Verb.STOP:
        found = answer.decode(dict[str, Any])  # a Status, or the Job with its deletionTimestamp
        if found.get("kind") not in ("Status", "Job"):
            raise BadResponse(words(f"an answer of another shape from {answer.where}"))
        return Sent("Kubernetes deletes the Job", key)
    if verb in (Verb.PAUSE, Verb.RESUME):
        asleep = bool(answer.decode(CronJob).what.suspend)
    else:
        job = answer.decode(Job)
        if verb in _MAKES:
            if job.metadata.name != prepared.memo["name"]:
                return Unknown(f"Kubernetes answers with another Job: {words(job.metadata.name)}")
            return Sent(f"Kubernetes made Job {job.metadata.name}", states.key_of(source, job))
        asleep = bool(job.what.suspend)
    word = "suspended" if asleep else "not suspended"
    as_asked = asleep == prepared.memo["suspend"]
    return Sent(f"Kubernetes answers: {word}" if as_asked else f"accepted, but Kubernetes still answers: {word}", key)


# --- reconcile --------------------------------------------------------------------------------------------------------


async def reconcile(http: Http, source: str, prepared: Prepared) -> Reconciled:
    """Reads only. Done needs a fact that was not so when the action was prepared."""
    ask: Mapping[Verb, Callable[[Http, str, Prepared], Awaitable[Reconciled]]] = {
        Verb.PAUSE: _is_paused,
        Verb.RESUME: _is_paused,
        Verb.START: _is_made,
        Verb.RERUN: _is_made,
        Verb.STOP: _is_gone,
        Verb.HOLD: _is_held,
        Verb.RELEASE: _is_held,
    }
    return await ask[prepared.action.verb](http, source, prepared)


async def _is_paused(http: Http, source: str, prepared: Prepared) -> Reconciled:
    key = parse_key(prepared.action.key)
    namespace, _, name = states.split_pipeline(key.pipeline)
    cron = await reads.cron(http, namespace, name)
    said = cron.what.suspend
    word = "suspended" if said else "active"
    if cron.metadata.uid != prepared.memo["uid"]:
        return NotDone(f"{name} was deleted and made again meanwhile: it is {word}", final=True)
    return Done(f"{name} is {word}") if bool(said) is prepared.memo["suspend"] else NotDone(f"{name} is still {word}")


async def _is_made(http: Http, source: str, prepared: Prepared) -> Reconciled:
    name, namespace = str(prepared.memo["name"]), str(prepared.memo["namespace"])
    answer = await reads.gone(http, reads.job_path(namespace, name), name)
    if answer is None:
        return NotDone(f"there is no Job {name}")
    job = answer.decode(Job)
    if job.metadata.note(wire.CLIENT_ID) != prepared.action.client_id:
        return NotDone(f"Job {name} was made by somebody else", final=True)
    key = states.key_of(source, job)
    state, word = plans.standing(job)
    if word.endswith("?"):
        return NotDone(f"Job {name} is there, its state is not known: {word}", begun=True)
    if state is State.HELD:
        return Done(f"Job {name} is there and suspended: it waits to be released", key)
    if state is State.QUEUED and job.now.start_time is None:
        return NotDone(f"Job {name} is there and has not begun", begun=True)
    return Done(f"Job {name} is {word}", key)


async def _is_gone(http: Http, source: str, prepared: Prepared) -> Reconciled:
    """Not only the Job: its containers work until their pods are gone."""
    name, namespace = str(prepared.memo["name"]), str(prepared.memo["namespace"])
    answer = await reads.gone(http, reads.job_path(namespace, name), name)
    if answer is not None:
        job = answer.decode(Job)
        if job.metadata.uid == prepared.memo["uid"]:
            state, word = plans.standing(job)
            if job.metadata.deletion_timestamp is not None:
                return NotDone(f"Job {name} is being deleted", begun=True)
            return NotDone(f"Job {name} is still there: {word}", begun=state is State.STOPPING)
    try:
        left = await reads.selected(http, namespace, {"labelSelector": str(prepared.memo["pods"])})
    except (Forbidden, NotFound) as err:
        return Done(f"Job {name} is gone; whether its pods are too may not be read ({err.what})")
    busy = [p for p in left if p.now.phase not in ("Succeeded", "Failed")]
    if busy:
        return NotDone(f"Job {name} is gone, {len(busy)} of its pods still end", begun=True)
    return Done(f"Job {name} and its pods are gone")


async def _is_held(http: Http, source: str, prepared: Prepared) -> Reconciled:
    key: Key = parse_key(prepared.action.key)
    want = bool(prepared.memo["suspend"])
    try:
        job, _ = await reads.job(http, key)
    except NotFound:
        return NotDone("Kubernetes no longer has this Job", final=True)
    state, word = plans.standing(job)
    if state.terminal:
        return Done(f"the Job had ended by itself: {word}", str(key))
    if bool(job.what.suspend) is not want:
        return NotDone(f"the Job is still {word}")
    active = job.now.active or 0
    if want and active:
        return NotDone(f"the Job is suspended, {active} of its pods still end", begun=True)
    if not want and not active and job.now.start_time is None:
        return NotDone("the Job is no longer suspended and has no pod yet", begun=True)
    return Done(f"the Job is {word}", str(key))
