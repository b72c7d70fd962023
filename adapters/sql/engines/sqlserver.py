"""SQL Server by pymssql (FreeTDS in the wheel). Not seen live; signatures are those of pymssql 2.4.

It has no session that only reads: ``ApplicationIntent=ReadOnly`` is routing, nothing more. What keeps it from writing is the
guard (``adapters.sql.guard``), that all is rolled back, and above all a login that may only read.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, NotFound, RateLimited, Unreachable
from adapters.http import words
from adapters.sql.answer import Table
from adapters.sql.engines.base import LABEL, Engine, Login, Lost, Refused, Session, Told, asked, quietly

LOST: Final = (20004, 20006, 20017, 20047, 596, 6005)
SLOW: Final = (20003, 1222, 3617)
RIGHTS: Final = """
select is_srvrolemember('sysadmin'), is_rolemember('db_owner'), is_rolemember('db_datawriter'),
  has_perms_by_name(db_name(), 'DATABASE', 'INSERT'), has_perms_by_name(db_name(), 'DATABASE', 'CREATE TABLE'),
  has_perms_by_name(db_name(), 'DATABASE', 'EXECUTE')
"""
MAY: Final = ("is sysadmin", "is db_owner", "is db_datawriter", "may insert", "may create tables", "may run procedures")


class SqlServer(Engine):
    title: ClassVar[str] = "SQL Server"
    key: ClassVar[str] = "sqlserver"
    package: ClassVar[str] = "pymssql"
    extra: ClassVar[str] = "sqlserver"

    def open(self, login: Login) -> Session:
        place = self.place
        asked: dict[str, Any] = {
            "server": place.host, "port": str(place.port), "user": login.user, "password": login.password,
            "database": place.database, "timeout": math.ceil(place.options.statement_timeout),
            "login_timeout": math.ceil(place.options.connect_timeout), "appname": LABEL, "read_only": True,
        }  # fmt: skip
        if place.options.encrypted:
            asked["encryption"] = "require"
        connection = self.driver().connect(**asked)
        try:
            cursor = connection.cursor()
            cursor.execute(f"SET LOCK_TIMEOUT {max(1, round(place.options.statement_timeout * 1000))}")
            cursor.close()
            connection.rollback()
            return _Session(connection, place.options.encrypted)
        except BaseException:
            connection.close()
            raise

    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        if not isinstance(error, self.driver().Error):
            return self.other(error, opening=opening)
        code, said = _told(error)
        at = self.place.at
        if code in (18456, 18452, 18470, 18487, 18488):
            why = {18470: "the login is disabled", 18487: "the password has expired"}.get(
                code, "user or password is wrong"
            )
            return AuthFailed(
                f"SQL Server at {at} does not accept the login: {why} ({code})", "see auth of this source"
            )
        if opening:
            if code == 4060:
                return NotFound(
                    f"SQL Server at {at} has no database {self.place.database} that this login may use",
                    "see url, and CREATE USER",
                )
            if code in (916, 229):
                return Forbidden(f"SQL Server at {at} does not let this login in: {said}")
            if code in (17809, 10928, 10929):
                return RateLimited(f"SQL Server at {at} has no connection left ({code})")
            low = said.lower()
            if "ssl" in low or "tls" in low or "encrypt" in low:
                return Unreachable(f"the encrypted connection to {at} failed: {said}", "see options.encrypted")
            if 20000 <= code < 21000 or not code:
                return self.refuses() if "Connection refused" in str(error) else self.unreachable(said)
            return BadResponse(f"SQL Server at {at} says: {said}")
        if code in SLOW:
            return Refused(f"no answer within {self.place.options.statement_timeout:g} s", slow=True)
        if code in LOST or isinstance(error, self.driver().InterfaceError):
            return Lost(said)
        return Refused(said)


class _Session(Session):
    def __init__(self, connection: Any, encrypted: bool) -> None:
        self._db = connection
        self._encrypted = encrypted

    def ask(self, sql: str) -> Table:
        return asked(self._db, sql)

    def now(self) -> int | None:
        rows = self.ask("select datediff_big(ms, '1970-01-01', sysutcdatetime())").rows
        return int(rows[0][0])

    def cancel(self) -> None:
        """The driver has no call for it: its own timeout ends what is asked."""

    def close(self) -> None:
        quietly(self._db.close)

    def told(self) -> Told:
        version, user = self.ask(
            "select cast(serverproperty('ProductVersion') as nvarchar(128)), cast(suser_sname() as nvarchar(128))"
        ).rows[0]
        warnings = [
            "no certificate is checked" if self._encrypted else "see options.encrypted: encryption is not required"
        ]
        rights = self.ask(RIGHTS).rows[0]
        may = [what for what, has in zip(MAY, rights, strict=False) if has]
        if may:
            warnings.append(f"this user may write ({', '.join(may)}): give it a login that may only read")
        return Told(str(version), str(user), tuple(warnings))


def _told(error: Exception) -> tuple[int, str]:
    """Its number and its text: in ``args``, or in a pair that is the first of them; bytes or text."""
    parts: Any = error.args
    if parts and isinstance(parts[0], tuple):
        parts = parts[0]
    code = parts[0] if parts and isinstance(parts[0], int) else 0
    text = parts[1] if len(parts) > 1 else parts[0] if parts else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    own = text.partition("DB-Lib error message")
    said = words(own[0]) or words(own[2].partition("\n")[2].partition("\n")[0])
    return code, said or type(error).__name__
