"""From the command line to a screen: what a user sees before Textual is there, and what is left when it ends."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.rig import until
from tests.pty import Terminal
from tests.tui import stores

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import sys
from argparse import Namespace
from pathlib import Path
from engine.config.paths import places
from tui import launch
place = places(Path(sys.argv[1]) / "watchfloor.toml").with_store(Path(sys.argv[1]) / "floor.db")
object.__setattr__(place, "state", Path(sys.argv[1]))
object.__setattr__(place, "engine_log", Path(sys.argv[1]) / "engine.log")
{before}
args = Namespace(theme=None, ascii=False, read_only=True, slow_link=False)
sys.exit(launch.run(args, place, sys.argv[2] if len(sys.argv) > 2 else "floor"))
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    house = stores.story(tmp_path)
    house.close()
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    terminals: list[Terminal] = []

    def start(*args: str, before: str = "", **more: object) -> Terminal:
        terminal = Terminal(
            [sys.executable, "-c", LAUNCH.format(before=before), str(tmp_path), *args],
            120,
            40,
            cwd=str(ROOT),
            **more,  # type: ignore[arg-type]
        )
        terminals.append(terminal)
        return terminal

    yield start
    os.close(lock)
    for terminal in terminals:
        terminal.close()


HOLD = (
    "import tui.terminal as _t; import time; _run = _t.run; _t.run = lambda app: (time.sleep({seconds}), _run(app))[1]"
)
BLOCK = """
import builtins
_import = builtins.__import__
def guarded(name, *args, **kwargs):
    if name.split(".")[0] == "textual":
        import time
        time.sleep(30)
    return _import(name, *args, **kwargs)
builtins.__import__ = guarded
"""


def test_the_rows_stand_before_textual_is_imported_and_ctrl_c_gives_the_terminal_back(
    launch: Callable[..., Terminal],
) -> None:
    terminal = launch(before=BLOCK)
    terminal.wait_for("ldz_to_rdv_contracts")
    terminal.settle()
    assert "? help" in terminal.text()
    terminal.press("j")
    terminal.settle(0.1)
    assert terminal.lines()[-1].rstrip().endswith("help"), "what is typed is not echoed"
    terminal.press("ctrl+c")
    assert terminal.wait() != 0
    assert terminal.raw().rfind(b"\x1b[?1049l") > terminal.raw().rfind(b"\x1b[?1049h")
    assert b"\x1b[?25h" in terminal.raw()


def test_the_app_takes_over_what_stands_and_sends_nothing_twice(launch: Callable[..., Terminal]) -> None:
    terminal = launch()
    terminal.wait_for("ldz_to_rdv_contracts")
    terminal.wait_for("NOBODY IS WATCHING")
    terminal.settle(0.4)
    raw = terminal.raw()
    assert raw.count(b"\x1b[?1049h") == 1, "a second entering would clear the screen"
    assert raw.count(b"ldz_to_rdv_contracts") == 1
    assert terminal.total < 20_000
    terminal.press("q")
    assert terminal.wait() == 0
    assert "keeps watching" in terminal.text()


def test_keys_typed_before_the_app_is_there_are_not_lost(launch: Callable[..., Terminal]) -> None:
    terminal = launch(before=HOLD.format(seconds=0.5))
    terminal.wait_for("ldz_to_rdv_contracts")
    terminal.press("3")
    terminal.wait_for("RUN", 5.0)
    terminal.wait_for(" Runs ")
    terminal.press("q")
    assert terminal.wait() == 0


def test_a_store_of_another_schema_is_a_sentence(launch: Callable[..., Terminal], tmp_path: Path) -> None:
    import sqlite3

    db = sqlite3.connect(tmp_path / "floor.db")
    db.execute("PRAGMA user_version = 9999")
    db.commit()
    db.close()
    with pytest.MonkeyPatch.context():
        terminal = launch(
            before="import sys; sys.excepthook = lambda kind, error, trace: print(f'{kind.__name__}: {error}')"
        )
        terminal.wait()
        assert "restart me" in " ".join(terminal.text().split())
        assert b"\x1b[?1049h" not in terminal.raw()


def test_bad_keys_in_the_configuration_are_said_and_nothing_else_is_lost(
    launch: Callable[..., Terminal], tmp_path: Path
) -> None:
    (tmp_path / "watchfloor.toml").write_text('[keys]\n"run.stopp" = "x"\n')
    terminal = launch()
    terminal.wait_for("run.stop?")
    assert "ldz_to_rdv_contracts" in terminal.text()


def test_the_users_theme_and_title_are_taken(launch: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "watchfloor.toml").write_text('[ui]\ntheme = "light"\ntitle = true\n')
    terminal = launch()
    terminal.wait_for("ldz_to_rdv_contracts")
    until(lambda: (terminal.read(0.1), terminal.title)[1] == "watchfloor")  # the app says it, some time after the rows
    assert b"48;2;251;250;247" in terminal.raw()


def test_the_wall_is_launched_too(launch: Callable[..., Terminal]) -> None:
    terminal = launch("wall")
    terminal.wait_for("NOBODY IS WATCHING")
    terminal.press("q")
    assert terminal.wait() == 0
