"""The three kinds of probes as the contract of metric sources wants them, and small ways to ask them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.base import Adapter, Secret, SourceSettings
from adapters.contract import Fault
from adapters.extras import Readings, SeriesQuery
from adapters.probes.command import CommandAdapter
from adapters.probes.files import FilesAdapter
from adapters.probes.http import HttpAdapter
from tests.servers.bad_days import DAYS
from tests.servers.http_probe_like import HttpProbeLike


def http(like: HttpProbeLike, **more: object) -> HttpAdapter:
    auth: dict[str, str | Secret] = {"user": like.user, "password": Secret(lambda: like.password, "env:TEST")}
    if like.token:
        auth = {"token": Secret(lambda: like.token, "env:TEST")}
    given: dict[str, object] = {"read_timeout": 0.5, "probe": "GET /health .ok"}
    given |= more.pop("options", {})  # type: ignore[call-overload]
    known: dict[str, object] = {"name": "web", "kind": "http", "url": like.url, "auth": auth, "options": given}
    return HttpAdapter(SourceSettings(**(known | more)))  # type: ignore[arg-type]


def files(folder: Path, **options: object) -> FilesAdapter:
    return FilesAdapter(SourceSettings(name="nfs", kind="files", config_folder=folder, options=options))


def command(folder: Path, commands: dict[str, list[str]], **more: object) -> CommandAdapter:
    options = {"commands": commands, **more.pop("options", {})}  # type: ignore[dict-item]
    known: dict[str, object] = {"name": "cmd", "kind": "command", "config_folder": folder, "options": options}
    return CommandAdapter(SourceSettings(**(known | more)))  # type: ignore[arg-type]


async def ask(adapter: Adapter, *texts: str, unit: str = "") -> Readings:
    """Each text asked under itself as its name."""
    return await adapter.samples([SeriesQuery(text, text, unit) for text in texts])


async def value(adapter: Adapter, text: str, unit: str = "") -> float | str:
    """The one value, or the reason why there is none."""
    found = await ask(adapter, text, unit=unit)
    if text in found.failed:
        assert not found.samples
        return found.failed[text]
    (one,) = found.samples
    assert (one.series, one.unit) == (text, unit)
    return one.value


async def values(adapter: Adapter, text: str) -> dict[str, float]:
    """Labels → value."""
    found = await ask(adapter, text)
    assert not found.failed, found.failed
    return {s.series.removeprefix(text): s.value for s in found.samples}


def written(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if math.isinf(number) else repr(number)


class HttpWorld:
    """``adapters.contract_server.MetricsServer`` on an HttpProbeLike."""

    source = "web"

    def __init__(self, like: HttpProbeLike) -> None:
        self.like = like
        like.slow_s = 0.1

    def adapter(self) -> HttpAdapter:
        return http(self.like)

    def fault(self, fault: Fault | None) -> bool:
        self.like.fault = None if fault is None else DAYS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def now(self) -> int:
        return self.like.now()

    def measure(self, name: str, value: float) -> SeriesQuery:
        self.like.numbers[name] = value if math.isfinite(value) else written(value)  # as a text: JSON has no NaN
        return SeriesQuery(name, f'GET /stats ."{name}"')

    def refused(self, name: str) -> SeriesQuery:
        self.like.pages["/gone"] = (404, {"error": f"\x1b[31mno {self.like.password} " + "far too long " * 40})
        return SeriesQuery(name, "GET /gone .x")

    def hosts(self, count: int) -> int:
        return 0

    def asked(self) -> int:
        return len(self.like.requests)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets


class _Here:
    """A world on this host: no server, and no bad day of one."""

    def fault(self, fault: Fault | None) -> bool:
        return fault is None

    def skew(self, seconds: float) -> None:
        return None

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def hosts(self, count: int) -> int:
        return 0


class FilesWorld(_Here):
    source = "nfs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.adapters: list[Adapter] = []

    def adapter(self) -> FilesAdapter:
        self.adapters.append(one := files(self.folder))
        return one

    def measure(self, name: str, value: float) -> SeriesQuery:
        (self.folder / f"{name}.log").write_text(f"load of {name}: {written(value)} rows\n")
        return SeriesQuery(name, rf"match {name}.log /: (\S+) rows/")

    def refused(self, name: str) -> SeriesQuery:
        os.mkfifo(self.folder / "pipe") if not (self.folder / "pipe").exists() else None
        return SeriesQuery(name, "lines pipe")

    def asked(self) -> int:
        return 0

    def secrets(self) -> Sequence[str]:
        return []


class CommandWorld(_Here):
    source = "cmd"
    PASSWORD = "c0mmand-passw0rd"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "ran"
        self.ran.write_text("")
        script = "import json,sys; open(sys.argv[1],'a').write('x'); print(open(sys.argv[2]).read())"
        self.commands = {"stats": [sys.executable, "-I", "-c", script, str(self.ran), str(folder / "stats.json")]}
        bad = "import os,sys; open(sys.argv[1],'a').write('x'); sys.exit('\\x1b[31m' + os.environ['SECRET'] + ' long' * 90)"
        self.commands["bad"] = [sys.executable, "-I", "-c", bad, str(self.ran)]
        self.numbers: dict[str, str] = {}

    def adapter(self) -> CommandAdapter:
        return command(self.folder, self.commands, auth={"SECRET": Secret(lambda: self.PASSWORD, "env:TEST")})

    def measure(self, name: str, value: float) -> SeriesQuery:
        number = written(value)
        self.numbers[name] = number if math.isfinite(value) else f'"{number}"'
        (self.folder / "stats.json").write_text("{" + ",".join(f'"{k}":{v}' for k, v in self.numbers.items()) + "}")
        return SeriesQuery(name, f'stats ."{name}"')

    def refused(self, name: str) -> SeriesQuery:
        return SeriesQuery(name, "bad")

    def asked(self) -> int:
        return len(self.ran.read_text())

    def secrets(self) -> Sequence[str]:
        return [self.PASSWORD]
