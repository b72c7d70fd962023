"""What may be in a question to Databricks: each path's parameters, and the fields of its body down to the innermost.

From the vendor's own client (databricks-sdk 0.156). Only what the server behind it heeds: a parameter that it would ignore is
refused like one that nobody documents, so that no test passes because of an answer that would be another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Fits = Callable[[Any], bool]
"""Whether a value is one that the documentation allows there."""


def text(value: Any) -> bool:
    return isinstance(value, str)


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def yes_no(value: Any) -> bool:
    return isinstance(value, bool)


def anything(value: Any) -> bool:
    return isinstance(value, dict)


def one_of(*words: str) -> Fits:
    return lambda value: value in words


def digits(value: Any) -> bool:
    """A number in a query."""
    return isinstance(value, str) and value.isascii() and value.isdigit()


TRUE_FALSE = one_of("true", "false")
RUN_TYPES = one_of("JOB_RUN", "SUBMIT_RUN", "WORKFLOW_RUN")
_PAUSE = one_of("PAUSED", "UNPAUSED")
_WAITS = {"min_time_between_triggers_seconds": whole, "wait_after_last_change_seconds": whole}
_CRON: dict[str, Any] = {"quartz_cron_expression": text, "timezone_id": text}
_EVENTS: dict[str, Any] = {
    "file_arrival": {"url": text, **_WAITS},
    "table_update": {"table_names": [text], "condition": one_of("ANY_UPDATED", "ALL_UPDATED"), **_WAITS},
    "periodic": {"interval": whole, "unit": one_of("HOURS", "DAYS", "WEEKS")},
    "model": anything,
    "sql_condition": anything,
    "pause_status": _PAUSE,
}
_SETTINGS: dict[str, Any] = {
    "schedule": {**_CRON, "pause_status": _PAUSE, "sql_condition": anything},
    "trigger": _EVENTS,
    "continuous": {"pause_status": _PAUSE, "task_retry_mode": one_of("NEVER", "ON_FAILURE")},
    "triggers": [{**_EVENTS, "schedule": _CRON, "continuous": {"task_retry_mode": one_of("NEVER", "ON_FAILURE")}}],
}
"""Of a job's settings what pauses it: each of them is replaced whole, and nothing else may be sent back."""

QUERIES: dict[str, dict[str, Fits]] = {
    "jobs/list": {"limit": digits, "page_token": text, "expand_tasks": TRUE_FALSE},
    "jobs/get": {"job_id": digits, "page_token": text},
    "jobs/runs/list": {
        "active_only": TRUE_FALSE, "completed_only": TRUE_FALSE, "job_id": digits, "run_type": RUN_TYPES,
        "start_time_from": digits, "start_time_to": digits, "limit": digits, "page_token": text,
    },
    "jobs/runs/get": {"run_id": digits, "include_history": TRUE_FALSE, "page_token": text},
    "jobs/runs/get-output": {"run_id": digits},
    "pipelines": {"max_results": digits, "page_token": text},
    "pipelines/*": {},
    "pipelines/*/updates": {"max_results": digits, "page_token": text},
    "pipelines/*/events": {
        "filter": lambda value: str(value).startswith(("timestamp>'", "timestamp>='")) and str(value).endswith("'"),
        "order_by": one_of("timestamp asc", "timestamp desc"), "max_results": digits, "page_token": text,
    },
    "clusters/list": {"page_size": digits, "page_token": text, "filter_by.cluster_sources": one_of("UI", "API", "JOB")},
    "me": {},
    "permissions/jobs/*": {},
    "permissions/pipelines/*": {},
    "permissions/clusters/*": {},
}  # fmt: skip
MANY = frozenset(("filter_by.cluster_sources",))
"""Parameters that may come more than once."""
BODIES: dict[str, dict[str, Any]] = {
    "jobs/run-now": {"job_id": whole, "job_parameters": anything, "idempotency_token": text},
    "jobs/runs/cancel": {"run_id": whole},
    "jobs/runs/repair": {
        "run_id": whole, "rerun_all_failed_tasks": yes_no, "rerun_tasks": [text], "rerun_dependent_tasks": yes_no,
        "latest_repair_id": whole,
    },
    "jobs/update": {"job_id": whole, "new_settings": _SETTINGS},
    "pipelines/*/updates": {"full_refresh": yes_no},
    "pipelines/*/stop": {},
    "clusters/start": {"cluster_id": text},
    "clusters/restart": {"cluster_id": text},
    "clusters/delete": {"cluster_id": text},
}  # fmt: skip


def odd(value: Any, known: Any, at: str = "body") -> Iterator[str]:
    """Where it is not as it is documented: ``new_settings.schedule.pause_status``."""
    if isinstance(known, dict):
        if not isinstance(value, dict):
            yield at
            return
        for name, inner in value.items():
            if name in known:
                yield from odd(inner, known[name], f"{at}.{name}")
            else:
                yield f"{at}.{name}"
    elif isinstance(known, list):
        if not isinstance(value, list):
            yield at
            return
        for i, inner in enumerate(value):
            yield from odd(inner, known[0], f"{at}[{i}]")
    elif not known(value):
        yield at


def odd_query(query: dict[str, list[str]], known: dict[str, Fits]) -> Iterator[str]:
    """Parameters that are not documented, come twice, or say what they cannot."""
    for name, values in query.items():
        if name not in known or (len(values) > 1 and name not in MANY) or not all(known[name](v) for v in values):
            yield f"?{name}"
