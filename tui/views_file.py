"""A person's own saved views: ``views.toml`` in their state folder. Written by the terminal, for it is a preference of the
person and no fact of the store; replaced atomically, and never written over where it cannot be read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tui.present.cut import clean

LONGEST: Final = 40
"""Letters of a name."""
MOST: Final = 200
BIGGEST: Final = 1 << 20
"""Bytes; a larger file is not ours."""
_HEAD: Final = "# saved views of watchfloor; written by its terminal (key v), and yours to edit\n"


class ViewsError(Exception):
    """One sentence: what is wrong with the file, and that nothing was written."""


@dataclass(frozen=True, slots=True)
class OwnView:
    """A filter of a screen under a name."""

    name: str
    screen: str
    filter: str


@dataclass(frozen=True, slots=True)
class Views:
    """What the file says. ``start``: screen → name of the view with which it opens."""

    views: tuple[OwnView, ...] = ()
    start: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, screen: str) -> list[OwnView]:
        return [v for v in self.views if v.screen == screen]

    def get(self, screen: str, name: str) -> OwnView | None:
        return next((v for v in self.views if (v.screen, v.name) == (screen, name)), None)

    def put(self, view: OwnView, at: int | None = None) -> Views:
        """With this view, in the place of one with its name; else at ``at`` or at the end. ViewsError where it cannot be."""
        if not view.name or len(view.name) > LONGEST:
            raise ViewsError(f"a name has 1 to {LONGEST} letters, this one has {len(view.name)}")
        kept = [*self.views]
        for i, old in enumerate(kept):
            if (old.screen, old.name) == (view.screen, view.name):
                kept[i] = view
                return replace(self, views=tuple(kept))
        if len(kept) >= MOST:
            raise ViewsError(f"{MOST} views are saved already: delete one first")
        kept.insert(len(kept) if at is None else at, view)
        return replace(self, views=tuple(kept))

    def rename(self, screen: str, old: str, new: str) -> Views:
        """The start view keeps its place under the new name."""
        found = self.get(screen, old)
        if found is None:
            raise ViewsError(f"there is no view {old} any more")
        if not new or len(new) > LONGEST:
            raise ViewsError(f"a name has 1 to {LONGEST} letters, this one has {len(new)}")
        if new != old and self.get(screen, new) is not None:
            raise ViewsError(f"a view {new} exists already")
        views = tuple(replace(v, name=new) if v is found else v for v in self.views)
        return Views(views, {s: new if (s, n) == (screen, old) else n for s, n in self.start.items()})

    def drop(self, screen: str, name: str) -> Views:
        start = {s: n for s, n in self.start.items() if (s, n) != (screen, name)}
        return Views(tuple(v for v in self.views if (v.screen, v.name) != (screen, name)), start)

    def starts(self, screen: str, name: str | None) -> Views:
        """Open ``screen`` with this view from now on; None: with none."""
        start = {s: n for s, n in self.start.items() if s != screen}
        return replace(self, start=start if name is None else {**start, screen: name})


def place(environ: Mapping[str, str]) -> Path:
    """Where the file lies: the state folder of the person, whichever store is looked at."""
    state = environ.get("XDG_STATE_HOME", "")
    root = Path(state) if state.startswith("/") else Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
    return root / "watchfloor" / "views.toml"


def read(path: Path) -> Views:
    """What is saved; nothing where there is no file. ViewsError where it cannot be read or makes no sense."""
    try:
        if path.stat().st_size > BIGGEST or not path.is_file():
            raise ViewsError(f"{path} is no file of saved views: move it away")
        data = path.read_bytes().decode()
    except FileNotFoundError:
        return Views()
    except OSError as error:
        raise ViewsError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise ViewsError(f"{path} is not UTF-8 text: mend it or move it away, it is left as it is") from None
    import tomllib

    try:
        return _views(tomllib.loads(data))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ViewsError(f"{path}: {error}: mend it or move it away, it is left as it is") from None
    except ViewsError as error:
        raise ViewsError(f"{path}: {error}: mend it or move it away, it is left as it is") from None


def _views(data: dict[str, Any]) -> Views:
    strange = sorted(data.keys() - {"view", "start"})
    if strange:
        raise ViewsError(f"{strange[0]!r} is not known here, expected [[view]] and [start]")
    found: list[OwnView] = []
    entries, start = data.get("view", []), data.get("start", {})
    if not isinstance(entries, list) or not isinstance(start, dict):
        raise ViewsError("expected [[view]] entries and a [start] table")
    for i, entry in enumerate(entries, 1):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not isinstance(entry, dict) or entry.keys() != {"name", "screen", "filter"}:  # pyright: ignore[reportUnknownMemberType]
            raise ViewsError(f"[[view]] number {i} needs name, screen and filter, and nothing else")
        values: list[Any] = [entry[k] for k in ("name", "screen", "filter")]  # pyright: ignore[reportUnknownVariableType]
        if not all(isinstance(v, str) for v in values):
            raise ViewsError(f"[[view]] number {i}: name, screen and filter are texts")
        found.append(OwnView(*map(clean, values)))
    names: dict[Any, Any] = dict(start)  # pyright: ignore[reportUnknownArgumentType]
    if not all(isinstance(n, str) for n in names.values()):
        raise ViewsError("[start] has the name of a view for a screen")
    return Views(tuple(found), names)


def written(views: Views) -> str:
    """The file's text; JSON's strings are TOML's, but for one control character."""
    parts = [_HEAD]
    if views.start:
        parts += ["\n[start]\n", *(f"{_text(s)} = {_text(n)}\n" for s, n in views.start.items())]
    for v in views.views:
        parts.append(f"\n[[view]]\nname = {_text(v.name)}\nscreen = {_text(v.screen)}\nfilter = {_text(v.filter)}\n")
    return "".join(parts)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def change(path: Path, edit: Callable[[Views], Views]) -> Views:
    """Read, change, write under a lock: two terminals lose nothing of each other. ViewsError: nothing was written."""
    import fcntl

    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = edit(read(path))
        _replace(path, written(new).encode())
        return new
    except (OSError, UnicodeEncodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "a text that cannot be written"
        raise ViewsError(f"{path}: {said or error}; nothing was saved") from None
    finally:
        if lock >= 0:
            os.close(lock)


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()  # a link to a folder of dotfiles stays a link
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
