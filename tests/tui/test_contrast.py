"""Every foreground that a screen puts on a ground can be read, in every theme with colours; and the two themes for
colour-blind people keep what decides apart for their own viewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from tests.tui import night, stores
from tests.tui.stores import House
from tests.tui.vision import apart, contrast, distance
from tui import registry, themes
from tui.themes import Palette, Theme

COLOURED = tuple(n for n in themes.builtin() if not (themes.load(n).ansi or themes.load(n).mono))
GRAPHIC = frozenset("▁▂▃▄▅▆▇█━─┼╋│┃┊░▌●○ ·◇")
"""Cells that are bars, axes and marks: graphics, which need 3:1; a line of the rule token is decoration."""
SCREENS = (
    "floor", "runs", "sources", "timeline", "layers", "deadlines", "morning", "help", "wall", "hosts", "actions", "history", "card",
    "themes", "palette", "links",
)  # fmt: skip
DECIDING = (
    ("run-ok", "run-failed"), ("run-ok", "run-late"), ("run-ok", "run-running"), ("run-failed", "run-late"),
    ("run-failed", "run-missed"), ("run-late", "run-warning"), ("run-ok", "run-stale"), ("run-failed", "run-stale"),
)  # fmt: skip


def test_the_formulas_are_those_of_the_books():
    """WCAG's own example, and pairs of Sharma's table of test data for CIEDE2000."""
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for one, other, far in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.0, 2.0), (50, 0, 0), 2.3669),
        ((50, 2.4900, -0.0010), (50, -2.4900, 0.0011), 7.2195),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert apart(one, other) == pytest.approx(far, abs=1e-4)


def painted_styles(h: House) -> Iterator[tuple[str, str, str]]:
    """(screen, text, style name) of every cell that the screens paint."""
    for name in SCREENS:
        view = registry.make(name, h.context())
        view.load()
        for width, height in ((80, 24), (120, 40), (200, 50)):
            for line in view.paint(width, height):
                for text, style in line:
                    if text.strip():
                        yield name, text, style


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, bool]]:
    """Style names that screens really use, and whether it is text (True) or only graphics."""
    found: dict[str, set[bool]] = {}
    for make in (stores.story, night.night, stores.calm):
        h: House = make(tmp_path_factory.mktemp("house"))
        for _, text, style in painted_styles(h):
            found.setdefault(style, set()).add(bool(set(text) - GRAPHIC))
        h.close()
    return {(style, True in kinds) for style, kinds in found.items()}


@pytest.mark.parametrize("name", COLOURED)
def test_what_screens_paint_can_be_read(name: str, styles: set[tuple[str, bool]]):
    palette = Palette(themes.load(name))
    text_needs, graphics_need = (7.0, 4.5) if name == "high-contrast" else (4.5, 3.0)
    weak: list[str] = []
    for style, is_text in sorted(styles):
        if "rule" in style.split():
            continue
        made = palette.style(style)
        assert made.color is not None, style
        assert made.bgcolor is not None, style
        front, back = (made.color.get_truecolor().hex, made.bgcolor.get_truecolor(foreground=False).hex)
        if made.reverse:
            front, back = back, front
        ratio = contrast(front, back)
        if ratio < (text_needs if is_text else graphics_need) - 0.05:
            weak.append(f"{style!r}: {ratio:.1f}")
    assert not weak
    assert palette.unknown == set(), "words that no theme names"


@pytest.mark.parametrize("name", COLOURED)
def test_tokens_can_be_read_on_every_ground_a_row_may_have(name: str):
    theme = themes.load(name)
    least = 7.0 if name == "high-contrast" else 4.5
    texts = [t for t in theme.colors if t.startswith("run-")] + ["text", "dim", "key"]
    for token in texts:
        for ground in ("background", "surface", "panel", "cursor-bg", "cursor-blur-bg"):
            ratio = contrast(theme.colors[token], theme.colors[ground])
            assert ratio >= least - 0.05, f"{token} on {ground}: {ratio:.2f}"
    for token in ("gauge", "strip-ok"):
        for ground in ("background", "cursor-bg"):
            assert contrast(theme.colors[token], theme.colors[ground]) >= 2.95, f"{token} on {ground}"
    for stem in ("band-prod", "band-uat", "band-dev", "band-local", "armed", "banner", "hit"):
        assert contrast(theme.colors[f"{stem}-fg"], theme.colors[f"{stem}-bg"]) >= least, stem


@pytest.mark.parametrize(("name", "viewers"), [("deuteranopia", ("deutan", "protan")), ("tritanopia", ("tritan",))])
def test_a_colour_blind_theme_keeps_apart_what_decides(name: str, viewers: tuple[str, ...]):
    colors = themes.load(name).colors
    for viewer in viewers:
        for one, other in DECIDING:
            far = distance(colors[one], colors[other], viewer)
            assert far >= 11, f"{one} and {other} seen by a {viewer}: {far:.1f}"


def test_the_simulation_tells_that_the_plain_theme_is_not_enough():
    """Were this not so, the themes would be of no use, or the simulation wrong."""
    colors = themes.load("dark").colors
    assert (
        distance(colors["run-ok"], colors["run-failed"], "deutan")
        < 11
        < distance(colors["run-ok"], colors["run-failed"])
    )


def test_every_theme_names_the_same_colours():
    names = {n: set(themes.load(n).colors) for n in COLOURED}
    for one, other in combinations(names, 2):
        assert names[one] == names[other], (one, other, names[one] ^ names[other])


def test_a_users_theme_needs_only_what_differs(tmp_path: Path):
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "mine.toml").write_text('background = "#000000"\n[variables]\nrun-failed = "#ff0000"\n')
    mine: Theme = themes.load("mine", tmp_path)
    assert mine.colors["run-failed"] == "#ff0000"
    assert mine.colors["run-ok"] == themes.load("dark").colors["run-ok"]
    assert "mine" in themes.names(tmp_path)
