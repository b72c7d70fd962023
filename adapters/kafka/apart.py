"""librdkafka in a process of its own, because it may end the one that it is in.

Its questions to a group's coordinator (offsets, states) are known to abort the process when the broker goes while one is out or its
time is over (``Assertion `eonce->refcnt > 0' failed``; librdkafka issue 4605, open, seen live with 2.6 to 2.16). An engine that dies with a
broker would watch nothing. So the child asks, and that it died is an answer: out of reach, a new child with the next question.

Both ends are ours: frames of a length and a pickle over the child's own pipes. Secrets go in by the pipe alone, never by argv. The child
ends when its input does, so that none is left when an engine is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import pickle
import struct
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.errors import AdapterError, Unreachable
from adapters.kafka.client import Client, Cluster, GroupState, Listed, Partition, missing

LIMIT_S: Final = 42.0
"""For one question whatever happens; each has its own, shorter patience."""
ENDED: Final = "the client of Kafka ended; a new one is started with the next question"
HEAD: Final = struct.Struct(">I")
CODE: Final = "import json,sys; sys.path[:] = json.loads(sys.argv[1]); from adapters.kafka.apart import serve; serve()"
Token = Callable[[Any], tuple[str, float]]


class Apart:
    """The questions of ``Client``, asked by a child."""

    def __init__(self, process: asyncio.subprocess.Process, token: Token | None) -> None:
        self._process = process
        self._token = token
        self._token_due = 0.0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._n = 0
        self._listener = asyncio.create_task(self._listen())
        self.over = False
        """The child is gone."""
        self.asked = 0

    @classmethod
    async def open(
        cls, config: Mapping[str, Any], timeout_s: float, secrets: Sequence[str], token: Token | None = None
    ) -> Apart:
        """Start a child; nothing is connected yet. Unsupported where the library is not installed."""
        if importlib.util.find_spec("confluent_kafka") is None:
            raise missing()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", CODE, json.dumps(_path()), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True, cwd="/",
        )  # fmt: skip
        made = cls(process, token)
        try:
            first = await made._fresh_token()
            await made._call("open", dict(config), timeout_s, tuple(secrets), first)
        except BaseException:
            await made.close()
            raise
        return made

    async def close(self) -> None:
        """End the child at once: it has nothing to save. Never raises."""
        self.over = True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._end()

    # --- questions --------------------------------------------------------------------------------------------------

    async def cluster(self) -> Cluster:
        if (token := await self._fresh_token()) is not None:
            await self._call("token", token)
        return await self._question("cluster")

    async def groups(self) -> Listed:
        return await self._question("groups")

    async def describe(self, groups: Sequence[str]) -> dict[str, GroupState | AdapterError]:
        return await self._question("describe", tuple(groups)) if groups else {}

    async def committed(
        self, groups: Sequence[str], partitions: Sequence[Partition] | None
    ) -> dict[str, Mapping[Partition, int] | AdapterError]:
        wanted = None if partitions is None else tuple(partitions)
        return await self._question("committed", tuple(groups), wanted) if groups else {}

    async def ends(self, partitions: Iterable[Partition], isolation: str) -> dict[Partition, int | AdapterError]:
        wanted = tuple(partitions)
        return await self._question("ends", wanted, isolation) if wanted else {}

    # --- frames -----------------------------------------------------------------------------------------------------

    async def _fresh_token(self) -> tuple[str, float] | None:
        """A token for the child where the one it has is past its half: its origin is asked here, where secrets are."""
        if self._token is None or time.time() < self._token_due:
            return None
        text, end = await asyncio.to_thread(self._token, None)
        self._token_due = time.time() + max((end - time.time()) / 2, 5.0)
        return text, end

    async def _question(self, what: str, *args: Any) -> Any:
        self.asked += 1
        return await self._call(what, *args)

    async def _call(self, what: str, *args: Any) -> Any:
        stdin = self._process.stdin
        if self.over or stdin is None:
            raise Unreachable(ENDED, sent=False)
        self._n += 1
        number = self._n
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            data = pickle.dumps((number, what, args))
            stdin.write(HEAD.pack(len(data)) + data)
            await stdin.drain()
            async with asyncio.timeout(LIMIT_S):
                return await answer
        except (ConnectionError, RuntimeError):
            text = ENDED
        except TimeoutError:
            text = f"the client of Kafka gave no answer within {LIMIT_S:.0f} s"
        finally:
            self._waiting.pop(number, None)
        raise Unreachable(text)

    async def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while True:
                size = HEAD.unpack(await stdout.readexactly(HEAD.size))[0]
                number, good, value = pickle.loads(await stdout.readexactly(size))
                answer = self._waiting.get(number)
                if answer is None or answer.done():
                    continue
                if good:
                    answer.set_result(value)
                else:
                    answer.set_exception(value)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._end()

    def _end(self) -> None:
        self.over = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unreachable(ENDED))


def _path() -> list[str]:
    """Where the child finds modules: where we found ours, and nowhere that depends on the folder it is in."""
    return list(dict.fromkeys((str(Path(__file__).resolve().parents[2]), *(p for p in sys.path if os.path.isabs(p)))))


# --- the child ----------------------------------------------------------------------------------------------------------


def serve() -> None:
    """What the child does until its input ends."""
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold secrets
    out = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    asyncio.run(_serve(out))


class _Child:
    """One client and the token that it was given last."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.token: tuple[str, float] = ("", 0.0)

    async def answer(self, what: str, args: tuple[Any, ...]) -> Any:
        if what == "token":
            (self.token,) = args
            return None
        if what == "open":
            config, timeout_s, secrets, token = args
            if token is not None:
                self.token = token
            self.client = await Client.open(config, timeout_s, secrets, None if token is None else self._give)
            return None
        return await getattr(self.client, what)(*args)

    def _give(self, _: Any) -> tuple[str, float]:
        """In a thread of librdkafka."""
        return self.token


async def _serve(out: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    child = _Child()
    tasks: set[asyncio.Task[None]] = set()

    async def one(number: int, what: str, args: tuple[Any, ...]) -> None:
        try:
            good, value = True, await child.answer(what, args)
        except AdapterError as error:
            good, value = False, error
        except Exception as error:
            good, value = False, Unreachable(f"the client of Kafka stumbled: {type(error).__name__}")
        if isinstance(value, BaseException):
            value.__cause__ = value.__context__ = None
        _write(out, pickle.dumps((number, good, value)))

    try:
        while True:
            size = HEAD.unpack(await reader.readexactly(HEAD.size))[0]
            task = asyncio.create_task(one(*pickle.loads(await reader.readexactly(size))))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    except asyncio.IncompleteReadError:
        os._exit(0)  # librdkafka is not asked to end: that may take long, and nobody waits


def _write(out: int, data: bytes) -> None:
    left = memoryview(HEAD.pack(len(data)) + data)
    while left:
        try:
            left = left[os.write(out, left) :]
        except BrokenPipeError:
            os._exit(0)
