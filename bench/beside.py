"""Beside the tools that people leave open today: start-up, idle bytes, CPU and memory of htop, btop and glances, in the same minutes.

A peer that is not installed is said and left out. ``WATCHFLOOR_PEERS`` names folders where further ones lie (a venv's
``bin``), as ``PATH`` does. Their content follows this host's load, ours a made-up store: compare the orders of size.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figure import Figure, percentile
from bench.tui import IDLE_S, ROOT, living, ours, peer
from tests.pty import Terminal

STARTS = 5
_PATH = os.environ.get("WATCHFLOOR_PEERS", "") + os.pathsep + os.environ.get("PATH", "")


@dataclass(frozen=True, slots=True)
class Tool:
    """``shown``: what stands on its screen when its own data does."""

    name: str
    argv: Sequence[str]
    shown: re.Pattern[str]


TOOLS = (
    Tool("htop -d 10", ("htop", "-d", "10"), re.compile(r"Load average|Mem\[|Mem.*G")),
    Tool("btop", ("btop", "--utf-force"), re.compile(r"mem|Mem")),
    Tool("glances -t 1", ("glances", "-t", "1"), re.compile(r"CPU|MEM")),
)


@dataclass(slots=True)
class Idle:
    """Of one program that nobody touches: seconds to its first content, KB/s, percent of a core, MB resident."""

    start: float
    rate: float
    cpu: float
    memory: float


def watch(argv: Sequence[str], shown: str | re.Pattern[str], seconds: float, keys: Sequence[str] = ()) -> Idle:
    """Start it ``STARTS`` times for its first content; leave the last one alone for ``seconds``."""
    starts: list[float] = []
    for _ in range(STARTS - 1):
        with Terminal(list(argv), 120, 40, cwd=str(ROOT)) as screen:
            starts.append(screen.wait_for(shown, 30))
    with Terminal(list(argv), 120, 40, cwd=str(ROOT)) as screen:
        starts.append(screen.wait_for(shown, 30))
        for key in keys:
            screen.press(key)
        screen.settle(0.5, 3.0)
        before, cpu, began = screen.total, screen.cpu(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            screen.read(0.2)
        took = time.perf_counter() - began
        return Idle(
            percentile(starts, 0.5),
            (screen.total - before) / took / 1000,
            (screen.cpu() - cpu) / took * 100,
            screen.rss(),
        )


def rows_of(name: str, idle: Idle, note: str = "") -> list[Figure]:
    return [
        Figure(f"{name}, first content", idle.start * 1000, "ms", note=f"median of {STARTS}{note}"),
        Figure(f"{name}, idle to the terminal", idle.rate, "KB/s"),
        Figure(f"{name}, idle CPU", idle.cpu, "%"),
        Figure(f"{name}, memory", idle.memory, "MB", note="resident"),
    ]


def measure(rows: int = 1_000_000) -> list[Figure]:
    """``rows`` is not used: idle screens read a small store."""
    out: list[Figure] = []
    found: dict[str, Idle] = {}
    with living(40) as engine:
        table = re.compile(r"cpu .*\d+%[\s\S]*✓ +ok +pipeline_")
        found["Floor"] = watch(ours(engine.place), table, IDLE_S)
        found["Hosts"] = watch(ours(engine.place), table, IDLE_S, keys=["6"])
    out += [*rows_of("Floor", found["Floor"]), *rows_of("Hosts", found["Hosts"], ", of the Floor")]
    bare = watch(peer("bare_textual"), "SENTINEL", 4.0)
    out.append(Figure("bare Textual, first content", bare.start * 1000, "ms", note=f"median of {STARTS}"))
    for tool in TOOLS:
        program = shutil.which(tool.argv[0], path=_PATH)
        if program is None:
            print(f"  {tool.argv[0]} is not installed: left out", file=sys.stderr)
            continue
        found[tool.name] = watch([program, *tool.argv[1:]], tool.shown, IDLE_S)
        out += rows_of(tool.name, found[tool.name])
    glances, htop = found.get("glances -t 1"), found.get("htop -d 10")
    if glances is not None:
        for what, mine, other, most in (
            ("first content", found["Floor"].start, glances.start, 1.3),
            ("idle CPU", found["Floor"].cpu, glances.cpu, 0.5),
        ):
            ratio = mine / other
            out.append(
                Figure(f"Floor / glances, {what}", ratio, "×", f"≤ {most}", ratio_to="glances", ok=ratio <= most)
            )
    if htop is not None:
        ratio = found["Floor"].rate / htop.rate
        out.append(Figure("Floor / htop, idle bytes", ratio, "×", "≤ 1", ratio_to="htop", ok=ratio <= 1))
    return out
