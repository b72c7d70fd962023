"""From lines to cells to bytes: whatever is in the text, a terminal that reads the bytes shows the cells."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style

from tests.pty import Screen
from tests.tui.demo_app import HOSTILE
from tui.cells import Pens, Row, Shadow, clean, fit, graphemes, row_of

STYLES = [
    Style.parse("white on #101010"),
    Style.parse("bold #ff0000 on #101010"),
    Style.parse("#00ff00 on #202020"),
    Style.parse("reverse bold white on #101010"),
    Style.parse("strike #aaaaaa on #101010"),
    Style.parse("default on default"),
]
TEXT = st.text(st.sampled_from("ab c  ─▂►✓·日語e\u0301éש"), max_size=14)
LINES = st.lists(st.lists(st.tuples(TEXT, st.sampled_from(range(len(STYLES)))), max_size=4), min_size=4, max_size=4)


def rows_of(lines: list[list[tuple[str, int]]], pens: Pens, width: int) -> list[Row]:
    return [
        row_of([(t, STYLES[int(s or 0)]) for t, s in fit([(t, str(s)) for t, s in line], width)], pens)
        for line in lines
    ]


def seen(screen: pyte.Screen, width: int) -> list[list[tuple[str, ...]]]:
    """What a person sees of every cell: on a blank only the ground shows."""
    out = []
    for y in range(screen.lines):
        line = []
        for x in range(width):
            char = screen.buffer[y][x]
            ground = (char.fg, char.reverse) if char.reverse else (char.bg,)
            if char.data.strip(" "):
                line.append((char.data, char.fg, char.bg, str(char.bold), str(char.reverse), str(char.strikethrough)))
            else:
                line.append(("", *map(str, ground), str(char.strikethrough)))
        out.append(line)
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=2, max_size=4), st.booleans(), st.sampled_from([7, 12, 30]))
def test_any_sequence_of_updates_ends_like_painting_the_last_one_afresh(frames: list, erases: bool, width: int) -> None:
    pens = Pens(ColorSystem.TRUECOLOR)
    screen = Screen(width, 4)
    stream = pyte.Stream(screen)
    shadow = Shadow(pens, erases=erases)
    screen.reset_mode(7 << 5)  # no wrap, as the driver sets it
    for frame in frames:
        stream.feed(shadow.update(rows_of(frame, pens, width)))
    fresh = Screen(width, 4)
    fresh.reset_mode(7 << 5)
    pyte.Stream(fresh).feed(Shadow(pens, erases=False).update(rows_of(frames[-1], pens, width)))
    assert seen(screen, width) == seen(fresh, width)
    assert shadow.update(rows_of(frames[-1], pens, width)) == "", "the same again costs nothing"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_a_fitted_line_has_exactly_its_width_and_no_control_character(text: str, width: int) -> None:
    spans = fit([(text, "text"), ("tail", "dim")], width)
    joined = "".join(part for part, _ in spans)
    assert sum(size for _, size in graphemes(joined)) == width
    assert all(char.isprintable() or not char.isspace() for char in joined)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in joined)
    joined.encode("utf-8")


@given(st.text(st.characters(), max_size=60), st.integers(1, 30))
def test_fit_never_raises_and_never_overflows(text: str, width: int) -> None:
    row = row_of([(part, STYLES[0]) for part, _ in fit([(text, "")], width)], Pens(None))
    assert len(row) == width
    for cell, _ in row:
        cell.encode("utf-8")
        assert "\x1b" not in cell


def test_clean_keeps_what_is_to_be_read() -> None:
    assert clean("déjà 日本 ✓ a\u0301") == "déjà 日本 ✓ a\u0301"
    assert clean("a\x1b[2Jb\u202ec\ud800d") == "a?[2Jb?c?d"


def test_one_changed_cell_costs_a_move_and_the_cell() -> None:
    pens = Pens(ColorSystem.TRUECOLOR)
    shadow = Shadow(pens)
    line = [("state ", 1), ("running 17m of 24m usual".ljust(114), 0)]
    shadow.update(rows_of([line] * 40, pens, 120))
    changed = [list(line) for _ in range(40)]
    changed[20] = [("state ", 1), ("running 18m of 24m usual".ljust(114), 0)]
    text = shadow.update(rows_of(changed, pens, 120))
    assert text.startswith("\x1b[21;16H"), text
    assert text.endswith("8")
    assert len(text) <= 8 + 1 + 35


def test_only_attributes_that_changed_are_sent() -> None:
    pens = Pens(ColorSystem.TRUECOLOR)
    one = pens.of(Style.parse("#d8dfe8 on #0f1318"))[0]
    bold = pens.of(Style.parse("bold #d8dfe8 on #0f1318"))[0]
    dim = pens.of(Style.parse("#97a3b2 on #0f1318"))[0]
    assert pens.change(one, bold) == "\x1b[1m"
    assert pens.change(bold, one) == "\x1b[22m"
    assert pens.change(one, dim) == "\x1b[38;2;151;163;178m"
    assert pens.change(bold, dim) == "\x1b[22;38;2;151;163;178m"
    assert pens.change(bold, pens.number(type(pens._pens[0])("", "", 0))) == "\x1b[m"


@pytest.mark.parametrize(
    ("system", "code"),
    [(ColorSystem.TRUECOLOR, "38;2;255;128;120"), (ColorSystem.EIGHT_BIT, "38;5;210"), (ColorSystem.STANDARD, "91")],
)
def test_colours_go_as_the_terminal_can_show_them(system: ColorSystem, code: str) -> None:
    pens = Pens(system)
    assert code in Shadow(pens).update([row_of([("x", Style.parse("#ff8078"))], pens)])


def test_without_colours_only_attributes_go() -> None:
    pens = Pens(None)
    assert "38;" not in Shadow(pens).update([row_of([("x", Style.parse("bold #ff8078 on #000000"))], pens)])


def test_a_terminal_without_utf8_gets_question_marks_of_the_right_width() -> None:
    row = row_of([("é日x", STYLES[0])], Pens(None), "ascii")
    assert [cell for cell, _ in row] == ["?", "?", "?", "x"]
    assert cell_len("é日x") == 4


def test_a_full_screen_is_cheap() -> None:
    """The Floor of screens.md §6: 13 KB where stock Textual sends 32; blanks and rules cost nothing of their own."""
    pens = Pens(ColorSystem.TRUECOLOR)
    strip = "▂▂▃▁▃▂▃▂▂▃▂▄▁▁▃▃▃▁▃·"
    line = [
        (" ►", 1),
        ("  running  ", 2),
        ("ldz_to_rdv_transactions ", 0),
        (strip, 2),
        ("     17m / 24m  06:15 -8m", 0),
        ("   05:35  prod", 2),
    ]
    text = Shadow(pens).update(rows_of([line] * 40, pens, 120))
    assert len(text.encode()) < 14_000
