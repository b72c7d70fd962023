"""``watchfloor ping`` and ``watchfloor waive`` against a real engine process; feeds and checks in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import ROOT, Rig, until

TOML = """
[[job]]
name = "load"
[[job.step]]
name = "write"
run = ["sh", "-c", "echo 1,2 > out.csv"]

[[pipeline]]
match = "local:load"
done_when = ["approved", "file", "rows"]

[[check]]
name = "approved"

[[check]]
name = "file"
file = "out.csv"

[[check]]
name = "rows"
run = ["grep", "-c", "1,2", "out.csv"]

[[feed]]
name = "sales"
file = "in/sales_{yyyymmdd}.csv"
feeds = ["local:load"]
buffer = "15m"

[[expectation]]
id = "backup"
on = "ping:backup"
type = "heartbeat"
max_age = "30m"

[[expectation]]
id = "load-ready"
on = "local:load"
type = "finish_by"
due = "23:59"
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("floor"), TOML) as made:
        yield made


def say(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | {
        "HOME": str(place.parent),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", "--config", str(place), *words], capture_output=True, text=True, env=env, cwd="/", timeout=30, check=False
    )  # fmt: skip


def test_a_ping_says_in_one_sentence_what_happened(rig: Rig) -> None:
    said = say(rig.config, "ping", "backup", "fail", "--code", "3", "disk", "full")
    assert (said.returncode, said.stdout, said.stderr) == (0, "backup: fail is noted (exit 3: disk full)\n", "")
    said = say(rig.config, "ping", "backup", "ok", "--format", "json")
    assert json.loads(said.stdout)["data"]["known"] is True
    said = say(rig.config, "ping", "nobody", "ok")
    assert said.returncode == 0
    assert (
        said.stdout == 'nobody: ok is noted; nobody waits for it yet: add an [[expectation]] with on = "ping:nobody"\n'
    )
    assert say(rig.config, "ping", "-q", "backup", "start").stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("backup", "okay"), 2, "invalid choice"),
        (("backup",), 2, "required: what"),
        (("back up", "ok"), 2, "a ping needs a name"),
        (("a\x1b[31m\nb", "ok"), 2, "a ping needs a name"),
        (("backup", "ok", "--code", "3"), 2, "exit code 3 is not ok"),
        (("backup", "fail", "--code", "x"), 2, "--code"),
    ],
)
def test_bad_words_of_a_ping(rig: Rig, words: tuple[str, ...], code: int, part: str) -> None:
    said = say(rig.config, "ping", *words)
    assert said.returncode == code
    assert part in said.stderr
    assert said.stderr.count("\n") == 1
    assert "\x1b" not in said.stderr
    assert said.stdout == ""


def test_without_an_engine_a_ping_is_lost_and_says_so(tmp_path: Path) -> None:
    said = say(tmp_path / "watchfloor.toml", "ping", "backup", "ok")
    assert said.returncode == 6
    assert said.stderr == "no engine is running here; start one with: watchfloor engine run; the ping is lost\n"


def test_cron_need_not_wait_for_a_ping(rig: Rig) -> None:
    """Less than 150 ms of processor time at its best: nothing heavy is imported, nothing is waited for."""
    best = 9.0
    for _ in range(5):
        before = os.times()
        began = time.monotonic()
        assert say(rig.config, "ping", "-q", "backup", "log").returncode == 0
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, used, time.monotonic() - began)
    assert best < 0.15


def test_waive_from_the_command_line(rig: Rig) -> None:
    reader = rig.reader()
    (key,) = until(
        lambda: [o.key for o in reader.owed_of("local:load") if o.promise == "load-ready" and not o.settled][:1]
    )
    said = say(rig.config, "waive", key)
    assert (said.returncode, said.stderr) == (2, 'a waiver needs a reason: --reason "why it is not owed"\n')
    said = say(rig.config, "waive", key, "--reason", "no file today", "--until", "soon")
    assert said.returncode == 2
    assert said.stderr.startswith("--until: expected")
    said = say(rig.config, "waive", key, "--reason", "no file today", "--until", "2h")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("waived by ")
    row = reader.owed_one(key)
    assert row is not None
    assert row.state.name == "WAIVED"
    assert row.reason.endswith("no file today")
    said = say(rig.config, "waive", key, "--reason", "once more")
    assert said.returncode == 3
    assert "is waived already by" in said.stderr
    said = say(rig.config, "waive", "local:load", "--undo")
    assert said.returncode == 0, said.stderr
    assert "owed again: local:load" in said.stdout
    row = reader.owed_one(key)
    assert row is not None
    assert row.state.name != "WAIVED"
    assert say(rig.config, "waive", "local:nothing", "--reason", "x").returncode == 2
    assert say(rig.config, "audit", "verify").returncode == 0


def test_a_feed_arrives_and_its_margin_is_measured_and_a_run_is_verified(rig: Rig) -> None:
    reader = rig.reader()
    today = time.strftime("%Y%m%d")
    (rig.folder / "in").mkdir()
    file = rig.folder / "in" / f"sales_{today}.csv"
    file.write_text("1")
    past = time.time() - 600
    os.utime(file, (past, past))
    feed = until(lambda: [f for f in reader.feeds() if f.arrived])[0]
    assert (feed.name, feed.what, feed.error) == ("sales", str(file), None)
    with rig.ask() as ask:
        plan = ask("plan", verb="start", key="local:load", business_date=f"{today[:4]}-{today[4:6]}-{today[6:]}")
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a test of checks", typed="")
    run: Any = until(lambda: [r for r in rig.runs() if r.state.name == "SUCCESS"])[0]

    def checks() -> dict[str, tuple[int, str]]:
        return {c.name: (c.state, c.words) for c in reader.checks(run.key)}

    until(lambda: checks().get("rows", (0,))[0] == 1 and checks()["file"][0] == 1)
    assert checks()["approved"] == (0, "waits for: watchfloor ping approved ok")
    assert reader.unverified()
    assert say(rig.config, "ping", "approved", "ok").stdout == "approved: ok is noted\n"
    until(lambda: checks()["approved"][0] == 1)
    assert not reader.unverified()
    (margin,) = until(lambda: reader.feeds()[0].margins)
    assert margin.run_key == run.key
    assert margin.ms > 0


def test_a_sign_off_through_the_socket(rig: Rig) -> None:
    with rig.ask() as ask:
        reply = ask("signoff", since=int(time.time() * 1000) - 86_400_000, well=True, lines=[{"what": "all well"}])
    row = rig.reader().signoff()
    assert row is not None
    assert row.id == reply["signoff"]
    assert json.loads(row.body) == {"lines": [{"what": "all well"}]}
