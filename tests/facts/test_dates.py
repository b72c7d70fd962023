"""Business dates as ``[[pipeline]] business_date`` says them: of runs, and of what is owed, so that they meet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed, Run, State, run_key
from adapters.schedule import parse
from engine.facts.dates import dated
from engine.store.packed import bdate_text
from engine.store.runs import run_id_of
from tests.engine.scenario import Scenario
from tests.engine.test_nights import FINISH, SALES, folder, known, sales

__all__ = ["folder"]
PARIS = "Europe/Paris"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def run(date: str | None = "2026-11-20", started: str | None = "2026-11-20T23:30", **more: Any) -> Run:
    return Run(
        key="air:sales/r",
        native="success",
        state=State.SUCCESS,
        business_date=date,
        started=started and at(started),
        **more,
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "one", "date"),
    [
        ("start", run(), "2026-11-20"),
        ("start - 1d", run(), "2026-11-19"),
        ("start + 2d", run(), "2026-11-22"),
        ("start", run(None), "2026-11-21"),  # 00:30 in Paris: a run that was started by hand
        ("start - 1d", run(None), "2026-11-20"),
        ("start", run(None, None), None),
        ("start", run(None, None, queued=at("2026-11-20T04:00")), "2026-11-20"),
        ("interval_end", run(), "2026-11-20"),
        ("interval_end - 1d", run("2026-03-01"), "2026-02-28"),
        ("interval_end", run(None), None),
        ("logical", run("2026-11-23"), "2026-11-20"),  # of Monday: Friday
        ("logical", run("2026-11-20"), "2026-11-19"),
        ("logical", run(None), None),
        ("logical", run("2026-11-22"), None),  # no tick on a Sunday
        ("param:day", run(params={"day": "2026-11-18"}), "2026-11-18"),
        ("param:day", run(params={"day": "20261118"}), "2026-11-18"),
        ("param:day", run(params={"day": 20261118}), "2026-11-18"),
        ("param:day", run(params={"day": "2026-11-18T05:00:00Z"}), "2026-11-18"),
        ("param:day", run(params={"day": "2026-13-45"}), None),
        ("param:day", run(params={"day": "yesterday"}), None),
        ("param:day", run(params={"day": ["2026-11-18"]}), None),
        ("param:day", run(), None),
    ],
)
def test_rules(rule: str, one: Run, date: str | None) -> None:
    assert dated(one, rule, PARIS, parse("0 5 * * mon-fri", PARIS)) == date


def test_of_several_ticks_of_a_date_the_last_before_the_run() -> None:
    twice = parse("0 1,13 * * *", "UTC")
    assert dated(run(started="2026-11-20T01:01"), "logical", "UTC", twice) == "2026-11-19"
    assert dated(run(started="2026-11-20T13:01"), "logical", "UTC", twice) == "2026-11-20"
    assert dated(run(), "logical", "UTC", None) is None


@pytest.mark.parametrize(
    ("rule", "date"), [("start - 1d", "2026-11-19"), ("logical", "2026-11-19"), ("start", "2026-11-20")]
)
async def test_the_run_and_what_is_owed_have_the_same_date(folder: Path, rule: str, date: str) -> None:
    rules = f'\n[[pipeline]]\nmatch = "{SALES}"\nbusiness_date = "{rule}"\n'
    async with sales(folder, FINISH + rules) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        assert night.owed(SALES, "finish_by").business_date == date
        native = night.run("daily_sales", after="05:00")
        await night.until("05:30")
        night.server.set_run("daily_sales", native, "success")
        await night.step(60_000)
        assert stored(night, native) == date
        assert night.state(SALES, "finish_by", date) is Owed.MET


async def test_a_run_by_hand_is_for_the_date_in_its_parameters(folder: Path) -> None:
    rules = f'\n[[pipeline]]\nmatch = "{SALES}"\nbusiness_date = "param:day"\n'
    async with sales(folder, FINISH + rules) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        native = night.run("daily_sales", "success", after="05:00", conf={"day": "2026-11-12"})
        await night.step(60_000)
        assert stored(night, native) == "2026-11-12"


def stored(night: Scenario, native: str) -> str | None:
    with night.engine.store.transaction() as tx:
        row = tx.db.execute("SELECT bdate FROM run WHERE id = ?", (run_id_of(tx, run_key(SALES, native)),)).fetchone()
    return bdate_text(row[0])
