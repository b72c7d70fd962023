"""``start`` and ``rerun``: one run now, by ``run-now`` with an idempotency token drawn from the action's own id.

Databricks answers a second ``run-now`` of the same token with the run of the first. So an answer that was lost is asked for
once more by the same call, which starts nothing new; where that too is lost, the job's own list of runs is read. It shows no
token: a run is ours there only where it is the one that our own identity has started since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.base import Action, Done, NotDone, Prepared, Reconciled, SendResult, Sent, Several, Unknown
from adapters.databricks import reads
from adapters.databricks.calls import RUN_NOW, call
from adapters.databricks.states import judge
from adapters.databricks.wire import JobRun, Settings, native_pipeline, params_of, paused, time
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, State, Verb, run_key

BEFORE_MS: Final = 5_000
LONGEST: Final = 64
_KNOWN: Final = 48
_MASK: Final = "****"


class _Started(msgspec.Struct):
    run_id: int


def mark_of(client_id: str) -> str:
    """The idempotency token of an action: at most 64 characters, and its own."""
    text = f"wf-{client_id}"
    return text if len(text) <= LONGEST else "wf-" + hashlib.sha256(client_id.encode()).hexdigest()[: LONGEST - 3]


async def prepare(http: Http, key: Key, action: Action, date_parameter: str) -> Prepared:
    """One run of a job with the parameters that were given. Conflict for one that the job does not have."""
    job_id = reads.number(key.pipeline, "job")
    job, answer = await reads.job(http, job_id)
    has = job.settings or Settings()
    given: dict[str, Any] = dict(action.params)
    notes: list[str] = []
    if action.business_date is not None:
        if not date_parameter:
            what = "a run of Databricks has no business date of its own"
            raise Conflict(what, "options = { date_parameter = … } names the job parameter that takes it")
        given.setdefault(date_parameter, action.business_date)
    declared = [p.name for p in has.parameters or () if p.name]
    for name in given:
        if declared and name not in declared:
            raise Conflict(f"the job has no parameter {name!r}; it has: {', '.join(declared[:20])}")
    if given and not declared:
        notes.append("the job declares no parameters: Databricks may refuse these, or hand them to its tasks")
    if paused(has):
        notes.append("its schedule is paused: this run starts all the same")
    return await _prepared(http, job_id, has, action, given, notes, answer)


async def again(http: Http, key: Key, action: Action) -> Prepared:
    """A new run of the same job with the parameters of an earlier one, which is left as it is."""
    run, _ = await reads.run(http, reads.number(key.run or "", "run"))
    if native_pipeline(run) != key.pipeline:
        raise NotFound(f"run {run.run_id} is none of {key.pipeline}")
    if run.run_type not in (None, "JOB_RUN") or not run.job_id:
        raise Unsupported("a one-time run belongs to no job: Databricks cannot start it again")
    if not judge(run.state, run.status, ended=time(run.end_time) is not None)[1].terminal:
        raise Conflict("the run has not ended yet: stop it first")
    odd = [k for k, v in (run.overriding_parameters or {}).items() if v]
    if odd:
        what = f"the run was given {', '.join(odd)}, which cannot be told whole for a new run"
        raise Conflict(what, "rerun-failed and rerun-from keep them")
    job, answer = await reads.job(http, run.job_id)
    given = params_of(run)
    note = ["a new run with the same parameters and the job as it is now; the earlier one stays as it is"]
    return await _prepared(http, run.job_id, job.settings or Settings(), action, given, note, answer)


async def _prepared(
    http: Http, job_id: int, has: Settings, action: Action, given: Mapping[str, Any], notes: list[str], answer: Answer
) -> Prepared:
    body: dict[str, Any] = {"job_id": job_id, "idempotency_token": mark_of(action.client_id)}
    if given:
        body["job_parameters"] = {str(k): _text(v) for k, v in given.items()}
    latest, _, _ = await reads.runs(http, {"job_id": job_id}, most=1)
    busy = [r for r in latest if not judge(r.state, r.status, ended=time(r.end_time) is not None)[1].terminal]
    most = has.max_concurrent_runs
    if most and len(busy) >= most:
        notes.append(
            f"{len(busy)} of {most} runs are active: it waits in the queue, or is skipped where queueing is off"
        )
    name = has.name or str(job_id)
    what = "one run" if action.verb is Verb.START else "a new run"
    return Prepared(
        action=action,
        calls=(call(http, RUN_NOW, body),),
        idempotent=True,
        effect=f"{what} of {name} now" + (f" for {action.business_date}" if action.business_date else ""),
        proof="Databricks shows that run past its queue, or why it waits there",
        undo="stop the run",
        note="; ".join(notes),
        memo={
            "job": job_id,
            "at": answer.server_time,
            "me": await reads.my_name(http),
            "known": [r.run_id for r in latest[:_KNOWN]],
            "params": body.get("job_parameters") or {},
        },
    )


def _text(value: Any) -> str:
    """Databricks' parameters are texts."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, NotImplementedError):
        raise Conflict("the parameters cannot be written as text") from None


def taken(key: Key, answer: Answer) -> SendResult:
    """The run that it answers with."""
    run_id = answer.decode(_Started).run_id
    if run_id <= 0:
        return Unknown("Databricks answers with no run")
    return Sent(f"Databricks answers: run {run_id}", run_key(key.pipeline_key, str(run_id)))


async def reconcile(http: Http, key: Key, prepared: Prepared, answered: int | None) -> Reconciled:
    """``answered``: the run that was answered with, where that is known. Else: which run is new since it was prepared, started
    by hand, with these parameters, by nobody else. It is ours where it is the only one and our own identity's; otherwise a
    person must say."""
    if answered is not None:
        try:
            run, _ = await reads.run(http, answered)
        except NotFound:
            return NotDone(f"Databricks answered with run {answered}, and has no such run")
        return _standing(run, key)
    memo = prepared.memo
    params: dict[str, str | int] = {"job_id": int(memo["job"])}
    if memo.get("at") is not None:
        params["start_time_from"] = int(memo["at"]) - BEFORE_MS
    found, _, _ = await reads.runs(http, params, most=10)
    known = {int(i) for i in memo.get("known", ())}
    new = [r for r in found if r.run_id not in known and r.trigger in (None, "ONE_TIME") and _alike(r, memo)]
    able = [r for r in new if not _of_another(r, memo)]
    if not able:
        also = " by this credential; somebody else started one" if new else ""
        return NotDone(f"Databricks shows no new run of this job that was started by hand{also}")
    if len(able) == 1 and _ours(able[0], memo):
        return _standing(able[0], key)
    keys = tuple(run_key(key.pipeline_key, str(r.run_id)) for r in able)
    if len(able) > 1:
        return Several(f"{len(able)} runs of this job were started by hand since: which is this one?", keys)
    return Several(
        "a run of this job was started by hand, and Databricks does not tell by whom, or not since when", keys
    )


def _of_another(run: JobRun, memo: Mapping[str, Any]) -> bool:
    """Databricks names somebody else for it."""
    return bool(memo.get("me") and run.creator_user_name) and run.creator_user_name != memo["me"]


def _ours(run: JobRun, memo: Mapping[str, Any]) -> bool:
    """Our own identity started it, after it was planned by the server's clock."""
    named = bool(memo.get("me")) and run.creator_user_name == memo["me"]
    return named and memo.get("at") is not None and (run.start_time or 0) >= int(memo["at"])


def _alike(run: JobRun, memo: Mapping[str, Any]) -> bool:
    """It does not say to have been given other parameters. What was kept masked, being called like a secret, is not told."""
    had = {p.name: p.value for p in run.job_parameters or () if p.value is not None}
    given: Mapping[str, Any] = memo.get("params", {})
    return all(name not in had or value in (had[name], _MASK) for name, value in given.items())


def _standing(run: JobRun, key: Key) -> Reconciled:
    native, state, sub = judge(run.state, run.status, ended=time(run.end_time) is not None)
    words = f"run {run.run_id} is {native}" + (f" ({sub})" if sub else "")
    ours = run_key(key.pipeline_key, str(run.run_id))
    if state is State.SKIPPED:
        return NotDone(f"{words}: it did not run", final=True)
    if native.endswith("?"):
        return NotDone(f"{words}, which is not known here", begun=True)
    if native == "QUEUED" and not sub:
        return NotDone(f"run {run.run_id} is there and still queued", begun=True)
    return Done(words, ours)
