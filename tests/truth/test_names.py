"""Ids as only other people give them, through keys, URLs, the store, log files and acts."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import Action
from adapters.model import State, Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.airflow_like import AirflowLike
from tests.truth.world import Floor

DAG, RUN = "wéird dag/x.1", "manual__2026-01-01T00:00:00+00:00/#%41?ü"


@pytest.mark.parametrize("task", ["load", "section.1", "größe/2 #x", "100%"])
async def test_odd_ids_are_seen_read_logged_and_rerun_as_themselves(
    floor: Floor, server: AirflowLike, task: str
) -> None:
    server.add_dag(DAG, tasks=("section", task), mapped={"section": 2})
    server.add_run(DAG, RUN, state="failed", failed_at=task)
    run = run_key(pipeline_key("af", DAG), RUN)
    await floor.poll(2)
    assert floor.state(run) is State.FAILED
    assert parse_key(run).run == RUN
    step = step_key(run, task)
    await floor.poller._watch_one({"log": step})
    (log,) = [found for found in floor.run(run).logs if found.step == task]
    assert f"{task} of {RUN} begins" in Path(log.path).read_text()
    prepared = await floor.adapter.prepare(Action(verb=Verb.RERUN_FROM, key=step, client_id="c1", who="ana"))
    assert prepared.calls[0].body["task_ids"] == [task]


async def test_an_instance_of_a_mapped_step_is_that_instance(floor: Floor, server: AirflowLike) -> None:
    server.add_dag(DAG, tasks=("section", "section.1"), mapped={"section": 2})
    server.add_run(DAG, RUN, state="failed", failed_at="section")
    step = step_key(run_key(pipeline_key("af", DAG), RUN), "section", 1)
    prepared = await floor.adapter.prepare(Action(verb=Verb.RERUN_FROM, key=step, client_id="c1", who="ana"))
    assert prepared.calls[0].body["task_ids"] == [["section", 1]]
