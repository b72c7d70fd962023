"""Numbers that the files of this host tell: how many, how large, how old, how full; and what a log says of itself.

Each look is apart, in a thread of its own with an end: a mount that hangs costs its own queries a reason and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Final

from adapters.apart import Apart, Hangs
from adapters.auth import known_auth
from adapters.base import Probe, SourceSettings
from adapters.errors import Forbidden, NotFound, Unreachable
from adapters.extras import Readings, SeriesQuery
from adapters.globs import Cannot, Walk, shown
from adapters.http import words
from adapters.measuring import MeasuringAdapter
from adapters.model import Sample
from adapters.probes.base import (
    MOST_A_QUERY,
    Labelled,
    as_series,
    known_options,
    now_ms,
    seconds,
    wrong_text,
)
from adapters.probes.follow import Mark, News, at_start, news
from adapters.probes.matching import TAIL, Found, Matcher
from adapters.probes.regex import Regex, before_regex, wrong_regex
from adapters.probes.values import NoValue, midnight

GLOBS: Final = ("count", "size", "newest", "oldest", "age", "newest-date")
LOGS: Final = ("match", "count-match")
WORDS: Final = (*GLOBS, "lines", "free", "used%", "inodes%", *LOGS)
TOKENS: Final = ("{yyyymmdd}", "{business_date}")
LIMIT_S: Final = 5.0
MOST_S: Final = 30.0
AT_ONCE: Final = 8
ASK_S: Final = 30.0
"""For all looks of one ask; what has not begun by then is not looked at."""
FILES: Final = 5
"""Log files of one ``count-match``."""
COUNTED: Final = 8 << 20
"""Bytes of one log file between two asks."""
KNOWN: Final = 1000
"""Queries of which is remembered how far their files were read."""


@dataclass(frozen=True, slots=True)
class Query:
    what: str
    path: str
    regex: Regex | None = None

    @classmethod
    def parse(cls, text: str) -> Query:
        """ValueError: a clause on what is wrong."""
        what, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if what not in WORDS:
            raise ValueError(f"it begins with one of {' '.join(WORDS)}")
        if "\0" in rest or ".." in rest.split("/"):
            raise ValueError("a path without .. is expected")
        if what in LOGS:
            found = before_regex(rest)
            if found is None:
                raise ValueError(f"expected {what} FILE /REGEX/")
            regex = Regex(found[1], found[2], count=what == "count-match")
            if wrong := wrong_regex(regex):
                raise ValueError(wrong)
            return cls(what, found[0], regex)
        if not rest:
            raise ValueError(f"expected a path after {what}")
        if what == "newest-date" and not any(token in rest for token in TOKENS):
            raise ValueError(f"newest-date needs {' or '.join(TOKENS)} in the name")
        return cls(what, rest)


@dataclass(slots=True)
class _Log:
    """What is remembered of one log query: how far each file was read, the labels that were seen, the last values with the time
    of their file (ms)."""

    marks: dict[object, Mark] = field(default_factory=dict[object, Mark])
    labels: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    last: dict[tuple[tuple[str, str], ...], tuple[Any, int]] = field(
        default_factory=dict[tuple[tuple[str, str], ...], tuple[Any, int]]
    )
    begun: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """What is new in the files of one log query. ``before``: it was written before we began."""

    data: bytes
    before: bool
    mtime: int
    marks: dict[object, Mark]
    why: str = ""
    """Not all of it was read, so that nothing can be counted."""


class FilesAdapter(MeasuringAdapter):
    """``options``: ``root`` = the folder of relative paths (default: the configuration's); ``timeout`` = seconds of one look."""

    kind: ClassVar[str] = "files"
    nothing: ClassVar[str] = "files are looked at; this source runs nothing"

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        known_auth(settings.auth)
        known_options(settings.options, "root", "timeout")
        root = settings.options.get("root", "")
        if not isinstance(root, str) or "\0" in root:
            raise ValueError(f"options.root: expected a folder, got {root!r}")
        self._root = settings.config_folder.absolute() / os.path.expanduser(root)
        self._limit_s = seconds(settings.options, "timeout", LIMIT_S, MOST_S)
        self._apart = Apart()
        self._matcher = Matcher()
        self._logs: dict[str, _Log] = {}
        self._counted: dict[str, tuple[tuple[int, ...], int]] = {}
        """Lines of files that did not change since."""
        self._bytes = 0

    def __repr__(self) -> str:
        return f"FilesAdapter({self.settings.name!r}, {str(self._root)!r})"

    @property
    def spent(self) -> tuple[int, int]:
        """Looks are no requests: nobody else is asked."""
        return (0, self._bytes)

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        return wrong_text(Query.parse, text)

    async def alive(self) -> int | None:
        """Whether the root is a folder that may be looked into; apart, it may hang."""
        root = str(self._root)
        name = shown(root, 120)

        def look() -> str:
            try:
                info = os.stat(root)
            except PermissionError:
                return "denied"
            except OSError:
                return "gone"
            if not stat.S_ISDIR(info.st_mode):
                return "gone"
            return "" if os.access(root, os.R_OK | os.X_OK) else "denied"

        found = await self._apart("root", look, self._limit_s)
        if isinstance(found, Hangs):
            raise Unreachable(words(f"{name} does not answer: a mount whose server is gone?"))
        if found == "denied":
            raise Forbidden(words(f"{name} may not be read: permission denied"), "let the engine's user read it")
        if found:
            raise NotFound(words(f"the folder {name} is not there"), "see options.root")
        return None

    async def probe(self) -> Probe:
        await self.alive()
        return Probe(version="this host", identity=shown(str(self._root), 120), permissions={"metrics": True})

    # --- one ask ----------------------------------------------------------------------------------------------------

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        failed: dict[str, str] = {}
        parsed: dict[str, Query] = {}
        for query in queries:
            try:
                parsed[query.text] = Query.parse(query.text)
            except ValueError as error:
                failed[query.name] = words(f"the query cannot be read: {error}")
        slots = asyncio.Semaphore(AT_ONCE)
        end = asyncio.get_running_loop().time() + ASK_S
        looks = await asyncio.gather(*(self._look(slots, end, text, one) for text, one in parsed.items()))
        looked = dict(zip(parsed, looks, strict=True))
        reads = {text: found for text, found in looked.items() if isinstance(found, _Read)}
        jobs = [(regex, found.data) for text, found in reads.items() if (regex := parsed[text].regex)]
        matched = dict(zip(reads, await self._matcher.run(jobs), strict=True))
        found: list[Sample] = []
        now = now_ms()
        for query in queries:
            if query.text not in looked:
                continue
            try:
                said = looked[query.text]
                if isinstance(said, NoValue):
                    raise said
                if isinstance(said, _Read):
                    found += self._log_values(query, parsed[query.text], said, matched[query.text], now)
                else:
                    found += as_series(query, [({}, said)], now)
            except NoValue as error:
                failed[query.name] = words(error.what)
        return Readings(samples=tuple(found), failed=failed)

    async def _look(self, slots: asyncio.Semaphore, end: float, text: str, query: Query) -> float | _Read | NoValue:
        path = os.path.join(self._root, os.path.expanduser(query.path))
        async with slots:
            if asyncio.get_running_loop().time() > end:
                return NoValue("it was not looked at: other looks of this source hang")
            try:
                found = await self._apart(text, self._work(text, query, path), self._limit_s)
            except NoValue as error:
                return error
            except Cannot as error:
                return NoValue(str(error))
            except RuntimeError:
                return NoValue("this host has no room for a thread")
            except (OSError, ValueError) as error:
                return NoValue(f"it cannot be looked at: {getattr(error, 'strerror', None) or error}")
        if isinstance(found, Hangs):
            return NoValue(f"{shown(path, 120)} does not answer: a mount whose server is gone, or too much to look at")
        if isinstance(found, _Read):
            self._bytes += len(found.data)
        return found

    def _work(self, text: str, query: Query, path: str) -> Callable[[], float | _Read]:
        """What is done apart. It changes nothing of ours: who came back too late is not heard."""
        limit = self._limit_s
        if query.regex is not None:
            known = self._logs.get(text, _Log())
            count, marks, begun = query.regex.count, dict(known.marks), known.begun
            return lambda: _read_logs(path, marks, begun, count, limit)
        if query.what == "lines":
            return lambda: _lines(path, self._counted, limit)
        if query.what in ("free", "used%", "inodes%"):
            return lambda: _mount(query.what, path)
        return lambda: _files(query.what, path, limit)

    # --- logs -------------------------------------------------------------------------------------------------------

    def _log_values(self, query: SeriesQuery, parsed: Query, read: _Read, found: Found, now: int) -> list[Sample]:
        if query.text not in self._logs and len(self._logs) >= KNOWN:
            self._logs.clear()
        log = self._logs.setdefault(query.text, _Log())
        log.marks, log.begun = read.marks, True
        if read.why or found.why:
            raise NoValue(read.why or found.why)
        if parsed.what == "count-match":
            return self._counts(query, parsed, log, read, found, now)
        for labels, value in found.hits:
            log.last[tuple(sorted(labels.items()))] = (value, min(read.mtime, now))
        if not log.last:
            raise NoValue("no line of the last MiB matches")
        if len(log.last) > MOST_A_QUERY:
            raise NoValue(f"it gives more than {MOST_A_QUERY} series: make its named groups narrower")
        out: list[Sample] = []
        for key, (value, t) in log.last.items():
            out += as_series(query, [(dict(key), value)], t)
        return out

    def _counts(
        self, query: SeriesQuery, parsed: Query, log: _Log, read: _Read, found: Found, now: int
    ) -> list[Sample]:
        """Since the last ask; what stood there when we began was written before anybody counted."""
        hits = {tuple(sorted(labels.items())): 0 if read.before else n for labels, n in found.hits}
        for labels, _ in found.hits:
            if labels not in log.labels:
                log.labels.append(labels)
        assert parsed.regex is not None
        if not re.compile(parsed.regex.text).groupindex:
            return as_series(query, [({}, hits.get((), 0))], now)
        if not log.labels:
            raise NoValue("no line matches yet")
        answers: list[Labelled] = [(one, hits.get(tuple(sorted(one.items())), 0)) for one in log.labels]
        return as_series(query, answers, now)


# --- looks; these block ----------------------------------------------------------------------------------------------


def _files(what: str, path: str, limit_s: float) -> float:
    """One number of the files of a pattern. Folders count for ``newest-date`` alone: partitions often are such."""
    seen = Walk(limit_s).run(path)
    if what == "newest-date":
        days = [day for _, _, told in seen for day in told]
        if not days:
            raise NoValue(f"nothing is called like {shown(path, 120)}")
        newest = str(max(days))
        return midnight(date(int(newest[:4]), int(newest[4:6]), int(newest[6:])))
    files = [info for _, info, _ in seen if stat.S_ISREG(info.st_mode)]
    if what == "count":
        return float(len(files))
    if what == "size":
        return float(sum(info.st_size for info in files))
    if not files:
        raise NoValue(f"no file is called like {shown(path, 120)}")
    times = [info.st_mtime_ns // 1_000_000 for info in files]
    if what == "age":
        return max(0.0, (now_ms() - max(times)) / 1000)
    return float(max(times) if what == "newest" else min(times))


def _mount(what: str, path: str) -> float:
    try:
        found = os.statvfs(path)
    except FileNotFoundError:
        raise NoValue(f"{shown(path, 120)} is not there") from None
    if what == "free":
        return float(found.f_bavail * found.f_frsize)
    if what == "inodes%":
        if not found.f_files:
            raise NoValue("its file system counts no inodes")
        return 100.0 * (found.f_files - found.f_ffree) / found.f_files
    used = found.f_blocks - found.f_bfree  # as df reckons: of what a plain user may use
    if not used + found.f_bavail:
        raise NoValue("its file system has no size")
    return 100.0 * used / (used + found.f_bavail)


def _lines(path: str, known: dict[str, tuple[tuple[int, ...], int]], limit_s: float) -> float:
    """Line ends of a file, and a last line without one. A file that did not change is not read again."""
    end = time.monotonic() + limit_s
    name = shown(path, 120)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoValue(f"{name} is not there") from None
    except PermissionError:
        raise NoValue(f"{name} may not be read: permission denied") from None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise NoValue(f"{name} is no file")
        stamp = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
        before = known.get(path)
        if before is not None and before[0] == stamp:
            return float(before[1])
        n, last = 0, b"\n"
        while part := os.read(fd, 1 << 20):
            n += part.count(b"\n")
            last = part[-1:]
            if time.monotonic() > end:
                raise NoValue(f"{name} is too large to be counted within {limit_s:g} s: {info.st_size:,} bytes")
    finally:
        os.close(fd)
    n += last != b"\n"
    if len(known) > KNOWN:
        known.clear()
    known[path] = (stamp, n)
    return float(n)


def _read_logs(path: str, marks: dict[object, Mark], begun: bool, count: bool, limit_s: float) -> _Read:
    """What is new. Of a pattern ``match`` reads the newest file, ``count-match`` each of the newest few."""
    most = COUNTED if count and begun else TAIL
    if not (re.search(r"[*?\[]", path) or any(token in path for token in TOKENS)):
        got = news(path, marks.get(path), again=not count, most=most)
        why = _missed(got, path) if count and begun else ""
        return _Read(_text(got, count), not begun, got.mtime, {path: got.mark}, why)
    seen = [(one, info) for one, info, _ in Walk(limit_s).run(path) if stat.S_ISREG(info.st_mode)]
    newest = sorted(seen, key=lambda one: (one[1].st_mtime_ns, one[0]), reverse=True)[: FILES if count else 1]
    if not newest and not count:
        raise NoValue(f"no file is called like {shown(path, 120)}")
    there = {(info.st_dev, info.st_ino) for _, info in seen}
    left = {inode: mark for inode, mark in marks.items() if inode in there}
    data, mtime, why = b"", 0, ""
    for one, info in newest:
        inode = (info.st_dev, info.st_ino)
        mark = left.get(inode) or (at_start(one, info.st_ino, info.st_dev) if begun and count else None)
        got = news(one, mark, again=not count, most=most)
        why = why or (_missed(got, one) if count and begun else "")
        data += _text(got, count)
        left[inode], mtime = got.mark, max(mtime, got.mtime)
    return _Read(data, not begun, mtime, left, why)


def _missed(got: News, path: str) -> str:
    if not got.skipped:
        return ""
    return f"more than {COUNTED >> 20} MiB were written to {shown(path, 120)} since the last look: not counted"


def _text(got: News, count: bool) -> bytes:
    """An unfinished line may match a value; it is counted when it is finished."""
    return got.lines if count else got.lines + got.rest
