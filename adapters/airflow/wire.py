"""Shapes of Airflow's ``/api/v2`` (and 2.x's ``/api/v1``) as they arrive, and what they mean in our words.

Only ids are required of an item: a field that a version lacks or adds changes nothing, an item without its ids makes
the whole answer unusable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.airflow.v2_wire import alike
from adapters.model import Mode, Pipeline, Run, RunKind, State, StepRun, Trigger, pipeline_key, run_key

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
OWN: Final = "wf-"
"""Every run that we make is called this plus the action's client id."""
_DELTA: Final = re.compile(r"(?:(\d+) days?, )?(\d{1,2}):(\d\d):(\d\d)")
_RELATIVE: Final = re.compile(r"relativedelta\(((?:(?:days|hours|minutes|seconds)=\+?\d+(?:, )?)+)\)")


class Tag(msgspec.Struct):
    name: str = ""


class Dag(msgspec.Struct):
    dag_id: str
    dag_display_name: str | None = None
    is_paused: bool | None = None
    is_stale: bool | None = None
    description: str | None = None
    timetable_summary: str | None = None
    timetable_description: str | None = None
    tags: list[Tag] | None = None
    owners: list[str] | None = None
    max_active_runs: int | None = None
    next_dagrun_run_after: datetime | None = None
    # of Airflow 2, see v2_wire
    is_active: bool | None = None
    schedule_interval: Any = None
    next_dagrun_create_after: datetime | None = None
    # of both
    next_dagrun_logical_date: datetime | None = None
    next_dagrun_data_interval_end: datetime | None = None


class DagRun(msgspec.Struct):
    dag_id: str
    dag_run_id: str
    state: str | None = None
    run_type: str | None = None
    queued_at: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    data_interval_end: datetime | None = None
    partition_date: datetime | None = None
    run_after: datetime | None = None
    conf: Any = None


class TaskInstance(msgspec.Struct):
    task_id: str
    dag_id: str | None = None
    dag_run_id: str | None = None
    id: str | None = None
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    priority_weight: int = 0
    queued_when: datetime | None = None
    scheduled_when: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    operator: str | None = None
    operator_name: str | None = None


class Dags(msgspec.Struct):
    dags: list[Dag]
    total_entries: int | None = None


class DagRuns(msgspec.Struct):
    dag_runs: list[DagRun]
    total_entries: int | None = None


class TaskInstances(msgspec.Struct):
    task_instances: list[TaskInstance]
    total_entries: int | None = None


class LogPage(msgspec.Struct):
    content: list[Any]
    continuation_token: str | None = None


class Token(msgspec.Struct):
    access_token: str


class Version(msgspec.Struct):
    version: str


class Part(msgspec.Struct):
    status: str | None = None


class HealthBody(msgspec.Struct):
    metadatabase: Part | None = None
    scheduler: Part | None = None
    triggerer: Part | None = None
    dag_processor: Part | None = None

    def troubles(self) -> tuple[str, ...]:
        """One clause for each part that is not healthy. The status is null where a part is not installed at all."""
        return tuple(
            f"Airflow's {what} is {part.status}: {so}"
            for what, part, so in (
                ("metadata database", self.metadatabase, "nothing of this source can be trusted"),
                ("scheduler", self.scheduler, "no run starts or moves on"),
                ("triggerer", self.triggerer, "deferred tasks stand still"),
                ("DAG processor", self.dag_processor, "changes to DAGs are not seen"),
            )
            if part is not None and part.status not in ("healthy", None)
        )


# --- words to states ------------------------------------------------------------------------------------------------

RUN_STATES: Final[Mapping[str, State]] = {
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "success": State.SUCCESS,
    "failed": State.FAILED,
}
TASK_STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "none": (State.QUEUED, None),
    "scheduled": (State.QUEUED, None),
    "queued": (State.QUEUED, None),
    "running": (State.RUNNING, None),
    "restarting": (State.RUNNING, None),
    "deferred": (State.RUNNING, "deferred"),
    "up_for_retry": (State.RETRYING, None),
    "up_for_reschedule": (State.RETRYING, "waits to look again"),
    "awaiting_input": (State.HELD, "awaiting input"),
    "success": (State.SUCCESS, None),
    "failed": (State.FAILED, None),
    "upstream_failed": (State.SKIPPED, "upstream"),
    "skipped": (State.SKIPPED, None),
    "removed": (State.SKIPPED, "removed from the DAG"),
}
_KINDS: Final[Mapping[str, RunKind]] = {
    "manual": RunKind.MANUAL,
    "asset_materialization": RunKind.MANUAL,
    "backfill": RunKind.BACKFILL,
}


def ms(at: datetime | None) -> int | None:
    """A time as Airflow writes it, in ms UTC. One without a zone is UTC."""
    if at is None:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MS


def iso(at_ms: int) -> str:
    return (_EPOCH + at_ms * _MS).isoformat().replace("+00:00", "Z")


def unknown(word: str | None, ended: bool) -> tuple[str, State]:
    """A word that we do not know: shown raw with ``?``; RUNNING without an end time, else WARNING."""
    return f"{word or ''}?", State.WARNING if ended else State.RUNNING


def segment(native: str) -> str:
    """A native id as one path segment of a URL."""
    return quote(native, safe="")


def pipeline_of(dag: Dag, source: str, base: str) -> Pipeline:
    """A DAG. ``schedule`` is the timetable's own summary, a timedelta in our words. Its zone is told nowhere: even where
    ``/details`` has a ``timezone``, that is UTC for a timetable in Paris."""
    dag = alike(dag)
    summary = dag.timetable_summary
    next_run = ms(dag.next_dagrun_run_after)
    return Pipeline(
        key=pipeline_key(source, dag.dag_id),
        name=dag.dag_display_name or dag.dag_id,
        mode=Mode.PAUSED if dag.is_paused else Mode.GONE if dag.is_stale else Mode.ACTIVE,
        trigger=_trigger(summary, dag.timetable_description),
        schedule=None if summary in (None, "None", "") else _schedule(summary, None if dag.is_paused else next_run),
        next_run=next_run,
        owner=", ".join(dag.owners) if dag.owners else None,
        tags=tuple(sorted(t.name for t in dag.tags or () if t.name)),
        url=f"{base}/dags/{segment(dag.dag_id)}",
        description=dag.description,
    )


def _trigger(summary: str | None, described: str | None) -> Trigger:
    if summary is None:
        return Trigger.MANUAL if described is None or "external triggers only" in described else Trigger.UNKNOWN
    if summary in ("None", "", "@once"):
        return Trigger.MANUAL
    if summary == "@continuous":
        return Trigger.CONTINUOUS
    if "Asset" in summary or "Dataset" in summary or summary.endswith(" events"):
        return Trigger.EVENT
    if summary.startswith("@") or all(len(part.split()) in (5, 6) for part in summary.split(", ")):
        return Trigger.CRON  # several of them with ", " between: MultipleCronTriggerTimetable
    if _DELTA.fullmatch(summary) or summary.startswith("relativedelta("):
        return Trigger.INTERVAL
    return Trigger.UNKNOWN


def _schedule(summary: str, next_run: int | None) -> str:
    """``0:07:00`` as ``every 7m``, or as ``every 7m + 6m3s`` where its next run is that much beside whole multiples since
    the epoch: Airflow counts most deltas from the run before, and for a paused DAG from now. A cron as ``_cron`` says; any other summary as it is."""
    seconds = _seconds(summary)
    if not seconds:
        return _cron(summary)
    beside = 0 if next_run is None else next_run // 1000 % seconds
    return f"every {_span(seconds)}" + (f" + {_span(beside)}" if beside else "")


def _cron(summary: str) -> str:
    """Where both day fields say something, either suffices to Airflow (its croniter), also where one is ``*/2``: to Vixie cron,
    and to us, a star narrows the other. So the star is written out. Beside ``1#2`` or ``L5`` it does not look at the day."""
    fields = summary.split()
    if len(fields) != 5 or fields[2] in ("*", "?") or fields[4] in ("*", "?"):
        return summary
    if "#" in fields[4] or fields[4][0] in "lL":
        fields[2] = "*"
    else:
        fields[2], fields[4] = _unstarred(fields[2], "1-31"), _unstarred(fields[4], "0-6")
    return " ".join(fields)


def _unstarred(text: str, whole: str) -> str:
    return ",".join(whole + term[1:] if term.startswith("*") else term for term in text.split(","))


def _seconds(summary: str) -> int:
    """Of a timedelta, or a relativedelta of fixed length, as Python writes them; 0 for anything else."""
    if (found := _DELTA.fullmatch(summary)) is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if (found := _RELATIVE.fullmatch(summary)) is not None:
        each = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
        return sum(each[unit] * int(n) for unit, n in re.findall(r"(\w+)=\+?(\d+)", found[1]))
    return 0


def _span(seconds: int) -> str:
    """``1d2h``, ``7m``, ``6m3s``."""
    parts = zip((seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60, seconds % 60), "dhms", strict=True)
    return "".join(f"{n}{unit}" for n, unit in parts if n)


def run_of(item: DagRun, source: str, base: str, zone: tzinfo, error: str | None = None) -> Run:
    """A DAG run.

    ``business_date`` is the date, in the source's zone, of the end of the data interval (of the partition where there
    is one); a manual run has neither. Airflow's run carries no time of change, so ``source_updated`` stays None, and no
    attempt: a cleared run is seen to be one by going from terminal back to queued.
    """
    native = item.state or "?"
    state = RUN_STATES.get(native)
    if state is None:
        native, state = unknown(item.state, item.end_date is not None)
    partition = item.data_interval_end or item.partition_date
    pipeline = pipeline_key(source, item.dag_id)
    return Run(
        key=run_key(pipeline, item.dag_run_id),
        native=native,
        state=state,
        kind=_KINDS.get(item.run_type or "", RunKind.SCHEDULED),
        params=item.conf if isinstance(item.conf, dict) and item.conf else None,
        business_date=None if partition is None else _local_date(partition, zone),
        queued=ms(item.queued_at),
        started=ms(item.start_date),
        ended=ms(item.end_date) if state.terminal else None,
        url=f"{base}/dags/{segment(item.dag_id)}/runs/{segment(item.dag_run_id)}",
        error=error if state is State.FAILED else None,
        client_id=item.dag_run_id.removeprefix(OWN) if item.dag_run_id.startswith(OWN) else None,
    )


def _local_date(at: datetime, zone: tzinfo) -> str:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone).date().isoformat()


def cleared(item: TaskInstance) -> bool:
    """Cleared after a try of its own, and not begun again: it waits, or what comes before it failed this time."""
    return item.try_number > 0 and item.state in (None, "upstream_failed")


def step_of(item: TaskInstance, run: str, order: int) -> StepRun:
    """One try of a task instance.

    A cleared task keeps the number of the try before until it begins: what waits, or was cut off upstream, is the next
    try. While it has no state it still has that try's times, which are not its own.
    """
    word = item.state or "none"
    known = TASK_STATES.get(word)
    if known is None:
        native, state = unknown(item.state, item.end_date is not None)
        sub = None
    else:
        native, (state, sub) = word, known
    anew = cleared(item)
    waiting = state is State.QUEUED
    return StepRun(
        run=run,
        step=item.task_id,
        map_index=item.map_index,
        attempt=item.try_number + 1 if anew else max(item.try_number, 1),
        native=native,
        state=state,
        sub=sub,
        queued=None if anew else ms(item.queued_when or item.scheduled_when),
        started=None if waiting else ms(item.start_date),
        ended=ms(item.end_date) if state.terminal or state is State.RETRYING else None,
        order=order,
        operator=item.operator_name or item.operator,
    )
