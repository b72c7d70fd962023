"""Shapes recorded from a real Airflow 3.3.2, and strange ones, read into our words."""

from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from adapters.airflow.logs import render, split_head
from adapters.airflow.wire import (
    Dag,
    DagRuns,
    Dags,
    HealthBody,
    TaskInstances,
    pipeline_of,
    run_of,
    step_of,
)
from adapters.model import Mode, RunKind, State, Trigger

DATA = Path(__file__).parent / "data"


# --- recorded shapes of a real 3.3.2 ----------------------------------------------------------------------------------


def test_recorded_dags() -> None:
    found = {d.dag_id: pipeline_of(d, "af", "https://air") for d in _load("dags", Dags).dags}
    assert {k: (p.trigger, p.schedule) for k, p in found.items()} == {
        "wf_consumer": (Trigger.EVENT, "Asset"),
        "wf_daily": (Trigger.CRON, "0 3 * * *"),
        "wf_fail": (Trigger.MANUAL, None),
        "wf_long": (Trigger.MANUAL, None),
        "wf_mapped": (Trigger.MANUAL, None),
        "wf_ok": (Trigger.CRON, "*/5 * * * *"),
        "wf_producer": (Trigger.MANUAL, None),
    }
    ok = found["wf_ok"]
    assert (ok.key, ok.owner, ok.tags, ok.url) == (
        "af:wf_ok",
        "alice",
        ("team:data", "tier1"),
        "https://air/dags/wf_ok",
    )
    assert found["wf_daily"].next_run == 1795230000000
    assert {p.mode for p in found.values()} == {Mode.PAUSED}
    assert pipeline_of(Dag(dag_id="x", is_paused=False), "af", "https://air").mode is Mode.ACTIVE


def test_recorded_runs() -> None:
    runs = [run_of(r, "af", "https://air", UTC) for r in _load("dag_runs", DagRuns).dag_runs]
    daily = next(r for r in runs if r.key.startswith("af:wf_daily/"))
    assert daily.key == "af:wf_daily/scheduled__2026-11-21T03%3A00%3A00+00%3A00"
    assert (daily.kind, daily.state, daily.business_date) == (RunKind.SCHEDULED, State.SUCCESS, "2026-11-21")
    assert daily.url == "https://air/dags/wf_daily/runs/scheduled__2026-11-21T03%3A00%3A00%2B00%3A00"
    long = runs[0]
    assert (long.state, long.kind, long.business_date, long.ended) == (State.RUNNING, RunKind.MANUAL, None, None)
    assert long.started == 1795252238150
    west = run_of(_load("dag_runs", DagRuns).dag_runs[-1], "af", "https://air", timezone(timedelta(hours=-5)))
    assert west.business_date == "2026-11-20", "the date where the source lives"


def test_a_cleared_run_has_no_end_whatever_is_left_in_its_fields() -> None:
    item = _load("dag_runs", DagRuns).dag_runs[-1]
    assert run_of(item, "af", "https://air", UTC).ended is not None
    item.state = "queued"
    assert run_of(item, "af", "https://air", UTC).ended is None


def test_recorded_task_instances() -> None:
    steps = [step_of(t, "af:wf_mapped/wf_1", 0) for t in _load("task_instances", TaskInstances).task_instances]
    by_key = {s.key.partition("#")[2]: s for s in steps}
    assert by_key["work.1"].state is State.FAILED
    assert by_key["right"].state is State.SKIPPED
    assert by_key["work.0"].operator == "@task"


def test_recorded_log_reads_as_lines() -> None:
    head, body = split_head(json.loads((DATA / "log_failed.json").read_text())["content"])
    text = render(body).decode()
    assert len(head) == 1
    assert "::" not in text.replace("::group", "")
    assert "2026-11-21T09:10:38 ERROR task Task failed with exception\nTraceback (most recent call last):\n" in text
    assert "ValueError: boom: upstream table missing\n" in text
    assert "2026-11-21T09:10:38 INFO task.stdout conf {'src': 'watchfloor'}\n" in text


def test_recorded_health() -> None:
    health = _load("health_scheduler_down", HealthBody)
    assert health.troubles() == ("Airflow's scheduler is unhealthy: no run starts or moves on",)


def _load(name: str, shape: type) -> object:
    return msgspec.json.decode((DATA / f"{name}.json").read_bytes(), type=shape)


@pytest.mark.parametrize(
    ("summary", "described", "trigger"),
    [
        ("0:05:00", None, Trigger.INTERVAL),
        ("1 day, 0:00:00", None, Trigger.INTERVAL),
        ("@daily", None, Trigger.CRON),
        ("@continuous", None, Trigger.CONTINUOUS),
        ("Asset or 0 3 * * *", None, Trigger.EVENT),
        ("3 events", None, Trigger.EVENT),
        ("None", None, Trigger.MANUAL),
        (None, "Never, external triggers only", Trigger.MANUAL),
        ("MyTimetable", None, Trigger.UNKNOWN),
    ],
)
def test_triggers(summary: str | None, described: str | None, trigger: Trigger) -> None:
    dag = Dag(dag_id="x", timetable_summary=summary, timetable_description=described)
    assert pipeline_of(dag, "af", "https://air").trigger is trigger


def test_log_chains_and_strange_records() -> None:
    def err(name: str, cause: bool) -> dict[str, object]:
        return {"exc_type": name, "exc_value": "why", "frames": [], "is_cause": cause}

    text = render(
        [
            "a plain line of an older version",
            {"timestamp": "2026-11-21T10:00:00.5+01:00", "event": "two\nlines", "level": "warning", "count": 3},
            {"event": None},
            {"timestamp": "yesterday", "event": "x", "error_detail": [err("Outer", False), err("Inner", True), "?"]},
            7,
        ]
    ).decode()
    assert "a plain line of an older version\n2026-11-21T09:00:00 WARNING two\nlines count=3\n" in text
    assert text.index("Inner: why") < text.index("The exception above led to:") < text.index("Outer: why")
