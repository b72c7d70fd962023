"""The log screen over a gigabyte: opening at its end, following 50,000 lines a second, searching all of it; beside its peers.

Peers run in the same minutes on the same machine, in turns with ours; one that is not installed is left out, and said.
The file is written byte by byte and lies in the page cache for everybody.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.figure import Figure, percentile
from tests.pty import GaveUp, Terminal

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("peers")
SIZE = 1_000_000_000
STARTS = 9
RATE = 50_000
FOLLOW_S = 10
SEARCHES = 5
LAST = "the very last line of it"
NOWHERE = "Zebra crossing"

_WRITER = """
import sys, time
path, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = open(path, "ab", buffering=0)
number, began = 0, time.monotonic()
while (now := time.monotonic() - began) < seconds:
    due = int(now * rate)
    if due > number:
        file.write(b"".join(b"2026-11-20T03:%02d:%02d.%03dZ INFO loader row %09d of what is written now, and some more words\\n"
                            % (n // rate // 60 % 60, n // rate % 60, n % rate * 1000 // rate, n) for n in range(number, due)))
        number = due
    time.sleep(0.01)
file.write(b"2026-11-20T03:%02d:%02d.999Z INFO WRITER-STOPPED\\n" % (number // rate // 60, number // rate % 60))
"""


def big_log(path: Path, size: int = SIZE) -> int:
    """Write a log of so many bytes, all of them really there; returns its number of lines."""
    lines = []
    for n in range(160_000):
        level = "ERROR" if n % 50_021 == 7 else "WARN" if n % 20_011 == 3 else "DEBUG" if n % 11 == 0 else "INFO"
        second = n // 50  # 53 minutes in all: the hours are those of the pieces
        lines.append(
            f"2026-11-01T00:{second // 60:02}:{second % 60:02}.{n % 50 * 20:03}Z {level} loader batch {n} of"
            f" rows merged into contract in {n % 977}ms ok={n % 13}\n"
        )
    piece = "".join(lines).encode()
    written = count = turn = 0
    with path.open("wb") as file:
        while written < size:  # its times go up throughout: nobody has to sort
            written += file.write(piece.replace(b"2026-11-01T00:", b"2026-11-%02dT%02d:" % (1 + turn // 24, turn % 24)))
            count += len(lines)
            turn += 1
        file.write(f"2026-11-30T03:12:09Z INFO {LAST}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    return count + 1


def ours(path: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "tui.cli", "logs", str(path)]


def peers(path: Path, follow: bool = False) -> dict[str, list[str] | None]:
    """Name → command line; None: it is not installed."""
    less = ["less", "+F" if follow else "+G", str(path)]
    found: dict[str, list[str] | None] = {
        "lnav": ["lnav", str(path)],
        "toolong": [_toolong(), str(path)],
        "less": less,
    }
    return {name: argv if argv and shutil.which(argv[0]) else None for name, argv in found.items()}


def _toolong() -> str:
    """``tl`` may lie in an environment of its own: ``WATCHFLOOR_PEERS`` names folders to look in first."""
    places = os.pathsep.join((os.environ.get("WATCHFLOOR_PEERS", ""), os.environ.get("PATH", "")))
    return shutil.which("tl", path=places) or "tl"


def pss(pid: int) -> float:
    """Proportional memory of a process and its children, MB."""
    import psutil

    total = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(OSError):
                text = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])  # type: ignore[index]
    return total / 1000


def tree_cpu(pid: int) -> float:
    """Seconds of CPU of a process and its children."""
    import psutil

    total = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
    return total


def _start(argv: Sequence[str], what: str, timeout: float = 30.0) -> tuple[float, float] | None:
    """Seconds until the screen shows it, and MB one second after; None where it did not come."""
    with Terminal(argv, 120, 40, cwd=str(ROOT), env={"PYTHONPATH": str(ROOT)}) as screen:
        try:
            at = screen.wait_for(what, timeout)
        except GaveUp:
            return None
        end = time.perf_counter() + 1.0
        while time.perf_counter() < end:
            screen.read(0.1)
        return at, pss(screen.pid)


def opening(path: Path) -> list[Figure]:
    """From exec until the last line stands on the screen, in turns with the peers."""
    programs: dict[str, tuple[list[str] | None, str, int]] = {
        "bare Textual": ([sys.executable, "-P", str(PEERS / "bare_textual.py")], "SENTINEL", STARTS),
        "watchfloor": (ours(path), LAST, STARTS),
    }
    programs |= {name: (argv, LAST, 3) for name, argv in peers(path).items()}
    times: dict[str, list[float]] = {name: [] for name in programs}
    memory: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(STARTS):
        for name, (argv, what, turns) in programs.items():
            if argv is None or turn >= turns:
                continue
            found = _start(argv, what)
            if found is not None:
                times[name].append(found[0])
                memory[name].append(found[1])
    out: list[Figure] = []
    for name, (argv, _, _) in programs.items():
        if not times[name]:
            out.append(
                Figure(
                    f"{name}: 1 GB at its end",
                    0,
                    "ms",
                    note="not installed" if argv is None else "never showed its last line",
                )
            )
            continue
        note = f"n={len(times[name])}, {percentile(memory[name], 0.5):.0f} MB PSS one second later"
        out.append(
            Figure(
                f"{name}: {'first frame' if name == 'bare Textual' else '1 GB at its end'}",
                percentile(times[name], 0.5) * 1000,
                "ms",
                note=note,
            )
        )
    mine = percentile(times["watchfloor"], 0.5)
    bare = mine / percentile(times["bare Textual"], 0.5)
    out.append(Figure("1 GB at its end / bare Textual", bare, "×", "≤ 1.2", ratio_to="bare Textual", ok=bare <= 1.2))
    if times["lnav"]:
        half = mine / percentile(times["lnav"], 0.5)
        out.append(Figure("1 GB at its end / lnav", half, "×", "≤ 0.5", ratio_to="lnav", ok=half <= 0.5))
    held = percentile(memory["watchfloor"], 0.5)
    out.append(Figure("memory with 1 GB open", held, "MB", "≤ 45 MB", ok=held <= 45, note="PSS"))
    return out


def _follow(argv: Sequence[str], folder: Path) -> tuple[float, float, bool, float, float]:
    """CPU share, KB/s to the terminal, whether the last line stands 1 s after it was written, MB at half time and at the end."""
    path = folder / "growing.log"
    path.write_bytes(b"2026-11-20T03:00:00Z INFO it begins here\n")
    argv = [str(path) if part == "@" else part for part in argv]
    with Terminal(argv, 120, 40, cwd=str(ROOT), env={"PYTHONPATH": str(ROOT)}) as screen:
        screen.wait_for("it begins here", 20)
        screen.settle(0.5, 2.0)
        cpu, size = tree_cpu(screen.pid), screen.total
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(RATE), str(FOLLOW_S)])
        began = time.perf_counter()
        half = 0.0
        while writer.poll() is None:
            screen.read(0.1)
            if not half and time.perf_counter() - began > FOLLOW_S / 2:
                half = pss(screen.pid)
        seconds = time.perf_counter() - began
        share, rate = (tree_cpu(screen.pid) - cpu) / seconds * 100, (screen.total - size) / seconds / 1000
        end = time.perf_counter() + 1.0
        while time.perf_counter() < end:
            screen.read(0.05)
        if screen.ended or screen.shows("crash"):
            raise GaveUp("it crashed")
        return share, rate, screen.shows("WRITER-STOPPED"), half, pss(screen.pid)


def following(folder: Path) -> list[Figure]:
    """50,000 lines a second for ten seconds."""
    programs = {"watchfloor": ours(Path("@")), **peers(Path("@"), follow=True)}
    out: list[Figure] = []
    shares: dict[str, float] = {}
    for name, argv in programs.items():
        if argv is None:
            out.append(Figure(f"{name}: follow", 0, "%", note="not installed"))
            continue
        try:
            runs = [_follow(argv, folder) for _ in range(3 if name in ("watchfloor", "lnav") else 1)]
        except GaveUp as error:
            note = "crashed" if "crashed" in str(error) else "did not show the file"
            out.append(Figure(f"{name}: follow", 0, "%", note=note))
            continue
        share, rate, current, half, end = sorted(runs)[len(runs) // 2]
        current = all(r[2] for r in runs)
        shares[name] = share
        note = f"{rate:.1f} KB/s to the terminal, {'current' if current else 'NOT current'} after 1 s, {half:.0f} MB then {end:.0f} MB"
        out.append(Figure(f"{name}: follow {RATE:,} lines/s, CPU", share, "%", note=note))
        if name == "watchfloor":
            out.append(Figure("follow: current within 1 s", float(current), "", "yes", ok=current))
            grown = end - half
            out.append(Figure("follow: growth in its second half", grown, "MB", "≤ 2 MB", ok=grown <= 2))
    if "lnav" in shares:
        ratio = shares["watchfloor"] / shares["lnav"]
        out.append(Figure("follow: CPU / lnav", ratio, "×", "≤ 1.0", ratio_to="lnav", ok=ratio <= 1.0))
    return out


def _grep(flags: str, needle: str, path: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["grep", flags, needle, str(path)], env={"LC_ALL": "C.UTF-8"}, stdout=subprocess.DEVNULL, check=False
    )
    return time.perf_counter() - began


def searching(path: Path) -> list[Figure]:
    """From Enter until the screen says that it is nowhere in the log; grep in turns with it."""
    out: list[Figure] = []
    for name, needle, flags in (
        ("a text with capitals", NOWHERE, "-c"),
        ("a text whatever its case", NOWHERE.lower(), "-ci"),
    ):
        mine: list[float] = []
        grep: list[float] = []
        with Terminal(ours(path), 120, 40, cwd=str(ROOT), env={"PYTHONPATH": str(ROOT)}) as screen:
            screen.wait_for(LAST, 20)
            screen.wait_for("all here", 20)  # the keys are read, and the lines are counted
            for _ in range(SEARCHES):
                screen.press("/")
                screen.settle(0.1, 1.0)
                screen.type(needle)
                screen.settle(0.1, 1.0)
                pressed = screen.press("enter")
                mine.append(screen.wait_for("not found", 30) - pressed)
                screen.press("escape")
                screen.wait_until_gone("not found", 5)
                grep.append(_grep(flags, needle, path))
        ratio = percentile(mine, 0.5) / percentile(grep, 0.5)
        out += [
            Figure(f"grep {flags} over 1 GB", percentile(grep, 0.5) * 1000, "ms", note=f"n={SEARCHES}"),
            Figure(
                f"search 1 GB for {name}",
                percentile(mine, 0.5) * 1000,
                "ms",
                note="until the screen says so; counting goes on beside",
            ),
            Figure(f"search for {name} / grep", ratio, "×", "≤ 3", ratio_to="grep", ok=ratio <= 3),
        ]
    return out


def measure(rows: int = 0) -> list[Figure]:
    """All of it; ``rows`` is for the other rooms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.log"
        big_log(path)
        return [*opening(path), *following(Path(folder)), *searching(path)]


if __name__ == "__main__":
    for figure in measure():
        print(figure.line(), flush=True)
