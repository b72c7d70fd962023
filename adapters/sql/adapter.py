"""A database, asked by the SQL of ``[[series]]``. It runs nothing and changes nothing: each query is a transaction that only
reads and is rolled back.

A poll is one small question (is it there, and what time has it), a measuring one statement a query, two at a time. A query that
is refused or takes too long rests, ever longer, so that it spoils no other and burdens nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import ClassVar, Final

from adapters.base import Probe, SourceSettings
from adapters.extras import Readings, SeriesQuery
from adapters.measuring import MeasuringAdapter
from adapters.model import Sample
from adapters.shared import zone_of
from adapters.sql.answer import read
from adapters.sql.engines import engine_for
from adapters.sql.engines.base import Refused, Told
from adapters.sql.guard import bare, wrong, wrong_anywhere
from adapters.sql.pool import MOST, Credentials, Pool
from adapters.sql.where import place_of

WHOLE_S: Final = 40.0
"""For all queries of one asking; those that find no time come first the next time. The engine waits 45 s."""
REFUSED_S: Final = (60.0, 600.0)
"""After a refusal, and at most: when that query is asked again."""
KNOWN: Final = 2_000
"""Queries of which something is remembered."""


@dataclass(slots=True)
class _Query:
    """What was learnt of one query: why it rests ``until`` when; ``asked`` last, by the loop's clock."""

    why: str = ""
    tries: int = 0
    until: float = 0.0
    asked: float | None = None
    warned: str = ""


class SqlAdapter(MeasuringAdapter):
    """``options``: ``statement_timeout`` ("10s", at most 30), ``connect_timeout`` ("5s"), ``schema`` (PostgreSQL, Oracle,
    Snowflake), ``sslmode`` (PostgreSQL), ``encrypted`` (Oracle, SQL Server), ``warehouse`` and ``role`` (Snowflake)."""

    kind: ClassVar[str] = "sql"
    nothing: ClassVar[str] = "a database is only asked for numbers here; it runs nothing"

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._place = place_of(settings)
        self._zone = zone_of(settings.timezone)
        self._engine = engine_for(self._place)
        self._pool = Pool(self._engine, Credentials(settings.auth))
        self._known: dict[str, _Query] = {}
        self._alive: tuple[float, int | None] | None = None
        """When it answered last, by the loop's clock, and its own clock then."""

    def __repr__(self) -> str:
        return f"SqlAdapter({self.settings.name!r}, {self._place.shown!r})"

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(q.warned for q in self._known.values() if q.warned))

    @property
    def spent(self) -> tuple[int, int]:
        """Statements; drivers tell no bytes."""
        return (self._pool.asked, 0)

    async def close(self) -> None:
        await self._pool.close()

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        return wrong_anywhere(text)

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        now = await self.alive(fresh=True)
        told = Told()
        warnings: list[str] = []
        try:
            told = await self._pool.run(lambda session: session.told())
        except Refused as error:
            warnings.append(f"who asks and whether they may write could not be found out: {error.what}")
        warnings += told.warnings
        return Probe(
            version=f"{self._engine.title} {told.version}".strip(),
            identity=told.identity or None,
            permissions={"metrics": True},
            server_time=now,
            warnings=tuple(warnings),
        )

    async def alive(self, *, fresh: bool = False) -> int | None:
        """The server's clock, by asking; what it said stands for a while where asking costs money."""
        at = _loop_s()
        if not fresh and self._alive is not None and at - self._alive[0] < self._engine.alive_s:
            then, said = self._alive
            return None if said is None else said + round((at - then) * 1000)
        try:
            said = await self._pool.run(lambda session: session.now())
        except Refused as error:
            raise self._pool.clean(self._engine.unreachable(error.what)) from None
        self._alive = (_loop_s(), said)
        return said

    # --- what is measured -------------------------------------------------------------------------------------------

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        if not queries:
            return Readings()
        failed: dict[str, str] = {}
        found: list[Sample] = []
        began = _loop_s()
        server = await self.alive()
        clock = (_loop_s(), server if server is not None else round(time() * 1000))
        due: list[SeriesQuery] = []
        for query in queries:
            state = self._state(query.text)
            said = wrong(query.text, self._engine.dialect)
            if said:
                failed[query.name] = f"the query is refused: {said}"
            elif began < state.until:
                failed[query.name] = state.why
            else:
                due.append(query)
        due.sort(key=lambda q: self._state(q.text).asked or 0.0)  # what found no time last time comes first
        await self._ask_all(deque(due), began, clock, found, failed)
        order = {q.name: i for i, q in enumerate(queries)}
        found.sort(key=lambda s: order.get(s.series.partition("{")[0], 0))
        told = {q.name: self._state(q.text).warned for q in queries}
        return Readings(
            samples=tuple(found),
            failed=failed,
            warnings=tuple(f"{name}: {text}" for name, text in told.items() if text),
            server_time=server,
        )

    async def _ask_all(
        self,
        due: deque[SeriesQuery],
        began: float,
        clock: tuple[float, int],
        found: list[Sample],
        failed: dict[str, str],
    ) -> None:
        """Two at a time. What the source as a whole does wrong ends them all."""
        longest = self._place.options.statement_timeout

        async def one_after_another() -> None:
            while due:
                query = due.popleft()
                if _loop_s() - began + longest > WHOLE_S:
                    failed[query.name] = (
                        "not asked this time: the other queries took all of it; it comes first the next time"
                    )
                    continue
                await self._ask(query, clock, found, failed)

        tasks = [asyncio.create_task(one_after_another()) for _ in range(min(MOST, len(due)))]
        if not tasks:
            return
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _ask(
        self, query: SeriesQuery, clock: tuple[float, int], found: list[Sample], failed: dict[str, str]
    ) -> None:
        state, at = self._state(query.text), _loop_s()
        state.warned = "" if state.asked is None else self._engine.warns(query.text, at - state.asked) or ""
        state.asked = at
        text = bare(query.text, self._engine.dialect)
        try:
            table = await self._pool.run(lambda session: session.ask(text))
        except Refused as error:
            state.tries += 1
            state.until = _loop_s() + min(REFUSED_S[0] * 2 ** (state.tries - 1), REFUSED_S[1])
            state.why = failed[query.name] = error.what if error.slow else f"the query is refused: {error.what}"[:200]
            return
        state.tries, state.until, state.why = 0, 0.0, ""
        now = clock[1] + round((_loop_s() - clock[0]) * 1000)
        samples, why = read(query, table, now, self._zone)
        found += samples
        if why:
            failed[query.name] = why

    def _state(self, text: str) -> _Query:
        """Remembered by its text, the latest asked last; what was not asked for longest is forgotten."""
        state = self._known.pop(text, None) or _Query()
        self._known[text] = state
        while len(self._known) > KNOWN:
            self._known.pop(next(iter(self._known)))
        return state


def _loop_s() -> float:
    return asyncio.get_running_loop().time()
