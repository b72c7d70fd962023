"""The wall: numbers across the room, honest when nobody watches, harmless at every size."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.pty import Terminal
from tests.tui import stores
from tests.tui.stores import MINUTE, NOW, SIZES, painted
from tui.screens.wall import WallView, digits

ROOT = Path(__file__).resolve().parents[2]


def big(lines: list[str], top: int, left: int, text: str, pixel: int) -> bool:
    """Whether these large digits stand there."""
    wanted = ["".join(part for part, _ in line) for line in digits(text, pixel, 1, "text")]
    return all(lines[top + y][left : left + len(line)] == line for y, line in enumerate(wanted))


@pytest.fixture
def house(tmp_path: Path):
    house = stores.story(tmp_path)
    yield house
    house.close()


def view_of(house: stores.House, **more: object) -> WallView:
    view = WallView(house.context(**more))
    view.load()
    return view


@pytest.mark.parametrize("size", SIZES)
def test_it_says_what_is_broken_late_and_blind_and_that_it_lives(house: stores.House, size: tuple[int, int]) -> None:
    lines = painted(view_of(house), *size)
    text = "\n".join(lines)
    for word in ("BROKEN", "WILL BE LATE", "BLIND", "since 03:12", "dataiku 21m", "truth ≤", "prod + local"):
        assert word in text
    for row in ("✗  FAILED", "∅  MISSED", "►  LONG", "▲  WARNING", "?  NO VIEW"):
        assert row in text
    assert "ORA-00001 duplicate key" in text
    assert "ana" not in text.replace("2 pipelines", ""), "no names of people"
    assert "data-eng" not in text


def test_the_digits_are_the_numbers(house: stores.House) -> None:
    lines = painted(view_of(house), 120, 40)
    assert big(lines, 2, 3, "3", 3)
    assert big(lines, 2, 26, "0", 3)
    assert big(lines, 2, 49, "1", 3)
    assert any(big(lines, 2, left, "05:52", 3) for left in range(60, 80)), "the clock is the proof of life"


def test_all_well_is_one_large_green_number(tmp_path: Path) -> None:
    house = stores.calm(tmp_path)
    view = view_of(house)
    assert big(painted(view, 120, 40), 2, 3, "5", 3)
    styles = {style for text, style in view.paint(120, 40)[2] if "█" in text}
    assert "run-ok" in styles
    assert "run-failed" not in styles
    assert "FINE" in "\n".join(painted(view, 120, 40))
    house.close()


def test_what_never_ran_is_not_counted_as_well(tmp_path: Path) -> None:
    house = stores.calm(tmp_path)
    for name in ("new", "newer"):
        house.pipeline("local", name)
    view = view_of(house)
    lines = painted(view, 120, 40)
    assert big(lines, 2, 3, "5", 3), "seven are known, five ran"
    assert "2 never ran" in "\n".join(lines)
    house.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_silent_engine_is_a_red_block_with_its_age_and_grey_below(house: stores.House, size: tuple[int, int]) -> None:
    view = view_of(house, engine_alive=False, engine_silent_since=NOW - 21 * MINUTE)
    text = "\n".join(painted(view, *size))
    assert "NOBODY IS WATCHING" in text
    assert "engine silent since 05:31" in text
    assert "all below is what was true then" in text
    pixel = 2 if size[0] < 100 else 4 if size[0] >= 180 else 3
    assert big(painted(view, *size), 3, 3, "21m", pixel)
    lines = view.paint(*size)
    assert all("on:banner-bg" in style for line in lines[2:9] for _, style in line)
    for line in lines[10:]:
        assert {word for text, style in line if text.strip() for word in style.split()} <= {"run-stale", "b"}
    assert "■" not in text, "nothing is green when nobody watches"


def test_a_short_silence_is_not_an_alarm(house: stores.House) -> None:
    text = "\n".join(painted(view_of(house, engine_alive=False, engine_silent_since=NOW - 20_000), 120, 40))
    assert "NOBODY IS WATCHING" not in text


def test_an_empty_store_never_reads_as_well(tmp_path: Path) -> None:
    house = stores.House(tmp_path)
    house.engine()
    text = "\n".join(painted(view_of(house), 120, 40))
    assert "FINE" not in text
    assert "NOTHING SEEN YET" in text
    house.close()


@pytest.mark.parametrize(
    "size", [(60, 16), (59, 15), (20, 5), (19, 4), (3, 2), (1, 1), (40, 100), (300, 90), (120, 16)]
)
def test_every_size_is_painted(house: stores.House, size: tuple[int, int]) -> None:
    painted(view_of(house), *size)
    painted(view_of(house, engine_alive=False, engine_silent_since=NOW - 21 * MINUTE), *size)
    painted(view_of(house, ascii=True), *size)


def test_keys_do_nothing_and_data_is_the_models(house: stores.House) -> None:
    view = view_of(house)
    assert view.act("run.stop") == ()
    assert view.type("x") is None
    data = view.data()
    assert (data["broken"], data["late"], data["blind"]) == (3, 0, ["dataiku"])
    assert all(row["problem"] for row in data["problems"])


WALL = """
import sys, time
from engine.store.reader import Reader
from tui import registry, terminal, themes
from tui.wall import WallApp
from tui.view import Context
from pathlib import Path
import tests.tui.test_wall as t
reader = Reader(Path(sys.argv[1]))
context = Context(reader=reader, now=lambda: int(sys.argv[2]), timezone="Europe/Paris", read_only=True)
app = WallApp(context, registry.make, "wall", theme=themes.load("dark"), place=t.place(Path(sys.argv[1])))
sys.exit(terminal.run(app))
"""


def place(store: Path) -> object:
    from engine.config.paths import places

    return places(store.parent / "watchfloor.toml").with_store(store)


def test_on_a_terminal_it_shows_reads_on_and_ends_with_q_only(house: stores.House, tmp_path: Path) -> None:
    import fcntl
    import os

    lock = os.open(tmp_path / "engine.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        argv = [sys.executable, "-c", WALL, str(house.path), str(NOW)]
        with Terminal(argv, 120, 40, cwd=str(ROOT)) as terminal:
            terminal.wait_for("BROKEN")
            terminal.settle()
            assert b"\x1b[?25h" not in terminal.raw(), "no cursor"
            terminal.mark()
            terminal.press("j", "1", "x", "enter")
            terminal.settle(0.2, 1.0)
            assert terminal.bytes_since_mark == 0
            began = time.perf_counter()
            house.run("local", "fx_rates_probe", "r10", stores.State.RUNNING, started_ago=1000)
            terminal.wait_until_gone("exit 7: no connection", 3.0)
            assert time.perf_counter() - began < 2.0
            assert not [
                fd for fd in Path(f"/proc/{terminal.pid}/fd").iterdir() if os.readlink(fd).startswith("socket:")
            ][2:], "no socket but the event loop's own pair"
            terminal.press("q")
            assert terminal.wait() == 0
    finally:
        os.close(lock)
