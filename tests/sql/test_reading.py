"""What an answer means, and what the adapter does beside the contract, against a SQLite file that somebody else writes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.base import SourceSettings
from adapters.errors import NotFound, Unreachable
from adapters.extras import SeriesQuery, series_of
from adapters.sql import SqlAdapter
from adapters.sql.answer import MOST_ROWS, Table, read
from tests.sql.world import File, settings

VIENNA = ZoneInfo("Europe/Vienna")
NAIVE = datetime
"""Of times as drivers give them where a column has no zone."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    one = File(tmp_path)
    yield one
    one.fault(None)


def got(table: Table, unit: str = "", zone: Any = UTC) -> tuple[dict[str, float], str | None]:
    samples, why = read(SeriesQuery("n", "select", unit), table, 5, zone)
    assert all(series_of("n", s.series) and s.t == 5 and s.unit == unit for s in samples)
    return {s.series: s.value for s in samples}, why


def one(*values: Any) -> Table:
    return Table(tuple("abcdef"[: len(values)]), [values])


# --- what an answer means -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (2.5, 2.5),
        (Decimal("7.25"), 7.25),
        (True, 1.0),
        (False, 0.0),
        (timedelta(minutes=2), 120.0),
        (-1, -1.0),
    ],
)
def test_one_number(value: Any, number: float) -> None:
    assert got(one(value)) == ({"n": number}, None)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table(("a",), []), "it gave no row"),
        (Table((), []), "it gave no row"),
        (one(None), "it gave no value: NULL"),
        (one("x", None), "it gave no value: NULL"),
        (one(float("nan")), "it gave no number: nan"),
        (one(Decimal("NaN")), "it gave no number: NaN"),
        (one(float("-inf")), "it gave no number: -inf"),
        (one(10**400), "it gave no number: 1000"),
        (one("12"), "it gave a text, not a number"),
        (one(b"12"), "a value of the sort bytes"),
        (one(1, 2), "it gives 2 columns of numbers"),
        (one("a", "b"), "it gives 0 columns of numbers"),
        (Table(("a",), [(1,), (2,)]), "it gives 2 rows and nothing to tell them apart"),
        (Table(("l", "a"), [("x", 1), ("x", 2)]), "two rows are both {l=x}"),
        (Table(("l", "a"), [(str(i), i) for i in range(MOST_ROWS + 1)]), "it gives more than 1,000 rows"),
        (one(datetime(2026, 11, 20, tzinfo=UTC)), 'it gave a time: write unit = "time"'),
    ],
)
def test_what_is_no_number_is_a_reason_and_never_0(table: Table, words: str) -> None:
    values, why = got(table)
    assert values == {}
    assert words in (why or "")


def test_texts_and_dates_are_labels_and_harmless() -> None:
    table = Table(
        ("layer", "day", "n"), [("ldz", date(2026, 11, 20), 5), (None, None, 6), ("a{b}\x1b[31m", None, None)]
    )
    assert got(table) == ({"n{layer=ldz,day=2026-11-20}": 5.0, "n{layer=null,day=null}": 6.0}, None)


def test_a_number_of_a_row_keeps_its_labels_when_it_is_the_only_one() -> None:
    assert got(one("ldz", 5)) == ({"n{a=ldz}": 5.0}, None)


NOON = 1_795_176_000_000  # 2026-11-20 12:00 UTC
DAY = NOON - 43_200_000  # its midnight


@pytest.mark.parametrize(
    ("value", "zone", "t"),
    [
        (datetime(2026, 11, 20, 12, tzinfo=UTC), VIENNA, NOON),
        (datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2))), VIENNA, NOON),
        (NAIVE(2026, 11, 20, 13), VIENNA, NOON),
        (NAIVE(2026, 7, 20, 12), VIENNA, 1_784_541_600_000),
        ("2026-11-20 13:00:00", VIENNA, NOON),
        ("2026-11-20T12:00:00Z", VIENNA, NOON),
        (date(2026, 11, 20), UTC, DAY),
        (date(2026, 11, 20), VIENNA, DAY - 3_600_000),
    ],
)  # fmt: skip
def test_an_instant(value: Any, zone: Any, t: int) -> None:
    assert got(one(value), "time", zone) == ({"n": float(t)}, None)


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 11, 20), "2026-11-20", "20261120", 20261120, Decimal(20261120), NAIVE(2026, 11, 20, 23, 59),
        datetime(2026, 11, 19, 23, 30, tzinfo=UTC), "2026-11-20 04:00:00",
    ],
)  # fmt: skip
def test_a_date_is_midnight_utc_of_it_wherever_the_source_is(value: Any) -> None:
    assert got(one(value), "date", VIENNA) == ({"n": float(DAY)}, None)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (1763640000, "time", "it gave a number, which is no instant by itself"),
        ("yesterday", "time", "it gave a text"),
        (20261399, "date", "it gave a number"),
        (None, "time", "NULL"),
        (True, "date", "it gave a number"),
    ],
)
def test_what_is_no_time_is_said(value: Any, unit: str, words: str) -> None:
    values, why = got(one(value), unit)
    assert values == {}
    assert words in (why or "")


def test_times_of_several_rows() -> None:
    when = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert got(Table(("layer", "at"), [("ldz", when), ("cdm", None)]), "time") == ({"n{layer=ldz}": NOON}, None)
    assert "select one" in (got(one(when, when), "time")[1] or "")
    assert "a number beside the time" in (got(one(7, when), "time")[1] or "")


# --- what the adapter does ------------------------------------------------------------------------------------------------


async def test_a_query_that_takes_too_long_costs_only_itself_and_rests(file: File) -> None:
    adapter = file.adapter()
    endless = "with recursive r(x) as (select 1 union all select x + 1 from r) select count(*) from r"
    queries = [SeriesQuery("slow", endless), *(file.measure(f"n{i}", i) for i in range(5))]
    for _ in range(2):
        found = await adapter.samples(queries)
        assert {s.series for s in found.samples} == {f"n{i}" for i in range(5)}
        assert found.failed == {"slow": "no answer within 0.4 s"}
    assert adapter.spent[0] == 7 + 6, "it is not asked again at once"
    await adapter.close()


async def test_no_more_rows_are_taken_than_may_be(file: File) -> None:
    adapter = file.adapter()
    rows = "with recursive r(x) as (select 1 union all select x + 1 from r where x < {}) select 'row ' || x, x from r"
    found = await adapter.samples([SeriesQuery("all", rows.format(1000)), SeriesQuery("many", rows.format(1_001))])
    assert len(found.samples) == MOST_ROWS
    assert found.failed == {"many": "it gives more than 1,000 rows: count or group in the query"}
    await adapter.close()


async def test_a_subset_is_answered_and_forgets_nothing_of_the_others(file: File) -> None:
    adapter = file.adapter()
    bad, good = SeriesQuery("bad", "select nope from numbers"), file.measure("n", 1)
    await adapter.samples([bad, good])
    assert (await adapter.samples([good])).failed == {}
    before = adapter.spent[0]
    assert "no such column" in (await adapter.samples([bad])).failed["bad"]
    assert adapter.spent[0] == before + 1, "the clock; the query still rests"
    assert not (await adapter.samples([])).samples
    await adapter.close()


async def test_what_is_refused_here_reaches_nobody(file: File) -> None:
    adapter = file.adapter()
    file.measure("n", 1)
    queries = [
        SeriesQuery("a", "delete from numbers"),
        SeriesQuery("b", "select 1; drop table numbers"),
        SeriesQuery("c", "with x as (select 1) insert into numbers select 'x', 1"),
    ]
    found = await adapter.samples(queries)
    assert set(found.failed) == {"a", "b", "c"}
    assert all(text.startswith("the query is refused: it ") for text in found.failed.values())
    assert adapter.spent[0] == 1
    assert len((await adapter.samples([SeriesQuery("n", "select value from numbers")])).samples) == 1
    await adapter.close()


@pytest.mark.parametrize(
    "sql", ["insert into numbers values ('x', 1)", "drop table numbers", "pragma query_only = off"]
)
async def test_what_gets_past_the_text_writes_nothing_all_the_same(
    file: File, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.sql.adapter.wrong", lambda text, dialect: None)
    before = file.path.read_bytes()
    adapter = file.adapter()
    found = await adapter.samples([SeriesQuery("n", sql)])
    assert not found.samples
    insert = await adapter.samples([SeriesQuery("m", "insert into numbers values ('y', 1)")])
    assert "the database is read only" in insert.failed["m"]
    await adapter.close()
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("lost", ["mode=ro", "query_only"])
async def test_each_of_two_locks_holds_by_itself(file: File, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is opened read-only, and its session only queries: where one of them fails, the other refuses."""
    monkeypatch.setattr("adapters.sql.adapter.wrong", lambda text, dialect: None)
    opened: list[str] = []
    connect = sqlite3.connect

    class Unlocked(sqlite3.Connection):
        def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
            opened.append(sql)
            return super().execute("select 1" if lost in sql else sql, *more)

    def unlocked(name: str, **more: Any) -> sqlite3.Connection:
        opened.append(name)
        return connect(name.replace("mode=ro", "mode=rw") if lost == "mode=ro" else name, **more, factory=Unlocked)

    monkeypatch.setattr("adapters.sql.engines.sqlite.sqlite3.connect", unlocked)
    adapter = file.adapter()
    found = await adapter.samples([SeriesQuery("n", "insert into numbers values ('x', 1)")])
    assert found.failed == {"n": "the query is refused: the database is read only for us"}
    assert any(lost in said for said in opened), "the lock that was taken away was there"
    await adapter.close()


async def test_a_file_that_is_replaced_is_read_anew(file: File) -> None:
    adapter = file.adapter()
    query = file.measure("n", 1)
    assert [s.value for s in (await adapter.samples([query])).samples] == [1.0]
    file.path.rename(file.kept)
    new = File(file.path.parent)
    new.measure("n", 2)
    assert [s.value for s in (await adapter.samples([query])).samples] == [2.0]
    file.path.unlink()
    with pytest.raises(NotFound) as gone:
        await adapter.samples([query])
    assert gone.value.what == f"there is no file {file.path}"
    assert gone.value.hint == "make it, or correct url of this source"
    await adapter.close()


async def test_a_writer_that_holds_the_file_is_said_and_blocks_nothing(file: File) -> None:
    from adapters.contract import Fault

    adapter = file.adapter()
    query = file.measure("n", 1)
    await adapter.samples([query])
    file.fault(Fault.HANG)
    ticks, began = 0, time.monotonic()
    asked = asyncio.create_task(adapter.samples([query]))
    while not asked.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(Unreachable) as locked:
        asked.result()
    assert "a writer holds it locked for more than 0.4 s" in locked.value.what
    assert ticks > 10, "the loop went on"
    assert time.monotonic() - began < 2
    file.fault(None)
    assert (await adapter.samples([query])).samples
    await adapter.close()


async def test_queries_that_find_no_time_are_said_and_come_first_next_time(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def taken(*args: Any) -> Any:
        now[0] += 15.0
        return read(*args)

    monkeypatch.setattr("adapters.sql.adapter._loop_s", lambda: now[0])
    monkeypatch.setattr("adapters.sql.adapter.read", taken)
    adapter = file.adapter()
    queries = [file.measure(f"q{i}", i) for i in range(6)]
    first = await adapter.samples(queries)
    late = {name for name, why in first.failed.items() if why.startswith("not asked this time")}
    assert late == {"q4", "q5"}
    second = await adapter.samples(queries)
    assert late <= {s.series for s in second.samples}
    assert len(second.samples) == 4
    await adapter.close()


async def test_no_more_than_two_threads_and_none_is_left(file: File) -> None:
    def mine() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("watchfloor-sql")]

    before = len(mine())
    adapter = file.adapter()
    queries = [file.measure(f"n{i}", i) for i in range(12)]
    await adapter.samples(queries)
    assert len(mine()) - before <= 2
    await asyncio.gather(*(adapter.samples(queries) for _ in range(3)))
    assert len(mine()) - before <= 2
    await adapter.close()
    for thread in mine():
        await asyncio.to_thread(thread.join, 5)
    assert len(mine()) == before
    with pytest.raises(Unreachable):
        await adapter.samples(queries)


# --- the configuration ----------------------------------------------------------------------------------------------------

USER = {"user": "watch"}


@pytest.mark.parametrize(
    ("url", "auth", "options", "words"),
    [
        ("mysql://h/d", USER, {}, "url: expected one of postgresql://host"),
        ("postgresql://u:pw@h/d", USER, {}, "url: user and password do not belong into it"),
        ("postgresql://h/d?password=sesame", USER, {}, "url: user and password do not belong into it"),
        ("postgresql://h:x/d", USER, {}, "url: it cannot be read"),
        ("postgresql://h", USER, {}, "url: expected postgresql://host:5432/database"),
        ("postgresql://h/d/e", USER, {}, "url: expected postgresql://host:5432/database"),
        ("sqlite://relative.db", {}, {}, "three slashes"),
        ("sqlite:///a.db", USER, {}, "auth: a file has no user and password"),
        ("postgresql://h/d", {}, {}, "auth: expected the user"),
        ("postgresql://h/d", {"user": "u", "passwd": "x"}, {}, "auth: unknown key 'passwd'"),
        ("snowflake://a/d", {"user": "u", "password": "x", "token": "y"}, {}, "one of password, token and private_key"),
        ("postgresql://h/d", USER, {"warehouse": "w"}, "options: unknown key 'warehouse' of postgresql"),
        ("postgresql://h/d?sslmodus=x", USER, {}, "url: unknown key 'sslmodus' of postgresql"),
        ("postgresql://h/d", USER, {"sslmode": "on"}, "options.sslmode: expected one of disable"),
        ("sqlite:///a.db", {}, {"statement_timeout": "1m"}, "options.statement_timeout: expected"),
        ("sqlite:///a.db", {}, {"statement_timeout": 60}, "from 0.1 to 30"),
        ("sqlite:///a.db", {}, {"statement_timeout": True}, "options.statement_timeout"),
        ("oracle://h/s", USER, {"encrypted": "yes"}, "options.encrypted: expected true or false"),
        ("snowflake://a/d/s?warehouse=w", USER, {"warehouse": "x"}, "different values of warehouse"),
        ("snowflake://a/d/s", USER, {"schema": "x"}, "different values of schema"),
    ],
)
def test_what_is_written_wrong_is_said_in_one_sentence(
    url: str, auth: dict[str, str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError) as said:
        SqlAdapter(SourceSettings(name="w", kind="sql", url=url, auth=auth, options=options))
    assert words in str(said.value)
    assert "sesame" not in str(said.value)
    assert "pw@" not in str(said.value)


def test_a_relative_looking_setting_is_fine(tmp_path: Path) -> None:
    adapter = SqlAdapter(settings(tmp_path / "a b.db", options={"statement_timeout": "2.5s", "connect_timeout": 3}))
    assert repr(adapter) == f"SqlAdapter('w', 'sqlite://{tmp_path}/a b.db')"
