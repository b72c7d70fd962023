"""``v``: saved views of a screen, the team's from the configuration and one's own. Choose, save, rename, delete, start with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui import keymap
from tui.present.cut import clean
from tui.present.field import Field
from tui.present.filters import FilterError, parse
from tui.present.menu import Entry, Menu
from tui.view import Effect, Say

if TYPE_CHECKING:
    from tui.screens.lists import ListScreen
    from tui.views_file import OwnView, Views

LETTERS: Final = "123456789bcefhilmnoptuvwxyz"
"""Keys of the views; a menu moves by the letters that are left out."""
Saved = tuple[str, str, bool]
"""Name, filter, whether it is one's own."""


class ViewMenu:
    """What ``v`` opens on one list screen, and the field in which a name is typed."""

    def __init__(self, screen: ListScreen) -> None:
        self._on = screen
        self.asks = ""
        """What the open field asks for; empty: it is no field of ours."""
        self.fault = ""
        self.note = ""
        self._used: Saved | None = None
        self._old = ""
        self._sure = ""
        self._gone: tuple[int, OwnView] | None = None

    # --- what there is ----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The person's own file; None where nobody sits (tests, a wall)."""
        found = self._on.context.extra.get("views_file")
        return found if isinstance(found, Path) else None

    def _own(self) -> Views:
        from tui import views_file

        return views_file.read(self.path) if self.path is not None else views_file.Views()

    def saved(self) -> tuple[list[Saved], str]:
        """The team's views and one's own for this screen; and what is wrong with the file of one's own."""
        from tui.views_file import ViewsError

        found: list[Saved] = [
            (clean(name), clean(str(body.get("filter", ""))), False)
            for name, body in self._on.context.reader.configured("view")
            if body.get("screen") == self._on.name
        ]
        try:
            return [*found, *((clean(v.name), clean(v.filter), True) for v in self._own().of(self._on.name))], ""
        except ViewsError as error:
            return found, clean(str(error))

    def find(self, name: str) -> Saved | None:
        """A view by its name; one's own comes before the team's."""
        return next((s for s in reversed(self.saved()[0]) if s[0] == name), None)

    def wrong(self, text: str) -> str | None:
        """Why a saved filter cannot be used on this screen; None: it can."""
        try:
            parse(text, self._on.filter_states, self._on.fields, self._on.numbers)
        except FilterError as error:
            return str(error)
        return None

    def said(self) -> str:
        """For the title: ``view nights · `` while its filter stands as it was saved."""
        used = self._used
        return f"view {used[0]} · " if used is not None and used[1] == self._on.filter.text else ""

    def begin(self) -> None:
        """The view with which this screen starts, where the person chose one; what cannot be read starts with none."""
        path = self.path
        if path is None or not path.exists():
            return
        from tui.views_file import ViewsError

        try:
            name = self._own().start.get(self._on.name)
        except ViewsError:
            return  # the menu says it; a screen opens all the same
        found = self.find(name) if name else None
        if found is not None and self.wrong(found[1]) is None:
            self._use(found)

    # --- the menu ---------------------------------------------------------------------------------------------------

    def open(self) -> Sequence[Effect]:
        saved, fault = self.saved()
        entries: list[Entry] = []
        for key, (name, text, own) in zip(LETTERS, saved, strict=False):
            whose = "yours" if own else "the team's"
            note = f"{text or 'all rows'} · {whose}"
            entries.append(Entry(key, name, f"view.use:{name}" if own else f"view.team:{name}", note, self.wrong(text)))
        cannot = "this screen keeps no views of yours" if self.path is None else fault or None
        mine = [s for s in saved if s[2]]
        none = cannot or (None if mine else "you have saved none for this screen")
        save = cannot or (None if self._on.filter else f"type a filter first: {keymap.key_of('list.filter')}")
        entries += [
            Entry("S", "save", "view.save", "the filter of now under a name", save),
            Entry("R", "rename", "view.rename", "one of yours", none),
            Entry("D", "delete", "view.delete", "one of yours; it can be brought back", none),
            Entry("A", "start with", "view.start", f"the view with which {self._on.title} opens", cannot),
        ]
        if self._gone is not None:
            entries.append(
                Entry("U", "bring back", "view.undo", f"{clean(self._gone[1].name)}, deleted just now", cannot)
            )
        note = f"of {self._on.title}" + (
            f" · {len(saved) - len(LETTERS)} more in the file" if len(saved) > len(LETTERS) else ""
        )
        self._on.menu = Menu("Views", note, entries)
        return (Say(fault, "warn"),) if fault else ()

    def act(self, action: str) -> Sequence[Effect] | None:
        """An entry's action; None: it is none of ours."""
        from tui.views_file import ViewsError

        word, _, name = action.partition(":")
        try:
            match word:
                case "view.use" | "view.team":
                    found = [s for s in self.saved()[0] if s[0] == name and s[2] == (word == "view.use")]
                    return self._use(found[0]) if found else (Say(f"there is no view {name} any more", "warn"),)
                case "view.save":
                    return self._ask("save as", self._used[0] if self._used is not None and self._used[2] else "")
                case "view.rename" | "view.delete" | "view.start" if not name:
                    return self._choose(word)
                case "view.rename":
                    self._old = name
                    return self._ask(f"rename {name} to", name)
                case "view.delete":
                    return self._delete(name)
                case "view.start":
                    return self._start(name.removeprefix("="))
                case "view.undo":
                    return self._undo()
                case _:
                    return None
        except ViewsError as error:
            return (Say(clean(str(error)), "bad"),)

    def _choose(self, word: str) -> Sequence[Effect]:
        """Which view is to be renamed, deleted, started with."""
        saved = [s for s in self.saved()[0] if s[2] or word == "view.start"]
        prefix = f"{word}:=" if word == "view.start" else f"{word}:"
        entries = [
            Entry(key, name, prefix + name, text or "all rows")
            for key, (name, text, _) in zip(LETTERS, saved, strict=False)
        ]
        if word == "view.start":
            entries.append(Entry("0", "all rows", prefix, f"{self._on.title} opens without a filter"))
        title = {"view.rename": "Rename", "view.delete": "Delete", "view.start": "Start with"}[word]
        self._on.menu = Menu(title, f"of {self._on.title}", entries)
        return ()

    # --- what they do -----------------------------------------------------------------------------------------------

    def _use(self, saved: Saved) -> Sequence[Effect]:
        wrong = self.wrong(saved[1])
        if wrong is not None:
            return (Say(f"the view {saved[0]}: {wrong}", "warn"),)
        self._used = saved
        self._on.set_filter(saved[1])
        return ()

    def use(self, name: str) -> str | None:
        """Use a view by its name; else why it cannot be."""
        found = self.find(name)
        if found is None:
            known = " ".join(s[0] for s in self.saved()[0])
            return f"{self._on.name} has no view {name!r}" + (
                f"; it has {known}" if known else "; none is saved for it"
            )
        wrong = self.wrong(found[1])
        if wrong is None:
            self._use(found)
        return None if wrong is None else f"the view {name}: {wrong}"

    def _change(self, edit: Callable[[Views], Views]) -> None:
        from tui import views_file

        assert self.path is not None
        views_file.change(self.path, edit)

    def _delete(self, name: str) -> Sequence[Effect]:
        from tui import views_file

        own = self._own()
        found = own.get(self._on.name, name)
        if found is None:
            raise views_file.ViewsError(f"there is no view {name} any more")
        at = own.views.index(found)
        self._change(lambda v: v.drop(self._on.name, name))
        self._gone = (at, found)
        return (Say(f"deleted the view {name} · {keymap.key_of('list.views')} U brings it back"),)

    def _undo(self) -> Sequence[Effect]:
        if self._gone is None:
            return ()
        at, view = self._gone
        self._change(lambda v: v if v.get(view.screen, view.name) else v.put(view, min(at, len(v.views))))
        self._gone = None
        return (Say(f"the view {clean(view.name)} is back"),)

    def _start(self, name: str) -> Sequence[Effect]:
        self._change(lambda v: v.starts(self._on.name, name or None))
        return (Say(f"{self._on.title} opens with {'the view ' + name if name else 'all rows'} from now on"),)

    # --- a name being typed -----------------------------------------------------------------------------------------

    def _ask(self, what: str, text: str) -> Sequence[Effect]:
        self.asks, self.fault, self._sure = what, "", ""
        self.note = "Enter saves · Esc leaves it"
        self._on.field = Field(text)
        return ()

    def _close(self) -> None:
        self.asks, self._on.field = "", None

    def type(self, text: str, field: Field) -> Sequence[Effect] | None:
        """A key for the open field."""
        if text == "edit.escape":
            self._close()
        elif text == "edit.enter":
            return self._named(clean(field.text).strip())
        elif not field.takes(text):
            return None
        else:
            field.type(text)
            self.fault, self._sure = "", ""
        return ()

    def _named(self, name: str) -> Sequence[Effect]:
        from tui.views_file import OwnView, ViewsError

        screen, text = self._on.name, self._on.filter.text
        try:
            if self.asks == "save as":
                there = self._own().get(screen, name)
                if there is not None and there.filter != text and self._sure != name:
                    self._sure, self.fault = name, f"{name} exists: Enter again replaces it"
                    return ()
                self._change(lambda v: v.put(OwnView(name, screen, text)))
            else:
                self._change(lambda v: v.rename(screen, self._old, name))
        except ViewsError as error:
            self.fault = clean(str(error))
            return ()
        renamed, self._used = self.asks != "save as", self._used
        if not renamed:
            self._used = (name, text, True)
        elif self._used is not None and self._used[0] == self._old and self._used[2]:
            self._used = (name, self._used[1], True)
        self._close()
        return (
            Say(
                f"saved as the view {name} · {keymap.key_of('list.views')} opens it"
                if not renamed
                else f"{self._old} is called {name} now"
            ),
        )
