"""The log of one start of one container, in pieces.

Kubernetes has no cursor for logs: it can be asked from a second on (``sinceTime``), with a stamp on each line. So the
cursor holds the last stamp and how many lines with it were handed out; what comes again from the begin of that second is
left out. A piece is bounded with ``limitBytes``. What the kubelet rotated away is not given by any call.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from adapters.errors import NotFound
from adapters.http import Http, refusal, words
from adapters.kubernetes import pods, reads
from adapters.kubernetes.wire import Doing, Pod, iso
from adapters.model import Key, LogChunk
from adapters.shared import read_cursor, write_cursor

PIECE: Final = 4 << 20
MOST: Final = 16 << 20
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ACCEPT: Final = {"Accept": "text/plain, */*"}
GONE: Final = "its pod was deleted, and its log with it"


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``pod``, ``uid``, ``restart``: whose log; ``n`` lines stamped ``at`` were handed out, and all before them."""

    pod: str = ""
    uid: str = ""
    restart: int = 0
    at: str = ""
    n: int = 0


async def log(http: Http, key: Key, attempt: int, cursor: str | None) -> LogChunk:
    """From ``cursor`` on. ``end`` once the container has ended and all of it was read."""
    known = read_cursor(cursor, _Cursor)
    found = await (_same(http, key, known) if known.pod else _first(http, key, attempt))
    if isinstance(found, LogChunk):
        return LogChunk(b"", cursor, found.end, found.note)
    pod, restart, previous, doing = found
    if doing is None or (doing.running is None and doing.terminated is None):
        return _not_there(pod, doing, cursor)
    known.pod, known.uid, known.restart = pod.metadata.name, pod.metadata.uid, restart
    return await _piece(http, key, known, cursor, previous, doing.terminated is not None)


async def _first(http: Http, key: Key, attempt: int) -> tuple[Pod, int, bool, Doing | None] | LogChunk:
    job, _ = await reads.job(http, key)
    there = pods.tries(job, await reads.pods_of(http, job))
    mine = [t for t in there if t.step == key.step and t.index == key.map_index]
    for one in mine:
        if one.attempt == attempt:
            return one.pod, one.restart, one.previous, one.doing
    over = pods.state_of(job)[1].terminal
    if mine and attempt < max(t.attempt for t in mine):
        return LogChunk(b"", None, True, "Kubernetes keeps the logs of the last two starts of a container only")
    if key.step not in {c.name for c, _ in job.containers()}:
        raise NotFound(words(f"Job {job.metadata.name} has no container {key.step}"))
    return LogChunk(b"", None, over, GONE if over else "no pod yet")


async def _same(http: Http, key: Key, known: _Cursor) -> tuple[Pod, int, bool, Doing | None] | LogChunk:
    namespace = key.pipeline.partition(".")[0]
    answer = await reads.gone(http, reads.pod_path(namespace, known.pod), known.pod)
    pod = answer.decode(Pod) if answer is not None else None
    if pod is None or pod.metadata.uid != known.uid:
        return LogChunk(b"", None, True, f"{GONE}; what was read before is kept here")
    status = pod.of(key.step or "")
    now = status.restart_count if status else 0
    if status is None or now == known.restart:
        return pod, known.restart, False, status.state if status else None
    if now == known.restart + 1:
        return pod, known.restart, True, status.last_state
    return LogChunk(b"", None, True, "it was started again more than once meanwhile: the rest of this log is not kept")


def _not_there(pod: Pod, doing: Doing | None, cursor: str | None) -> LogChunk:
    if pod.now.phase in ("Failed", "Succeeded"):
        why = f": {words(pod.now.reason)}" if pod.now.reason else ""
        return LogChunk(b"", cursor, True, f"it never ran, so it has no log{why}")
    waiting = doing.waiting if doing else None
    why = f": {words(waiting.reason)}" if waiting and waiting.reason else ""
    return LogChunk(b"", cursor, False, f"not started yet{why}")


async def _piece(http: Http, key: Key, known: _Cursor, cursor: str | None, previous: bool, over: bool) -> LogChunk:
    namespace = key.pipeline.partition(".")[0]
    limit = PIECE
    while True:
        asked: dict[str, str | int] = {"container": key.step or "", "timestamps": "true", "limitBytes": limit}
        if previous:
            asked["previous"] = "true"
        if (since := _second(known.at)) is not None:
            asked["sinceTime"] = since
        answer = await http.request("GET", f"{reads.pod_path(namespace, known.pod)}/log", params=asked, headers=_ACCEPT)
        if answer.status == 400:  # between the two questions it was not there (any more)
            said = words(refusal(answer).what.partition(": ")[2])
            return LogChunk(b"", cursor, previous, said or "no log now")
        if not 200 <= answer.status < 300:
            raise refusal(answer, http.auth.secrets if http.auth else ())
        cut = len(answer.body) >= limit
        lines, note = fresh(answer.body, known, whole=over and not cut)
        if lines or not cut:
            break
        if limit >= MOST:  # one second of it is more than is read at once
            known.at, known.n = _next_second(known.at), 0
            return LogChunk(
                b"", write_cursor(known), False, f"more than {MOST >> 20} MiB in one second: some of it is left out"
            )
        limit *= 4
    data = b"".join(render(line) for line in lines)
    stamps = [m.group(0).decode() for line in lines if (m := _STAMP.match(line)) is not None]
    if stamps:
        last = stamps[-1]
        more = known.n if last == known.at else 0
        known.at, known.n = last, more + stamps.count(last)
    return LogChunk(data, write_cursor(known), over and not cut, note)


def fresh(body: bytes, known: _Cursor, *, whole: bool) -> tuple[list[bytes], str | None]:
    """Lines that were not handed out yet. One without its end is left for the next time, unless this is ``whole``."""
    lines = body.split(b"\n")
    tail = lines.pop()
    if tail and whole:
        lines.append(tail)
    if not known.at or not known.n:
        if known.at == "" and len(lines) == 1 and not _STAMP.match(lines[0]):
            return [], words(lines[0].decode(errors="replace"))  # the kubelet's own words: there is nothing to read
        return lines, None
    mark, left = known.at.encode() + b" ", known.n
    for number, line in enumerate(lines):
        if line.startswith(mark) or line == mark[:-1]:
            left -= 1
            if not left:
                return lines[number + 1 :], None
    after = _order(known.at.encode())
    later = [line for line in lines if (m := _STAMP.match(line)) is not None and _order(m.group(0)) > after]
    lost = bool(lines)
    return later, "the log was rotated meanwhile: lines may be missing here" if lost else None


def render(line: bytes) -> bytes:
    """What the container wrote, without the stamp that Kubernetes put before it."""
    found = _STAMP.match(line)
    return (line if found is None else line[found.end() + 1 :]) + b"\n"


def _order(stamp: bytes) -> tuple[int, bytes]:
    """Whole seconds since the epoch, and nine digits of the rest."""
    found = _STAMP.match(stamp)
    if found is None:
        return 0, b"0" * 9
    zone = found.group(3).replace(b"Z", b"+00:00")
    whole = datetime.fromisoformat((found.group(1) + zone).decode())
    return int(whole.timestamp()), (found.group(2) or b".")[1:].ljust(9, b"0")[:9]


def _second(stamp: str) -> str | None:
    return iso(_order(stamp.encode())[0] * 1000) if stamp else None


def _next_second(stamp: str) -> str:
    return iso((_order(stamp.encode())[0] + 1) * 1000)
