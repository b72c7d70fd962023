"""The terminal's side of the engine's socket: asynchronous, reconnecting, one sentence for everything that is wrong.

Nothing in here is waited for between a key and its paint; answers come to the app as messages of its own loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.request import MAX_LINE, PROTOCOL, SCHEMA, RequestError, decode, encode

ANSWER_WITHIN = 60.0
"""Seconds until a request without an answer is given up; a plan may ask a slow server."""


class NoEngine(Exception):
    """Nobody answers on the socket; the text is one sentence."""


class Client:
    """One conversation with the engine of one store. ``ask`` connects when needed; ``hello`` is what the engine said of itself."""

    def __init__(self, path: Path, store: Path) -> None:
        self.path = path
        self.store = store
        self.hello: dict[str, Any] = {}
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    @property
    def connected(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    async def ask(self, do: str, body: Mapping[str, Any] | None = None, *, patience: float = 0.0) -> dict[str, Any]:
        """The engine's answer. RequestError where it refuses, NoEngine where it does not answer.

        ``patience``: seconds to go on trying to connect, for an engine that is just starting. A request that was sent is
        never sent again: whether it was done is the engine's to say, through the store.
        """
        await self.connect(patience)
        return await self._ask(do, body or {})

    async def connect(self, patience: float = 0.0) -> None:
        """Be connected to an engine of our protocol, schema and store, or NoEngine."""
        async with self._connecting:
            loop = asyncio.get_running_loop()
            end = loop.time() + patience
            pause = 0.05
            while not self.connected:
                try:
                    await self._open()
                except NoEngine:
                    if loop.time() >= end:
                        raise
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, 1.0)

    async def _open(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            # through the folder's descriptor: a path may be longer than the 107 bytes that the kernel takes
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                await asyncio.get_running_loop().sock_connect(sock, f"/proc/self/fd/{folder}/{self.path.name}")
            finally:
                os.close(folder)
            reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE + 1024)
        except PermissionError:
            sock.close()
            raise NoEngine(f"the engine's socket {self.path} is not open to you") from None
        except OSError:
            sock.close()
            raise NoEngine("no engine is running: Ctrl+R starts one") from None
        self._writer = writer
        self._listener = asyncio.create_task(self._listen(reader, writer))
        try:
            self.hello = await self._ask(
                "hello", {"protocol": PROTOCOL, "origin": os.environ.get("SSH_CONNECTION", "")}, within=5.0
            )
            self._check(self.hello)
        except RequestError as error:
            self._drop(NoEngine(error.message))
            raise NoEngine(error.message) from None
        except NoEngine as error:
            self._drop(error)
            raise

    def _check(self, hello: Mapping[str, Any]) -> None:
        pid = hello.get("pid", "?")
        for what, theirs, ours in (
            ("protocol", hello.get("protocol"), PROTOCOL),
            ("store schema", hello.get("schema"), SCHEMA),
        ):
            if theirs != ours:
                older = "this screen" if isinstance(theirs, int) and theirs > ours else "the engine"
                raise NoEngine(
                    f"engine {pid} speaks {what} {theirs}, this screen {ours}: restart {older}, it is the older one"
                )
        store = str(hello.get("store", ""))
        if os.path.realpath(store) != os.path.realpath(self.store):
            raise NoEngine(f"engine {pid} on {self.path} watches another store ({store}), not {self.store}")

    async def _ask(self, do: str, body: Mapping[str, Any], within: float = ANSWER_WITHIN) -> dict[str, Any]:
        writer = self._writer
        if writer is None:
            raise NoEngine("the engine went away")
        self._number += 1
        number = self._number
        line = encode({**body, "id": number, "do": do})
        if len(line) > MAX_LINE:
            raise RequestError("bad_request", f"that is too much for one request ({len(line):,} bytes)")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(line)
            await writer.drain()
            async with asyncio.timeout(within):
                reply = await answer
        except TimeoutError:
            raise NoEngine(f"the engine did not answer within {within:.0f}s; what it does shows in the store") from None
        except OSError:
            raise NoEngine("the engine went away") from None
        finally:
            self._waiting.pop(number, None)
        error = reply.get("error")
        if isinstance(error, dict):
            raise RequestError(str(error.get("code", "bug")), str(error.get("message", "")), str(error.get("hint", "")))
        found = reply.get("ok")
        return found if isinstance(found, dict) else {}

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = NoEngine("the engine went away before it answered; what it did shows in the store")
        try:
            while line := await reader.readline():
                try:
                    reply = decode(line)
                except ValueError:
                    continue
                answer = self._waiting.get(int(reply.get("id") or 0))
                if answer is not None and not answer.done():
                    answer.set_result(reply)
        except (OSError, ValueError):  # ValueError: a line over the limit
            pass
        finally:
            if self._writer is writer:
                self._drop(reason)

    def _drop(self, reason: NoEngine) -> None:
        writer, self._writer = self._writer, None
        listener, self._listener = self._listener, None
        if writer is not None:
            writer.close()
        if listener is not None and listener is not asyncio.current_task():
            listener.cancel()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(reason)

    async def close(self) -> None:
        """End the conversation."""
        listener = self._listener
        self._drop(NoEngine("the screen is closing"))
        if listener is not None:
            with suppress(asyncio.CancelledError):
                await listener
