"""Read a configuration: all of it, or nothing and every problem at once.

``load`` is atomic: it returns a whole ``Config`` or raises ``ConfigError``; a running engine keeps what it had.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.config import lines, shapes
from engine.config.at import At, Document, Node
from engine.config.build import build
from engine.config.errors import ConfigError, Problem
from engine.config.fields import Table
from engine.config.model import Config
from engine.config.paths import MORE

__all__ = ["ConfigError", "Problem", "load", "load_text", "read_files"]

_WHERE = re.compile(r" \(at line (\d+), column \d+\)$")
_MAX_BYTES = 16 << 20


def load(path: Path, deep: bool = False, kinds: Collection[str] | None = None) -> Config:
    """The configuration of a main file and of ``watchfloor.d/*.toml`` beside it (by name, each adds list entries).

    ``deep``: look at what ``check`` looks at beyond (``engine.config.thorough``). Never needed to run.
    ``kinds``: the source kinds there are; default: the installed entry points. ConfigError has every problem.
    """
    path = path.absolute()
    return _load(path, read_files(path), deep, kinds)


def load_text(
    text: str,
    folder: Path | None = None,
    more: Mapping[str, str] | None = None,
    *,
    deep: bool = False,
    kinds: Collection[str] | None = None,
    name: str = "watchfloor.toml",
) -> Config:
    """The same from texts: the main file's, and ``more`` (name → text) of ``watchfloor.d``."""
    base = folder or Path("/nowhere")
    files: list[tuple[Path, bytes | Problem]] = [(base / name, text.encode())]
    files += [(base / MORE / n, t.encode()) for n, t in sorted((more or {}).items())]
    return _load(base / name, files, deep, kinds, short=True)


def read_files(path: Path) -> list[tuple[Path, bytes | Problem]]:
    """Bytes of the main file and of each further one, or why they cannot be read."""
    more = path.parent / MORE
    try:
        further = sorted(p for p in more.iterdir() if p.suffix == ".toml" and not p.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        further = []
    except OSError as error:
        return [(path, _bytes(path)), (more, _unreadable(more, error))]
    return [(p, _bytes(p)) for p in (path, *further)]


def _bytes(path: Path) -> bytes | Problem:
    try:
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, and read twice
            return Problem(str(path), None, "", "expected a file, got a pipe or device", "write it to a file")
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        return _unreadable(path, error)


def _unreadable(path: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(
            str(path),
            None,
            "",
            "expected a configuration file, there is none",
            "`watchfloor init` writes one to start from",
        )
    if isinstance(error, IsADirectoryError):
        return Problem(str(path), None, "", "expected a file, got a folder", "name the file in it")
    reason = (error.strerror or type(error).__name__).lower()
    return Problem(
        str(path), None, "", f"expected a readable file, got: {reason}", "let the user of the engine read it"
    )


def _parse(name: str, raw: bytes) -> tuple[str, Mapping[str, Any]] | Problem:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Problem(
            name, line, "", f"expected UTF-8 text, got the byte 0x{raw[error.start]:02x}", "save the file as UTF-8"
        )
    if text.startswith("\ufeff"):
        return Problem(name, 1, "", "expected TOML, got a byte-order mark", "save the file as UTF-8 without one")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _WHERE.search(said)
        line = int(found[1]) if found else text.count("\n") + 1
        # the parser's words may quote the text, which may hold a secret: only its kind of complaint is kept
        what = re.sub(r"['\"].*['\"]", "…", _WHERE.sub("", said).replace(" (at end of document)", ""))
        return Problem(
            name,
            line,
            "",
            f"expected TOML, got something else ({what[:1].lower()}{what[1:]})",
            "look at this line and the one above",
        )
    except RecursionError:
        return Problem(name, None, "", "expected TOML, got tables nested too deeply", "write it flatter")


def _load(
    path: Path,
    files: Sequence[tuple[Path, bytes | Problem]],
    deep: bool,
    kinds: Collection[str] | None,
    short: bool = False,
) -> Config:
    problems: list[Problem] = []
    warnings: list[str] = []
    nodes: list[Node] = []
    digest = hashlib.sha256()
    for file, raw in files:
        if isinstance(raw, Problem):
            problems.append(raw)
            continue
        name = str(file.relative_to(path.parent)) if short else str(file)
        parsed = _parse(name, raw)
        if isinstance(parsed, Problem):
            problems.append(parsed)
            continue
        text, data = parsed
        digest.update(f"{file.name}\0".encode() + raw.replace(b"\r\n", b"\n") + b"\0")
        main = file == path
        doc = Document(name, path.parent, data, lines.index(text), problems, warnings)
        nodes.append(_read(doc, shapes.ROOT if main else shapes.MORE, main))
    config = None
    if nodes:
        config = build(path, digest.hexdigest(), nodes, kinds, deep, tuple(file for file, _ in files))
    if problems or config is None:
        order = {p.file: n for n, p in reversed(list(enumerate(problems)))}  # by file, in it by line
        raise ConfigError(sorted(problems, key=lambda p: (order[p.file], p.line or 0)))
    return config


def _read(doc: Document, shape: Table, main: bool) -> Node:
    if not main:
        for key in [k for k in doc.data if k in shapes.ROOT.fields and k not in shape.fields]:
            (At(doc) / key).problem(
                f"expected only entries like [[source]] in {MORE}, got {key}", "move it to the main file"
            )
        known = {k: v for k, v in doc.data.items() if k in shape.fields or k not in shapes.ROOT.fields}
        return shape.read(At(doc), known)
    return shape.read(At(doc), doc.data)
