"""The engine's Unix socket: newline-delimited JSON in, one reply to each request out. Who asks is the kernel's word."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.peer import Peer, peer_of
from engine.request import MAX_LINE, RequestError, decode, encode

Handler = Callable[[dict[str, Any], Peer, "Client"], Awaitable[dict[str, Any]]]

MAX_CLIENTS = 64
FIRST_LINE_S = 5.0
LAST_ANSWER_S = 3.0


class Client:
    """One open conversation. ``watch`` is what this client is looking at, until ``watch_until`` (monotonic seconds)."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.watch: dict[str, Any] = {}
        self.watch_until = 0.0


class Server:
    """Listens beside the store. Bound to a temporary name and renamed, so that nobody meets a half-made socket."""

    def __init__(self, path: Path, handler: Handler, *, mode: int = 0o600, log: Callable[[str], None] = print) -> None:
        self.path = path
        self.clients: set[Client] = set()
        self.last_client = 0.0
        self._handler = handler
        self._mode = mode
        self._log = log
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Bind and listen. A path longer than the kernel's 107 bytes is reached through its folder's descriptor."""
        self.last_client = asyncio.get_running_loop().time()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        temporary = f".{self.path.name}.{os.getpid()}"
        try:
            try:
                os.unlink(temporary, dir_fd=folder)
            except FileNotFoundError:
                pass
            old = os.umask(0o177 if self._mode == 0o600 else 0o117)
            try:
                sock.bind(f"/proc/self/fd/{folder}/{temporary}")
            finally:
                os.umask(old)
            os.rename(temporary, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
        sock.listen(MAX_CLIENTS)
        sock.setblocking(False)
        # from 3.13 on asyncio would unlink what the bound name, long gone, may mean by then
        more: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=MAX_LINE + 1024, **more)

    async def close(self) -> None:
        """No new questions; those that are being answered get a few seconds, so that nobody has to guess what was done."""
        self._closing = True
        try:
            self.path.unlink()
        except FileNotFoundError:
            pass
        if self._server is not None:
            self._server.close()
        for task in self._tasks - self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(list(self._answering), timeout=LAST_ANSWER_S)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client: Client | None = None
        try:
            if len(self.clients) >= MAX_CLIENTS:
                await _reply(
                    writer, None, error=RequestError("refused", f"{MAX_CLIENTS} clients are connected already")
                )
                return
            client = Client(peer_of(writer.get_extra_info("socket")))
            self.clients.add(client)
            first = True
            while True:
                try:
                    async with asyncio.timeout(FIRST_LINE_S if first else None):
                        line = await reader.readline()
                except (TimeoutError, ValueError):
                    return
                if not line:
                    return
                first = False
                self._answering.add(task)
                await self._answer(line, client, writer)
                self._answering.discard(task)
                if self._closing:
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if client is not None:
                self.clients.discard(client)
                self.last_client = asyncio.get_running_loop().time()
            self._tasks.discard(task)
            self._answering.discard(task)
            writer.close()

    async def _answer(self, line: bytes, client: Client, writer: asyncio.StreamWriter) -> None:
        number: Any = None
        try:
            try:
                message = decode(line)
            except (ValueError, UnicodeDecodeError):
                raise RequestError("bad_request", "a line on the socket was not a JSON object") from None
            number = message.get("id")
            reply = await self._handler(message, client.peer, client)
        except RequestError as error:
            await _reply(writer, number, error=error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except (
            Exception
        ) as error:  # a bug of ours must not end the conversation; it is logged whole and said in one line
            self._log(f"bug while answering: {type(error).__name__}: {error}")
            await _reply(
                writer,
                number,
                error=RequestError("bug", f"the engine stumbled: {type(error).__name__}", "see engine.log"),
            )
        else:
            await _reply(writer, number, ok=reply)


async def _reply(
    writer: asyncio.StreamWriter, number: Any, *, ok: dict[str, Any] | None = None, error: RequestError | None = None
) -> None:
    if error is not None:
        message: dict[str, Any] = {
            "id": number,
            "error": {"code": error.code, "message": error.message, "hint": error.hint},
        }
    else:
        message = {"id": number, "ok": ok}
    try:
        data = encode(message)
    except (TypeError, ValueError):
        data = (
            json.dumps(
                {"id": number, "error": {"code": "bug", "message": "the reply was not JSON", "hint": ""}}
            ).encode()
            + b"\n"
        )
    writer.write(data)
    await writer.drain()
