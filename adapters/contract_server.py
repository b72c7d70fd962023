"""What a server behind an adapter must be able to do, so that ``adapters.contract`` can test the adapter with it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from adapters.base import Adapter
from adapters.extras import SeriesQuery
from adapters.model import Verb


class Fault(StrEnum):
    """A bad day of a server. All requests are hit, except those for a token."""

    DOWN = "nobody listens"
    SLOW = "answers late, but before the adapter's patience ends"
    HANG = "takes the request and never answers"
    UNAUTHORIZED = "401 to everything, also with a new token"
    FORBIDDEN = "403 to everything"
    NOT_FOUND = "404 to everything"
    CONFLICT = "409 to everything"
    RATE_LIMITED = "429 without Retry-After"
    RATE_LIMITED_AFTER = "429 with Retry-After: 7"
    RATE_LIMITED_DATE = "429 with Retry-After as a date 9 s ahead of the server's own clock"
    SERVER_ERROR = "500 to everything"
    HTML = "200 with an HTML page"
    TRUNCATED = "200 with half of the JSON"
    SHAPE = "200 with JSON of quite another shape"
    MISSING_IDS = "items without what names them"
    MISSING_FIELDS = "items with nothing but what names them"
    UNKNOWN_FIELDS = "objects with more than anyone knows"
    UNKNOWN_STATE = "a state word that nobody knows, on everything"
    PAGE_TWO = "the first page of a list comes, the second does not"
    LOST_ANSWER = "a change takes effect, then the answer is lost"
    DROPPED = "the connection drops without an answer, and nothing was done"
    UNAVAILABLE = "503 to everything"
    DOES_NOTHING = "a change is answered as if done, and nothing is"


class Server(Protocol):
    """What the tests need to be able to do to the system behind the adapter (a small server, a fake binary …)."""

    source: str
    """Name of the source in the adapter's settings."""
    pipeline: str
    """Key of a pipeline that is active."""

    def adapter(self) -> Adapter:
        """A new adapter for this server with short timeouts (a second at most). The test closes it."""
        ...

    def fault(self, fault: Fault | None) -> bool:
        """Begin a bad day, or end it. False: this system cannot have such a day, the test is skipped."""
        ...

    def skew(self, seconds: float) -> None:
        """From now on the server's clock is wrong by so much."""
        ...

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        """Add so many pipelines and so many recent runs; all pipeline keys and all run keys there are now."""
        ...

    def change(self) -> str:
        """Something ends: a running run of ``pipeline`` (add one first) turns success. Its key.

        A server of a system whose runs never end well (streams: they go on, or break) also has ``ends``, the State they end in.
        """
        ...

    def failed(self) -> tuple[str, str]:
        """Add a failed run of ``pipeline``: its key, and the key of the step that failed, which has a log."""
        ...

    def growing(self) -> tuple[str, int]:
        """Add a running run of ``pipeline`` with a step that writes its log: step key and attempt."""
        ...

    def grow(self, step: str, line: str) -> None:
        """That step writes one more line."""
        ...

    def target(self, verb: Verb) -> str:
        """A key on which this verb makes sense now; a new one each time.

        A server of an adapter that offers ``mark`` or a backfill also has ``params(verb) -> Mapping[str, Any]``: what the
        verb needs beside its key (``{"as": "success"}``; ``{"from": …, "to": …}``).

        A server may have, too (without it what it is for is not tried, or the usual is taken):
        ``foreign(verb, key) -> bool``: somebody else does the same by hand to that target. False: it makes no difference who
        does it (a state is set), or nobody else can.
        ``untold -> Collection[Verb]``: after a lost answer of these the system does not tell whose the new run is; what there is
        to say is ``Several``, of the only one too.
        ``late_s -> float``: so long after its end a run may show for the first time (3 s).
        """
        ...

    def settle(self) -> None:
        """Time passes in that world: what was accepted gets going."""
        ...

    def effects(self) -> int:
        """How many changes were really made from outside so far."""
        ...

    def secrets(self) -> Sequence[str]:
        """Every credential in use: no text may contain one."""
        ...


class MetricsServer(Protocol):
    """What the tests need to be able to do to a system that measures and runs nothing."""

    source: str
    """Name of the source in the adapter's settings."""

    def adapter(self) -> Adapter:
        """A new adapter for this server with short timeouts (a second at most). The test closes it."""
        ...

    def fault(self, fault: Fault | None) -> bool:
        """Begin a bad day, or end it. False: this system cannot have such a day."""
        ...

    def skew(self, seconds: float) -> None:
        """From now on the server's clock is wrong by so much."""
        ...

    def now(self) -> int:
        """The server's clock, ms."""
        ...

    def measure(self, name: str, value: float) -> SeriesQuery:
        """Something has this value from now on; the query that asks for it."""
        ...

    def refused(self, name: str) -> SeriesQuery:
        """A query that the server refuses by itself."""
        ...

    def hosts(self, count: int) -> int:
        """So many hosts are measured from now on; how many of them are down (one at the least). 0: it knows of no hosts."""
        ...

    def asked(self) -> int:
        """Requests that reached it so far."""
        ...

    def secrets(self) -> Sequence[str]:
        """Every credential in use: no text may contain one."""
        ...
