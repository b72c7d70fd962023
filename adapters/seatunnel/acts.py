"""What is done to jobs: the exact calls, whether they were taken, and whether they took effect.

SeaTunnel answers 200 to nearly everything (seen live: to the stop of a job that does not exist, to a submit that it ignores),
so an answer is taken for nothing: ``reconcile`` reads the job. Its own protection against doubles is the id of a job: one that
runs or ran is not started again. A job's configuration may hold passwords; it is read from its file, sent, and shown nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from adapters.base import Action, Call, Done, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent, Unknown
from adapters.errors import AdapterError, BadResponse, Conflict, NotFound, Unsupported
from adapters.http import Answer, words
from adapters.model import Key, State, Verb, parse_key
from adapters.parameters import Parameter, read_all
from adapters.seatunnel.client import Api, message, said
from adapters.seatunnel.options import FORMATS, Options
from adapters.seatunnel.states import HANGING, key_of, our_id, state_of
from adapters.seatunnel.wire import Job, Submitted
from adapters.shared import not_taken

VERBS: Final = (Verb.START, Verb.RERUN, Verb.STOP, Verb.HOLD, Verb.RELEASE)
FROM_FILE: Final = (Verb.START, Verb.RERUN, Verb.RELEASE)
NO_FILE: Final = "SeaTunnel never gives a job's configuration back: name its file in options.jobs of this source"
FORGETS: Final = "SeaTunnel forgets it a day after (history-job-expire-minutes): release it before that"
LARGEST: Final = 4 << 20
FORCE: Final = Parameter(
    name="force",
    type="flag",
    default="false",
    means="of a job that hangs while it stops; its checkpoints are unsafe then",
)
_TWICE: Final = "has already been submitted"


async def prepare(api: Api, options: Options, source: str, key: Key, action: Action) -> Prepared:
    """Reads the job again and works out the call. Conflict where it makes no sense now, NotFound, Unsupported."""
    verb = action.verb
    if verb not in VERBS:
        raise Unsupported(f"{verb} is not offered for SeaTunnel")
    given, _ = read_all(str(verb), (FORCE,) if verb is Verb.STOP else (), action.params)
    if verb is Verb.START:
        return await _start(api, options, source, key, action)
    if key.run is None:
        raise Unsupported(words(f"{key} is no single job; this needs one of its runs"))
    job, _ = await api.job(key.run)
    if job.name != key.pipeline:
        raise NotFound(words(f"job {key.run} is called {job.name}, not {key.pipeline}"))
    if verb is Verb.RERUN:
        if not state_of(job)[1].terminal:
            raise Conflict(f"the job is {state_of(job)[0]}: {_instead(job)}")
        return await _start(api, options, source, key, action)
    if verb is Verb.RELEASE:
        return await _release(api, options, source, key, job, action)
    return await _stop(api, key, job, action, given.get("force") == "true")


def _instead(job: Job) -> str:
    return "release lets it go on" if state_of(job)[1] is State.HELD else "stop it first"


# --- to an end --------------------------------------------------------------------------------------------------------


async def _stop(api: Api, key: Key, job: Job, action: Action, force: bool) -> Prepared:
    native, state, _ = state_of(job)
    hold = action.verb is Verb.HOLD
    if state.terminal or state is State.HELD:
        raise Conflict(f"the job has already ended: {native}")
    if force:
        if native not in HANGING:
            raise Conflict(
                f"force is for a job that hangs while it stops, and this one is {native}: stop it without force"
            )
        if not await api.can_force():
            raise Unsupported("this SeaTunnel knows no forced stop")
    elif hold and native != "RUNNING":
        raise Conflict(f"only a RUNNING job can be held, and this one is {native}")
    elif not hold and state is State.STOPPING:
        raise Conflict(f"the job is {native} already; where it hangs: stop with the parameter force=true")
    body: dict[str, Any] = {"jobId": job.id, "isStopWithSavePoint": hold} | ({"force": True} if force else {})
    call = Call(method="POST", target=api.http.url(f"{await api.where()}/stop-job"), body=body, headers=_headers(api))
    if hold:
        notes = ["the job ends and keeps a savepoint; SeaTunnel has no pause"]
        if not job.streaming and job.envOptions is not None:
            notes.append("a batch job can only be held between its checkpoints")
        return Prepared(
            action=action,
            calls=(call,),
            idempotent=False,
            effect=f"{job.name} stands still with a savepoint",
            proof="SeaTunnel says SAVEPOINT_DONE of it",
            undo="release: needs the file of its configuration",
            note="; ".join([*notes, "a savepoint can hang: then stop it without one", FORGETS]),
            patience_s=300.0,
            memo={"native": native, "created": str(job.createTime)},
        )
    notes = ["no savepoint is made: what was not checkpointed is lost"]
    if native == "DOING_SAVEPOINT":
        notes.append("the savepoint that is being made is given up")
    if force:
        notes = ["by force: the state of its checkpoints is unsafe afterwards, do not go on from them"]
    return Prepared(
        action=action,
        calls=(call,),
        idempotent=True,
        effect=f"{job.name} ends" + (" by force" if force else ""),
        proof="SeaTunnel says CANCELED of it",
        note="; ".join(notes),
        memo={"native": native, "created": str(job.createTime)},
    )


# --- from a file ------------------------------------------------------------------------------------------------------


async def _start(api: Api, options: Options, source: str, key: Key, action: Action) -> Prepared:
    path, digest, size = await _file(options, key.pipeline)
    beside = [j for j in (await api.running())[0] if j.name == key.pipeline]
    native = our_id(action.client_id)
    query = {"jobId": native, "jobName": key.pipeline}
    notes = ["a new job from its file as it is now", "SeaTunnel takes this id once: sent twice it is still one job"]
    if beside:
        ids = ", ".join(j.id for j in beside[:3])
        notes.insert(0, f"beside one of this name that is at work ({ids}): both write")
    if action.verb is Verb.RERUN:
        notes.append("it starts all over, from no savepoint")
    if action.business_date is not None:
        notes.append(f"business date {action.business_date} is not passed on: the file says what is read")
    return Prepared(
        action=action,
        calls=(await _submit(api, query, path, digest, size),),
        idempotent=True,
        effect=f"one job {key.pipeline} now: {native}",
        proof=f"SeaTunnel knows job {native} and it has begun",
        undo="stop the run",
        note="; ".join(notes),
        memo={"job": native, "file": str(path), "sha256": digest},
    )


async def _release(api: Api, options: Options, source: str, key: Key, job: Job, action: Action) -> Prepared:
    native, state, _ = state_of(job)
    if state is not State.HELD:
        raise Conflict(f"the job is {native}: only one that was stopped with a savepoint goes on from it")
    path, digest, size = await _file(options, key.pipeline)
    query = {"jobId": job.id, "isStartWithSavePoint": "true", "jobName": key.pipeline}
    notes = ["from its savepoint, with its file as it is now: it must still fit the savepoint"]
    if beside := [j.id for j in (await api.running())[0] if j.name == key.pipeline and j.id != job.id]:
        notes.insert(0, f"another job of this name is at work ({', '.join(beside[:3])}): both write")
    return Prepared(
        action=action,
        calls=(await _submit(api, query, path, digest, size),),
        idempotent=False,
        effect=f"{key.pipeline} goes on from its savepoint",
        proof="SeaTunnel says RUNNING of it again",
        undo="hold",
        note="; ".join(notes),
        patience_s=180.0,
        memo={
            "job": job.id,
            "file": str(path),
            "sha256": digest,
            "created": str(job.createTime),
            "finish": str(job.finish),
        },
    )


async def _submit(api: Api, query: dict[str, str], path: Path, digest: str, size: int) -> Call:
    if form := FORMATS[path.suffix.lower()]:
        query["format"] = form
    shown = {"file": str(path), "bytes": size, "sha256": digest}
    target = api.http.url(f"{await api.where()}/submit-job?{urlencode(query, quote_via=quote)}")
    return Call(method="POST", target=target, body=shown, headers=_headers(api))


def _headers(api: Api) -> Mapping[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": "Basic ****"} if api.secured else {})


async def _file(options: Options, name: str) -> tuple[Path, str, int]:
    path = options.jobs.get(name)
    if path is None:
        raise Unsupported(NO_FILE)
    found = await content(path)
    return path, hashlib.sha256(found).hexdigest(), len(found)


async def content(path: Path) -> bytes:
    """A configuration file, whole. Conflict says why there is none."""
    why, found = "", b""
    try:
        found = await asyncio.to_thread(_read, path)
    except OSError as err:
        why = err.strerror or "no such file"
    if why or not found.strip():
        raise Conflict(words(f"the configuration {path} {'cannot be read: ' + why if why else 'is empty'}"))
    if len(found) > LARGEST:
        raise Conflict(words(f"the configuration {path} is larger than {LARGEST >> 20} MiB"))
    return found


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


# --- send -------------------------------------------------------------------------------------------------------------


async def send(api: Api, source: str, prepared: Prepared) -> SendResult:
    """The prepared call and nothing else; a configuration only if its file is still what was planned."""
    call = prepared.calls[0]
    base = api.http.base
    if len(prepared.calls) != 1 or call.method != "POST" or not call.target.startswith(base + "/"):
        return NotSent("the call is not one of this source")
    body: Any = call.body
    try:
        if api.http.auth is not None:
            await api.http.auth.headers(api.http)  # so that a failure to get the password is never one of the call
        if prepared.action.verb in FROM_FILE:
            body = await content(Path(str(prepared.memo["file"])))
            if hashlib.sha256(body).hexdigest() != prepared.memo["sha256"]:
                return NotSent("the configuration was changed since the plan was made: plan again")
    except AdapterError as err:
        return NotSent(f"nothing was sent: {err.what}")
    try:
        answer = await api.http.request(
            "POST", call.target.removeprefix(base), body=body, headers={"Content-Type": "application/json"}
        )
        if not 200 <= answer.status < 300:
            return _refused(api, source, prepared, answer)
        got = answer.decode(Submitted)
    except AdapterError as err:
        return not_taken(err)
    want = str(prepared.memo.get("job") or parse_key(prepared.action.key).run)
    if str(got.jobId) != want:
        return Unknown(words(f"SeaTunnel answers with another job: {got.jobId}"))
    run = _run_key(source, prepared) if prepared.action.verb in FROM_FILE else prepared.action.key
    return Sent("SeaTunnel took it, which proves nothing yet", run)


def _refused(api: Api, source: str, prepared: Prepared, answer: Answer) -> SendResult:
    told = message(answer)
    if answer.status == 500 and _TWICE in told:
        if prepared.action.verb in (Verb.START, Verb.RERUN):
            return Sent("already there: this action had submitted it before", _run_key(source, prepared))
        return NotSent(words(told))
    if answer.status == 400:
        why = told or _plain(answer) or "HTTP 400"
        if "Invalid JSON" in why and "format=" in prepared.calls[0].target:
            why += " It seems to take JSON only: write the file as JSON"
        return NotSent(api.http.words(f"SeaTunnel refuses it: {why}"))
    return not_taken(said(api.http, answer))


def _plain(answer: Answer) -> str:
    try:
        body = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return ""
    return str(body.get("message") or "")


def _run_key(source: str, prepared: Prepared) -> str:
    key = parse_key(prepared.action.key)
    return str(Key(source, key.pipeline, str(prepared.memo["job"])))


# --- reconcile --------------------------------------------------------------------------------------------------------


async def reconcile(api: Api, source: str, prepared: Prepared) -> Reconciled:
    """Reads only. Done needs a fact that was not so when the action was prepared."""
    verb = prepared.action.verb
    key = parse_key(prepared.action.key)
    native = str(prepared.memo.get("job") or key.run)
    try:
        job, _ = await api.job(native)
    except NotFound as err:
        if err.status == 404:
            raise BadResponse(err.what, err.hint, status=404) from None
        if verb in (Verb.START, Verb.RERUN):
            return NotDone(f"SeaTunnel knows no job {native}")
        return NotDone(f"SeaTunnel knows job {native} no more: how it ended is not told", final=True)
    if job.name != key.pipeline:
        return NotDone(words(f"job {native} is called {job.name}: it is another one"), final=True)
    word, state, _ = state_of(job)
    if verb is Verb.STOP:
        return _stopped(word, state)
    if verb is Verb.HOLD:
        return _held(word, state)
    if verb is Verb.RELEASE:
        same = str(job.createTime) == prepared.memo["created"] and str(job.finish) == prepared.memo["finish"]
        if state is State.HELD:
            return (
                NotDone(f"the job is still {word}")
                if same
                else Done("the job went on and was held again", key_of(source, job))
            )
    run = key_of(source, job)
    if word.endswith("?"):
        return NotDone(f"job {native} is there, its state is not known: {word}", begun=True)
    if state is State.QUEUED:
        return NotDone(f"job {native} is {word}", begun=True)
    if verb is Verb.RELEASE and state is State.FAILED:
        return NotDone(f"the job went on and is {word}: see its error", final=True)
    return Done(f"job {native} is {word}", run)


def _stopped(word: str, state: State) -> Reconciled:
    if state is State.STOPPED:
        return Done(f"the job is {word}")
    if state.terminal and not word.endswith("?"):
        return Done(f"the job had ended by itself: {word}")
    if state is State.HELD:
        return Done(f"the job has ended, with a savepoint: {word}")
    hang = "; where it hangs: stop with the parameter force=true" if word in HANGING else ""
    return NotDone(f"the job is still {word}{hang}", begun=state is State.STOPPING)


def _held(word: str, state: State) -> Reconciled:
    if state is State.HELD:
        return Done(f"the job has ended with a savepoint: {word}")
    if state.terminal and not word.endswith("?"):
        return NotDone(f"the job ended before a savepoint was made: {word}", final=True)
    if word == "DOING_SAVEPOINT":
        return NotDone(
            "the savepoint is being made; where it hangs: stop without one, then with force=true", begun=True
        )
    return NotDone(f"the job is still {word}")
