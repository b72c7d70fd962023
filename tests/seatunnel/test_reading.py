"""What is read of a SeaTunnel cluster: both generations, every word, what vanishes, what it costs, rates, members, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.errors import AdapterError, AuthFailed, BadResponse, NotFound, Unreachable, Unsupported
from adapters.extras import SeriesQuery, Standing
from adapters.model import Run, RunKind, State, Trigger
from adapters.seatunnel import SeaTunnelAdapter
from adapters.seatunnel import rates as rates_module
from adapters.seatunnel.states import our_id
from adapters.seatunnel.wire import number, vertices
from tests.seatunnel.world import NAME, key_of, settings
from tests.servers.seatunnel_like import SeaTunnelLike

ERROR = (
    "org.apache.seatunnel.SomeException: Sink[0]-Console-MultiTableSink gave up\n\tat a.b.C(C.java:1)\n"
    "Caused by: java.lang.IllegalStateException: twice\nCaused by: java.sql.SQLException: ORA-00001: unique constraint"
)


async def all_runs(adapter: SeaTunnelAdapter, cursor: str | None = None) -> dict[str, Run]:
    return {r.key: r for r in (await adapter.runs(cursor)).runs}


# --- generations ------------------------------------------------------------------------------------------------------


async def test_the_older_interface_is_found_by_what_answers_and_read_in_its_shapes(
    v1: SeaTunnelLike, old: SeaTunnelAdapter
) -> None:
    live = v1.add(NAME, "RUNNING")
    bad = v1.add(NAME, "FAILED", error=ERROR)
    probe = await old.probe()
    assert probe.version == "2.3.8 (v1)"
    assert probe.permissions["log"] is False
    assert probe.permissions["stop by force"] is False
    assert any("knows no password" in w for w in probe.warnings)
    assert {r.state for r in (await all_runs(old)).values()} == {State.RUNNING, State.FAILED}
    for job, states in ((live, [State.RUNNING] * 3), (bad, [State.FAILED, State.STOPPED, State.FAILED])):
        steps = await old.steps(key_of(job))
        assert [s.step for s in steps] == ["job", "Source[0]-FakeSource", "Sink[0]-Console-MultiTableSink"]
        assert [s.state for s in steps] == states, "of a job that failed only what its error names"
    (pipe,) = (await old.pipelines()).items
    assert [(s.name, s.after) for s in pipe.steps] == [
        ("job", ()), ("Source[0]-FakeSource", ("job",)), ("Sink[0]-Console-MultiTableSink", ("Source[0]-FakeSource",)),
    ]  # fmt: skip


async def test_a_url_that_ends_where_the_older_interface_begins(v1: SeaTunnelLike, tmp_path: Path) -> None:
    job = v1.add(NAME)
    one = SeaTunnelAdapter(settings(v1, tmp_path, url=v1.url + "/hazelcast/rest/maps/"))
    assert set(await all_runs(one)) == {key_of(job)}
    await one.close()


async def test_a_cluster_that_was_upgraded_is_found_again(tmp_path: Path) -> None:
    with SeaTunnelLike(generation="v1") as server:
        one = SeaTunnelAdapter(settings(server, tmp_path, options={"jobs": {}}))
        await one.runs(None)
        server.generation = "v2"
        with pytest.raises(NotFound):
            await one.runs(None)
        assert (await one.runs(None)).complete
        await one.close()


async def test_nothing_of_seatunnel_there(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    like.fault = "404"
    with pytest.raises(NotFound) as none:
        await adapter.probe()
    assert "/overview" in none.value.what


async def test_versions_with_pages_pending_jobs_and_force(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    probe = await adapter.probe()
    assert probe.version == "2.3.13 (v2)"
    assert probe.identity == "ops"
    assert probe.permissions["stop by force"] is True
    assert probe.permissions["log"] is True
    assert probe.server_time is not None
    assert probe.warnings == ()


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state", "sub"),
    [
        ("INITIALIZING", State.QUEUED, None),
        ("CREATED", State.QUEUED, None),
        ("PENDING", State.QUEUED, "waits for slots"),
        ("SCHEDULED", State.QUEUED, None),
        ("RUNNING", State.RUNNING, None),
        ("FAILING", State.RUNNING, "failing"),
        ("DOING_SAVEPOINT", State.RUNNING, "savepoint"),
        ("SAVEPOINT_DONE", State.HELD, "savepoint"),
        ("FAILED", State.FAILED, None),
        ("CANCELING", State.STOPPING, None),
        ("CANCELED", State.STOPPED, None),
        ("FINISHED", State.SUCCESS, None),
        ("UNKNOWABLE", State.LOST, None),
    ],
)
async def test_each_word(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, word: str, state: State, sub: str | None
) -> None:
    key = key_of(like.add(NAME, word))
    for run in ((await all_runs(adapter))[key], await adapter.read(key)):
        assert isinstance(run, Run)
        assert (run.native, run.state, run.sub) == (word, state, sub)
        assert (run.ended is not None) is state.terminal
    live = (await adapter.runs(None, active_only=True)).runs
    assert [r.key for r in live] == ([] if state.terminal else [key])


async def test_times_are_of_the_servers_zone(like: SeaTunnelLike, tmp_path: Path) -> None:
    job = like.add(NAME, "FINISHED")
    one = SeaTunnelAdapter(settings(like, tmp_path, timezone="Asia/Tokyo"))
    run = (await all_runs(one))[key_of(job)]
    assert run.started == int(job.created) * 1000 - 9 * 3_600_000
    assert run.ended == run.started + 30_000
    await one.close()


async def test_who_started_it_shows_in_its_id(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    theirs = like.add(NAME, "FINISHED")
    ours = like.add(NAME, "FINISHED")
    like.jobs[our_id("x")] = ours
    ours.id = our_id("x")
    found = await all_runs(adapter)
    assert (found[key_of(theirs)].kind, found[key_of(ours)].kind) == (RunKind.SCHEDULED, RunKind.MANUAL)
    assert our_id("x") == our_id("x") != our_id("y")


async def test_the_error_is_the_innermost_cause(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    run = await adapter.read(key_of(like.add(NAME, "FAILED", error=ERROR)))
    assert isinstance(run, Run)
    assert run.error == "java.sql.SQLException: ORA-00001: unique constraint"


# --- what comes and goes ----------------------------------------------------------------------------------------------


async def test_a_restored_job_stands_in_both_lists_and_is_one_run(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter
) -> None:
    job = like.add(NAME, "SAVEPOINT_DONE")
    first = await adapter.runs(None)
    assert [r.state for r in first.runs] == [State.HELD]
    twin = like.add(NAME, "RUNNING", restored=True)
    del like.jobs[twin.id]
    like.jobs["twin"] = twin  # the same id in the list of those that run
    twin.id = job.id
    second = await adapter.runs(first.cursor)
    assert [(r.state, r.sub) for r in second.runs] == [(State.RUNNING, "from savepoint")]
    del like.jobs["twin"]
    like.end(job, "CANCELED")
    third = await adapter.runs(second.cursor)
    assert [r.state for r in third.runs] == [State.STOPPED]
    assert (await adapter.runs(third.cursor)).runs == ()


async def test_a_job_that_vanishes_is_lost_in_the_second_look(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, tmp_path: Path
) -> None:
    gone, held, stays = like.add(NAME), like.add(NAME, "SAVEPOINT_DONE"), like.add(NAME)
    page = await adapter.runs(None)
    fresh = SeaTunnelAdapter(settings(like, tmp_path))  # knows nothing but the cursor
    for job in (gone, held):
        del like.jobs[job.id]
    for one in (adapter, fresh):
        once = await one.runs(page.cursor)
        assert key_of(gone) not in {r.key for r in once.runs}
        twice = await one.runs(once.cursor)
        found = {r.key: r for r in twice.runs}
        assert (found[key_of(gone)].state, found[key_of(gone)].native) == (State.LOST, "gone")
        assert found[key_of(stays)].state is State.RUNNING
        assert key_of(held) not in found, "its savepoint may be there still"
        assert key_of(gone) not in {r.key for r in (await one.runs(twice.cursor)).runs}, "said once"
    await fresh.close()


async def test_a_name_stays_while_it_is_watched_and_files_are_named_before_they_run(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter
) -> None:
    job = like.add("weekly", "FINISHED")
    assert {p.name for p in (await adapter.pipelines()).items} == {"weekly", NAME}
    del like.jobs[job.id]  # a day later
    assert {p.name for p in (await adapter.pipelines()).items} == {"weekly", NAME}
    like.add("weekly", "RUNNING")
    (weekly,) = [p for p in (await adapter.pipelines()).items if p.name == "weekly"]
    assert weekly.trigger is Trigger.CONTINUOUS


async def test_only_what_is_included(like: SeaTunnelLike, tmp_path: Path) -> None:
    like.add("cdm a", "RUNNING")
    like.add("cdm b", "FINISHED")
    like.add("other")
    one = SeaTunnelAdapter(settings(like, tmp_path, include=("cdm *",)))
    assert {p.name for p in (await one.pipelines()).items} == {"cdm a", "cdm b"}
    assert {r.state for r in (await all_runs(one)).values()} == {State.RUNNING, State.SUCCESS}
    await one.close()


async def test_what_is_not_there(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add("other")
    for key in ("st:other/1", f"st:orders/{job.id}", "st:other/name", f"st:other/{'9' * 25}", "st:nobody"):
        with pytest.raises(NotFound):
            await adapter.read(key)


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modern", [True, False])
async def test_two_thousand_pipelines_cost_few_requests(tmp_path: Path, modern: bool) -> None:
    with SeaTunnelLike(modern=modern) as server:
        for i in range(2_000):
            server.add(f"job {i:04d}", "FINISHED" if i % 4 else "RUNNING", age_s=900.0 + i)
        one = SeaTunnelAdapter(settings(server, tmp_path, options={"read_timeout": 5.0}))
        assert len((await one.pipelines()).items) == 2_001
        page = await one.runs(None)
        seen = {r.key for r in page.runs}
        while not page.complete:
            page = await one.runs(page.cursor)
            seen |= {r.key for r in page.runs}
        assert len(seen) == 2_000
        first = len(server.requests)
        assert first <= 10
        new = server.add("job 0001", "FINISHED", age_s=31.0)
        size = one.spent[1]
        page = await one.runs(page.cursor)
        await one.samples([])
        assert key_of(new) in {r.key for r in page.runs}
        assert len(server.requests) - first == 2
        assert len(page.runs) == 501
        assert not modern or one.spent[1] - size < 1_000_000, "not all that ended once more"
        await one.close()


async def test_pages_with_the_oldest_first_lose_nothing(like: SeaTunnelLike, tmp_path: Path) -> None:
    like.newest_first = False
    for i in range(1_200):
        like.add(f"job {i:04d}", "FINISHED", age_s=900.0 + i)
    one = SeaTunnelAdapter(settings(like, tmp_path, options={"read_timeout": 5.0}))
    page = await one.runs(None)
    while not page.complete:
        page = await one.runs(page.cursor)
    new = like.add(NAME, "FINISHED", age_s=31.0)
    assert [r.key for r in (await one.runs(page.cursor)).runs] == [key_of(new)]
    await one.close()


# --- bad days beyond the contract's -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["wrong-types", "empty", "redirect", "reset", "503", "503-after", "short", "drip", "html"]
)
async def test_bad_days_are_typed_errors_and_lose_nothing(like: SeaTunnelLike, tmp_path: Path, fault: str) -> None:
    job = like.add(NAME)
    one = SeaTunnelAdapter(settings(like, tmp_path, options={"total_timeout": 1.0}))
    page = await one.runs(None)
    like.fault = fault
    like.end(job)
    for _ in range(2):
        with pytest.raises((BadResponse, Unreachable)) as wrong:
            await one.runs(page.cursor)
        assert not [s for s in like.secrets if s in wrong.value.what + wrong.value.hint]
    like.fault = None
    assert [r.state for r in (await one.runs(page.cursor)).runs] == [State.SUCCESS]
    await one.close()


async def test_half_of_a_look_is_none(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME)
    page = await adapter.runs(None)
    like.end(job)
    like.fault_on = lambda method, path: path.endswith("/finished-jobs")
    like.fault = "500"
    for _ in range(3):
        with pytest.raises(BadResponse) as wrong:
            await adapter.runs(page.cursor)
    assert wrong.value.what.endswith("no master is there"), "its own words, without its stack"
    like.fault = None
    assert [r.state for r in (await adapter.runs(page.cursor)).runs] == [State.SUCCESS], "and not lost"


# --- credentials and options ------------------------------------------------------------------------------------------


async def test_a_wrong_password_and_one_that_was_renewed(like: SeaTunnelLike, tmp_path: Path) -> None:
    given = ["old"]
    auth = {"user": "ops", "password": settings(like, tmp_path).auth["password"].__class__(lambda: given[0], "env:X")}
    one = SeaTunnelAdapter(settings(like, tmp_path, auth=auth))
    with pytest.raises(AuthFailed) as wrong:
        await one.runs(None)
    assert "old" not in repr(wrong.value) + wrong.value.what
    given[0] = like.password
    assert (await one.runs(None)).complete
    assert like.password not in repr(one) + repr(one.settings)
    await one.close()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"options": {"job": {}}}, "has no option 'job'"),
        ({"options": {"read_timeout": "1"}}, "a number of seconds"),
        ({"options": {"jobs": ["a.conf"]}}, "is a table like"),
        ({"options": {"jobs": {"a": "a.yaml"}}}, "ends in none of .json, .conf, .hocon, .sql"),
        ({"auth": {"token": "x"}}, "not auth.token"),
        ({"auth": {"user": "x"}}, "belong together"),
    ],
)
def test_options_are_checked_with_a_sentence(
    like: SeaTunnelLike, tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unsupported) as wrong:
        SeaTunnelAdapter(settings(like, tmp_path, **more))
    assert said in wrong.value.what


async def test_doctor_is_told_of_files_that_cannot_be_read(like: SeaTunnelLike, tmp_path: Path) -> None:
    jobs = {NAME: "orders.json", "lost": "not-there.conf"}
    one = SeaTunnelAdapter(settings(like, tmp_path, options={"jobs": jobs}))
    (warning,) = (await one.probe()).warnings
    assert warning.startswith("lost: the configuration ")
    assert warning.endswith("not-there.conf cannot be read: No such file or directory")
    await one.close()


# --- rates ------------------------------------------------------------------------------------------------------------


async def test_rates_are_of_now_and_ask_nobody(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(rates_module.time, "monotonic", lambda: clock[0])
    queries = [
        SeriesQuery("read", f"read.rows_s {NAME}"), SeriesQuery("bytes", f"write.bytes_s {NAME}"),
        SeriesQuery("tables", f"table.read.rows_s {NAME}"), SeriesQuery("count", f"read.rows {NAME}", "orders"),
        SeriesQuery("none", "read.rows_s nobody"), SeriesQuery("odd", "qps everything"),
    ]  # fmt: skip

    async def measured(step_s: float = 10.0) -> tuple[dict[str, float], dict[str, str]]:
        clock[0] += step_s
        await adapter.runs(None)
        before = len(like.requests)
        found = await adapter.samples(queries)
        assert len(like.requests) == before
        assert all(s.t == found.server_time for s in found.samples)
        return {s.series: s.value for s in found.samples}, dict(found.failed)

    job = like.add(NAME, read=1_000_000, written=900_000)
    values, failed = await measured()
    assert values == {"count": 1_000_000.0}, "a rate needs two looks"
    assert "two looks" in failed["read"]
    job.read, job.written = 1_000_500, 900_200
    values, failed = await measured()
    assert values == {
        f"st@{NAME}:read.rows_s": 50.0, f"st@{NAME}:write.rows_s": 20.0, "read": 50.0, "bytes": 180.0,
        "tables{table=shop.fake}": 50.0, "count": 1_000_500.0,
    }  # fmt: skip
    assert set(failed) == {"none", "odd"}
    assert "no job nobody is running" in failed["none"]
    values, _ = await measured()
    assert values["read"] == 0.0
    job.read += 100
    values, _ = await measured(0.2)
    assert values["read"] == 0.0, "two looks at once are one"
    job.read = 10  # begun again
    values, failed = await measured()
    assert "read" not in values
    job.created += 100  # restored: not reckoned over the break
    job.read = 5_000
    values, failed = await measured()
    assert "read" not in values
    like.end(job)
    values, failed = await measured()
    assert values == {}
    assert SeaTunnelAdapter.wrong_query("qps everything") is not None
    assert SeaTunnelAdapter.wrong_query(f"table.write.bytes {NAME}") is None


# --- members ----------------------------------------------------------------------------------------------------------


async def test_members_and_slots(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    found = {i.name: i for i in await adapter.items()}
    assert set(found) == {"member 10.0.0.1:5801", "member 10.0.0.2:5801"}, "slots made as needed are no pool"
    assert found["member 10.0.0.1:5801"].words == "master, heap 11 %, engine cpu 4 %, host cpu 12 %"
    assert found["member 10.0.0.2:5801"].words.endswith("load 0.64 on 2 cores")
    for heap, standing in (("89%", Standing.FINE), ("90.0%", Standing.WARNING), ("97.5%", Standing.BAD)):
        like.heap = heap
        assert {i.standing for i in await adapter.items()} == {standing}
    like.heap = "5%"
    like.add("waits", "PENDING")
    assert {i.name: i.words for i in await adapter.items()}["pending jobs"] == "1 jobs wait for slots"
    like.slots = 2
    like.add("a")
    pool = next(i for i in await adapter.items() if i.kind == "pool")
    assert (pool.value, pool.limit, pool.standing) == (1.0, 2.0, Standing.FINE)
    like.add("b")
    pool = next(i for i in await adapter.items() if i.kind == "pool")
    assert (pool.value, pool.standing, pool.words) == (2.0, Standing.WARNING, "2 of 2 slots, 1 jobs wait")


def test_figures_and_graphs_of_odd_shapes() -> None:
    assert [number(v) for v in ("54.6M", "14.88%", "n/a", "22ms", "-1", "", None, True, 3, {}, "1e3")] == [
        54.6 * (1 << 20), 14.88, None, None, -1.0, None, None, None, 3.0, None, 1000.0,
    ]  # fmt: skip
    assert [vertices(v) for v in (None, "not json", [], {}, "[]", {"vertexInfoMap": 7}, {"vertices": [1, {}]})] == [
        []
    ] * 7
    twice = {"vertexInfoMap": [{"vertexId": 1, "vertexName": "X"}, {"vertexId": "2", "vertexName": "X"}]}
    assert [v.name for v in vertices(twice)] == ["X 1", "X 2"]
    second = {"vertexInfoMap": [{"vertexId": 1, "vertexName": "pipeline-2 [Sink[0]-Console]"}]}
    assert [(v.name, v.kind) for v in vertices(second)] == [("Sink[0]-Console (pipeline 2)", "sink")]


# --- logs -------------------------------------------------------------------------------------------------------------


async def test_a_log_is_followed_over_the_end_of_its_job(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME, log="one\n", nodes=3)
    key = f"{key_of(job)}#Source[0]-FakeSource"
    chunk = await adapter.log(key, 1, None)
    assert (chunk.data, chunk.end) == (b"one\n", False)
    assert chunk.note == "parts of this job ran on 2 other nodes, with logs of their own"
    job.log += "two\n"
    like.end(job)
    chunk = await adapter.log(key, 1, chunk.cursor)
    assert (chunk.data, chunk.end, chunk.note) == (b"two\n", True, None)
    job.log = "x\n"
    chunk = await adapter.log(key, 1, chunk.cursor)
    assert (chunk.data, chunk.note) == (b"x\n", "the log was begun anew")


async def test_a_long_log_comes_in_pieces(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.seatunnel.logs.PIECE", 100)
    job = like.add(NAME, "FINISHED", log="".join(f"line {i:03d}\n" for i in range(50)))
    data, cursor, ends = b"", None, []
    for _ in range(5):
        chunk = await adapter.log(f"{key_of(job)}#job", 1, cursor)
        data, cursor = data + chunk.data, chunk.cursor
        ends.append(chunk.end)
    assert data.decode() == job.log
    assert ends == [False] * 4 + [True]


async def test_without_a_log_the_error_that_is_kept_is_given(v1: SeaTunnelLike, old: SeaTunnelAdapter) -> None:
    bad, live = v1.add(NAME, "FAILED", error=ERROR), v1.add(NAME)
    chunk = await old.log(f"{key_of(bad)}#job", 1, None)
    assert (chunk.data.decode(), chunk.end) == (ERROR, True)
    assert "no REST path for logs" in (chunk.note or "")
    assert "the error that SeaTunnel keeps" in (chunk.note or "")
    again = await old.log(f"{key_of(bad)}#job", 1, chunk.cursor)
    assert (again.data, again.end) == (b"", True)
    before = len(v1.requests)
    chunk = await old.log(f"{key_of(live)}#job", 1, None)
    assert (chunk.data, chunk.end) == (b"", False)
    assert len(v1.requests) - before == 1, "what is known not to be there is not asked for again"


async def test_a_log_whose_nodes_cannot_ask_each_other(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    like.deaf = True
    assert (await adapter.probe()).warnings == ("it cannot list logs: its nodes ask each other without the password",)
    job, bare = like.add(NAME, log="one\n"), like.add(NAME)
    assert (await adapter.log(f"{key_of(job)}#job", 1, None)).data == b"one\n"
    assert "is not on this node" in ((await adapter.log(f"{key_of(bare)}#job", 1, None)).note or "")


async def test_a_log_on_another_node(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME, log="one\n", nodes=2)
    chunk = await adapter.log(f"{key_of(job)}#job", 1, None)
    job.log = ""  # this node has it no more
    chunk = await adapter.log(f"{key_of(job)}#job", 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"", False)
    assert (chunk.note or "").endswith("is not on this node but on others of the cluster")


async def test_no_bad_day_of_a_log_is_another_error(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME, log="one\n")
    like.fault_on = lambda method, path: "/log" in path
    for fault in ("500", "html", "401", "403", "reset", "429-after"):
        like.fault = fault
        with pytest.raises(AdapterError):
            await adapter.log(f"{key_of(job)}#job", 1, None)
    like.fault = None
    assert (await adapter.log(f"{key_of(job)}#job", 1, None)).data == b"one\n"
