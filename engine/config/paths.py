"""Where things lie. Light on purpose: the command line asks here before anything heavy is imported."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

FILE = "watchfloor.toml"
MORE = "watchfloor.d"
GROUP = "watchfloor"
"""The group that may read the store and open the socket in system mode."""


@dataclass(frozen=True, slots=True)
class Places:
    """All absolute. The store and all that belongs to it lie together in ``state``; ``[store] path`` moves them together."""

    config: Path
    config_folder: Path
    state: Path
    store: Path
    socket: Path
    lock: Path
    runs: Path
    logs: Path
    audit: Path
    engine_log: Path
    system: bool = False
    demo: bool = False

    def with_store(self, store: Path) -> Places:
        """The same with the store moved, and with it all that belongs to it: one store, one engine, one state.

        Two configurations with stores of their own must not share local runs, logs or the audit. A link is followed: two
        ways to one store must lead to one lock, or two engines would write it.
        """
        store = Path(os.path.realpath(store) if os.path.islink(store) else os.path.abspath(store))
        return replace(self, store=store, **_of_state(store.parent))

    def prepare(self) -> None:
        """Make the state folders: 0700, in system mode 2750 with the group ``watchfloor``. PermissionError if not."""
        if not self.system and self.state.is_dir():
            found = self.state.stat()
            ours = found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX  # /tmp is for all to write in
            if ours and found.st_mode & 0o077:
                os.chmod(self.state, 0o700)  # somebody made it by hand; logs and socket in it are for nobody else
        for folder in dict.fromkeys((self.state, self.store.parent, self.runs, self.logs)):
            if folder.is_dir():
                continue
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            if self.system:
                self._share(folder)

    def _share(self, folder: Path) -> None:
        import grp

        try:
            os.chown(folder, -1, grp.getgrnam(GROUP).gr_gid)
        except (KeyError, PermissionError):
            return  # no such group here: only the engine's own user can read, which doctor says
        os.chmod(folder, 0o2750)


def places(
    config: Path | None = None, system: bool = False, demo: bool = False, env: Mapping[str, str] = os.environ
) -> Places:
    """Of this user (XDG), of the system, or of the demo. Nothing is made, a configuration need not exist.

    ``[store] path`` is read here too, so that a client finds the socket of a moved store; a file that cannot be read
    moves nothing (``load`` says what is wrong with it).
    """
    if system:
        folder, state = Path("/etc/watchfloor"), Path("/var/lib/watchfloor")
    else:
        folder = _xdg(env, "XDG_CONFIG_HOME", ".config") / "watchfloor"
        state = _xdg(env, "XDG_STATE_HOME", ".local/state") / ("watchfloor-demo" if demo else "watchfloor")
        if demo:
            folder = state
    file = Path(os.path.abspath(config)) if config is not None else folder / FILE
    found = Places(
        config=file,
        config_folder=file.parent,
        store=state / "floor.db",
        **_of_state(state),
        system=system,
        demo=demo,
    )
    moved = _store_of(file)
    return found if moved is None and not os.path.islink(found.store) else found.with_store(moved or found.store)


def _of_state(state: Path) -> dict[str, Path]:
    return {
        "state": state,
        "socket": state / "engine.sock",
        "lock": state / "engine.lock",
        "runs": state / "runs",
        "logs": state / "logs",
        "audit": state / "audit.jsonl",
        "engine_log": state / "engine.log",
    }


def relative(folder: Path, text: str) -> Path:
    """A path as it is written in a file of ``folder``: ``~`` is the home folder, relative ones start at the file."""
    return Path(os.path.abspath(folder / os.path.expanduser(text)))  # Path's own raises for ~nobody


def _xdg(env: Mapping[str, str], name: str, default: str) -> Path:
    given = env.get(name, "")
    if given and os.path.isabs(given):  # the XDG specification: a relative one is to be ignored
        return Path(given)
    home = env.get("HOME") or os.path.expanduser("~")
    return Path(home) / default


def _store_of(file: Path) -> Path | None:
    try:
        if not file.is_file():  # a pipe would be waited for
            return None
        data: dict[str, Any] = tomllib.loads(file.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return None
    table = data.get("store")
    path = cast("dict[str, Any]", table).get("path") if isinstance(table, dict) else None
    return relative(file.parent, path) if isinstance(path, str) and path else None
