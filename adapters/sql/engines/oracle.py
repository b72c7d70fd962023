"""Oracle by python-oracledb in its thin mode: no Oracle client is needed. Not seen live; signatures are those of oracledb 26.1.

Its transaction is ``READ ONLY``, its patience ``call_timeout``. The driver gives a ``TIMESTAMP WITH TIME ZONE`` without its zone,
so that such a column is refused with what to write rather than read wrongly.
"""

from __future__ import annotations

import ssl
from typing import Any, ClassVar, Final

from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, NotFound, RateLimited, Unreachable
from adapters.sql.answer import Table
from adapters.sql.engines.base import LABEL, Engine, Login, Lost, Refused, Session, Told, fetched, plain, quietly

NO_LOGIN: Final = {
    "ORA-01017": "", "ORA-01005": "", "ORA-28000": "the account is locked", "ORA-28001": "the password has expired",
    "ORA-28009": "", "DPY-4001": "no password is given",
}  # fmt: skip
FULL: Final = ("ORA-00018", "ORA-00020", "ORA-02391", "ORA-12516", "ORA-12519", "ORA-12520")
AWAY: Final = ("ORA-01033", "ORA-01034", "ORA-01089", "ORA-12528", "ORA-12537", "ORA-12541", "ORA-12547")
NO_SERVICE: Final = ("ORA-12514", "ORA-12505", "DPY-6001", "DPY-6003")
LOST: Final = (
    "ORA-00028", "ORA-01012", "ORA-01089", "ORA-02396", "ORA-03113", "ORA-03114", "ORA-03135", "DPY-1001", "DPY-4011",
    "DPI-1010", "DPI-1080",
)  # fmt: skip
SLOW: Final = ("DPY-4024", "ORA-01013", "ORA-03136", "DPI-1067")
RIGHTS: Final = """
select (select count(*) from session_privs where privilege in ('INSERT ANY TABLE', 'UPDATE ANY TABLE', 'DELETE ANY TABLE',
    'DROP ANY TABLE', 'ALTER ANY TABLE', 'CREATE TABLE', 'CREATE ANY TABLE', 'EXECUTE ANY PROCEDURE')),
  (select count(*) from user_tab_privs_recd where privilege in ('INSERT', 'UPDATE', 'DELETE', 'ALTER')),
  (select count(*) from user_tables)
from dual
"""


class Oracle(Engine):
    title: ClassVar[str] = "Oracle"
    key: ClassVar[str] = "oracle"
    package: ClassVar[str] = "oracledb"
    extra: ClassVar[str] = "oracle"

    def open(self, login: Login) -> Session:
        place, driver = self.place, self.driver()
        driver.enable_thin_mode()  # said once; else a first connection that hangs holds up every other of this process
        driver.defaults.fetch_lobs = False
        asked: dict[str, Any] = {
            "user": login.user, "password": login.password, "host": place.host, "port": place.port,
            "service_name": place.database, "protocol": "tcp", "tcp_connect_timeout": place.options.connect_timeout,
            "retry_count": 0,
        }  # fmt: skip
        if place.options.encrypted:
            context = ssl.create_default_context(cafile=str(place.tls_ca) if place.tls_ca else None)
            if not place.tls_verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            asked |= {"protocol": "tcps", "ssl_context": context, "ssl_server_dn_match": place.tls_verify}
        connection = driver.connect(**asked)
        try:
            connection.call_timeout = max(1, round(place.options.statement_timeout * 1000))
            connection.module = LABEL
            if place.options.schema:
                connection.current_schema = place.options.schema
            zoned = (driver.DB_TYPE_TIMESTAMP_TZ, driver.DB_TYPE_TIMESTAMP_LTZ)
            return _Session(connection, zoned, bool(place.options.encrypted))
        except BaseException:
            connection.close()
            raise

    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        if not isinstance(error, self.driver().Error):
            if isinstance(error, ssl.SSLError):
                return Unreachable(f"the encrypted connection to {self.place.at} failed: {plain(error)}", "see tls.ca")
            return self.other(error, opening=opening)
        code = str(getattr(error.args[0], "full_code", "") if error.args else "")
        said, at = plain(error), self.place.at
        if code in NO_LOGIN:
            why = NO_LOGIN[code] or "user or password is wrong"
            return AuthFailed(f"Oracle at {at} does not accept the login: {why} ({code})", "see auth of this source")
        if code == "ORA-01045":
            return Forbidden(f"Oracle at {at} does not let this user in ({code})", "GRANT CREATE SESSION to it")
        if code in FULL:
            return RateLimited(f"Oracle at {at} has no session left ({code})")
        if opening:
            if code in NO_SERVICE:
                return NotFound(
                    f"Oracle at {at} has no service {self.place.database} ({code})", "see url of this source"
                )
            if code.startswith("DPY-6") or code in AWAY or code in LOST or code in SLOW:
                low = str(error).lower()
                if "connection refused" in low:
                    return self.refuses()
                if "certificate" in low or "ssl" in low:
                    return Unreachable(f"the encrypted connection to {at} failed: {_cause(error)}", "see tls.ca")
                return self.unreachable(_cause(error))
            return BadResponse(f"Oracle at {at} says: {said}")
        if code in SLOW:
            return Refused(f"no answer within {self.place.options.statement_timeout:g} s", slow=True)
        if code in LOST or code in AWAY:
            return Lost(said)
        if code == "ORA-00942":
            return Refused(f"{said} (so it is said of a table that the user may not read, too)")
        return Refused(said)


class _Session(Session):
    def __init__(self, connection: Any, zoned: tuple[Any, ...], encrypted: bool) -> None:
        self._db = connection
        self._zoned = zoned
        self._encrypted = encrypted

    def ask(self, sql: str) -> Table:
        cursor = self._db.cursor()
        try:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(sql)
            odd = tuple(
                f"the driver drops the zone of {d[0]}: write cast({d[0]} at time zone 'UTC' as timestamp), UTC being the"
                " source's timezone"
                if d[1] in self._zoned
                else None
                for d in cursor.description or ()
            )
            return fetched(cursor, odd)
        finally:
            quietly(cursor.close)
            quietly(self._db.rollback)

    def now(self) -> int | None:
        """To the second."""
        rows = self.ask(
            "select (cast(sys_extract_utc(systimestamp) as date) - date '1970-01-01') * 86400 from dual"
        ).rows
        return round(float(rows[0][0])) * 1000

    def cancel(self) -> None:
        quietly(self._db.cancel)

    def close(self) -> None:
        quietly(self._db.close)

    def told(self) -> Told:
        (user,) = self.ask("select sys_context('userenv', 'session_user') from dual").rows[0]
        warnings = [] if self._encrypted else ["the connection is not encrypted by TLS: see options.encrypted"]
        system, tables, own = self.ask(RIGHTS).rows[0]
        if system or tables or own:
            warnings.append(
                f"this user may write (system rights {system}, rights on tables {tables}, own tables {own}): give it a"
                " read-only user"
            )
        return Told(str(self._db.version), str(user), tuple(warnings))


def _cause(error: Exception) -> str:
    """The last line that is no pointer to a manual says what happened below it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Help:")]
    return lines[-1] if lines else ""
