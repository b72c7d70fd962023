"""A blocking client of the engine's socket, for commands."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.request import MAX_LINE, PROTOCOL, RequestError, decode, encode


class NoEngine(Exception):
    """Nobody listens; ``str`` is one sentence."""


class Ask:
    """One conversation. ``with Ask(path) as ask: ask("status")``; RequestError where the engine refuses."""

    def __init__(self, path: Path, timeout_s: float = 30.0) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout_s)
        self._number = 0
        try:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._sock.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except PermissionError:
            self._sock.close()
            raise NoEngine(f"the engine's socket {path} is not open to you") from None
        except OSError:
            self._sock.close()
            raise NoEngine("no engine is running here; start one with: watchfloor engine run") from None
        self._file = self._sock.makefile("rb")
        hello = self("hello", protocol=PROTOCOL, origin=os.environ.get("SSH_CONNECTION", ""))
        self.hello = hello
        """The engine's greeting: whose store and configuration it is."""
        if hello.get("protocol") != PROTOCOL:
            raise NoEngine(
                f"the engine speaks protocol {hello.get('protocol')}, this command {PROTOCOL}; restart the engine"
            )

    def __call__(self, do: str, **body: Any) -> dict[str, Any]:
        self._number += 1
        try:
            self._sock.sendall(encode({"id": self._number, "do": do, **body}))
            line = self._file.readline(MAX_LINE)
        except OSError:
            raise NoEngine("the engine did not answer in time") from None
        if not line:
            raise NoEngine("the engine closed the conversation")
        reply = decode(line)
        if "error" in reply:
            error = reply["error"]
            raise RequestError(error.get("code", "bug"), error.get("message", ""), error.get("hint", ""))
        return reply.get("ok") or {}

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def __enter__(self) -> Ask:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
