"""Commands: run once an ask, without a shell, within their limits."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from adapters.base import Secret
from adapters.errors import AuthFailed
from adapters.extras import SeriesQuery
from adapters.probes.command import CommandAdapter
from tests.probes.worlds import ask, command, value, values

PYTHON = [sys.executable, "-I", "-c"]


def python(code: str, *args: str) -> list[str]:
    return [*PYTHON, code, *args]


async def test_each_kind_of_query_has_its_value(tmp_path: Path) -> None:
    adapter = command(
        tmp_path,
        {
            "rows": ["echo", "1,234"],
            "json": ["echo", '{"rows": 7, "when": "2026-11-20", "t": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]}'],
            "text": ["printf", "loaded 5 rows\\nloaded 6 rows\\n"],
            "three": python("raise SystemExit(3)"),
        },
    )
    assert await value(adapter, "rows", unit="rows") == 1234.0
    assert await value(adapter, "json .rows") == 7.0
    assert await value(adapter, "json .when", unit="date") == 1_795_132_800_000.0
    assert await values(adapter, "json .t[].v by .n") == {"{n=a}": 1.0, "{n=b}": 2.0}
    assert await value(adapter, r"text /loaded (\d+) rows/") == 6.0
    assert await value(adapter, "three exit") == 3.0
    assert await value(adapter, "rows exit") == 0.0


async def test_it_is_run_once_an_ask_and_only_what_is_asked_for(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); print(5)"
    adapter = command(tmp_path, {n: python(script, str(ran), n) for n in "ab"})
    found = await ask(adapter, "a", "a exit", "a .", r"a /(\d)/")
    assert [s.value for s in found.samples] == [5.0, 0.0, 5.0, 5.0]
    assert ran.read_text() == "a"
    await ask(adapter, "b")
    await ask(adapter)
    assert ran.read_text() == "ab"
    assert adapter.spent == (2, 4)


async def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    adapter = command(tmp_path, {"echo": ["echo", "$HOME", ";", "touch", "x"]})
    said = str(await value(adapter, "echo"))
    assert '"$HOME ; touch x" is no number' in said
    assert not (tmp_path / "x").exists()


async def test_it_sees_a_base_of_variables_and_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_SECRET", "not for it")
    code = "import json, os; print(json.dumps({k: len(v) for k, v in os.environ.items()}))"
    adapter = command(
        tmp_path, {"env": python(code)}, auth={"PGPASSWORD": Secret(lambda: "s3cret-pass", "env:X")},
        options={"env": {"MODE": "xy", "TOKEN": Secret(lambda: "abcd", "env:Y")}},
    )  # fmt: skip
    assert await value(adapter, "env .PGPASSWORD") == 11.0
    assert await value(adapter, "env .MODE") == 2.0
    assert await value(adapter, "env .TOKEN") == 4.0
    assert "there is no .ENGINE_SECRET" in str(await value(adapter, "env .ENGINE_SECRET"))


async def test_a_command_that_fails_says_why_without_its_secrets(tmp_path: Path) -> None:
    code = "import os, sys; print('{\"rows\": 1}'); sys.exit('cannot log in with ' + os.environ['PW'] + ' \\x1b[31m')"
    adapter = command(tmp_path, {"bad": python(code), "dies": python("import os; os.kill(os.getpid(), 9)")},
                      auth={"PW": Secret(lambda: "s3cret-pass", "env:X")})  # fmt: skip
    found = await ask(adapter, "bad .rows", "bad exit", "dies", "dies exit")
    assert found.failed["bad .rows"] == "exit 1: cannot log in with ****"
    assert found.failed["dies"] == "killed by SIGKILL"
    assert {s.series: s.value for s in found.samples} == {"bad exit": 1.0, "dies exit": 137.0}


async def test_one_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(60)"
    adapter = command(tmp_path, {"hangs": python(code, str(child)), "good": ["echo", "1"]}, options={"timeout": 1})
    began = time.monotonic()
    found = await ask(adapter, "hangs", "hangs exit", "good")
    assert time.monotonic() - began < 8
    assert found.failed == {"hangs": "timed out after 1s", "hangs exit": "timed out after 1s"}
    assert [s.value for s in found.samples] == [1.0]
    deadline = time.monotonic() + 5
    while _lives(int(child.read_text())):
        assert time.monotonic() < deadline, "its child lives on"
        await asyncio.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_what_floods_or_cannot_start_or_says_nothing_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    adapter = command(
        tmp_path,
        {"flood": ["head", "-c", "3000000", "/dev/zero"], "gone": ["no-such-program"], "plain": ["./plain"], "empty": ["true"]},
    )  # fmt: skip
    found = await ask(adapter, "flood", "gone", "plain", "empty", r"empty /(\d)/", "empty .x", "unknown")
    assert not found.samples
    assert "more than 1 MB" in found.failed["flood"]
    assert "cannot be started" in found.failed["gone"]
    assert "cannot be started" in found.failed["plain"]
    assert "empty" in found.failed["empty"]
    assert "nothing in its output matches" in found.failed[r"empty /(\d)/"]
    assert "no command is called unknown" in found.failed["unknown"]
    probe = await adapter.probe()
    assert [w.partition(":")[0] for w in probe.warnings] == ["gone", "plain"]


async def test_a_secret_that_is_not_there_is_said_as_such(tmp_path: Path) -> None:
    def gone() -> str:
        raise OSError("no such file")

    adapter = command(tmp_path, {"a": ["echo", "1"]}, auth={"PW": Secret(gone, "file:/etc/pw")})
    for call in (adapter.probe(), ask(adapter, "a")):
        with pytest.raises(AuthFailed, match="/etc/pw"):
            await call


async def test_relative_programs_lie_beside_the_configuration(tmp_path: Path) -> None:
    script = tmp_path / "rows.sh"
    script.write_text("#!/bin/sh\npwd | wc -l\n")
    script.chmod(0o700)
    adapter = command(tmp_path, {"rows": ["./rows.sh"]})
    assert await value(adapter, "rows") == 1.0
    probe = await adapter.probe()
    assert (probe.warnings, probe.version) == ((), "1 command of this host")
    assert os.fspath(tmp_path) not in repr(adapter)


@pytest.mark.parametrize("text", ["", "-x", "a b", "a /(/", "a /x/", "a .x.", "a exit now", "a .l[].x"])
async def test_a_wrong_query_is_seen_beforehand_and_said_when_asked(tmp_path: Path, text: str) -> None:
    assert CommandAdapter.wrong_query(text)
    found = await command(tmp_path, {"a": ["echo", "1"]}).samples([SeriesQuery("n", text)])
    assert "cannot be read" in found.failed["n"]


@pytest.mark.parametrize(
    "options",
    [
        {"commands": {}}, {"commands": []}, {"commands": {"a": "echo 1"}}, {"commands": {"a": []}}, {"commands": {"a": [""]}},
        {"commands": {"a b": ["x"]}}, {"commands": {"a": ["x", 1]}}, {"timeout": 100}, {"env": []}, {"env": {"a-b": "x"}},
        {"env": {"A": 3}}, {"shell": True},
    ],
)  # fmt: skip
def test_wrong_options_are_one_sentence(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^options"):
        command(tmp_path, {"a": ["x"]}, options=options)
