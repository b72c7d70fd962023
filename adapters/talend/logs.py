"""Logs of task executions: page by page as they grow, and the whole of a long one that has ended as the file TMC makes of it.

The file costs three requests instead of one for each 200 lines, but what its last two answers look like is not documented
in full: whatever goes wrong there, the pages are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from adapters.errors import AdapterError, NotFound
from adapters.http import Answer, Http
from adapters.model import LogChunk
from adapters.shared import write_cursor
from adapters.talend.wire import LogLine, LogPage, iso_s, ms, segment

COUNT: Final = 200
"""The most that one page holds."""
SETTLE_MS: Final = 30_000
"""How long after the end of a run its last lines may still arrive, by the vendor's own word."""
PARTS: Final = 10
"""Files of at most 100,000 lines each that are asked for; older lines stay where they are."""
BACKWARDS_PAGES: Final = 50
PATIENCE: Final = 30
"""How often a file that is not made yet is asked after before the pages are read instead."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LogCursor(msgspec.Struct, omit_defaults=True):
    """``e``: the execution whose log it is. ``n``: lines handed out. ``file``: they come from the file, of which so many parts
    were handed out. ``last``: time of the last line, where the server gives lines newest first only."""

    e: str = ""
    n: int = 0
    file: int | None = None
    last: int | None = None
    same: int = 0


class _Token(msgspec.Struct):
    token: str
    size: Any = None


@dataclass(slots=True)
class _Whole:
    """Files that TMC is making: their tokens, newest first. They open a log, so they stay in memory."""

    tokens: list[str] = field(default_factory=list[str])
    cut: bool = False
    asked: int = 0


class Logs:
    """Of one source. ``connect``: a client without credentials for another host, for the file's own address."""

    def __init__(self, http: Http, connect: Any) -> None:
        self._http = http
        self._connect = connect
        self._whole: dict[str, _Whole] = {}
        self._no_file: set[str] = set()

    async def read(self, execution: str, cursor: LogCursor, ended: int | None, over: bool) -> LogChunk:
        """New lines. ``over``: the run has ended, ``ended`` ms UTC where that is known."""
        if cursor.file is not None and (cursor.file or execution not in self._no_file):
            return await self._file(execution, cursor)
        settled = over and self._settled(ended)
        try:
            page = await self._page(execution, cursor.n, "ASC")
        except NotFound:  # nothing logged (yet), or never started
            return LogChunk(b"", write_cursor(cursor), settled, None if cursor.n else "no log (yet)")
        if cursor.last is not None or _newest_first(page.data):
            return await self._backwards(execution, cursor, settled)
        full = len(page.data) >= COUNT
        if full and cursor.n == 0 and settled and execution not in self._no_file:
            chunk = await self._file(execution, LogCursor(e=execution, file=0))
            if chunk.data or chunk.cursor is not None:
                return chunk
        after = LogCursor(e=execution, n=cursor.n + len(page.data))
        return LogChunk(render(page.data), write_cursor(after), settled and not full)

    def _settled(self, ended: int | None) -> bool:
        now = self._http.server_time
        return ended is None or now is None or now - ended > SETTLE_MS

    async def _page(self, execution: str, start: int, order: str) -> LogPage:
        params = {"count": COUNT, "startIndex": start, "order": order}
        page, _ = await self._http.get(f"/monitoring/executions/{segment(execution)}/logs", LogPage, params)
        return page

    # --- a server that gives the newest first -----------------------------------------------------------------------------

    async def _backwards(self, execution: str, cursor: LogCursor, settled: bool) -> LogChunk:
        """Whether ``order=ASC`` is heeded everywhere is not documented. Read from the newest line back to the last one handed out."""
        fresh: list[LogLine] = []
        start, found = 0, False
        for _ in range(BACKWARDS_PAGES):
            page = await self._page(execution, start, "DESC")
            start += len(page.data)
            for line in page.data:
                at = ms(line.logTimestamp) or 0
                if cursor.last is not None and at < cursor.last:
                    found = True
                    break
                fresh.append(line)
            if found or len(page.data) < COUNT:
                break
        fresh.reverse()
        if cursor.last is not None:  # of the same instant as the last one, so many were handed out already
            again = sum((ms(line.logTimestamp) or 0) == cursor.last for line in fresh)
            fresh = fresh[min(again, cursor.same) :]
        last = cursor.last if not fresh else ms(fresh[-1].logTimestamp) or 0
        same = sum((ms(line.logTimestamp) or 0) == last for line in fresh) + (cursor.same if last == cursor.last else 0)
        after = LogCursor(e=execution, n=cursor.n + len(fresh), last=last, same=same)
        return LogChunk(render(fresh), write_cursor(after), settled)

    # --- the whole log as a file ------------------------------------------------------------------------------------------

    async def _file(self, execution: str, cursor: LogCursor) -> LogChunk:
        """The next part of it, oldest first. An empty chunk with a cursor: it is not made yet. Without: there is none, and the
        pages are to be read."""
        done = cursor.file or 0
        try:
            whole = self._whole.get(execution) or await self._order(execution)
            self._whole[execution] = whole
            while len(self._whole) > 50:
                self._whole.pop(next(iter(self._whole)))
            if done >= len(whole.tokens):
                return LogChunk(b"", write_cursor(cursor), True)
            data = await self._download(execution, whole.tokens[-1 - done])
        except AdapterError:
            self._whole.pop(execution, None)
            self._no_file.add(execution)
            # what was handed out from parts is not asked for again line by line
            return (
                LogChunk(b"", None, False)
                if not done
                else LogChunk(b"", write_cursor(cursor), True, "the rest is lost")
            )
        if data is None:
            whole.asked += 1
            if whole.asked >= PATIENCE and not done:
                self._no_file.add(execution)
            return LogChunk(b"", write_cursor(cursor), False, "TMC is preparing the whole log")
        after = LogCursor(e=execution, file=done + 1)
        note = "older lines are left out: the log is too long" if whole.cut and not done else None
        return LogChunk(data, write_cursor(after), done + 1 >= len(whole.tokens), note)

    async def _order(self, execution: str) -> _Whole:
        """Has it made. 206 says that these are its last 100,000 lines, and up to when the next request is to ask."""
        whole = _Whole()
        until: str | None = None
        for _ in range(PARTS):
            params = {"fileFormat": "TEXT", **({"endTime": until} if until else {})}
            query = "&".join(f"{k}={segment(v)}" for k, v in params.items())
            answer = await self._http.ask("POST", f"/monitoring/executions/{segment(execution)}/logs?{query}")
            whole.tokens.append(answer.decode(_Token).token)
            following = _end_time(answer) if answer.status == 206 else None
            if following is None or following == until:
                return whole
            until = following
        whole.cut = True
        return whole

    async def _download(self, execution: str, token: str) -> bytes | None:
        """One file; None while it is being made."""
        path = f"/monitoring/executions/{segment(execution)}/logs/status"
        answer = await self._http.ask("POST", path, body={"token": token})
        url = _address(answer.decode(object))
        if url is None:
            return None
        parts = urlsplit(url)
        own = urlsplit(self._http.base)
        if parts.scheme != "https" and (parts.scheme, parts.hostname) != (own.scheme, own.hostname):
            raise NotFound("the address of the log file is no https address")
        other = self._connect(f"{parts.scheme}://{parts.netloc}")
        try:
            got = await other.ask("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        finally:
            self._http.requests += other.requests
            self._http.bytes += other.bytes
            await other.close()
        if got.html:
            raise NotFound("the address of the log file answers with a page")
        return got.body if got.body.endswith(b"\n") or not got.body else got.body + b"\n"


def _end_time(answer: Answer) -> str | None:
    """``X-Log-Next-Request-End-Time`` as the call wants it. How the header writes it is not documented."""
    text = answer.headers.get("x-log-next-request-end-time", "").strip()
    at = ms(text)
    return None if at is None else text if "T" in text else iso_s(at)


def _address(body: Any) -> str | None:
    """The first thing in the answer that is a URL: how its field is called is not documented."""
    if isinstance(body, str):
        return body if body.startswith(("https://", "http://")) else None
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return next((found for part in inner if (found := _address(part)) is not None), None)


def _newest_first(lines: list[LogLine]) -> bool:
    times = [t for t in (ms(line.logTimestamp) for line in lines) if t is not None]
    return len(times) > 1 and times[0] > times[-1]


def render(lines: list[LogLine]) -> bytes:
    """``2026-11-21T09:10:38.123Z ERROR message`` a line, in UTC; what follows in a message keeps its own lines."""
    out: list[str] = []
    for line in lines:
        at = ms(line.logTimestamp)
        head = [] if at is None else [_stamp(at)]
        head += [line.severity] if line.severity else []
        out.append(" ".join([*head, (line.logMessage or "").rstrip("\r\n")]))
    return "".join(f"{text}\n" for text in out).encode("utf-8", "replace")


def _stamp(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
