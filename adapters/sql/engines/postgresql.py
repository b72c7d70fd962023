"""PostgreSQL by psycopg 3 (seen live: 15, psycopg 3.3). Redshift and other relatives may answer; they were not tried.

Each query is a transaction of its own, ``BEGIN READ ONLY``, with its timeout set in it, so that a pooler between loses neither.
Rows are streamed: the server is told one statement (the extended protocol takes no second one) and not more rows are taken
than are wanted.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from typing import Any, ClassVar, Final

from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, NotFound, RateLimited, Unreachable
from adapters.sql.answer import MOST_ROWS, Table
from adapters.sql.engines.base import LABEL, Engine, Login, Lost, Refused, Session, Told, plain, quietly

CANCEL_S: Final = 2.0
LOST: Final = ("08", "57P01", "57P02", "57P03", "58")
"""SQLSTATE of connections that are gone: broken, ended by an operator, a crash, a restart."""
RIGHTS: Final = """
select (select rolsuper from pg_roles where rolname = current_user),
  (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'f') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
      and has_schema_privilege(n.oid, 'USAGE')
      and (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') or has_any_column_privilege(c.oid, 'INSERT, UPDATE'))),
  (select count(*) from pg_namespace n where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
      and has_schema_privilege(n.oid, 'CREATE')),
  (select count(*) from pg_roles r where r.rolname in ('pg_write_server_files', 'pg_execute_server_program')
      and pg_has_role(r.oid, 'MEMBER'))
"""
WHO: Final = """
select current_setting('server_version'), current_user,
  coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false), inet_server_addr() is null
"""


class PostgreSQL(Engine):
    title: ClassVar[str] = "PostgreSQL"
    key: ClassVar[str] = "postgresql"
    package: ClassVar[str] = "psycopg"
    extra: ClassVar[str] = "postgresql"

    @property
    def sslmode(self) -> str:
        return self.place.options.sslmode or ("verify-full" if self.place.tls_ca else "prefer")

    def open(self, login: Login) -> Session:
        place = self.place
        asked: dict[str, Any] = {
            "host": place.host, "port": place.port, "dbname": place.database, "user": login.user,
            "connect_timeout": max(2, round(place.options.connect_timeout)), "application_name": LABEL,
            "sslmode": self.sslmode, "autocommit": True, "prepare_threshold": None,
        }  # fmt: skip
        if login.password:
            asked["password"] = login.password
        if place.tls_ca:
            asked["sslrootcert"] = str(place.tls_ca)
        return _Session(self._connected(asked), place.options.statement_timeout, place.options.schema, self.sslmode)

    def _connected(self, asked: dict[str, Any]) -> Any:
        """Read-only by default too, told when it opens: a SET would stay on a pooler's connection, and stop others from writing.
        A pooler that takes no such word (PgBouncer) is asked without; each transaction is read-only all the same."""
        driver = self.driver()
        try:
            return driver.connect(**asked, options="-c default_transaction_read_only=on")
        except driver.OperationalError as error:
            if "startup parameter" not in str(error):
                raise
        return driver.connect(**asked)

    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        driver = self.driver()
        if not isinstance(error, driver.Error):
            return self.other(error, opening=opening)
        state = getattr(error, "sqlstate", None) or ""
        said = str(getattr(getattr(error, "diag", None), "message_primary", None) or "") or plain(error)
        if opening:
            return self._not_opened(str(error), said, state)
        if state == "57014":
            return Refused(f"no answer within {self.place.options.statement_timeout:g} s", slow=True)
        if state.startswith(LOST) or (
            not state and isinstance(error, (driver.OperationalError, driver.InterfaceError))
        ):
            return Lost(said)
        if state == "42501":
            return Refused(f"{said} (GRANT it to the user, or ask for something else)")
        return Refused(said)

    def _not_opened(self, text: str, said: str, state: str) -> AdapterError:
        """The server's own words: libpq gives no code of a connection that did not open, so they are looked at."""
        at = self.place.at
        low = text.lower()
        fatal = re.search(r"(?:FATAL|ERROR|PANIC):\s*(.*)", text)
        told = fatal[1] if fatal else said
        if "no password supplied" in low:
            return AuthFailed(f"{self.title} at {at} wants a password, and none is given", "see auth of this source")
        if (
            state.startswith("28")
            or "password authentication failed" in low
            or re.search(r"role .* does not exist", low)
        ):
            return AuthFailed(f"{self.title} at {at} does not accept the login ({told})", "see auth of this source")
        if "pg_hba.conf" in low or state == "42501":
            return Forbidden(
                f"{self.title} at {at} does not let this user in: {told}", "ask for a line in its pg_hba.conf"
            )
        if state == "3D000" or ("database" in low and "does not exist" in low):
            return NotFound(f"{self.title} at {at} has no database {self.place.database}", "see url of this source")
        if state.startswith("53") or "too many" in low or "remaining connection slots" in low:
            return RateLimited(
                f"{self.title} at {at} has no connection left: {told}", "or give the user a larger limit"
            )
        if "certificate" in low or "ssl" in low:
            return Unreachable(
                f"the encrypted connection to {at} failed: {_last(text)}", "see options.sslmode and tls.ca"
            )
        if "could not translate" in low or "name or service" in low or "resolve" in low:
            return Unreachable(f"no host is called {self.place.host}", "see url of this source", sent=False)
        if "refused" in low:
            return self.refuses()
        if (
            fatal
            and not state.startswith("57")
            and not any(w in low for w in ("starting up", "shutting down", "recovery"))
        ):
            return BadResponse(f"{self.title} at {at} says: {told}")
        return self.unreachable(told if fatal else _last(text))


class _Session(Session):
    def __init__(self, connection: Any, timeout: float, schema: str, sslmode: str) -> None:
        self._db = connection
        self._schema = schema
        self._timeout_ms = max(1, round(timeout * 1000))
        self._sslmode = sslmode

    def ask(self, sql: str) -> Table:
        db = self._db
        db.execute("BEGIN READ ONLY")
        try:
            db.execute(f"SET LOCAL statement_timeout = {self._timeout_ms}")
            if self._schema:
                db.execute("SELECT set_config('search_path', quote_ident(%s), true)", [self._schema])
            cursor = db.cursor()
            rows: list[tuple[Any, ...]] = []
            names: tuple[str, ...] = ()
            with contextlib.closing(cursor.stream(sql)) as stream:
                for row in stream:
                    names = names or tuple(str(c.name) for c in cursor.description or ())
                    rows.append(tuple(row))
                    if len(rows) > MOST_ROWS:
                        break
            return Table(names, rows)
        finally:
            quietly(db.rollback)

    def now(self) -> int | None:
        rows = self.ask("select (extract(epoch from clock_timestamp()) * 1000)::bigint").rows
        return int(rows[0][0])

    def cancel(self) -> None:
        """Politely, by a connection of its own; then the socket is shut, which wakes whoever waits for it."""
        quietly(lambda: self._db.cancel_safe(timeout=CANCEL_S))

        def shut() -> None:
            with socket.socket(fileno=os.dup(self._db.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)

        quietly(shut)

    def close(self) -> None:
        quietly(self._db.close)

    def told(self) -> Told:
        version, user, encrypted, local = self.ask(WHO).rows[0]
        warnings: list[str] = []
        if not encrypted and not local and self._sslmode != "disable":
            warnings.append('the connection is not encrypted: see options.sslmode = "verify-full"')
        elif encrypted and self._sslmode in ("allow", "prefer", "require"):
            warnings.append("the server's certificate is not checked: name its authority, tls = { ca = … }")
        boss, tables, schemas, host = self.ask(RIGHTS).rows[0]
        may = ["is superuser"] if boss else []
        may += [f"may change {tables:,} tables"] if tables and not boss else []
        may += [f"may create in {schemas} schemas"] if schemas and not boss else []
        may += ["may write files or run programs on the server"] if host and not boss else []
        if may:
            warnings.append(f"this user may write ({', '.join(may)}): give it a read-only role")
        return Told(str(version), str(user), tuple(warnings))


def _last(text: str) -> str:
    """Of libpq's many lines what went wrong, without the part that repeats where."""
    found = re.findall(r"(?:failed|error): ([^\n]+)", text)
    return found[-1] if found else text.strip().splitlines()[0] if text.strip() else "no reason given"
