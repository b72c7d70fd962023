"""docs/how-to: each sample goes into a configuration, each command is one that there is, and those that need no orchestrator are run.

A block of commands under ``<!-- given: running -->`` is run for real on an engine with a job of its own, which is brought into
that state first (idle, running, failed, alert). ``RUN`` stands for its newest run, ``7K2F`` for its alert.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from adapters.model import State
from engine.config.load import load
from engine.store.reader import Reader
from tui import keymap
from tui.cli import parser

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
BASE = """
timezone = "Europe/Paris"

[[source]]
name = "prod-airflow"
kind = "airflow"
url = "https://airflow.example.com"
environment = "prod"
auth = { user = "ops", password = { env = "AIRFLOW_PASSWORD" } }
"""


def commands(block: str) -> list[str]:
    """Each of our commands, without comment and without what stands before and after it."""
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|\||\|", line)]
    found = [re.sub(r"^[\d* ]+(?=watchfloor)", "", part) for part in parts]
    return [part for part in found if part.startswith("watchfloor")]


def blocks(page: Path, language: str) -> list[str]:
    text = re.sub(r"^ {3}", "", page.read_text("utf-8"), flags=re.M)
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_pages_are_there_and_each_is_linked_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert len(PAGES) > 20
    for page in PAGES:
        assert f"(how-to/{page.name})" in index, page.name


ALL = [pytest.param(c, id=f"{p.stem}: {c[:60]}") for p in PAGES for b in blocks(p, "sh") for c in commands(b)]


@pytest.mark.parametrize("command", ALL)
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(command)
    named = next((w for w in words[1:] if not w.startswith("-")), None)
    assert parser().parse_args(words[1:]).command == named


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=lambda p: p.stem)
def test_the_samples_of_a_page_go_together(tmp_path: Path, page: Path) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(BASE + "\n".join(blocks(page, "toml")))
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    keymap.Keymap().remapped(config.keys)  # raises where a key is taken


def test_the_page_on_logs_names_each_key_of_the_log() -> None:
    text = (ROOT / "docs" / "how-to" / "find-the-error.md").read_text("utf-8")
    named = set(re.findall(r"`([^`]+)`", text))
    for action in keymap.ACTIONS:
        if "log" in action.contexts and action.id.startswith(("log.", "view.", "copy.")):
            assert keymap.shown(action.keys[0]) in named, action.id


# what a page calls a verb, and the actions of the keymap behind it
VERBS = {
    "start": ["pipeline.start"], "pause": ["pipeline.pause"], "hold": ["run.hold"], "stop": ["run.stop"], "mark": ["run.mark"],
    "rerun": ["run.rerun", "run.rerun_failed", "run.rerun_from"], "backfill": ["pipeline.backfill", "operation.pause", "operation.cancel"],
    "many-at-once": ["list.mark", "list.mark_range", "list.unmark"], "acknowledge": ["alert.ack"], "waive": ["owed.waive"],
    "morning": ["screen.morning", "morning.answer", "morning.sign"], "arm": ["action.arm"], "limits-and-capacity": ["screen.hosts"],
    "cards-links-views": ["app.card", "link.menu", "list.views", "app.palette"], "make-it-yours": ["app.theme", "app.help", "app.plain"],
    "bad-days": ["app.refresh", "screen.sources", "screen.actions"],
}  # fmt: skip


@pytest.mark.parametrize("page", VERBS)
def test_a_page_names_the_key_that_the_program_has(page: str) -> None:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    named = {word for code in re.findall(r"`([^`\n]+)`", text) for word in (code, *code.split())}
    for action in VERBS[page]:
        key = keymap.shown(next(a for a in keymap.ACTIONS if a.id == action).keys[0])
        assert key in named, f"{action} is {key}"


# --- run ------------------------------------------------------------------------------------------------------------

CONFIG = """
timezone = "Europe/Paris"

[[source]]
name = "local"
kind = "local"
environment = "local"
protected = false
poll = "1s"

[[job]]
name = "nightly_export"
schedule = "30 2,14 * * *"  # something is owed within a day at any hour at which the tests run

[[job.step]]
name = "extract"
run = ["sh", "-c", "echo extracted"]

[[job.step]]
name = "load"
run = ["sh", "-c", "echo loading; while [ -e running ]; do sleep 0.1; done; if [ -e failing ]; then echo 'ERROR no such table' >&2; exit 1; fi; echo loaded"]

[[job]]
name = "nightly_report"
schedule = "0 4 * * *"

[[job.step]]
name = "report"
run = ["true"]

[[expectation]]
id = "export-ready"
on = "local:nightly_export"
type = "finish_by"
due_after_schedule = "2h"
"""
KEY = "local:nightly_export"
AWAY = {"running", "failing"}
GIVEN = [
    pytest.param(state, block, id=f"{page.stem}: {commands(block)[0][11:60]}")
    for page in PAGES
    for state, block in re.findall(r"<!-- given: (\w+) -->\n```sh\n(.*?)```", page.read_text("utf-8"), re.S)
]


class Place:
    """A configuration, its engine, and the commands of a person."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config" / "watchfloor"
        self.config.mkdir(parents=True)
        (self.config / "watchfloor.toml").write_text(CONFIG)
        self.env = {
            **os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip
        self._engine = subprocess.Popen(
            [sys.executable, "-P", "-m", "tui.cli", "engine", "run"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        self.store = folder / "state" / "watchfloor" / "floor.db"
        try:
            self.until(self._stands)
        except BaseException:
            self.close()
            raise

    def _stands(self) -> bool:
        """Whether the engine has read its jobs."""
        return (
            self.store.exists()
            and self.do("engine", "status").returncode == 0
            and self.ask(lambda r: len(r.floor())) == 2
        )

    def do(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "tui.cli", *words], check=False, env=self.env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )  # fmt: skip

    def until(self, true: Callable[[], bool], patience_s: float = 30) -> None:
        end = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < end
            time.sleep(0.1)

    def ask(self, question: Callable[[Reader], T]) -> T:
        reader = Reader(self.store)
        try:
            return question(reader)
        finally:
            reader.close()

    def newest(self) -> tuple[str, State | None]:
        """Key and state of the newest run of the job."""
        runs = self.ask(lambda reader: reader.runs(limit=1, pipeline_key=KEY))
        return (runs[0].key, runs[0].state) if runs else ("", None)

    def alerts(self) -> list[str]:
        """Short ids of what is open about the job."""
        return self.ask(lambda reader: [a.id for a in reader.alerts() if a.key.startswith(KEY)])

    def bring(self, state: str) -> None:
        """The job into a state: nothing under way, a run at work, or one that failed."""
        for name in AWAY:
            (self.config / name).unlink(missing_ok=True)
        self.until(lambda: self.newest()[1] is None or self.newest()[1].terminal)
        if state == "idle":
            return
        (self.config / {"running": "running", "failed": "failing", "alert": "failing"}[state]).touch()
        done = self.do("act", "start", KEY)
        assert done.returncode == 0, done.stderr
        self.until(lambda: self.newest()[1] is (State.RUNNING if state == "running" else State.FAILED))
        if state == "alert":
            self.until(lambda: bool(self.alerts()))
        (self.config / "failing").unlink(missing_ok=True)

    def close(self) -> None:
        for name in AWAY:
            (self.config / name).unlink(missing_ok=True)
        self.do("engine", "stop")
        self._engine.wait(20)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("how-to"))
    yield made
    made.close()


@pytest.mark.parametrize(("state", "block"), GIVEN)
def test_the_commands_of_a_page_do_what_it_says(place: Place, state: str, block: str) -> None:
    place.bring(state)
    for command in commands(block):
        if "RUN" in command:
            command = command.replace(f"{KEY}/RUN", place.newest()[0])
        if "7K2F" in command:
            command = command.replace("7K2F", place.alerts()[0])
        words = shlex.split(command)[1:]
        done = place.do(*words)
        fine = (0, 1, 7) if words[:1] == ["morning"] else (0,)
        assert done.returncode in fine, f"{command}\n{done.stdout}{done.stderr}"
        if words[0] == "act":
            assert "done" in done.stdout
        if words[0] == "logs":
            assert "no such table" in done.stdout
        if words[:2] in (["act", "hold"], ["act", "pause"]):
            assert done.stdout.rstrip() != ""


def test_a_failed_run_is_run_again_and_its_alert_ends(place: Place) -> None:
    place.bring("alert")
    done = place.do("act", "rerun-failed", KEY, "--reason", "table repaired", "--yes")
    assert done.returncode == 0, done.stderr
    place.until(lambda: not place.alerts())
    assert "nightly_export" in place.do("show", "actions").stdout
