"""What an operator reads twice: rounding, ranges of one value, what goes on still, a sentence longer than its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.rows import Ordinary
from tests.tui.demo_app import build
from tests.tui.stores import MINUTE, SECOND, House, painted
from tests.tui.test_app import screen
from tui import registry
from tui.present import history_grid, words
from tui.present.cut import width, wrap
from tui.present.glyphs import LEGEND
from tui.present.history import usual_words


@given(st.integers(0, 3_600_000))
def test_what_is_usual_never_has_sixty_seconds(ms: int):
    assert "60s" not in words.rough(ms)
    assert words.rough(59_600) == "1m"


@pytest.mark.parametrize(
    ("quartiles", "said"),
    [
        ((10, 11, 12, 14), "usual 11m, half of all 10m–12m, p90 14m"),
        ((6, 6, 6, 8), "usual 6m, p90 8m"),
        ((41, 41, 41, 41), "usual 41m"),
    ],
)
def test_a_range_of_one_value_is_no_range(quartiles: tuple[int, ...], said: str):
    p25, p50, p75, p90 = (q * MINUTE for q in quartiles)
    assert usual_words(Ordinary(20, 8, p25, p50, p75, p90)) == said


def test_of_a_run_that_goes_on_it_is_no_news_that_it_is_shorter_so_far():
    assert history_grid._against(10 * SECOND, 4 * MINUTE, going=True) == " (usual 4m)"
    assert "×" in history_grid._against(10 * SECOND, 4 * MINUTE)
    assert "×" in history_grid._against(9 * MINUTE, 4 * MINUTE, going=True)


def test_every_state_that_the_floor_draws_is_explained(tmp_path: Path):
    told = {look.word for look, _ in LEGEND}
    assert {"at risk", "breached", "failed", "missed", "long", "paused", "ok", "stale"} <= told
    house = House(tmp_path)
    house.engine()
    view = registry.make("floor", house.context())
    view.load()
    for size in ((80, 24), (120, 40)):
        shown = "\n".join(painted(view, *size))
        assert "◆ at risk" in shown
        assert "not seen, never drawn as ok" in shown
        assert "…" not in shown
    house.close()


@given(st.text(max_size=200), st.integers(1, 40), st.integers(1, 5))
def test_a_wrapped_sentence_fits_and_says_when_it_is_cut(text: str, cells: int, most: int):
    rows = wrap(text, cells, most)
    assert 1 <= len(rows) <= most
    assert all(width(row) <= cells for row in rows)


def test_words_are_not_lost_by_wrapping():
    said = "backfill ldz_to_rdv: not yet: start the job once for each business date"
    assert " ".join(wrap(said, 20, 9)) == said
    assert wrap(said, 20, 2)[-1].endswith("…")


async def test_a_sentence_longer_than_the_last_row_is_said_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THEME", "dark")
    (tmp_path / "value").write_text("one")
    app: Any = build(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.say(
            "backfill ldz_to_rdv_contracts: not yet: start the job once for each business date, one after the other"
        )
        await pilot.pause()
        last = " ".join(" ".join(screen(app).splitlines()[-2:]).split())
        assert last.endswith("for each business date, one after the other"), last


@pytest.mark.parametrize("argv", [["show", "floor"], ["show", "runs"], ["keys"], ["morning"]])
def test_a_configuration_that_is_not_there_is_no_empty_machine(
    argv: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """The name was mistyped: the store of another configuration would be shown under it."""
    from tui.cli import main

    assert main(["--config", str(tmp_path / "nope.toml"), *argv]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == (
        f"{tmp_path}/nope.toml: expected a configuration file, there is none; `watchfloor init` writes one\n"
    )
