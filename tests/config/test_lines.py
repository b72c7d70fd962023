"""The position scanner against tomllib: every path that tomllib sees has the line where its key stands."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.lines import index, line_of

SAMPLE = Path(__file__).parent / "data" / "sample.toml"

TEXT = '''\
# [[not]] a table
title = "a # b [c] = d"
[a.b]  # comment
"x.y" = 1
c.d = {
e = 2}
multi = """
[fake]
x = 1 \\""" still
""""
lit = \'\'\'it's # [no]\'\'\'
list = [
  1, # one
  [2,
   3],
  {k = "v", "q\\u0041" = 5},
]
[[t]]
n = 1
[[t.u]]
m = 1
[t.s]
z = 2
[[t]]
n = 2
[t.s]
z = 3
[a]
"" = 1
'''.replace("{\ne = 2}", "{ e = 2 }")  # TOML 1.0 allows no line end in an inline table


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for k, v in items for p in ((*path, k), *paths(v, (*path, k)))]


def test_lines_of_every_kind_of_key() -> None:
    lines = index(TEXT)
    expected = {
        ("title",): 2,
        ("a", "b"): 3,
        ("a", "b", "x.y"): 4,
        ("a", "b", "c", "d"): 5,
        ("a", "b", "c", "d", "e"): 5,
        ("a", "b", "multi"): 6,
        ("a", "b", "lit"): 10,
        ("a", "b", "list"): 11,
        ("a", "b", "list", 0): 12,
        ("a", "b", "list", 1, 1): 14,
        ("a", "b", "list", 2, "k"): 15,
        ("a", "b", "list", 2, "qA"): 15,
        ("t", 0): 17,
        ("t", 0, "u", 0, "m"): 20,
        ("t", 0, "s", "z"): 22,
        ("t", 1, "n"): 24,
        ("t", 1, "s", "z"): 26,
        ("a", ""): 28,
    }
    assert {path: lines.get(path) for path in expected} == expected


def test_nothing_that_tomllib_sees_is_missed() -> None:
    for text in (TEXT, SAMPLE.read_text()):
        missed = [p for p in paths(tomllib.loads(text)) if p not in index(text)]
        assert missed == []


def test_nothing_is_found_that_is_not_there() -> None:
    assert set(index(TEXT)) == set(paths(tomllib.loads(TEXT)))


def test_the_nearest_parent_answers_for_what_has_no_line() -> None:
    lines = index("[a]\nb = 1\n")
    assert line_of(lines, ("a", "b", "c", 3)) == 2
    assert line_of(lines, ("a", "zzz")) == 1
    assert line_of(lines, ("q",)) is None


@given(st.text(alphabet="[]{}=.,#\"'\\\n ab1", max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_ends_and_what_tomllib_takes_is_indexed(text: str) -> None:
    lines = index(text)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    assert [p for p in paths(data) if p not in lines] == []
