"""PostgreSQL against a recorded double of psycopg: what each question is wrapped in. What a real server makes of it is tried in
tests/real/test_postgresql.py, which needs one; here nothing is skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import Unreachable
from adapters.extras import SeriesQuery
from adapters.sql import SqlAdapter
from adapters.sql.answer import MOST_ROWS

CLOCK = "select (extract(epoch from clock_timestamp()) * 1000)::bigint"
COUNT = SeriesQuery("orders", "select count(*) from orders")
PARAMETERS = {
    "host", "port", "dbname", "user", "password", "connect_timeout", "application_name", "sslmode", "sslrootcert",
    "autocommit", "prepare_threshold", "options",
}  # fmt: skip
PATH = "SELECT set_config('search_path', quote_ident(%s), true)"


@dataclass
class Driver:
    """As far as the adapter uses psycopg 3.3; what it uses beyond that fails. ``answers``: statement → rows, or what is raised."""

    answers: dict[str, Any] = field(default_factory=lambda: {CLOCK: [(1_795_000_000_000,)], COUNT.text: [(7,)]})
    opened: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    taken: int = 0
    """Rows that were fetched of a stream."""
    refuses: dict[str, str] = field(default_factory=dict)
    """By a parameter of ``connect``, what is said of it."""

    def __post_init__(self) -> None:
        self.module = ModuleType("psycopg")
        self.Error = type("Error", (Exception,), {"sqlstate": None})
        self.OperationalError = type("OperationalError", (self.Error,), {})
        self.InterfaceError = type("InterfaceError", (self.Error,), {})
        self.module.__dict__.update(
            connect=self.connect, Error=self.Error, OperationalError=self.OperationalError,
            InterfaceError=self.InterfaceError,
        )  # fmt: skip

    def error(self, state: str, text: str) -> Exception:
        found = self.OperationalError(text)
        found.sqlstate = state  # type: ignore[attr-defined]
        return found

    def connect(self, **given: Any) -> Connection:
        assert set(given) <= PARAMETERS, given
        self.opened.append(given)
        for name, said in self.refuses.items():
            if name in given:
                raise self.OperationalError(said)
        return Connection(self)


class Connection:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def execute(self, sql: str, params: list[Any] | None = None) -> None:
        self._driver.log.append(sql if params is None else f"{sql} {params}")

    def cursor(self) -> Cursor:
        return Cursor(self._driver)

    def rollback(self) -> None:
        self._driver.log.append("rollback")

    def close(self) -> None:
        self._driver.log.append("close")


class Cursor:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.description: list[Any] | None = None

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        self._driver.log.append(sql)
        found = self._driver.answers[sql]
        if isinstance(found, Exception):
            raise found
        for row in found:
            self.description = [SimpleNamespace(name=f"c{i}") for i in range(len(row))]
            self._driver.taken += 1
            yield row


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    one = Driver()
    monkeypatch.setitem(sys.modules, "psycopg", one.module)
    return one


def adapter(**more: Any) -> SqlAdapter:
    options = {"statement_timeout": 3, **more.pop("options", {})}
    known: dict[str, Any] = {
        "name": "w", "kind": "sql", "url": "postgresql://db.example.com/dwh", "options": options,
        "auth": {"user": "watch", "password": Secret(lambda: "s3same", "env:T")},
    }  # fmt: skip
    return SqlAdapter(SourceSettings(**(known | more)))


def wrapped(log: list[str]) -> list[list[str]]:
    """What was asked, a transaction each: what is not within one stands by itself."""
    out: list[list[str]] = []
    for said in log:
        if not out or out[-1][-1] == "rollback" or said.startswith("BEGIN"):
            out.append([])
        out[-1].append(said)
    return out


def around(sql: str) -> list[str]:
    return ["BEGIN READ ONLY", "SET LOCAL statement_timeout = 3000", sql, "rollback"]


async def test_each_question_is_a_transaction_that_reads_only_and_has_a_patience(driver: Driver) -> None:
    one = adapter()
    await one.runs(None)
    found = await one.samples([COUNT])
    assert [s.value for s in found.samples] == [7.0]
    assert found.server_time == 1_795_000_000_000
    assert wrapped(driver.log) == [around(CLOCK), around(CLOCK), around(COUNT.text)]
    await one.close()


@pytest.mark.parametrize("state", ["57014", "42501", "42P01"])
async def test_so_is_one_that_is_refused_and_the_next_one_is_asked_as_ever(driver: Driver, state: str) -> None:
    bad = SeriesQuery("bad", "select nope from orders")
    driver.answers[bad.text] = driver.error(state, "no")
    one = adapter()
    found = await one.samples([bad, COUNT])
    assert set(found.failed) == {"bad"}
    assert (state == "57014") is (found.failed["bad"] == "no answer within 3 s")
    asked = [t for t in wrapped(driver.log) if t != ["close"]]
    assert sorted(asked) == sorted([around(CLOCK), around(bad.text), around(COUNT.text)])
    await one.close()


async def test_the_schema_is_set_for_the_question_alone(driver: Driver) -> None:
    one = adapter(options={"schema": "cdm; drop"})
    await one.samples([COUNT])
    first = wrapped(driver.log)[-1]
    assert first == [
        "BEGIN READ ONLY",
        "SET LOCAL statement_timeout = 3000",
        f"{PATH} ['cdm; drop']",
        COUNT.text,
        "rollback",
    ]
    await one.close()


async def test_no_more_rows_are_fetched_than_are_wanted_and_it_is_rolled_back(driver: Driver) -> None:
    many = SeriesQuery("many", "select name, n from t")
    driver.answers[many.text] = ((f"row {i}", i) for i in range(1_000_000))
    one = adapter()
    await one.runs(None)
    before = driver.taken
    assert "more than" in (await one.samples([many])).failed["many"]
    assert driver.taken - before == 1 + MOST_ROWS + 1, "the clock, and one row more than are taken"
    assert wrapped(driver.log)[-1] == around(many.text)
    await one.close()


async def test_a_session_reads_only_from_its_first_word(driver: Driver) -> None:
    one = adapter()
    await one.runs(None)
    (given,) = driver.opened
    assert given["options"] == "-c default_transaction_read_only=on"
    assert (given["autocommit"], given["prepare_threshold"]) == (True, None), (
        "no transaction but ours, no plan left behind"
    )
    assert (given["application_name"], given["dbname"], given["sslmode"]) == ("watchfloor", "dwh", "prefer")
    await one.close()


async def test_behind_a_pooler_that_takes_no_options_each_question_reads_only_all_the_same(driver: Driver) -> None:
    driver.refuses = {"options": "FATAL: unsupported startup parameter: options"}
    one = adapter()
    await one.samples([COUNT])
    assert ["options" in given for given in driver.opened] == [True, False]
    assert wrapped(driver.log) == [around(CLOCK), around(COUNT.text)]
    await one.close()


async def test_another_refusal_is_not_tried_again_without_it(driver: Driver) -> None:
    driver.refuses = {"options": "connection refused"}
    one = adapter()
    with pytest.raises(Unreachable):
        await one.runs(None)
    assert len(driver.opened) == 1
    await one.close()


async def test_a_patience_is_never_none_at_all(driver: Driver) -> None:
    """0 would mean: for ever."""
    one = adapter(options={"statement_timeout": "100ms"})
    await one.samples([COUNT])
    assert driver.log.count("SET LOCAL statement_timeout = 100") == 2
    await one.close()
