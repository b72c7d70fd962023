"""Numbers that programs of this host print: argv lists of the configuration, run without a shell, once an ask each."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from adapters.base import Probe, Secret, SourceSettings
from adapters.errors import AdapterError
from adapters.extras import Readings, SeriesQuery
from adapters.http import words
from adapters.local.words import duration_words, exit_words
from adapters.measuring import MeasuringAdapter
from adapters.model import Sample
from adapters.probes.base import Labelled, as_series, known_options, now_ms, seconds, wrong_text
from adapters.probes.matching import Matcher
from adapters.probes.regex import Regex, alone, wrong_regex
from adapters.probes.values import JsonPath, NoValue, document
from adapters.run import OUTPUT_MAX, CannotStart, Ran, base_env, run
from adapters.shared import reveal

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
AT_ONCE: Final = 4
LIMIT_S: Final = 20.0
MOST_S: Final = 40.0
ASK_S: Final = 40.0
"""For all commands of one ask: a command that has not begun by then is not run."""


@dataclass(frozen=True, slots=True)
class Query:
    """``what``: ``number`` (all of its output), ``exit``, ``json`` or ``text``."""

    command: str
    what: str
    path: JsonPath | None = None
    regex: Regex | None = None

    @classmethod
    def parse(cls, text: str) -> Query:
        """ValueError: a clause on what is wrong."""
        name, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if not NAME.fullmatch(name):
            raise ValueError("it begins with the name of a command of options.commands")
        if not rest:
            return cls(name, "number")
        if rest == "exit":
            return cls(name, "exit")
        if found := alone(rest):
            regex = Regex(*found)
            if wrong := wrong_regex(regex):
                raise ValueError(wrong)
            return cls(name, "text", regex=regex)
        if rest.startswith((".", "[")):
            return cls(name, "json", path=JsonPath.parse(rest))
        raise ValueError("after the command's name expected nothing, exit, a path like .rows, or /REGEX/")


class CommandAdapter(MeasuringAdapter):
    """``options``: ``commands`` = name → argv; ``env`` = variables that they see beside ``PATH HOME LANG TZ USER``, each a text or
    a reference; ``timeout`` of each in seconds. What is under ``auth`` they see too, as variables of those names: the place of
    what is called like a secret."""

    kind: ClassVar[str] = "command"
    secret_options: ClassVar[tuple[str, ...]] = ("env",)
    nothing: ClassVar[str] = "these commands measure; this source runs no pipelines"

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        known_options(settings.options, "commands", "env", "timeout")
        self._commands = _commands(settings.options.get("commands"))
        self._env = _env(settings.options.get("env", {}), settings.auth)
        self._limit_s = seconds(settings.options, "timeout", LIMIT_S, MOST_S)
        self._matcher = Matcher()
        self._secrets: list[str] = []
        self._spent = [0, 0]

    def __repr__(self) -> str:
        return f"CommandAdapter({self.settings.name!r}, {sorted(self._commands)})"

    @property
    def spent(self) -> tuple[int, int]:
        return (self._spent[0], self._spent[1])

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        return wrong_text(Query.parse, text)

    async def alive(self) -> int | None:
        return None

    async def probe(self) -> Probe:
        """Nothing is run: which programs are there is looked up."""
        await self._variables()
        path = base_env().get("PATH")
        folder = self.settings.config_folder
        warnings = [
            words(f"{name}: there is no program {argv[0]!a}, or it may not be run")
            for name, argv in self._commands.items()
            if not await asyncio.to_thread(_there, argv[0], folder, path)
        ]
        return Probe(
            version=f"{len(self._commands)} command{'' if len(self._commands) == 1 else 's'} of this host",
            identity=await asyncio.to_thread(_user),
            permissions={"metrics": True},
            warnings=tuple(warnings),
        )

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        failed: dict[str, str] = {}
        parsed: dict[str, Query] = {}
        for query in queries:
            try:
                parsed[query.name] = Query.parse(query.text)
            except ValueError as error:
                failed[query.name] = words(f"the query cannot be read: {error}")
        for name in [n for n, q in parsed.items() if q.command not in self._commands]:
            failed[name] = words(f"no command is called {parsed.pop(name).command}: see options.commands")
        ran = await self._run({q.command for q in parsed.values()})
        jobs = [(n, q.regex, ran[q.command]) for n, q in parsed.items() if q.regex]
        texts = [(n, regex, one.out) for n, regex, one in jobs if isinstance(one, Ran) and not _trouble(one)]
        matched = dict(
            zip([n for n, _, _ in texts], await self._matcher.run([(r, d) for _, r, d in texts]), strict=True)
        )
        found: list[Sample] = []
        for query in queries:
            if query.name not in parsed:
                continue
            try:
                mine = parsed[query.name]
                answers = self._answers(mine, ran[mine.command], matched.get(query.name))
                found += as_series(query, answers, now_ms(), self._secrets)
            except NoValue as error:
                failed[query.name] = words(error.what, self._secrets)
        return Readings(samples=tuple(found), failed=failed)

    def _answers(self, query: Query, ran: Ran | str, matched: Any) -> Sequence[Labelled]:
        if isinstance(ran, str):
            raise NoValue(ran)
        if query.what == "exit" and ran.code is not None:
            return [({}, ran.code if ran.code >= 0 else 128 - ran.code)]
        if why := _trouble(ran, self._limit_s):
            raise NoValue(why)
        if query.path is not None:
            return query.path.read(document(ran.out))
        if query.regex is not None:
            if matched.why or not matched.hits:
                raise NoValue(matched.why or "nothing in its output matches")
            return matched.hits
        return [({}, ran.out.decode("utf-8", "replace"))]

    async def _run(self, names: set[str]) -> dict[str, Ran | str]:
        """Each once; where one did not begin, why."""
        env = await self._variables()
        slots = asyncio.Semaphore(AT_ONCE)
        end = asyncio.get_running_loop().time() + ASK_S

        async def one(name: str) -> Ran | str:
            async with slots:
                left = end - asyncio.get_running_loop().time()
                if left < 1:
                    return "it was not run: the other commands of this source took all the time"
                self._spent[0] += 1
                try:
                    ran = await run(
                        self._commands[name], self.settings.config_folder, min(self._limit_s, left), env=env,
                        most=OUTPUT_MAX, apart=True,
                    )  # fmt: skip
                except CannotStart as error:
                    return f"it cannot be started: {error}"
                self._spent[1] += len(ran.out)
                return ran

        order = sorted(names)
        return dict(zip(order, await asyncio.gather(*(one(name) for name in order)), strict=True))

    async def _variables(self) -> dict[str, str]:
        """As they are now: a secret is asked of its reference each time, it may be a new one."""
        out: dict[str, str] = {}
        for name, value in self._env.items():
            try:
                out[name] = await reveal(value, f"variable {name}")
            except AdapterError as error:
                error.what = words(error.what)
                raise
            if isinstance(value, Secret) and len(out[name]) > 3 and out[name] not in self._secrets:
                self._secrets.append(out[name])
        return out


def _trouble(ran: Ran, limit_s: float = 0.0) -> str:
    """Why its output is not to be read, with the last words that it wrote; "" where it is."""
    said = next(
        (line for line in reversed((ran.err or ran.out).decode("utf-8", "replace").splitlines()) if line.strip()), ""
    )
    if ran.flooded:
        return f"ended: it wrote more than {OUTPUT_MAX >> 20} MB"
    if ran.code is None:
        return f"timed out after {duration_words(int(limit_s * 1000))}" + (f": {said}" if said else "")
    if ran.code:
        return exit_words(ran.code if ran.code > 0 else 128 - ran.code) + (f": {said}" if said else "")
    return ""


def _there(program: str, folder: Path, path: str | None) -> bool:
    return shutil.which(str(folder / program) if "/" in program else program, path=path) is not None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _commands(given: Any) -> dict[str, tuple[str, ...]]:
    """ValueError in one sentence."""
    if not isinstance(given, dict) or not given:
        raise ValueError('options.commands: expected names and their argv, like { rows = ["/opt/etl/rows", "--all"] }')
    out: dict[str, tuple[str, ...]] = {}
    for name, argv in cast("dict[str, Any]", given).items():
        if not NAME.fullmatch(name):
            raise ValueError(f"options.commands: {name!r} is no name of letters, digits, - _ and .")
        parts = cast("list[Any]", argv) if isinstance(argv, list) else []
        if not parts or not all(isinstance(p, str) and "\0" not in p for p in parts) or not parts[0].strip():
            raise ValueError(
                f'options.commands.{name}: expected a program and its arguments as a list, like ["df", "-k"]'
            )
        out[name] = tuple(cast("list[str]", parts))
    return out


def _env(given: Any, auth: Mapping[str, str | Secret]) -> dict[str, str | Secret]:
    if not isinstance(given, dict):
        raise ValueError("options.env: expected names and values")
    out: dict[str, str | Secret] = {}
    for name, value in (*cast("dict[str, Any]", given).items(), *auth.items()):
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"options.env: {name!r} is no name of a variable")
        if isinstance(value, (str, Secret)) and not (isinstance(value, str) and "\0" in value):
            out[name] = value
        else:
            raise ValueError(f'options.env.{name}: expected a text, or a reference like {{ env = "NAME" }}')
    return out
