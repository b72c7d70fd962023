"""Regular expressions of a configuration on texts from outside, in a process of its own.

Python's ``re`` cannot be interrupted and holds the interpreter: ``(a+)+b`` on one unlucky line would stop the engine. So
the matching is done in a short-lived child; what takes too long is ended with it, said, and not tried again for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.probes.regex import Regex

LIMIT_S: Final = 2.0
"""For one expression on one text."""
REST_S: Final = (600.0, 3600.0)
"""After an expression took too long, and at most: when it is tried again."""
START_S: Final = 10.0
NOT_BEGUN: Final = "no process for the matching came to life"
TAIL: Final = 1 << 20
"""Bytes of a text's end that are looked at where nothing else is said."""
MOST: Final = 16 << 20
"""Bytes of one text; of a longer one the last."""
MOST_VALUES: Final = 200_000
"""Of an expression that is asked for every value: as many mean that there may be more."""
LOADER: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What some builds of Python need to start at all."""
_CHILD: Final = Path(__file__).with_name("matcher.py")
_ANSWER_MAX: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Found:
    """Of each set of labels the last value (text) or the number of lines. ``why``: it could not be told; ``rests``: it is not
    tried again for a while."""

    hits: tuple[tuple[dict[str, str], Any], ...] = ()
    why: str = ""
    rests: bool = False


class Matcher:
    """``run`` what is to be matched now. One child a call; nothing is kept but which expressions rest."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._resting: dict[Regex, tuple[int, float]] = {}

    async def run(self, jobs: Sequence[tuple[Regex, bytes]]) -> list[Found]:
        """An answer for each, in order."""
        now = asyncio.get_running_loop().time()
        out: list[Found | None] = [None] * len(jobs)
        for n, (regex, data) in enumerate(jobs):
            if not data:
                out[n] = Found()
            elif self._resting.get(regex, (0, 0.0))[1] > now:
                out[n] = Found(why=self._slow(), rests=True)
        while todo := [n for n, found in enumerate(out) if found is None]:
            told = await self._child([jobs[n] for n in todo])
            for n, found in zip(todo, told, strict=False):
                out[n] = found
                if found.rests:
                    self._rest(jobs[n][0])
        return [found or Found(why="it was not matched") for found in out]

    def _slow(self) -> str:
        return f"the expression took longer than {self._limit_s:g} s and rests: write it so that nothing in it can match twice"

    def _rest(self, regex: Regex) -> None:
        tries = self._resting.get(regex, (0, 0.0))[0] + 1
        if len(self._resting) > 500:
            self._resting.clear()
        until = asyncio.get_running_loop().time() + min(REST_S[0] * 2 ** (tries - 1), REST_S[1])
        self._resting[regex] = (tries, until)

    async def _child(self, jobs: Sequence[tuple[Regex, bytes]]) -> list[Found]:
        """At least one answer; fewer than asked for where one took too long, which is the last one then."""
        env = {name: os.environ[name] for name in LOADER if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_CHILD), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, start_new_session=True, env=env, limit=_ANSWER_MAX,
            )  # fmt: skip
        except OSError as error:
            return [Found(why=f"no process for the matching can be started: {error.strerror or error}")] * len(jobs)
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(_feed(process.stdin, jobs))
        out: list[Found] = []
        limit = START_S  # its first line says that it is there
        try:
            for _ in range(len(jobs) + 1):
                try:
                    line = await asyncio.wait_for(process.stdout.readline(), limit)
                    if limit == START_S:
                        limit = self._limit_s
                        continue
                    hits: list[tuple[dict[str, str], Any]] = msgspec.json.decode(
                        line, type=list[tuple[dict[str, str], Any]]
                    )
                    out.append(Found(tuple(hits)))
                except TimeoutError:
                    slow = limit != START_S
                    out.append(Found(why=self._slow() if slow else NOT_BEGUN, rests=slow))
                    break
                except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
                    out.append(Found(why="the matching ended without an answer"))
                    break
        finally:
            feeding.cancel()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(feeding, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
        return out


async def _feed(pipe: asyncio.StreamWriter, jobs: Sequence[tuple[Regex, bytes]]) -> None:
    with contextlib.suppress(ConnectionError):
        for regex, data in jobs:
            cut = data[-MOST:]
            head = {
                "regex": regex.text,
                "ignore": regex.ignore,
                "count": regex.count,
                "every": regex.every,
                "size": len(cut),
            }
            pipe.write(msgspec.json.encode(head) + b"\n" + cut)
            await pipe.drain()
        pipe.close()
