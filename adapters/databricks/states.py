"""Databricks' words for states in ours. A run has an older block (``state``: life cycle × result) and a newer one (``status``).

Where they do not say the same, the worse is believed: nothing is a success that one of them calls otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from adapters.model import State

if TYPE_CHECKING:
    from adapters.databricks.wire import RunState, RunStatus

_ACTIVE: Final[Mapping[str, tuple[State, str | None]]] = {
    "QUEUED": (State.QUEUED, None),
    "PENDING": (State.QUEUED, "compute is being prepared"),
    "BLOCKED": (State.QUEUED, "waits for what comes before it"),
    "WAITING": (State.QUEUED, "waiting"),
    "WAITING_FOR_RETRY": (State.RETRYING, None),
    "RUNNING": (State.RUNNING, None),
    "TERMINATING": (State.RUNNING, "compute is being cleaned up"),
}
RESULTS: Final[Mapping[str, tuple[State, str | None]]] = {
    "SUCCESS": (State.SUCCESS, None),
    "SUCCESS_WITH_FAILURES": (State.WARNING, "with failures"),
    "FAILED": (State.FAILED, None),
    "TIMEDOUT": (State.TIMED_OUT, None),
    "CANCELED": (State.STOPPED, None),
    "UPSTREAM_CANCELED": (State.STOPPED, "upstream canceled"),
    "UPSTREAM_FAILED": (State.SKIPPED, "upstream failed"),
    "MAXIMUM_CONCURRENT_RUNS_REACHED": (State.SKIPPED, "maximum concurrent runs reached"),
    "EXCLUDED": (State.SKIPPED, "conditions not met"),
    "DISABLED": (State.SKIPPED, "disabled"),
}
_QUIET: Final = frozenset(("SUCCESS", "SUCCESS_WITH_FAILURES", "USER_CANCELED", "CANCELED", "SKIPPED", "DISABLED"))
_CODES: Final[Mapping[str, tuple[State, str | None]]] = {
    "SUCCESS": (State.SUCCESS, None),
    "SUCCESS_WITH_FAILURES": (State.WARNING, "with failures"),
    "USER_CANCELED": (State.STOPPED, "by a person"),
    "CANCELED": (State.STOPPED, "by the platform"),
    "SKIPPED": (State.SKIPPED, None),
    "DISABLED": (State.SKIPPED, "disabled"),
    "MAX_CONCURRENT_RUNS_EXCEEDED": (State.SKIPPED, "maximum concurrent runs reached"),
    "MAX_JOB_QUEUE_SIZE_EXCEEDED": (State.SKIPPED, "the job's queue is full"),
    "RUN_EXECUTION_ERROR": (State.FAILED, None),
    **{
        code: (State.FAILED, code.lower().replace("_", " "))
        for code in (
            "BREAKING_CHANGE",
            "BUDGET_POLICY_LIMIT_EXCEEDED",
            "CLOUD_FAILURE",
            "CLUSTER_ERROR",
            "CLUSTER_REQUEST_LIMIT_EXCEEDED",
            "CLUSTER_TERMINATED_BY_USER",
            "DRIVER_ERROR",
            "FEATURE_DISABLED",
            "INTERNAL_ERROR",
            "INVALID_CLUSTER_REQUEST",
            "INVALID_RUN_CONFIGURATION",
            "LIBRARY_INSTALLATION_ERROR",
            "MAX_SPARK_CONTEXTS_EXCEEDED",
            "REPOSITORY_CHECKOUT_FAILED",
            "RESOURCE_NOT_FOUND",
            "STORAGE_ACCESS_ERROR",
            "UNAUTHORIZED_ERROR",
            "WORKSPACE_RUN_LIMIT_EXCEEDED",
        )
    },
}
_TYPES: Final[Mapping[str, str]] = {"INTERNAL_ERROR": "platform error", "CLOUD_FAILURE": "cloud failure"}
_QUEUES: Final[Mapping[str, str]] = {
    "ACTIVE_RUNS_LIMIT_REACHED": "the workspace's limit of active tasks is reached",
    "MAX_CONCURRENT_RUNS_REACHED": "the job's maximum of concurrent runs is reached",
    "ACTIVE_RUN_JOB_TASKS_LIMIT_REACHED": "the workspace's limit of active run-job tasks is reached",
}
_ENDS: Final = frozenset(("TERMINATED", "SKIPPED", "INTERNAL_ERROR"))
Judged = tuple[str, State, str | None]


def judge(state: RunState | None, status: RunStatus | None, *, ended: bool) -> Judged:
    """(native word, state, sub-label) of a run or a task.

    ``ended``: it has an end time, which decides about a word that is not known. The newer block comes first, but what only
    the older one tells apart (a retry, a skip, an internal error, the result) is taken from there.
    """
    old = (state.life_cycle_state if state else None) or None
    new = (status.state if status else None) or None
    word = old if old in ("WAITING_FOR_RETRY", "SKIPPED", "INTERNAL_ERROR") and new != "RUNNING" else new or old
    if word is None:
        return _unknown("", ended)
    if word in _ENDS:
        return _ended(word, state, status, ended)
    known = _ACTIVE.get(word)
    if known is None:
        return _unknown(word, ended)
    found, sub = known
    if word == "TERMINATING" and not (state and state.result_state):
        found, sub = State.STOPPING, None
    if word == "QUEUED":
        sub = _queued(state, status)
    return (word, found, sub)


def _queued(state: RunState | None, status: RunStatus | None) -> str | None:
    """Why it waits in the queue, where that is told."""
    details = status.queue_details if status else None
    if details is not None and (details.code or details.message):
        return _QUEUES.get(details.code or "") or details.message or details.code
    return (state.queue_reason if state else None) or None


def _ended(word: str, state: RunState | None, status: RunStatus | None, ended: bool) -> Judged:
    result = (state.result_state if state else None) or None
    details = status.termination_details if status else None
    code = details.code if details else None
    by_code = _CODES.get(code or "")
    if result is not None and result not in RESULTS:
        return _unknown(result, ended)
    if word == "SKIPPED":
        sub = RESULTS[result][1] if result else by_code[1] if by_code else None
        return (word, State.SKIPPED, sub)
    if word == "INTERNAL_ERROR":  # also an ordinary task that fails is reported so, with a result FAILED
        found = RESULTS[result][0] if result in ("TIMEDOUT", "CANCELED") else State.FAILED
        return (f"{word}/{result}" if result else word, found, _cause(code, details.type if details else None))
    if result is None:
        if by_code is None:
            return _unknown(code or word, ended)
        return (code or word, by_code[0], by_code[1] or _cause(None, details.type if details else None))
    found, sub = RESULTS[result]
    if by_code is not None and found is State.SUCCESS and by_code[0] is not State.SUCCESS:
        return (f"{result}/{code}", by_code[0], by_code[1])
    if found is State.SUCCESS and code is not None and by_code is None:
        return _unknown(f"{result}/{code}", ended)
    if found is State.STOPPED and by_code is not None and by_code[0] is State.STOPPED:
        sub = by_code[1]
    if found is State.FAILED:
        sub = _cause(code, details.type if details else None)
    return (result, found, sub)


def _cause(code: str | None, kind: str | None) -> str | None:
    """Of a failure: whose it was where that is told, else what broke. An ordinary failing task has neither."""
    if kind in _TYPES:
        return _TYPES[kind]
    known = _CODES.get(code or "")
    if code is None or code in _QUIET or code == "INTERNAL_ERROR" or known is None:
        return None
    return known[1]


def _unknown(word: str, ended: bool) -> Judged:
    """A word that we do not know: shown raw with ``?``; RUNNING without an end time, else WARNING."""
    return (f"{word}?", State.WARNING if ended else State.RUNNING, None)
