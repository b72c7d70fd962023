"""Airflow 2's logs: plain text in one string that is the ``repr`` of ``[(host, text), …]``, with a signed token to go on from.

The text is handed out as it is. In front of it stands what Airflow says about where it lies; that is no part of the log, its
length changes, and it is not repeated where a token goes on.
"""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from adapters.airflow import reads
from adapters.airflow.v2 import AirflowHttp
from adapters.airflow.wire import TASK_STATES, TaskInstance
from adapters.errors import BadResponse
from adapters.model import Key, LogChunk, State
from adapters.shared import read_cursor

_HEAD: Final = re.compile(
    r"\s*INFO - ::group::Log message source details\n(.*?)\n?\s*INFO - ::endgroup::(?:\n|$)", re.S
)
_STARS: Final = re.compile(r"(?:\*\*\* .*(?:\n|$))+")
_WAITING: Final = ("scheduled", "queued")


class LogPage(msgspec.Struct):
    content: Any
    continuation_token: str | None = None


class _Token(msgspec.Struct):
    end_of_log: bool | None = None


def text_of(content: Any) -> str:
    """The log's text. Several hosts one after the other, each under its name."""
    if not isinstance(content, str):
        return "" if content is None else str(content)
    try:
        parts: Any = ast.literal_eval(content) if content[:1] in ("[", "(") else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        parts = None
    if isinstance(parts, tuple):
        parts = [parts]
    if not isinstance(parts, list) or not all(isinstance(p, tuple) and len(p) == 2 for p in parts):
        return content
    pairs = [(str(host), str(text)) for host, text in parts]
    if len(pairs) == 1:
        return pairs[0][1]
    return "\n".join(f"*** {host}\n{text}" if host else text for host, text in pairs)


def split_head(text: str) -> tuple[str, str]:
    """What Airflow says about where the log lies, and the log itself. Older releases only have lines with three stars."""
    found = _HEAD.match(text) or _STARS.match(text)
    if found is None:
        return "", text
    said = found[1] if found.lastindex else found[0]
    return said.strip("\n") + "\n" if said.strip() else "", text[found.end() :]


def ended(token: str | None) -> bool | None:
    """Whether Airflow calls this the end; None where its token does not tell. (Payload, a dot, a signature.)"""
    if token is None:
        return True
    payload = token.partition(".")[0]
    try:
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(raw, type=_Token).end_of_log
    except (ValueError, msgspec.DecodeError):
        return None


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``n`` characters of the log were handed out; ``token`` continues after them, without it they are skipped. ``open``: what
    was handed out does not end with its line."""

    n: int = 0
    token: str | None = None
    open: bool = False


async def log(
    http: AirflowHttp, key: Key, attempt: int, cursor: str | None, settled: Callable[[Key, int], Awaitable[bool]]
) -> LogChunk:
    """New text of one try. Airflow 2 answers for any try there could be, so that it has not begun is asked of its task."""
    known = read_cursor(cursor, _Cursor)
    try:
        page = await _page(http, key, attempt, known.token)
    except BadResponse as err:
        if known.token is None or err.status != 400:
            raise
        known.token = None  # the server's secret has changed: it no longer knows its own token
        page = await _page(http, key, attempt, None)
    text = text_of(page.content)
    over = ended(page.continuation_token)
    if over is not False and not known.n:
        ti, _ = await reads.instance(http, key)
        if (ti.try_number < attempt and not _terminal(ti)) or (ti.state in _WAITING and ti.try_number <= attempt):
            return LogChunk(b"", cursor, False, "not started yet")
        if ti.try_number == 0 and _terminal(ti):
            return LogChunk(b"", cursor, True, "it never ran, so it has no log")
        if ti.try_number < attempt:
            return LogChunk(b"", cursor, True, f"Airflow has no try {attempt} of it")
    head, body = ("", text) if known.token is not None else split_head(text)
    if known.token is None:
        body = body[known.n :]
    data = (head if cursor is None else "") + body
    after = _Cursor(known.n + len(body), page.continuation_token, not data.endswith("\n") if data else known.open)
    end = over is not False and not (over is None and body) and await settled(key, attempt)
    if end and after.open:
        data, after.open = data + "\n", False
    return LogChunk(data.encode("utf-8", "replace"), msgspec.json.encode(after).decode(), end)


async def _page(http: AirflowHttp, key: Key, attempt: int, token: str | None) -> LogPage:
    params: dict[str, str | int] = {"map_index": key.map_index, "full_content": "false"}
    if token is not None:
        params["token"] = token
    page, _ = await http.get(f"{reads.task_path(key)}/logs/{attempt}", LogPage, params)
    return page


def _terminal(ti: TaskInstance) -> bool:
    return TASK_STATES.get(ti.state or "none", (State.RUNNING, None))[0].terminal
