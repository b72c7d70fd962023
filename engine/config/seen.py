"""The configuration as an engine meets it: there or not there yet, and whether its files changed since."""

from __future__ import annotations

import os

from engine.config.load import load, load_text
from engine.config.model import Config
from engine.config.paths import Places, places


def stamp(config: Config) -> tuple[tuple[str, int, int], ...]:
    """What changes when a configuration file changes: its path, time and size, those of watchfloor.d and of what it names."""
    files = dict.fromkeys([config.path, *sorted((config.folder / "watchfloor.d").glob("*.toml")), *config.files])
    found: list[tuple[str, int, int]] = []
    for file in files:
        try:
            info = file.stat()
        except OSError:
            found.append((str(file), 0, 0))
        else:
            found.append((str(file), info.st_mtime_ns, info.st_size))
    return tuple(found)


def load_or_empty(where: Places, *, system: bool) -> Config:
    """The configuration. None at its usual place is not a mistake: the floor opens empty and says what to do next."""
    usual = places(None, system=system).config
    if where.config == usual and not os.path.lexists(usual):  # a link to nowhere is a mistake, not a fresh machine
        return load_text("", where.config_folder)
    return load(where.config)
