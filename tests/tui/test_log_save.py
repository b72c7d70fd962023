"""A log to a file: whole, or it is said that it is not. A cut, a bad disk, odd names, a stick that knows no links."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tui.log import save as module
from tui.log.index import Text
from tui.log.merge import MARK
from tui.log.query import Shown
from tui.log.save import save
from tui.log.source import Source, Spool

LINE = b"2026-11-01 00:00:00 INFO a line of a log that is long enough\n"


def log(tmp_path: Path, lines: int = 20_000) -> Text:
    path = tmp_path / "a.log"
    path.write_bytes(LINE * lines)
    return Text(Source(str(path)))


def saved(text: Text, path: Path, between: Any = None, names: list[str] | None = None, shown: Shown | None = None) -> tuple[str, str]:  # fmt: skip
    """What is said at the end, and its level; ``between`` is called after the first piece."""
    said: list[tuple[str, str]] = []
    for number, _ in enumerate(
        save(text, shown, path, False, names or [], lambda words, level: said.append((words, level)), lambda n: None)
    ):
        if number == 0 and between is not None:
            between()
    (one,) = said
    assert not list(path.parent.glob("*.part"))
    return one


@pytest.mark.parametrize("marked", [False, True])
def test_a_log_that_is_cut_while_it_is_saved_is_not_said_to_be_saved(tmp_path: Path, marked: bool) -> None:
    text, out = log(tmp_path), tmp_path / "out.log"
    shown = Shown()
    if marked:
        shown.level = 1
    words, level = saved(text, out, lambda: os.truncate(tmp_path / "a.log", 100), shown=shown)
    assert level == "bad"
    assert words.startswith("not saved: ")
    assert "could be read" in words
    assert not out.exists()


def test_a_log_that_begins_anew_while_it_is_saved(tmp_path: Path) -> None:
    text, out = log(tmp_path), tmp_path / "out.log"

    def anew() -> None:
        (tmp_path / "a.log").write_bytes(LINE)
        text.look()

    words, level = saved(text, out, anew)
    assert (level, out.exists()) == ("bad", False)
    assert "could be read" in words


def test_a_whole_log_is_saved_byte_for_byte(tmp_path: Path) -> None:
    text, out = log(tmp_path), tmp_path / "out.log"
    words, level = saved(text, out)
    assert (level, words.startswith("saved 20,000 lines")) == ("info", True)
    assert out.read_bytes() == LINE * 20_000


def test_onto_a_disk_that_knows_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(a: Any, b: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    text, out = log(tmp_path, 10), tmp_path / "out.log"
    monkeypatch.setattr(module.os, "link", link)
    assert saved(text, out)[1] == "info"
    assert out.read_bytes() == LINE * 10
    assert "is left as it is" in saved(text, out)[0]


def test_a_member_whose_name_is_no_text(tmp_path: Path) -> None:
    spool = Spool("merged")
    spool.append(bytes((MARK,)) + b"a line\n")
    spool.lead = 1
    spool.look()
    out = tmp_path / "out.log"
    assert saved(Text(spool), out, names=["odd\udcff.log"])[1] == "info"
    assert out.read_bytes() == b"odd\xff.log: a line\n"
