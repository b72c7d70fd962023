from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.model import State
from engine.config.model import Check, PipelineRule
from engine.facts import checks as room
from engine.facts.checks import Checks, run_command
from engine.facts.pings import Pings
from tests.facts.kit import ANA, HOUR, MIN, NOW, House, a_run

Make = Callable[..., House]
PY = sys.executable


def checks_of(h: House, *checks: Check) -> Checks:
    h.configure(checks=checks)
    h.list("p", rules=(PipelineRule(match="*", done_when=tuple(c.name for c in checks)),))
    return Checks(h.ctx, h.judge)


async def asked(checks: Checks) -> None:
    """Whatever is due is asked, and has answered."""
    checks.step()
    async with asyncio.timeout(20):
        while checks._busy:
            await asyncio.gather(*checks._busy.values())
            checks.step()


async def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def states(h: House) -> list[tuple[str, int, str]]:
    return h.ask("SELECT name, state, words FROM run_check ORDER BY attempt, name")


def next_in(h: House) -> list[float | None]:
    return [
        None if n is None else (n - h.clock.at) / 1000
        for (n,) in h.ask("SELECT next_at FROM run_check ORDER BY attempt, name")
    ]


async def test_a_success_is_verified_by_all_its_checks(house: Make, tmp_path: Path) -> None:
    h = house()
    checks = checks_of(
        h,
        Check(
            name="rows",
            run=(
                PY,
                "-c",
                "import sys; print('41 rows'); print('42 rows in', *sys.argv[1:])",
                "{business_date}",
                "{run}",
            ),
        ),
        Check(name="there", file="out/{business_date}.csv", min_size=3),
    )
    h.see(checks, a_run("r:1", State.SUCCESS, business_date="2026-11-20"))
    assert states(h) == [("rows", 0, ""), ("there", 0, "")]
    assert [c.state for c in h.reader().unverified()[1]] == [0, 0]
    await asked(checks)
    where = f"{tmp_path}/out/2026-11-20.csv"
    assert states(h)[0][:2] == ("rows", 1)
    assert states(h)[0][2] == "42 rows in 2026-11-20 r:1"
    assert states(h)[1][1] == 2
    assert states(h)[1][2].endswith("20.csv is not there")
    assert h.judge.told == []
    assert next_in(h) == [None, 30]
    (tmp_path / "out").mkdir()
    Path(where).write_text("ab")
    os.utime(where, ns=(NOW * 10**6, NOW * 10**6))
    h.clock.at += 30_000
    await asked(checks)
    assert "has 2 bytes, expected 3 or more" in states(h)[1][2]
    assert next_in(h)[1] == 60
    Path(where).write_text("abc")
    os.utime(where, ns=((NOW + 7000) * 10**6,) * 2)
    h.clock.at += 60_000
    await asked(checks)
    assert states(h)[1][1] == 1
    assert h.judge.told == [("checked", "a:p/r%3A1")]
    at = dict(h.ask("SELECT name, at FROM run_check"))
    assert at == {"rows": NOW - MIN, "there": NOW + 7000}, (
        "true when it ended, asked a moment later; a file from its own time"
    )
    assert h.reader().unverified() == {}


async def test_why_not_in_words(house: Make, tmp_path: Path) -> None:
    h = house()
    (tmp_path / "old.csv").write_text("x")
    os.utime(tmp_path / "old.csv", ns=((NOW - HOUR) * 10**6,) * 2)
    os.mkfifo(tmp_path / "pipe")
    checks = checks_of(
        h,
        Check(name="a", run=(PY, "-c", "print('3 rows missing'); raise SystemExit(1)")),
        Check(name="b", run=("no-such-program", "x")),
        Check(name="c", run=(PY, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")),
        Check(name="d", file="old.csv"),
        Check(name="e", file="pipe"),
        Check(name="f", file="{business_date}"),
        Check(name="g"),
        Check(
            name="h", run=(PY, "-c", "print('\\x1b]0;owned\\x07\\x1b[31mred\\u202e' + 'x' * 900); raise SystemExit(3)")
        ),
    )
    h.see(checks, a_run("1", State.WARNING))
    await asked(checks)
    said = {name: words for name, _, words in states(h)}
    assert said["a"] == "exit 1: 3 rows missing"
    assert said["b"] == "cannot start 'no-such-program': No such file or directory"
    assert said["c"] == "killed by SIGSEGV"
    assert said["d"].endswith("old.csv is older than the run: written 50m before it began")
    assert said["e"].endswith("pipe is no file")
    assert said["f"] == "the run has no business date, which the check asks for"
    assert said["g"] == "waits for: watchfloor ping g ok"
    assert said["h"].startswith("exit 3: red xxx")
    assert len(said["h"]) == 200
    assert all(w.isprintable() for w in said.values())
    assert {s for n, s, _ in states(h) if n != "g"} == {2}


async def test_a_beat_since_the_end_is_the_word_it_waits_for(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="approved"))
    pings = Pings(h.ctx, h.judge, checks.poke)
    await pings.ping({"name": "approved", "what": "ok"}, ANA)
    h.clock.at += MIN
    h.see(checks, a_run("1", State.SUCCESS, ended=h.clock.at))
    await asked(checks)
    assert states(h) == [("approved", 0, "waits for: watchfloor ping approved ok")], (
        "the one before its end was for another run"
    )
    h.clock.at += 5000
    reply = await pings.ping({"name": "approved", "what": "fail", "text": "by hand"}, ANA)
    assert reply["known"] is True
    await asked(checks)
    assert states(h) == [("approved", 2, "ping fail: by hand")], "asked at once, not in 30 s"
    h.clock.at += 5000
    at = (await pings.ping({"name": "approved", "what": "ok"}, ANA))["at"]
    await asked(checks)
    assert h.ask("SELECT state, at, next_at FROM run_check") == [(1, at, None)]
    assert h.judge.told[-1] == ("checked", "a:p/1")


async def test_asked_again_for_a_day_and_then_no_more(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="there", file="nothing"))
    h.see(checks, a_run("1", State.SUCCESS))
    waits: list[float | None] = []
    for _ in range(400):
        await asked(checks)
        (wait,) = next_in(h)
        waits.append(wait)
        if wait is None:
            break
        h.clock.at += int(wait * 1000)
    assert waits[:6] == [30, 60, 120, 300, 300, 300]
    assert waits[-1] is None
    assert 24 * HOUR - 6 * MIN < h.clock.at - (NOW - MIN) <= 24 * HOUR
    assert states(h)[0][2].startswith("not asked any more after 24h: ")
    assert len(h.reader().checks("a:p/1")) == 1


async def test_history_and_runs_that_failed_are_not_checked(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="there", file="nothing"))
    h.see(
        checks,
        a_run("1", backfilled=True),
        a_run("2", generated=True),
        a_run("3", State.FAILED),
        a_run("4", State.RUNNING),
    )
    h.see(checks, a_run("5", started=NOW - 30 * HOUR, ended=NOW - 25 * HOUR))
    assert states(h) == []


async def test_a_run_that_goes_on_again_is_checked_anew(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="there", file="nothing"))
    h.see(checks, a_run("1"))
    await asked(checks)
    h.see(checks, a_run("1", State.RUNNING, attempt=2, started=NOW))
    assert next_in(h) == [None]
    h.see(checks, a_run("1", attempt=2, started=NOW, ended=NOW + 2000))
    assert h.ask("SELECT attempt, state FROM run_check ORDER BY attempt") == [(1, 2), (2, 0)]
    await asked(checks)
    h.see(checks, a_run("1", State.FAILED, attempt=2, started=NOW, ended=NOW + 2000))
    h.clock.at += MIN
    await asked(checks)
    assert states(h)[1] == ("there", 2, "the run is not finished after all")
    assert next_in(h) == [None, None]
    h.see(checks, a_run("1", State.SUCCESS, attempt=2, started=NOW, ended=NOW + 3000))
    assert next_in(h) == [None, 0]


async def test_a_check_that_is_not_wanted_any_more_holds_nobody(house: Make, tmp_path: Path) -> None:
    h = house()
    (tmp_path / "x").write_text("x")
    checks = checks_of(h, Check(name="there", file="nothing"), Check(name="x", file="x"))
    os.utime(tmp_path / "x", ns=(NOW * 10**6,) * 2)
    h.see(checks, a_run("1"))
    await asked(checks)
    h.configure(checks=(Check(name="x", file="x"),))
    h.clock.at += 30_000
    await asked(checks)
    assert [s[:2] for s in states(h)] == [("x", 1)]
    assert h.judge.told == [("checked", "a:p/1")]


async def test_a_check_that_was_wanted_only_after_the_run_ended(house: Make, tmp_path: Path) -> None:
    h = house()
    h.list("p", "old", "past")
    checks = Checks(h.ctx, h.judge)
    h.see(
        checks,
        a_run("1"),
        a_run("1", pipeline="a:old", ended=NOW - 25 * HOUR, started=NOW - 26 * HOUR),
        a_run("1", pipeline="a:past", backfilled=True),
    )
    await asked(checks)
    assert states(h) == []
    (tmp_path / "x").write_text("x")
    h.configure(checks=(Check(name="x", file="x"), Check(name="y", file="y")))
    h.list("p", "old", "past", rules=(PipelineRule(match="*", done_when=("x",)),))
    await asked(checks)
    assert states(h) == [("x", 1, f"{tmp_path}/x is there, 1 byte")]
    h.list("p", "old", "past", rules=(PipelineRule(match="*", done_when=("x", "y")),))
    await asked(checks)
    assert [s[:2] for s in states(h)] == [("x", 1), ("y", 2)]
    assert h.judge.told == [("checked", "a:p/1")]


async def test_checks_of_a_run_that_was_forgotten_do_not_keep_it_awake(house: Make) -> None:
    h = house()
    checks = checks_of(h, Check(name="x", file="x"))
    h.see(checks, a_run("1"))
    h.ask("DELETE FROM run")
    assert checks.step() == 30.0
    assert states(h) == []
    assert not checks.busy


async def test_a_read_only_engine_runs_no_command(house: Make, tmp_path: Path) -> None:
    h = house()
    h.ctx.read_only = True
    (tmp_path / "x").write_text("x")
    os.utime(tmp_path / "x", ns=(NOW * 10**6,) * 2)
    checks = checks_of(h, Check(name="c", run=("touch", "was-run")), Check(name="x", file="x"))
    h.see(checks, a_run("1"))
    await asked(checks)
    assert states(h)[0] == ("c", 0, "not asked: this engine is read-only and runs no command")
    assert states(h)[1][1] == 1
    assert not (tmp_path / "was-run").exists()


async def test_two_at_a_time(house: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    h = house()
    at_once: list[int] = []
    go = asyncio.Event()

    async def slow(*_: Any) -> room.Said:
        at_once.append(len(checks._busy))
        await go.wait()
        return room.Said(1, "ok")

    monkeypatch.setattr(room, "run_command", slow)
    checks = checks_of(h, *(Check(name=f"c{n}", run=("x",)) for n in range(5)))
    h.see(checks, a_run("1"))
    for _ in range(3):
        checks.step()
        await asyncio.sleep(0)
    assert at_once == [2, 2]
    go.set()
    await asked(checks)
    assert {s for _, s, _ in states(h)} == {1}
    assert len(at_once) == 5
    assert max(at_once) == 2


async def test_run_goes_on_by_itself_and_is_woken(house: Make, tmp_path: Path) -> None:
    h = house()
    checks = checks_of(h, Check(name="c", run=(PY, "-c", "print(1)")))
    task = asyncio.create_task(checks.run())
    await asyncio.sleep(0)
    h.see(checks, a_run("1"))
    await until(lambda: h.judge.told)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert h.judge.told == [("checked", "a:p/1")]


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancel_that_comes_with_news_ends_it_all_the_same(house: Make, turns: int) -> None:
    h = house()
    checks = checks_of(h)
    task = asyncio.create_task(checks.run())
    await asyncio.sleep(0.05)
    checks._awake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    _, left = await asyncio.wait([task], timeout=5)
    for one in left:
        one.cancel()
    assert not left


# --- commands that mean no good ---------------------------------------------------------------------------------------


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while not gone(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return gone(pid)


async def test_one_that_stands_still_is_killed_with_its_group(tmp_path: Path) -> None:
    script = (
        "import os, signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "print('standing still', flush=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(0, signal.SIGSTOP)\n"
    )
    said = await run_command((PY, "-c", script), tmp_path, 600)
    assert said.words == "timed out after 600ms: standing still"
    assert said.state == 2
    assert all(wait_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


async def test_one_that_closes_its_output_has_its_time_and_no_more(tmp_path: Path) -> None:
    began = time.monotonic()
    said = await run_command((PY, "-c", "import os, time; os.close(1); os.close(2); time.sleep(60)"), tmp_path, 400)
    assert said.words == "timed out after 400ms"
    assert time.monotonic() - began < 5


async def test_who_leaves_the_group_does_not_hold_the_engine(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
        "print(p.pid)\n"
    )
    began = time.monotonic()
    said = await run_command((PY, "-c", script), tmp_path, 20_000)
    try:
        assert said.state == 1
        assert time.monotonic() - began < 5
    finally:
        os.kill(int(said.words), signal.SIGKILL)


async def test_one_that_writes_without_end(tmp_path: Path) -> None:
    said = await run_command(("yes", "spam"), tmp_path, 20_000)
    assert said.words == "ended: it wrote more than 1 MB; spam"


async def test_it_sees_what_local_jobs_see_and_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    said = await run_command((PY, "-c", "import os; print(sorted(os.environ), os.getcwd())"), tmp_path, 20_000)
    assert "SECRET_TOKEN" not in said.words
    assert str(tmp_path) in said.words
    assert (await run_command(("echo", "$(id)", ";", "*"), tmp_path, 20_000)).words == "$(id) ; *"


async def test_cancelled_it_leaves_nothing_behind(tmp_path: Path) -> None:
    script = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(run_command((PY, "-c", script), tmp_path, 60_000))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wait_gone(int((tmp_path / "pid").read_text()))


async def test_hostile_run_ids_stay_words(house: Make, tmp_path: Path) -> None:
    h = house()
    checks = checks_of(h, Check(name="c", run=("printf", "%s", "{run}")), Check(name="x", file="{run}"))
    h.see(checks, a_run("$(touch owned)\n\x1b[31m;../../x"), a_run("a\0b"))
    await asked(checks)
    assert not (tmp_path / "owned").exists()
    assert all(w.isprintable() for _, _, w in states(h))
    assert any("NUL" in w for _, _, w in states(h))


async def test_a_file_on_a_dead_mount_is_asked_once(house: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    h = house()
    monkeypatch.setattr(room, "STAT_S", 0.05)
    back, looks = threading.Event(), []

    def hangs(*args: Any) -> room.Said:
        looks.append(args)
        back.wait(30)
        return room.Said(1, "there")

    monkeypatch.setattr(room, "look_at", hangs)
    checks = checks_of(h, Check(name="x", file="x"))
    h.see(checks, a_run("1"))
    for _ in range(3):
        await asked(checks)
        assert "does not answer" in states(h)[0][2]
        h.clock.at += 10 * MIN
    assert len(looks) == 1
    back.set()
