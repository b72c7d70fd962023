"""What drivers write, read: formats, fields with other names, hostile output, costs, logs, pipelines that only have a state."""

from __future__ import annotations

import os
import pwd
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret
from adapters.errors import AdapterError, BadResponse, NotFound, Unreachable, Unsupported
from adapters.model import Mode, Run, RunKind, State, step_key
from tests.commands.world import TOKEN, Driver, make, until


@pytest.fixture
def drv(tmp_path: Path) -> Driver:
    found = Driver(tmp_path)
    found.add_pipeline("daily")
    return found


def says(folder: Path, text: str, **options: Any) -> Any:
    """A driver that lists just this."""
    file = folder / "said"
    file.write_text(text)
    return make(folder, {"list": ["cat", str(file)], **options})


async def read(adapter: Any) -> tuple[dict[str, Any], dict[str, Run]]:
    listing = await adapter.pipelines()
    assert listing.complete
    return {p.key: p for p in listing.items}, {r.key: r for r in (await adapter.runs(None)).runs}


async def test_one_call_lists_two_thousand(drv: Driver) -> None:
    with drv.world() as world:
        for i in range(2000):
            world["pipelines"][f"p{i:04d}"] = {"paused": False}
            world["runs"][f"r{i:04d}"] = {
                "pipeline": f"p{i:04d}",
                "state": "success",
                "started": "2026-11-20T05:00:00Z",
            }
    adapter = drv.adapter()
    await adapter.probe()
    pipelines, runs = await read(adapter)
    assert (len(pipelines), len(runs)) == (2001, 2000)
    before = drv.state["calls"]
    assert before <= 3, "version, and a list each of probe and poll"
    cursor = (await adapter.runs(None)).cursor
    for _ in range(5):
        began = drv.state["calls"]
        await adapter.pipelines()
        page = await adapter.runs(cursor)
        cursor = page.cursor
        assert page.runs == []
        assert drv.state["calls"] == began + 1, "one poll is one call"
    assert adapter.spent[0] == drv.state["calls"]


async def test_the_same_bytes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = says(tmp_path, '[{"pipeline": "a", "run": "r", "state": "running"}]')
    before = await read(adapter)
    monkeypatch.setattr("adapters.commands.adapter.Reading.told", lambda *_: pytest.fail("read again"))
    assert await read(adapter) == before
    monkeypatch.undo()
    (tmp_path / "said").write_text('[{"pipeline": "a", "run": "r", "state": "success"}]')
    assert (await read(adapter))[1]["drv:a/r"].state is State.SUCCESS


async def test_the_documented_fields(tmp_path: Path) -> None:
    adapter = make(tmp_path, {"list": ["cat", "said"]}, timezone="Europe/Paris")
    (tmp_path / "said").write_text(
        """{"now": "2026-11-20T06:00:00Z", "pipelines": [
        {"pipeline": "daily", "name": "Daily load", "paused": true, "schedule": "0 5 * * *", "next_run": 1795150800, "owner": "data",
         "tags": ["cdm"], "runs": [
           {"run": "a", "state": "Completed", "started": "2026-11-20T06:00:00", "ended": "2026-11-20T05:30:00Z",
            "business_date": "2026-11-19", "kind": "backfill", "params": {"x": 1}, "attempt": 2, "exit_code": 0},
           {"run": "b", "state": "running", "started": 1795150800000, "done": 3, "total": 14,
            "steps": [{"step": "load", "state": "failed", "error": "boom"}, {"name": "check", "state": "waiting"}]}]},
        "plain"]}"""
    )
    pipelines, runs = await read(adapter)
    daily = pipelines["drv:daily"]
    assert (daily.name, daily.mode, daily.schedule, daily.owner, daily.tags) == (
        "Daily load",
        Mode.PAUSED,
        "0 5 * * *",
        "data",
        ("cdm",),
    )
    assert daily.next_run == 1795150800000
    assert pipelines["drv:plain"].name == "plain"
    a, b = runs["drv:daily/a"], runs["drv:daily/b"]
    assert (a.state, a.native, a.kind, a.business_date, a.attempt) == (
        State.SUCCESS,
        "Completed",
        RunKind.BACKFILL,
        "2026-11-19",
        2,
    )
    assert a.ended is not None
    assert a.started == a.ended - 30 * 60_000, "a time without a zone is the source's"
    assert not a.backfilled, "it ended half an hour ago by the driver's clock"
    assert (b.state, b.sub, b.started) == (State.RUNNING, "3 of 14", 1795150800000)
    steps = await adapter.steps("drv:daily/b")
    assert [(s.step, s.state, s.error) for s in steps] == [
        ("load", State.FAILED, "boom"),
        ("check", State.QUEUED, None),
    ]


async def test_other_names_and_words(tmp_path: Path) -> None:
    adapter = says(
        tmp_path,
        '{"data": {"jobs": [{"job": {"title": "etl.daily.service"}, "no": 7, "st": {"word": "Krumm"}, "t0": "@1795150800"}]}}',
        items="data.jobs",
        fields={
            "pipeline": {"path": "job.title", "match": r"^(.+)\.service$"}, "run": "no", "state": "st.word", "started": "t0",
        },
        states={"krumm": "timed_out"},
    )  # fmt: skip
    _, runs = await read(adapter)
    run = runs["drv:etl.daily/7"]
    assert (run.state, run.native, run.started) == (State.TIMED_OUT, "Krumm", 1795150800000)


async def test_lines_and_blocks(tmp_path: Path) -> None:
    lines = says(tmp_path, "# mine\na\n\n  b c \n", list_format="lines")
    assert set((await read(lines))[0]) == {"drv:a", "drv:b%20c"}
    blocks = says(
        tmp_path,
        "Id=a.service\nInvocationID=abc\nActiveState=failed\nResult=timeout\nExecMainStartTimestamp=@1795150800\n\n"
        "Id=b.service\nInvocationID=\nActiveState=inactive\nResult=success\n",
        list_format="blocks",
        fields={
            "pipeline": "Id",
            "run": "InvocationID",
            "state": "ActiveState",
            "started": "ExecMainStartTimestamp",
            "error": "Result",
        },
        states={"inactive": "success"},
    )
    pipelines, runs = await read(blocks)
    assert set(pipelines) == {"drv:a.service", "drv:b.service"}
    assert runs["drv:a.service/abc"].state is State.FAILED
    assert runs["drv:a.service/abc"].error == "timeout"


async def test_what_ended_long_ago_is_history(tmp_path: Path) -> None:
    text = '[{{"pipeline": "a", "run": "old", "state": "failed", "ended": {}}}, {{"pipeline": "a", "run": "new", "state": "failed", "ended": {}}}]'
    now = time.time()
    adapter = says(tmp_path, text.format(now - 3 * 86_400, now - 60))
    _, runs = await read(adapter)
    assert runs["drv:a/old"].backfilled
    assert not runs["drv:a/new"].backfilled
    # what was seen to run and is told late is news
    adapter = says(tmp_path, '[{"pipeline": "a", "run": "r", "state": "running"}]')
    cursor = (await adapter.runs(None)).cursor
    (tmp_path / "said").write_text(f'[{{"pipeline": "a", "run": "r", "state": "failed", "ended": {now - 3 * 86_400}}}]')
    (run,) = (await adapter.runs(cursor)).runs
    assert run.state is State.FAILED
    assert not run.backfilled


BAD = [
    "", "   \n", "null", "3", '{"items": 3}', "[1, 2]", '[{"pipeline": ""}]', '[{"run": "a"}]', "[" * 100_000, '{"items": [', "\x1b[2J[]",
    '[{"pipeline": "a", "runs": [{"state": "running"}]}]', '[{"pipeline": "a", "runs": [3]}]',
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
async def test_garbage_is_a_typed_error(tmp_path: Path, text: str) -> None:
    adapter = says(tmp_path, text)
    for call in (adapter.probe, adapter.pipelines, lambda: adapter.runs(None), lambda: adapter.read("drv:a/b")):
        with pytest.raises(BadResponse) as bad:
            await call()
        assert bad.value.what.isprintable()


async def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    adapter = says(tmp_path, "")
    (tmp_path / "said").write_bytes(b'[{"pipeline": "\xff\xfe"}]')
    with pytest.raises(BadResponse):
        await adapter.pipelines()


async def test_fields_of_wrong_types_are_left_out_and_said_once(drv: Driver) -> None:
    drv.add_run("daily", "failed")
    drv.day("types")
    adapter = drv.adapter()
    _, runs = await read(adapter)
    (run,) = runs.values()
    assert (run.state, run.started, run.attempt) == (State.FAILED, None, 1)
    assert "list: started is of a type that cannot be meant" in adapter.notes


async def test_hostile_words_reach_nobody(drv: Driver) -> None:
    drv.add_run("daily", "failed")
    drv.day("escapes")
    pipelines, runs = await read(drv.adapter())
    (run,) = runs.values()
    assert pipelines["drv:daily"].name.isprintable()
    assert run.error is not None
    assert run.error.isprintable()
    assert run.error.split() == ["red", "line", "line"]


async def test_a_secret_in_what_it_writes_is_hidden(drv: Driver) -> None:
    key = drv.add_run("daily", "failed")
    drv.say(key, f"login with {TOKEN} failed")
    drv.day("secret")
    adapter = drv.adapter()
    _, runs = await read(adapter)
    assert runs[key].error == "cannot log in with ****"
    chunk = await adapter.log(step_key(key, "load"), 1, None)
    assert chunk.data == b"login with **** failed\n"
    drv.day(None)
    drv.say(key, "and again")
    more = await adapter.log(step_key(key, "load"), 1, chunk.cursor)
    assert more.data == b"and again\n", "bytes are counted as the driver wrote them"
    drv.day("broken")
    with pytest.raises(BadResponse) as error:
        await adapter.pipelines()
    assert TOKEN not in error.value.what
    assert "ValueError: the driver broke ****" in error.value.what


async def test_ten_megabytes_are_not_read(drv: Driver) -> None:
    drv.day("flood")
    adapter = drv.adapter()
    began = time.monotonic()
    with pytest.raises(BadResponse, match="list wrote more than 1024 KiB and was ended"):
        await adapter.pipelines()
    assert time.monotonic() - began < 5


async def test_one_that_hangs_is_ended_with_its_children(drv: Driver, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    adapter = make(tmp_path, {"list": ["/bin/sh", "-c", f"sleep 60 & echo $! > '{pid}'; wait"], "timeout": 0.5})
    with pytest.raises(Unreachable, match=r"list did not end within 0\.5 s and was ended") as error:
        await adapter.pipelines()
    assert "options.timeout" in error.value.hint  # not an address: there is none
    child = int(pid.read_text())
    await until(lambda: not running(child))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except OSError:
        return False


async def test_a_program_that_is_not_there_or_not_ours_to_run(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for argv in ([str(tmp_path / "none")], [str(plain)], [str(tmp_path)], ["no-such-program-anywhere"]):
        adapter = make(tmp_path, {"list": argv})
        with pytest.raises(Unreachable, match="list: cannot start") as error:
            await adapter.pipelines()
        assert not error.value.sent
        assert error.value.hint.startswith("look at options.list")
    with pytest.raises(Unreachable):
        await make(tmp_path, {"list": ["true"], "folder": "not-there"}).pipelines()


async def test_a_probe_says_which_programs_are_not_there(drv: Driver) -> None:
    (drv.folder / "plain").write_text("#!/bin/sh\n")
    adapter = drv.adapter(stop=["no-such-program", "{run}"], pause=["./plain", "{pipeline}"])
    probe = await adapter.probe()
    assert (probe.version, probe.identity) == ("driver 4.2", pwd.getpwuid(os.getuid()).pw_name)
    assert [v for v, may in sorted(probe.permissions.items()) if may is False] == ["pause", "stop"]
    assert probe.permissions["start"] is None, "whether it would do it is not told without doing it"
    assert set(probe.warnings) == {
        "stop: there is no program 'no-such-program', or it may not be run",
        "pause: there is no program './plain', or it may not be run",
    }


async def test_it_sees_a_base_of_variables_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_PASSWORD", "hunter2")
    (tmp_path / "bin").mkdir()
    script = "import json, os; print(json.dumps([{'pipeline': 'x', 'name': ' '.join(sorted(os.environ)), 'owner': os.getcwd()}]))"
    adapter = make(
        tmp_path,
        {
            "list": [sys.executable, "-c", script],
            "folder": "bin",
            "env": {"MINE": Secret(lambda: "abc", "env:X"), "B": "2"},
        },
    )
    (pipeline,) = (await adapter.pipelines()).items
    seen = set(pipeline.name.split())
    assert {"MINE", "B", "PATH"} <= seen
    assert seen <= {"MINE", "B", "PATH", "HOME", "LANG", "TZ", "USER", "LC_CTYPE"}
    assert pipeline.owner == os.path.realpath(tmp_path / "bin")


async def test_include_narrows(drv: Driver) -> None:
    drv.add_pipeline("cdm_a")
    drv.add_run("cdm_a")
    drv.add_run("daily")
    adapter = make(drv.folder, drv.options(), include=("cdm_*",))
    pipelines, runs = await read(adapter)
    assert set(pipelines) == {"drv:cdm_a"}
    assert {k.partition("/")[0] for k in runs} == {"drv:cdm_a"}
    with drv.world() as world:
        world["ops"] = {n: {"id": n, "pipeline": n, "state": "running"} for n in ("cdm_a", "daily")}
    assert [o.id for o in await adapter.operations()] == ["cdm_a"]


async def test_a_log_that_is_written_whole_each_time(drv: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.commands.adapter.FRESH_S", 0.0)
    whole = [str(drv.path), str(drv.file), "logs", "--run", "{run}"]
    key = drv.add_run("daily")
    drv.say(key, "one")
    adapter = drv.adapter(logs=whole)
    step = step_key(key, "load")
    first = await adapter.log(step, 1, None)
    assert (first.data, first.end) == (b"one\n", False)
    drv.say(key, "two")
    drv.finish(key)
    more = await adapter.log(step, 1, first.cursor)
    assert (more.data, more.end) == (b"two\n", True)
    with pytest.raises(NotFound):
        await adapter.log(step_key(key, "other"), 1, None)


async def test_without_logs_that_is_said(drv: Driver) -> None:
    key = drv.add_run("daily")
    adapter = drv.adapter(logs=None)
    assert not adapter.caps.can("log")
    with pytest.raises(Unsupported, match=r"add options\.logs"):
        await adapter.log(step_key(key, "load"), 1, None)


# --- a state and no run --------------------------------------------------------------------------------------------------


def stateful(folder: Path, **more: Any) -> Any:
    """Status by exit code, one pipeline at a time."""
    script = 'echo "word of $1"; exit $(cat "$1")'
    return make(
        folder,
        {
            "pipelines": ["a", "b"],
            "status": ["/bin/sh", "-c", script, "sh", "{pipeline}"],
            "status_format": "exit",
            **more,
        },
    )


def stands(folder: Path, **codes: int) -> None:
    for name, code in codes.items():
        (folder / name).write_text(str(code))


async def test_states_by_exit_code_become_runs(tmp_path: Path) -> None:
    stands(tmp_path, a=3, b=1)
    adapter = stateful(tmp_path)
    _, runs = await read(adapter)
    assert {(r.key.partition("/")[0], r.state, r.backfilled) for r in runs.values()} == {
        ("drv:a", State.SUCCESS, True),
        ("drv:b", State.FAILED, True),
    }, "what was so before anybody asked is no news"
    stands(tmp_path, a=0)
    _, runs = await read(adapter)
    (running_run,) = [r for r in runs.values() if r.state is State.RUNNING]
    assert running_run.started is not None
    stands(tmp_path, a=1)
    again = stateful(tmp_path)  # after a restart it is the same run
    _, runs = await read(again)
    ended = runs[running_run.key]
    assert (ended.state, ended.error, ended.exit_code, ended.backfilled) == (State.FAILED, "word of a", 1, False)
    assert ended.started == running_run.started
    stands(tmp_path, b=3)
    _, runs = await read(again)
    (missed,) = [r for r in runs.values() if r.key.startswith("drv:b/")]
    assert (missed.state, missed.sub, missed.backfilled) == (State.SUCCESS, "not seen while it ran", False)


async def test_an_exit_code_that_means_nothing_tells_nothing(tmp_path: Path) -> None:
    stands(tmp_path, a=3, b=4)
    adapter = stateful(tmp_path)
    pipelines, runs = await read(adapter)
    assert set(pipelines) == {"drv:a", "drv:b"}
    assert {r.key.partition("/")[0] for r in runs.values()} == {"drv:a"}
    assert adapter.notes == ("b: status: word of b · exit 4",)
    with pytest.raises(BadResponse, match="status: word of b · exit 4"):
        await adapter.read("drv:b")
    stands(tmp_path, a=4)
    with pytest.raises(BadResponse, match="exit 4"):
        await adapter.pipelines()
    _, runs = await read(stateful(tmp_path, exit={"3": "success", "4": "held"}))
    assert State.HELD in {r.state for r in runs.values()}


async def test_one_question_about_one_of_many_is_one_command(tmp_path: Path) -> None:
    stands(tmp_path, a=0, b=3)
    adapter = stateful(tmp_path)
    _, runs = await read(adapter)
    (run,) = [k for k, r in runs.items() if r.state is State.RUNNING]
    before = adapter.spent[0]
    assert (await adapter.read(run)).key == run
    assert adapter.spent[0] == before + 1
    assert [s.state for s in await adapter.steps(run)] == [State.RUNNING]
    assert adapter.spent[0] == before + 1, "the steps of what was read just now"


async def test_one_by_one_has_an_end(tmp_path: Path) -> None:
    adapter = stateful(tmp_path, pipelines=[f"p{i}" for i in range(61)])
    with pytest.raises(Unsupported, match="61 pipelines would be asked about one by one, at most 60 are"):
        await adapter.pipelines()
    assert issubclass(Unsupported, AdapterError)
