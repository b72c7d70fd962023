"""Single questions to the cluster, typed; shared by what reads and what acts."""

from __future__ import annotations

from typing import Any

from adapters.errors import NotFound
from adapters.http import Answer, Http, refusal, words
from adapters.kubernetes import states, wire
from adapters.kubernetes.watch import pages, path
from adapters.kubernetes.wire import CronJob, Job, Jobs, Pod, Pods, Status, segment
from adapters.model import Key


def job_path(namespace: str, name: str) -> str:
    return path("jobs", segment(namespace), segment(name))


def cron_path(namespace: str, name: str) -> str:
    return path("cronjobs", segment(namespace), segment(name))


def pod_path(namespace: str, name: str) -> str:
    return path("pods", segment(namespace), segment(name))


async def cron(http: Http, namespace: str, name: str) -> CronJob:
    found, _ = await http.get(cron_path(namespace, name), CronJob)
    return found


async def job(http: Http, key: Key) -> tuple[Job, Answer]:
    """The Job of a run key. NotFound also where another Job has its name now."""
    namespace, _, _ = states.split_pipeline(key.pipeline)
    name, uid = states.split_run(key.run or "")
    found, answer = await http.get(job_path(namespace, name), Job)
    if states.run_native(found.metadata) != key.run or states.native_of(found) != key.pipeline:
        raise NotFound(words(f"Job {name} in {namespace} is another one now, not that of uid {uid}…"))
    return found, answer


async def latest_job(http: Http, namespace: str, name: str) -> Job:
    """The newest run of a Job without a CronJob: a copy that we made of it, or itself."""
    wanted: dict[str, str | int] = {"labelSelector": f"{wire.PIPELINE}={name}"}
    found, _ = await pages(http, path("jobs", segment(namespace)), Jobs, wanted)
    copies = [j for page in found for j in page.items]
    try:
        copies.append((await http.get(job_path(namespace, name), Job))[0])
    except NotFound:
        if not copies:
            raise
    mine = [j for j in copies if states.native_of(j) == f"{namespace}.{states.JOB}.{name}"]
    if not mine:
        raise NotFound(words(f"there is no Job {name} of its own in {namespace}: a CronJob or another made it"))
    return max(mine, key=lambda j: wire.ms(j.metadata.creation_timestamp) or 0)


def selector_of(found: Job) -> str:
    """Of its pods: what the Job itself selects them by."""
    labels = (found.what.selector.match_labels if found.what.selector else None) or {
        wire.OLD_JOB_NAME: found.metadata.name
    }
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


async def pods_of(http: Http, found: Job) -> list[Pod]:
    """Every pod that this Job made and that is still there."""
    pods = await selected(http, found.metadata.namespace, {"labelSelector": selector_of(found)})
    owned = [p for p in pods if (owner := p.metadata.owner()) is None or owner.uid in ("", found.metadata.uid)]
    return owned


async def selected(http: Http, namespace: str, params: dict[str, str | int]) -> list[Pod]:
    found, _ = await pages(http, path("pods", namespace), Pods, params)
    return [pod for page in found for pod in page.items]


async def untyped(http: Http, where: str) -> tuple[dict[str, Any], Answer]:
    """An object with everything that it holds, to make another one of."""
    found, answer = await http.get(where, dict[str, Any])
    return found, answer


async def gone(http: Http, where: str, name: str) -> Answer | None:
    """The answer where the object is there; None where the API itself says that this very object is not.

    A 404 of a proxy, or of a path that is not there, is no proof and is raised.
    """
    answer = await http.request("GET", where)
    if 200 <= answer.status < 300:
        return answer
    err = refusal(answer, http.auth.secrets if http.auth else ())
    if answer.status != 404:
        raise err
    status = answer.decode(Status)
    if status.kind == "Status" and status.details is not None and status.details.name == name:
        return None
    raise err
