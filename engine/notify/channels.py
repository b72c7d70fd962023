"""The one façade over Apprise: a process of its own that sends, and goes away when nothing is to be sent.

Apprise with its plugins costs 19 MB of resident memory and 260 ms of CPU (apprise 2.2.0, Python 3.11, an engine with
its libraries: 37.5 MB without, 56.3 MB after the first send), and a thread that hangs in a plugin cannot be ended. So
this file is also a program: the engine starts it (``python -P channels.py``) when there is something to send, speaks
lines of JSON with it over pipes, kills it when it does not answer within the limit, and lets it go after a quiet time.
Addresses travel by pipe only: never argv, never environment, never a log. Nothing Apprise writes is kept, because its
texts (also its "privacy" form of an address) can hold tokens: what happened is told in our own words.

As a program it imports nothing of ours, so that a planted ``engine`` package cannot get in its way.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

LIMIT_S = 20.0
"""Seconds until an attempt is given up; Apprise itself is told three quarters of it."""
QUIET_S = 20.0
"""Seconds without work after which the sender is let go."""
SLOW_S = 2.0
"""Seconds from which a failure without a status number counts as "may have arrived" (Apprise's read limit is 4 s)."""
LINE_MAX = 1 << 20

OK = "ok"
REFUSED = "refused"
TIMEOUT = "timeout"
INVALID = "invalid"

Fault = Callable[[str], None]
"""Called with the name of a point on the way; tests end the process there."""

_HOSTED = frozenset({"json", "xml", "form", "mailto", "gotify", "mmost", "apprise"})
"""Kinds of address whose host part is a host. Elsewhere it may be a token (Slack, Discord …) and is not shown."""


@dataclass(frozen=True, slots=True)
class Part:
    """One service of a contact's address. ``code``: an HTTP or SMTP status where one was seen."""

    index: int
    status: str
    where: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one attempt. ``ok``: every part took it. ``unsure``: some part may have taken it although nobody said so.

    ``lasting``: trying again will not help until somebody changes the configuration.
    """

    parts: tuple[Part, ...]
    words: str
    ms: int

    @property
    def ok(self) -> bool:
        return bool(self.parts) and all(part.status == OK for part in self.parts)

    @property
    def unsure(self) -> bool:
        return any(part.status == TIMEOUT for part in self.parts)

    @property
    def lasting(self) -> bool:
        bad = [part for part in self.parts if part.status != OK]
        return not self.parts or (
            bool(bad) and all(part.status == INVALID or part.code in (401, 403, 404, 410) for part in bad)
        )

    @property
    def done(self) -> frozenset[int]:
        return frozenset(part.index for part in self.parts if part.status == OK)


def no_address(words: str) -> Outcome:
    """There is nothing to send to: counts as a failure that lasts."""
    return Outcome((), words, 0)


class Channels:
    """Send through the sender process; start, watch and end it. Used from the engine's loop only."""

    def __init__(self, *, limit_s: float = LIMIT_S, quiet_s: float = QUIET_S, python: str = sys.executable) -> None:
        self.limit_s = limit_s
        self.quiet_s = quiet_s
        self._python = python
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._used = 0.0
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def send(
        self, url: str, title: str, body: str, notify_type: str, *, dedup: str = "", skip: Iterable[int] = ()
    ) -> Outcome:
        """One attempt at one contact. ``skip``: parts that took it before. Never raises for what the world does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        skip = sorted(skip)
        try:
            reply = await self._ask(
                {
                    "url": url,
                    "title": title,
                    "body": body,
                    "type": notify_type,
                    "dedup": dedup,
                    "skip": skip,
                    "limit": self.limit_s * 0.75,
                }
            )
        except TimeoutError:
            await self._kill()
            return self._lost(f"no answer within {self.limit_s:.0f}s", began)
        except (OSError, EOFError):
            return self._lost("the sender ended while it was sending", began)
        ms = int((loop.time() - began) * 1000)
        if "parts" not in reply:
            return Outcome((), str(reply.get("error") or "the sender could not be used"), ms)
        parts = tuple(Part(int(p["index"]), str(p["status"]), str(p["where"]), p.get("code")) for p in reply["parts"])
        return Outcome(parts, words(parts), ms)

    def _lost(self, what: str, began: float) -> Outcome:
        ms = int((asyncio.get_running_loop().time() - began) * 1000)
        return Outcome((Part(-1, TIMEOUT, "", None),), what, ms)

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(self.limit_s):
            process = await self._running()
            self._next += 1
            number = self._next
            future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._open[number] = future
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps({"n": number, **question}).encode() + b"\n")
                await process.stdin.drain()
                return await future
            finally:
                self._open.pop(number, None)
                self._used = asyncio.get_running_loop().time()

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            process, reader = self._process, self._reader
            if process is not None and process.returncode is None and reader is not None and not reader.done():
                return process  # nothing is awaited from here to the question's place in _open: no end goes unnoticed
            await self._end()
            self._process = await asyncio.create_subprocess_exec(
                self._python, "-P", os.path.abspath(__file__),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                cwd="/", start_new_session=True, limit=LINE_MAX,
            )  # fmt: skip
            self._reader = asyncio.create_task(self._read(self._process), name="sender")
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                reply = json.loads(line)
                future = self._open.get(reply.get("n"))
                if future is not None and not future.done():
                    future.set_result(reply)
        except (ValueError, OSError):
            pass
        finally:
            for future in self._open.values():
                if not future.done():
                    future.set_exception(EOFError())

    async def rest(self) -> None:
        """Let the sender go when it has been quiet for a while. Call now and then."""
        if (
            self._process is not None
            and not self._open
            and asyncio.get_running_loop().time() - self._used > self.quiet_s
        ):
            await self.close()

    async def close(self) -> None:
        """End the sender; what it was sending is cut off."""
        async with self._starting:
            await self._end()

    async def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        async with self._starting:
            await self._end()

    async def _end(self) -> None:
        process, reader = self._process, self._reader
        self._process = self._reader = None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # the end of its input is its order to leave at once
        try:
            async with asyncio.timeout(2.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if reader is not None:
            await asyncio.gather(reader, return_exceptions=True)


def words(parts: Iterable[Part]) -> str:
    """What happened, for the store and for screens: kind of service and host, no path, no token, nothing Apprise wrote."""
    return "; ".join(_one(part) for part in parts) or "no service in this contact's address"


def _one(part: Part) -> str:
    where = part.where or "its service"
    match part.status:
        case "ok":
            return f"{where} took it"
        case "timeout":
            return f"{where} did not answer in time; it may have arrived"
        case "invalid":
            return f"{where} cannot be used: not an address that Apprise understands, or it says optional=yes, which hides failures"
        case _:
            pass
    why = {
        401: "refused our credentials (401)", 403: "does not let us in (403)", 404: "does not know this address (404)",
        410: "no longer has this address (410)", 413: "found it too long (413)", 429: "asks for fewer messages (429)",
    }.get(part.code or 0)  # fmt: skip
    if why is None:
        why = "could not be reached or did not take it" if part.code is None else f"did not take it ({part.code})"
    return f"{where} {why}"


def where(url: str) -> str:
    """Of an address what may be shown: its kind, and the host where that is a host for sure."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9+.-]{0,30})://([^?#]*)", url)
    if found is None:
        return "an address without a kind"
    kind, rest = found.group(1).lower(), found.group(2)
    authority, _, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    sure = (
        re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d+)?", host) and "@" not in path
    )  # else a password may hold a slash
    if sure and kind.removesuffix("s") in _HOSTED:
        return f"{kind}://{host}"
    return f"{kind}://…"


def fit(body: str, limit: int) -> str:
    """A body a service can take: whole lines leave from the middle, so that where-and-since and the ids stay."""
    if limit <= 0 or len(body) <= limit:
        return body
    lines = body.split("\n")
    longest = max(40, limit // 4)
    lines = [line if len(line) <= longest else line[: longest - 1] + "…" for line in lines]
    while len(lines) > 2 and len("\n".join(lines)) > limit:
        del lines[-2]
    return "\n".join(lines)[:limit]


# --- the program ----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read questions, answer each from a thread of its own; at the end of input leave at once, whatever hangs."""
    import threading

    out = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # a plugin that prints must not be able to speak for us
    lock = threading.Lock()

    def answer(question: dict[str, Any]) -> None:
        try:
            reply: dict[str, Any] = {"parts": deliver(question)}
        except Exception as error:  # plugins are other people's code; the type tells enough, the text may tell too much
            reply = {"error": f"Apprise stumbled ({type(error).__name__})"}
        with lock:
            out.write(json.dumps({"n": question.get("n"), **reply}).encode() + b"\n")
            out.flush()

    for line in sys.stdin.buffer:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


def deliver(question: dict[str, Any]) -> list[dict[str, Any]]:
    """Each service of the address by itself, so that one that took it is never sent to again."""
    import logging

    import apprise
    from apprise.utils.parse import parse_urls

    logging.getLogger("apprise").propagate = False
    deadline = time.monotonic() + float(question["limit"])
    notify_type = {
        "failure": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING, "success": apprise.NotifyType.SUCCESS,
    }.get(question["type"], apprise.NotifyType.INFO)  # fmt: skip
    parts: list[dict[str, Any]] = []
    for index, url in enumerate(parse_urls(question["url"])):
        here = where(url)
        if index in question["skip"]:
            parts.append({"index": index, "status": OK, "where": here})
            continue
        service: Any = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None or getattr(service, "optional", False):
            parts.append({"index": index, "status": INVALID, "where": here})
            continue
        if getattr(service, "dedup", "-") is None:  # PagerDuty would make one from the first line, which moves
            service.dedup = question["dedup"] or None
        parts.append({"index": index, "where": here, **_send(apprise, service, question, notify_type, deadline)})
    return parts


def _send(apprise: Any, service: Any, question: dict[str, Any], notify_type: Any, deadline: float) -> dict[str, Any]:
    left = deadline - time.monotonic()
    if left <= 0:
        return {"status": REFUSED}  # not tried: sure that it did not arrive
    title = question["title"][: max(1, int(getattr(service, "title_maxlen", 0) or 250))]
    room = int(getattr(service, "body_maxlen", 0) or 0)
    if room and not getattr(service, "title_maxlen", 0):
        room -= len(title) + 2  # such a service gets the title inside the body
    sender = apprise.Apprise(asset=apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY))
    sender.add(service)
    result = sender.notify(
        body=fit(question["body"], room) or question["title"], title=title, notify_type=notify_type,
        body_format=apprise.NotifyFormat.TEXT, timeout=left,
    )  # fmt: skip
    took = time.monotonic() - (deadline - left)
    for one in result:  # the last attempt decides, not the service's status: ``optional`` would turn that
        last = one.attempts[-1].status.name if one.attempts else "FAILURE"
        if last == "SUCCESS":
            return {"status": OK}
        if last == "TIMEOUT" and one.status.name == "TIMEOUT":
            return {"status": TIMEOUT}
        code = _code(one.logs())
        if code is None and took >= SLOW_S:
            return {"status": TIMEOUT}  # Apprise's own read limit looks like a refusal; the message may have arrived
        return {"status": REFUSED, "code": code}
    return {"status": TIMEOUT if result.status.name == "TIMEOUT" else INVALID}


def _code(entries: Iterable[Any]) -> int | None:
    """The service's status number, if Apprise mentioned one; nothing else of its text is looked at."""
    found: int | None = None
    for entry in entries:
        match = re.search(r"error=(\d{3})\b", str(getattr(entry, "message", "")))
        if match:
            found = int(match.group(1))
    return found


if __name__ == "__main__":
    serve()
