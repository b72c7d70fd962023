"""Bodies recorded from a real Airflow 2.11.2, and strange ones, read into our words."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.airflow.v2_logs import LogPage, ended, split_head, text_of
from adapters.airflow.v2_wire import summary
from adapters.airflow.wire import Dag, DagRun, DagRuns, Dags, HealthBody, TaskInstances, pipeline_of, run_of, step_of
from adapters.errors import BadResponse, Conflict, Forbidden
from adapters.http import Answer, refusal
from adapters.model import Mode, RunKind, State, Trigger

DATA = Path(__file__).parent / "data"


def body(name: str) -> Any:
    return json.loads((DATA / f"v2_{name}.json").read_text())["body"]


def shaped(name: str, shape: type) -> Any:
    return msgspec.json.decode(json.dumps(body(name)), type=shape)


def test_recorded_dags() -> None:
    found = {d.dag_id: pipeline_of(d, "af", "https://air") for d in shaped("dags_list", Dags).dags}
    assert {k: (p.trigger, p.schedule) for k, p in found.items()} == {
        "wf_consumer": (Trigger.EVENT, "Dataset"),
        "wf_daily": (Trigger.CRON, "0 3 * * *"),
        "wf_fail": (Trigger.MANUAL, None),
        "wf_long": (Trigger.MANUAL, None),
        "wf_mapped": (Trigger.MANUAL, None),
        "wf_ok": (Trigger.CRON, "*/5 * * * *"),
        "wf_producer": (Trigger.MANUAL, None),
    }
    daily = found["wf_daily"]
    assert (daily.owner, daily.next_run, daily.mode) == ("carol", 1795230000000, Mode.PAUSED)
    assert pipeline_of(Dag(dag_id="x", is_active=False), "af", "").mode is Mode.GONE


def test_recorded_runs() -> None:
    items = shaped("dagruns_all", DagRuns)
    runs = {r.key: r for r in (run_of(i, "af", "https://air", UTC) for i in items.dag_runs)}
    assert items.total_entries == len(runs) == 5
    daily = runs["af:wf_daily/scheduled__2026-11-20T03%3A00%3A00+00%3A00"]
    assert (daily.state, daily.kind, daily.business_date) == (State.SUCCESS, RunKind.SCHEDULED, "2026-11-21")
    failed = runs["af:wf_fail/wf_1"]
    assert (failed.state, failed.kind, failed.params) == (State.FAILED, RunKind.MANUAL, {"src": "wf"})
    assert (failed.started, failed.ended) == (1795253350978, 1795253384297)


def test_a_stopped_run_is_called_failed() -> None:
    run = run_of(shaped("stop_run", DagRun), "af", "https://air", UTC)
    assert (run.native, run.state, run.ended) == ("failed", State.FAILED, 1795253399784)


def test_recorded_task_instances() -> None:
    found = [step_of(t, "af:wf_fail/wf_1", 0) for t in shaped("task_instances_of_run", TaskInstances).task_instances]
    steps = {s.step: s for s in found}
    assert {k: (s.state, s.attempt) for k, s in steps.items()} == {
        "start": (State.SUCCESS, 1),
        "maybe": (State.FAILED, 2),
        "after": (State.SKIPPED, 1),
    }
    assert steps["start"].queued == 1795253351010


def test_a_dry_run_names_tasks_and_nothing_else() -> None:
    listed = shaped("clear_ti_dry_run", TaskInstances).task_instances
    assert [(t.task_id, t.state, t.map_index) for t in listed] == [("maybe", None, -1), ("after", None, -1)]
    assert body("patch_ti") == {}


def test_recorded_health_has_parts_that_are_not_installed() -> None:
    assert shaped("unauth_health", HealthBody).troubles() == ()


@pytest.mark.parametrize(
    ("name", "status", "kind", "says"),
    [
        ("unauth_403", 403, Forbidden, "Forbidden"),
        ("dagruns_unknown_param", 400, BadResponse, "Extra query parameter(s) bogus not in spec"),
        ("trigger_duplicate_409", 409, Conflict, "already exists"),
    ],
)
def test_recorded_problems(name: str, status: int, kind: type[Exception], says: str) -> None:
    raw = json.dumps(body(name)).encode()
    err = refusal(Answer(status, {"content-type": "application/problem+json"}, raw, None, "GET", "/x"))
    assert type(err) is kind
    assert says in err.what


# --- schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "said", "trigger", "schedule"),
    [
        (
            {"__type": "TimeDelta", "days": 0, "seconds": 420, "microseconds": 0},
            "0:07:00",
            Trigger.INTERVAL,
            "every 7m",
        ),
        ({"__type": "TimeDelta", "days": 1, "seconds": 0}, "1 day, 0:00:00", Trigger.INTERVAL, "every 1d"),
        ({"__type": "RelativeDelta", "hours": 6, "days": 0}, "relativedelta(hours=+6)", Trigger.INTERVAL, "every 6h"),
        ({"__type": "CronExpression", "value": "@once"}, "@once", Trigger.MANUAL, "@once"),
        ({"__type": "CronExpression", "value": "Dataset or 0 3 * * *"}, "Dataset or 0 3 * * *", Trigger.EVENT, None),
        ({"__type": "CronExpression", "value": "MyTimetable"}, "MyTimetable", Trigger.UNKNOWN, "MyTimetable"),
        ({"__type": "Strange", "deep": [1]}, None, Trigger.UNKNOWN, None),
        ("@daily", "@daily", Trigger.CRON, "@daily"),
    ],
)
def test_schedules(interval: Any, said: str | None, trigger: Trigger, schedule: str | None) -> None:
    assert summary(interval) == said
    found = pipeline_of(Dag(dag_id="x", schedule_interval=interval, timetable_description="so"), "af", "")
    assert found.trigger is trigger
    assert schedule is None or found.schedule == schedule


# --- logs -----------------------------------------------------------------------------------------------------------


def test_a_recorded_log_goes_on_where_it_ended() -> None:
    first, second = (shaped(f"log_running_{n}", LogPage) for n in (1, 2))
    head, text = split_head(text_of(first.content))
    assert head.splitlines()[0] == "*** Found local files:"
    assert "http://vm:18793/log/" in head
    assert text.startswith("[2026-11-21T09:29:51.981+0000]")
    assert ended(first.continuation_token) is False
    whole = text + text_of(second.content)
    assert [line.rpartition(" ")[2] for line in whole.splitlines() if "tick " in line] == [str(n) for n in range(8)]
    assert ended(second.continuation_token) is False


def test_a_recorded_log_that_ended() -> None:
    page = shaped("log_json", LogPage)
    _, text = split_head(text_of(page.content))
    assert "ValueError: boom: upstream table missing\n" in text
    assert "['airflow', 'tasks', 'run', 'wf_fail'" in text, "its own quotes are not those of the repr"
    assert ended(page.continuation_token) is True


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[('', 'plain')]", "plain"),
        ("[('a', 'one'), ('b', 'two')]", "*** a\none\n*** b\ntwo"),
        ("('vm', 'alone')", "alone"),
        ("just words", "just words"),
        ("[broken", "[broken"),
        ("[1, 2]", "[1, 2]"),
        ("[('x',)]", "[('x',)]"),
        (None, ""),
        (7, "7"),
    ],
)
def test_strange_contents_are_shown_as_they_are(content: Any, text: str) -> None:
    assert text_of(content) == text


def test_heads_of_older_releases() -> None:
    assert split_head("*** Found local files:\n***   * /a.log\n[x] begin\n") == (
        "*** Found local files:\n***   * /a.log\n",
        "[x] begin\n",
    )
    assert split_head("no head\n*** stars later\n") == ("", "no head\n*** stars later\n")
    assert split_head("") == ("", "")


@pytest.mark.parametrize("token", ["", ".", "nonsense", "bm9wZQ.sig", "WzFd.sig"])
def test_a_token_that_does_not_tell(token: str) -> None:
    assert ended(token) is None
    assert ended(None) is True
