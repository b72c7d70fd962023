"""``watchfloor logs FILE…`` and ``… | watchfloor logs -``: on a terminal the log screen, elsewhere bytes; no engine, no store."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.pty import Terminal
from tui.log.source import Pipe, open_source

ROOT = Path(__file__).resolve().parents[2]
LOGS = f"{sys.executable} -P -m tui.cli logs"


def home(tmp_path: Path) -> dict[str, str | None]:
    return {
        "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_STATE_HOME": str(tmp_path / "s"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def screen(command: str, tmp_path: Path, cols: int = 100, rows: int = 20) -> Terminal:
    return Terminal(["sh", "-c", command], cols, rows, cwd=str(ROOT), env=home(tmp_path))


def run(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **{k: v for k, v in home(tmp_path).items() if v}}
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_on_the_screen_grows_and_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("2026-11-20T03:00:00Z INFO first\n")
    with screen(f"{LOGS} {path}", tmp_path) as t:
        t.wait_for("first")
        t.wait_for("following")
        with path.open("a") as file:
            file.write("2026-11-20T03:00:01Z ERROR second \x1b[31mred\x1b[0m [bold]markup[/]\n")
        t.wait_for("second red [bold]markup[/]")
        t.wait_for("errors 1")
        t.press("3")
        t.wait_for("this is a log alone")
        t.press("?")
        t.wait_for("Keys of Log")
        t.press("-")
        t.wait_for("following")
        t.press("q")
        assert t.wait(10) == 0
    assert not (tmp_path / "s").exists()


def test_a_pipe_that_never_ends_is_read_with_keys_from_the_terminal(tmp_path: Path) -> None:
    writer = tmp_path / "writer.py"
    writer.write_text(
        "import itertools, time\nfor n in itertools.count():\n    print('2026-11-20T03:00:00Z INFO row', n, flush=True)\n    time.sleep(0.01)\n"
    )
    with screen(f"{sys.executable} {writer} 2>/dev/null | {LOGS} -", tmp_path) as t:
        t.wait_for("reading a pipe")
        t.wait_for("row 30")
        t.wait_for("following")
        t.press("k")
        t.wait_for("new")
        t.press("/")
        t.wait_for("find a text")
        t.type("row 7")
        t.press("enter")
        t.wait_for("/row 7")
        t.press("q")
        assert t.wait(10) == 0


def test_a_pipe_that_ends_stays_on_the_screen(tmp_path: Path) -> None:
    with screen(f"printf 'one\\ntwo' | {LOGS} -", tmp_path) as t:
        t.wait_for("two")
        t.wait_for("the writer ended")
        t.press("q")
        assert t.wait(10) == 0


def test_several_files_are_one_log_by_time(tmp_path: Path) -> None:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("2026-11-20T03:00:00Z INFO a0\n2026-11-20T03:00:02Z INFO a2\n  below a2\n")
    b.write_text("2026-11-20T03:00:01Z INFO b1\n2026-11-20T03:00:03Z INFO b3\n")
    with screen(f"{LOGS} {a} {b}", tmp_path) as t:
        t.wait_for("2 logs by time")
        t.wait_for("b3")
        text = t.text()
        assert [text.index(word) for word in ("a0", "b1", "a2", "below a2", "b3")] == sorted(
            text.index(word) for word in ("a0", "b1", "a2", "below a2", "b3")
        )
        t.wait_for("following")
        t.press("M")
        t.wait_until_gone("b1")
        t.press("q")
        assert t.wait(10) == 0
    assert run(f"{LOGS} {a} {b}", tmp_path).stdout.splitlines() == [
        "a.log: 2026-11-20T03:00:00Z INFO a0", "b.log: 2026-11-20T03:00:01Z INFO b1", "a.log: 2026-11-20T03:00:02Z INFO a2",
        "a.log:   below a2", "b.log: 2026-11-20T03:00:03Z INFO b3",
    ]  # fmt: skip


def test_without_a_terminal_it_prints_bytes_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\r\ntwo \x1b[31mred\x1b[0m\nno newline")
    assert run(f"{LOGS} {path}", tmp_path).stdout == path.read_bytes().decode().replace("\r\n", "\n")
    assert run(f"cat {path} | {LOGS} -", tmp_path).stdout.endswith("no newline")
    assert run(f"seq 100000 | {LOGS} - | head -1", tmp_path).stdout == "1\n"


def test_following_prints_what_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\n")
    env = {**os.environ, **{k: v for k, v in home(tmp_path).items() if v}}
    with subprocess.Popen(
        [*LOGS.split(), str(path), "--follow"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        with path.open("a") as file:
            file.write("two\n")
        assert process.stdout.readline() == "two\n"
        process.terminate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nosuch.log", "nosuch.log: no such file, and no key"),
        ("/tmp", "/tmp: is a folder"),
        ("- -", "can be read once only"),
        ("/dev/null nosuch", "nosuch: no such file"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, arguments: str, words: str) -> None:
    done = run(f"echo x | {LOGS} {arguments}", tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_standard_input_that_is_a_terminal_is_refused(tmp_path: Path) -> None:
    with screen(f"{LOGS} - | cat", tmp_path) as t:
        t.wait_for("standard input is a terminal")


def test_a_spool_leaves_nothing_behind_and_tells_the_end() -> None:
    reader, writer = os.pipe()
    pipe = Pipe(reader, "<stdin>")
    os.write(writer, b"abc\n")
    end = time.monotonic() + 10
    while not pipe.look() and time.monotonic() < end:
        time.sleep(0.005)
    assert pipe.read(0, 10) == b"abc\n"
    assert os.readlink(f"/proc/self/fd/{pipe.fd}").endswith("(deleted)")
    os.close(writer)
    while not pipe.ended and time.monotonic() < end:
        pipe.look()
        time.sleep(0.005)
    assert "the writer ended" in pipe.notice
    pipe.close()


def test_a_spool_that_finds_no_room_says_so_and_lets_the_writer_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    pipe = Pipe(reader, "<stdin>")

    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipe, "append", full)
    os.write(writer, b"abc\n")
    end = time.monotonic() + 10
    while not pipe.ended and time.monotonic() < end:
        pipe.look()
        time.sleep(0.005)
    assert "takes no more (No space left on device), the writer waits" in pipe.notice
    os.write(writer, b"still open\n")
    os.close(writer)
    pipe.close()


def test_a_named_pipe_is_spooled(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_text("through\n"), daemon=True).start()
    source = open_source(str(fifo))
    end = time.monotonic() + 10
    while source.size < 8 and time.monotonic() < end:
        source.look()
        time.sleep(0.005)
    assert source.read(0, 20) == b"through\n"
    source.close()
