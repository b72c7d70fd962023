"""``watchfloor morning``: the night without a terminal, as lines or as data; the exit code says whether somebody must look."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.request import EXIT_BLIND, EXIT_NOT_WELL, EXIT_OK
from engine.store.reader import Reader
from tui.present import words
from tui.present.cut import pad
from tui.present.morning import Night
from tui.present.morning_item import Tick
from tui.screens.morning import MorningView
from tui.view import Context

WORDS = {Tick.BAD: "LOOK", Tick.BLIND: "UNSEEN", Tick.NOTE: "noted", Tick.FINE: "ok"}


def check(args: Namespace, store: Path, print_json: Callable[[str, Any], None]) -> int:
    """Print it; 0 all well, 1 something wants a person, 7 not everything could be seen (and nothing worse is known)."""
    reader = Reader(store)
    try:
        engine = reader.engine()
        context = Context(
            reader=reader, now=lambda: time.time_ns() // 1_000_000, read_only=True, engine_alive=reader.lock_held(),
            timezone=engine.timezone if engine is not None else "UTC",
        )  # fmt: skip
        view = MorningView(context)
        view.load()
        night = view.night
        assert night is not None
        if args.format == "json":
            print_json("morning", view.data())
        else:
            for line in text(night, context.timezone):
                print(line)
        if night.well:
            return EXIT_OK
        if night.blind:
            print("not everything could be seen: the lines marked UNSEEN say what, and why", file=sys.stderr)
            return EXIT_BLIND
        return EXIT_NOT_WELL
    finally:
        reader.close()


def text(night: Night, tz: str) -> list[str]:
    """As it goes into a mail or a log: one line each, worst first."""
    count = len(night.exceptions)
    verdict = words.many(count, "exception") if count else "all as owed"
    by = f", last signed by {night.signed}" if night.signed else ""
    out = [
        f"Morning check {words.stamp(night.until, tz)} {words.zone_word(tz)}: {verdict}, since {words.stamp(night.since, tz)}{by}"
    ]
    for item in night.items:
        said = " · ".join(part for part in item.said if part)
        out.append(f"{pad(WORDS[item.tick], 7)} {pad(item.section, 10)} {item.name}: {said}")
    return out
