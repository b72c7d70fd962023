"""What the card, the links and the palette speak of: each screen says what its cursor is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui import stores
from tests.tui.night import night
from tui import registry


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory):
    house = stores.story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


CONTRACTS = "prod-airflow:ldz_to_rdv_contracts"


@pytest.mark.parametrize(
    ("screen", "arg", "about"),
    [
        ("runs", CONTRACTS, f"{CONTRACTS}/r1"),
        ("runs", "local:month_end_close", "local:month_end_close"),
        ("run", f"{CONTRACTS}/r1", f"{CONTRACTS}/r1"),
        ("sources", "dbx-prod", "dbx-prod"),
        ("help", None, None),
    ],
)
def test_a_screen_says_what_its_cursor_is_on(story: stores.House, screen: str, arg: str | None, about: str | None):
    view = registry.make(screen, story.context(), arg)
    view.load()
    view.paint(120, 40)
    assert view.about() == about


def test_the_floor_says_its_row_and_of_a_silent_source_its_name(story: stores.House):
    view = registry.make("floor", story.context())
    view.load()
    seen = set()
    for _ in range(40):
        view.paint(120, 40)
        seen.add(view.about())
        view.act("move.down")
    assert {f"{CONTRACTS}/r1", "local:month_end_close", "dataiku"} <= seen


@pytest.mark.parametrize("screen", ["timeline", "layers", "deadlines", "morning"])
def test_what_shows_promises_says_run_or_pipeline_and_nothing_of_a_file(tmp_path: Path, screen: str):
    house = night(tmp_path)
    try:
        view = registry.make(screen, house.context())
        view.load()
        seen = set()
        for _ in range(80):
            view.paint(120, 40)
            seen.add(view.about())
            view.act("move.down")
        keys = {key for key in seen if key}
        assert any("/" in key for key in keys)
        known = {row.key for row in house.reader().floor()} | {"dataiku"}
        assert {key.partition("/")[0] for key in keys} <= known
    finally:
        house.close()
