"""What a pipeline owes that its source lists no more is unknown: said once, and over when it is back or was meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import AlertState, Severity, pipeline_key
from engine.config.model import Expectation, PipelineRule
from tests.alerts.floor import MINUTE, Floor
from tests.alerts.test_message import HOSTILE

HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
BAR = [f"bar{n}" for n in range(11)]


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path, listed=(), rules=(PipelineRule(match="flow:daily", consumers=("bi-team",)),))
    yield made
    made.close()


def promised(floor: Floor, *names: str, on: str | None = None) -> None:
    """These are listed, and something is configured of them."""
    floor.list(*names)
    one = [Expectation(id="ready", on=on or pipeline_key("flow", name), type="finish_by") for name in names]
    floor.ctx.config = replace(floor.ctx.config, expectations=tuple(one))
    with floor.store.transaction() as tx:
        for name in names:
            tx.db.execute(
                "INSERT OR IGNORE INTO expectation (promise, thing, pipeline_id, type, severity, words) SELECT 'ready', key, id, 'finish_by', 1,"
                " 'finish by 06:00 Europe/Paris' FROM pipeline WHERE key = ?",
                (pipeline_key("flow", name),),
            )
        tx.bump("owed")
    floor.tick()


def lists(floor: Floor, *names: str, times: int = 1) -> None:
    for _ in range(times):
        floor.clock.forward(30_000)
        floor.list(*names)
        floor.tick()


def alerts(floor: Floor) -> list[tuple[str, int]]:
    return floor.all("SELECT key, state FROM alert WHERE rule = 'pipeline-gone' ORDER BY opened, id")


def test_gone_after_two_listings_is_one_medium_alert_that_its_return_ends(floor: Floor) -> None:
    promised(floor, "daily")
    lists(floor, "other")
    assert alerts(floor) == []
    lists(floor, "other", times=5)
    assert alerts(floor) == [("flow:daily", AlertState.FIRING)]
    title, body, severity = floor.one("SELECT title, body, severity FROM alert")
    assert title == "daily gone: flow lists it no more"
    assert "finish by 06:00 Europe/Paris" in body
    assert "1 consumer: bi-team" in body
    assert severity == Severity.MEDIUM
    assert [kind for _, kind, _ in floor.letters] == ["fire"]
    lists(floor, "other", "daily")
    assert alerts(floor) == [("flow:daily", AlertState.RESOLVED)]
    assert floor.one("SELECT resolved_by FROM alert") == "its source lists it again"


def test_nobody_is_told_of_one_that_owes_nothing(floor: Floor) -> None:
    promised(floor, "daily")
    lists(floor, "daily", "other")
    lists(floor, "daily", times=3)
    assert alerts(floor) == []


def test_a_promise_that_is_taken_out_ends_it_without_a_claim(floor: Floor) -> None:
    promised(floor, "daily")
    lists(floor, "other", times=2)
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE expectation SET gone = 1")
        tx.bump("owed")
    floor.tick()
    assert alerts(floor) == [("flow:daily", AlertState.CLOSED)]
    floor.tick()
    assert len(alerts(floor)) == 1


def test_what_only_a_pattern_means_was_meant_to_go_after_a_week(floor: Floor) -> None:
    promised(floor, "daily", on="flow:*")
    lists(floor, "other", times=2)
    floor.clock.forward(6 * DAY)
    floor.tick()
    assert alerts(floor) == [("flow:daily", AlertState.FIRING)]
    floor.clock.forward(DAY)
    floor.tick()
    floor.clock.forward(2 * HOUR)
    floor.tick()
    assert alerts(floor) == [("flow:daily", AlertState.CLOSED)]


def test_what_is_named_stays_until_somebody_acts(floor: Floor) -> None:
    promised(floor, "daily")
    lists(floor, "other", times=2)
    floor.clock.forward(30 * DAY)
    floor.tick()
    assert alerts(floor) == [("flow:daily", AlertState.FIRING)]


def test_many_at_once_are_one_of_their_source(floor: Floor) -> None:
    promised(floor, *BAR, "daily")
    lists(floor, "daily", times=3)
    assert alerts(floor) == [("flow", AlertState.FIRING)]
    assert floor.one("SELECT title FROM alert") == "flow 11 pipelines gone: it lists them no more"
    assert len(floor.letters) == 1
    lists(floor, "other", times=3)  # later one more, which has its own
    assert alerts(floor) == [("flow", AlertState.FIRING), ("flow:daily", AlertState.FIRING)]
    lists(floor, *BAR)
    assert alerts(floor) == [("flow", AlertState.RESOLVED), ("flow:daily", AlertState.FIRING)]


def test_a_restart_and_a_rollback_neither_lose_nor_double(floor: Floor) -> None:
    from engine.alerts import Alerts

    promised(floor, "daily")
    floor.list("other")
    floor.list("other")

    def broken() -> None:
        with floor.store.transaction() as tx:
            floor.alerts.tick(tx)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert alerts(floor) == []
    floor.tick()
    floor.alerts = Alerts(floor.ctx)
    floor.tick()
    assert alerts(floor) == [("flow:daily", AlertState.FIRING)]


def test_hostile_names_are_harmless(floor: Floor) -> None:
    promised(floor, HOSTILE.encode(errors="ignore").decode())
    lists(floor, "other", times=2)
    title = floor.one("SELECT title FROM alert")
    assert title.isprintable()
    assert "gone" in title
