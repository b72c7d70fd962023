"""The Log screen: it opens at the error, follows, searches, filters, jumps, copies; and says why there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import State, StepRun, Verb, step_key
from tests.tui.stores import MINUTE, SIZES, House, painted
from tui.screens.log import LogView
from tui.view import Copy, Say

KEY = "s:p/r"


class Logs:
    def __init__(self, folder: Path, state: State = State.FAILED) -> None:
        self.h = House(folder)
        self.h.engine()
        self.h.source("s", offers=frozenset({Verb.STOP, "steps", "log"}))
        self.h.pipeline("s", "p")
        took = MINUTE if state.terminal else None
        self.h.run("s", "p", "r", state, started_ago=2 * MINUTE, took=took)
        self.state = state
        self.path = folder / "step.log"

    def write(self, text: str | bytes, *, complete: bool = True, note: str | None = None) -> None:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.h.steps(
            KEY, [StepRun(run=KEY, step="load", native="x", state=self.state, started=self.h.now - MINUTE, order=0)]
        )
        self.h.log(KEY, "load", self.path, complete=complete, note=note)

    def view(self, arg: str | None = None) -> LogView:
        v = LogView(self.h.context(), arg or f"{step_key(KEY, 'load')} 1")
        v.load()
        return v


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    found = Logs(tmp_path)
    yield found
    found.h.close()


def lines(n: int, bad: tuple[int, ...] = ()) -> str:
    return "".join(
        f"2026-11-20T03:{i // 60:02}:{i % 60:02}Z {'ERROR boom' if i in bad else 'INFO row'} {i}\n" for i in range(n)
    )


def cursor_line(v: LogView, width: int = 120, height: int = 40) -> str:
    found = v.paint(width, height)
    for line in found:
        if any("on:cursor-bg" in style for _, style in line):
            return "".join(text for text, _ in line)
    raise AssertionError("no cursor")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_opens_at_the_first_error(logs: Logs, width: int, height: int) -> None:
    logs.write(lines(500, (300, 400)))
    v = logs.view()
    shown = painted(v, width, height)
    assert "boom 300" in cursor_line(v, width, height)
    assert shown[0].startswith(" Log ")
    assert "errors 2" in shown[2]
    assert "? help" in shown[-1]
    assert "301 of 500" in shown[-1]


def test_errors_are_walked_and_the_walk_goes_round(logs: Logs) -> None:
    logs.write(lines(500, (300, 400)))
    v = logs.view()
    painted(v, 120, 40)
    assert v.act("log.next_error") == ()
    assert "boom 400" in cursor_line(v)
    assert isinstance(v.act("log.next_error")[0], Say)
    assert "boom 300" in cursor_line(v)
    v.act("log.prev_error")
    assert "boom 400" in cursor_line(v)


def typed(v: LogView, action: str, text: str) -> object:
    v.act(action)
    for char in text:
        assert v.type(char) == ()
    return v.type("edit.enter")


def test_search_counts_and_marks(logs: Logs) -> None:
    logs.write(lines(200, (50,)))
    v = logs.view()
    painted(v, 120, 40)
    typed(v, "log.search", "row 17")
    shown = painted(v, 120, 40)
    assert "/row 17" in shown[2]
    assert "of 11" in shown[2]
    assert any("on:hit-bg" in style for line in v.paint(120, 40) for _, style in line)
    first = cursor_line(v)
    v.act("log.next")
    assert cursor_line(v) != first
    said = typed(v, "log.search", "nowhere")
    assert isinstance(said, list)
    assert isinstance(said[0], Say)


def test_keep_and_hide_and_escape_clears(logs: Logs) -> None:
    logs.write(lines(100, (50, 60)))
    v = logs.view()
    painted(v, 120, 40)
    typed(v, "log.keep", "boom")
    text = "\n".join(painted(v, 120, 40))
    assert "row" not in text
    assert "boom 60" in text
    assert "& boom hides 98" in text
    v.act("nav.back")
    typed(v, "log.drop", "row 1")
    text = "\n".join(painted(v, 120, 40))
    assert "row 11" not in text
    v.act("nav.back")
    assert "boom 50" in "\n".join(painted(v, 120, 40)) or "row" in "\n".join(painted(v, 120, 40))


def test_jump_to_a_time(logs: Logs) -> None:
    logs.write(lines(300))
    v = logs.view()
    painted(v, 120, 40)
    typed(v, "log.time", "03:02")
    assert "03:02:00" in cursor_line(v)
    said = typed(v, "log.time", "23:59")
    assert isinstance(said, list)
    assert "no line" in said[0].text


def test_following_stays_at_the_end_and_standing_still_counts_what_is_new(tmp_path: Path) -> None:
    logs = Logs(tmp_path, State.RUNNING)
    logs.write(lines(100), complete=False)
    v = logs.view()
    assert "following" in painted(v, 120, 40)[-1]
    with logs.path.open("a") as file:
        file.write("2026-11-20T04:00:00Z INFO brand new\n")
    assert "brand new" in "\n".join(painted(v, 120, 40))
    v.act("move.up")
    with logs.path.open("a") as file:
        file.write("2026-11-20T04:00:01Z INFO newer still\n" * 3)
    v.load()
    assert "3 new" in painted(v, 120, 40)[-1]
    v.act("log.follow")
    assert "newer still" in "\n".join(painted(v, 120, 40))
    logs.h.close()


def test_wrap_and_scroll_show_the_end_of_a_long_line(logs: Logs) -> None:
    logs.write("2026-11-20T03:00:00Z ERROR " + "x" * 10_000 + "END\n")
    v = logs.view()
    assert "END" not in "\n".join(painted(v, 120, 40))
    v.act("log.wrap")
    painted(v, 120, 40)
    v.act("log.wrap")
    for _ in range(600):
        v.act("log.right")
    assert "END" in "\n".join(painted(v, 120, 40)) or "ND" in "\n".join(painted(v, 120, 40))
    v.act("log.stamps")
    assert "03:00:00" not in "\n".join(painted(v, 120, 40))


def test_hostile_bytes_are_harmless(logs: Logs) -> None:
    logs.write(
        b"\x1b[2J\x1b]52;c;b3duZWQ=\x07 clear\n" + "日本語 wide\n".encode() + "\u202eright to left\n".encode()
        + b"\xff\xfe\x00 invalid\n" + b"[red]markup[/]\n" + b"y" * 200_000 + b"\nERROR at last\n"
    )  # fmt: skip
    for width, height in (*SIZES, (20, 5)):
        painted(logs.view(), width, height)


@pytest.mark.parametrize(
    ("state", "offers", "words"),
    [
        (State.SKIPPED, {"steps", "log"}, "did not run"),
        (State.QUEUED, {"steps", "log"}, "has not started"),
        (State.RUNNING, {"steps"}, "offers no logs"),
        (State.RUNNING, {"steps", "log"}, "the engine fetches it"),
    ],
)
def test_nothing_there_says_why(tmp_path: Path, state: State, offers: set[str], words: str) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s", offers=frozenset(offers))
    h.pipeline("s", "p")
    h.run("s", "p", "r", State.RUNNING, started_ago=MINUTE)
    h.steps(KEY, [StepRun(run=KEY, step="load", native="x", state=state, order=0)])
    v = LogView(h.context(), step_key(KEY, "load"))
    v.load()
    assert words in "\n".join(painted(v, 120, 40))
    h.close()


@pytest.mark.parametrize("arg", [None, "nonsense", "s:p/none", "s:p/r"])
def test_a_log_that_is_not_there_is_a_sentence(tmp_path: Path, arg: str | None) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    if arg == "s:p/r":
        h.run("s", "p", "r", State.RUNNING, started_ago=MINUTE)
    v = LogView(h.context(), arg)
    v.load()
    assert "Nothing to read" in "\n".join(painted(v, 80, 24))
    h.close()


def test_copy_a_line(logs: Logs) -> None:
    logs.write(lines(10, (4,)))
    v = logs.view()
    painted(v, 120, 40)
    v.act("copy.menu")
    copied = v.type("l")
    assert copied is not None
    assert isinstance(copied[0], Copy)
    assert "boom 4" in copied[0].text
