"""Marks and backfills from the command line against a server like Airflow's, and the record of them, end to end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.request import EXIT_BAD_INPUT, EXIT_OK, EXIT_REFUSED
from tests.engine.rig import Rig, until
from tests.engine.test_command_line import Said
from tests.servers.airflow_like import AirflowLike
from tui.cli import main

WHY = "the file came late, loaded by hand \x1b[31mnow\x1b[0m [bold]so[/]"
SECRET = "hunter2-and-more-of-it"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("deeds")
    with AirflowLike(password=SECRET) as server:
        server.add_dag("daily", tasks=("only", "last"))
        server.add_run("daily", "r1", state="failed", run_type="manual", failed_at="last")
        (folder / "secret").write_text(server.password)
        (folder / "secret").chmod(0o600)
        source = f"""
[[source]]
name = "af"
kind = "airflow"
url = "{server.url}"
environment = "test"
protected = false
poll = "5s"
requests = "600/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
"""
        with Rig(folder, source) as found:
            found.ready()
            until(lambda: found.reader().run("af:daily/r1"))
            yield found


@pytest.fixture
def say(rig: Rig, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(rig.folder))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def run(*argv: str) -> Said:
        capfd.readouterr()
        try:
            code = main(["--config", str(rig.config), *argv])
        except SystemExit as left:
            code = int(left.code or 0)
        got = capfd.readouterr()
        assert "Traceback" not in got.out + got.err
        assert SECRET not in got.out + got.err
        return Said(code, got.out, got.err)

    return run


def data(said: Said) -> Any:
    assert said.code == EXIT_OK, said.err
    return json.loads(said.out)["data"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mark", "af:daily/r1"], "mark needs --as success or --as failed"),
        (["mark", "af:daily/r1", "--param", "as=done"], "not 'done'"),
        (["mark", "af:daily/r1", "--as", "failed", "--param", "as=success"], "differ: give one"),
        (["backfill", "af:daily", "--to", "2026-11-04"], "backfill needs --from: a date like 2026-11-01"),
        (["backfill", "af:daily", "--from", "11/04", "--to", "2026-11-04"], "--from '11/04' is not a date"),
        (["backfill", "af:daily", "--from", "2026-11-05", "--to", "2026-11-04"], "is before --from"),
        (["start", "af:daily", "--from", "2026-11-05"], "--from does not go with start: only with backfill"),
        (["stop", "af:daily", "--id", "7"], "only with backfill-pause, backfill-resume, backfill-cancel"),
        (["mrak", "af:daily/r1"], "did you mean 'mark'"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_asked(say: Any, argv: list[str], words: str) -> None:
    for command in ("plan", "act"):
        said = say(command, *argv)
        assert said.code == EXIT_BAD_INPUT
        assert words in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""


def test_a_backfill_is_planned_with_its_dates_and_nothing_is_sent(say: Any) -> None:
    said = say("plan", "backfill", "af:daily", "--from", "2026-01-05", "--to", "2026-01-07", "--param", "max_active=2")
    assert said.code == EXIT_OK
    for words in ("3 runs of daily from 2026-01-05 to 2026-01-07", "2026-01-05 to 2026-01-07", "2 at a time", "POST"):
        assert words in said.out, words
    assert data(say("show", "actions", "--format", "json"))["done"] == []


def test_what_the_source_refuses_is_said(say: Any) -> None:
    said = say("plan", "backfill", "af:daily", "--from", "2126-01-05", "--to", "2126-01-07")
    assert said.code == EXIT_REFUSED
    assert "nothing to do" in said.out


def test_a_mark_a_backfill_and_its_end_are_done_and_kept(rig: Rig, say: Any) -> None:
    """One story: what was done stands in the list, in the audit, with before and after, and without a secret."""
    done = say("act", "mark", "af:daily/r1#last", "--as", "success", "--reason", WHY, "--yes", "--format", "json")
    mark = data(done)["id"]
    said = say("act", "backfill", "af:daily", "--from", "2026-01-05", "--to", "2026-01-09", "--param", "max_active=1", "--reason", "five days were lost", "--yes")  # fmt: skip
    assert said.code == EXIT_OK, said.err
    operation = until(lambda: rig.reader().operations(active_only=True))[0]
    assert (operation.first, operation.last, operation.planned) == ("2026-01-05", "2026-01-09", 5)
    said = say(
        "act", "backfill-pause", "af:daily", "--id", operation.id, "--reason", "let the nightly run pass", "--yes"
    )
    assert said.code == EXIT_OK, said.err
    said = say("act", "backfill-cancel", "af:daily", "--id", operation.id, "--reason", "the dates were the wrong ones", "--yes")  # fmt: skip
    assert said.code == EXIT_OK, said.err

    listed = data(say("show", "actions", "--format", "json"))
    assert [(a["verb"], a["state"]) for a in listed["done"]] == [
        ("backfill-cancel", "done"), ("backfill-pause", "done"), ("backfill", "done"), ("mark", "done"),
    ]  # fmt: skip
    whole = data(say("show", "actions", mark, "--format", "json"))
    assert (whole["before"]["step_state"], whole["after"]["step_state"]) == ("failed", "success")
    assert whole["before"]["word"] == "failed"
    assert whole["calls"][0]["method"] == "PATCH"
    assert [r["event"] for r in whole["audit"]] == ["intent", "verifying", "done"]
    pause = next(a["id"] for a in listed["done"] if a["verb"] == "backfill-pause")
    whole = data(say("show", "actions", pause, "--format", "json"))
    assert "paused" in whole["after"]["operation"]

    text = say("show", "actions", mark, "--width", "120", "--height", "40").out
    for words in ("✓ done", "→ success", "the file came late", "mark", "daily r1 last"):
        assert words in text, words
    assert "\x1b" not in text
    rows = list(csv.DictReader(io.StringIO(say("show", "actions", "--filter", "verb:mark", "--format", "csv").out)))
    assert [r["id"] for r in rows] == [mark]

    assert say("audit", "verify").code == EXIT_OK
    for shown in (
        say("audit", "export"),
        say("show", "actions", "audit", "--format", "json"),
        say("show", "actions", "audit"),
    ):
        assert "intent" in shown.out
        assert "\x1b" not in shown.out


def test_notes_silences_and_reloads_stand_in_the_audit_with_who(say: Any) -> None:
    assert say("note", "af:daily", "file promised for 06:20").code == EXIT_OK
    assert say("silence", "af:*", "--until", "1h", "--reason", "known, the node is resized").code == EXIT_OK
    assert say("silence", "af:*", "--until", "900h", "--reason", "what is refused is not done").code != EXIT_OK
    assert say("engine", "reload").code == EXIT_OK
    records = data(
        say("show", "actions", "audit", "--format", "json", "--filter", "state:note state:reloaded state:silenced")
    )
    assert [r["event"] for r in records] == ["reloaded", "silenced", "note"]
    assert records[1]["body"]["reason"] == "known, the node is resized"
    assert records[2]["body"]["words"] == "file promised for 06:20"
    assert records[2]["body"]["identity"]["uid"] == records[2]["uid"]


def test_a_filter_that_cannot_be_meant_is_a_sentence(say: Any) -> None:
    said = say("show", "actions", "--filter", "whom:ana")
    assert said.code == EXIT_BAD_INPUT
    assert "did you mean who:" in said.err


def test_nothing_secret_lies_in_the_store(rig: Rig, say: Any) -> None:
    say("audit", "verify")
    for path in (Path(rig.place.store), Path(f"{rig.place.store}-wal"), rig.place.audit):
        if path.exists():
            assert SECRET.encode() not in path.read_bytes(), path
