"""A cleared Airflow run: nothing of the old attempt is told of the new one, and the new one's words stay."""

from __future__ import annotations

from adapters.model import State
from tests.servers.airflow_like import AirflowLike
from tests.truth.world import KEY, Floor


def clear(server: AirflowLike, *tasks: str) -> None:
    for name in tasks:
        task = server.task("daily", "r1", name)
        server.remember(task)
        server.set_task("daily", "r1", name, state=None)
    server.set_run("daily", "r1", "queued")


def fails(server: AirflowLike, name: str, why: str, number: int) -> None:
    now = server.now()
    server.set_task("daily", "r1", name, state="failed", try_number=number, queued=now, start=now, end=now)
    server.append_log("daily", "r1", name, why, level="error")
    server.set_run("daily", "r1", "failed")


def works(server: AirflowLike, name: str, number: int) -> None:
    now = server.now()
    server.set_task("daily", "r1", name, state="success", try_number=number, queued=now, start=now, end=now)


async def failed_once(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    works(server, "extract", 1)
    fails(server, "load", "ORA-00001: first reason", 1)
    await floor.poll(3)
    assert floor.run().row.error == "load: ORA-00001: first reason"


async def failed_again(floor: Floor, server: AirflowLike) -> None:
    await failed_once(floor, server)
    clear(server, "load", "report")
    await floor.poll()
    found = floor.run().row
    assert (found.state, found.attempt, found.error) == (State.QUEUED, 2, None)
    fails(server, "load", "ORA-00002: second reason", 2)
    await floor.poll(3)


async def test_the_second_attempt_s_reason_is_its_own_and_stays(floor: Floor, server: AirflowLike) -> None:
    await failed_again(floor, server)
    assert floor.run().row.error == "load: ORA-00002: second reason"
    told = floor.told
    await floor.poll(3)
    await floor.poller._watch_one({"run": KEY})
    assert floor.run().row.error == "load: ORA-00002: second reason"
    assert floor.told == told, "a run that stands still was told as news"


async def test_history_does_not_replace_a_reason_that_was_found(floor: Floor, server: AirflowLike) -> None:
    await failed_once(floor, server)
    await floor.poller._watch_one({"run": KEY})
    floor.poller._history = ["af:daily"]
    await floor.poll()
    assert floor.run().row.error == "load: ORA-00001: first reason"


async def test_a_step_that_recovered_is_not_why_its_run_failed(floor: Floor, server: AirflowLike) -> None:
    await failed_once(floor, server)
    clear(server, "load", "report")
    await floor.poll()
    works(server, "load", 2)
    fails(server, "report", "ORA-00003: third reason", 1)
    await floor.poll(3)
    assert floor.run().row.error == "report: ORA-00003: third reason"


async def test_the_alert_names_the_step_that_failed_last(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    works(server, "extract", 1)
    fails(server, "load", "ORA-4", 1)
    server.set_run("daily", "r1", "running")
    task = server.task("daily", "r1", "load")
    server.remember(task)
    works(server, "load", 2)
    fails(server, "report", "nothing to see", 1)
    await floor.poll(3)
    (alert,) = floor.open_alerts()
    assert "in report" in alert.body
    assert "in load" not in alert.body


async def test_the_end_of_an_alert_names_the_attempt_that_succeeded(floor: Floor, server: AirflowLike) -> None:
    await failed_again(floor, server)
    clear(server, "load", "report")
    await floor.poll()
    works(server, "load", 3)
    works(server, "report", 2)
    server.set_run("daily", "r1", "success")
    await floor.poll()
    with floor.store.transaction() as tx:
        words = tx.db.execute("SELECT resolved_by FROM alert").fetchone()[0]
    assert words.startswith("attempt 3 of r1 succeeded"), words


async def test_a_success_that_only_history_shows_ends_the_alert(floor: Floor, server: AirflowLike) -> None:
    from datetime import timedelta

    old = server.now() - timedelta(days=5)
    server.add_run("daily", "r1", state="running", run_after=old)
    await floor.poll()
    fails(server, "extract", "ORA-1", 1)
    await floor.poll(2)
    assert len(floor.open_alerts()) == 1
    await floor.close()
    server.set_run("daily", "r1", "success")  # cleared and done while no engine watched
    floor.begin()
    await floor.poll(2)
    assert floor.state() is State.SUCCESS
    assert floor.open_alerts() == []
