"""Completion in the shell: the words of the command line from its parser, keys and alerts from the store as it is.

Runs only while a shell asks (``_ARGCOMPLETE`` in the environment); nothing is started, nothing is written, and whatever
cannot be read completes to nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from adapters.model import VERBS, State
from tui import registry, themes

MOST = 200
"""Candidates at most: more is not read by anybody."""

Completer = Callable[..., Iterable[str]]


Where = Callable[[argparse.Namespace], Any]
_where: list[Where] = []
"""How places are found: said by the command line, which alone knows the engine's side."""


def complete(parser: argparse.ArgumentParser, where: Where) -> None:
    """Answer the shell and leave the process; returns only if no shell asked. ``where``: an invocation's places."""
    _where[:] = [where]
    import argcomplete
    from argcomplete.completers import SuppressCompleter

    for sub in _subparsers(parser):
        for action in sub._actions:  # pyright: ignore[reportPrivateUsage] - argparse has no public list of them
            completer = _COMPLETERS.get((sub.prog.rpartition(" ")[2], action.dest)) or _COMPLETERS.get(
                ("", action.dest)
            )
            if completer is not None and not action.choices:
                action.completer = completer  # pyright: ignore[reportAttributeAccessIssue] - read by argcomplete
    argcomplete.autocomplete(parser, always_complete_options="long", default_completer=SuppressCompleter())


def shellcode(shell: str) -> str:
    """What a shell must be told once; for bash, zsh or fish."""
    from argcomplete.shell_integration import shellcode as code

    return code(["watchfloor"], shell=shell)


def _subparsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            yield from action.choices.values()


def _places(args: argparse.Namespace) -> Any:
    return _where[0](argparse.Namespace(**{"config": None, "system": False, "demo": False, **vars(args)}))


def _reader(args: argparse.Namespace) -> Any:
    from engine.store.reader import Reader

    return Reader(_places(args).store)


def _keys(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Keys of pipelines; behind a ``/`` the newest runs of that one."""
    with suppress(Exception):
        reader = _reader(parsed_args)
        pipeline, slash, _rest = prefix.partition("/")
        if slash:
            return [r.key for r in reader.runs(pipeline_key=pipeline, limit=30) if r.key.startswith(prefix)]
        return list(reader.pipeline_keys(prefix, MOST))
    return ()


def _alerts(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    with suppress(Exception):
        return [a.id for a in _reader(parsed_args).alerts() if a.id.startswith(prefix)]
    return ()


def _theme(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    with suppress(Exception):
        return themes.names(_places(parsed_args).config.parent)
    return themes.builtin()


def _states(prefix: str, **_: Any) -> Iterable[str]:
    """Several, with commas between."""
    before, comma, _last = prefix.rpartition(",")
    return [f"{before}{comma}{s.name.lower()}" for s in State]


def _words(words: Iterable[str]) -> Completer:
    known = tuple(words)

    def these(prefix: str, **_: Any) -> Iterable[str]:
        return known

    return these


_COMPLETERS: Mapping[tuple[str, str], Completer] = {
    ("", "key"): _keys,
    ("silence", "match"): _keys,
    ("ack", "alert"): _alerts,
    ("", "theme"): _theme,
    ("show", "screen"): _words(registry.SHOWN),
    ("show", "fail_on"): _states,
    ("", "verb"): _words(v.value for v in VERBS),
}
"""(verb, argument) → who knows its words; an empty verb means every verb that has it."""
