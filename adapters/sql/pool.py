"""Connections of one source, each with a thread of its own: at most two, kept open, opened anew when broken, given up when they
hang.

Threads are daemons and nobody waits for them: a driver that never comes back holds neither the loop nor the end of the engine.
Whatever a driver raises is judged in its thread and leaves it as a value, without the driver's exception on it: drivers put
passwords into theirs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from adapters.base import Secret
from adapters.errors import AdapterError, AuthFailed, BadResponse, Unreachable
from adapters.http import words
from adapters.sql.engines.base import Engine, Login, Lost, Refused, Session, quietly

T = TypeVar("T")
MOST: Final = 2
"""Connections of a source."""
GRACE_S: Final = 2.0
"""Beyond the timeout that the server keeps: then the server, not the query, is what hangs."""
CLOSE_S: Final = 0.5
"""Until a connection that does not close is left to its thread."""
IDLE_S: Final = 300.0
"""A connection that was not used for so long is closed: what lies between may have forgotten it, and would swallow a question."""
MOST_LEFT: Final = 4
"""Threads given up that have not come back yet; beyond that no further connection is tried."""
AGAIN_S: Final = 600.0
"""A password that was refused is not sent again for so long: some databases lock an account after ten tries."""


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    value: T | None = None
    error: Exception | None = None


class Credentials:
    """``auth`` of a source: asked for at each connection, so that a new password is found; and what no text may contain."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        self._auth = dict(auth)
        self._seen: dict[str, None] = {}
        self._refused: tuple[tuple[str, ...], float, AuthFailed] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self._seen)

    def login(self, now: float) -> Login:
        """In a thread: a secret may come from a command. AuthFailed where there is none, or where it was refused just now."""
        found = Login(**{name: self._reveal(name) for name in self._auth})
        if self._refused and self._refused[0] == found.secrets and now < self._refused[1]:
            raise AuthFailed(self._refused[2].what, self._refused[2].hint)
        return found

    def refused(self, login: Login, error: AuthFailed, now: float) -> None:
        """Remembers it, and says so on the error."""
        error.hint = f"{error.hint}; the same is not tried again for {AGAIN_S / 60:.0f} min, lest the account be locked"
        self._refused = (login.secrets, now + AGAIN_S, AuthFailed(error.what, error.hint))

    def accepted(self) -> None:
        self._refused = None

    def _reveal(self, name: str) -> str:
        value = self._auth[name]
        if not isinstance(value, Secret):
            return value
        failed = text = ""
        try:
            text = value.reveal().strip()
        except Exception as error:
            failed = f" ({type(error).__name__})"
        if not text:
            raise AuthFailed(f"no {name} from {value.origin}{failed}", "see auth of this source")
        if name != "user":
            self._seen[text] = None
        return text


class Pool:
    """``run`` a piece of work on a connection."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self.engine = engine
        self.credentials = credentials
        self.asked = 0
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._left: list[_Line] = []
        self._slots: asyncio.Semaphore | None = None
        self._closed = False

    async def run(self, work: Callable[[Session], T]) -> T:
        """Raises AdapterError where the source does not answer, Refused where it answers and not this. A connection that broke
        while nobody asked is opened anew, once: what is asked only reads."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(MOST)
        async with self._slots:
            for last in (False, True):
                line = self._take()
                fresh = line.session is None
                outcome = await self._done(line, work, fresh)
                error = outcome.error
                if isinstance(error, Lost):
                    if fresh or last:
                        raise self.clean(self.engine.unreachable(error.what))
                    self._drop_idle()  # what broke one broke the others
                    continue
                if error is not None:
                    raise error
                return outcome.value  # type: ignore[return-value]
        raise AssertionError("not reached")

    async def _done(self, line: _Line, work: Callable[[Session], T], fresh: bool) -> _Outcome[T]:
        o = self.engine.place.options
        patience = o.statement_timeout + GRACE_S + (o.connect_timeout + GRACE_S if fresh else 0.0)
        self.asked += 1
        self._busy.add(line)
        outcome: _Outcome[T] | None = None
        try:
            async with asyncio.timeout(patience):
                outcome = await line.do(work)
        except TimeoutError:
            pass
        finally:
            self._busy.discard(line)
            if outcome is None:
                self._give_up(line)
        if outcome is None:
            raise self.clean(self.engine.unreachable(f"nothing came for {patience:.0f} s"))
        error = outcome.error
        if error is None or (isinstance(error, Refused) and not error.slow):
            line.used = asyncio.get_running_loop().time()
            self._idle.append(line)
        else:
            line.end()
        return outcome

    def _take(self) -> _Line:
        if self._closed:
            raise Unreachable("the source is closed", sent=False)
        now = asyncio.get_running_loop().time()
        for line in [line for line in self._idle if now - line.used > IDLE_S]:
            self._idle.remove(line)
            line.end()
        if self._idle:
            return self._idle.pop()
        self._left = [line for line in self._left if line.alive]
        if len(self._left) >= MOST_LEFT:
            raise self.clean(
                self.engine.unreachable(f"{len(self._left)} earlier questions never came back, no further one is asked")
            )
        return _Line(self)

    def _give_up(self, line: _Line) -> None:
        if line.alive:
            self._left.append(line)
        line.give_up()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def clean(self, error: AdapterError) -> AdapterError:
        """The same without any secret and any control character."""
        secrets = self.credentials.secrets
        error.what = words(error.what, secrets)
        error.hint = words(error.hint, secrets)
        error.args = (error.what,)
        return error

    async def close(self) -> None:
        """Not waited for beyond a moment: a connection that hangs is left to its thread."""
        self._closed = True
        for line in list(self._busy):
            self._give_up(line)
        ending = [line.do(lambda session: session.close()) for line in self._idle]
        self._drop_idle()
        if ending:
            await asyncio.wait(ending, timeout=CLOSE_S)


class _Line:
    """One thread, one connection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._work: SimpleQueue[tuple[Any, asyncio.AbstractEventLoop, asyncio.Future[Any]] | None] = SimpleQueue()
        self.session: Session | None = None
        self.used = 0.0
        """When it answered last, by the loop's clock."""
        self._over = False
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchfloor-sql", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return not self.ended.is_set()

    def do(self, work: Callable[[Session], T]) -> asyncio.Future[_Outcome[T]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Outcome[T]] = loop.create_future()
        self._work.put((work, loop, future))
        return future

    def end(self) -> None:
        """Close it when it rests."""
        self._work.put(None)

    def give_up(self) -> None:
        """It hangs: what it does is cancelled, in a thread since that may hang too."""
        self._over = True
        self.end()
        session = self.session
        if session is not None:
            threading.Thread(target=session.cancel, name="watchfloor-sql-cancel", daemon=True).start()

    def _run(self) -> None:
        try:
            while (item := self._work.get()) is not None:
                work, loop, future = item
                try:
                    outcome = self._outcome(work, loop)
                except Exception as error:  # a bug of ours: whoever waits must hear of it
                    outcome = _Outcome[Any](error=BadResponse(f"the adapter stumbled: {type(error).__name__}"))
                try:
                    loop.call_soon_threadsafe(self._settle, future, outcome)
                except RuntimeError:  # the loop is gone
                    break
                if self._over:
                    break
        finally:
            if self.session is not None:
                quietly(self.session.close)
            self.ended.set()

    def _settle(self, future: asyncio.Future[Any], outcome: _Outcome[Any]) -> None:
        if not future.done():
            future.set_result(outcome)

    def _outcome(self, work: Callable[[Session], T], loop: asyncio.AbstractEventLoop) -> _Outcome[T]:
        pool, opening = self._pool, self.session is None
        login = Login()
        raised: Exception
        try:
            if self.session is None:
                login = pool.credentials.login(loop.time())
                self.session = pool.engine.open(login)
                pool.credentials.accepted()
                opening = False
            return _Outcome(work(self.session))
        except Exception as error:
            raised = error
        return _Outcome(error=self._judged(raised, login, opening, loop.time()))

    def _judged(self, error: Exception, login: Login, opening: bool, now: float) -> Exception:
        """Ours, new and without the driver's on it."""
        pool = self._pool
        found: Exception = error
        if not isinstance(error, (AdapterError, Refused, Lost)):
            try:
                found = pool.engine.judge(error, opening=opening)
            except Exception as again:
                found = BadResponse(f"{pool.engine.title}: {type(again).__name__}")
        found.__cause__ = found.__context__ = found.__traceback__ = None
        if isinstance(found, Refused):
            return Refused(words(found.what, pool.credentials.secrets), slow=found.slow)
        if isinstance(found, Lost):
            return Lost(words(found.what, pool.credentials.secrets))
        assert isinstance(found, AdapterError)
        pool.clean(found)
        if isinstance(found, AuthFailed) and opening and login.user:
            pool.credentials.refused(login, found, now)
        return found
