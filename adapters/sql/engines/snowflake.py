"""Snowflake by its own connector. Not seen live; signatures are those of snowflake-connector-python 5.2.

A query that wakes a warehouse costs a minute of it at the least: whether the account answers is asked by SHOW, which needs
none, once a minute, and queries that are asked more often than every five minutes are said.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any, ClassVar, Final

from adapters.errors import AdapterError, AuthFailed, Unreachable
from adapters.sql.answer import Table
from adapters.sql.engines.base import LABEL, Engine, Login, Lost, Refused, Session, Told, asked, plain, quietly
from adapters.sql.guard import first_word

LEAST_S: Final = 285.0
"""Five minutes, less what an engine that asks every five may be early."""
WRITING: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "OWNERSHIP", "CREATE TABLE", "CREATE VIEW", "ALL"}
)
PEM: Final = re.compile(r"-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----")
NO_LOGIN: Final = (
    "incorrect username or password",
    "jwt token is invalid",
    "programmatic access token",
    "multi-factor",
)


class Snowflake(Engine):
    title: ClassVar[str] = "Snowflake"
    key: ClassVar[str] = "snowflake"
    package: ClassVar[str] = "snowflake.connector"
    extra: ClassVar[str] = "snowflake"

    @property
    def alive_s(self) -> float:
        return 60.0

    def warns(self, sql: str, every_s: float) -> str | None:
        if every_s >= LEAST_S or (first_word(sql, self.dialect) == "SHOW" and "->>" not in sql):
            return None
        return f'asked every {every_s:.0f} s, and each time it may wake a warehouse, a minute of which is billed: every = "15m"'

    def open(self, login: Login) -> Session:
        o = self.place.options
        asked: dict[str, Any] = {
            "account": self.place.host, "user": login.user, "login_timeout": math.ceil(o.connect_timeout), "autocommit": False,
            "session_parameters": {
                "STATEMENT_TIMEOUT_IN_SECONDS": max(1, math.ceil(o.statement_timeout)), "QUERY_TAG": LABEL,
            },
        }  # fmt: skip
        if login.token:
            asked |= {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": login.token}
        elif login.private_key:
            asked |= {"authenticator": "SNOWFLAKE_JWT", "private_key": der_of(login.private_key)}
        else:
            asked["password"] = login.password
        given = {"database": self.place.database, "schema": o.schema, "warehouse": o.warehouse, "role": o.role}
        asked |= {name: value for name, value in given.items() if value}
        return _Session(self.driver().connect(**asked))

    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        if not isinstance(error, self.driver().Error):
            return self.other(error, opening=opening)
        code = int(getattr(error, "errno", 0) or 0)
        said = plain(error)
        low = str(error).lower()
        if 390100 <= code <= 390199 and code not in (390110, 390111, 390112, 390114):
            return AuthFailed(f"Snowflake does not accept the login ({code}): {said}", "see auth of this source")
        if opening:
            if any(text in low for text in NO_LOGIN):
                return AuthFailed(f"Snowflake does not accept the login: {said}", "see auth of this source")
            if "certificate" in low:
                return Unreachable(f"the encrypted connection to {self.place.at} failed: {said}")
            return self.unreachable(said)
        if code in (604, 630) or getattr(error, "sqlstate", "") == "57014":
            return Refused(f"no answer within {self.place.options.statement_timeout:g} s", slow=True)
        if (
            code in (390110, 390111, 390112, 390114)
            or isinstance(error, self.driver().InterfaceError)
            or 250000 <= code < 251000
        ):
            return Lost(said)
        if code == 606:
            return Refused(f"{said} (see options.warehouse)")
        return Refused(said)


class _Session(Session):
    def __init__(self, connection: Any) -> None:
        self._db = connection

    def ask(self, sql: str) -> Table:
        return asked(self._db, sql)

    def now(self) -> int | None:
        self.ask("SHOW PARAMETERS LIKE 'STATEMENT_TIMEOUT_IN_SECONDS' IN SESSION")
        return None

    def cancel(self) -> None:
        quietly(self._db.close)

    def close(self) -> None:
        quietly(self._db.close)

    def told(self) -> Told:
        version, user, role = (
            str(v or "") for v in self.ask("select current_version(), current_user(), current_role()").rows[0]
        )
        warnings: list[str] = []
        if role:
            quoted = '"' + role.replace('"', '""') + '"'
            found = self.ask(f"SHOW GRANTS TO ROLE {quoted}")
            names = [name.lower() for name in found.names]
            at = names.index("privilege") if "privilege" in names else -1
            may = sorted({str(row[at]).upper() for row in found.rows} & WRITING) if at >= 0 else []
            if may:
                warnings.append(f"this role may write ({', '.join(may)}): give it a role that may only read")
        return Told(version, f"{user} as {role}" if role else user, tuple(warnings))


def der_of(pem: str) -> bytes:
    """Of an unencrypted PKCS#8 key, as the driver wants it. AuthFailed for anything else."""
    found = PEM.fullmatch(pem.strip())
    der = b""
    if found:
        try:
            der = base64.b64decode("".join(found[1].split()), validate=True)
        except ValueError:
            der = b""
    if not der:
        raise AuthFailed(
            "private_key is no unencrypted PKCS#8 key",
            "it begins with -----BEGIN PRIVATE KEY-----; see auth of this source",
        )
    return der
