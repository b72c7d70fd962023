"""The command line: what each verb does, everything heavy imported by the verb that needs it.

``engine.commands`` is the one module of the engine that is named here; behind it stands whatever reads configuration,
touches the network or writes.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys

from engine import commands
from engine.request import EXIT_BAD_INPUT, EXIT_BUG, EXIT_OK
from tui.verbs import parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``watchfloor``; returns the exit code."""
    if sys.platform != "linux":
        print("watchfloor runs on Linux only: it reads /proc and keeps jobs by Linux means", file=sys.stderr)
        return EXIT_BAD_INPUT
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for words: answered, and gone
        from tui.complete import complete

        complete(parser(), commands.where)
    if foreign := commands.refuse_foreign_packages():
        print(foreign, file=sys.stderr)
        return EXIT_BAD_INPUT
    args = parser().parse_args(argv)
    if strange := next((w for w in (sys.argv[1:] if argv is None else argv) if not w.isprintable() and _torn(w)), None):
        print(f"watchfloor: {strange!a} is not UTF-8 text", file=sys.stderr)
        return EXIT_BAD_INPUT
    try:
        return _run(args)
    except BrokenPipeError:
        # the reader of our output has gone (| head): nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)


def _torn(word: str) -> bool:
    """Bytes of the command line that are no UTF-8 come as lone surrogates, which nothing can write again."""
    return any("\ud800" <= c <= "\udfff" for c in word)


_PLACE = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENAMETOOLONG,
    )
)
"""What is wrong with a place on disk, not with us."""


def _explain(error: Exception) -> int:
    """Known refusals are one sentence; anything else is our bug, said so, with the trace in a file."""
    from engine.config.load import ConfigError
    from engine.store.errors import StoreError

    if isinstance(error, (ConfigError, StoreError)):
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    if isinstance(error, PermissionError):
        print(f"{error.filename}: not permitted for you; use --config or --system for another place", file=sys.stderr)
        return EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.errno in _PLACE and error.filename:
        print(f"{error.filename}: {error.strerror}; look at: watchfloor locate", file=sys.stderr)
        return EXIT_BAD_INPUT
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="watchfloor-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    print(f"this is a bug of ours ({type(error).__name__}); the details are in {file.name}", file=sys.stderr)
    return EXIT_BUG


_READS = frozenset({None, "wall", "show", "keys", "morning"})
"""Commands that take a given configuration at its word: a name mistyped is no empty machine."""


def _run(args: argparse.Namespace) -> int:
    if args.version:
        from engine.version import VERSION

        print(f"watchfloor {VERSION}")
        return EXIT_OK
    commands.umask(args)
    file = getattr(args, "config", None)
    if file is not None and args.command in _READS and not os.path.lexists(file):
        # its store would be that of another configuration, and "nothing to watch" or a strange floor no word of the typo
        return commands.fail(f"{file}: expected a configuration file, there is none; `watchfloor init` writes one")
    match args.command:
        case None:
            args.demo = False
            return terminal(args, "floor")
        case "demo":
            return demo(args)
        case "wall":
            return terminal(args, "wall")
        case "show":
            return show(args)
        case "keys":
            return keys(args)
        case "completion":
            return completion(args)
        case "check":
            return check(args)
        case "logs":
            return logs(args)
        case "morning":
            from tui.morning import check as look

            return look(args, commands.where(args).store, commands.print_json)
        case _:
            return getattr(commands, args.command)(args)


def demo(args: argparse.Namespace) -> int:
    """Prepare the demo's workspace once, then open it; without a terminal run it and print its floor."""
    from engine import demo as workspace

    args.demo = True
    if args.config or args.system:
        print("the demo has a place of its own; --config and --system do not go with it", file=sys.stderr)
        return EXIT_BAD_INPUT
    if args.reset:
        workspace.reset(commands.where(args))
    workspace.prepare(commands.where(args))
    if sys.stdin.isatty() and sys.stderr.isatty():
        return terminal(args, "floor")
    from tui.start import start_engine

    place = commands.where(args)
    started = start_engine(place, demo=True)
    code = workspace.wait_until_run(place, 30.0)
    args.screen, args.key, args.filter, args.limit = "floor", None, "", None
    args.width, args.height, args.format, args.fail_on = 120, 40, "text", None
    show(args)
    if started:
        commands.engine_stop(args)
    return code


def terminal(args: argparse.Namespace, screen: str) -> int:
    """The full-screen program. Checks the terminal before anything of Textual is imported."""
    for stream, name in ((sys.stdin, "stdin"), (sys.stderr, "stderr")):
        if stream is None or stream.closed or not stream.isatty():
            print(
                f"{name} is not a terminal; for scripts use: watchfloor show floor --format text|json",
                file=sys.stderr if sys.stderr and not sys.stderr.closed else None,
            )
            return EXIT_BAD_INPUT
    from tui.launch import run

    return run(args, commands.where(args), screen)


def show(args: argparse.Namespace) -> int:
    """One screen without a terminal: the rows that the terminal would paint, or its data."""
    from tui.show import show as print_screen

    return print_screen(args, commands.where(args).store, commands.print_json)


def logs(args: argparse.Namespace) -> int:
    """Files and pipes on the log screen, where there is a terminal; a key is printed, as the engine fetched it."""
    files = [name for name in args.key if name == "-" or os.path.exists(name)]
    if len(files) == len(args.key):
        from tui.log import alone

        return alone.logs(args, args.key, lambda: commands.where(args))
    other = next(name for name in args.key if name not in files)
    if files or len(args.key) > 1:
        return commands.fail(f"{other}: no such file; several files are read as one log, a key stands alone")
    args.key = other
    if ":" not in other:
        return commands.fail(
            f"{other}: no such file, and no key: expected source:pipeline/run, a file, or - for standard input"
        )
    return commands.logs(args)


def check(args: argparse.Namespace) -> int:
    """What only the terminal knows, themes and the ids of keys; then the configuration as the engine reads it."""
    from tui import keymap, themes
    from tui.launch import own_tables

    place = commands.where(args)
    ui, own_keys = own_tables(place)
    try:
        keymap.load_overrides(own_keys)
        if isinstance(ui.get("theme"), str):
            themes.load(ui["theme"], place.config.parent)
    except keymap.KeymapError as error:
        return commands.fail(f"{place.config}: [keys]: {error}")
    except themes.ThemeError as error:
        return commands.fail(f"{place.config}: [ui] theme: {error}")
    from tui.views_check import wrong_view

    return commands.check(args, wrong_view)


def keys(args: argparse.Namespace) -> int:
    """The table in force: with the configuration's own keys, where there is one."""
    from tui import keymap, keys_out
    from tui.launch import own_tables

    args.demo = False
    place = commands.where(args)
    try:
        keymap.load_overrides(own_tables(place)[1])
    except keymap.KeymapError as error:
        return commands.fail(f"{place.config}: [keys]: {error}")
    if args.format == "json":
        commands.print_json("keys", keys_out.table())
    else:
        print("\n".join(keys_out.sheet() if args.cheatsheet else keys_out.listing()))
    return EXIT_OK


def completion(args: argparse.Namespace) -> int:
    from tui.complete import shellcode

    print(shellcode(args.shell))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
