"""What can be done to a log on its screen: levels, filters, times, marks, the merge, copies, plain text, saving; and on a big one, in time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import State, StepRun, Verb, step_key
from tests.tui.snap import same
from tests.tui.stores import MINUTE, SIZES, House, painted
from tests.tui.test_log_view import KEY, Logs, cursor_line, lines, typed
from tui.log.hand import COPY_BYTES
from tui.screens.log import LogView
from tui.view import Copy, Effect, Say


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    found = Logs(tmp_path)
    yield found
    found.h.close()


def said(effects: object) -> str:
    assert isinstance(effects, (list, tuple))
    return " ".join(e.text for e in effects if isinstance(e, Say))


def copied(v: LogView, key: str) -> Copy:
    v.act("copy.menu")
    found = v.type(key)
    assert found is not None
    assert isinstance(found[0], Copy), found
    return found[0]


def settle(v: LogView) -> list[Effect]:
    """Let the work beside the screen end; what was said about it."""
    out: list[Effect] = []
    end = time.monotonic() + 20
    assert v.page is not None
    while time.monotonic() < end:
        out += v.beat() or ()
        if not v.page.worker.busy and not v.page.worker.found and v.saving is None:
            out += v.beat() or ()
            return out
        time.sleep(0.01)
    raise AssertionError("it does not end")


TRACE = (
    "2026-11-20T03:00:00Z DEBUG begin\n2026-11-20T03:00:01Z INFO read 5 rows\n2026-11-20T03:00:02Z WARN slow\n"
    "2026-11-20T03:00:03Z ERROR failed\n    at load.sql:88\n    at main.sql:1\n2026-11-20T03:00:04Z INFO rolled back\n"
)  # fmt: skip


def test_levels_hide_what_is_less_and_keep_entries_whole(logs: Logs) -> None:
    logs.write(TRACE)
    v = logs.view()
    v.act("log.level")
    shown = painted(v, 120, 40)
    assert "& INFO+ hides 1" in shown[2]
    assert "begin" not in "\n".join(shown)
    v.act("log.level")
    assert "& WARN+ hides 3" in painted(v, 120, 40)[2]
    v.act("log.level")
    text = "\n".join(painted(v, 120, 40))
    assert "& ERROR hides 4" in text
    assert "load.sql:88" in text
    assert "main.sql:1" in text
    assert "slow" not in text
    v.act("log.level")
    assert "hides" not in painted(v, 120, 40)[2]


def test_several_filters_say_what_each_hides_and_go_one_by_one(logs: Logs) -> None:
    logs.write(lines(100, (50,)))
    v = logs.view()
    painted(v, 120, 40)
    typed(v, "log.drop", "row 1")
    typed(v, "log.drop", "row 2")
    typed(v, "log.keep", "/[05]$/")
    assert "! row 1 hides 11   ! row 2 hides 11   & /[05]$/ hides 62" in painted(v, 120, 40)[2]
    v.act("log.remove")
    foot = painted(v, 120, 40)[-1]
    assert "1 ! row 1" in foot
    assert "3 & /[05]$/" in foot
    assert "no longer filtered: ! row 2" in said(v.type("2"))
    assert "row 2 hides" not in painted(v, 120, 40)[2]
    v.act("log.remove")
    v.type("a")
    assert "hides" not in painted(v, 120, 40)[2]
    assert "nothing is filtered" in said(v.act("log.remove"))


def test_a_half_typed_pattern_keeps_what_was_found(logs: Logs) -> None:
    logs.write(lines(100))
    v = logs.view()
    typed(v, "log.search", "row 17")
    assert "pattern" in said(typed(v, "log.search", "/row (1/"))
    assert "/row 17  match 1 of 1" in painted(v, 120, 40)[2]
    typed(v, "log.search", "/row 1[78]$/")
    assert "of 2" in painted(v, 120, 40)[2]


def test_warnings_are_walked_and_the_walk_goes_round(logs: Logs) -> None:
    logs.write(TRACE * 3)
    v = logs.view()
    painted(v, 120, 40)
    v.act("move.top")
    v.act("log.next_warning")
    assert "slow" in cursor_line(v)
    v.act("log.prev_warning")
    assert "went on from the other end" in said(v.act("log.next_warning"))


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("03:02", "03:02:00"),
        ("03:02:30", "03:02:30"),
        ("2026-11-20 03:03", "03:03:00"),
        ("-1m", "03:03:00"),
        ("+30s", "03:04:30"),
    ],
)
def test_going_to_a_time(logs: Logs, asked: str, there: str) -> None:
    logs.write(lines(300, (240,)))
    v = logs.view()
    assert "03:04:00" in cursor_line(v)
    typed(v, "log.time", asked)
    assert there in cursor_line(v)


@pytest.mark.parametrize("asked", ["25:00", "yesterday", "", "2026-13-01", "12"])
def test_a_time_that_is_none_says_what_was_expected(logs: Logs, asked: str) -> None:
    logs.write(lines(30, (10,)))
    v = logs.view()
    before = cursor_line(v)
    assert "expected" in said(typed(v, "log.time", asked))
    assert cursor_line(v) == before


def test_copies_are_entries_pages_and_errors_with_what_stands_around(logs: Logs) -> None:
    logs.write(lines(40) + TRACE + lines(40))
    v = logs.view()
    painted(v, 120, 40)
    assert copied(v, "n").text == "2026-11-20T03:00:03Z ERROR failed\n    at load.sql:88\n    at main.sql:1"
    around = copied(v, "e").text.splitlines()
    assert len(around) == 20 + 3 + 20
    assert "ERROR failed" in around[20]
    assert len(copied(v, "p").text.splitlines()) > 30
    assert copied(v, "i").text == step_key(KEY, "load")


def test_a_copy_ends_where_the_clipboard_does_and_says_so(logs: Logs) -> None:
    logs.write("2026-11-20T03:00:00Z ERROR " + "é" * 100_000 + "\n")
    v = logs.view()
    painted(v, 120, 40)
    found = copied(v, "l")
    assert len(found.text.encode()) <= COPY_BYTES
    assert "cut at 74,000 bytes" in found.words


def test_plain_text_is_more_than_a_screen(logs: Logs) -> None:
    logs.write(lines(500))
    v = logs.view()
    v.act("move.bottom")
    painted(v, 80, 24)
    plain = v.plain()
    assert plain is not None
    assert len(plain.splitlines()) == 500
    assert plain.splitlines()[-1].endswith("row 499")


def test_saving_asks_for_a_name_and_never_takes_the_place_of_a_file_by_itself(logs: Logs, tmp_path: Path) -> None:
    logs.write(TRACE)
    v = logs.view()
    painted(v, 120, 40)
    v.act("log.level")
    target = tmp_path / "out" / "kept.log"
    target.parent.mkdir()

    def save_as(name: str, *more: str) -> str:
        v.act("log.save")
        v.type("edit.ctrl+u")
        v.type("edit.end")
        while v.field.text:
            v.type("edit.backspace")
        for key in (*name, *more):
            v.type(key)
        return said(v.type("edit.enter")) + said(settle(v))

    assert "load.1.log" in painted(v, 120, 40)[-1] or v.act("log.save") == ()
    v.act("nav.back")
    assert f"saved 6 shown lines, {len(TRACE) - 33:,} bytes: {target}" in save_as(str(target))
    assert target.read_text() == TRACE.split("\n", 1)[1]
    assert "exists" in save_as(str(target), "edit.tab")
    assert "left as it is" in said(v.type("edit.enter"))
    assert target.read_text() == TRACE.split("\n", 1)[1]
    assert "exists" in save_as(str(target), "edit.tab")
    for char in "overwrite":
        v.type(char)
    assert f"saved 7 lines, {len(TRACE):,} bytes" in said(v.type("edit.enter")) + said(settle(v))
    assert target.read_text() == TRACE
    assert "is a folder" in save_as(str(target.parent))
    assert "no folder" in save_as(str(tmp_path / "none" / "x"))
    assert os.listdir(target.parent) == ["kept.log"]


def two_steps(tmp_path: Path) -> House:
    h = House(tmp_path)
    h.engine()
    h.source("s", offers=frozenset({Verb.STOP, "steps", "log"}))
    h.pipeline("s", "p")
    h.run("s", "p", "r", State.FAILED, started_ago=5 * MINUTE, took=4 * MINUTE)
    steps = [
        StepRun(run=KEY, step="extract", native="x", state=State.SUCCESS, started=h.now - 5 * MINUTE, order=0),
        StepRun(run=KEY, step="load", native="x", state=State.FAILED, started=h.now - 4 * MINUTE, order=1),
        StepRun(run=KEY, step="report", native="x", state=State.SKIPPED, order=2),
    ]
    h.steps(KEY, steps)
    extract, load = tmp_path / "extract.log", tmp_path / "load.log"
    extract.write_text("".join(f"2026-11-20T03:{i // 60:02}:{i % 60:02}Z INFO page {i}\n" for i in range(0, 120, 2)))
    load.write_text(
        "".join(
            f"2026-11-20T03:{i // 60:02}:{i % 60:02}Z {'ERROR boom' if i == 61 else 'INFO batch'} {i}\n  more of {i}\n"
            for i in range(1, 120, 2)
        )
    )
    h.log(KEY, "extract", extract)
    h.log(KEY, "load", load)
    return h


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_steps_by_time(tmp_path: Path, width: int, height: int) -> None:
    h = two_steps(tmp_path)
    v = LogView(h.context(), f"{step_key(KEY, 'load')} 1")
    v.load()
    assert "boom 61" in cursor_line(v, width, height)
    assert "2 logs by time" in said(v.act("log.merge"))
    shown = painted(v, width, height)
    same(f"log-merged-{width}x{height}", shown)
    assert "boom 61" in cursor_line(v, width, height)
    text = "\n".join(shown)
    assert text.index("page 60") < text.index("boom 61") < text.index("more of 61") < text.index("page 62")
    v.act("view.pane")
    v.type("A")
    text = "\n".join(painted(v, width, height))
    assert "page" not in text
    assert "A extract off" in text
    v.type("A")
    v.act("nav.back")
    assert "page 60" in "\n".join(painted(v, width, height))
    v.act("log.merge")
    assert "page" not in "\n".join(painted(v, width, height))
    h.close()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_log_that_is_searched_and_filtered(logs: Logs, width: int, height: int) -> None:
    text = "".join(
        f"2026-11-20T03:{i // 60:02}:{i % 60:02}Z {('DEBUG' if i % 5 == 0 else 'WARN' if i % 97 == 0 else 'INFO')} "
        f"{'heartbeat' if i % 7 == 0 else 'merge contract batch'} {i}\n"
        for i in range(1, 600)
    )
    logs.write(text + TRACE.replace("03:00:", "03:10:"))
    v = logs.view()
    painted(v, width, height)
    v.act("log.level")
    typed(v, "log.drop", "heartbeat")
    typed(v, "log.search", "contract")
    v.act("log.next_error")
    same(f"log-{width}x{height}", painted(v, width, height))


@pytest.mark.parametrize("what", ["truncated", "written anew", "a new file took its place", "removed"])
def test_what_happens_to_the_file_is_said(tmp_path: Path, what: str) -> None:
    logs = Logs(tmp_path, State.RUNNING)
    logs.write(lines(100), complete=False)
    v = logs.view()
    painted(v, 120, 40)
    match what:
        case "truncated":
            os.truncate(logs.path, 100)
        case "written anew":
            logs.path.write_text("other\n" * 3000)
        case "removed":
            logs.path.unlink()
        case _:
            logs.path.rename(tmp_path / "old.log")
            logs.path.write_text("fresh\n")
    settle(v)
    shown = painted(v, 120, 40)
    assert what in shown[1]
    assert ("row 99" in "\n".join(shown)) == (what == "removed")
    logs.h.close()


@pytest.mark.parametrize(
    ("note", "complete", "words"),
    [
        ("403 for this token", True, "403 for this token"),
        ("purged after 30 d", True, "purged after 30 d"),
        (None, True, "ended without writing anything"),
        (None, False, "nothing written yet"),
    ],
)
def test_an_empty_log_says_why_and_what_next(logs: Logs, note: str | None, complete: bool, words: str) -> None:
    logs.write("", complete=complete, note=note)
    shown = painted(logs.view(), 120, 40)
    assert words in shown[5]
    assert shown[6].strip()


def test_a_log_that_was_refused_says_so_and_where_to_look(logs: Logs) -> None:
    """No file was ever written: only the word of the source is there."""
    h = logs.h
    h.steps(KEY, [StepRun(run=KEY, step="load", native="x", state=State.FAILED, started=h.now - MINUTE, order=0)])
    h.log(KEY, "load", logs.path, complete=False, note="403 for this token; it needs the role Viewer")
    shown = painted(logs.view(), 120, 40)
    assert "Nothing to read: 403 for this token; it needs the role Viewer" in shown[5]
    assert "0 what the source says" in shown[6]


def test_a_file_that_is_gone_says_so(logs: Logs) -> None:
    logs.write("x\n")
    logs.path.unlink()
    assert "its file is gone" in painted(logs.view(), 120, 40)[5]


def test_a_big_log_opens_at_once_counts_beside_and_becomes_exact(tmp_path: Path) -> None:
    """Twenty megabytes: more than is read before the first frame."""
    logs = Logs(tmp_path, State.RUNNING)
    count = 200_000
    logs.write(
        b"".join(
            b"2026-11-20T03:00:00Z %s row %07d %s\n" % (b"ERROR" if n == 777 else b"INFO", n, b"x" * 60)
            for n in range(count)
        ),
        complete=False,
    )
    v = logs.view()
    shown = painted(v, 120, 40)
    assert "row 0199999" in "\n".join(shown)
    assert "~" in shown[-4]
    assert "counting" in shown[1]
    assert "so far" in shown[2]
    settle(v)
    shown = painted(v, 120, 40)
    assert " 200,000  " in "\n".join(shown)
    assert "all here" in shown[1]
    assert "errors 1 · warnings 0 " in shown[2]
    found = said(v.act("log.prev_error")) + said(settle(v))
    assert "row 0000777" in cursor_line(v), found
    assert "778 of 200,000" in painted(v, 120, 40)[-1]
    typed(v, "log.search", "row 01234")
    settle(v)
    assert "of 100" in painted(v, 120, 40)[2]
    assert "row 01234" in cursor_line(v)
    typed(v, "log.keep", "row 0150000")
    settle(v)
    shown = painted(v, 120, 40)
    assert "& row 0150000 hides 199,999" in shown[2]
    assert "1 of 1 shown" in shown[-1]
    v.act("nav.back")
    v.act("nav.back")
    v.act("move.top")
    assert "row 0000000" in cursor_line(v)
    assert v.page is not None
    assert len(v.page.text._held) <= 8
    logs.h.close()


def test_what_is_not_seen_is_not_worked_at(tmp_path: Path) -> None:
    """Without turns of its own the thread ends by itself: a screen that was left costs nothing."""
    logs = Logs(tmp_path, State.RUNNING)
    logs.write(b"2026-11-20T03:00:00Z INFO row of some length and more\n" * 100_000, complete=False)
    v = logs.view()
    page = v.page
    assert page is not None
    page.worker._awake = time.monotonic() - 1
    assert page.worker.turn() is None
    assert page.worker.busy
    logs.h.close()
