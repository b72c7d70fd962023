"""What the keys of the Floor do to the row under the cursor: menus, verbs, alerts, promises. The screen itself is in floor.py."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from adapters.model import VERBS, KeyOf, Mode, State, Verb
from engine.store.rows import FloorRow
from tui import keymap
from tui.present import floor, frame
from tui.present.cut import clean
from tui.present.floor import Item
from tui.present.frame import Head
from tui.present.head import refresh_word
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, cannot, open_plan
from tui.screens.lists import ListScreen
from tui.screens.owed_pane import OwedPane, cannot_waive
from tui.view import Context, Copy, Effect, Line, Open, Say


class FloorMenus(ListScreen):
    """The Floor without its rows: everything that a key does to one of them."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.basis: OwedPane | None = None

    @property
    @abstractmethod
    def here(self) -> Item | None:
        """The row under the cursor."""

    @property
    def _silent(self) -> bool:
        return frame.silent(self.context, self.head.engine if self.head else None)

    @property
    def _acting(self) -> bool:
        return self.context.engine_alive and not self.context.read_only

    def about(self) -> str | None:
        """The run that the row shows, else its pipeline; of a source its name; of a feed or a set nothing."""
        item = self.here
        if item is None or item.thing:
            return None
        return (item.row.run_key or item.row.key) if item.row is not None else item.name

    # --- footer -----------------------------------------------------------------------------------------------------

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{self.length} shown")
        if self.marks:
            return self.marks_footer(width)
        return frame.footer_row(keymap.footer(self.contexts, width, only=self._offered(), words=self._words()), width)

    def _offered(self) -> list[str]:
        """What makes sense on the cursor row, the next step first."""
        item = self.here
        ids = ["list.open"]
        if self._silent:
            return ["app.refresh", "screen.sources", "list.open", "run.log", "list.filter", "app.quit"]
        if item is not None and item.thing:
            return ["list.open", "owed.basis", "owed.waive", "alert.ack", "screen.deadlines", "list.filter", "app.quit"]
        if item is not None and item.row is None:
            return ["list.open", "screen.sources", "app.refresh", "alert.ack", "list.filter", "screen.runs", "app.quit"]
        if item is not None:
            row = item.row
            ids.append(floor.next_step(item, self._acting)[0])
            ids.append("run.log")
            if self._acting and row is not None:
                if row.active:
                    acts = ("run.stop", "run.hold")
                    ids += [a for a in acts if cannot(self._meant(VERB_OF[a], row), item.source, self.context) is None]
                elif row.state is not None and row.state.terminal:
                    ids.append("run.rerun")
                ids.append("pipeline.start")
            if row is not None and row.alert_id and not row.alert_acked:
                ids.append("alert.ack")
            if item.owed is not None and item.owed.declared:
                ids += ["owed.basis"] if cannot_waive(item.owed) else ["owed.basis", "owed.waive"]
            ids.append("action.menu")
        ids += [
            "run.history",
            "list.filter",
            "screen.runs",
            "screen.deadlines",
            "screen.sources",
            "copy.menu",
            "app.quit",
        ]
        return list(dict.fromkeys(ids))

    def _words(self) -> dict[str, str]:
        item = self.here
        to = "due" if item is not None and item.owed is not None and not (item.row and item.row.run_key) else "story"
        said = {"list.open": to, "app.refresh": refresh_word(self.context)}
        if self._silent:
            said |= {"screen.sources": "why", "run.log": "log (kept)"}
        if item is not None and item.row is not None and item.row.state == State.HELD:
            said["run.hold"] = "release"
        return said

    # --- keys -------------------------------------------------------------------------------------------------------

    def _open(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        if item.owed is not None and (item.row is None or not item.row.run_key):
            return (Open("deadlines", item.owed.key),)
        if item.row is None:
            return (Open("sources", item.name),)
        return self._with_run("run")

    def _with_run(self, screen: str) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        if item.thing:
            return (Say(f"{item.name} is no pipeline: it has no run; Enter shows its deadline"),)
        if item.row is None:
            return (Say(f"{item.name} is a source: it has no run; Enter shows its health"),)
        if not item.row.run_key:
            return (Say(f"{item.name} has not run yet: there is nothing to show"),)
        return (Open(screen, item.row.run_key),)

    def _history(self) -> Sequence[Effect]:
        item = self.here
        return (Open("history", item.row.key),) if item is not None and item.row is not None else ()

    def verb(self, action: str) -> Sequence[Effect]:
        item = self.here
        if item is None or item.row is None:
            kind = "a source" if item is not None and not item.thing else "no pipeline"
            return (Say(f"{item.name} is {kind}: this key acts on pipelines"),) if item is not None else ()
        verb = self._meant(VERB_OF[action], item.row)
        why = cannot(verb, item.source, self.context) or self._not_now(verb, item.row)
        if why:
            return (Say(f"{verb} {item.name}: {why}", "warn"),)
        return (open_plan(verb, self._key(verb, item.row), item.name, item.source, self.context),)

    @staticmethod
    def _meant(verb: Verb, row: FloorRow) -> Verb:
        if verb == Verb.PAUSE and row.mode == Mode.PAUSED:
            return Verb.RESUME
        if verb == Verb.HOLD and row.state == State.HELD:
            return Verb.RELEASE
        return verb

    @staticmethod
    def _key(verb: Verb, row: FloorRow) -> str:
        """A run's key where one run is meant; the pipeline's where several are active, then they are offered."""
        if VERBS[verb].of == KeyOf.PIPELINE or row.run_key is None or row.active > 1:
            return row.key
        return row.run_key

    @staticmethod
    def _not_now(verb: Verb, row: FloorRow) -> str | None:
        if VERBS[verb].of == KeyOf.PIPELINE:
            return None
        if row.run_key is None:
            return "it has not run yet"
        if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not row.active:
            return "no run of it is active"
        return None

    def _actions(self) -> Sequence[Effect]:
        item = self.here
        if item is None or item.row is None:
            return ()
        entries: list[Entry] = []
        for action, asked in VERB_OF.items():
            if action == "run.rerun_from":
                continue  # of a step: on the Run screen
            verb = self._meant(asked, item.row)
            why = cannot(verb, item.source, self.context) or self._not_now(verb, item.row)
            entries.append(Entry(keymap.key_of(action), verb.value, action, VERBS[verb].means, why))
        row = item.row
        why = None if row.alert_id and not row.alert_acked else "it has no open alert that nobody has"
        if not self._acting:
            why = "this terminal is read-only" if self.context.read_only else "nobody is watching"
        entries.append(Entry(keymap.key_of("alert.ack"), "acknowledge", "alert.ack", "say that you have it", why))
        why = cannot_waive(item.owed)
        if not self._acting:
            why = "this terminal is read-only" if self.context.read_only else "nobody is watching"
        entries.append(
            Entry(
                keymap.key_of("owed.waive"),
                "waive",
                "owed.waive",
                "say that it is not owed: with a reason, until when",
                why,
            )
        )
        self.menu = Menu("Actions", self.acted_on(item.name), entries)
        return ()

    def _copy(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        row = item.row
        entries = [Entry("i", "key", Copy(item.key, "the key"), item.key)]
        if row is not None:
            entries.append(
                Entry(
                    "u",
                    "run",
                    Copy(row.run_key or "", "the run's key"),
                    row.run_key or "",
                    None if row.run_key else "it has not run",
                )
            )
            error = row.error or ""
            entries.append(
                Entry("e", "error", Copy(error, "the error"), clean(error)[:60], None if error else "there is none")
            )
        self.menu = Menu("Copy", f"of {item.name}", entries)
        return ()

    def _arm(self) -> Sequence[Effect]:
        item = self.here
        assert self.head is not None
        return self.arm(item.source if item is not None else None, self.head)

    def _ack(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        if item.row is not None:
            return self.ack(item.row.alert_id, item.name, item.row.alert_acked)
        found = self.alert_of(item.key if item.thing else item.name)
        return self.ack(found[0], item.name, found[1]) if found else self.ack(None, item.name)

    # --- promises ---------------------------------------------------------------------------------------------------

    def _basis(self) -> Sequence[Effect]:
        """``i``: where each number of this row comes from."""
        item = self.here
        if item is None:
            return ()
        if item.owed is None:
            return (Say(f"{item.name} owes nothing that is declared: no number to ask about"),)
        row = self.context.reader.owed_one(item.owed.key)  # with its usual duration as it is now
        self.basis = OwedPane(row or item.owed, item.name)
        return ()

    def _waive(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        why = cannot_waive(item.owed)
        if why or item.owed is None:
            return (Say(f"waive {item.name}: {why}", "warn"),)
        return (Open("waive", item.owed.key),)

    def act(self, action: str) -> Sequence[Effect]:
        if self.basis is not None:
            pane, self.basis = self.basis, None
            if pane.takes(action):
                return ()
            if pane.scroll(action):
                self.basis = pane
                return ()
        return super().act(action)

    def under_menu(self, body: Sequence[Line], width: int, room: int) -> list[Line]:
        if self.basis is None:
            return super().under_menu(body, width, room)
        return self.basis.over(body, width, room, self.context.timezone, self.context.now())
