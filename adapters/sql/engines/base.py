"""What each database is asked through: an engine opens sessions, a session answers one statement at a time.

All of it runs in threads of its own and may block; only ``cancel`` and ``close`` come from another thread. Drivers are loaded
when the first connection is opened, and here alone: they are optional, and untyped.
"""

from __future__ import annotations

import importlib
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from adapters.errors import AdapterError, BadResponse, Unreachable, Unsupported
from adapters.http import words
from adapters.sql.answer import MOST_ROWS, Table
from adapters.sql.guard import DIALECTS, Dialect
from adapters.sql.where import Place

LABEL = "watchfloor"
"""What sessions are called on the server, so that its people see who asks."""


class Refused(Exception):
    """The server is well and does not answer this query. ``what`` is one clause; ``slow``: it took too long."""

    def __init__(self, what: str, *, slow: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.slow = slow


class Lost(Exception):
    """The connection broke. ``what`` says how, should a new one not open either."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True)
class Login:
    """Revealed for one connection. ``secrets``: what no text may contain."""

    user: str = ""
    password: str = ""
    token: str = ""
    private_key: str = ""
    """PEM."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(s for s in (self.password, self.token, self.private_key) if s)

    def __repr__(self) -> str:
        return f"Login({self.user!r})"


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of itself and of the one who asks. ``warnings``: one clause each."""

    version: str = ""
    identity: str = ""
    warnings: tuple[str, ...] = ()


class Session(ABC):
    """One connection, asked by one thread."""

    @abstractmethod
    def ask(self, sql: str) -> Table:
        """In a transaction that reads only and is rolled back. Raises what the driver raises."""

    @abstractmethod
    def now(self) -> int | None:
        """Whether it answers: the server's clock (ms UTC), None where it does not tell. Raises what the driver raises."""

    @abstractmethod
    def cancel(self) -> None:
        """From another thread: end what is asked, roughly if need be. Never raises."""

    @abstractmethod
    def close(self) -> None:
        """Never raises."""

    def told(self) -> Told:
        """For ``probe``. Raises what the driver raises."""
        return Told()


class Engine(ABC):
    title: ClassVar[str]
    """Its name for people."""
    key: ClassVar[str]
    """Of the dialect and the URL."""
    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.key]

    @property
    def alive_s(self) -> float:
        """How long an answer stands for "it answers": asking whether it does may cost money."""
        return 0.0

    def warns(self, sql: str, every_s: float) -> str | None:
        """What is to be said of a query that is asked so often."""
        return None

    def driver(self) -> Any:
        """The driver's module. Unsupported with what to install where there is none."""
        missing = ""
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            missing = words(str(error.name or self.package))
        raise Unsupported(
            f"{self.title} needs the Python package {missing}, which is not installed",
            f"pip install 'watchfloor[{self.extra}]'",
        )

    @abstractmethod
    def open(self, login: Login) -> Session:
        """A new connection that reads only. Raises what the driver raises, or an AdapterError."""

    @abstractmethod
    def judge(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        """What an error of the driver means. The texts still have to be cleaned of secrets."""

    def other(self, error: Exception, *, opening: bool) -> AdapterError | Refused | Lost:
        """What is meant by an error that is not the driver's own: most are of the system below it."""
        if isinstance(error, socket.gaierror):
            return Unreachable(f"no host is called {self.place.host}", "see url of this source", sent=False)
        if isinstance(error, ConnectionRefusedError):
            return self.refuses()
        if isinstance(error, OSError):
            return self.unreachable(plain(error)) if opening else Lost(plain(error))
        return BadResponse(f"{self.title}: {plain(error)}") if opening else Refused(plain(error))

    def refuses(self) -> Unreachable:
        return Unreachable(
            f"{self.title} at {self.place.at} refuses connections",
            "is the server running, and is this its port?",
            sent=False,
        )

    def unreachable(self, how: str = "") -> Unreachable:
        return Unreachable(
            f"{self.title} at {self.place.at} does not answer" + (f": {how}" if how else ""),
            "is the server running, and can this host reach it?",
        )


def fetched(cursor: Any, odd: tuple[str | None, ...] = ()) -> Table:
    """All rows of a DB-API cursor, one more than are taken at the most."""
    described: Sequence[Any] = cursor.description or ()
    rows = [tuple(row) for row in cursor.fetchmany(MOST_ROWS + 1)] if described else []
    return Table(tuple(str(d[0]) for d in described), rows, odd)


def asked(db: Any, sql: str) -> Table:
    """All rows of one statement on a DB-API connection whose transactions begin by themselves; rolled back."""
    cursor = db.cursor()
    try:
        cursor.execute(sql)
        return fetched(cursor)
    finally:
        quietly(cursor.close)
        quietly(db.rollback)


def quietly(call: Any) -> None:
    """What is done to a connection that is given up may fail as it likes."""
    try:
        call()
    except Exception:
        return


def plain(error: Exception) -> str:
    """The first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return words(lines[0]) if lines else type(error).__name__
