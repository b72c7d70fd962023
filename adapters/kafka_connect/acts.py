"""What is done to connectors: the exact calls, sent as planned, proved by their status.

Kafka Connect answers 202 before it does anything, and 409 while its workers share out their work anew: then nothing was
done, and the same call is sent again a few times.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.base import Action, Call, Done, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent, Unknown
from adapters.errors import AdapterError, Conflict, NotFound
from adapters.http import Answer, Http, words
from adapters.kafka_connect import reads
from adapters.kafka_connect.wire import CONNECTOR, FAILED, PAUSED, RUNNING, STOPPED, TASK, Status, judged, state_of
from adapters.model import Key, Verb, parse_key
from adapters.shared import not_taken

VERBS: Final = (Verb.START, Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.RERUN_FAILED)
NO_STOP: Final = "this Kafka Connect cannot stop a connector (3.5 can); pause keeps its tasks on their workers"
NO_START: Final = (
    "this Kafka Connect cannot stop a connector (3.5 can), so none waits to be started; resume ends a pause"
)
_PATHS: Final[Mapping[str, str]] = {"/pause": "PUT", "/resume": "PUT", "/stop": "PUT", "/restart": "POST"}
_TOOK: Final = (200, 202, 204)


class Patience:
    """How often a call that a rebalance refuses is sent again, and how long is waited between, in seconds."""

    def __init__(self, again: int, wait_s: float) -> None:
        self.again, self.wait_s = again, wait_s


# --- what would be done -----------------------------------------------------------------------------------------------


def prepare(http: Http, key: Key, action: Action, status: Status, *, whole_restart: bool, masked: bool) -> Prepared:
    """The calls, from a status read now. Conflict where it makes no sense now."""
    if action.params:
        raise Conflict("a connector takes no parameters: what it does stands in its configuration")
    plan = {
        Verb.PAUSE: _pause,
        Verb.RESUME: _resume,
        Verb.START: _start,
        Verb.STOP: _stop,
    }.get(action.verb)
    show = _Shown(http, masked)
    if plan is not None:
        return plan(show, key.pipeline, action, status)
    return _rerun_failed(show, key.pipeline, action, status, whole_restart)


class _Shown:
    def __init__(self, http: Http, masked: bool) -> None:
        self._http, self._headers = http, {"Authorization": "****"} if masked else {}

    def __call__(self, method: str, where: str) -> Call:
        return Call(method=method, target=self._http.url(where), headers=self._headers)


def _tasks(status: Status) -> str:
    n = len(status.tasks or ())
    return f"{n} task{'' if n == 1 else 's'}"


def _failed(status: Status) -> list[str]:
    return [step for step, part in status.parts if part.state == FAILED]


def _note(status: Status, *notes: str) -> str:
    bad = _failed(status)
    said = f"{', '.join(bad)} FAILED and will stay so: rerun-failed restarts what failed"
    return "; ".join([*notes, *([said] if bad else [])])


def _pause(show: _Shown, name: str, action: Action, status: Status) -> Prepared:
    if status.word in (PAUSED, STOPPED):
        raise Conflict(words(f"{name} is {status.word} already"))
    return Prepared(
        action=action,
        calls=(show("PUT", reads.path(name, "/pause")),),
        idempotent=True,
        effect=f"connector {name} and its {_tasks(status)} stand still",
        proof="Kafka Connect says PAUSED of the connector and of each task that has not failed, in two readings",
        undo="resume",
        note=_note(status, "its tasks stay on their workers; data waits, and is lost where it is not kept long enough"),
        steady=2,
        memo={"want": PAUSED},
    )


def _resume(show: _Shown, name: str, action: Action, status: Status) -> Prepared:
    if status.word not in (PAUSED, STOPPED):
        raise Conflict(words(f"{name} is not paused: it is {state_of(status.word)[0]}"))
    return _running(show, name, action, status, "pause" if status.word == PAUSED else "stop")


def _start(show: _Shown, name: str, action: Action, status: Status) -> Prepared:
    if status.word != STOPPED:
        raise Conflict(words(f"{name} is {state_of(status.word)[0]}: only a STOPPED connector is started"))
    return _running(show, name, action, status, "stop")


def _running(show: _Shown, name: str, action: Action, status: Status, undo: str) -> Prepared:
    return Prepared(
        action=action,
        calls=(show("PUT", reads.path(name, "/resume")),),
        idempotent=True,
        effect=f"connector {name} goes on where it stood",
        proof="Kafka Connect says RUNNING of the connector, and none of its tasks waits",
        undo=undo,
        note=_note(status),
        steady=2,
        memo={"want": RUNNING, "tasks": len(status.tasks or ()) if status.word != STOPPED else 1},
    )


def _stop(show: _Shown, name: str, action: Action, status: Status) -> Prepared:
    if status.word == STOPPED:
        raise Conflict(words(f"{name} is STOPPED already"))
    return Prepared(
        action=action,
        calls=(show("PUT", reads.path(name, "/stop")),),
        idempotent=True,
        effect=f"connector {name} is stopped: its {_tasks(status)} are ended",
        proof="Kafka Connect says STOPPED of the connector and has none of its tasks",
        undo="start: the connector goes on from its offsets, as a new life",
        note="its configuration and offsets stay; the traces of what failed go",
        memo={"want": STOPPED},
    )


def _rerun_failed(show: _Shown, name: str, action: Action, status: Status, whole: bool) -> Prepared:
    bad = _failed(status)
    if not bad:
        raise Conflict(words(f"nothing of {name} has failed: it is {judged(status)[0]}"))
    if status.word == STOPPED:
        raise Conflict(words(f"{name} is STOPPED: start brings its tasks back"))
    if whole:
        calls = [show("POST", reads.path(name, "/restart?includeTasks=true&onlyFailed=true"))]
        notes = "what runs goes on untouched"
    else:
        own = [show("POST", reads.path(name, "/restart"))] if CONNECTOR in bad else []
        steps = [s.removeprefix(TASK) for s in bad if s != CONNECTOR]
        calls = own + [show("POST", reads.path(name, f"/tasks/{n}/restart")) for n in steps]
        notes = "what runs goes on untouched; one call for each part that failed, as before Kafka 3.0"
    return Prepared(
        action=action,
        calls=tuple(calls),
        idempotent=False,
        effect=f"restarts {', '.join(bad)} of connector {name}",
        proof=f"Kafka Connect says RUNNING of {', '.join(bad)}, in two readings",
        undo="none is needed: what failed was not running",
        note=notes,
        steady=2,
        memo={"failed": {s: _digest(p.trace) for s, p in status.parts if s in bad}},
    )


def _digest(trace: str | None) -> str:
    return hashlib.sha256((trace or "").encode()).hexdigest()[:16]


# --- send -------------------------------------------------------------------------------------------------------------


async def send(http: Http, prepared: Prepared, patience: Patience) -> SendResult:
    """Sends the prepared calls as they are. Of several the rest is sent only if those before were taken."""
    taken = 0
    for call in prepared.calls:
        where = call.target.removeprefix(http.base)
        if not call.target.startswith(http.base + "/") or _foreign(call.method, where):
            return NotSent("the call is not one of this source")
        result = await _one(http, call.method, where, patience)
        if not isinstance(result, Sent):
            if taken:
                return Unknown(words(f"{taken} of {len(prepared.calls)} calls were taken, then: {result.words}"))
            return result
        taken += 1
    return (
        Sent("Kafka Connect took it and will do it by and by", _run(prepared)) if taken else NotSent("nothing to send")
    )


def _run(prepared: Prepared) -> str | None:
    return prepared.action.key if parse_key(prepared.action.key).run is not None else None


def _foreign(method: str, where: str) -> bool:
    """Whether it is anything but a pause, resume, stop or restart of one connector: DELETE is one slip away."""
    parts, end = where.partition("?")[0].split("/"), "/" + where.partition("?")[0].rpartition("/")[2]
    good = parts[:2] == ["", "connectors"] and "" not in parts[1:] and _PATHS.get(end) == method
    task = len(parts) == 6 and parts[3] == "tasks" and parts[4].isdigit() and end == "/restart"
    return not (good and (len(parts) == 4 or task))


async def _one(http: Http, method: str, where: str, patience: Patience) -> SendResult:
    tried = 0
    try:
        if http.auth is not None:
            await http.auth.headers(http)  # so that a failure to get a credential is never one of the call
    except AdapterError as err:
        return NotSent(f"nothing was sent: {err.what}")
    while True:
        try:
            return _taken(await http.ask(method, where))
        except Conflict as err:  # workers share out their work anew: nothing was done
            if tried >= patience.again:
                times = f"{tried + 1} time{'s' if tried else ''}"
                return NotSent(words(f"refused {times} while its workers rebalance: {err.what}"))
        except AdapterError as err:
            return not_taken(err)
        tried += 1
        await asyncio.sleep(patience.wait_s)


def _taken(answer: Answer) -> SendResult:
    """202, or 204 of a stop or a restart, is a promise. Anything that Kafka Connect does not answer may come from before it."""
    body = answer.body.strip()
    if answer.status in _TOOK and (
        not body or (answer.status == 202 and body.startswith(b"{") and body.endswith(b"}"))
    ):
        return Sent("taken")
    return Unknown(words(f"HTTP {answer.status} with an answer that is not Kafka Connect's from {answer.where}"))


# --- reconcile --------------------------------------------------------------------------------------------------------


async def reconcile(http: Http, prepared: Prepared) -> Reconciled:
    """Reads the status only. Done needs what was not so when the action was prepared."""
    name = parse_key(prepared.action.key).pipeline
    try:
        status, _ = await reads.status(http, name)
    except NotFound as err:
        if reads.names_it(err, name):
            return NotDone(words(f"connector {name} is not there any more, or has no status: {err.what}"))
        raise
    ask: Callable[[Status, Mapping[str, Any]], tuple[bool, bool, str]] = (
        _restarted if prepared.action.verb is Verb.RERUN_FAILED else _ARRIVED[str(prepared.memo["want"])]
    )
    done, begun, said = ask(status, prepared.memo)
    said = words(f"{name} is {said}")
    return Done(said, _run(prepared)) if done else NotDone(said, begun=begun)


def _standing(status: Status) -> str:
    native, _, sub = judged(status)
    return f"{native} ({sub})" if sub else native


def _is_paused(status: Status, memo: Mapping[str, Any]) -> tuple[bool, bool, str]:
    at_work = [t for t in status.tasks or () if t.state not in (PAUSED, FAILED)]
    mine = status.word == PAUSED
    return mine and not at_work, mine, _standing(status)


def _is_running(status: Status, memo: Mapping[str, Any]) -> tuple[bool, bool, str]:
    tasks = status.tasks or []
    waiting = [t for t in tasks if t.state not in (RUNNING, FAILED)]
    mine = status.word == RUNNING
    enough = bool(tasks) or not memo.get("tasks")
    return mine and enough and not waiting, mine, _standing(status)


def _is_stopped(status: Status, memo: Mapping[str, Any]) -> tuple[bool, bool, str]:
    left = len(status.tasks or ())
    mine = status.word == STOPPED
    return mine and not left, mine, _standing(status) + (f", {_tasks(status)} still end" if mine and left else "")


_ARRIVED: Final[Mapping[str, Callable[[Status, Mapping[str, Any]], tuple[bool, bool, str]]]] = {
    PAUSED: _is_paused,
    RUNNING: _is_running,
    STOPPED: _is_stopped,
}


def _restarted(status: Status, memo: Mapping[str, Any]) -> tuple[bool, bool, str]:
    """Each part that had failed works. One that fails again with another trace was restarted, and that helped nothing."""
    parts = dict(status.parts)
    failed: Mapping[str, str] = memo["failed"]
    there = {step: parts[step] for step in failed if step in parts}
    again = [s for s, p in there.items() if p.state == FAILED and _digest(p.trace) != failed[s]]
    waiting = [s for s, p in there.items() if p.state not in (RUNNING, PAUSED, FAILED)]
    still = [s for s, p in there.items() if p.state == FAILED]
    done = bool(there) and not still and not waiting
    said = _standing(status)
    if again:
        said += f"; {_list(again)} failed again"
    elif still:
        said += f"; {_list(still)} still FAILED, or again with the same trace"
    return done, bool(again or waiting or len(still) < len(failed)), said


def _list(steps: Sequence[str]) -> str:
    return ", ".join(steps[:5]) + (" …" if len(steps) > 5 else "")
