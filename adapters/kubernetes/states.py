"""Jobs and CronJobs in our words.

A CronJob is a pipeline (``namespace.cronjob.name``) and its Jobs are its runs. A Job that no CronJob made is a pipeline of
its own (``namespace.job.name``); copies of it that we made carry a label and are further runs of it. A run's id is the
Job's name and the first 8 digits of its uid: a Job that was deleted and made again under its name is another run.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.errors import NotFound
from adapters.http import words
from adapters.kubernetes import wire
from adapters.kubernetes.wire import CronJob, Job, Meta, ms
from adapters.model import (
    Mode,
    Pipeline,
    Run,
    RunKind,
    State,
    StepDef,
    Trigger,
    pipeline_key,
    run_key,
)
from adapters.schedule import duration_ms

CRONJOB: Final = "cronjob"
JOB: Final = "job"
DAY_MS: Final = 86_400_000
RECENT_MS: Final = 2 * DAY_MS
"""A Job that ended longer ago when it is first seen is history: no alert comes from it."""
_KNOWN: Final = frozenset({"Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"})
_APP: Final = tuple(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of"))
_ZONED: Final = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_GITOPS: Final = (
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
)


# --- ids --------------------------------------------------------------------------------------------------------------


def native_of(job: Job) -> str:
    """Native id of the pipeline that a Job is a run of."""
    owner = job.metadata.owner()
    if owner is not None and owner.kind == "CronJob":
        return f"{job.metadata.namespace}.{CRONJOB}.{owner.name}"
    return f"{job.metadata.namespace}.{JOB}.{job.metadata.label(wire.PIPELINE) or job.metadata.name}"


def cron_native(cron: CronJob) -> str:
    return f"{cron.metadata.namespace}.{CRONJOB}.{cron.metadata.name}"


def run_native(meta: Meta) -> str:
    return f"{meta.name}.{meta.uid[:8]}"


def key_of(source: str, job: Job) -> str:
    return run_key(pipeline_key(source, native_of(job)), run_native(job.metadata))


def split_pipeline(native: str) -> tuple[str, str, str]:
    """Namespace, ``cronjob`` or ``job``, name. A namespace has no dot in it, a name may."""
    namespace, _, rest = native.partition(".")
    kind, _, name = rest.partition(".")
    if not namespace or kind not in (CRONJOB, JOB) or not name:
        raise NotFound(words(f"{native} is no CronJob or Job here: ids are namespace.cronjob.name, namespace.job.name"))
    return namespace, kind, name


def split_run(native: str) -> tuple[str, str]:
    """Name of the Job, begin of its uid."""
    name, _, uid = native.rpartition(".")
    if not name or not uid:
        raise NotFound(words(f"{native} is no Job here: ids of runs are name.uid"))
    return name, uid


# --- pipelines --------------------------------------------------------------------------------------------------------


def schedule_of(cron: CronJob) -> tuple[str | None, str | None]:
    """Schedule and zone as the rest of Watchfloor reads them. Kubernetes counts ``@every 1h`` from the last start; a zone within
    the schedule was never documented and works on old clusters."""
    text, zone = cron.what.schedule, cron.what.time_zone
    if text is None:
        return None, zone
    if (found := _ZONED.fullmatch(text.strip())) is not None:
        text, zone = found[2], zone or found[1]
    last = ms(cron.now.last_schedule_time or cron.metadata.creation_timestamp)
    if text.startswith("@every ") and last is not None:
        try:
            period = duration_ms(text.removeprefix("@every ").strip()) // 1000
        except ValueError:
            return text, zone
        beside = last // 1000 % period if period else 0
        text = f"every {period}s" + (f" + {beside}s" if beside else "")
    return text, zone


def pipeline_of(cron: CronJob, source: str, alone: bool) -> Pipeline:
    """``alone``: only one namespace is watched, so that names need none. Where ``spec.timeZone`` is missing the schedule is in
    the zone of the cluster's controller manager, which its API does not tell."""
    meta, spec = cron.metadata, cron.what
    text, zone = schedule_of(cron)
    containers = spec.job_template.spec if spec.job_template else None
    return Pipeline(
        key=pipeline_key(source, cron_native(cron)),
        name=meta.name if alone else f"{meta.namespace}.{meta.name}",
        mode=Mode.GONE if meta.deletion_timestamp else Mode.PAUSED if spec.suspend else Mode.ACTIVE,
        trigger=Trigger.UNKNOWN if not text else Trigger.INTERVAL if text.startswith("every ") else Trigger.CRON,
        schedule=text,
        timezone=zone,
        tags=_tags(meta),
        description=_said(meta),
        steps=_steps(Job(metadata=meta, spec=containers)),
    )


def pipeline_of_job(job: Job, source: str, alone: bool) -> Pipeline:
    """A Job without a CronJob; or what is left of a CronJob that may not be read, or is gone while its Jobs are there."""
    native = native_of(job)
    namespace, kind, name = split_pipeline(native)
    return Pipeline(
        key=pipeline_key(source, native),
        name=name if alone else f"{namespace}.{name}",
        trigger=Trigger.MANUAL if kind == JOB else Trigger.UNKNOWN,
        tags=_tags(job.metadata),
        description=_said(job.metadata),
        steps=_steps(job),
    )


def _tags(meta: Meta) -> tuple[str, ...]:
    found = {meta.namespace, *(meta.label(name) or "" for name in _APP)}
    return tuple(sorted(words(tag) for tag in found if tag))


def _said(meta: Meta) -> str | None:
    text = meta.note("kubernetes.io/description")
    return words(text) if text else None


def _steps(job: Job) -> tuple[StepDef, ...]:
    """Init containers run one after the other before the rest, which run beside each other."""
    out: list[StepDef] = []
    before: tuple[str, ...] = ()
    for container, first in job.containers():
        out.append(StepDef(name=container.name, after=before, operator=container.image))
        if first:
            before = (container.name,)
    return tuple(out)


def gitops(meta: Meta) -> str | None:
    """Who sets it back to what a repository says, as far as labels and annotations tell."""
    return next((who for name, who in _GITOPS if meta.note(name) or meta.label(name)), None)


# --- runs -------------------------------------------------------------------------------------------------------------


def state_of(job: Job) -> tuple[str, State, str | None]:
    """Native word, state, sub-label. The native word is the condition, or what the counts say where there is none."""
    now, failed = job.now, job.now.failed or 0
    if (done := now.true("Complete")) is not None:
        early = "by its success policy" if done.reason == "SuccessPolicy" else None
        return "Complete", State.SUCCESS, early or (f"after {_pods(failed)} failed" if failed else None)
    if (bad := now.true("Failed")) is not None:
        late = bad.reason == "DeadlineExceeded"
        return "Failed", State.TIMED_OUT if late else State.FAILED, words(bad.reason) if bad.reason else None
    if job.metadata.deletion_timestamp is not None:
        return "Deleting", State.STOPPING, "it is being deleted"
    if (bad := now.true("FailureTarget")) is not None:
        return "FailureTarget", State.STOPPING, words(f"{bad.reason or 'it failed'}: its pods are being ended")
    active = now.active or 0
    if now.true("SuccessCriteriaMet") is not None:
        return "SuccessCriteriaMet", State.RUNNING, "its other pods are being ended"
    if job.what.suspend:
        return "Suspended", State.HELD, f"{_pods(active)} still ending" if active else None
    if active:
        return "Active", State.RUNNING, f"after {_pods(failed)} failed" if failed else None
    strange = next((c.type for c in now.conditions or () if c.status == "True" and c.type not in _KNOWN), None)
    if strange is not None or now.completion_time is not None:
        over = now.completion_time is not None
        return f"{words(strange or 'ended')}?", State.WARNING if over else State.RUNNING, None
    if failed:
        return "Backoff", State.RETRYING, f"after {_pods(failed)} failed"
    return "Pending", State.QUEUED, None


def _pods(count: int) -> str:
    return f"{count} pod{'' if count == 1 else 's'}"


def ended_of(job: Job) -> int | None:
    """A failed Job has no ``completionTime``: then when it was found to have failed."""
    bad = job.now.true("Failed")
    return ms(job.now.completion_time or (bad.last_transition_time if bad else None))


def kind_of(job: Job) -> RunKind:
    meta = job.metadata
    if meta.note(wire.RERUN_OF):
        return RunKind.RERUN
    owner = meta.owner()
    scheduled = owner is not None and owner.kind == "CronJob" and meta.note(wire.INSTANTIATE) != "manual"
    return RunKind.SCHEDULED if scheduled else RunKind.MANUAL


def run_of(job: Job, source: str, sub: str | None = None, server_time: int | None = None) -> Run:
    """``sub``: what its pods say (``ImagePullBackOff``, ``OOMKilled`` …), which is nearer than what the Job says."""
    native, state, own = state_of(job)
    meta, bad = job.metadata, job.now.true("Failed")
    ended = ended_of(job) if state.terminal else None
    pipeline = pipeline_key(source, native_of(job))
    again = meta.note(wire.RERUN_OF)
    said = ": ".join(p for p in (own if state.bad else None, sub) if p) if sub else own
    return Run(
        key=run_key(pipeline, run_native(meta)),
        native=native,
        state=state,
        sub=said,
        kind=kind_of(job),
        business_date=meta.note(wire.BUSINESS_DATE),
        rerun_of=run_key(pipeline, again) if again else None,
        queued=wire.read_time(meta.note(wire.SCHEDULED_AT)) or ms(meta.creation_timestamp),
        started=ms(job.now.start_time),
        ended=ended,
        error=words(": ".join(p for p in (sub, bad.message) if p)) or None if bad is not None else None,
        client_id=meta.note(wire.CLIENT_ID),
        backfilled=server_time is not None and ended is not None and ended < server_time - RECENT_MS,
    )


def deleted_run(job: Job, source: str, server_time: int | None) -> Run:
    """What a Job was when it was deleted. One that had not ended was stopped by that; its pods are ended with it."""
    run = run_of(job, source, None, server_time)
    if run.state.terminal:
        return run
    return Run(
        key=run.key,
        native="Deleted",
        state=State.STOPPED,
        sub="its Job was deleted",
        kind=run.kind,
        business_date=run.business_date,
        rerun_of=run.rerun_of,
        queued=run.queued,
        started=run.started,
        ended=ms(job.metadata.deletion_timestamp) or server_time,
        client_id=run.client_id,
    )
