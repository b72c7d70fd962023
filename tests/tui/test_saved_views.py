"""Saved views: the team's and one's own, under one key; the person's file is never lost and never half written."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.model import Config, SavedView
from engine.store.configured import put_configured
from tests.tui import stores
from tests.tui.stores import SIZES, House, painted
from tui import views_file
from tui.present.cut import clean
from tui.screens.deadlines import DeadlinesView
from tui.screens.floor import FloorView
from tui.screens.layers import LayersView
from tui.screens.runs import RunsView
from tui.screens.timeline import TimelineView
from tui.view import Say
from tui.views_check import wrong_view
from tui.views_file import OwnView, Views, ViewsError

TEAM = (
    SavedView(name="night", screen="floor", filter="state:failed,missed"),
    SavedView(name="broken", screen="floor", filter="ownr:x"),
    SavedView(name="slow", screen="runs", filter="dur>1h"),
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = stores.story(tmp_path)
    with h.tx() as tx:
        put_configured(tx, Config(path=tmp_path / "w.toml", hash="h", folder=Path("/"), timezone="UTC", views=TEAM))
    yield h
    h.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "watchfloor" / "views.toml"


def opened(h: House, file: Path | None, cls: Any = FloorView, arg: str | None = None) -> Any:
    context = h.context()
    if file is not None:
        context.extra["views_file"] = file
    view = cls(context, arg)
    view.load()
    view.begin()
    painted(view, 120, 40)
    return view


def keys(view: Any, text: str) -> list[Any]:
    """As the app gives them: to the open field or menu first."""
    out: list[Any] = []
    for c in text:
        out += view.type(c) or ()
    return out


def said(effects: Any) -> str:
    return " ".join(e.text for e in effects if isinstance(e, Say))


def save(view: Any, text: str, name: str) -> str:
    view.set_filter(text)
    view.act("list.views")
    keys(view, "S")
    view.type("edit.ctrl+u")
    keys(view, name)
    return said(view.type("edit.enter"))


# --- the menu ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_menu_has_the_teams_views_and_says_what_is_wrong_with_one(
    house: House, file: Path, size: tuple[int, int]
) -> None:
    view = opened(house, file)
    view.act("list.views")
    text = "\n".join(painted(view, *size))
    assert "1  night" in text
    assert "state:failed,missed · the team's" in text
    assert "there is no field ownr: here, did you mean owner:" in text
    assert "slow" not in text, "that one is of another screen"
    assert "there is no field ownr:" in said(keys(view, "2"))
    assert not view.filter
    keys(view, "1")
    assert view.menu is None
    assert {view.items[k].name for k in view.keys} == {"ldz_to_rdv_contracts", "fx_rates_probe", "tmc_cards_to_ldz"}
    assert "view night · filter state:failed,missed · Esc clears" in "\n".join(painted(view, 120, 40))
    view.act("list.filter")
    keys(view, " fx")
    view.act("edit.enter")
    assert "view night" not in "\n".join(painted(view, 120, 40)), "it is another filter now"


def test_save_use_rename_delete_and_bring_back(house: House, file: Path) -> None:
    view = opened(house, file)
    assert "saved as the view mine · v opens it" in save(view, "src:local", "mine")
    assert "view mine" in "\n".join(painted(view, 120, 40))
    assert "saved as the view other" in save(view, "is:paused", "other")
    view.act("nav.back")
    view.act("list.views")
    assert "src:local · yours" in "\n".join(painted(view, 120, 40))
    keys(view, "3")
    assert view.filter.text == "src:local"

    view.act("list.views")
    keys(view, "R1")
    assert "rename mine to: mine" in painted(view, 120, 40)[-1]
    view.type("edit.ctrl+u")
    keys(view, "other")
    assert view.type("edit.enter") == ()
    assert "a view other exists already" in painted(view, 120, 40)[-1]
    view.type("edit.ctrl+u")
    keys(view, "laptop")
    assert "mine is called laptop now" in said(view.type("edit.enter"))
    assert "view laptop" in "\n".join(painted(view, 120, 40))

    view.act("list.views")
    assert "v U brings it back" in said(keys(view, "D1"))
    assert [v.name for v in views_file.read(file).views] == ["other"]
    view.act("list.views")
    assert "the view laptop is back" in said(keys(view, "U"))
    assert [v.name for v in views_file.read(file).views] == ["laptop", "other"], "at its place"


def test_a_name_that_exists_is_replaced_only_when_it_is_said_twice(house: House, file: Path) -> None:
    view = opened(house, file)
    save(view, "src:local", "mine")
    assert save(view, "is:paused", "mine") == ""
    assert "mine exists: Enter again replaces it" in painted(view, 120, 40)[-1]
    assert views_file.read(file).get("floor", "mine") == OwnView("mine", "floor", "src:local")
    assert "saved" in said(view.type("edit.enter"))
    assert views_file.read(file).get("floor", "mine") == OwnView("mine", "floor", "is:paused")


def test_a_screen_starts_with_the_view_that_was_chosen(house: House, file: Path) -> None:
    view = opened(house, file)
    save(view, "src:local", "mine")
    view.act("list.views")
    assert "Floor opens with the view mine from now on" in said(keys(view, "A3"))
    again = opened(house, file)
    assert again.filter.text == "src:local"
    assert "view mine" in "\n".join(painted(again, 120, 40))
    assert not opened(house, file, RunsView).filter, "one screen's is not another's"
    assert not opened(house, file, arg="!").filter, "who asks for the first problem gets it"
    again.act("list.views")
    assert "opens with all rows" in said(keys(again, "A0"))
    assert not opened(house, file).filter


@pytest.mark.parametrize("cls", [RunsView, DeadlinesView, TimelineView, LayersView])
def test_every_list_saves_and_starts_with_views_of_its_own(house: House, file: Path, cls: Any) -> None:
    view = opened(house, file, cls)
    assert "saved" in save(view, "src:local", "mine")
    view.act("list.views")
    at = 2 if cls is RunsView else 1
    keys(view, f"A{at}")
    again = opened(house, file, cls)
    assert again.filter.text == "src:local"
    if cls is not DeadlinesView:  # nothing is promised on this floor, which is said instead of a list
        assert "view mine · filter" in "\n".join(painted(again, 120, 40))


def test_without_a_filter_there_is_nothing_to_save_and_esc_leaves_a_name(house: House, file: Path) -> None:
    view = opened(house, file)
    view.act("list.views")
    assert "type a filter first: /" in said(keys(view, "S"))
    view.act("nav.back")
    view.set_filter("src:local")
    view.act("list.views")
    keys(view, "S")
    keys(view, "half a na")
    assert view.typing
    view.type("edit.escape")
    assert not view.typing
    assert view.filter.text == "src:local", "leaving the name leaves the filter"
    assert not file.exists()
    view.act("list.views")
    keys(view, "S")
    assert view.type("edit.enter") == ()
    assert "a name has 1 to 40 letters" in painted(view, 120, 40)[-1]


def test_hostile_names_steer_nothing(house: House, file: Path) -> None:
    with house.tx() as tx:
        bad = SavedView(name="\x1b[31m[b]\u202e" + "x" * 200, screen="floor", filter="\x1b[2J src:" + "y" * 300)
        put_configured(tx, Config(path=file, hash="h", folder=Path("/"), timezone="UTC", views=(bad,)))
    views_file.change(file, lambda v: v.put(OwnView("\x1b]0;t\x07é\u0301" + "z" * 9, "floor", "\u202eabc")))
    view = opened(house, file)
    view.act("list.views")
    for size in SIZES:
        painted(view, *size)
    keys(view, "1")
    for size in SIZES:
        painted(view, *size)


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[view", "Expected"),
        ("name = 1", "'name' is not known here"),
        ('[[view]]\nname = "a"', "number 1 needs name, screen and filter"),
        ('[[view]]\nname = 1\nscreen = "floor"\nfilter = ""', "are texts"),
        ("view = 3", "expected [[view]] entries"),
        ("[start]\nfloor = 1", "[start] has the name of a view"),
        ("x = " + "[" * 5000, "views.toml"),
    ],
)
def test_a_broken_file_is_one_sentence_and_left_as_it_is(house: House, file: Path, text: str, words: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)
    view = opened(house, file)
    assert words in said(view.act("list.views"))
    assert "night" in "\n".join(painted(view, 120, 40)), "the team's are there all the same"
    keys(view, "1")
    view.act("list.views")
    assert "left as it is" in said(keys(view, "S"))
    with pytest.raises(ViewsError):
        views_file.change(file, lambda v: v.put(OwnView("n", "floor", "x")))
    assert file.read_text() == text


def test_bytes_that_are_no_text_and_things_that_are_no_file(tmp_path: Path) -> None:
    file = tmp_path / "views.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ViewsError, match="not UTF-8"):
        views_file.read(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(ViewsError, match="no file of saved views"):
        views_file.read(file)


NAMES = st.text(min_size=1, max_size=views_file.LONGEST).map(clean).filter(bool)
SAVED = st.builds(OwnView, NAMES, st.sampled_from(["floor", "runs"]), st.text(max_size=60).map(clean))


@settings(max_examples=150, deadline=None)
@given(st.lists(SAVED, max_size=6), st.dictionaries(st.sampled_from(["floor", "runs"]), NAMES, max_size=2))
def test_what_is_written_is_what_is_read(views: list[OwnView], start: dict[str, str]) -> None:
    import tomllib

    saved = Views(tuple(views), start)
    assert views_file._views(tomllib.loads(views_file.written(saved))) == saved


def test_two_terminals_lose_nothing_of_each_other(tmp_path: Path) -> None:
    file = tmp_path / "views.toml"

    def write(who: int) -> None:
        for i in range(10):
            views_file.change(file, lambda v, i=i: v.put(OwnView(f"{who}-{i}", "floor", "x")))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(views_file.read(file).views) == 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".views")]


def test_a_disk_that_refuses_is_said_and_the_old_file_stays(
    house: House, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = opened(house, file)
    save(view, "src:local", "mine")
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert save(view, "is:paused", "second") == ""
    assert "No space left on device; nothing was saved" in painted(view, 200, 50)[-1]
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == ["views.lock", "views.toml"]


def test_a_link_to_a_folder_of_dotfiles_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    (tmp_path / "views.toml").symlink_to(real)
    views_file.change(tmp_path / "views.toml", lambda v: v.put(OwnView("n", "floor", "x")))
    assert (tmp_path / "views.toml").is_symlink()
    assert 'name = "n"' in real.read_text()


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/watchfloor/views.toml"),
        ({"HOME": "/h"}, "/h/.local/state/watchfloor/views.toml"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/watchfloor/views.toml"),
    ],
)
def test_where_it_lies(environ: dict[str, str], want: str) -> None:
    assert str(views_file.place(environ)) == want


# --- for scripts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("screen", "text", "words"),
    [
        ("floor", "state:failed", None),
        ("runs", "dur>1h tag:x", None),
        ("flor", "", "'flor' is no screen with views, did you mean floor?"),
        ("sources", "", "expected one of floor runs"),
        ("floor", "fx ownr:x", "[[view]] 'n': column 4 of its filter: there is no field ownr: here"),
        ("deadlines", "dur>1h", "there is no number dur>"),
        ("timeline", "state:nosuch", "no state is called nosuch"),
    ],
)
def test_check_knows_what_each_screen_can_be_asked(screen: str, text: str, words: str | None) -> None:
    found = wrong_view("n", screen, text)
    assert found is None if words is None else words in (found or "")


def test_show_prints_a_view_by_its_name(house: House, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from tui.cli import parser
    from tui.show import show

    monkeypatch.setenv("XDG_STATE_HOME", str(file.parent.parent))
    views_file.change(file, lambda v: v.put(OwnView("mine", "floor", "is:paused")))

    def run(*words: str) -> tuple[int, str]:
        args = parser().parse_args(["show", *words])
        code = show(args, house.path, lambda _name, _data: None)
        out = capsys.readouterr()
        return code, out.out + out.err

    code, text = run("floor", "--view", "mine", "--format", "csv")
    assert (code, text.count("\n")) == (0, 2)
    assert "gdpr_erasure" in text
    assert "tmc_cards_to_ldz" in run("floor", "--view", "night", "--format", "csv")[1]
    assert run("floor", "--view", "nix") == (2, "--view: floor has no view 'nix'; it has night broken mine\n")
    assert "there is no field ownr:" in run("floor", "--view", "broken")[1]
    assert run("floor", "--view", "mine", "--filter", "x")[0] == 2
    assert run("sources", "--view", "mine") == (2, "the screen sources has no saved views\n")
