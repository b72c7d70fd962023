"""``python -m bench [NAME …]``: every figure in one table. Ratios are of two things measured in this same run."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from bench.figure import Figure

ROOMS = ("store", "host", "tui", "beside", "engine", "predict", "owed", "judge", "logs", "samples", "values", "gaps")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("room", nargs="*", choices=[*ROOMS, []], help="default: all")
    parser.add_argument("--rows", type=int, default=1_000_000, help="runs in the big store (default 1,000,000)")
    args = parser.parse_args()
    figures: list[Figure] = []
    for room in args.room or ROOMS:
        began = time.monotonic()
        print(f"measuring {room} …", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"bench.{room}").measure(args.rows)
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    table(figures)
    return 1 if any(f.ok is False for f in figures) else 0


def table(figures: list[Figure]) -> None:
    width = max((len(f.name) for f in figures), default=10)
    print(f"| {'figure':<{width}} | {'measured':>14} | {'budget':<22} | ok | note |")
    print(f"|{'-' * (width + 2)}|{'-' * 16}|{'-' * 24}|----|------|")
    for f in figures:
        ok = {True: "✓", False: "✗", None: " "}[f.ok]
        value = f"{f.value:,.2f}" if abs(f.value) < 100 else f"{f.value:,.0f}"
        print(f"| {f.name:<{width}} | {value + ' ' + f.unit:>14} | {f.budget:<22} | {ok}  | {f.note} |")


if __name__ == "__main__":
    sys.exit(main())
