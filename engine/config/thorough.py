"""What ``check`` looks at beyond what every load does, without asking anybody on the network: whether references to secrets
resolve and named files are there, whether each adapter takes the settings of its sources and the queries that it is to
answer, and whether somebody can answer to the names of series.

Nothing of it is needed to run: a source with a wrong option is one source that says so, not a floor without configuration.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from adapters.base import Adapter
from adapters.errors import AdapterError, Unsupported
from engine.adapters_in import NoAdapter, adapter_class, try_adapter
from engine.config import named, units
from engine.config.at import At, Node, printable
from engine.config.model import SecretRef, Source
from engine.config.secrets import SecretError, reference, resolve, warning

Nodes = Callable[[str], list[Node]]
"""Entries of a list, of all files."""
_LED = re.compile(r"(url|include|timezone|(?:options|auth|tls)(?:\.[\w-]+)*): ")
"""A sentence of an adapter that begins with the setting that it is about."""
_NO_SUCH = re.compile(r"\b(?:no option|unknown key) ")


def look(nodes: Nodes, folder: Path, make: Callable[[Node], Source]) -> None:
    """Notes each problem at its place. ``folder``: the configuration's; ``make``: the source of an entry without problems."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-check-") as scratch:
        made = _sources(nodes, folder, Path(scratch), make)
        _queries(nodes, made)
    _files(nodes, folder, made)
    named.look(nodes)


# --- secrets and files ------------------------------------------------------------------------------------------------


def _files(nodes: Nodes, folder: Path, made: Mapping[str, _Made]) -> None:
    for at, ref in _references(nodes, made):
        try:
            resolve(ref, folder).reveal()
        except SecretError as error:
            at.problem(f"expected a secret from {printable(ref)}, got none: {error.clause}", error.hint)
            continue
        said = warning(ref, folder)
        if said:
            at.warn(*said)
    for node in nodes("source"):
        ca = (node["tls"] or {}).get("ca")
        if ca is not None and not ca.is_file():
            (node.at / "tls" / "ca").problem(
                f"expected a file, there is no {ca}", "put the certificate there, or name another file"
            )


def _references(nodes: Nodes, made: Mapping[str, _Made]) -> Iterator[tuple[At, SecretRef]]:
    for node in nodes("source"):
        for key, value in (node["auth"] or {}).items():
            if isinstance(value, SecretRef):
                yield node.at / "auth" / key, value
        one = made.get(node["name"] or "")
        for name in one.kind.secret_options if one else ():
            table = (node["options"] or {}).get(name)
            for key, value in (cast("dict[str, Any]", table) if isinstance(table, dict) else {}).items():
                ref = reference(value)
                if ref is not None:
                    yield node.at / "options" / name / key, ref
    for node in nodes("contact"):
        if node["url"] is not None:
            yield node.at / "url", node["url"]


# --- adapters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """``adapter``: None where it could not be made of its settings."""

    source: str
    kind: type[Adapter]
    adapter: Adapter | None


def _sources(nodes: Nodes, folder: Path, scratch: Path, make: Callable[[Node], Source]) -> dict[str, _Made]:
    """By name, those whose adapter can be loaded here."""
    found: dict[str, _Made] = {}
    for node in nodes("source"):
        name, word = node["name"], node["kind"]
        if name is None or word is None or name in found:
            continue
        fine = not any(p.file == node.at.doc.name and p.key.startswith(node.at.key) for p in node.at.doc.problems)
        try:
            kind = adapter_class(word)
        except NoAdapter as error:
            if fine:
                (node.at / "kind").warn(
                    printable(error, 300), "until then nobody can tell whether its settings are right"
                )
            continue
        (scratch / name).mkdir()
        found[name] = _Made(name, kind, _tried(node, kind, make(node), folder, scratch / name) if fine else None)
    return found


def _tried(node: Node, kind: type[Adapter], source: Source, folder: Path, scratch: Path) -> Adapter | None:
    """Made of its settings; else each option that there is not is told, and the first other thing that is wrong: what is said
    of the rest, when that is left out, may only come of it."""
    options, told = dict(source.options), False
    while True:
        try:
            adapter = try_adapter(kind, replace(source, options=options), folder, scratch)
        except (ValueError, Unsupported) as error:
            hint = error.hint if isinstance(error, Unsupported) else ""
            at, said = _blamed(node, f"{error}; {hint}" if hint else str(error))
            unknown = bool(_NO_SUCH.search(said.partition("; ")[0]))
            if unknown or not told:
                at.problem(printable(_meant(at, said) if unknown else said, 500))
            told = True
            where = at.path[len(node.at.path) :]
            if len(where) < 2 or where[0] != "options" or where[1] not in options:
                return None
            del options[str(where[1])]
        except AdapterError as error:  # not the settings: this host, or what it would have to ask for
            words = f"its settings could not be looked at: {printable(error.what, 300)}"
            if not told:
                node.at.warn(words, printable(error.hint, 200))
            return None
        except Exception as error:  # an adapter that nobody of ours wrote
            words = f"its settings could not be looked at: the adapter stumbled ({type(error).__name__})"
            if not told:
                node.at.warn(words, "tell who wrote it; watchfloor doctor tries it in earnest")
            return None
        else:
            return None if told else adapter


def _blamed(node: Node, said: str) -> tuple[At, str]:
    """The setting that a sentence of an adapter is about, and the sentence without the name where it begins with it
    (``options.fleet: expected …``). Else it is the first that it names, else the source itself: a place is a courtesy."""
    led = _LED.match(said)
    path = tuple(led[1].split(".")) if led else ()
    said = said[led.end() :] if led else said
    if len(path) < 2:
        named = [(at, -len(p), p) for p in _paths(node) if p[: len(path)] == path and (at := _named(p, said)) >= 0]
        path = min(named)[2] if named else path
    at = node.at
    for part in path:
        at /= part
    return at, said


def _named(path: tuple[str, ...], said: str) -> int:
    """Where a sentence names a setting: ``options.fleet``, ``option 'fleet'``, ``key 'fleet'``; -1: nowhere."""
    below = re.escape(repr(".".join(path[1:])))
    found = re.search(rf"(?<![\w.]){re.escape('.'.join(path))}(?![\w-])|(?:option|key) {below}", said)
    return found.start() if found else -1


def _meant(at: At, said: str) -> str:
    """What is said of an option that there is not: with the one that was meant, of those that are named behind it."""
    what, _, known = said.partition("; ")
    close = units.nearest(str(at.path[-1]), re.findall(r"\w+", known.partition(": ")[2] or known))
    return f'{what}; did you mean "{close}"?' if close else said


def _paths(node: Node) -> Iterator[tuple[str, ...]]:
    """Of what stands in the tables of a source."""

    def below(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, ...]]:
        if len(path) > 1:
            yield path
        if isinstance(value, dict):
            for key, one in cast("dict[str, Any]", value).items():
                yield from below((*path, key), one)

    table: Any = node.at.doc.data
    for part in node.at.path:
        table = table[part]
    return below((), table)


def _queries(nodes: Nodes, made: Mapping[str, _Made]) -> None:
    for node in nodes("series"):
        source, query = made.get(node["source"] or ""), node["query"]
        if source is None or not (query or "").strip():
            continue
        try:
            caps = source.adapter.caps if source.adapter else None
            why = caps.why("metrics") if caps and not caps.can("metrics") else None
            wrong = source.kind.wrong_query(query) if why is None else None
        except Exception as error:  # an adapter that nobody of ours wrote
            what = f"its query could not be looked at: the adapter stumbled ({type(error).__name__})"
            (node.at / "query").warn(what, "tell who wrote it")
            continue
        what = source.kind.kind
        if why is not None:
            (node.at / "source").problem(
                f"expected a source that answers queries, got {source.source} ({what}): {printable(why, 200)}",
                "name a source of another kind, like sql or prometheus",
            )
        elif wrong:
            (node.at / "query").problem(f"expected a query of {what}, {printable(wrong, 300)}")
