"""What the app asks of the engine, beside the loop of keys and paint: find it, start it, requests, what is looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from engine.request import RequestError
from tui.client import Client, NoEngine
from tui.start import Place, lock_held

log = logging.getLogger("watchfloor.tui")

Say = Callable[[str, str], None]
Answer = Callable[[dict[str, Any] | None, dict[str, str] | None], None]


class Link:
    """``say`` shows one sentence. Without a place there is no engine to find (``show``, tests); a wall only starts one."""

    def __init__(self, place: Place | None, say: Say, *, starts: bool, asks: bool = True) -> None:
        self.place = place
        self.say = say
        self.starts = starts
        self.client = Client(place.socket, place.store) if place is not None and asks else None
        self._tasks: set[asyncio.Task[None]] = set()

    def held(self) -> bool | None:
        """Whether an engine holds the store; None where there is no place to look at."""
        return None if self.place is None else lock_held(self.place.lock)

    def meet(self) -> None:
        """Find the engine, start one where none runs."""
        if self.place is not None:
            self._run(self._meet())

    async def _meet(self) -> None:
        if self.starts:
            self._start()
        if self.client is not None:
            try:
                await self.client.connect(10.0)
            except NoEngine as error:
                self.say(str(error), "warn")

    def _start(self) -> bool:
        from tui.start import start_engine

        if self.place is None:
            return False
        try:
            return start_engine(self.place)
        except OSError as error:
            where = error.filename or self.place.engine_log
            self.say(f"no engine can be started: {error.strerror or error} ({where})", "bad")
            return False

    def refresh(self) -> None:
        """Poll every source now; start the engine where none runs."""
        self._run(self._refresh())

    async def _refresh(self) -> None:
        if self.place is None or self.client is None:
            self.say("this screen has no engine to ask", "warn")
            return
        if not lock_held(self.place.lock) and self._start():
            self.say("starting an engine …", "info")
        try:
            await self.client.ask("poll", patience=10.0)
            self.say("every source is being asked now", "info")
        except (NoEngine, RequestError) as error:
            self.say(str(error), "warn")

    def request(self, do: str, body: Mapping[str, Any], answer: Answer) -> None:
        """Ask; ``answer`` is called with the reply or with ``code message hint`` of what went wrong."""
        self._run(self._request(do, body, answer))

    async def _request(self, do: str, body: Mapping[str, Any], answer: Answer) -> None:
        reply: dict[str, Any] | None = None
        error: dict[str, str] | None = None
        try:
            if self.client is None:
                raise NoEngine("this screen cannot act")
            reply = await self.client.ask(do, body, patience=1.0)
        except NoEngine as gone:
            error = {"code": "no_engine", "message": str(gone), "hint": ""}
        except RequestError as refused:
            error = {"code": refused.code, "message": refused.message, "hint": refused.hint}
        answer(reply, error)

    def watch(self, body: Mapping[str, Any]) -> None:
        """Tell the engine what is being looked at; it forgets by itself after some seconds."""
        if self.client is not None:
            self._run(self._watch(dict(body)))

    async def _watch(self, body: dict[str, Any]) -> None:
        assert self.client is not None
        try:
            await self.client.ask("watch", body)
        except (NoEngine, RequestError) as error:
            log.info("watch: %s", error)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed", exc_info=error)
            self.say(f"the request failed: {type(error).__name__} (a bug of ours; the log has more)", "bad")

    async def close(self) -> None:
        """Nothing is waited for: what was asked goes on in the engine."""
        for task in list(self._tasks):
            task.cancel()
        if self.client is not None:
            await self.client.close()
