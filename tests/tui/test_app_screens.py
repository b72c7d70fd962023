"""The real screens in the app: every key that ``?`` lists does something, fields and sentences do not get into each other's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.model import State, StepRun
from tests.tui import stores
from tests.tui.stores import MINUTE, House
from tui import keymap, registry, themes
from tui.app import WatchfloorApp

RUN = "local:fx_rates_probe/r9"
OPEN = {
    "floor": None,
    "runs": None,
    "run": RUN,
    "log": f"{RUN}#load",
    "sources": None,
    "help": "floor",
    "timeline": None,
    "layers": None,
}
"""Screen → what it is opened on."""


class Asked:
    """In place of the engine: what was asked stands in ``seen``."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def request(self, do: str, body: dict[str, Any], answer: Callable[..., None]) -> None:
        self.seen.append((do, body))
        self.answer = answer

    def refresh(self) -> None:
        self.seen.append("refresh")

    def watch(self, body: dict[str, Any]) -> None: ...

    def meet(self) -> None: ...

    def held(self) -> bool:
        return True

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The story, and a run with two steps and a log with two errors."""
    folder = tmp_path_factory.mktemp("story")
    h = stores.story(folder)
    log = folder / "load.log"
    filler = "".join(f"2026-11-20 05:39:{i % 60:02d} INFO line {i} {'x' * 300}\n" for i in range(80))
    log.write_text(f"{filler}2026-11-20 05:40:01 ERROR first\n{filler}2026-11-20 05:41:01 ERROR second\n{filler}")
    for i, (name, state) in enumerate((("fetch", State.SUCCESS), ("load", State.FAILED), ("publish", State.SKIPPED))):
        started = h.now - (12 - i) * MINUTE
        h.steps(
            RUN,
            [
                StepRun(
                    run=RUN, step=name, state=state, native=state.name, started=started, ended=started + 1000, order=i
                )
            ],
        )
    h.log(RUN, "load", log)
    h.log(RUN, "fetch", log)
    return h


@asynccontextmanager
async def opened(house: House, screen: str, arg: str | None = None, **more: Any) -> AsyncIterator[Any]:
    context = house.context(**more)
    app = WatchfloorApp(context, registry.make, "floor", None, theme=themes.choose("dark", {}))
    app.link = Asked()  # type: ignore[assignment]
    app._pulse = lambda: None  # type: ignore[method-assign]  # the store of a test has no living engine
    async with app.run_test(size=(120, 40)) as pilot:
        app.pilot = pilot  # type: ignore[attr-defined]
        await pilot.pause()
        if screen != "floor":
            app._open(screen, arg)
        yield app


def text(app: Any) -> str:
    return app.canvas.text()


def state(app: Any) -> tuple[Any, ...]:
    """All that a key can change."""
    return (
        text(app), app.said and app.said[0], [(s.screen, s.arg) for s in app.stack], list(app.link.seen), app.palette.theme.name,
        app._plain,
    )  # fmt: skip


def listed(screen: str, context: Any) -> list[tuple[str, str]]:
    """(action, key) for every key that ``?`` lists on a screen."""
    view = registry.make(screen, context, OPEN[screen])
    out: list[tuple[str, str]] = []
    for action in keymap.ACTIONS:
        if set(action.contexts) & set(view.contexts):
            out += [(action.id, k) for k in action.keys if keymap.resolve(view.contexts, k) == action.id]
    return out


@pytest.mark.parametrize("screen", list(OPEN))
async def test_every_key_of_the_help_does_something_or_says_why_not(
    tale: House, screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tale, screen, OPEN[screen]) as app:
        left: list[int] = []
        monkeypatch.setattr(app, "leave", left.append)
        monkeypatch.setattr(app, "enter_plain", lambda lines: True)
        monkeypatch.setattr(app, "leave_plain", lambda: None)
        dead: list[str] = []
        for action, key in listed(screen, app.context):
            app.stack.clear()
            app.last_run = app.said = None
            app._open("floor", None)
            if screen != "floor":
                app._open(screen, OPEN[screen])
            if screen == "help":
                await app.pilot.resize_terminal(120, 12)
            if action == "log.left":
                app.key("right", None)
            if action.startswith("move."):  # from the middle, all of them move
                if screen in ("log", "run"):
                    app.key("g", "g")
                for _ in range(1 if screen == "run" else 25):
                    if "down" not in action and "bottom" not in action:
                        app.key("j", "j")
            before, left[:] = state(app), []
            await app.pilot.press(key)
            if state(app) == before and not left:
                dead.append(f"{key} ({action})")
        assert not dead, f"on {screen} nothing comes of {', '.join(dead)}"


# --- sentences and fields ---------------------------------------------------------------------------------------------


async def test_a_sentence_ends_with_the_next_key_and_never_hides_a_field(tale: House) -> None:
    async with opened(tale, "floor") as app:
        app.key("s", "s")
        assert "in order already" in text(app).splitlines()[-1]
        app.key("j", "j")
        assert "Enter story" in text(app).splitlines()[-1]
        app.key("slash", "/")
        app.key("f", "f")
        app.say("an answer came late")
        assert "an answer came late" in text(app).splitlines()[-2]
        assert text(app).splitlines()[-1].startswith(" /f")
        app.key("x", "x")
        assert "an answer" not in text(app)
        app.key("escape", None)
        app.say("said on the floor")
        app.key("0", "0")
        assert "said on the floor" not in text(app)


@pytest.mark.parametrize(
    ("screen", "key"), [("floor", "slash"), ("runs", "slash"), ("log", "slash"), ("log", "ampersand")]
)
async def test_fields_are_typed_edited_accepted_and_left_alike(tale: House, screen: str, key: str) -> None:
    """Letters are text, Enter accepts, Esc leaves without it, F1 is still help: the same in every field."""
    async with opened(tale, screen, OPEN[screen]) as app:
        view = app.stack[-1].view
        char = {"slash": "/", "ampersand": "&"}[key]

        def footer() -> str:
            return text(app).splitlines()[-1]

        await app.pilot.press(key, *"firq", "left", "backspace", "s", "t", "end", "backspace")
        assert footer().startswith(f" {char}")
        assert "fist" in footer()
        assert app.stack[-1].view is view, "q and digits are text here"
        await app.pilot.press("escape")
        assert not view.typing
        assert "fist" not in text(app)
        await app.pilot.press(key, *"fir", "f1")
        assert app.stack[-1].screen == "help", "a key that no field knows does what it does everywhere"
        await app.pilot.press("escape")
        await app.pilot.press("enter")
        assert not view.typing
        assert "fir" in text(app)
        assert "Enter, Esc" not in text(app)
        assert app.stack[-1].view is view, "Enter accepted the text and opened nothing"
        await app.pilot.press("escape")
        assert app.stack[-1].view is view, "the first Esc takes the filter or the search away"
        await app.pilot.press(key)
        app.pasted("one\ntwo")
        assert "one" in footer()
        assert "two" not in footer()


async def test_ctrl_r_asks_the_source_under_the_cursor_and_elsewhere_all(tale: House) -> None:
    async with opened(tale, "sources") as app:
        name = app.stack[-1].view.cursor
        await app.pilot.press("ctrl+r")
        assert app.link.seen == [("poll", {"source": name})]
        app.link.answer({}, None)
        assert f"{name} is being asked now" in text(app)
        for screen in ("floor", "run", "log", "help"):
            app.link.seen.clear()
            app._open(screen, OPEN[screen])
            await app.pilot.press("ctrl+r")
            assert app.link.seen == ["refresh"], screen


async def test_without_an_engine_ctrl_r_starts_one_from_every_screen(tale: House) -> None:
    async with opened(tale, "sources", engine_alive=False) as app:
        await app.pilot.press("ctrl+r")
        assert app.link.seen == ["refresh"]


async def test_question_mark_is_help_until_something_is_typed(tale: House) -> None:
    async with opened(tale, "floor") as app:
        await app.pilot.press("slash")
        assert text(app).rstrip().endswith("? help")
        await app.pilot.press("question_mark")
        assert app.stack[-1].screen == "help"
        await app.pilot.press("escape", "f", "question_mark")
        assert app.stack[-1].screen == "floor"
        assert "/f?" in text(app)
        assert text(app).rstrip().endswith("F1 help")


@pytest.mark.parametrize("more", [{"engine_alive": False}, {"read_only": True}])
async def test_nothing_opens_a_plan_where_nothing_can_act(tale: House, more: dict[str, Any]) -> None:
    """On every screen each acting key says why, and sends nothing."""
    for screen in ("floor", "runs", "run"):
        async with opened(tale, screen, OPEN[screen], **more) as app:
            app.key("exclamation_mark", "!") if screen == "floor" else None
            for key in "xrRpHTFmA":
                if keymap.resolve(app.stack[-1].view.contexts, key) is None:
                    continue
                app.key(key, key)
                assert app.stack[-1].screen == screen, key
                assert app.said, f"{key} on {screen} says nothing"
                assert not app.link.seen, key


def footer_of(house: House, key: str, width: int = 200, **more: Any) -> str:
    view = registry.make("run", house.context(**more), key)
    view.load()
    return stores.text_of(view.paint(width, 40))[-1]


def test_the_run_offers_what_this_run_can_have(tale: House) -> None:
    failed, held, running = (
        footer_of(tale, k) for k in (RUN, "local:held_load/r8", "prod-airflow:ldz_to_rdv_transactions/r6")
    )
    assert "R rerun failed" in failed
    assert "x stop" not in failed
    assert "H hold" not in failed
    assert "H release" in held
    assert "x stop" in running
    assert "rerun" not in running
    assert "H hold" not in running, "this system cannot hold"
    silent = footer_of(tale, RUN, engine_alive=False)
    assert "start engine" in silent
    assert "rerun" not in silent


@pytest.mark.parametrize("size", [(59, 15), (40, 10), (20, 5)])
def test_small_terminals_show_where_the_cursor_is_and_what_the_log_says(tale: House, size: tuple[int, int]) -> None:
    for screen in ("floor", "runs"):
        view = registry.make(screen, tale.context())
        view.load()
        for _ in range(9):
            view.act("move.down")
            rows = [r for r in stores.painted(view, *size) if r.startswith("▌")]
            assert len(rows) == 1
    log = registry.make("log", tale.context(), OPEN["log"])
    log.load()
    assert "first" in "\n".join(stores.painted(log, *size))


def test_when_nobody_watches_nothing_is_offered_that_cannot_be(tale: House) -> None:
    view = registry.make("run", tale.context(engine_alive=False), RUN)
    view.load()
    text = "\n".join(stores.painted(view, 120, 40))
    assert "rerun the whole run            cannot: nobody is watching" in text
    floor = registry.make("floor", tale.context(engine_alive=False))
    floor.load()
    floor.act("action.menu")
    shown = stores.painted(floor, 120, 40)
    entries = shown[next(i for i, r in enumerate(shown) if "Actions" in r) + 1 : -1]
    assert entries
    assert all("not now: " in row for row in entries)
    floor.act("nav.back")
    said = floor.act("run.stop")
    assert "nobody is watching" in str(said)


async def test_on_an_empty_floor_each_key_says_that_there_is_no_row(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.engine()
    async with opened(house, "floor") as app:
        assert "Nothing to watch yet" in text(app)
        for key in "jGxrRpHTlhamy":
            app.key(key, key)
            assert app.said == ("there is no row here", "info", app.said[2]), key
    house.close()
