"""A real PostgreSQL, read by the adapter and through the engine: what it gives, what it refuses, and that nothing is written."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, NotFound, Unreachable
from adapters.extras import SeriesQuery
from adapters.model import Health
from adapters.sql import SqlAdapter
from tests.engine.rig import ROOT, Rig, until
from tests.real.postgresql_server import ADMIN, ADMIN_PASSWORD, DRIVER, PASSWORD, USER, PostgreSQL, postgresql

pytestmark = pytest.mark.real
__all__ = ["postgresql"]  # the fixture
COUNT = SeriesQuery("orders", "select count(*) from ldz.orders", "rows")


def adapter(server: PostgreSQL, **more: Any) -> SqlAdapter:
    user, password = more.pop("user", USER), more.pop("password", PASSWORD)
    known: dict[str, Any] = {
        "name": "w", "kind": "sql", "url": server.url, "options": {"statement_timeout": "700ms", **more.pop("options", {})},
        "auth": {"user": user, "password": Secret(password if callable(password) else lambda: password, "env:T")},
    }  # fmt: skip
    return SqlAdapter(SourceSettings(**(known | more)))


@pytest.fixture(autouse=True)
def _well(postgresql: PostgreSQL) -> Iterator[None]:
    yield
    assert postgresql.do("SELECT count(*) FROM ldz.orders") == [(2500,)], "nobody wrote"


async def test_what_it_gives(postgresql: PostgreSQL) -> None:
    one = adapter(postgresql)
    probe = await one.probe()
    assert probe.version.startswith("PostgreSQL 1")
    assert probe.identity == USER
    assert abs((probe.server_time or 0) - time.time() * 1000) < 2_000
    assert not [w for w in probe.warnings if "may write" in w]
    queries = [
        COUNT,
        SeriesQuery("by layer", "select layer, count(*) from ldz.orders group by layer"),
        SeriesQuery("estimate", "select reltuples from pg_class where oid = 'ldz.orders'::regclass"),
        SeriesQuery("fresh", "select max(loaded) from ldz.orders", "time"),
        SeriesQuery("newest part", "select max(part) from ldz.orders", "date"),
        SeriesQuery("age", "select timestamptz '2026-11-20 12:00+01' - max(loaded) from ldz.orders", "s"),
        SeriesQuery("there", "select exists (select from ldz.orders)"),
        SeriesQuery("percent", "select 100.0 * count(*) filter (where id % 5 = 0) / count(*) from ldz.orders;", "%"),
        SeriesQuery("none", "select id from ldz.orders where id < 0"),
        SeriesQuery("null", "select max(id) from ldz.orders where id < 0"),
        SeriesQuery("nan", "select 'nan'::float8"),
        SeriesQuery("never", "select 'infinity'::timestamptz", "time"),
        SeriesQuery("many", "select id::text, id from ldz.orders"),
        SeriesQuery("typo", "select cuont(*) from ldz.orders"),
    ]
    found = await one.samples(queries)
    assert {s.series: s.value for s in found.samples} == {
        "orders": 2500.0, "by layer{layer=cdm}": 625.0, "by layer{layer=ldz}": 1875.0, "estimate": -1.0,
        "fresh": 1_795_168_800_000.0, "newest part": 1_795_132_800_000.0, "age": 3600.0, "there": 1.0, "percent": 20.0,
    }  # fmt: skip
    assert all(abs(s.t - time.time() * 1000) < 5_000 for s in found.samples)
    assert found.failed.keys() == {"none", "null", "nan", "never", "many", "typo"}
    assert (found.failed["none"], found.failed["null"]) == ("it gave no row", "it gave no value: NULL")
    assert "function cuont() does not exist" in found.failed["typo"]
    assert "more than 1,000 rows" in found.failed["many"]
    assert {name for name, _ in postgresql.sessions()} == {"watchfloor"}
    assert len(postgresql.sessions()) <= 2
    await one.close()


async def test_a_slow_one_and_a_forbidden_one_leave_the_others(postgresql: PostgreSQL) -> None:
    one = adapter(postgresql)
    queries = [
        SeriesQuery("slow", "select 1 from pg_sleep(60)"),
        SeriesQuery("secret", "select count(*) from ldz.salaries"),
        *(SeriesQuery(f"n{i}", f"select {i}") for i in range(10)),
    ]
    began = time.monotonic()
    found = await one.samples(queries)
    assert time.monotonic() - began < 5
    assert [s.value for s in found.samples] == [float(i) for i in range(10)]
    assert found.failed == {
        "slow": "no answer within 0.7 s",
        "secret": "the query is refused: permission denied for table salaries (GRANT it to the user, or ask for something else)",
    }
    assert "active" not in [state for _, state in postgresql.sessions()], "the server ended it"
    await one.close()


WRITES = (
    "insert into ldz.orders values (0)", "select 1; drop table ldz.orders", "create temp table x (i int)",
    "with a as (delete from ldz.orders returning 1) select count(*) from a", "set transaction read write",
    "select set_config('transaction_read_only', 'off', false)", "select * into ldz.copy from ldz.orders",
    "select 1 from ldz.orders for update", "select ldz.adds()", "select nextval('ldz.numbers')", "explain analyze delete from ldz.orders",
)  # fmt: skip


@pytest.mark.parametrize(("user", "password"), [(USER, PASSWORD), (ADMIN, ADMIN_PASSWORD)])
async def test_nothing_is_written_even_by_who_may_and_past_our_own_look(
    postgresql: PostgreSQL, user: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgresql.do("CREATE SEQUENCE IF NOT EXISTS ldz.numbers")
    one = adapter(postgresql, user=user, password=password)
    ours = await one.samples([SeriesQuery(sql, sql) for sql in WRITES])
    assert not ours.samples
    asked = one.spent[0]
    assert asked <= 1 + 3, "the clock, and what only the server can know: three functions"
    await one.close()
    monkeypatch.setattr("adapters.sql.adapter.wrong", lambda text, dialect: None)
    one = adapter(postgresql, user=user, password=password)
    theirs = await one.samples([SeriesQuery(sql, sql) for sql in WRITES])
    assert not theirs.samples
    assert one.spent[0] > len(WRITES)
    said = " / ".join(theirs.failed.values())
    if user == ADMIN:
        assert "cannot execute INSERT in a read-only transaction" in said
        assert "cannot execute nextval() in a read-only transaction" in said
    assert "cannot insert multiple commands into a prepared statement" in said
    assert "transaction read-write mode must be set before any query" in said
    await one.close()
    assert postgresql.do("SELECT last_value, is_called FROM ldz.numbers") == [(1, False)]
    assert postgresql.do("SELECT to_regclass('ldz.copy')") == [(None,)]


async def test_a_session_reads_only_by_default_and_behind_a_pooler_all_the_same(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    default = SeriesQuery("d", "select current_setting('default_transaction_read_only')::bool")
    now = SeriesQuery("t", "select current_setting('transaction_read_only')::bool")
    here = SeriesQuery("s", "select count(*) from orders")
    one = adapter(postgresql, options={"schema": "ldz"})
    found = await one.samples([default, now, here])
    assert {s.series: s.value for s in found.samples} == {"d": 1.0, "t": 1.0, "s": 2500.0}
    await one.close()
    real = psycopg.connect

    def pooler(**asked: Any) -> Any:
        if "options" in asked:
            raise psycopg.OperationalError("connection failed: FATAL:  unsupported startup parameter: options")
        return real(**asked)

    monkeypatch.setattr(psycopg, "connect", pooler)
    one = adapter(postgresql)
    found = await one.samples([default, now, here])
    assert {s.series: s.value for s in found.samples} == {"d": 0.0, "t": 1.0}, "nothing is left on its connection"
    await one.close()


async def test_the_smallest_rights_as_documented_do(postgresql: PostgreSQL) -> None:
    text = (ROOT / "docs" / "systems" / "sql.md").read_text()
    grants = text.partition("### PostgreSQL")[2].partition("```sql\n")[2].partition("```")[0]
    postgresql.do("CREATE TABLE IF NOT EXISTS ldz.customers (id int, loaded_at timestamptz, salary int)")
    postgresql.do("INSERT INTO ldz.customers VALUES (1, '2026-11-20 11:00+01', 5)")
    for statement in grants.replace("'…'", f"'{PASSWORD}'").split(";\n"):
        postgresql.do(statement)
    one = adapter(postgresql, user="watchfloor_reader")
    assert not [w for w in (await one.probe()).warnings if "may write" in w]
    queries = [
        SeriesQuery("n", "select count(*) from ldz.customers"),
        SeriesQuery("fresh", "select max(loaded_at) from ldz.customers", "time"),
        SeriesQuery("estimate", "select reltuples from pg_class where oid = 'ldz.salaries'::regclass"),
        SeriesQuery("inserted", "select n_tup_ins from pg_stat_user_tables where relname = 'customers'"),
        SeriesQuery("salary", "select max(salary) from ldz.customers"),
    ]
    found = await one.samples(queries)
    assert {s.series for s in found.samples} == {"n", "fresh", "estimate", "inserted"}
    assert "permission denied" in found.failed["salary"]
    await one.close()


async def test_a_user_who_may_write_is_told(postgresql: PostgreSQL) -> None:
    for user, password, words in ((ADMIN, ADMIN_PASSWORD, "is superuser"), ("writer", PASSWORD, "may change 1 tables")):
        one = adapter(postgresql, user=user, password=password)
        (warning,) = [w for w in (await one.probe()).warnings if "may write" in w]
        assert words in warning
        assert "give it a read-only role" in warning
        await one.close()


async def test_what_lets_nobody_in_is_said_and_a_refused_password_is_not_sent_again(postgresql: PostgreSQL) -> None:
    for more, error, words in (
        ({"user": "nobody-there"}, AuthFailed, "does not accept the login"),
        ({"url": postgresql.url.replace("/postgres", "/nope")}, NotFound, "has no database nope"),
        ({"url": "postgresql://127.0.0.1:1/x"}, Unreachable, "refuses connections"),
        ({"auth": {"user": USER}}, AuthFailed, "wants a password, and none is given"),
    ):
        one = adapter(postgresql, **more)
        with pytest.raises(error) as said:
            await one.probe()
        assert words in said.value.what
        await one.close()
    password = ["not-the-password"]
    one = adapter(postgresql, password=lambda: password[0])

    def refusals() -> int:
        return postgresql.log.read_text().count(f'authentication failed for user "{USER}"')

    before = refusals()
    for _ in range(3):
        with pytest.raises(AuthFailed) as refused:
            await one.runs(None)
        assert "not tried again for 10 min" in refused.value.hint
        assert "not-the-password" not in f"{refused.value!r} {refused.value.hint} {refused.value.__context__!r}"
    tries = 2 if postgresql.tls else 1  # with sslmode = prefer its library tries once encrypted and once not
    assert refusals() == before + tries
    password[0] = PASSWORD
    assert (await one.samples([COUNT])).samples, "another one is tried at once"
    await one.close()


async def test_connections_that_the_server_ended_are_opened_anew(postgresql: PostgreSQL) -> None:
    one = adapter(postgresql)
    await one.samples([COUNT, SeriesQuery("n", "select 1")])
    postgresql.end_sessions()
    assert len((await one.samples([COUNT, SeriesQuery("n", "select 1")])).samples) == 2
    await one.close()


async def test_a_server_that_hangs_costs_its_timeout_and_no_shutdown(postgresql: PostgreSQL) -> None:
    one = adapter(postgresql)
    queries = [COUNT, *(SeriesQuery(f"n{i}", f"select {i}") for i in range(20))]
    await one.samples(queries)
    postgresql.freeze(True)
    try:
        began = time.monotonic()
        with pytest.raises(Unreachable) as hangs:
            await one.samples(queries)
        assert 2 < time.monotonic() - began < 6, "one timeout for the server: a second one would make it six seconds"
        assert "does not answer: nothing came for 3 s" in hangs.value.what
        asked = asyncio.create_task(one.samples(queries))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await one.close()
        assert time.monotonic() - began < 1
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    finally:
        postgresql.freeze(False)
    one = adapter(postgresql)
    assert len((await one.samples(queries)).samples) == 21
    await one.close()


async def test_what_is_asked_ends_with_the_one_who_asks(postgresql: PostgreSQL) -> None:
    one = adapter(postgresql, options={"statement_timeout": "30s"})
    asked = asyncio.create_task(one.samples([SeriesQuery("slow", "select 1 from pg_sleep(25)")]))

    def active() -> int:
        return sum(state == "active" for _, state in postgresql.sessions())

    await asyncio.to_thread(until, active, 10.0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await asyncio.to_thread(until, lambda: not active(), 5.0)
    await one.close()


async def test_its_certificate_is_checked_where_an_authority_is_named(postgresql: PostgreSQL, tmp_path: Path) -> None:
    if not postgresql.tls:
        pytest.skip("no openssl here to make a certificate with")
    one = adapter(postgresql, tls_ca=postgresql.ca)
    assert (await one.probe()).warnings == ()
    await one.close()
    one = adapter(postgresql)
    assert (await one.probe()).warnings == (
        "the server's certificate is not checked: name its authority, tls = { ca = … }",
    )
    await one.close()
    one = adapter(postgresql, tls_ca=postgresql.ca, url=postgresql.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(Unreachable) as other:
        await one.probe()
    assert "the encrypted connection to localhost" in other.value.what
    await one.close()


# --- through the engine -------------------------------------------------------------------------------------------------


TOML = """
[[source]]
name = "warehouse"
kind = "sql"
url = "URL"
environment = "prod"
poll = "1s"
requests = "6000/min"
auth = { user = "watchfloor", password = { file = "secret" } }
options = { statement_timeout = "1s" }

[[series]]
name = "orders"
source = "warehouse"
query = "select count(*) from ldz.orders"
unit = "rows"
normal = [3000.0, 9000.0]

[[series]]
name = "by layer"
source = "warehouse"
query = "select layer, count(*) from ldz.orders group by layer"

[[series]]
name = "slow"
source = "warehouse"
query = "select 1 from pg_sleep(30)"

[[series]]
name = "salaries"
source = "warehouse"
query = "select count(*) from ldz.salaries"
"""


SHORT = (
    f"import sys; sys.path.append({str(DRIVER)!r}); import engine.poll.metrics as m; m.LOOK_S = 0.1; m.LEAST_S = 0.5\n"
    "from adapters.sql import SqlAdapter; SqlAdapter.min_poll_s = 0.5"
)


def cli(rig: Rig, *args: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.append({str(DRIVER)!r}); from tui.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *args, "--config", str(rig.config)],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip


def test_through_the_engine(postgresql: PostgreSQL, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    with Rig(tmp_path, TOML.replace("URL", postgresql.url), prelude=SHORT) as rig:

        def row(name: str) -> Any:
            return next((s for s in rig.reader().series("", named=True) if s.series == name), None)

        def health() -> Health:
            return next(s.health for s in rig.reader().sources() if s.name == "warehouse")

        until(lambda: row("by layer{layer=ldz}") and row("orders").t, 30)
        assert (row("orders").value, row("orders").unit, row("orders").outside) == (2500.0, "rows", -1)
        assert row("by layer{layer=cdm}").value == 625.0
        assert until(lambda: row("slow").why) == "no answer within 1 s"
        assert "permission denied for table salaries" in row("salaries").why
        assert health() is Health.FRESH

        doctor = cli(rig, "doctor").stdout
        assert "✓ source warehouse: sql PostgreSQL 1" in doctor, doctor
        assert f"as {USER}" in doctor
        assert "✗ series salaries" in doctor
        assert "✓ series orders: warehouse answers" in doctor

        postgresql.kill()
        try:
            until(lambda: health() is Health.UNREACHABLE, 30)
            stood = row("orders")
            assert stood.value == 2500.0, "what it said stands, with its age"
            assert stood.stale(int(time.time() * 1000) + 600_000)
        finally:
            postgresql.start()
        until(lambda: health() is Health.FRESH and row("orders").t > stood.t, 60)

        try:
            postgresql.do(f"ALTER ROLE {USER} PASSWORD 'another-password-now'")
            postgresql.end_sessions()
            until(lambda: health() is Health.AUTH_FAILED, 30)
            secret.write_text("another-password-now\n")
            until(lambda: health() is Health.FRESH, 60)
        finally:
            postgresql.do(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'")
        rig.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                assert PASSWORD.encode() not in file.read_bytes(), file
        assert PASSWORD not in rig.log.read_text()
