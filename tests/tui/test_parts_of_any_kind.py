"""Parts of a source of a kind that no other source has: shown under its own name, reached and read like all others."""

from __future__ import annotations

from adapters.extras import SourceItem, Standing
from tests.tui.parts_story import put
from tests.tui.stores import HOUR, House, painted
from tui.screens.sources import SourcesView


def test_a_kind_of_its_own_has_a_pane_of_its_own(tmp_path) -> None:
    house = House(tmp_path)
    house.engine()
    house.source("db", kind="databricks", environment="prod")
    put(
        house,
        "db",
        [
            SourceItem(kind="cluster", name="shared", words="running, 3 of 8 workers", since=house.now - HOUR),
            SourceItem(kind="cluster", name="spot", standing=Standing.BAD, words="in error: no capacity"),
        ],
    )
    view = SourcesView(house.context(), "db")
    view.load()
    assert "cluster" in view.panes
    for _ in view.panes:
        if view.pane == "cluster":
            break
        view.act("view.pane")
    text = "\n".join(painted(view, 120, 40))
    assert " Clusters 2 " in text
    assert "running, 3 of 8 workers" in text
    assert "in error: no capacity" in text
    house.close()


def test_a_kind_that_is_not_there_has_no_pane(tmp_path) -> None:
    house = House(tmp_path)
    house.engine()
    house.source("af", kind="airflow")
    put(house, "af", [SourceItem(kind="component", name="scheduler", words="healthy")])
    view = SourcesView(house.context(), "af")
    view.load()
    assert "cluster" not in view.panes
    house.close()
