"""Airflow 2's shapes where they differ from Airflow 3's, told in the latter's words."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

if TYPE_CHECKING:
    from adapters.airflow.wire import Dag


def alike(dag: Dag) -> Dag:
    """A DAG of either generation with the fields of Airflow 3. Airflow 2 has ``schedule_interval``, an object with a
    ``__type``; ``is_active`` false for a DAG whose file is gone; ``next_dagrun_create_after``."""
    if dag.schedule_interval is None and dag.is_active is None and dag.next_dagrun_create_after is None:
        return dag
    return replace(
        dag,
        timetable_summary=dag.timetable_summary or summary(dag.schedule_interval),
        is_stale=dag.is_stale if dag.is_stale is not None else dag.is_active is False,
        next_dagrun_run_after=dag.next_dagrun_run_after or dag.next_dagrun_create_after,
    )


def summary(interval: Any) -> str | None:
    """``schedule_interval`` as Airflow 3's ``timetable_summary`` would put it; None where there is none or it is strange."""
    if isinstance(interval, str):
        return interval or None
    if not isinstance(interval, dict):
        return None
    kind, value = interval.get("__type"), interval.get("value")
    if isinstance(value, str) and kind in ("CronExpression", None):
        return value
    parts = {k: v for k, v in interval.items() if isinstance(v, (int, float)) and not isinstance(v, bool) and v}
    if kind == "TimeDelta":
        try:
            return str(timedelta(**{k: v for k, v in parts.items() if k in ("days", "seconds", "microseconds")}))
        except OverflowError:
            return None
    if kind == "RelativeDelta":
        return f"relativedelta({', '.join(f'{k}={v:+g}' for k, v in parts.items())})"
    return value if isinstance(value, str) else None
