"""A source that measures and runs nothing, on the screens of those that do: no pipeline is no lack there, and all is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.extras import Readings
from adapters.model import VERBS, Sample
from engine.store import metrics
from tests.tui.stores import SIZES, House, painted
from tui import registry

WHY = {**dict.fromkeys(VERBS, "Prometheus measures; it runs nothing"), "log": "Prometheus measures; it runs nothing"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = House(tmp_path)
    h.engine()
    h.source("prom", kind="prometheus", offers=frozenset({"metrics", "metrics-past"}), why_not=WHY, version="2.42.0")
    yield h
    h.close()


def shown(h: House, screen: str, size: tuple[int, int] = (120, 40)) -> str:
    view = registry.make(screen, h.context())
    view.load()
    return "\n".join(painted(view, *size))


@pytest.mark.parametrize("screen", ["floor", "timeline", "layers"])
def test_where_nothing_runs_nothing_is_missing(house: House, screen: str) -> None:
    said = shown(house, screen)
    assert "measures and runs nothing; 6 Hosts shows it" in said
    assert "not been read" not in said
    assert "Nothing here runs pipelines   6 Hosts shows what is measured" in said
    house.source("af", offers=frozenset({*VERBS, "steps", "log"}))
    assert "no pipeline seen yet" in shown(house, screen), "one that has some was not read"


def test_a_source_that_nothing_is_known_of_yet_is_not_said_to_run_nothing(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("new", kind="prometheus", offers=frozenset())
    assert "runs nothing" not in shown(h, "floor")
    h.close()


def test_what_it_measures_stands_on_sources_with_what_is_missing(house: House) -> None:
    samples = [
        Sample("host@a:up", house.now, 1.0),
        Sample("host@b:up", house.now, 0.0),
        Sample("host@a:cpu", house.now, 3.0, "%"),
    ]
    found = Readings(samples=samples, failed={"lag": "the query is refused: \x1b[31mparse error"})
    with house.tx() as tx:
        metrics.put_readings(tx, "prom", {"lag": ""}, found)
    said = shown(house, "sources")
    assert "2 series · 2 hosts · 1 down · newest" in said
    assert "no reading of lag: the query is refused: parse error" in said
    assert "Prometheus measures; it runs nothing" in said
    assert "Can       metrics" in said
    for size in SIZES:
        shown(house, "sources", size)
