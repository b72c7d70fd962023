"""Several logs as one: each file keeps its order and its entries whole, times go up, what is written later comes behind."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui.log.index import Text
from tui.log.lines import when
from tui.log.merge import MARK, MOST, Member, Merged, letter
from tui.log.source import Source

STAMPED = st.builds(
    lambda s, level, n: f"2026-11-20T03:{s // 60:02}:{s % 60:02}Z {level} row {n}", st.integers(0, 600), st.sampled_from(["INFO", "ERROR"]), st.integers(0, 99)
)  # fmt: skip
BELOW = st.sampled_from(["    at load.sql:88", "plain", "", "ValueError: no"])
FILE = st.lists(st.one_of(STAMPED, STAMPED, BELOW), max_size=40)


def merged_of(folder: Path, files: list[list[str]], hints: list[int] | None = None, *, end: str = "\n") -> Merged:
    members: list[Member] = []
    for i, lines in enumerate(files):
        path = folder / f"{i}.log"
        path.write_text("\n".join(lines) + (end if lines else ""))
        source = Source(str(path))
        source.ended = True
        members.append(Member(f"step{i}", source, hints[i] if hints else 0))
    merged = Merged(members)
    for _ in merged.feed():
        pass
    merged.look()
    return merged


def lines_of(merged: Merged) -> list[tuple[int, str]]:
    data = merged.read(0, merged.size)
    return [(line[0] - MARK, line[1:].decode()) for line in data.split(b"\n")[:-1]]


def times(lines: list[str]) -> list[int]:
    """Time of each line as merging reads it: its own, never before an earlier line's; without one, that of the line above."""
    out, now = [], 0
    for line in lines:
        own = when(line.encode())
        now = max(now, own) if own is not None else now
        out.append(now)
    return out


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FILE, min_size=2, max_size=4))
def test_each_file_keeps_its_order_and_times_go_up(files: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = lines_of(merged_of(Path(folder), files))
    assert len(found) == sum(len(lines) for lines in files)
    for number, lines in enumerate(files):
        assert [text for whose, text in found if whose == number] == lines
    clocks = [iter(times(lines)) for lines in files]
    merged_times = [next(clocks[whose]) for whose, _ in found]
    assert merged_times == sorted(merged_times)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FILE, min_size=2, max_size=3))
def test_entries_keep_together(files: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = lines_of(merged_of(Path(folder), files))
    for (whose, _), (below, text) in pairwise(found):
        if when(text.encode()) is None and whose != below:  # the first lines of a file have nothing above them
            lines = files[below]
            first = next((i for i, line in enumerate(lines) if when(line.encode()) is not None), len(lines))
            assert text in lines[:first]


def test_a_log_without_stamps_stands_where_it_began(tmp_path: Path) -> None:
    began = when(b"2026-11-20T03:01:00Z")
    assert began is not None
    files = [["2026-11-20T03:00:00Z a", "2026-11-20T03:02:00Z b"], ["no stamp", "none at all"]]
    found = lines_of(merged_of(tmp_path, files, [0, began]))
    assert [text for _, text in found] == [files[0][0], "no stamp", "none at all", files[0][1]]


def test_what_is_written_later_comes_behind_and_nothing_moves(tmp_path: Path) -> None:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("2026-11-20T03:00:00Z a0\n")
    b.write_text("2026-11-20T03:00:05Z b0\nhalf a li")
    merged = Merged([Member("a", Source(str(a))), Member("b", Source(str(b)))])
    list(merged.feed())
    merged.look()
    before = lines_of(merged)
    assert [t for _, t in before] == ["2026-11-20T03:00:00Z a0", "2026-11-20T03:00:05Z b0"]
    assert not merged.behind
    with a.open("a") as file:
        file.write("2026-11-20T03:00:01Z a late one\n")
    with b.open("a") as file:
        file.write("ne\n")
    merged.look()
    assert merged.behind
    list(merged.feed())
    merged.look()
    after = lines_of(merged)
    assert after[: len(before)] == before
    assert sorted(t for _, t in after[len(before) :]) == ["2026-11-20T03:00:01Z a late one", "half a line"]


def test_a_member_that_is_cut_is_merged_anew(tmp_path: Path) -> None:
    merged = merged_of(tmp_path, [["2026-11-20T03:00:00Z a"], ["2026-11-20T03:00:01Z b"]])
    generation = merged.generation
    (tmp_path / "0.log").write_text("")
    assert merged.look()
    assert merged.generation > generation
    list(merged.feed())
    merged.look()
    assert lines_of(merged) == [(1, "2026-11-20T03:00:01Z b")]
    assert "step0" in merged.notice


def test_the_merged_log_is_judged_as_its_files_are(tmp_path: Path) -> None:
    merged = merged_of(
        tmp_path,
        [["2026-11-20T03:00:00Z ERROR a", "  at x"], ["2026-11-20T03:00:01Z WARN b", "2026-11-20T03:00:02Z ok"]],
    )
    text = Text(merged)
    while text.count() or text.judge():
        pass
    assert text.totals() == (1, 1)
    assert text.line(0) == b"2026-11-20T03:00:00Z ERROR a"


def test_more_members_than_can_be_told_apart_are_left_out_and_said(tmp_path: Path) -> None:
    merged = merged_of(tmp_path, [[f"2026-11-20T03:00:00Z {i}"] for i in range(MOST + 3)])
    assert merged.left_out == 3
    assert len({letter(i) for i in range(MOST)}) == MOST


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_without_its_newline_is_merged_once_nothing_follows(tmp_path: Path, end: str) -> None:
    merged = merged_of(tmp_path, [["2026-11-20T03:00:00Z a"], ["2026-11-20T03:00:01Z b"]], end=end)
    assert [t for _, t in lines_of(merged)] == ["2026-11-20T03:00:00Z a", "2026-11-20T03:00:01Z b"]
