"""What the adapter makes of what Kafka Connect says: states, lives, steps, traces, parts; and of what it says oddly."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.base import Secret
from adapters.errors import BadResponse, NotFound, Unreachable, Unsupported
from adapters.extras import Standing
from adapters.kafka_connect import KafkaConnectAdapter
from adapters.kafka_connect.adapter import _since
from adapters.kafka_connect.wire import Part, Status, Task, cause, judged
from adapters.model import Mode, Run, State, Trigger
from tests.kafka_connect.world import PASSWORD, QUICK, SOURCE, USER, key_of, settings
from tests.servers.kafka_connect_like import KafkaConnectLike
from tests.servers.kafka_connect_state import SECRET

PEM = Path(__file__).resolve().parents[1] / "airflow" / "data" / "localhost.pem"


def status(word: str | None, *tasks: str | None) -> Status:
    return Status(name="x", connector=Part(word), tasks=[Task(i, t) for i, t in enumerate(tasks)])


@pytest.mark.parametrize(
    ("said", "native", "state", "sub"),
    [
        (status("RUNNING", "RUNNING"), "RUNNING", State.RUNNING, None),
        (status("RUNNING", "RUNNING", "FAILED", "UNASSIGNED"), "RUNNING", State.FAILED, "1 of 3 tasks FAILED, 1 of 3 tasks UNASSIGNED"),
        (status("RUNNING", "RUNNING", "RESTARTING"), "RUNNING", State.RETRYING, "1 of 2 tasks RESTARTING"),
        (status("RUNNING", "UNASSIGNED", "UNASSIGNED"), "RUNNING", State.QUEUED, "2 of 2 tasks UNASSIGNED"),
        (status("RUNNING", "PAUSED"), "RUNNING", State.HELD, "1 of 1 task PAUSED"),
        (status("RUNNING"), "RUNNING", State.RUNNING, "it has no task"),
        (status("PAUSED", "PAUSED"), "PAUSED", State.HELD, None),
        (status("PAUSED", "FAILED"), "PAUSED", State.FAILED, "1 of 1 task FAILED"),
        (status("STOPPED"), "STOPPED", State.HELD, None),
        (status("STOPPED", "RUNNING"), "STOPPED", State.HELD, "1 of 1 task RUNNING"),
        (status("RUNNING", "RESTARTING", "FAILED"), "RUNNING", State.FAILED, "1 of 2 tasks FAILED, 1 of 2 tasks RESTARTING"),
        (status("STOPPED", "UNASSIGNED"), "STOPPED", State.HELD, "1 of 1 task UNASSIGNED"),
        (status("STOPPED", "FAILED"), "STOPPED", State.HELD, "1 of 1 task FAILED"),
        (status("UNASSIGNED", "UNASSIGNED"), "UNASSIGNED", State.QUEUED, None),
        (status("FAILED"), "FAILED", State.FAILED, "it has no task"),
        (status("LEVITATING", "RUNNING"), "LEVITATING?", State.RUNNING, None),
        (status("RUNNING", "LEVITATING"), "LEVITATING?", State.RUNNING, "1 of 1 task LEVITATING?"),
        (status("LEVITATING", "FAILED"), "LEVITATING?", State.FAILED, "1 of 1 task FAILED"),
        (status(None), "?", State.RUNNING, "it has no task"),
    ],
)  # fmt: skip
def test_the_worst_of_a_connector_and_its_tasks_with_counts(
    said: Status, native: str, state: State, sub: str | None
) -> None:
    assert judged(said) == (native, state, sub)


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ("java.lang.IllegalStateException: no\n\tat a.B(C.java:1)\nCaused by: java.io.FileNotFoundException: /x (No such file)\n\tat a.B\n\t... 3 more",
         "java.io.FileNotFoundException: /x (No such file)"),
        ("org.apache.kafka.connect.errors.ConnectException: Could not connect\n\tat x", "org.apache.kafka.connect.errors.ConnectException: Could not connect"),
        ("Caused by: java.lang.NullPointerException\n\tat x.Y(Z.java:1)", "java.lang.NullPointerException"),
        ("jdbc failed: password=hunter22 refused", "jdbc failed: password=**** refused"),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_cause_of_a_trace(trace: str | None, said: str | None) -> None:
    assert cause(trace) == said


async def page(adapter: KafkaConnectAdapter, cursor: str | None) -> tuple[dict[str, Run], str | None]:
    found = await adapter.runs(cursor)
    assert found.complete
    return {r.key: r for r in found.runs}, found.cursor


async def test_a_connector_as_a_pipeline_shows_no_value_of_its_configuration(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    like.state.add(
        "shop/orders €", tasks=1, state="PAUSED", config={"aws.secret.access.key": "AKIA-SECRET", "topics": "a,b"}
    )
    listing = await adapter.pipelines()
    one = {p.name: p for p in listing.items}["shop/orders €"]
    assert listing.complete
    assert (one.mode, one.trigger, one.schedule, one.tags) == (Mode.PAUSED, Trigger.CONTINUOUS, None, ("sink",))
    assert [s.name for s in one.steps] == ["connector", "task-0"]
    assert one.steps[0].operator == "FileStreamSinkConnector"
    assert one.description == (
        "connector.class org.apache.kafka.connect.file.FileStreamSinkConnector; tasks.max 1; topics a,b;"
        " also set, values not shown: aws.secret.access.key, connection.password"
    )
    assert "AKIA" not in repr(listing)
    assert SECRET not in repr(listing)
    assert await adapter.read(one.key) == one


async def test_at_first_sight_no_time_is_made_up(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.add("bad")
    like.state.fail("bad", 1, "it broke")
    runs, _ = await page(adapter, None)
    run = runs[key_of("bad", 1)]
    assert (run.state, run.native, run.sub) == (State.FAILED, "RUNNING", "1 of 2 tasks FAILED")
    assert run.error == "task-1: org.apache.kafka.connect.errors.DataException: it broke"
    assert (run.queued, run.started, run.ended, run.source_updated) == (None, None, None, None)


async def test_a_life_seen_to_begin_fail_and_recover(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    _, cursor = await page(adapter, None)
    like.skew_s = 100.0
    like.state.add("new")
    runs, cursor = await page(adapter, cursor)
    began = runs[key_of("new", 1)].started
    assert began is not None
    like.skew_s = 200.0
    like.state.fail("new")
    runs, cursor = await page(adapter, cursor)
    ended = runs[key_of("new", 1)].ended
    assert ended is not None
    assert 98_000 <= ended - began <= 102_000
    like.skew_s = 300.0
    runs, cursor = await page(adapter, cursor)
    assert (runs[key_of("new", 1)].started, runs[key_of("new", 1)].ended) == (began, ended), "seen once, told the same"
    assert (await adapter.steps(key_of("new", 1)))[1].attempt == 1
    like.state.connectors["new"].tasks[0].to("RUNNING")
    runs, cursor = await page(adapter, cursor)
    assert (runs[key_of("new", 1)].state, runs[key_of("new", 1)].ended) == (State.RUNNING, None)
    assert {s.step: s.attempt for s in await adapter.steps(key_of("new", 1))} == {
        "connector": 1,
        "task-0": 2,
        "task-1": 1,
    }
    old = await adapter.log(f"{key_of('new', 1)}#task-0", 1, None)
    assert (old.data, old.end) == (b"", True)
    assert "present failure" in (old.note or "")
    again = KafkaConnectAdapter(settings(like))  # the same after a restart
    assert (await page(again, cursor))[0][key_of("new", 1)].started == began
    assert (await again.steps(key_of("new", 1)))[1].attempt == 2
    await again.close()


async def test_what_was_stopped_comes_back_as_a_new_life(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    _, cursor = await page(adapter, None)
    like.state.connectors["orders"].own.to("STOPPED")
    like.state.connectors["orders"].tasks = []
    runs, cursor = await page(adapter, cursor)
    assert (runs[key_of("orders", 1)].state, runs[key_of("orders", 1)].native) == (State.HELD, "STOPPED")
    like.state.connectors["orders"].own.to("RUNNING")
    seen = await adapter.read(key_of("orders", 1))
    assert isinstance(seen, Run)
    assert seen.state is State.STOPPED, "also where it is read before the poll"
    runs, cursor = await page(adapter, cursor)
    assert set(runs) == {key_of("orders", 1), key_of("orders", 2)}
    assert runs[key_of("orders", 1)].state is State.STOPPED
    assert runs[key_of("orders", 1)].ended is not None
    assert runs[key_of("orders", 2)].state is State.RUNNING
    assert runs[key_of("orders", 2)].started is not None
    with pytest.raises(NotFound, match="present one is life-2"):
        await adapter.read(key_of("orders", 1))
    runs, _ = await page(adapter, cursor)
    assert set(runs) == {key_of("orders", 2)}


@pytest.mark.parametrize("tasks", [(), ("UNASSIGNED",)])
async def test_a_stopped_one_whose_worker_leaves_stays_stopped(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter, tasks: tuple[str, ...]
) -> None:
    """Kafka Connect 4.1 says UNASSIGNED of it until another worker takes it, and STOPPED again then."""
    orders = like.state.connectors["orders"]
    orders.own.to("STOPPED")
    for task in orders.tasks:
        task.to("UNASSIGNED")
    del orders.tasks[len(tasks) :]
    _, cursor = await page(adapter, None)
    orders.own.to("UNASSIGNED")
    runs, cursor = await page(adapter, cursor)
    run = runs[key_of("orders", 1)]
    assert (run.native, run.state, run.sub) == ("UNASSIGNED", State.HELD, "it was stopped, and no worker has it now")
    assert await adapter.read(run.key) == run
    listed = {p.name: p for p in (await adapter.pipelines()).items}
    assert listed["orders"].mode is Mode.PAUSED
    assert await adapter.read(listed["orders"].key) == listed["orders"]
    orders.own.to("STOPPED")
    runs, cursor = await page(adapter, cursor)
    assert (runs[key_of("orders", 1)].state, runs[key_of("orders", 1)].sub is None) == (State.HELD, not tasks)
    orders.own.to("UNASSIGNED")
    _, cursor = await page(adapter, cursor)
    orders.own.to("RUNNING")
    runs, _ = await page(adapter, cursor)
    assert runs[key_of("orders", 1)].state is State.STOPPED
    assert runs[key_of("orders", 2)].state is (State.QUEUED if tasks else State.RUNNING)


async def test_deleted_and_made_again(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    _, cursor = await page(adapter, None)
    del like.state.connectors["orders"]
    before = len(like.requests)
    runs, cursor = await page(adapter, cursor)
    assert len(like.requests) - before == 2, "one more question, whatever vanished"
    run = runs[key_of("orders", 1)]
    assert (run.state, run.native, run.sub) == (State.STOPPED, "deleted", "its connector was deleted")
    assert await adapter.read(key_of("orders", 1)) == run
    runs, cursor = await page(adapter, cursor)
    assert runs == {}
    like.state.add("orders")
    runs, _ = await page(adapter, cursor)
    assert list(runs) == [key_of("orders", 2)]
    assert runs[key_of("orders", 2)].started is not None


async def test_without_a_status_it_is_not_taken_for_deleted(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    _, cursor = await page(adapter, None)
    like.state.connectors["orders"].told = False
    runs, cursor = await page(adapter, cursor)
    assert (runs[key_of("orders", 1)].state, runs[key_of("orders", 1)].native) == (State.QUEUED, "no status")
    seen = await adapter.read(key_of("orders", 1))
    assert isinstance(seen, Run)
    assert seen.state is State.QUEUED
    like.state.connectors["orders"].told = True
    runs, _ = await page(adapter, cursor)
    assert runs[key_of("orders", 1)].state is State.RUNNING


async def test_a_404_of_a_proxy_deletes_nothing(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    _, cursor = await page(adapter, None)
    like.fault = "404"
    for call in (adapter.runs(cursor), adapter.read(key_of("orders", 1)), adapter.steps(key_of("orders", 1))):
        with pytest.raises(NotFound):
            await call
    like.fault = None
    runs, _ = await page(adapter, cursor)
    assert runs[key_of("orders", 1)].state is State.RUNNING


@pytest.mark.parametrize("fault", ["wrong-types", "empty", "short", "drip", "503", "503-after", "redirect", "reset"])
async def test_odd_answers_are_typed_errors(like: KafkaConnectLike, fault: str) -> None:
    one = KafkaConnectAdapter(settings(like, options={"total_timeout": 0.5}))
    like.fault = fault
    for call in (one.probe, one.pipelines, lambda: one.runs(None), lambda: one.read(key_of("orders", 1)), one.items):
        with pytest.raises((BadResponse, Unreachable)):
            await call()
    await one.close()


async def test_listed_under_another_name_is_refused(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.connectors["other"] = like.state.connectors["orders"]
    with pytest.raises(BadResponse, match="another name"):
        await adapter.runs(None)


async def test_a_failure_is_a_step_with_its_trace_as_log(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.fail("orders", 0, "no such field")
    steps = {s.step: s for s in await adapter.steps(key_of("orders", 1))}
    assert steps["task-0"].state is State.FAILED
    assert steps["task-0"].error == "org.apache.kafka.connect.errors.DataException: no such field"
    assert steps["task-0"].sub == "on 10.0.0.1:8083"
    assert steps["task-1"].state is State.RUNNING
    chunk = await adapter.log(steps["task-0"].key, 1, None)
    assert chunk.data.startswith(b"org.apache.kafka.connect.errors.ConnectException: Exiting")
    assert b"... 14 more" in chunk.data
    assert not chunk.end
    none = await adapter.log(steps["task-1"].key, 1, None)
    assert none.data == b""
    assert "no other log" in (none.note or "")
    like.state.fail("orders", 0, "another one")
    more = await adapter.log(steps["task-0"].key, 1, chunk.cursor)
    assert more.data.startswith(b"\norg.apache.kafka")
    assert b"another one" in more.data
    with pytest.raises(NotFound, match="no task-7 now"):
        await adapter.log(f"{key_of('orders', 1)}#task-7", 1, None)


def test_a_trace_that_grows_is_told_once() -> None:
    first = _since("one\n", None)
    assert _since("one\n", first.cursor).data == b""
    assert _since("one\ntwo €\n", first.cursor).data == "two €\n".encode()
    assert _since("", first.cursor).data == b""


async def test_workers_are_parts(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.add("second")
    items = {i.name: i for i in await adapter.items()}
    assert {n: i.words for n, i in items.items()} == {
        "10.0.0.1:8083": "1 connector, 2 tasks",
        "10.0.0.2:8083": "1 connector, 2 tasks",
    }
    like.state.fail("second", 0)
    like.state.leave("10.0.0.2:8083")
    items = {i.name: i for i in await adapter.items()}
    assert items["10.0.0.1:8083"].words == "FAILED: 1 connector, 2 tasks, 1 FAILED"
    assert items["10.0.0.2:8083"].standing is Standing.WARNING
    assert "it may have left" in items["10.0.0.2:8083"].words
    runs, cursor = await page(adapter, None)
    assert runs[key_of("orders", 1)].state is State.QUEUED
    like.state.tick()
    runs, _ = await page(adapter, cursor)
    assert runs[key_of("orders", 1)].state is State.RUNNING


async def test_only_what_is_included(like: KafkaConnectLike) -> None:
    like.state.add("test-a")
    one = KafkaConnectAdapter(settings(like, include=("test-*",)))
    assert [p.name for p in (await one.pipelines()).items] == ["test-a"]
    assert list((await page(one, None))[0]) == [key_of("test-a", 1)]
    await one.close()


# --- what a poll costs ------------------------------------------------------------------------------------------------


async def test_two_thousand_connectors_are_one_request_a_poll(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    for i in range(2_000):
        like.state.add(f"many-{i}", tasks=1)
    await adapter.probe()
    await adapter.pipelines()
    _, cursor = await page(adapter, None)
    assert len(like.requests) <= 5
    before = len(like.requests)
    like.state.fail("many-7")
    runs, cursor = await page(adapter, cursor)
    assert runs[key_of("many-7", 1)].state is State.FAILED
    assert len(like.requests) - before == 1
    assert all("info" not in r.query.get("expand", []) for r in like.requests[before:]), (
        "a poll asks for no configuration"
    )
    assert len(cursor or "") < 120_000
    assert json.loads(cursor or "{}")["v"] == 1


# --- old ones ---------------------------------------------------------------------------------------------------------


async def test_before_2_3_connectors_are_asked_about_in_turn(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    like.state.version = "2.2.1"
    for i in range(59):
        like.state.add(f"many-{i}")
    probe = await adapter.probe()
    assert any("before 2.3" in w for w in probe.warnings)
    assert {p.name for p in (await adapter.pipelines()).items} == set(like.state.connectors)
    cursor, seen = None, set[str]()
    for _ in range(3):
        before = len(like.requests)
        runs, cursor = await page(adapter, cursor)
        seen |= set(runs)
        assert len(like.requests) - before <= 26
    assert len(seen) == 60
    assert "asked about in turn" in adapter.notes[0]
    like.state.fail("many-3")
    del like.state.connectors["many-4"]
    like.state.connectors["many-5"].told = False
    found: list[Run] = []
    for _ in range(3):
        runs, cursor = await page(adapter, cursor)
        found += runs.values()
    assert [r.state for r in found if r.key == key_of("many-3", 1)][-1] is State.FAILED
    assert [r.native for r in found if r.key == key_of("many-4", 1)] == ["deleted"]
    assert [r.native for r in found if r.key == key_of("many-5", 1)][-1] == "no status"


async def test_before_2_3_what_was_not_asked_about_since_a_restart_stays_as_it_was(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    like.state.version = "2.2.1"
    for i in range(39):
        like.state.add(f"many-{i:02d}")
    like.state.fail("many-38")
    _, cursor = await page(adapter, None)
    _, cursor = await page(adapter, cursor)
    again = KafkaConnectAdapter(settings(like))
    runs, after = await page(again, cursor)
    assert len(runs) == 25
    assert {r.state for r in runs.values()} == {State.RUNNING}
    assert json.loads(after or "{}")["lives"]["many-38"] == json.loads(cursor or "{}")["lives"]["many-38"]
    runs, _ = await page(again, after)
    assert runs[key_of("many-38", 1)].state is State.FAILED
    assert len(runs) == 40
    await again.close()


async def test_what_is_active_is_asked_without_forgetting_lives(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    _, cursor = await page(adapter, None)
    like.state.connectors["orders"].own.to("STOPPED")
    _, cursor = await page(adapter, cursor)
    like.state.connectors["orders"].own.to("RUNNING")
    await page(adapter, cursor)
    assert [r.key for r in (await adapter.runs(None, active_only=True)).runs] == [key_of("orders", 2)]
    assert (await adapter.read(key_of("orders", 2))).key == key_of("orders", 2)


# --- the way there ----------------------------------------------------------------------------------------------------


async def test_probe_says_version_identity_and_what_cannot_be_done(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    probe = await adapter.probe()
    assert (probe.version, probe.identity, probe.warnings) == ("3.9.0", USER, ())
    assert adapter.caps.can("stop")
    like.state.version = "3.4.1"
    other = KafkaConnectAdapter(settings(like))
    probe = await other.probe()
    assert any("cannot stop" in w for w in probe.warnings)
    assert not other.caps.can("stop")
    assert "3.5 can" in other.caps.why("stop")
    assert "3.5 can" in other.caps.why("start")
    await other.close()


async def test_below_a_path_and_without_credentials() -> None:
    with KafkaConnectLike(base="/kafka/connect") as like:
        like.state.add("orders")
        one = KafkaConnectAdapter(settings(like))
        await one.probe()
        assert [p.name for p in (await one.pipelines()).items] == ["orders"]
        await one.close()
        wrong = KafkaConnectAdapter(settings(like, url=like.url))
        with pytest.raises((NotFound, BadResponse)):
            await wrong.probe()
        await wrong.close()
        assert like.invented == []


async def test_over_tls_with_a_password_and_what_is_not_verified_is_said() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    with KafkaConnectLike(user=USER, password=PASSWORD, tls=context) as like:
        like.state.add("orders")
        url = like.url.replace("127.0.0.1", "localhost")
        strict = KafkaConnectAdapter(settings(like, url=url))
        with pytest.raises(Unreachable, match="is not trusted"):
            await strict.probe()
        trusting = KafkaConnectAdapter(settings(like, url=url, tls_ca=PEM))
        assert (await trusting.probe()).warnings == ()
        blind = KafkaConnectAdapter(settings(like, url=url, tls_verify=False))
        assert any("not verified" in w for w in (await blind.probe()).warnings)
        for one in (strict, trusting, blind):
            await one.close()


async def test_a_refused_password_is_read_again_once(like: KafkaConnectLike) -> None:
    said = iter(["old", PASSWORD])
    one = KafkaConnectAdapter(settings(like, auth={"user": USER, "password": Secret(lambda: next(said), "file:x")}))
    assert list((await page(one, None))[0]) == [key_of("orders", 1)]
    await one.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": 3}, "has no option 'retries'; it has rebalance_retries, connect_timeout"),
        ({"read_timeout": "5s"}, "number of seconds up to 600"),
        ({"read_timeout": True}, "number of seconds up to 600"),
        ({"rebalance_wait": 0}, "number of seconds up to 600"),
        ({"rebalance_retries": 11}, "a number up to 10"),
        ({"rebalance_retries": 1.5}, "a number up to 10"),
    ],
)
def test_options_are_checked_with_a_sentence(like: KafkaConnectLike, options: dict[str, object], said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        KafkaConnectAdapter(settings(like, options=options))


def test_a_strange_credential_is_refused(like: KafkaConnectLike) -> None:
    with pytest.raises(ValueError, match="unknown key 'tokn'"):
        KafkaConnectAdapter(settings(like, auth={"tokn": PASSWORD}))


def names(found: Sequence[Run]) -> list[str]:
    return [r.key.removeprefix(f"{SOURCE}:") for r in found]


async def test_a_late_answer_of_another_poll_takes_nothing_back(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    """The same cursor twice gives the same lives: what a poll that was not stored said is said again."""
    _, cursor = await page(adapter, None)
    like.state.connectors["orders"].own.to("STOPPED")
    _, cursor = await page(adapter, cursor)
    like.state.connectors["orders"].own.to("RUNNING")
    one = names((await adapter.runs(cursor)).runs)
    two = names((await adapter.runs(cursor)).runs)
    assert one == two == ["orders/life-1", "orders/life-2"]
    assert QUICK["read_timeout"] < 1
