"""What would be done to a cluster: the exact calls, and the truth about what is lost by them.

Kubernetes freezes nothing: a Job that is suspended loses its pods and their work, a Job that is deleted loses its logs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters import schedule as schedules
from adapters.base import Action, Call, Prepared
from adapters.errors import AdapterError, Conflict, Forbidden, NotFound, Unsupported
from adapters.http import Http, words
from adapters.kubernetes import bodies, reads, states, wire
from adapters.kubernetes.watch import path
from adapters.kubernetes.wire import CronJob, Job, ms, said, segment
from adapters.model import Key, State, Verb

VERBS: Final = (Verb.START, Verb.PAUSE, Verb.RESUME, Verb.HOLD, Verb.RELEASE, Verb.STOP, Verb.RERUN)
MERGE: Final = "application/merge-patch+json"
_MASKED: Final[Mapping[str, str]] = {"Authorization": "Bearer ****"}
_TOO_MANY: Final = 100
"""More missed starts than this and a controller before 1.21 started none."""


def call(http: Http, method: str, where: str, body: Any, kind: str = "application/json") -> Call:
    return Call(method=method, target=http.url(where), body=body, headers={**_MASKED, "Content-Type": kind})


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    """Reads the thing again and works out the calls. Conflict where it makes no sense now, NotFound, Unsupported."""
    if action.verb is Verb.START:
        return await _start(http, key, action)
    if action.verb in (Verb.PAUSE, Verb.RESUME):
        return await _pause(http, key, action)
    if action.verb not in VERBS:
        raise Unsupported(f"{action.verb} is not offered for Kubernetes")
    if key.run is None:
        raise Unsupported(words(f"{key} is no single Job; this needs one of its runs"))
    if action.verb is Verb.RERUN:
        return await _rerun(http, key, action)
    job, _ = await reads.job(http, key)
    _, state, _ = states.state_of(job)
    if state.terminal:
        raise Conflict(f"the Job has already ended: {states.state_of(job)[0]}")
    if action.verb is Verb.STOP:
        return _stop(http, job, action)
    return await _hold(http, job, action)


# --- one more Job -----------------------------------------------------------------------------------------------------


async def template(http: Http, key: Key, action: Action) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The object that a Job is made from as it is now, the Job (whole, secrets too), and where the object is."""
    namespace, kind, name = states.split_pipeline(key.pipeline)
    if action.verb is Verb.RERUN:
        await reads.job(http, key)  # that it is still the same Job
        where = reads.job_path(namespace, states.split_run(key.run or "")[0])
        found, _ = await reads.untyped(http, where)
        return found, bodies.copy_of(found, action, name, key.run), where
    if kind == states.CRONJOB:
        where = reads.cron_path(namespace, name)
        found, _ = await reads.untyped(http, where)
        return found, bodies.from_cron(found, action), where
    where = reads.job_path(namespace, (await reads.latest_job(http, namespace, name)).metadata.name)
    found, _ = await reads.untyped(http, where)
    return found, bodies.copy_of(found, action, name, None), where


async def _start(http: Http, key: Key, action: Action) -> Prepared:
    namespace, kind, name = states.split_pipeline(key.pipeline)
    _no_params(action)
    found, body, where = await template(http, key, action)
    notes: list[str] = []
    if kind == states.CRONJOB:
        cron = await reads.cron(http, namespace, name)
        notes += _of_cron(cron)
    if said(body, "spec", "suspend"):
        notes.append("its template is suspended: the Job waits until it is released")
    if action.business_date is not None:
        notes.append(f"business date {action.business_date} is noted on the Job; its containers do not see it")
    return _made(http, action, body, found, where, f"one run of {name} now", notes)


async def _rerun(http: Http, key: Key, action: Action) -> Prepared:
    job, _ = await reads.job(http, key)
    native, state, _ = states.state_of(job)
    if not state.terminal:
        raise Conflict(f"the Job is still {native}: stop it first")
    _no_params(action)
    found, body, where = await template(http, key, action)
    await _owner_lives(http, job)
    name = job.metadata.name
    notes = ["a new Job by the same template: Kubernetes starts no Job a second time", "it starts all over"]
    if states.kind_of(job).name == "SCHEDULED":
        notes.append("the template is that of the old Job, also where the CronJob was changed since")
    return _made(http, action, body, found, where, f"Job {name} once more, as a new Job", notes)


async def _owner_lives(http: Http, job: Job) -> None:
    """Kubernetes deletes a Job whose owner is not there, a new one at once."""
    owner = job.metadata.owner()
    if owner is None or owner.kind != "CronJob":
        return
    try:
        cron = await reads.cron(http, job.metadata.namespace, owner.name)
    except Forbidden:
        return
    except NotFound:
        cron = None
    if cron is None or cron.metadata.uid != owner.uid:
        raise Conflict(words(f"CronJob {owner.name} that made it is gone: Kubernetes would delete a copy at once"))


def _made(
    http: Http, action: Action, body: dict[str, Any], found: dict[str, Any], where: str, effect: str, notes: list[str]
) -> Prepared:
    name, namespace = str(body["metadata"]["name"]), str(body["metadata"]["namespace"])
    ttl = said(body, "spec", "ttlSecondsAfterFinished")
    if ttl is not None:
        notes.append(f"Kubernetes deletes it and its log {ttl} s after its end")
    return Prepared(
        action=action,
        calls=(call(http, "POST", path("jobs", segment(namespace)), bodies.shown(body)),),
        idempotent=True,
        effect=f"{effect}: {name}",
        proof=f"Job {name} is there, made by this action, and has begun",
        undo="stop the run: deletes the Job, its pods and its log",
        note="; ".join([*notes, "values of its environment are sent as they are and shown as ****"]),
        memo={
            "namespace": namespace,
            "name": name,
            "from": where,
            "uid": said(found, "metadata", "uid"),
            "generation": said(found, "metadata", "generation"),
        },
    )


def _no_params(action: Action) -> None:
    if action.params:
        raise Conflict("a Job takes no parameters: what it does stands in its template")


def _of_cron(cron: CronJob) -> list[str]:
    """What a start by hand has to do with its schedule."""
    notes: list[str] = []
    active = len(cron.now.active or ())
    policy = cron.what.concurrency_policy or "Allow"
    if cron.what.suspend:
        notes.append("its schedule is suspended; this run starts all the same")
    if active and policy != "Allow":
        notes.append(
            f"{_n(active, 'run')} active: concurrencyPolicy {policy} holds for its schedule, not for this start"
        )
    elif active:
        notes.append(f"{_n(active, 'run')} active beside it")
    if policy != "Allow":
        notes.append("its schedule does not wait for this run either")
    kept = cron.what.successful_jobs_history_limit
    if kept is not None:
        notes.append(f"it counts among the {kept} successful Jobs that are kept")
    return notes


# --- the schedule -----------------------------------------------------------------------------------------------------


async def _pause(http: Http, key: Key, action: Action) -> Prepared:
    namespace, kind, name = states.split_pipeline(key.pipeline)
    if kind != states.CRONJOB:
        raise Unsupported(f"{name} is a Job without a CronJob: it has no schedule; a run of it can be held")
    found, answer = await http.get(reads.cron_path(namespace, name), CronJob)
    want = action.verb is Verb.PAUSE
    if bool(found.what.suspend) == want:
        raise Conflict(f"{name} is already {'suspended' if want else 'active'}")
    notes = _paused(found) if want else resumed(found, answer.server_time)
    if (who := states.gitops(found.metadata)) is not None:
        notes.append(f"{who} keeps this CronJob and may set it back")
    return Prepared(
        action=action,
        calls=(call(http, "PATCH", reads.cron_path(namespace, name), {"spec": {"suspend": want}}, MERGE),),
        idempotent=True,
        effect=f"no new scheduled runs of {name}" if want else f"scheduled runs of {name} again",
        proof=f"Kubernetes says spec.suspend = {str(want).lower()} in two readings",
        undo="resume" if want else "pause",
        note="; ".join(notes),
        steady=2,
        patience_s=60.0,
        memo={"suspend": want, "uid": found.metadata.uid},
    )


def _paused(cron: CronJob) -> list[str]:
    active = len(cron.now.active or ())
    notes = [f"{_n(active, 'active run')} will go on" if active else "none of its runs is active"]
    if cron.what.starting_deadline_seconds is None:
        notes.append(
            "starts that it misses meanwhile count as missed: one of them is made up for at once when it is resumed"
        )
    else:
        deadline = cron.what.starting_deadline_seconds
        notes.append(
            f"of the starts that it misses only one of the last {deadline} s before it is resumed is made up for"
        )
    return notes


def resumed(cron: CronJob, now: int | None) -> list[str]:
    """What the controller will do at once about starts that were missed, reckoned as it does it: from the last start on."""
    spec, deadline = cron.what, cron.what.starting_deadline_seconds
    since = ms(cron.now.last_schedule_time or cron.metadata.creation_timestamp)
    rule = (
        "no startingDeadlineSeconds: the latest missed start is made up for at once"
        if deadline is None
        else f"startingDeadlineSeconds {deadline}: only a start missed in the last {deadline} s is made up for"
    )
    text, told = states.schedule_of(cron)
    if now is None or since is None or not text:
        return [rule]
    try:
        plan = schedules.parse(text, told or "UTC")
    except ValueError:
        return [rule]
    missed = plan.last(since, now, _TOO_MANY + 1)
    zone = "" if told else " (reckoned in UTC: the zone of its controller is not told)"
    if not missed:
        return [f"no start was missed{zone}"]
    count = f"more than {_TOO_MANY} starts" if len(missed) > _TOO_MANY else _n(len(missed), "start")
    due = [at for at in missed if deadline is None or at > now - deadline * 1000]
    notes = [f"{count} missed since {wire.iso(since)}{zone}"]
    if not due:
        return [*notes, f"none of them in the last {deadline} s (startingDeadlineSeconds): none is made up for"]
    notes.append(f"one run starts at once, for {wire.iso(due[-1])}; the others are not made up for")
    active, policy = len(cron.now.active or ()), spec.concurrency_policy or "Allow"
    if active and policy == "Forbid":
        notes.append(f"concurrencyPolicy Forbid: not while {_n(active, 'run')} still active")
    if active and policy == "Replace":
        notes.append(f"concurrencyPolicy Replace: it ends {_n(active, 'run')} that is active")
    return notes


# --- one run ----------------------------------------------------------------------------------------------------------


def _stop(http: Http, job: Job, action: Action) -> Prepared:
    meta, active = job.metadata, job.now.active or 0
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",  # the API's own default for Jobs is to leave the pods running
        "preconditions": {"uid": meta.uid},
    }
    grace = _grace(job)
    return Prepared(
        action=action,
        calls=(call(http, "DELETE", reads.job_path(meta.namespace, meta.name), options),),
        idempotent=True,
        effect=f"deletes Job {meta.name}; {_n(active, 'pod')} of it ended",
        proof="the Job and its pods are gone from Kubernetes",
        undo="none: the Job is gone; start makes another one",
        note="Kubernetes has no stop: the Job, its pods and their logs are deleted, only what was read before is kept here; "
        f"its containers get {grace} s to end; hold ends its pods too and keeps the Job",
        patience_s=300.0,
        memo={
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            "pods": reads.selector_of(job),
        },
    )


async def _hold(http: Http, job: Job, action: Action) -> Prepared:
    want = action.verb is Verb.HOLD
    meta, active = job.metadata, job.now.active or 0
    if bool(job.what.suspend) == want:
        raise Conflict(f"the Job is {'suspended already' if want else 'not suspended'}")
    return Prepared(
        action=action,
        calls=(call(http, "PATCH", reads.job_path(meta.namespace, meta.name), {"spec": {"suspend": want}}, MERGE),),
        idempotent=True,
        effect=f"suspends Job {meta.name}: {_n(active, 'pod')} deleted" if want else f"Job {meta.name} goes on",
        proof="Kubernetes says it is suspended and has no active pod" if want else "Kubernetes has pods of it again",
        undo="release starts new pods from the beginning" if want else "hold",
        note="; ".join(await (_held(http, job, active) if want else _released(job))),
        patience_s=180.0,
        memo={"suspend": want, "uid": meta.uid, "name": meta.name, "namespace": meta.namespace},
    )


async def _held(http: Http, job: Job, active: int) -> list[str]:
    notes = [
        f"Kubernetes freezes nothing: {_n(active, 'pod')} deleted with work and logs that were not kept elsewhere"
        if active
        else "it has no pod now: no work is lost",
    ]
    if job.now.succeeded:
        notes.append(f"{_n(job.now.succeeded, 'pod')} that succeeded stand")
    if job.what.active_deadline_seconds:
        notes.append(f"its time limit of {job.what.active_deadline_seconds} s begins anew when it is released")
    owner = job.metadata.owner()
    if owner is not None and owner.kind == "CronJob":
        try:
            cron = await reads.cron(http, job.metadata.namespace, owner.name)
        except AdapterError:
            return notes
        policy = cron.what.concurrency_policy or "Allow"
        if policy == "Forbid":
            notes.append(f"while it is held {owner.name} starts no further run (concurrencyPolicy Forbid)")
        elif policy == "Replace":
            notes.append(f"the next start of {owner.name} deletes it (concurrencyPolicy Replace)")
    return notes


async def _released(job: Job) -> list[str]:
    notes = ["new pods start from the beginning: what was running when it was held was lost then"]
    if job.now.succeeded:
        notes.append(f"{_n(job.now.succeeded, 'pod')} that succeeded stand and do not run again")
    queue = job.metadata.label("kueue.x-k8s.io/queue-name")
    if queue:
        notes.append(words(f"queue {queue} of Kueue decides when it runs and may suspend it again"))
    return notes


def _grace(job: Job) -> int:
    spec = job.what.template.spec if job.what.template else None
    seconds = spec.termination_grace_period_seconds if spec else None
    return 30 if seconds is None else seconds


def _n(count: int, what: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def standing(job: Job) -> tuple[State, str]:
    """State and one word for it."""
    native, state, sub = states.state_of(job)
    return state, f"{native} ({sub})" if sub else native
