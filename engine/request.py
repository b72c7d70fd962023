"""The words spoken on the engine's socket. Newline-delimited JSON, one reply to each request.

``{"id": 1, "do": "plan", …}`` → ``{"id": 1, "ok": {…}}`` or ``{"id": 1, "error": {"code", "message", "hint"}}``.
Progress comes through the store, never through the socket.
"""

from __future__ import annotations

import json
from typing import Any, Final

PROTOCOL: Final = 1
SCHEMA: Final = 5
MAX_LINE: Final = 1 << 20
"""Bytes; a longer line ends the conversation."""

DO: Final = frozenset(
    {
        "hello",
        "watch",
        "plan",
        "act",
        "cancel",
        "ack",
        "silence",
        "waive",
        "note",
        "notify",
        "arm",
        "disarm",
        "status",
        "reload",
        "stop",
        "poll",
        "ping",
        "signoff",
    }
)

# exit codes of the command line; error codes on the socket map onto them
EXIT_OK: Final = 0
EXIT_NOT_WELL: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_REFUSED: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_UNKNOWN: Final = 5
EXIT_NO_ENGINE: Final = 6
EXIT_BLIND: Final = 7
EXIT_BUG: Final = 70

ERRORS: Final = {
    "bad_request": EXIT_BAD_INPUT,
    "not_found": EXIT_BAD_INPUT,
    "bad_config": EXIT_BAD_INPUT,
    "refused": EXIT_REFUSED,
    "plan_void": EXIT_REFUSED,
    "used": EXIT_REFUSED,
    "unreachable": EXIT_UNREACHABLE,
    "unknown": EXIT_UNKNOWN,
    "mismatch": EXIT_NO_ENGINE,
    "bug": EXIT_BUG,
}


class RequestError(Exception):
    """A refusal in words: ``code`` from ERRORS, ``message`` what, ``hint`` what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def exit_code(self) -> int:
        return ERRORS.get(self.code, EXIT_BUG)


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """One line to one message; ValueError if it is not a JSON object, or holds text that cannot be written again."""
    try:
        message = json.loads(line)
        json.dumps(message, ensure_ascii=False).encode()  # a lone surrogate (\\ud800) would break whoever stores it
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("expected a JSON object")
    if not isinstance(message.get("do"), (str, type(None))):
        raise ValueError("what to do is a word")
    return message
