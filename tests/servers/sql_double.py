"""Drivers of databases that cannot be started here, as far as the adapter uses them: Oracle, SQL Server, Snowflake.

Names of parameters, attributes and exceptions are those of oracledb 26.1, pymssql 2.4 and snowflake-connector-python 5.2, looked at
in the installed packages; what the adapter uses beyond them fails. The database behind it is a table of statements and answers:
one that it does not know is refused and noted in ``strange``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

PARAMETERS = {
    "oracle": "user password host port service_name protocol tcp_connect_timeout retry_count ssl_context ssl_server_dn_match",
    "sqlserver": "server port user password database timeout login_timeout appname read_only encryption",
    "snowflake": "account user password token private_key authenticator database schema warehouse role login_timeout autocommit session_parameters",
}
MODULES = {"oracle": "oracledb", "sqlserver": "pymssql", "snowflake": "snowflake.connector"}
OWN = {
    "oracle": {
        "SET TRANSACTION READ ONLY": None,
        "select (cast(sys_extract_utc(systimestamp) as date) - date '1970-01-01') * 86400 from dual": [(1_795_000_000.0,)],
        "select sys_context('userenv', 'session_user') from dual": [("WATCH",)],
    },
    "sqlserver": {
        "select datediff_big(ms, '1970-01-01', sysutcdatetime())": [(1_795_000_000_000,)],
        "select cast(serverproperty('ProductVersion') as nvarchar(128)), cast(suser_sname() as nvarchar(128))": [("16.0.4", "watch")],
    },
    "snowflake": {
        "SHOW PARAMETERS LIKE 'STATEMENT_TIMEOUT_IN_SECONDS' IN SESSION": [("STATEMENT_TIMEOUT_IN_SECONDS", "10")],
        "select current_version(), current_user(), current_role()": [("9.30.1", "WATCH", "READER")],
    },
}  # fmt: skip


@dataclass
class Double:
    """``answers``: statement → rows, an exception to raise, or a callable; ``described``: types of its columns."""

    kind: str
    answers: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Sequence[Any]] = field(default_factory=dict)
    connects: Any = None
    """An exception that opening raises, or what it waits for."""
    opened: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    open: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def module(self) -> ModuleType:
        module = ModuleType(MODULES[self.kind])
        names = ("Error", "DatabaseError", "OperationalError", "InterfaceError", "ProgrammingError")
        classes: dict[str, type[Exception]] = {"Error": type("Error", (Exception,), {})}
        for name in names[1:]:
            base = classes["Error"] if name in ("DatabaseError", "InterfaceError") else classes["DatabaseError"]
            classes[name] = type(name, (base,), {})
        module.__dict__.update(classes, connect=self._connect)
        if self.kind == "oracle":
            module.__dict__.update(
                defaults=SimpleNamespace(fetch_lobs=True), enable_thin_mode=lambda: self.log.append("thin"),
                DB_TYPE_TIMESTAMP_TZ="TZ", DB_TYPE_TIMESTAMP_LTZ="LTZ",
            )  # fmt: skip
        self.classes = classes
        return module

    def error(self, code: Any, text: str, name: str = "DatabaseError") -> Exception:
        """As this driver raises it."""
        kind = self.classes[name]
        if self.kind == "oracle":
            return kind(_OracleError(code, f"{code}: {text}\nHelp: https://docs.oracle.com/error-help/"))
        if self.kind == "sqlserver":
            tail = b"DB-Lib error message 20018, severity 16:\nGeneral SQL Server error: Check messages from the SQL Server\n"
            return kind((code, text.encode() + tail))
        error = kind(f"{code:06d} (22000): {text}")
        error.errno, error.sqlstate, error.msg = code, "22000", text  # type: ignore[attr-defined]
        return error

    def _connect(self, **given: Any) -> _Connection:
        unknown = set(given) - set(PARAMETERS[self.kind].split())
        if unknown:
            raise TypeError(f"connect() got unexpected {sorted(unknown)}")
        self.opened.append(given)
        _happen(self.connects)
        return _Connection(self)

    def hang(self) -> Callable[[], Any]:
        """For ``connects`` and ``answers``: never comes back until ``release`` is set, at most ten seconds."""
        return lambda: self.release.wait(10) and []


class _OracleError:
    def __init__(self, code: str, text: str) -> None:
        self.full_code, self.text = code, text

    def __str__(self) -> str:
        return self.text


def _happen(what: Any) -> Any:
    if isinstance(what, Exception):
        raise what
    return what() if callable(what) else what


class _Connection:
    version = "23.4.0.24.5"

    def __init__(self, world: Double) -> None:
        self.world = world
        world.open += 1
        self._closed = False
        allowed = {"oracle": ("call_timeout", "module", "current_schema")}
        self._may_set = allowed.get(world.kind, ())

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name != "world":
            if name not in self._may_set:
                raise AttributeError(name)
            self.world.log.append(f"{name}={value}")
        super().__setattr__(name, value)

    def cursor(self) -> _Cursor:
        return _Cursor(self.world)

    def rollback(self) -> None:
        self.world.log.append("rollback")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.world.open -= 1

    def __getattr__(self, name: str) -> Any:
        if name == "cancel" and self.world.kind == "oracle":
            return lambda: (self.world.log.append("cancel"), self.world.release.set())
        raise AttributeError(name)


class _Cursor:
    def __init__(self, world: Double) -> None:
        self._world = world
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, sql: str) -> _Cursor:
        world = self._world
        world.log.append(sql)
        known = OWN[world.kind] | world.answers
        if sql not in known and not sql.startswith("SET LOCK_TIMEOUT "):
            world.strange.append(sql)
            raise AssertionError(sql)
        rows = _happen(known.get(sql))
        self._rows = list(rows or [])
        if rows is not None:
            width = len(self._rows[0]) if self._rows else 1
            types = world.described.get(sql) or [(f"C{i}", None) for i in range(width)]
            self.description = [(name, kind, None, None, None, None, None) for name, kind in types]
        return self

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        return self._rows[:size]

    def close(self) -> None:
        self._world.log.append("closed")


def settled(what: Callable[[], bool], patience_s: float = 5.0) -> bool:
    end = time.monotonic() + patience_s
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    return what()
