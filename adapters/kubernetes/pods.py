"""Pods of a Job as its steps.

A step is a container of the Job's template; each start of it is a try. Tries are counted over the pods that the Job made
one after the other (its backoff) and over the restarts of a container in one pod. Of an indexed Job each index is a
mapped instance; where several pods work beside each other without an index, each pod is one, in the order of creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.http import words
from adapters.kubernetes import wire
from adapters.kubernetes.states import state_of
from adapters.kubernetes.wire import Container, ContainerStatus, Doing, Job, Pod, Terminated, ms
from adapters.model import State, StepRun

BAD_WAITS: Final = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Waits that do not end by themselves, or only after a pause that grows."""
_AGAIN: Final = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "RunContainerError"})
_PHASES: Final = frozenset({"Pending", "Running", "Succeeded", "Failed", "Unknown"})
_TELLING: Final = frozenset(
    {"OOMKilled", "ContainerCannotRun", "StartError", "DeadlineExceeded", "ContainerStatusUnknown"}
)


@dataclass(frozen=True, slots=True)
class Try:
    """One start of one container: ``restart`` is its number within the pod; ``previous``: there was another start after it."""

    step: str
    index: int
    attempt: int
    pod: Pod
    restart: int
    previous: bool
    doing: Doing | None
    order: int
    container: Container


def lanes(job: Job, pods: Iterable[Pod]) -> Mapping[int, list[Pod]]:
    """Pods by the instance that they work for, oldest first; -1 where the Job has one pod at a time."""
    ordered = sorted(pods, key=lambda p: (ms(p.metadata.creation_timestamp) or 0, p.metadata.name))
    found: dict[int, list[Pod]] = {}
    beside = (job.what.parallelism or 1) > 1 or (job.what.completions or 1) > 1
    for number, pod in enumerate(ordered):
        index = -1
        if job.what.indexed:
            text = pod.metadata.note(wire.INDEX) or pod.metadata.label(wire.INDEX) or ""
            index = int(text) if text.isdigit() else number
        elif beside:
            index = number
        found.setdefault(index, []).append(pod)
    return found


def tries(job: Job, pods: Iterable[Pod]) -> list[Try]:
    """Every start that is still told of: of one pod the present one and the one before it."""
    out: list[Try] = []
    for index, mine in sorted(lanes(job, pods).items()):
        made: dict[str, int] = {}
        for pod in mine:
            listed = pod.spec.named() if pod.spec else []
            for order, (container, _) in enumerate(listed or job.containers()):
                seen = pod.of(container.name)
                restarts = max(seen.restart_count, 0) if seen else 0
                base = made.get(container.name, 0)
                if seen and seen.last_state and seen.last_state.terminated and restarts:
                    before = (base + restarts, pod, restarts - 1, True, seen.last_state, order, container)
                    out.append(Try(container.name, index, *before))
                doing = seen.state if seen else None
                now = (base + restarts + 1, pod, restarts, False, doing, order, container)
                out.append(Try(container.name, index, *now))
                made[container.name] = base + restarts + 1
    return out


def steps(job: Job, run: str, pods: Sequence[Pod]) -> list[StepRun]:
    """Steps of a run. Without pods they are those of the template, with what the Job itself says."""
    found = [_step(t, run) for t in tries(job, pods)]
    return sorted(found, key=lambda s: (s.order, s.map_index, s.attempt)) if found else _without(job, run)


def _without(job: Job, run: str) -> list[StepRun]:
    native, state, sub = state_of(job)
    if state.terminal:
        sub = "its pod is gone, and its log with it"
    elif state is State.RUNNING:
        native, state, sub = "Pending", State.QUEUED, "no pod yet"
    return [
        StepRun(
            run=run, step=container.name, native=native, state=state, sub=sub, order=order, operator=container.image
        )
        for order, (container, _) in enumerate(job.containers())
    ]


def _step(one: Try, run: str) -> StepRun:
    native, state, sub, error = _standing(one)
    ended = one.doing.terminated if one.doing else None
    running = one.doing.running if one.doing else None
    started = ms(ended.started_at if ended else running.started_at if running else None)
    pod = one.pod
    over = ms(ended.finished_at) if ended else None
    if over is None and state.terminal:
        over = ms(pod.metadata.deletion_timestamp) or _last(pod)
    return StepRun(
        run=run,
        step=one.step,
        map_index=one.index,
        attempt=one.attempt,
        native=native,
        state=state,
        sub=sub,
        queued=ms(pod.metadata.creation_timestamp) if one.restart == 0 else None,
        started=started,
        ended=over,
        order=one.order,
        operator=one.container.image,
        error=error,
        exit_code=ended.exit_code if ended else None,
    )


def _last(pod: Pod) -> int | None:
    found = [ms(c.last_transition_time) for c in pod.now.conditions or ()]
    return max((at for at in found if at is not None), default=None)


def _standing(one: Try) -> tuple[str, State, str | None, str | None]:
    """Native word, state, sub-label, error (only what no log tells)."""
    pod, doing = one.pod, one.doing
    phase, reason = pod.now.phase, pod.now.reason
    if doing is not None and doing.terminated is not None:
        return _ended(one, doing.terminated)
    if phase == "Failed":  # evicted, or past its deadline, before this container came to say so
        late = reason == "DeadlineExceeded"
        text = words(pod.now.message or "") or None
        return words(reason or "Failed"), State.TIMED_OUT if late else State.FAILED, None, text
    if phase is not None and phase not in _PHASES:
        return f"{words(phase)}?", State.RUNNING, None, None
    if doing is not None and doing.running is not None:
        if pod.metadata.deletion_timestamp is not None:
            return "Terminating", State.STOPPING, "its pod is being ended", None
        return "Running", State.RUNNING, "node is out of reach" if phase == "Unknown" else None, None
    if doing is not None and doing.waiting is not None and doing.waiting.reason:
        word = words(doing.waiting.reason)
        state = State.RETRYING if word in _AGAIN else State.QUEUED
        bad = word in BAD_WAITS
        return word, state, word if bad else None, words(doing.waiting.message or "") or None if bad else None
    if phase == "Succeeded":
        return "Succeeded?", State.WARNING, "its container tells nothing", None
    stuck = _unscheduled(pod)
    return words(phase or "Pending"), State.QUEUED, "Unschedulable" if stuck else None, stuck


def _ended(one: Try, end: Terminated) -> tuple[str, State, str | None, str | None]:
    pod = one.pod
    word = words(end.reason or "") or ("Completed" if end.exit_code == 0 else "Error")
    if end.exit_code is None:
        return f"{word}?", State.WARNING, None, None
    if pod.now.reason in ("Evicted", "DeadlineExceeded") and not one.previous:
        late = pod.now.reason == "DeadlineExceeded"
        text = words(pod.now.message or pod.now.reason)
        return words(pod.now.reason), State.TIMED_OUT if late else State.FAILED, word, text
    if end.exit_code == 0:
        return word, State.SUCCESS, None, None
    sub = f"signal {end.signal}" if end.signal else f"exit {end.exit_code}"
    if word == "OOMKilled":
        limits = one.container.resources.limits if one.container.resources else None
        limit = (limits or {}).get("memory")
        return word, State.FAILED, word, f"OOMKilled: it wanted more memory than {limit or 'its node had'}"
    text = words(end.message or "") or None if word in _TELLING else None
    return word, State.FAILED, sub, text


def _unscheduled(pod: Pod) -> str | None:
    for condition in pod.now.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            return words(condition.message or "Unschedulable")
    return None


# --- what a pod says of its run ---------------------------------------------------------------------------------------


def trouble(pod: Pod) -> str | None:
    """The word that tells most about a pod that is not well; None where nothing is wrong, or only an exit code."""
    if pod.now.reason and pod.now.phase == "Failed":
        return words(pod.now.reason)
    seen = [*(pod.now.init_container_statuses or ()), *(pod.now.container_statuses or ())]
    for status in seen:
        if status.state and status.state.waiting and status.state.waiting.reason in BAD_WAITS:
            return _again(status, words(status.state.waiting.reason or ""))
    for status in seen:
        for doing in (status.state, status.last_state):
            end = doing.terminated if doing else None
            if end is not None and end.reason in _TELLING:
                return _again(status, words(end.reason or ""))
    return "Unschedulable" if _unscheduled(pod) else None


def _again(status: ContainerStatus, word: str) -> str:
    n = status.restart_count
    return f"{word}, {n} restart{'' if n == 1 else 's'}" if n > 0 else word


def said_of(pods: Iterable[Pod]) -> dict[str, str]:
    """By the uid of the Job: what its pods say; the latest pod that says something counts."""
    out: dict[str, str] = {}
    for pod in sorted(pods, key=lambda p: ms(p.metadata.creation_timestamp) or 0):
        owner, word = pod.metadata.owner(), trouble(pod)
        if owner is not None and owner.uid and word:
            out[owner.uid] = word
    return out
