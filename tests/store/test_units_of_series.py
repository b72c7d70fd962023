"""The unit of a series: as the configuration names it, else as its source does."""

from __future__ import annotations

from pathlib import Path

from adapters.extras import Readings
from adapters.model import Sample
from engine.store import metrics
from engine.store.writer import Store
from tests.store.rig import Still


def units(store: Store) -> dict[str, str]:
    with store.transaction() as tx:
        return dict(tx.db.execute("SELECT name, unit FROM series").fetchall())


def put(store: Store, clock: Still, unit: str, own: str) -> None:
    clock.at += 10_000
    with store.transaction() as tx:
        found = Readings(samples=[Sample("lag", clock.at, 5.0, own)])
        metrics.put_readings(tx, "prom", {"lag": unit}, found)


def test_a_source_names_the_unit_where_the_configuration_does_not(tmp_path: Path) -> None:
    clock = Still(1_795_150_000_000)
    store = Store.open(tmp_path / "floor.db", clock)
    put(store, clock, "", "messages")
    put(store, clock, "", "messages")
    assert units(store)["lag"] == "messages"
    put(store, clock, "letters", "messages")
    assert units(store)["lag"] == "letters", "what a person wrote stands"
    store.close()
