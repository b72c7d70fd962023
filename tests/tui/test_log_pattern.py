"""Patterns that take for ever on an unlucky line: they are given up within a blink, and said."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.test_log_desk import said, settle
from tests.tui.test_log_view import Logs, typed
from tui.log.pattern import TOO_LONG
from tui.log.query import Needle

UNLUCKY = b"2026-11-20T03:00:00Z INFO fine\n2026-11-20T03:00:01Z INFO " + b"a" * 4000 + b"!\n"
HANGS = ["/(a+)+$/", "/(a|a)*$/", "/(a|aa)+$/", "/(a*)*!!/", "/a*a*a*a*a*b/", "/" + "a?" * 28 + "a" * 28 + "$/"]


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    found = Logs(tmp_path)
    yield found
    found.h.close()


@pytest.mark.parametrize("text", HANGS)
def test_what_takes_for_ever_is_given_up(text: str) -> None:
    line = b"a" * 27 + b"!\n" if "?" in text else UNLUCKY
    needle = Needle(text)
    began = time.monotonic()
    needle.hits(line, 0, len(line))
    assert list(needle.marks("a" * 27 + "!")) == []
    assert time.monotonic() - began < 3
    assert needle.gave_up == f"{text} {TOO_LONG}"
    began = time.monotonic()
    assert needle.hits(line, 0, len(line)) == []
    assert time.monotonic() - began < 0.05, "it is not tried again"


def test_one_that_repeats_and_is_well_behaved_finds_what_it_should() -> None:
    needle = Needle(r"/\d+:\d\d:01z/")
    assert needle.apart is not None
    assert needle.hits(UNLUCKY, 0, len(UNLUCKY)) == [31]
    assert list(needle.marks("at 03:00:01Z, 04:00:01Z")) == [(3, 12), (14, 23)]
    assert list(Needle("/日+/").marks("x日日y")) == [(1, 3)]
    assert needle.gave_up == ""


def test_nothing_is_left_of_a_search_that_is_over() -> None:
    needle = Needle("/a+/")
    needle.hits(b"aa\n", 0, 3)
    assert needle.apart is not None
    child = needle.apart._child  # pyright: ignore[reportPrivateUsage]
    assert child is not None
    del needle
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


@pytest.mark.parametrize("key", ["log.search", "log.keep"])
def test_the_screen_says_so_and_goes_on(logs: Logs, key: str) -> None:
    logs.write(UNLUCKY.decode() * 50)
    v = logs.view()
    began = time.monotonic()
    words = said(typed(v, key, "/(a+)+$/")) + said(settle(v))
    assert time.monotonic() - began < 5
    assert f"/(a+)+$/ {TOO_LONG}" in words
    assert v.page is not None
    assert v.page.worker.search is None
    assert not v.page.worker.shown.filters
