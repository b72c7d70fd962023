"""Oracle, SQL Server and Snowflake against doubles of their drivers: how they are opened and asked, what their errors mean, and the
bad days that no file can have. What a real server does beyond it was not seen."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.extras import SeriesQuery
from adapters.sql import SqlAdapter
from adapters.sql.engines import oracle, sqlserver
from adapters.sql.pool import MOST_LEFT
from tests.servers.sql_double import MODULES, OWN, Double, settled

PASSWORD = "s3same-0pen"
URLS = {
    "oracle": "oracle://db.example.com:1521/DWH",
    "sqlserver": "sqlserver://db.example.com/DWH",
    "snowflake": "snowflake://org-account/DWH/LDZ?warehouse=WATCH_XS&role=READER",
}
COUNT = SeriesQuery("orders", "select count(*) from orders")
GRANTS = 'SHOW GRANTS TO ROLE "READER"'
RIGHTS = {
    "oracle": (oracle.RIGHTS, [(0, 0, 0)]),
    "sqlserver": (sqlserver.RIGHTS, [(0,) * 6]),
    "snowflake": (GRANTS, []),
}


@pytest.fixture
def double(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    yield from made(request.param, monkeypatch)


def made(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    one = Double(kind)
    one.answers = {COUNT.text: [(7,)], RIGHTS[kind][0]: RIGHTS[kind][1]}
    if kind == "snowflake":
        monkeypatch.setitem(sys.modules, "snowflake", one.module())
    monkeypatch.setitem(sys.modules, MODULES[kind], one.module())
    yield one
    one.release.set()
    assert one.strange == []
    assert settled(lambda: one.open == 0), "a connection is left open"


NAIVE = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)
"""As drivers give a time whose column has no zone."""
every = pytest.mark.parametrize("double", list(URLS), indirect=True)


def of(kind: str) -> Any:
    return pytest.mark.parametrize("double", [kind], indirect=True)


def adapter(double: Double, **more: Any) -> SqlAdapter:
    options = {"statement_timeout": "300ms", "connect_timeout": "300ms", **more.pop("options", {})}
    known: dict[str, Any] = {
        "name": "w", "kind": "sql", "url": URLS[double.kind], "options": options,
        "auth": {"user": "watch", "password": Secret(lambda: PASSWORD, "env:T")},
    }  # fmt: skip
    return SqlAdapter(SourceSettings(**(known | more)))


# --- how it is asked ------------------------------------------------------------------------------------------------------


@every
async def test_a_value_the_servers_time_and_who_asks(double: Double) -> None:
    one = adapter(double)
    probe = await one.probe()
    assert probe.version.split()[-1] in ("23.4.0.24.5", "16.0.4", "9.30.1")
    assert (probe.identity or "").upper().startswith("WATCH")
    assert not [w for w in probe.warnings if "may write" in w]
    found = await one.samples([COUNT])
    (sample,) = found.samples
    assert sample.value == 7.0
    if double.kind == "snowflake":
        assert found.server_time is None, "it is not asked for: that could wake a warehouse"
        assert abs(sample.t - time.time() * 1000) < 5_000
    else:
        assert 0 <= sample.t - 1_795_000_000_000 < 5_000
        assert probe.server_time == 1_795_000_000_000
    await one.close()


@every
async def test_each_statement_is_rolled_back(double: Double) -> None:
    one = adapter(double)
    await one.samples([COUNT])
    at = double.log.index(COUNT.text)
    assert double.log[at + 1 : at + 3] == ["closed", "rollback"]
    double.answers["select 2"] = double.error(942 if double.kind != "oracle" else "ORA-00942", "no such table")
    await one.samples([SeriesQuery("bad", "select 2")])
    assert double.log[double.log.index("select 2") + 1 :] == ["closed", "rollback"]
    await one.close()


@of("oracle")
async def test_oracle_reads_only_with_a_patience_of_its_own(double: Double) -> None:
    one = adapter(double, options={"schema": "LDZ", "statement_timeout": 3})
    await one.samples([SeriesQuery("orders", COUNT.text + " ; -- all")])
    (given,) = double.opened
    assert (given["service_name"], given["protocol"], given["host"], given["port"]) == (
        "DWH",
        "tcp",
        "db.example.com",
        1521,
    )
    assert double.log[0] == "thin"
    assert {"call_timeout=3000", "module=watchfloor", "current_schema=LDZ"} <= set(double.log)
    assert double.log[double.log.index(COUNT.text) - 1] == "SET TRANSACTION READ ONLY"
    await one.close()
    one = adapter(double, options={"encrypted": True})
    await one.runs(None)
    assert double.opened[-1]["protocol"] == "tcps"
    assert double.opened[-1]["ssl_context"].check_hostname
    await one.close()


@of("oracle")
async def test_oracle_columns_whose_zone_is_lost_are_refused(double: Double) -> None:
    double.answers["select a from t"] = [(NAIVE,)]
    double.answers["select b from t"] = [(NAIVE,)]
    double.described["select a from t"] = [("A", "TZ")]
    double.described["select b from t"] = [("B", "DATE")]
    one = adapter(double)
    found = await one.samples(
        [SeriesQuery("a", "select a from t", "time"), SeriesQuery("b", "select b from t", "time")]
    )
    assert [s.value for s in found.samples] == [1_795_176_000_000.0]
    assert found.failed["a"].startswith("the driver drops the zone of A: write cast(A at time zone 'UTC' as timestamp)")
    await one.close()


@of("sqlserver")
async def test_sql_server_is_told_who_asks_and_how_long_and_gets_nothing_that_could_write(double: Double) -> None:
    one = adapter(double, options={"encrypted": True, "statement_timeout": 3})
    found = await one.samples(
        [COUNT, SeriesQuery("w", "select 1 delete from orders"), SeriesQuery("x", "exec load_all")]
    )
    (given,) = double.opened
    assert {k: given[k] for k in ("appname", "timeout", "read_only", "encryption", "port", "database")} == {
        "appname": "watchfloor", "timeout": 3, "read_only": True, "encryption": "require", "port": "1433", "database": "DWH",
    }  # fmt: skip
    assert double.log[:3] == ["SET LOCK_TIMEOUT 3000", "closed", "rollback"], "no transaction is left open by it"
    assert found.failed.keys() == {"w", "x"}
    assert len(found.samples) == 1
    await one.close()


@of("snowflake")
async def test_snowflake_is_asked_whether_it_lives_without_a_warehouse_and_seldom(double: Double) -> None:
    one = adapter(double)
    for _ in range(5):
        await one.runs(None)
    assert [sql for sql in double.log if sql.split()[0] in ("SHOW", "select")] == list(OWN["snowflake"])[:1]
    (given,) = double.opened
    assert (given["account"], given["database"], given["schema"]) == ("org-account", "DWH", "LDZ")
    assert (given["warehouse"], given["role"], given["autocommit"]) == ("WATCH_XS", "READER", False)
    assert given["session_parameters"] == {"STATEMENT_TIMEOUT_IN_SECONDS": 1, "QUERY_TAG": "watchfloor"}
    await one.close()


@of("snowflake")
async def test_snowflake_asked_often_is_told_what_it_costs(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SeriesQuery("shown", "show tables")
    double.answers["show tables"] = [(3,)]
    now = [1000.0]
    monkeypatch.setattr("adapters.sql.adapter._loop_s", lambda: now[0])
    one = adapter(double)
    assert (await one.samples([COUNT, shown])).warnings == ()
    now[0] += 60
    found = await one.samples([COUNT, shown])
    assert found.warnings == (
        'orders: asked every 60 s, and each time it may wake a warehouse, a minute of which is billed: every = "15m"',
    )
    assert one.notes == (found.warnings[0].removeprefix("orders: "),)
    now[0] += 900
    assert (await one.samples([COUNT, shown])).warnings == ()
    assert one.notes == ()
    await one.close()


@of("snowflake")
async def test_snowflake_takes_a_token(double: Double) -> None:
    one = adapter(double, auth={"user": "watch", "token": Secret(lambda: PASSWORD, "env:T")})
    await one.runs(None)
    assert double.opened[0]["authenticator"] == "PROGRAMMATIC_ACCESS_TOKEN"
    assert double.opened[0]["token"] == PASSWORD
    assert "password" not in double.opened[0]
    await one.close()


@of("snowflake")
async def test_snowflake_takes_a_key_pair(double: Double) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nAQID\nBAUG\n-----END PRIVATE KEY-----\n"
    one = adapter(double, auth={"user": "watch", "private_key": Secret(lambda: pem, "file:key")})
    await one.runs(None)
    assert double.opened[0]["authenticator"] == "SNOWFLAKE_JWT"
    assert double.opened[0]["private_key"] == bytes(range(1, 7))
    await one.close()
    for wrong in (PASSWORD, pem.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"), pem.replace("AQID", "AQI")):
        one = adapter(double, auth={"user": "watch", "private_key": Secret(lambda w=wrong: w, "file:key")})
        with pytest.raises(AuthFailed) as said:
            await one.runs(None)
        assert said.value.what == "private_key is no unencrypted PKCS#8 key"
        assert PASSWORD not in f"{said.value!r} {said.value.hint}"
        await one.close()
    assert len(double.opened) == 1


@every
async def test_who_may_write_is_told(double: Double) -> None:
    rows = {"oracle": [(1, 0, 0)], "sqlserver": [(0, 0, 1, 1, 0, 0)], "snowflake": [("x", "SELECT"), ("x", "INSERT")]}
    double.answers[RIGHTS[double.kind][0]] = rows[double.kind]
    double.described[GRANTS] = [("created_on", None), ("privilege", None)]
    one = adapter(double)
    (warning,) = [w for w in (await one.probe()).warnings if "may write" in w]
    assert "read" in warning.partition("give it")[2]
    await one.close()


@every
async def test_what_may_not_be_asked_about_rights_is_said_and_no_fault(double: Double) -> None:
    code: Any = {"oracle": "ORA-00942", "sqlserver": 229, "snowflake": 2003}[double.kind]
    double.answers[RIGHTS[double.kind][0]] = double.error(code, "not for you")
    one = adapter(double)
    (warning,) = [w for w in (await one.probe()).warnings if "could not be found out" in w]
    assert "not for you" in warning
    await one.close()


# --- what its errors mean -------------------------------------------------------------------------------------------------

OPENING: list[tuple[str, Any, str, type[AdapterError], str]] = [
    ("oracle", "ORA-01017", f"invalid credential; {PASSWORD}", AuthFailed, "user or password is wrong (ORA-01017)"),
    ("oracle", "ORA-28000", "the account is locked", AuthFailed, "the account is locked (ORA-28000)"),
    ("oracle", "ORA-01045", "lacks CREATE SESSION", Forbidden, "does not let this user in"),
    ("oracle", "DPY-6001", "Service DWH is not registered", NotFound, "has no service DWH"),
    ("oracle", "ORA-12514", "TNS", NotFound, "has no service DWH"),
    ("oracle", "ORA-00018", "maximum number of sessions", RateLimited, "has no session left"),
    ("oracle", "DPY-6005", "cannot connect\n[Errno 111] Connection refused", Unreachable, "refuses connections"),
    (
        "oracle",
        "DPY-6005",
        "cannot connect\n[SSL: CERTIFICATE_VERIFY_FAILED] no",
        Unreachable,
        "the encrypted connection",
    ),
    ("oracle", "ORA-01034", "ORACLE not available", Unreachable, "does not answer"),
    ("oracle", "ORA-00600", "internal error", BadResponse, "says: ORA-00600"),
    ("sqlserver", 18456, "Login failed for user 'watch'.", AuthFailed, "user or password is wrong (18456)"),
    ("sqlserver", 18487, "expired", AuthFailed, "the password has expired"),
    ("sqlserver", 4060, "Cannot open database", NotFound, "has no database DWH"),
    ("sqlserver", 916, f"not able to access {PASSWORD}", Forbidden, "does not let this login in"),
    ("sqlserver", 10928, "Resource ID", RateLimited, "no connection left"),
    ("sqlserver", 20009, "Unable to connect: Connection refused", Unreachable, "refuses connections"),
    ("sqlserver", 20002, "Adaptive Server connection failed", Unreachable, "does not answer"),
    ("sqlserver", 7777, "strange", BadResponse, "says: strange"),
    ("snowflake", 390100, f"Incorrect username {PASSWORD}", AuthFailed, "does not accept the login (390100)"),
    ("snowflake", 250001, "Incorrect username or password was specified.", AuthFailed, "does not accept the login"),
    ("snowflake", 250003, "404 Not Found", Unreachable, "does not answer"),
]


@pytest.mark.parametrize(
    ("double", "code", "text", "expected", "words"),
    OPENING,
    indirect=["double"],
    ids=[f"{o[0]}-{o[1]}-{i}" for i, o in enumerate(OPENING)],
)
async def test_what_does_not_open(
    double: Double, code: Any, text: str, expected: type[AdapterError], words: str
) -> None:
    double.connects = double.error(code, text, "OperationalError")
    one = adapter(double)
    for call in (one.probe, lambda: one.runs(None), lambda: one.samples([COUNT])):
        with pytest.raises(expected) as said:
            await call()
        assert words in said.value.what
        everything = (
            f"{said.value!r} {said.value.what} {said.value.hint} {said.value.__context__!r} {said.value.__cause__!r}"
        )
        assert PASSWORD not in everything
        assert said.value.what.isprintable()
        assert said.value.__context__ is None
    if expected is AuthFailed:
        assert len(double.opened) == 1, "a refused password is not sent again"
    double.connects = None
    if expected is not AuthFailed:
        assert (await one.samples([COUNT])).samples
    await one.close()


ASKED: list[tuple[str, Any, str, str, str]] = [
    (
        "oracle",
        "ORA-00942",
        "table or view does not exist",
        "DatabaseError",
        "so it is said of a table that the user may not read",
    ),
    ("oracle", "ORA-01456", "may not perform insert in READ ONLY", "DatabaseError", "the query is refused: ORA-01456"),
    ("oracle", "DPY-4024", "call timeout of 300 ms exceeded", "DatabaseError", "no answer within 0.3 s"),
    (
        "sqlserver",
        229,
        "The SELECT permission was denied on the object 'orders'",
        "OperationalError",
        "SELECT permission was denied",
    ),
    ("sqlserver", 208, f"Invalid object name '{PASSWORD}'.", "ProgrammingError", "Invalid object name '****'."),
    ("sqlserver", 20003, "Adaptive Server connection timed out", "OperationalError", "no answer within 0.3 s"),
    ("sqlserver", 1222, "Lock request time out period exceeded.", "OperationalError", "no answer within 0.3 s"),
    (
        "snowflake",
        2003,
        "Object 'ORDERS' does not exist or not authorized.",
        "ProgrammingError",
        "does not exist or not authorized",
    ),
    ("snowflake", 606, "No active warehouse selected", "ProgrammingError", "see options.warehouse"),
    (
        "snowflake",
        630,
        "Statement reached its statement or warehouse timeout",
        "ProgrammingError",
        "no answer within 0.3 s",
    ),
]


@pytest.mark.parametrize(
    ("double", "code", "text", "name", "words"), ASKED, indirect=["double"], ids=[f"{o[0]}-{o[1]}" for o in ASKED]
)
async def test_what_one_query_does_wrong_leaves_the_others(
    double: Double, code: Any, text: str, name: str, words: str
) -> None:
    double.answers["select 1 from bad"] = double.error(code, text, name)
    one = adapter(double)
    queries = [SeriesQuery("bad", "select 1 from bad"), COUNT]
    for _ in range(3):
        found = await one.samples(queries)
        assert [s.series for s in found.samples] == ["orders"]
        assert words in found.failed["bad"]
        assert PASSWORD not in found.failed["bad"]
    assert double.log.count("select 1 from bad") == 1, "it rests"
    await one.close()


LOST: dict[str, Any] = {"oracle": "DPY-4011", "sqlserver": 20047, "snowflake": 390114}


@every
async def test_a_connection_that_broke_is_opened_anew_once(double: Double) -> None:
    one = adapter(double)
    await one.samples([COUNT])
    broken = [double.error(LOST[double.kind], "gone", "OperationalError")]

    def answer() -> Any:
        if broken:
            raise broken.pop()
        return [(8,)]

    double.answers[COUNT.text] = answer
    assert [s.value for s in (await one.samples([COUNT])).samples] == [8.0]
    assert len(double.opened) == 2
    double.answers[COUNT.text] = double.error(LOST[double.kind], "gone", "OperationalError")
    with pytest.raises(Unreachable):
        await one.samples([COUNT])
    await one.close()


@every
async def test_a_connection_that_nobody_used_for_long_is_not_trusted(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = adapter(double)
    await one.samples([COUNT])
    await one.samples([COUNT])
    assert len(double.opened) == 1
    monkeypatch.setattr("adapters.sql.pool.IDLE_S", -1.0)
    assert (await one.samples([COUNT])).samples
    assert len(double.opened) > 1
    assert await asyncio.to_thread(settled, lambda: double.open <= 2)
    await one.close()


@every
@pytest.mark.parametrize("where", ["connects", "answers"])
async def test_what_hangs_costs_its_own_timeout_and_nobody_waits_at_the_end(
    double: Double, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.sql.pool.GRACE_S", 0.1)
    one = adapter(double)
    if where == "connects":
        double.connects = double.hang()
    else:
        await one.samples([COUNT])
        double.answers[COUNT.text] = double.hang()
    others = [SeriesQuery(f"n{i}", COUNT.text) for i in range(10)]
    began = time.monotonic()
    with pytest.raises(Unreachable) as hangs:
        await one.samples([COUNT, *others])
    assert time.monotonic() - began < 2, "one timeout, not eleven"
    assert "does not answer: nothing came for" in hangs.value.what
    began = time.monotonic()
    await one.close()
    assert time.monotonic() - began < 1
    double.release.set()


@of("sqlserver")
async def test_no_more_threads_than_a_few_are_left_hanging(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.sql.pool.GRACE_S", -0.2)
    double.connects = double.hang()
    one = adapter(double)
    said: list[str] = []
    for _ in range(MOST_LEFT + 3):
        with pytest.raises(Unreachable) as hangs:
            await one.runs(None)
        said.append(hangs.value.what)
    assert len(double.opened) == MOST_LEFT
    assert "earlier questions never came back" in said[-1]
    double.release.set()
    double.connects = None
    assert await asyncio.to_thread(settled, lambda: double.open == 0)

    async def answers() -> bool:
        try:
            await one.runs(None)
        except Unreachable:
            return False
        return True

    assert await answers(), "and when they came back it is asked again"
    await one.close()


@every
async def test_cancelled_means_given_up_at_once(double: Double) -> None:
    double.answers[COUNT.text] = double.hang()
    one = adapter(double)
    asked = asyncio.create_task(one.samples([COUNT]))
    assert await asyncio.to_thread(settled, lambda: COUNT.text in double.log)
    began = time.monotonic()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert time.monotonic() - began < 1
    await one.close()


# --- what is not there ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("postgresql://h/d", "psycopg", "postgresql"),
        ("oracle://h/s", "oracledb", "oracle"),
        ("sqlserver://h/d", "pymssql", "sqlserver"),
        ("snowflake://a/d", "snowflake.connector", "snowflake"),
    ],
)
async def test_a_driver_that_is_not_installed_is_said_with_what_to_install(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    one = SqlAdapter(
        SourceSettings(name="w", kind="sql", url=url, auth={"user": "u", "password": Secret(lambda: PASSWORD, "env:T")})
    )
    calls: list[Callable[[], Any]] = [one.probe, lambda: one.runs(None), lambda: one.samples([COUNT])]
    for call in calls:
        with pytest.raises(Unsupported) as said:
            await call()
        assert "needs the Python package" in said.value.what
        assert said.value.hint == f"pip install 'watchfloor[{extra}]'"
    await one.close()


@every
async def test_a_secret_that_cannot_be_read_is_said_without_asking(double: Double) -> None:
    def gone() -> str:
        raise OSError(f"no such file, {PASSWORD}")

    one = adapter(double, auth={"user": "watch", "password": Secret(gone, "file:secret")})
    with pytest.raises(AuthFailed) as said:
        await one.runs(None)
    assert said.value.what == "no password from file:secret (OSError)"
    assert double.opened == []
    await one.close()
