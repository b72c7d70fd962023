"""One command of a driver: asked or carried out, with its variables, its patience, and what its end means."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from adapters.base import Call, NotSent, Secret, Sent, Unknown
from adapters.commands.argv import Template, fill
from adapters.commands.options import Options
from adapters.errors import (
    AdapterError,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.first_error import clean, first_error_of, tidy
from adapters.http import words
from adapters.local.words import exit_words
from adapters.run import CannotStart, Ran, base_env, run
from adapters.shared import reveal

_SYSEXITS: Final[Mapping[int, type[AdapterError]]] = {66: NotFound, 69: Unreachable, 75: RateLimited, 77: Forbidden}
"""sysexits.h: no input (no such thing), unavailable, try again later, no permission."""


class Driver:
    """The commands of one source. Nothing that it says holds the value of a secret variable, nor a control character."""

    def __init__(self, options: Options, config_folder: Path, reading: Mapping[str, Template]) -> None:
        self.options = options
        self.folder = config_folder / Path(options.folder).expanduser()
        self._reads = reading
        self._secrets: tuple[str, ...] = ()
        self.calls = 0
        self.bytes = 0

    def has(self, name: str) -> bool:
        return name in self._reads

    async def env(self) -> dict[str, str]:
        """The variables of ``options.env``; AuthFailed where a reference gives nothing."""
        out: dict[str, str] = {}
        hidden: list[str] = []
        for name, value in self.options.env.items():
            out[name] = await reveal(value, f"value of {name}")
            if "\0" in out[name]:
                raise Unsupported(f"the value of {name} holds a NUL character, which no variable can")
            if isinstance(value, Secret) and out[name]:
                hidden.append(out[name])
        self._secrets = tuple(sorted(hidden, key=len, reverse=True))
        return out

    def hide(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret.encode("utf-8", "surrogateescape"), b"****")
        return data

    async def run(
        self, argv: Sequence[str], *, leave: bool = False, most: int | None = None, timeout_s: float | None = None
    ) -> Ran:
        env = await self.env()
        ran = await run(
            argv,
            self.folder,
            timeout_s or self.options.timeout,
            env=env,
            most=most or self.options.output_kib << 10,
            apart=True,
            leave=leave,
        )
        self.calls += 1
        self.bytes += len(ran.out) + len(ran.err)
        return ran

    async def ask(
        self,
        name: str,
        values: Mapping[str, str | None],
        *,
        most: int | None = None,
        cut: bool = False,
        raw: bool = False,
        timeout_s: float | None = None,
    ) -> bytes:
        """What a reading command writes. ``cut``: more than ``most`` is cut off there instead of refused. ``raw``: secrets that
        it wrote stand in it, for who counts bytes and hides them afterwards."""
        argv = fill(self._reads[name], values, self.options.allow_dash)
        ran = await self.try_(name, argv, most=most, timeout_s=timeout_s)
        if ran.flooded and cut:
            out = ran.out[: most or self.options.output_kib << 10]
        else:
            self.refuse(name, ran, timeout_s or self.options.timeout)
            out = ran.out
        return out if raw else self.hide(out)

    async def try_(
        self, name: str, argv: Sequence[str], *, most: int | None = None, timeout_s: float | None = None
    ) -> Ran:
        """It ran, however it ended; Unreachable if it never began."""
        try:
            return await self.run(argv, most=most, timeout_s=timeout_s)
        except CannotStart as error:
            why = str(error)
        what = f"{name}: cannot start {clean(argv[0], 80)!r}: {why}"
        raise Unreachable(self.words(what), f"look at options.{name} and options.folder of this source", sent=False)

    def refuse(self, name: str, ran: Ran, timeout_s: float) -> None:
        """The error that its end means, unless it ended well."""
        if ran.flooded:
            raise BadResponse(
                f"{name} wrote more than {self.options.output_kib} KiB and was ended", "options.output_kib allows more"
            )
        if ran.code is None:
            raise Unreachable(
                f"{name} did not end within {timeout_s:g} s and was ended",
                "run it by hand as the engine's user; options.timeout gives it more time",
            )
        if ran.code == 0:
            return
        what = self.words(f"{name}: {self.end_words(ran)}")
        kind = _SYSEXITS.get(ran.code, BadResponse)
        hint = "run it by hand as the engine's user"
        raise kind(what) if kind is RateLimited else kind(what, hint)

    def end_words(self, ran: Ran) -> str:
        """``what it said · exit 3``: the line that says why, and how it ended."""
        text = (ran.err or ran.out[-8192:]).decode("utf-8", "replace")
        said = first_error_of(text) or next((t for t in map(tidy, reversed(text.splitlines())) if t), "")
        how = "it was ended" if ran.code is None else exit_words(ran.code if ran.code >= 0 else 128 - ran.code)
        return self.words(f"{said} · {how}" if said else how)

    def words(self, text: str) -> str:
        return words(text, self._secrets)

    def lacks(self, template: Template) -> str | None:
        """The program that it begins with, where there is none such or it may not be run; None: it is there."""
        program = str(template[0])
        path = base_env({n: v for n, v in self.options.env.items() if isinstance(v, str)}).get("PATH")
        where = str(self.folder / program) if "/" in program else program
        return None if shutil.which(where, path=path) else clean(program, 80)

    # --- doing ---------------------------------------------------------------------------------------------------------

    def shown(self, argv: Sequence[str]) -> Call:
        """The call as a plan shows it. Secret variables are named, never shown."""
        env = {n: "****" if isinstance(v, Secret) else clean(v, 200) for n, v in self.options.env.items()}
        return Call(method="exec", target=shlex.join(argv), body={"cwd": str(self.folder)}, headers=env)

    async def do(self, argv: Sequence[str]) -> tuple[Sent | NotSent | Unknown, bytes]:
        """Carry it out, once. Exit 0 is taken; what says by its code that it did nothing is not; all else may have happened."""
        try:
            ran = await self.run(argv, leave=True)
        except CannotStart as error:
            return NotSent(self.words(f"cannot start {clean(argv[0], 80)!r}: {error}")), b""
        except AdapterError as error:  # a variable that cannot be read
            return NotSent(error.what), b""
        if ran.flooded:
            return Unknown(f"it wrote more than {self.options.output_kib} KiB and was ended; it may have happened"), b""
        if ran.code is None:
            return Unknown(f"it did not end within {self.options.timeout:g} s and was ended; it may have happened"), b""
        if ran.code == 0:
            said = self.words(tidy((ran.out or ran.err)[:400].decode("utf-8", "replace").partition("\n")[0]))
            return Sent(f"taken: {said}" if said and said[0] not in "{[" else "taken: exit 0"), self.hide(ran.out)
        if ran.code in self.options.refused:
            return NotSent(self.end_words(ran)), b""
        return Unknown(f"{self.end_words(ran)}; it may have happened"[:200]), b""


def refuse(condition: object, what: str, hint: str = "") -> None:
    if condition:
        raise Conflict(what, hint)
