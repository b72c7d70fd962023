"""``watchfloor show``: one screen without a terminal, as the rows that the terminal would paint or as data."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.model import Health, Owed, State, parse_key
from engine.request import EXIT_BAD_INPUT, EXIT_BLIND, EXIT_NOT_WELL, EXIT_OK
from engine.store.reader import Reader
from tui import registry, views_file
from tui.present.glyphs import LOOKS
from tui.present.head import blind, trouble
from tui.present.morning_item import Tick
from tui.view import Context, View

_JUDGED = ("floor", "runs", "run", "sources", "wall", "deadlines", "morning")
"""Screens with states that ``--fail-on`` can look for."""
_KNOWN = (
    frozenset(s.name.lower() for s in State)
    | frozenset(h.name.lower() for h in Health)
    | frozenset(look.word for look in LOOKS.values())
    | frozenset(o.name.lower() for o in Owed)
    | frozenset(t.name.lower() for t in Tick)
    | {"long", "paused", "disabled", "gone", "no runs", "unknown"}
)


class Asked(ValueError):
    """Something that was asked for cannot be meant; ``str`` is one sentence."""


def show(args: Namespace, store: Path, print_json: Callable[[str, Any], None]) -> int:
    """Print it; exit 0, 1 where ``--fail-on`` found something, 2 for bad input, 7 where that could not be judged."""
    try:
        wanted = _wanted(args)
        reader = Reader(store)
        try:
            return _show(args, reader, wanted, print_json)
        finally:
            reader.close()
    except Asked as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT


def _wanted(args: Namespace) -> frozenset[str]:
    """The words of ``--fail-on``. A word that no state has would never fail, which is the worst kind of mistake."""
    if args.screen not in registry.SHOWN:
        raise Asked(f"no screen {args.screen!r}; known: {' '.join(registry.SHOWN)}")
    if args.limit is not None and args.limit < 1:
        raise Asked(f"--limit {args.limit}: expected 1 or more")
    if args.fail_on is None:
        return frozenset()
    wanted = frozenset(w.strip() for w in args.fail_on.split(",") if w.strip())
    strange = sorted(wanted - _KNOWN)
    if strange or not wanted:
        what = f"--fail-on {strange[0]!r} is no state" if strange else "--fail-on names no state"
        raise Asked(f"{what}; known: {', '.join(sorted(_KNOWN))}")
    if args.screen not in _JUDGED:
        raise Asked(f"--fail-on looks at states, and the screen {args.screen} has none; use {' '.join(_JUDGED)}")
    return wanted


def _show(args: Namespace, reader: Reader, wanted: frozenset[str], print_json: Callable[[str, Any], None]) -> int:
    engine = reader.engine()
    held = reader.lock_held()
    context = Context(
        reader=reader, now=lambda: time.time_ns() // 1_000_000, ascii=args.ascii, read_only=True,
        timezone=engine.timezone if engine is not None else "UTC", engine_alive=held,
        extra={"trouble": reader.trouble(), "room": reader.room()} if held else {},
    )  # fmt: skip
    if args.key is not None:
        _known(args, reader)
    view = registry.make(args.screen, context, _argument(args, reader))
    if getattr(args, "view", None):
        _saved(args, view)
    elif args.filter:
        _filter(args, view)
    view.load()
    _print(args, view, print_json)
    return _judge(view, context, wanted) if wanted else EXIT_OK


def _argument(args: Namespace, reader: Reader) -> str | None:
    """What the screen is about: a key, for ``diff`` two runs of one pipeline."""
    other = getattr(args, "other", None)
    if other is None:
        return args.key
    if args.screen != "diff":
        raise Asked(f"the screen {args.screen} takes one key; a second run is for: watchfloor show diff RUN OTHER")
    if reader.run(other) is None:
        raise Asked(f"no run {other!r} is known; watchfloor show runs --format csv lists them")
    if other.partition("/")[0] != args.key.partition("/")[0]:
        raise Asked(f"{other!r} is a run of another pipeline than {args.key!r}: two runs of one are compared")
    return f"{args.key} {other}"


def _known(args: Namespace, reader: Reader) -> None:
    """A key that nothing has is a mistake here; a terminal would show an empty screen and go on."""
    if args.screen in ("history", "gaps") and reader.pipeline(args.key.partition("/")[0]) is None:
        raise Asked(f"no pipeline {args.key!r} is known; watchfloor show floor --format csv lists them")
    if args.screen not in ("run", "log", "diff"):
        return
    try:
        key = parse_key(args.key)
    except ValueError as error:
        raise Asked(str(error)) from None
    detail = reader.run(key.run_key) if key.run_key else None
    if detail is None:
        raise Asked(f"no run {args.key!r} is known; watchfloor show runs --format csv lists them")
    if key.step is not None and detail.steps and not any(s.key == args.key for s in detail.steps):
        names = ", ".join(dict.fromkeys(s.key.partition("#")[2] for s in detail.steps))
        raise Asked(f"the run has no step {key.step!r}; it has {names}")


def _saved(args: Namespace, view: View) -> None:
    """A saved view by its name: the team's, or one's own (which comes first)."""
    views = getattr(view, "views", None)
    if args.filter:
        raise Asked("--view is a saved filter: give it or --filter, not both")
    if views is None or not getattr(view, "filter_states", frozenset)():
        raise Asked(f"the screen {args.screen} has no saved views")
    view.context.extra["views_file"] = views_file.place(os.environ)
    view.load()
    if wrong := views.use(args.view):
        raise Asked(f"--view: {wrong}")


def _filter(args: Namespace, view: View) -> None:
    set_filter = getattr(view, "set_filter", None)
    if set_filter is None:
        raise Asked(f"the screen {args.screen} has no filter")
    view.load()
    set_filter(args.filter)
    if error := getattr(view, "filter_error", None):
        raise Asked(f"--filter: {error}")


def _print(args: Namespace, view: View, print_json: Callable[[str, Any], None]) -> None:
    if args.format == "json":
        data = view.data()
        if args.limit is not None:
            if isinstance(data, list):
                data = data[: args.limit]
            elif isinstance(data, dict):
                data = {k: v[: args.limit] if isinstance(v, list) else v for k, v in data.items()}
        print_json(args.screen, data)
    elif args.format == "csv":
        rows = view.rows()[: args.limit]
        if rows:
            writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        size = shutil.get_terminal_size((120, 40))
        for line in view.paint(max(args.width or size.columns, 1), max(args.height or max(size.lines, 40), 1)):
            print("".join(text for text, _ in line).rstrip())


def _judge(view: View, context: Context, wanted: frozenset[str]) -> int:
    """1 if a row is in one of these states. Else 0 only if it could be known: unknown is not green."""
    if any(str(row.get(name)) in wanted for row in view.rows() for name in ("state", "word", "health")):
        return EXIT_NOT_WELL
    if not context.engine_alive:
        print("could not judge: no engine watches this store; start one with: watchfloor engine run", file=sys.stderr)
        return EXIT_BLIND
    if trouble(context) is not None:
        print("could not judge: the engine can record nothing now; see: watchfloor show sources", file=sys.stderr)
        return EXIT_BLIND
    dark = [s.name for s in context.reader.sources() if s.health == Health.NEVER]
    dark += [s.name for s in blind(context.reader.sources(), context.now())]
    if dark:
        print(f"could not judge: no fresh word from {', '.join(dark)}; see: watchfloor show sources", file=sys.stderr)
        return EXIT_BLIND
    return EXIT_OK
