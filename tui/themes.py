"""Palettes: TOML files to styles. A theme names colours; a ``Palette`` turns a view's style names into Rich styles.

Themes of ours are package data of ``themes``; a user's own lie in ``themes/*.toml`` of the configuration folder and may
be partial: what they do not name is taken from dark. ``mono`` needs no file: no colour, only bold, strike and reverse.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rich.color import Color, ColorParseError
from rich.style import Style

DEFAULT = "dark"
_BASE = (
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
    "foreground",
    "background",
    "surface",
    "panel",
)
_QUIET_GROUNDS = frozenset({"background", "surface", "panel", "window-bg"})
"""Grounds that carry no meaning: in mono they are not reversed."""


class ThemeError(ValueError):
    """A theme file that cannot be used; the text is one sentence with the file's name."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Named colours. ``ansi``: only the terminal's own sixteen, on its own ground. ``mono``: none at all."""

    name: str
    colors: Mapping[str, str]
    dark: bool = True
    ansi: bool = False
    mono: bool = False


MONO = Theme("mono", {}, mono=True)


def _read(name: str, text: str, where: str, base: Mapping[str, str] | None) -> Theme:
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"{where}: not TOML: {error}") from None
    variables = table.get("variables", {})
    if not isinstance(variables, dict):
        raise ThemeError(f"{where}: [variables] should be a table of names and colours")
    colors: dict[str, str] = dict(base or {})
    for key, value in [*((key, table[key]) for key in _BASE if key in table), *variables.items()]:
        if not isinstance(value, str):
            raise ThemeError(f"{where}: {key} should be a colour such as '#8ecbff' or 'ansi_cyan'")
        try:
            Color.parse(_rich_name(value))
        except ColorParseError:
            raise ThemeError(
                f"{where}: {key} is {value!r}: expected a colour such as '#8ecbff' or 'ansi_cyan'"
            ) from None
        colors[key] = value
    colors["text"] = (
        colors.get("text", colors["foreground"]) if base is None else table.get("foreground", colors["text"])
    )
    return Theme(name, colors, bool(table.get("dark", True)), bool(table.get("ansi", False)))


def _rich_name(color: str) -> str:
    """Textual's names of the sixteen (``ansi_cyan``) as Rich spells them."""
    return color.removeprefix("ansi_")


def builtin() -> tuple[str, ...]:
    """Names of the themes that come with Watchfloor."""
    names = sorted(item.name[:-5] for item in resources.files("themes").iterdir() if item.name.endswith(".toml"))
    return (*sorted(names, key=lambda name: (name != "dark", name != "light", name != "ansi", name)), MONO.name)


def load(name: str, folder: Path | None = None) -> Theme:
    """The theme of that name: the user's (``folder/themes/NAME.toml``) before ours. ThemeError says what is wrong."""
    if name == MONO.name:
        return MONO
    if "/" in name or name.startswith("."):
        raise ThemeError(f"theme {name!r}: expected a name, not a path")
    if folder is not None:
        own = folder / "themes" / f"{name}.toml"
        try:
            text = own.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise ThemeError(f"{own}: cannot be read: {error}") from None
        else:
            return _read(name, text, str(own), load(DEFAULT).colors)
    file = resources.files("themes") / f"{name}.toml"
    if not file.is_file():
        raise ThemeError(f"no theme {name!r}: there are {', '.join(names(folder))}")
    return _read(name, file.read_text("utf-8"), f"themes/{name}.toml", None)


def names(folder: Path | None = None) -> tuple[str, ...]:
    """All themes that can be chosen, ours first."""
    ours = builtin()
    if folder is None:
        return ours
    own = sorted(path.stem for path in (folder / "themes").glob("*.toml"))
    return (*ours, *(name for name in own if name not in ours))


def choose(wanted: str | None, environ: Mapping[str, str], folder: Path | None = None) -> Theme:
    """The theme to start with: ``NO_COLOR`` wins, then the wish, then ansi where the terminal has sixteen colours.

    A wish that cannot be had is not worth dying for: dark is taken (``check`` reports the file).
    """
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return MONO
    if wanted:
        try:
            return load(wanted, folder)
        except ThemeError:
            pass
    return load(DEFAULT if many_colors(environ) else "ansi")


def many_colors(environ: Mapping[str, str]) -> bool:
    """Whether the terminal says that it has 256 colours or more."""
    return environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "256color" in environ.get("TERM", "")


def needs_ascii(environ: Mapping[str, str]) -> bool:
    """The Linux console's fonts lack our glyphs, and a locale without UTF-8 cannot carry them."""
    if environ.get("TERM") == "linux":
        return True
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return "utf-8" not in locale.lower() and "utf8" not in locale.lower()


class Palette:
    """Style names to Rich styles. A name is never an error on screen: unknown words are ignored and kept in ``unknown``."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self.unknown: set[str] = set()
        self._styles: dict[str, Style] = {}
        self._colors: dict[str, Color | None] = {}
        self.base = self.style("")

    def style(self, name: str) -> Style:
        """The style of a view's style name (grammar in ``tui.view.Span``), ground included."""
        found = self._styles.get(name)
        if found is None:
            found = self._styles[name] = self._make(name)
        return found

    def has(self, token: str) -> bool:
        """Whether the theme names this colour."""
        return self.theme.mono or token in self.theme.colors

    def _color(self, token: str) -> Color | None:
        if token in self._colors:
            return self._colors[token]
        value = self.theme.colors.get(token)
        if value is None:
            self.unknown.add(token)
        color = None if value is None else Color.parse(_rich_name(value))
        self._colors[token] = color
        return color

    def _make(self, name: str) -> Style:
        theme = self.theme
        color = bold = reverse = strike = ground = None
        for word in name.split():
            if word == "b":
                bold = True
            elif word == "rev":
                reverse = True
            elif word == "strike":
                strike = True
            elif word.startswith("on:"):
                ground = word[3:]
            else:
                color = word
        if theme.mono or (theme.ansi and ground == "cursor-bg"):
            # a coloured reverse makes patches, so the whole row is reversed in the terminal's own colours
            if ground is not None and ground not in _QUIET_GROUNDS:
                reverse = True
            return Style(bold=bold, reverse=reverse, strike=strike)
        front = self._color(color or "text") or self._color("text")
        back = (self._color(ground) if ground else None) or self._color("background")
        return Style(color=front, bgcolor=back, bold=bold, reverse=reverse, strike=strike)
