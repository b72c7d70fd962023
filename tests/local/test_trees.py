"""Hold, release and stop over trees that do not want to be found; and what becomes of a run whose supervisor is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest

from adapters.base import Action, Done, NotDone
from adapters.local import tree
from adapters.model import State, StepSpec, Verb
from tests.local.kit import HOSTILE, Floor, counts, holders, job, py, sh, until

Make = Callable[..., Floor]
PARTS = {"main", "session", "daemon", "forks", "bare"}


def hostile(f: Floor, *more: str) -> tuple[str, ...]:
    return ("python3", str(HOSTILE), str(f.work / "counts"), *more)


@pytest.fixture
def hostile_floor(floor: Make) -> Callable[..., Floor]:
    def make(*more: str, **fields: object) -> Floor:
        f = floor()
        (f.work / "counts").mkdir()
        f.jobs = (job("wild", hostile(f, *more), **fields),)
        f.again()
        return f

    return make


async def working(f: Floor, parts: set[str] = PARTS) -> None:
    """Every part of the tree has done something since now."""
    before = counts(f.work / "counts")
    await until(
        lambda: all(counts(f.work / "counts").get(p, 0) > before.get(p, 0) + 2 for p in parts),
        what=f"all of {parts} work: {before}",
    )


async def supervisor_of(f: Floor, key: str) -> int:
    return (await until(lambda: f.state(key).get("supervisor")))[0]


async def test_a_held_tree_does_no_work_and_goes_on_when_released(hostile_floor: Make) -> None:
    f = hostile_floor()
    key = await f.start("wild")
    await f.reach(key, State.RUNNING)
    await working(f)
    for _ in range(3):
        plan = await f.adapter.prepare(Action(verb=Verb.HOLD, key=key, client_id=f"h{time.time_ns()}", who="ana"))
        assert plan.calls[0].method == "signal"
        assert "SIGSTOP" in plan.calls[0].target
        assert "processes now" in plan.note
        await f.adapter.send(plan)
        run = await f.reach(key, State.HELD)
        assert isinstance(await f.adapter.reconcile(plan), Done)
        assert {s.state for s in await f.adapter.steps(key)} == {State.HELD}
        before = counts(f.work / "counts")
        await asyncio.sleep(0.4)  # the absence of work cannot be waited for
        assert counts(f.work / "counts") == before
        assert "stand" in (run.sub or "")
        await f.act(Verb.RELEASE, key)
        run = await f.reach(key, State.RUNNING)
        await working(f)
    assert run.sub is None


async def test_three_seconds_after_stop_no_process_holds_the_mark(hostile_floor: Make) -> None:
    f = hostile_floor()
    key = await f.start("wild")
    await working(f)
    assert len(holders("wild@c001", f.folder)) >= 4
    supervisor = await supervisor_of(f, key)
    everyone = tree.descendants([supervisor])
    assert len(everyone) >= 5
    begun = time.monotonic()
    plan = await f.adapter.prepare(Action(verb=Verb.STOP, key=key, client_id="stop", who="ana"))
    await f.adapter.send(plan)
    run = await f.reach(key, State.STOPPING, State.STOPPED)
    assert run.stopped_by == "ana"
    run = await f.reach(key, State.STOPPED)
    await until(lambda: not holders("wild@c001", f.folder), within=3 - (time.monotonic() - begun))
    assert time.monotonic() - begun <= 3.0
    assert tree.living(everyone) == []  # those without the mark in their environment too
    assert isinstance(await f.adapter.reconcile(plan), Done)
    assert (run.state, run.error) == (State.STOPPED, None)


async def test_a_held_tree_can_be_stopped(hostile_floor: Make) -> None:
    f = hostile_floor()
    key = await f.start("wild")
    await working(f)
    await f.act(Verb.HOLD, key)
    await f.reach(key, State.HELD)
    await f.act(Verb.STOP, key)
    await f.reach(key, State.STOPPED)
    assert holders("wild@c001", f.folder) == []


async def test_a_step_lasts_as_long_as_what_it_left_behind(hostile_floor: Make) -> None:
    f = hostile_floor("exit-early")
    key = await f.start("wild")
    await working(f, PARTS - {"main"})
    run = await f.reach(key, State.RUNNING)
    await until(lambda: "main process ended with exit 0" in (f.state(key).get("sub") or ""))
    await f.act(Verb.HOLD, key)
    await f.reach(key, State.HELD)
    before = counts(f.work / "counts")
    await asyncio.sleep(0.2)
    assert counts(f.work / "counts") == before
    await f.act(Verb.STOP, key)
    run = await f.reach(key, State.STOPPED)
    assert holders("wild@c001", f.folder) == []
    assert run.ended is not None


async def test_a_gentle_job_ends_by_itself_on_sigterm(floor: Make) -> None:
    script = "trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    f = floor(job("load", sh(script), sh("echo never")))
    key = await f.start("load")
    log = f.run_folder(key) / "s1.1.log"
    await until(lambda: log.exists() and b"ready" in log.read_bytes())
    begun = time.monotonic()
    await f.act(Verb.STOP, key)
    run = await f.reach(key, State.STOPPED)
    assert time.monotonic() - begun < 1.5  # not killed after two seconds
    assert log.read_bytes().endswith(b"tidy\n")
    assert [s.state for s in await f.adapter.steps(run.key)] == [State.STOPPED, State.SKIPPED]


async def test_a_step_times_out_and_its_tree_is_ended(hostile_floor: Make) -> None:
    f = hostile_floor(timeout_ms=400)
    run = await f.reach(await f.start("wild"))
    assert (run.state, run.error) == (State.TIMED_OUT, "s1: timed out after 400ms")
    assert holders("wild@c001", f.folder) == []


async def test_a_timeout_does_not_run_while_held(floor: Make) -> None:
    f = floor(job("load", sh("sleep 0.7; echo done"), timeout_ms=1500))
    key = await f.start("load")
    await f.reach(key, State.RUNNING)
    await f.act(Verb.HOLD, key)
    await f.reach(key, State.HELD)
    await asyncio.sleep(2.0)  # longer than the timeout
    assert (await f.read(key)).state == State.HELD
    await f.act(Verb.RELEASE, key)
    run = await f.reach(key)
    assert (run.state, f.log(key, "s1.1.log")) == (State.SUCCESS, b"done\n")
    assert f.state(key)["held_ms"] >= 1900


async def test_the_timeout_of_a_step_is_tried_again_that_of_the_job_is_final(floor: Make) -> None:
    step = StepSpec(name="slow", run=sh("[ -e again ] || { touch again; sleep 30; }"), timeout_ms=200)
    f = floor(job("load", step, retries=1, retry_delay_ms=10), job("whole", sh("sleep 30"), retries=5, timeout_ms=200))
    run = await f.reach(await f.start("load"))
    assert run.state == State.SUCCESS
    first, second = await f.adapter.steps(run.key)
    assert (first.state, second.state) == (State.TIMED_OUT, State.SUCCESS)
    assert first.error == "timed out after 200ms for the step slow"
    whole = await f.reach(await f.start("whole"))
    assert whole.state == State.TIMED_OUT
    assert len(await f.adapter.steps(whole.key)) == 1


async def test_sigterm_to_the_supervisor_stops_the_run_truthfully(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30")))
    key = await f.start("load")
    await f.reach(key, State.RUNNING)
    os.kill(await supervisor_of(f, key), signal.SIGTERM)
    run = await f.reach(key)
    assert (run.state, run.stopped_by) == (State.STOPPED, None)
    assert "SIGTERM" in (run.sub or "")


async def test_a_killed_supervisor_is_lost_never_success(floor: Make) -> None:
    f = floor(job("load", sh("sleep 0.8; echo finished"), sh("echo second")))
    key = await f.start("load")
    await until(lambda: f.state(key).get("child"))
    os.kill(await supervisor_of(f, key), signal.SIGKILL)
    run = await f.reach(key, State.RUNNING)
    await until(lambda: f.state(key).get("supervisor") and not tree.same(*f.state(key)["supervisor"]))
    fresh = f.again()
    await fresh.tick(0)
    run = await f.read(key)
    assert run.state == State.RUNNING
    assert "its supervisor was killed" in (run.sub or "")
    assert len(fresh.trees()[key]) >= 1
    run = await f.reach(key)
    at = time.time() * 1000
    assert (run.state, run.native, run.sub, run.exit_code) == (State.LOST, "lost", "exit status unknown", None)
    assert "nobody took its exit status" in (run.error or "")
    assert run.ended is not None
    assert abs(run.ended - at) < 1000
    assert f.log(key, "s1.1.log") == b"finished\n"
    assert [s.state for s in await fresh.steps(key)] == [State.LOST, State.SKIPPED]  # the second step never ran


async def test_a_supervisor_killed_while_nobody_looked_is_lost_with_its_last_sign(floor: Make) -> None:
    f = floor(job("load", sh("echo here; sleep 30")))
    key = await f.start("load")
    child = (await until(lambda: f.state(key).get("child")))[0]
    await until(lambda: f.log(key, "s1.1.log"))
    supervisor = await supervisor_of(f, key)
    os.kill(supervisor, signal.SIGKILL)
    os.killpg(child, signal.SIGKILL)
    await until(lambda: not holders("load@c001", f.folder))
    f.again()
    run = await f.reach(key)
    assert (run.state, run.sub) == (State.LOST, "exit status unknown")
    assert run.started is not None
    assert run.ended is not None
    assert run.started <= run.ended <= time.time() * 1000


async def test_an_orphaned_tree_can_still_be_held_released_and_stopped(hostile_floor: Make) -> None:
    f = hostile_floor()
    key = await f.start("wild")
    await working(f)
    os.kill(await supervisor_of(f, key), signal.SIGKILL)
    marked = PARTS - {"bare"}  # found by descent too, as long as its parent lives
    await until(lambda: not tree.same(*f.state(key)["supervisor"]))
    await f.act(Verb.HOLD, key)
    await f.reach(key, State.HELD)
    before = counts(f.work / "counts")
    await asyncio.sleep(0.3)
    assert counts(f.work / "counts") == before
    await f.act(Verb.RELEASE, key)
    await f.reach(key, State.RUNNING)
    await working(f, marked)
    begun = time.monotonic()
    await f.act(Verb.STOP, key)
    run = await f.reach(key)
    assert time.monotonic() - begun <= 3.0
    assert (run.state, run.stopped_by) == (State.STOPPED, "ana")
    assert holders("wild@c001", f.folder) == []
    await until(
        lambda: (
            len(set(counts(f.work / "counts").items())) and not tree.living(f.adapter._book.stray.get("wild@c001", []))
        )
    )


async def test_the_stop_is_done_although_the_engine_dies_right_after_asking(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30")))
    key = await f.start("load")
    await f.reach(key, State.RUNNING)
    # the wish is written, the doorbell never rings
    (f.run_folder(key) / "requests" / "1-x.json").write_text('{"verb": "stop", "who": "ana"}')
    run = await f.reach(key)
    assert (run.state, run.stopped_by) == (State.STOPPED, "ana")


async def test_a_run_folder_that_is_taken_away_ends_the_job(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30")))
    key = await f.start("load")
    await f.reach(key, State.RUNNING)
    supervisor = await supervisor_of(f, key)
    (f.folder / "state").rename(f.folder / "gone")
    try:
        await until(lambda: not holders("load@c001", f.folder), within=5)
        await until(lambda: not tree.living([supervisor]), within=5)
    finally:
        (f.folder / "gone").rename(f.folder / "state")


async def test_trees_tell_the_processes_of_each_run(floor: Make) -> None:
    f = floor(job("a", sh("sleep 30 & sleep 30")), job("b", sh("sleep 30")))
    a, b = await f.start("a"), await f.start("b")
    await until(lambda: len(holders("a@c001", f.folder)) == 3 and holders("b@c002", f.folder))
    await f.adapter.tick(0)
    found = f.adapter.trees()
    assert sorted(found[a]) == holders("a@c001", f.folder)
    assert sorted(found[b]) == holders("b@c002", f.folder)
    await f.act(Verb.STOP, a)
    await f.reach(a)
    assert set(f.adapter.trees()) == {b}


async def test_processes_of_another_floor_with_the_same_run_are_left_alone(floor: Make) -> None:
    one, two = floor(job("load", sh("sleep 30"))), floor(job("load", sh("sleep 30")))
    first, second = await one.start("load"), await two.start("load")
    await until(lambda: holders("load@c001", one.folder) and holders("load@c001", two.folder))
    await one.act(Verb.STOP, first)
    await one.reach(first)
    assert holders("load@c001", one.folder) == []
    assert (await two.read(second)).state == State.RUNNING
    assert holders("load@c001", two.folder)


async def test_reconcile_does_not_call_a_stop_done_that_is_not(floor: Make) -> None:
    f = floor(
        job(
            "load", py("import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(30)")
        )
    )
    key = await f.start("load")
    await until(lambda: (f.run_folder(key) / "s1.1.log").exists() and f.log(key, "s1.1.log"))
    plan = await f.adapter.prepare(Action(verb=Verb.STOP, key=key, client_id="s", who="ana"))
    assert isinstance(await f.adapter.reconcile(plan), NotDone)
    await f.adapter.send(plan)
    await f.reach(key, State.STOPPING)
    early = await f.adapter.reconcile(plan)
    assert isinstance(early, NotDone)
    assert "1 process left" in early.words
    await f.reach(key)
    assert isinstance(await f.adapter.reconcile(plan), Done)


def test_a_stat_line_with_a_hostile_name_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/comm", "w") as out:
            out.write(") R 1 (x")
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        end = time.monotonic() + 5
        while (tree.stat(pid) or ("", 0, 0))[0] != "T":
            assert time.monotonic() < end
            time.sleep(0.01)
        found = tree.stat(pid)
        assert found is not None
        assert found[:2] == ("T", os.getpid())
        assert tree.same(pid, found[2])
        assert not tree.same(pid, found[2] + 1)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert tree.stat(pid) is None


async def test_without_the_kernels_children_files_the_same_tree_is_found(
    hostile_floor: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = hostile_floor()
    key = await f.start("wild")
    await working(f)
    root = await supervisor_of(f, key)
    await f.act(Verb.HOLD, key)
    await f.reach(key, State.HELD)
    found = tree.descendants([root])
    monkeypatch.setattr(tree, "has_children_files", lambda: False)
    assert sorted(tree.descendants([root])) == sorted(found)
    assert len(found) >= 5
