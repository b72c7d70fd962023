"""Lines, levels, hits and filters of any bytes are what a naive reading gives; blocks, slices and growth change nothing."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui.log import index, query, worker
from tui.log.index import Text, rank
from tui.log.lines import ERROR, HEAD, LEVEL, WARN, parts, step, when
from tui.log.query import BadPattern, Filter, Needle, Search
from tui.log.source import Source
from tui.log.worker import Worker

PIECES = [
    b"2026-11-20T03:12:08Z INFO loaded 5 rows", b"2026-11-20 03:12:09,123 ERROR boom", b"[2026-11-20T03:12:10+0100] WARN slow",
    b"2026-11-20 03:12:11 DEBUG detail", b"    at load.sql:88", b"Traceback (most recent call last):", b'  File "x.py", line 3',
    b"ValueError: no such row", b"plain words", b"error: not found", b"", b"\x1b[31mERROR\x1b[0m red", b"\xff\xfe\x00 broken",
    "日本語 wide".encode(), b"2026-11-20T03:12:12Z level=error logfmt", b'{"ts":"2026-11-20T03:12:13Z","level":"warn"}', b"x" * 90,
    b"WARNING: careful", b"26/11/20 03:12:14 FATAL spark", b"critical path is fine", b"2026-11-20T03:12:15Z no level here", b"\ttabbed",
    b"java.lang.IllegalStateException: no", b"10%\r20%\r30%", b"ORA-00001: unique", b"severe", b"panic: oh no", b"trace: on", b"y" * 300 + b" ERROR late",
]  # fmt: skip
LINE = st.one_of(st.sampled_from(PIECES), st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")))
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])
CONTENT = st.builds(
    lambda pairs, last: b"".join(line + end for line, end in pairs) + last,
    st.lists(st.tuples(LINE, ENDS), max_size=60),
    LINE,
)


@contextmanager
def small_blocks(size: int) -> Iterator[None]:
    """Blocks so small that everything that can lie across their borders does."""
    names = [
        (module, name)
        for module in (index, query, worker)
        for name in ("BLOCK", "TAIL", "BACK")
        if hasattr(module, name)
    ]
    before = [(module, name, getattr(module, name)) for module, name in names]
    for module, name in names:
        setattr(module, name, size if name == "BLOCK" else 1 << 16)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@contextmanager
def opened(content: bytes) -> Iterator[tuple[Text, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        path.write_bytes(content)
        source = Source(str(path))
        try:
            yield Text(source), path
        finally:
            source.close()


class Naive:
    """A log read whole, line by line."""

    def __init__(self, content: bytes) -> None:
        lines = content.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        self.lines = lines
        self.starts = [0]
        for line in lines[:-1]:
            self.starts.append(self.starts[-1] + len(line) + 1)
        if not lines:
            self.starts = []
        self.states: list[int] = []
        state = 0
        for line in lines:
            state = step(state, line, 0, len(line))
            self.states.append(state)

    def of(self, level: int) -> list[int]:
        return [at for at, s in zip(self.starts, self.states, strict=True) if s & HEAD and s & LEVEL == level]


def all_starts(text: Text) -> list[int]:
    return [at for k in range(text.blocks) for at in text.block(k).starts]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONTENT, st.sampled_from([64, 128, 1000, 1 << 18]))
def test_lines_numbers_and_levels_are_those_of_a_naive_reading(content: bytes, size: int) -> None:
    with small_blocks(size), opened(content) as (text, _):
        naive = Naive(content)
        while text.count():
            pass
        assert all_starts(text) == naive.starts
        assert text.lines == len(naive.lines)
        for number, at in enumerate(naive.starts):
            assert text.number(at) == (number, True)
            line = naive.lines[number]
            assert text.line(at) == (line[:-1] if line.endswith(b"\r") else line)
            assert text.start_of(at) == at
            assert text.end_of(at) == at + len(line)
        while text.judge():
            pass
        assert text.totals() == (len(naive.of(ERROR)), len(naive.of(WARN)))
        for k in range(text.blocks):
            block = text.block(k)
            wanted = [s for at, s in zip(naive.starts, naive.states, strict=True) if at in set(block.starts)]
            assert text.states(block, 0, len(block.starts)) == wanted


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONTENT, st.lists(st.integers(1, 400), max_size=6), st.sampled_from([64, 256, 1 << 18]))
def test_a_log_that_grows_in_pieces_is_the_log_that_was_there_at_once(
    content: bytes, cuts: list[int], size: int
) -> None:
    with small_blocks(size), opened(b"") as (text, path):
        job = Worker(text)
        job.look_for(Search(Needle("row")))
        job.shown.filters = [Filter("!", Needle("plain"))]
        at = 0
        for cut in [*cuts, len(content)]:
            with path.open("ab") as file:
                file.write(content[at : at + cut])
            at = min(at + cut, len(content))
            first = text.look()
            if first is not None:
                job.forget(first)
            assert job.finish()
            while text.count() or text.judge():
                pass
        if at < len(content):
            return
        naive = Naive(content)
        assert all_starts(text) == naive.starts
        assert text.lines == len(naive.lines)
        assert text.totals() == (len(naive.of(ERROR)), len(naive.of(WARN)))
        kept = [line for line in naive.lines if b"plain" not in query.plain(line).lower()]
        assert job.shown.count.total == len(kept)
        assert job.search is not None
        assert job.search.found.total == sum(b"row" in query.plain(line).lower() for line in kept)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONTENT, st.sampled_from(["row", "ERROR", "日本", "é", "/o+m/", "/^2026/", r"/rows$/", r"/\d+:\d\d/", "/[^a]x/", "at", "/B.O|boom/"]),
       st.sampled_from([64, 300, 1 << 18]))  # fmt: skip
def test_hits_in_bulk_are_those_line_by_line(content: bytes, typed: str, size: int) -> None:
    with small_blocks(size), opened(content) as (text, _):
        naive = Naive(content)
        needle = Needle(typed)
        expected: list[int] = []
        for at, line in zip(naive.starts, naive.lines, strict=True):
            bare = query.plain(line[:-1] if line.endswith(b"\r") else line)
            if typed.startswith("/"):
                inner = typed[1:-1]
                flags = 0 if any(c.isupper() for c in re.sub(r"\\.", "", inner)) else re.I
                hit = bool(re.search(inner, bare.decode("utf-8", "replace"), flags))
            elif any(c.isupper() for c in typed):
                hit = typed.encode() in bare
            else:
                hit = typed.lower() in bare.decode("utf-8", "replace").lower()
            if hit:
                expected.append(at)
        assert [at for k in range(text.blocks) for at in needle.in_block(text.block(k))] == expected
        job = Worker(text)
        job.look_for(Search(needle))
        assert job.finish()
        assert job.search is not None
        assert job.search.found.total == len(expected)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONTENT, st.sampled_from([0, 2, 3, 4]), st.lists(st.sampled_from(["& 2026", "! boom", "& o", "! at", "! /x+/"]), max_size=3),
       st.sampled_from([64, 300, 1 << 18]), st.booleans())  # fmt: skip
def test_filters_show_what_they_should_and_say_what_they_hide(
    content: bytes, level: int, filters: list[str], size: int, judged: bool
) -> None:
    with small_blocks(size), opened(content) as (text, _):
        naive = Naive(content)
        if judged:
            while text.judge():
                pass
        job = Worker(text)
        job.shown.level = level
        job.shown.filters = [Filter(f[0], Needle(f[2:])) for f in filters]
        kept = [
            (at, line) for at, line, s in zip(naive.starts, naive.lines, naive.states, strict=True) if rank(s) >= level
        ]
        hidden = []
        for one in job.shown.filters:
            pattern = one.needle.pattern
            assert pattern is not None
            before = len(kept)
            kept = [(at, line) for at, line in kept
                    if bool(pattern.search(query.plain(line.removesuffix(b"\r")).decode("utf-8", "replace"))) == (one.kind == "&")]  # fmt: skip
            hidden.append(before - len(kept))
        assert job.finish()
        shown = [at for k in range(text.blocks) for at in job.shown.in_block(text, k)]
        assert shown == [at for at, _ in kept]
        if job.shown.active:
            job.refilter()
            assert job.finish()
            assert job.shown.count.total == len(kept)
            assert [f.hidden.total for f in job.shown.filters] == hidden


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONTENT, st.sampled_from([64, 300, 1 << 18]), st.booleans(), st.data())
def test_the_next_error_is_the_next_one_around_the_ends(
    content: bytes, size: int, judged: bool, data: st.DataObject
) -> None:
    with small_blocks(size), opened(content) as (text, _):
        naive = Naive(content)
        if not naive.starts:
            return
        if judged:
            while text.judge():
                pass
        here = data.draw(st.sampled_from(naive.starts))
        errors = naive.of(ERROR)
        job = Worker(text)
        forward, back = job.seek("error", 1, here, 60.0), job.seek("error", -1, here, 60.0)
        assert forward is not None
        assert back is not None
        ahead, behind = [e for e in errors if e > here], [e for e in errors if e < here]
        assert (forward.offset, forward.around) == ((ahead or errors or [None])[0], not ahead and bool(errors))
        assert (back.offset, back.around) == ((behind or errors or [None])[-1], not behind and bool(errors))


def test_a_stack_trace_is_one_entry() -> None:
    content = (
        b'2026-11-20T03:00:00Z INFO starting\nTraceback (most recent call last):\n  File "x", line 1\nValueError: no\n'
        b"2026-11-20T03:00:01Z ERROR failed\n  at load.sql:88\n  at main\n2026-11-20T03:00:02Z INFO rolled back\n"
    )
    naive = Naive(content)
    assert len(naive.of(ERROR)) == 2
    assert [s & LEVEL == ERROR for s in naive.states] == [False, True, True, True, True, True, True, False]


@pytest.mark.parametrize(
    ("line", "clock", "word", "rest"),
    [
        (b"2026-11-20 03:12:08,123 ERROR x", "03:12:08", "ERROR", b"x"),
        (b"2026-11-20T03:12:08.5Z WARNING: y", "03:12:08", "WARN", b"y"),
        (b"[2026-11-20T03:12:08+01:00] INFO - z", "03:12:08", "INFO", b"- z"),
        (b"[2026-11-20, 03:12:08 UTC] {task.py:12} INFO - z", "03:12:08", "", b"{task.py:12} INFO - z"),
        (b"Nov 20 03:12:08 host app: z", "03:12:08", "", b"host app: z"),
        (b"03:12:08 [error] z", "03:12:08", "ERROR", b"z"),
        (b"    at load.sql:88", "", "", b"    at load.sql:88"),
        (b"", "", "", b""),
    ],
)
def test_lines_are_taken_apart(line: bytes, clock: str, word: str, rest: bytes) -> None:
    found = parts(line)
    assert (found.clock, found.word, found.rest) == (clock, word, rest)


def test_times_know_their_offset() -> None:
    assert when(b"2026-11-20T03:12:08+01:00 x") == when(b"2026-11-20T02:12:08Z x") == 1_795_140_728_000
    assert when(b"2026-99-20T03:12:08Z x") is None
    assert when(b"03:12:08 x") is None
    assert when(b"03:12:08 x", day=(2026, 11, 20)) == when(b"2026-11-20 03:12:08 x")


@pytest.mark.parametrize("typed", ["/(/", "/[a/", "/*/", "/a{99999999999}/", "/.*/"])
def test_a_pattern_that_cannot_be_is_one_sentence(typed: str) -> None:
    with pytest.raises(BadPattern) as caught:
        Needle(typed)
    assert "\n" not in str(caught.value)
    assert "stays" in str(caught.value)


def test_a_line_of_megabytes_is_one_line() -> None:
    content = b"2026-11-20T03:00:00Z INFO first\n" + b"z" * (3 << 20) + b" needle\n2026-11-20T03:00:01Z ERROR last"
    with opened(content) as (text, _):
        while text.count() or text.judge():
            pass
        assert text.lines == 3
        assert text.totals() == (1, 0)
        starts = all_starts(text)
        assert len(starts) == 3
        assert text.end_of(starts[1]) == starts[2] - 1
        assert len(text.line(starts[1], 1 << 20)) == 1 << 20
        assert text.number(starts[2]) == (2, True)
        assert text.line(starts[2]).endswith(b"last")


def test_a_file_that_is_cut_replaced_and_removed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\ntwo\n")
    text = Text(Source(str(path)))
    assert text.look() is None
    os.truncate(path, 4)
    assert text.look() == 0
    assert "truncated" in text.source.notice
    assert all_starts(text) == [0]
    path.write_text("other words, and more of them than before\n")
    assert text.look() == 0
    assert "written anew" in text.source.notice
    path.rename(tmp_path / "x.log.1")
    path.write_text("three\n")
    assert text.look() == 0
    assert "a new file took its place" in text.source.notice
    assert text.line(0) == b"three"
    path.unlink()
    text.look()
    assert "removed" in text.source.notice
    assert text.line(0) == b"three"
    path.write_text("back again\n")
    assert text.look() == 0
    assert text.line(0) == b"back again"
    with suppress(OSError):
        text.source.close()
