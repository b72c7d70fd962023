"""What reaches a real terminal, on a pty: few bytes, the newest truth, and a clean end on a bad day."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pty import Terminal

ROOT = Path(__file__).resolve().parents[2]
APP = [sys.executable, "-m", "tests.tui.demo_app"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    (tmp_path / "value").write_text("one")
    open_: list[Terminal] = []

    def _start(*args: str, cols: int = 120, rows: int = 40, wait: str | None = "value one", **more: object) -> Terminal:
        terminal = Terminal([*APP, str(tmp_path), *args], cols, rows, cwd=str(ROOT), **more)  # type: ignore[arg-type]
        open_.append(terminal)
        if wait is not None:
            terminal.wait_for(wait)
            terminal.settle()
        return terminal

    yield _start
    for terminal in open_:
        terminal.close()


def put(folder: Path, value: str) -> None:
    """A new value, as a store's commit: all of it or nothing."""
    (folder / "new").write_text(value)
    os.replace(folder / "new", folder / "value")


def test_a_change_of_one_row_costs_its_changed_cells(start: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = start()
    first = terminal.total
    terminal.mark()
    put(tmp_path, "two")
    terminal.wait_for("value two")
    terminal.settle()
    assert terminal.bytes_since_mark <= 60
    assert first <= 20_000


def test_nothing_is_sent_while_nothing_changes(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.mark()
    terminal.settle(quiet=1.5, timeout=2.5)
    assert terminal.bytes_since_mark == 0


def test_a_key_is_painted_at_once_and_costs_two_rows(start: Callable[..., Terminal]) -> None:
    terminal = start()
    times = []
    for _ in range(15):
        first, _, count = terminal.key_to_paint("j")
        assert count <= 400
        times.append(first)
        time.sleep(0.04)  # longer than a frame: each is a first key
    assert sorted(times)[len(times) // 2] < 0.012, "the frame timer of 16 to 33 ms must not be in the way"
    assert "cursor 15" in terminal.text()


def test_keys_that_come_quicker_than_frames_are_all_taken_and_painted_together(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.mark()
    terminal.write(b"j" * 300)
    terminal.wait_for("cursor 300 ")
    terminal.settle()
    assert terminal.bytes_since_mark < 100_000


def test_a_resize_paints_the_new_size(start: Callable[..., Terminal]) -> None:
    terminal = start()
    for cols, rows in ((80, 24), (200, 50), (20, 5), (10, 3), (1, 1), (120, 40)):
        terminal.resize(cols, rows)
        terminal.settle()
        lines = terminal.lines()
        assert len(lines) == rows
        if cols >= 20:
            assert "value one" in lines[1] or cols < 60
    assert "q quit" in terminal.lines()[-1]


@pytest.mark.parametrize(
    ("env", "expected", "unexpected"),
    [
        ({"THEME": "dark"}, rb"38;2;255;128;120", rb"38;5;\d"),
        ({"THEME": "light"}, rb"38;2;168;16;28", rb"38;2;255;128;120"),
        ({"COLORTERM": None}, rb"38;5;\d+", rb"38;2;\d+;\d+"),
        ({"COLORTERM": None, "TERM": "xterm"}, rb"\x1b\[(1;)?91m", rb"[34]8;[25];\d"),
        ({"NO_COLOR": "1"}, rb"\x1b\[[01;]*7m", rb"[34]8;[25];\d|\x1b\[[0-9;]*[349][1-7]m"),
    ],
)
def test_colours_are_the_themes_and_the_terminals(
    start: Callable[..., Terminal], env: dict[str, str | None], expected: bytes, unexpected: bytes
) -> None:
    raw = start(env=env).raw()
    assert re.search(expected, raw)
    assert not re.search(unexpected, raw)


def test_without_utf8_only_ascii_is_sent(start: Callable[..., Terminal]) -> None:
    terminal = start(env={"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert terminal.raw().isascii()
    assert "? failed" in terminal.text()


def test_hostile_text_is_harmless_and_columns_stay_straight(start: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = start("--title")
    put(tmp_path, "hostile")
    terminal.wait_for("value hostile")
    terminal.settle()
    raw = terminal.raw()
    assert b"owned\x07" not in raw
    assert b"\x1b[31m" not in raw
    assert b"\x9b" not in raw.replace("\u259b".encode(), b"")
    assert terminal.title == "watchfloor"
    assert "markup [bold red]not bold[/]" in terminal.text()
    lines = terminal.lines()
    assert "pipeline_000009          |" in lines[11]
    terminal.press("j")
    terminal.wait_for("cursor 1")
    assert terminal.lines()[11].index("|") == lines[11].index("|")


def test_a_terminal_that_does_not_read_gets_the_newest_and_not_the_past(
    start: Callable[..., Terminal], tmp_path: Path
) -> None:
    """performance.md, slow links: stock Textual blocks, then replays 182 KB of stale frames after 25 s without reading."""
    terminal = start()
    cpu = terminal.cpu()
    for number in range(200):  # nothing is read meanwhile; each value changes all rows
        put(tmp_path, "all" + "x" * (number % 40))
        time.sleep(0.015)
        terminal.press("j")
    put(tmp_path, "newest")
    time.sleep(0.3)
    assert terminal.cpu() - cpu < 3.0
    terminal.mark()
    terminal.wait_for("value newest")
    terminal.settle()
    assert terminal.bytes_since_mark <= 64 * 1024
    assert terminal.text().count("value newest") == 1


def test_slow_link_paints_keys_at_once_and_the_rest_seldom(start: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = start("--slow-link")
    put(tmp_path, "two")
    terminal.settle(quiet=0.6, timeout=1.0)
    assert "value one" in terminal.text()
    first, _, _ = terminal.key_to_paint("j")
    assert first < 0.2
    assert "value two" in terminal.text(), "what a key paints is the newest"


def test_a_sigcont_without_a_stop_only_paints_anew(start: Callable[..., Terminal]) -> None:
    """Stock Textual enters application mode a second time: two threads then read the keys."""
    terminal = start()
    before = len(list(Path(f"/proc/{terminal.pid}/task").iterdir()))
    terminal.mark()
    terminal.signal(signal.SIGCONT)
    terminal.settle(0.3, 2.0)
    assert terminal.bytes_since_mark > 1000, "whatever was written over us is painted over"
    assert terminal.raw().count(b"\x1b[?1049h") == 1
    assert len(list(Path(f"/proc/{terminal.pid}/task").iterdir())) == before
    terminal.press("j")
    terminal.wait_for("cursor 1 ")


@pytest.mark.parametrize("ignore", [False, True], ids=["default", "ignored"])
def test_a_terminal_that_goes_away_ends_the_program(start: Callable[..., Terminal], ignore: bool) -> None:
    """With SIGHUP ignored (nohup) stock Textual spun at 102 % of a core for ever."""
    terminal = start(ignore_hangup=ignore)
    cpu = terminal.cpu()
    terminal.hang_up()
    began = time.perf_counter()
    peak = cpu
    while time.perf_counter() - began < 3.0:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            terminal.exit_code = os.waitstatus_to_exitcode(status)
            break
        peak = terminal.cpu()
        time.sleep(0.02)
    assert terminal.exit_code == 128 + signal.SIGHUP
    assert peak - cpu < 1.8


def test_sigterm_ends_cleanly_and_gives_the_terminal_back(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.signal(signal.SIGTERM)
    assert terminal.wait(4.0) == 128 + signal.SIGTERM
    assert b"\x1b[?1049l" in terminal.raw()
    assert b"\x1b[?25h" in terminal.raw()


def test_sigterm_while_the_terminal_does_not_read(start: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = start(cols=200, rows=50)
    for number in range(40):
        put(tmp_path, "hostile" if number % 2 else "back")
        time.sleep(0.03)
    terminal.signal(signal.SIGTERM)
    began = time.perf_counter()
    while time.perf_counter() - began < 6.0:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            terminal.exit_code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.02)
    assert terminal.exit_code == 128 + signal.SIGTERM


@pytest.mark.parametrize(("fd", "name"), [(0, "standard input"), (2, "standard error")])
def test_a_closed_stream_is_one_sentence(tmp_path: Path, fd: int, name: str) -> None:
    with Terminal([*APP, str(tmp_path)], cwd=str(ROOT), close_fds=[fd]) as terminal:
        assert terminal.wait() == 2
        text = " ".join(terminal.text().split())
        assert text.startswith("watchfloor: the screen needs a terminal, but " + name)
        assert "Traceback" not in text


@pytest.mark.parametrize(("stream", "name"), [("stdin", "standard input"), ("stderr", "standard error")])
def test_a_stream_that_is_no_terminal_is_one_sentence(tmp_path: Path, stream: str, name: str) -> None:
    code = (
        "import os, pty, subprocess, sys; m, s = pty.openpty();"
        "p = {'stdin': s, 'stderr': s}; p[sys.argv[1]] = subprocess.PIPE;"
        "r = subprocess.Popen([sys.executable, '-m', 'tests.tui.demo_app', sys.argv[2]], stdout=subprocess.PIPE, **p);"
        "o, e = r.communicate(timeout=20); sys.stdout.buffer.write(o + (e or os.read(m, 4096))); sys.exit(r.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stream, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"needs a terminal, but {name} is not one" in done.stdout


def test_copy_goes_by_osc52_and_says_so(start: Callable[..., Terminal]) -> None:
    terminal = start(env={"TMUX": "/tmp/x,1,0"})
    terminal.press("l")
    terminal.wait_for("one line: 9 characters handed to the terminal's clipboard · in tmux this needs")
    assert b"\x1b]52;c;c29tZSB0ZXh0\x07" in terminal.raw()


def test_more_than_a_clipboard_takes_is_not_sent() -> None:
    from tui.terminal import COPY_LIMIT, TerminalApp

    said = TerminalApp.copy_osc52(object.__new__(TerminalApp), "x" * (COPY_LIMIT + 1), "a log")
    assert said == f"not copied: {COPY_LIMIT + 1:,} bytes, a terminal's clipboard takes {COPY_LIMIT:,} at most"


@pytest.mark.parametrize("hostile", ["a\x1b[201~\rrm -rf ~\r", "a\x00b", "a\x9b201~", "a\udcff"])
def test_what_is_copied_cannot_end_the_paste(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64
    from types import SimpleNamespace
    from typing import Any

    from tui.terminal import TerminalApp

    monkeypatch.delenv("STY", raising=False)
    sent: list[str] = []
    app: Any = SimpleNamespace(_driver=SimpleNamespace(write=sent.append), is_headless=False)
    TerminalApp.copy_osc52(app, f"one\n\ttwo {hostile}", "a log")
    (sequence,) = sent
    pasted = base64.b64decode(sequence.split(";c;")[1][:-1]).decode()
    assert pasted.startswith("one\n\ttwo a")
    assert all(c in "\n\t" or c.isprintable() for c in pasted)


def test_plain_text_for_the_terminals_own_selection(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.press("ctrl+l")
    terminal.wait_for("any key: back to the screen")
    assert "pipeline_000003" in terminal.text()
    terminal.press("x")
    terminal.wait_until_gone("any key: back")
    terminal.wait_for("q quit")


def test_the_stock_driver_draws_when_private_parts_are_missing(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("one")
    code = (
        "import sys, runpy; from textual.app import App; from textual.drivers.linux_driver import LinuxDriver;"
        "del LinuxDriver._get_terminal_size; sys.argv = ['x', sys.argv[1]];"
        "LinuxDriver._get_terminal_size = None; LinuxDriver._size_of = lambda s: (120, 40);"
        "import tui.terminal as t; assert t.missing() == ['LinuxDriver._get_terminal_size'], t.missing();"
        "import os; LinuxDriver._get_terminal_size = lambda s: tuple(os.get_terminal_size(2)); t.missing = lambda: ['it'];"
        "runpy.run_module('tests.tui.demo_app', run_name='__main__')"
    )
    with Terminal([sys.executable, "-c", code, str(tmp_path)], 120, 40, cwd=str(ROOT)) as terminal:
        terminal.wait_for("value one")
        put(tmp_path, "two")
        terminal.wait_for("value two")
        terminal.press("j")
        terminal.wait_for("cursor 1")
        assert re.search(r"pipeline_000000 +\|", terminal.text())
        terminal.press("q")
        assert terminal.wait() == 0
