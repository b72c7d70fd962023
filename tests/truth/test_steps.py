"""Steps and logs of tries: none that never began, none overwritten, no byte twice, none missing."""

from __future__ import annotations

from pathlib import Path

from adapters.model import State, StepRun, parse_key, step_key
from engine.poll import logs
from tests.servers.airflow_like import AirflowLike
from tests.truth.test_attempts import clear, failed_once, fails
from tests.truth.world import KEY, Floor


def tries(floor: Floor, step: str) -> list[tuple[int, State]]:
    return [(s.attempt, s.state) for s in floor.run().steps if s.key.endswith("#" + step)]


async def test_a_cleared_step_that_is_cut_off_upstream_keeps_its_first_try(floor: Floor, server: AirflowLike) -> None:
    await failed_once(floor, server)
    clear(server, "extract", "load", "report")
    await floor.poller.look_closely(KEY)
    assert (2, State.QUEUED) in tries(floor, "load")
    fails(server, "extract", "ORA-00005: it broke earlier", 2)
    now = server.now()
    server.set_task("daily", "r1", "load", state="upstream_failed", start=now, end=now)
    server.set_task("daily", "r1", "report", state="upstream_failed", start=now, end=now)
    await floor.poll(3)
    assert tries(floor, "load") == [(1, State.FAILED), (2, State.SKIPPED)]
    assert floor.run().row.error == "extract: ORA-00005: it broke earlier"


async def test_a_waiting_try_that_the_source_took_back_does_not_wait_for_ever(
    floor: Floor, server: AirflowLike
) -> None:
    await failed_once(floor, server)
    history = list(server.task("daily", "r1", "load").history)
    clear(server, "load")
    await floor.poller.look_closely(KEY)
    assert tries(floor, "load") == [(1, State.FAILED), (2, State.QUEUED)]
    server.task("daily", "r1", "load").history[:] = history
    server.set_task("daily", "r1", "load", state="failed", try_number=1)  # a person set it back by hand
    server.set_run("daily", "r1", "failed")
    await floor.poller.look_closely(KEY)
    assert tries(floor, "load") == [(1, State.FAILED)]


def test_a_step_named_like_a_mapped_one_is_itself() -> None:
    for name in ("section.1", "a.b.22", "load.", ".5", "1.2.3"):
        for index in (-1, 0, 7):
            key = step_key("af:daily/r1", name, index)
            found = parse_key(key)
            assert (found.step, found.map_index) == (name, index), key
            assert str(found) == key


async def test_a_log_cut_off_between_file_and_index_is_whole_after_a_restart(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    server.append_log("daily", "r1", "extract", "one")
    await floor.poller._watch_one({"log": f"{KEY}#extract"})
    path = Path(floor.run().logs[0].path)
    before = path.read_bytes()
    assert before.count(b" one\n") == 1
    path.write_bytes(before + b"2026 INFO task.stdout two\n")  # the engine died here: appended, not indexed
    server.append_log("daily", "r1", "extract", "two")
    await floor.restart()
    await floor.poll()
    await floor.poller._watch_one({"log": f"{KEY}#extract"})
    text = path.read_bytes()
    assert text.startswith(before)
    assert text.count(b" two\n") == 1, text
    assert floor.run().logs[0].size == len(text)


async def test_a_log_whose_file_is_gone_is_fetched_anew(floor: Floor, server: AirflowLike) -> None:
    await failed_once(floor, server)
    (log,) = [found for found in floor.run().logs if found.complete or found.size]
    path = Path(log.path)
    whole = path.read_bytes()
    path.unlink()
    server.task("daily", "r1", "load")
    await floor.poller._watch_one({"log": f"{KEY}#load"})
    assert path.read_bytes() == whole


def test_log_files_of_names_that_nobody_should_give(tmp_path: Path) -> None:
    paths = set()
    names = ("..", "a/b", "a#b", "a b", "ä", "%2F", ".", "a.1", "x" * 300)
    for run in names:
        for step in names:
            for index, attempt in ((-1, 1), (1, 1), (-1, 11)):
                key = f"af:daily/{step_key('', run)[1:]}"
                made = StepRun(run=key, step=step, map_index=index, attempt=attempt, native="", state=State.FAILED)
                path = logs.log_path(tmp_path, made)
                assert path.resolve().is_relative_to(tmp_path / "af")
                paths.add(path)
    assert len(paths) == len(names) ** 2 * 3
