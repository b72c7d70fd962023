"""One run from start to end: its steps, logs, words, environment and numbers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.base import Action, Done, NotDone, NotSent, Sent
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.local.words import duration_words, reason
from adapters.model import RunKind, Shape, State, StepSpec, Verb
from tests.local.kit import Floor, job, py, sh, until

Make = Callable[..., Floor]


async def test_steps_run_in_order_and_each_has_its_log(floor: Make) -> None:
    f = floor(job("load", sh("echo first"), sh("echo second; echo to stderr >&2")))
    key = await f.start("load")
    run = await f.reach(key)
    assert (run.state, run.exit_code, run.error, run.kind) == (State.SUCCESS, 0, None, RunKind.MANUAL)
    assert f.log(key, "s1.1.log") == b"first\n"
    assert f.log(key, "s2.1.log") == b"second\nto stderr\n"
    steps = await f.adapter.steps(key)
    assert [(s.step, s.state, s.attempt, s.exit_code) for s in steps] == [
        ("s1", State.SUCCESS, 1, 0),
        ("s2", State.SUCCESS, 1, 0),
    ]
    times = [run.queued, run.started, steps[0].ended, steps[1].started, run.ended]
    assert None not in times
    assert times == sorted(times, key=lambda t: t or 0)


async def test_a_failed_step_ends_the_run_and_says_why(floor: Make) -> None:
    script = (
        "echo reading; echo 'IntegrityError: UNIQUE constraint failed: \x1b[31mfact.id\x1b[0m' >&2; echo bye; exit 3"
    )
    f = floor(job("load", sh("true"), sh(script), sh("true")))
    run = await f.reach(key := await f.start("load"))
    assert (run.state, run.native, run.exit_code) == (State.FAILED, "failed", 3)
    assert run.error == "s2: IntegrityError: UNIQUE constraint failed: fact.id · exit 3"
    third = (await f.adapter.steps(key))[2]
    assert (third.state, third.sub, third.started) == (State.SKIPPED, "not reached", None)
    chunk = await f.adapter.log(f"{key}#s3", 1, None)
    assert (chunk.data, chunk.end, chunk.note) == (b"", True, "never started")


async def test_a_declared_code_is_a_warning_and_the_run_goes_on(floor: Make) -> None:
    step = StepSpec(name="partial", run=sh("echo 12 rows rejected; exit 3"), warning_codes=(3,))
    f = floor(job("load", step, sh("true")))
    run = await f.reach(await f.start("load"))
    assert (run.state, run.exit_code, run.error) == (State.WARNING, 3, "partial: 12 rows rejected · exit 3")
    assert [s.state for s in await f.adapter.steps(run.key)] == [State.WARNING, State.SUCCESS]


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("no-such-program-here", "x"), 127, "cannot start 'no-such-program-here': no such program on PATH"),
        (("./gone.sh",), 127, "cannot start './gone.sh': no such program in"),
        (("./plain.txt",), 126, "cannot start './plain.txt': it may not be executed"),
        (("./noexec",), 126, "cannot start './noexec': Exec format error"),
    ],
)
async def test_a_program_that_cannot_start_is_failed_with_a_clear_word(
    floor: Make, argv: tuple[str, ...], code: int, says: str
) -> None:
    f = floor(job("load", argv, retries=3))
    (f.work / "plain.txt").write_text("x")
    (f.work / "noexec").write_bytes(b"\0\1\2")
    (f.work / "noexec").chmod(0o755)
    run = await f.reach(await f.start("load"))
    assert (run.state, run.exit_code) == (State.FAILED, code)
    assert says in (run.error or "")
    assert says.encode() in f.log(run.key, "s1.1.log")
    assert len(await f.adapter.steps(run.key)) == 1  # trying again would not help


async def test_a_configuration_folder_that_is_gone_is_said(floor: Make) -> None:
    f = floor(job("load", ("true",)))
    f.work.rmdir()
    run = await f.reach(await f.start("load"))
    assert "its folder" in (run.error or "")
    assert "does not exist" in (run.error or "")
    assert any("does not exist" in w for w in (await f.adapter.probe()).warnings)


async def test_a_kill_from_outside_is_named(floor: Make) -> None:
    f = floor(job("load", sh("kill -9 $$")))
    run = await f.reach(await f.start("load"))
    assert (run.state, run.exit_code) == (State.FAILED, 137)
    assert run.error == "s1: killed by SIGKILL · it wrote nothing"


async def test_retries_keep_each_try_and_its_log(floor: Make) -> None:
    script = "n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; echo try $n; [ $n -ge 3 ]"
    f = floor(job("load", sh(script), retries=3, retry_delay_ms=50))
    run = await f.reach(key := await f.start("load"))
    assert run.state == State.SUCCESS
    assert [(s.attempt, s.state) for s in await f.adapter.steps(key)] == [
        (1, State.FAILED),
        (2, State.FAILED),
        (3, State.SUCCESS),
    ]
    assert [f.log(key, f"s1.{n}.log") for n in (1, 2, 3)] == [b"try 1\n", b"try 2\n", b"try 3\n"]


async def test_between_two_tries_it_is_retrying_and_can_be_stopped(floor: Make) -> None:
    f = floor(job("load", sh("exit 1"), retries=1, retry_delay_ms=60_000))
    key = await f.start("load")
    run = await f.reach(key, State.RETRYING)
    assert run.sub == "s1: try 2 of 2 after 60s"
    await f.act(Verb.STOP, key)
    run = await f.reach(key)
    assert (run.state, run.stopped_by) == (State.STOPPED, "ana")


async def test_a_log_of_5_mb_is_whole_and_read_in_chunks(floor: Make) -> None:
    line = b"x" * 99 + b"\n"
    f = floor(job("load", py("import sys\nfor i in range(52429): sys.stdout.write('x' * 99 + '\\n')")))
    key = await f.start("load")
    await f.reach(key)
    data, cursor, chunks = b"", None, 0
    while True:
        chunk = await f.adapter.log(f"{key}#s1", 1, cursor)
        data, cursor, chunks = data + chunk.data, chunk.cursor, chunks + 1
        assert len(chunk.data) <= 1 << 20
        if chunk.end:
            break
    assert data == line * 52429
    assert chunks == 6
    assert chunk.path == str(f.run_folder(key) / "s1.1.log")


async def test_hostile_parameters_stay_one_argument(floor: Make) -> None:
    show = py("import sys, json; print(json.dumps(sys.argv[1:]))", "--name={param.name}", "{param.other}", '{"a": {}}')
    f = floor(job("load", show))
    evil = "'; touch /tmp/owned; $(id) `id` \"\n{business_date} {param.other} ☠ \udc80".encode(
        errors="surrogateescape"
    ).decode(errors="replace")
    key = await f.start("load", params={"name": evil, "other": "--flag *"})
    await f.reach(key)
    assert json.loads(f.log(key, "s1.1.log")) == [f"--name={evil}", "--flag *", '{"a": {}}']
    assert (await f.read(key)).params == {"name": evil, "other": "--flag *"}


async def test_a_parameter_that_is_missing_or_impossible_is_refused_before_anything_runs(floor: Make) -> None:
    f = floor(job("load", ("echo", "{param.day}")))
    for params, says in (({}, "'day' is not given"), ({"day": "a\0b"}, "NUL")):
        with pytest.raises(Conflict, match=says):
            await f.start("load", params=params)
    assert await f.all_runs() == {}
    unused = await f.adapter.prepare(
        Action(verb=Verb.START, key="local:load", client_id="p", params={"day": "1", "dya": "2"})
    )
    assert unused.note == "no step uses the parameter dya"


async def test_the_environment_is_clean_but_for_what_is_declared(floor: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "s3cr3t")
    monkeypatch.setenv("PASSED_ON", "w0rd")
    monkeypatch.setenv("PYTHONPATH", "/planted")
    step = StepSpec(name="show", run=("env",), env={"STEP_VALUE": "2"})
    f = floor(job("load", step, env={"JOB_VALUE": "1"}, pass_env=("PASSED_ON", "NOT_SET")))
    key = await f.start("load", business_date="2026-03-01")
    await f.reach(key)
    env = dict(line.split("=", 1) for line in f.log(key, "show.1.log").decode().splitlines())
    assert {"SECRET_OF_THE_ENGINE", "PYTHONPATH", "NOT_SET"}.isdisjoint(env)
    assert (env["JOB_VALUE"], env["STEP_VALUE"], env["PASSED_ON"]) == ("1", "2", "w0rd")
    assert env["WATCHFLOOR_RUN"] == "load@c001"
    assert env["WATCHFLOOR_BUSINESS_DATE"] == "2026-03-01"
    assert env["PATH"] == os.environ["PATH"]
    written = b"".join(p.read_bytes() for p in f.run_folder(key).rglob("*.json"))
    assert b"w0rd" not in written  # values that are passed on never reach the disk


async def test_a_job_has_nothing_of_the_engine(floor: Make) -> None:
    show = (
        "import os, sys\n"
        "print(os.getsid(0) != int(sys.argv[1]), sorted(os.listdir('/proc/self/fd')), os.readlink('/proc/self/fd/0'))\n"
        "print(os.getcwd()); print(open('/proc/self/status').read().split('SigBlk:')[1].split()[0])"
    )
    f = floor(job("load", py(show, str(os.getsid(0)))))
    key = await f.start("load")
    await f.reach(key)
    lines = f.log(key, "s1.1.log").decode().splitlines()
    assert lines[0] == "True ['0', '1', '2', '3'] /dev/null"  # 3 is the listing itself
    assert lines[1] == str(f.work)
    assert int(lines[2], 16) == 0


async def test_the_supervisor_is_detached_and_takes_nothing_planted(floor: Make, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    (planted / "adapters" / "local").mkdir(parents=True)
    for folder in ("adapters", "adapters/local"):
        (planted / folder / "__init__.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    for name in ("json", "subprocess", "signal"):
        (planted / f"{name}.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    f = floor(job("load", sh("cat /proc/$PPID/cmdline | tr '\\0' ' '; readlink /proc/$PPID/cwd; ls -l /proc/$PPID/fd")))
    code = (
        "import sys, asyncio; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import os; os.chdir(sys.argv[2]); os.environ['PYTHONPATH'] = sys.argv[2]; os.environ['PYTHONHOME'] = sys.argv[2]\n"
        "from tests.local.kit import *\n"
        "f = Floor(Path(sys.argv[3]), job('load', sh(sys.argv[4])))\n"
        "asyncio.run(f.start('load', client_id='planted'))"
    )
    script = f.jobs[0].steps[0].run[2]
    root = str(Path(__file__).parents[2])
    argv = [sys.executable, "-P", "-c", code, root, str(planted), str(f.folder), script]
    engine = await asyncio.create_subprocess_exec(*argv)
    assert await asyncio.wait_for(engine.wait(), 30) == 0
    run = await f.reach("local:load/planted")
    assert run.state == State.SUCCESS
    assert not (tmp_path / "owned").exists()
    command, cwd, *fds = f.log(run.key, "s1.1.log").decode().replace(" /\n", "\n/\n", 1).splitlines()
    assert "adapters/local/launch.py" in command
    assert cwd == "/"
    targets = [line.split("-> ")[1] for line in fds if "-> " in line]
    assert targets[:2] == ["/dev/null", "/dev/null"]
    own = str(f.run_folder(run.key))
    assert all(t.startswith(own) for t in targets[2:] if not t.startswith("/proc/")), targets


async def test_a_repeated_send_makes_one_run(floor: Make) -> None:
    f = floor(job("load", sh("echo once >> count; sleep 0.2")))
    prepared = await f.adapter.prepare(Action(verb=Verb.START, key="local:load", client_id="wf-01J"))
    assert isinstance(await f.adapter.reconcile(prepared), NotDone)
    first = await f.adapter.send(prepared)
    again = await f.again().send(prepared)
    assert isinstance(first, Sent)
    assert isinstance(again, Sent)
    assert first.run == again.run == "local:load/wf-01J"
    await f.reach("local:load/wf-01J")
    assert isinstance(await f.adapter.reconcile(prepared), Done)
    assert isinstance(await f.adapter.send(prepared), Sent)
    assert (f.work / "count").read_text() == "once\n"


async def test_rerun_from_a_step_keeps_date_and_parameters_and_skips_what_was_done(floor: Make) -> None:
    f = floor(
        job(
            "load",
            sh("echo one {param.k} >> out"),
            sh("echo two {business_date} >> out; test -e fixed"),
            sh("echo three >> out"),
        )
    )
    failed = await f.reach(await f.start("load", params={"k": "7"}, business_date="2026-02-03"))
    assert failed.state == State.FAILED
    (f.work / "fixed").touch()
    sent = await f.act(Verb.RERUN_FAILED, failed.key)
    assert isinstance(sent, Sent)
    run = await f.reach(sent.run or "")
    assert (run.state, run.kind, run.shape, run.rerun_of) == (State.SUCCESS, RunKind.RERUN, Shape.PARTIAL, failed.key)
    assert (run.business_date, run.params) == ("2026-02-03", {"k": "7"})
    assert (f.work / "out").read_text().split() == ["one", "7", "two", "2026-02-03", "two", "2026-02-03", "three"]
    steps = await f.adapter.steps(run.key)
    assert [(s.state, s.sub) for s in steps] == [
        (State.SKIPPED, "done in c001"),
        (State.SUCCESS, None),
        (State.SUCCESS, None),
    ]
    assert (await f.adapter.log(f"{run.key}#s1", 1, None)).note == "not run: done in c001"

    # from a step on, and whole
    sent = await f.act(Verb.RERUN_FROM, f"{run.key}#s3")
    third = await f.reach(getattr(sent, "run", ""))
    assert [s.sub for s in await f.adapter.steps(third.key)] == ["done in c001", "done in c002", None]
    whole = await f.reach(getattr(await f.act(Verb.RERUN, third.key), "run", ""))
    assert (whole.shape, [s.state for s in await f.adapter.steps(whole.key)]) == (Shape.FULL, [State.SUCCESS] * 3)
    with pytest.raises(Conflict, match="no step of the run"):
        await f.act(Verb.RERUN_FAILED, whole.key)
    with pytest.raises(NotFound, match="no step 's9'"):
        await f.act(Verb.RERUN_FROM, f"{whole.key}#s9")


async def test_what_makes_no_sense_is_refused_in_one_sentence(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30")), job("other", ("true",)))
    key = await f.start("load")
    await f.reach(key, State.RUNNING)
    for verb, target, kind, says in (
        (Verb.START, "local:load", Conflict, r"load is running already \(run c001\)"),
        (Verb.RERUN, key, Conflict, "the run c001 is running"),
        (Verb.RELEASE, key, Conflict, "not held, it is running"),
        (Verb.START, "local:gone", NotFound, "no job 'gone' is configured"),
        (Verb.STOP, "local:load/nope", NotFound, "no run nope of load is kept here"),
        (Verb.STOP, "local:load", NotFound, "names a job, not a run"),
        (Verb.PAUSE, "local:other", Conflict, "has no schedule"),
        (Verb.MARK, key, Unsupported, "no mark"),
        (Verb.START, "prod:load", NotFound, "not of the source local"),
        (Verb.START, "nonsense", NotFound, "is not a key"),
    ):
        with pytest.raises(kind, match=says):
            await f.act(verb, target)
    with pytest.raises(Conflict, match="not a business date"):
        await f.start("other", business_date="03/02/2026")
    await f.act(Verb.STOP, key)
    await f.reach(key, State.STOPPED)
    with pytest.raises(Conflict, match="has ended already: stopped"):
        await f.act(Verb.STOP, key)


async def test_a_start_that_became_impossible_after_its_plan_is_not_sent(floor: Make) -> None:
    f = floor(job("load", sh("sleep 30")))
    late = await f.adapter.prepare(Action(verb=Verb.START, key="local:load", client_id="late"))
    await f.start("load")
    sent = await f.adapter.send(late)
    assert isinstance(sent, NotSent)
    assert "already" in sent.words


async def test_the_plan_shows_exact_commands(floor: Make) -> None:
    f = floor(job("load", ("python", "load it.py", "--date", "{business_date}"), retries=2, timeout_ms=600_000))
    plan = await f.adapter.prepare(Action(verb=Verb.START, key="local:load", client_id="p", business_date="2026-01-31"))
    assert [(c.method, c.target) for c in plan.calls] == [("exec", "python 'load it.py' --date 2026-01-31")]
    assert plan.calls[0].body == {"step": "s1", "cwd": str(f.work)}
    assert plan.effect == "one run of load for 2026-01-31: 1 step"
    assert plan.note == "times out after 10m, each step tried again 2× after 30s"


async def test_changes_come_once_and_an_old_cursor_gets_all_it_missed(floor: Make) -> None:
    f = floor(job("load", sh("true")))
    page = await f.adapter.runs(None)
    assert (page.runs, page.complete) == ([], True)
    key = await f.start("load")
    states: list[State] = []
    cursor = page.cursor
    while not states or not states[-1].terminal:
        page = await f.adapter.runs(cursor)
        cursor = page.cursor
        states += [run.state for run in page.runs]
    assert states == sorted(states)
    assert (await f.adapter.runs(cursor)).runs == []
    second = await f.start("load")
    await f.reach(second)
    fresh = f.again()
    assert {run.key for run in (await fresh.runs(cursor)).runs} >= {second}
    assert {run.key for run in (await fresh.runs("not json")).runs} == {key, second}
    assert (await fresh.runs(None, active_only=True)).runs == []


async def test_only_the_last_runs_of_a_job_are_kept_and_never_an_active_one_goes(floor: Make) -> None:
    f = floor(job("load", sh("test -z '{param.t}' || sleep {param.t}"), overlap="allow"), keep=3)
    long = await f.start("load", params={"t": "30"}, client_id="long")
    for n in range(6):
        await f.reach(await f.start("load", params={"t": ""}, client_id=f"r{n}"))
    await f.adapter.tick(0)
    kept = {path.name for path in (f.folder / "state" / "runs").iterdir()}
    assert "load@long" in kept
    assert kept - {"load@long"} <= {"load@r3", "load@r4", "load@r5"}
    assert len(kept) >= 3
    assert (await f.read(long)).state == State.RUNNING


async def test_generated_history_is_marked_and_paged(floor: Make) -> None:
    f = floor(job("load", ("true",)))
    rows = [
        {"job": "load", "run": f"gen-{n}", "started": n * 1000, "ended": n * 1000 + 500, "state": "success"}
        for n in range(2500)
    ]
    rows[7] |= {"state": "failed", "error": "made up", "business_date": "2026-01-01"}
    text = "\n".join(map(json.dumps, rows)) + "\nnot json\n{}\n" + json.dumps({"job": "x", "state": "running"}) + "\n"
    (f.folder / "state" / "generated.jsonl").write_text(text)
    real = await f.reach(await f.start("load"))
    page = await f.adapter.runs(None)
    assert (len(page.runs), page.complete) == (2000, False)
    assert all(run.generated and run.backfilled for run in page.runs)
    bad = page.runs[7]
    assert (bad.state, bad.error, bad.business_date) == (State.FAILED, "made up", "2026-01-01")
    page = await f.again().runs(page.cursor)
    assert (len(page.runs), page.complete) == (501, True)
    assert [run.key for run in page.runs if not run.generated] == [real.key]
    history = await f.adapter.history("local:load", depth=5, days=100_000)
    assert [run.key.partition("/")[2] for run in history] == ["c001", "gen-2499", "gen-2498", "gen-2497", "gen-2496"]
    assert all(run.backfilled for run in history)
    assert (await f.read("local:load/gen-7")).error == "made up"
    assert list(await f.adapter.steps("local:load/gen-7")) == []


async def test_names_that_are_hostile_to_paths_and_keys(floor: Make) -> None:
    name = "../a b:c/d#e%"
    f = floor(job(name, StepSpec(name="../s t/e.1", run=("echo", "hi"))))
    key = (await f.adapter.pipelines()).items[0].key
    sent = await f.act(Verb.START, key)
    run = await f.reach(getattr(sent, "run", ""))
    assert run.state == State.SUCCESS
    step = (await f.adapter.steps(run.key))[0]
    chunk = await f.adapter.log(step.key, 1, None)
    assert chunk.data == b"hi\n"
    assert Path(chunk.path or "").resolve().is_relative_to(f.folder / "state" / "runs")


async def test_a_supervisor_that_cannot_start_is_said_and_not_tried_for_ever(
    floor: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    f = floor(job("load", ("true",)))
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no disk, no job')")
    monkeypatch.setattr("adapters.local.book._LAUNCH", broken)
    run = await f.reach(await f.start("load"))
    assert (run.state, run.error) == (State.FAILED, "its supervisor does not start: no disk, no job")


async def test_a_supervisor_that_cannot_be_spawned_is_said(floor: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    f = floor(job("load", ("true",)))

    def full(*args: object, **kw: object) -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawn", full)
    run = await f.reach(await f.start("load"))
    assert run.state == State.FAILED
    assert (run.error or "").endswith("Resource temporarily unavailable")


async def test_a_floor_that_cannot_be_written_is_a_sentence(floor: Make) -> None:
    f = floor(job("load", ("true",)))
    (f.folder / "state" / "tmp").rmdir()
    (f.folder / "state" / "tmp").write_text("in the way")
    sent = await f.act(Verb.START, "local:load")
    assert isinstance(sent, NotSent)
    assert "could not be written" in sent.words
    (f.folder / "state" / "tmp").unlink()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "exit 1 · it wrote nothing"),
        (b"one\ntwo\n", "two · exit 1"),
        (b"ERROR bad row\nclosing\n", "bad row · exit 1"),
        (b"2026-11-21 11:52:25.986 ERROR duplicate key\nbye\n", "duplicate key · exit 1"),
        (b"[2026-11-21T11:52:25Z] WARN 184 rows rejected\nend of load\n", "184 rows rejected · exit 1"),
        (b"WARN a\nERROR b\nWARN c\n", "b · exit 1"),
        (b"2026-11-21 11:52:25 ERROR \n", "ERROR · exit 1"),
        (b"\x1b]0;title\x07Traceback\nValueError: \xff\x1b[2J no\n\n", "ValueError: \ufffd no · exit 1"),
    ],
)
def test_the_line_of_a_log_that_says_why(tmp_path: Path, text: bytes, expected: str) -> None:
    (tmp_path / "log").write_bytes(text)
    assert reason(tmp_path / "log", 1) == expected


def test_long_lines_are_cut_and_durations_read_well(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"error " + b"y" * 10_000)
    assert len(reason(tmp_path / "log", 1)) <= 310
    assert [duration_words(ms) for ms in (250, 1500, 90_000, 600_000, 7_500_000)] == [
        "250ms",
        "1.5s",
        "90s",
        "10m",
        "2h05m",
    ]


async def test_an_idle_look_touches_only_what_is_active(floor: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    f = floor(job("load", ("true",)))
    for _ in range(3):
        await f.reach(await f.start("load"))
    page = await f.adapter.runs(None)
    await f.adapter.tick(0)
    await until(lambda: True)
    seen: list[str] = []
    real = os.stat

    def counting(path: object, *args: object, **kw: object) -> os.stat_result:
        seen.append(str(path))
        return real(path, *args, **kw)  # type: ignore[arg-type]

    await f.adapter.runs(page.cursor)
    monkeypatch.setattr(os, "stat", counting)
    end = time.monotonic() + 5
    while True:
        seen.clear()
        await f.adapter.runs(page.cursor)
        if len(seen) <= 3 or time.monotonic() > end:
            break
    assert not [path for path in seen if "load@" in path], seen
