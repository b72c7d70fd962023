"""The command line as a person or a script at night uses it: every mistake one sentence and its exit code, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config.load import ConfigError
from engine.config.paths import places
from engine.config.seen import load_or_empty
from engine.request import EXIT_BAD_INPUT, EXIT_BLIND, EXIT_NO_ENGINE, EXIT_NOT_WELL, EXIT_OK, EXIT_REFUSED, decode
from tests.engine.rig import Rig, until
from tests.servers.airflow_like import AirflowLike
from tui.cli import main

JOBS = """
[[job]]
name = "fails"
[[job.step]]
name = "first"
run = ["sh", "-c", "echo first is fine"]
[[job.step]]
name = "second"
run = ["sh", "-c", "echo ERROR: no rows; exit 1"]
[[job]]
name = "waits"
[[job.step]]
name = "only"
run = ["sh", "-c", "echo begun; until [ -e go ]; do sleep 0.05; done; echo ended"]
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("line")
    with AirflowLike() as server:
        server.add_dag("daily", tasks=("only",))
        server.add_run("daily", "r1", state="running")
        (folder / "secret").write_text(server.password)
        (folder / "secret").chmod(0o600)
        source = f"""
[[source]]
name = "af"
kind = "airflow"
url = "{server.url}"
environment = "prod"
poll = "5s"
requests = "600/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
"""
        with Rig(folder, source + JOBS) as found:
            found.ready()
            until(lambda: found.reader().run("af:daily/r1"))
            yield found


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def say(rig: Rig, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(rig.folder))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def run(*argv: str, config: Path | None = None) -> Said:
        capfd.readouterr()
        try:
            code = main(["--config", str(config or rig.config), *argv])
        except SystemExit as left:
            code = int(left.code or 0)
        got = capfd.readouterr()
        assert "Traceback" not in got.out + got.err
        return Said(code, got.out, got.err)

    return run


@pytest.fixture
def failed(rig: Rig, say: Any) -> str:
    assert say("act", "start", "local:fails").code == EXIT_OK
    return until(
        lambda: next((r.key for r in rig.reader().runs(limit=20) if r.name == "fails" and r.state.terminal), "")
    )


def test_a_file_named_before_the_verb_is_the_file(say: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    assert str(other) in say("check", config=other).err
    other.write_text('timezone = "UTC"\nzone = 1\n')
    said = say("check", config=other)
    assert said.code == EXIT_BAD_INPUT
    assert f"{other}:2: zone" in said.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["show", "floor", "--fail-on", "faild"], "'faild' is no state"),
        (["show", "floor", "--fail-on", ","], "names no state"),
        (["show", "help", "--fail-on", "failed"], "has none"),
        (["show", "floor", "--filter", "stat:failed"], "did you mean state:"),
        (["show", "runs", "--filter", "state:faild"], "did you mean failed"),
        (["show", "help", "--filter", "x"], "has no filter"),
        (["show", "floor", "--limit", "0"], "expected 1 or more"),
        (["show", "run", "nope"], "is not a key"),
        (["show", "run", "local:fails/none"], "no run 'local:fails/none' is known"),
        (["show", "nonsense"], "no screen 'nonsense'"),
        (["logs", "local:fails/none"], "no run 'local:fails/none' is known"),
        (["plan", "stop", "af:d\udcff"], "is not UTF-8 text"),
        (["ack", "ABCD", "--until", "banana"], "--until: expected a duration"),
        (["silence", "local:*", "--until", "soon", "--reason", "long enough a reason"], "--until: expected a duration"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(say: Any, argv: list[str], words: str) -> None:
    said = say(*argv)
    assert said.code == EXIT_BAD_INPUT
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_step_or_log_that_is_not_there_names_those_that_are(say: Any, failed: str) -> None:
    for argv in (["show", "log", f"{failed}#third"], ["logs", f"{failed}#third"]):
        said = say(*argv)
        assert said.code == EXIT_BAD_INPUT
        assert "no step 'third'; it has first, second" in said.err


def test_logs_fetches_what_nobody_looked_at_and_shows_what_failed(say: Any, failed: str) -> None:
    assert say("logs", failed).out == "ERROR: no rows\n"
    assert say("logs", f"{failed}#first").out == "first is fine\n"


def test_a_log_that_was_removed_is_a_sentence(rig: Rig, say: Any, failed: str) -> None:
    say("logs", failed)
    for log in until(lambda: rig.reader().run(failed).logs):  # type: ignore[union-attr]
        Path(log.path).unlink(missing_ok=True)
    said = say("logs", failed)
    assert said.code != EXIT_OK
    assert "cannot be read" in said.err


def test_logs_follows_a_run_to_its_end(rig: Rig, say: Any) -> None:
    say("act", "start", "local:waits")
    run = until(lambda: next((r.key for r in rig.reader().runs(limit=20) if r.name == "waits"), ""))
    end = threading.Timer(1.0, (rig.folder / "go").touch)
    end.start()
    said = say("logs", run, "--follow")
    end.join()
    assert (said.code, said.out) == (EXIT_OK, "begun\nended\n")


def test_open_alerts_are_not_well_in_json_too(rig: Rig, say: Any, failed: str) -> None:
    until(lambda: rig.reader().alerts())
    said = say("alerts", "--fail", "--format", "json")
    assert said.code == EXIT_NOT_WELL
    assert json.loads(said.out)["data"][0]["key"] == "local:fails"


def test_a_refused_act_in_json_is_json_and_says_what_to_add(say: Any) -> None:
    said = say("act", "stop", "af:daily", "--format", "json", "--reason", "long enough a reason")
    assert said.code == EXIT_REFUSED
    assert json.loads(said.out)["data"]["verb"] == "stop"
    assert said.err.strip().endswith("add --arm --confirm prod/daily")
    said = say("act", "stop", "af:daily", "--reason", "long enough a reason", "--confirm", "prod/daily")
    assert said.code == EXIT_REFUSED
    assert "--arm does it" in said.err


def test_fail_on_does_not_call_it_fine_where_nobody_watches(tmp_path: Path, say: Any) -> None:
    with Rig(tmp_path, JOBS) as lone:
        lone.ready()
        until(lambda: say("show", "floor", "--fail-on", "failed", config=lone.config).code == EXIT_OK)
        assert say("engine", "stop", config=lone.config).code == EXIT_OK
        said = say("show", "floor", "--fail-on", "failed", config=lone.config)
        assert said.code == EXIT_BLIND
        assert "could not judge" in said.err
        assert say("logs", "local:fails/x", config=lone.config).code == EXIT_BAD_INPUT
        assert say("plan", "start", "local:fails", config=lone.config).code == EXIT_NO_ENGINE


def test_limit_holds_for_the_lists_inside_an_object(say: Any) -> None:
    assert len(json.loads(say("show", "floor", "--format", "json", "--limit", "1").out)["data"]["pipelines"]) == 1


def test_init_leaves_a_link_alone_and_says_where_it_cannot_write(tmp_path: Path, say: Any) -> None:
    link = tmp_path / "loop.toml"
    link.symlink_to(link.name)
    assert say("init", config=link).code == EXIT_BAD_INPUT
    said = say("init", config=Path("/proc/none/x.toml"))
    assert said.code == EXIT_BAD_INPUT
    assert "/proc/none" in said.err


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"do": ["plan"]}', b'{"do": "note", "text": "\\ud800"}', b"\xff", b"3"]
)
def test_a_line_that_nobody_can_mean_is_refused_before_it_is_handled(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


def test_the_engine_of_another_file_is_not_asked(rig: Rig, say: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'[store]\npath = "{rig.place.store}"\n')
    for argv in (
        ["plan", "start", "local:fails"],
        ["act", "start", "local:fails"],
        ["engine", "stop"],
        ["note", "local:fails", "x"],
    ):
        said = say(*argv, config=other)
        assert said.code == EXIT_NO_ENGINE
        assert f"runs on {rig.config}, not on {other}" in said.err
    assert say("engine", "status").code == EXIT_OK


def test_a_pipe_as_configuration_is_refused_and_not_waited_for(say: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for argv in (["check"], ["doctor"], ["engine", "run"]):
        said = say(*argv, config=pipe)
        assert said.code == EXIT_BAD_INPUT
        assert "expected a file, got a pipe" in said.err
    assert say("locate", config=pipe).code == EXIT_OK


@pytest.mark.parametrize("store", ["folder", "letter.txt"])
def test_doctor_is_not_well_where_the_store_cannot_be_one(say: Any, tmp_path: Path, store: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "letter.txt").write_text("this is a letter, not a database")
    config = tmp_path / "watchfloor.toml"
    config.write_text(f'[store]\npath = "{store}"\n')
    said = say("doctor", config=config)
    assert said.code == EXIT_NOT_WELL
    assert f"✗ store: {tmp_path / store} is" in said.out


def test_a_home_that_is_not_there_is_a_sentence(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    assert main(["demo"]) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert said.startswith("/proc/none")
    assert said.count("\n") == 1


def test_a_note_is_on_something_that_is_known_and_harmless(rig: Rig, say: Any) -> None:
    assert say("note", "local:fails", "file \x1b[31mpromised\x1b[0m for 06:20").code == EXIT_OK
    for key in ("local:none", "zz", "none:fails"):
        said = say("note", key, "hello")
        assert said.code == EXIT_BAD_INPUT
        assert said.err.count("\n") == 1
    with sqlite3.connect(f"file:{rig.place.store}?mode=ro", uri=True) as db:
        assert [text for (text,) in db.execute("SELECT text FROM note")] == ["file  [31mpromised [0m for 06:20"]


def test_an_engine_whose_store_was_removed_ends_and_says_why(tmp_path: Path) -> None:
    with Rig(tmp_path, JOBS) as lone:
        lone.ready()
        shutil.rmtree(lone.place.store.parent)
        assert lone.process is not None
        assert lone.process.wait(10) == EXIT_OK
        assert "was removed or replaced under it" in lone.log.read_text()


def test_a_link_to_nowhere_is_no_fresh_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "cfg"))
    place = places(None)
    assert load_or_empty(place, system=False).sources == ()
    place.config.parent.mkdir(parents=True)
    place.config.symlink_to(tmp_path / "unmounted" / "watchfloor.toml")
    with pytest.raises(ConfigError):
        load_or_empty(place, system=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[ui]\ntheme = "drak"\n', "drak"),
        ('[keys]\n"run.stp" = "x"\n', "run.stop"),
        ('[keys]\n"run.stop" = "j"\n', "j"),
    ],
)
def test_check_knows_themes_and_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    config = tmp_path / "watchfloor.toml"
    config.write_text(text)
    assert main(["check", "--config", str(config)]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert "fine" not in said.out


def test_check_counts_one_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "watchfloor.toml"
    config.write_text('[[source]]\nname = "in"\nkind = "files"\n')
    assert main(["check", "--config", str(config)]) == 0
    assert "1 source, 0 jobs, 0 contacts, 0 expectations: fine" in capsys.readouterr().out


def test_settle_refuses_what_is_not_unknown(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["settle", "01NONE", "done", "--reason", "looked at the server", "--config", str(rig.config)]) != EXIT_OK
    )
    assert "01NONE" in capsys.readouterr().err
