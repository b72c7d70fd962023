"""What can be done from the history of a pipeline: verbs on the run under the cursor, its alert, its keys. The screen is in history.py."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from adapters.model import VERBS, KeyOf, Mode, State, Verb
from engine.store.rows import PastRun, SourceRow
from tui import keymap
from tui.present import history
from tui.present.cut import clean, first_line
from tui.present.history import Grid
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, cannot, open_plan
from tui.screens.lists import ListScreen
from tui.view import Context, Copy, Effect, Say


class HistoryMenu(ListScreen):
    """``grid``: what is shown; ``source``: of the pipeline; ``key``: the pipeline's."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.key: str | None = None
        self.grid: Grid | None = None
        self.source: SourceRow | None = None

    @property
    @abstractmethod
    def here(self) -> PastRun | None:
        """The run under the cursor."""

    @abstractmethod
    def key_here(self) -> str | None:
        """Of the step under the cursor where there is one, else of the run, else of the pipeline."""

    def why_not(self, verb: Verb) -> str | None:
        why = cannot(verb, self.source, self.context)
        run = self.here
        if why or VERBS[verb].of == KeyOf.PIPELINE:
            return why
        if run is None:
            return "it has not run yet"
        if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not run.state.active:
            return "this run has ended"
        if verb in (Verb.RERUN, Verb.RERUN_FAILED) and run.state.active:
            return "this run has not ended"
        return "generated history: this run never was" if run.generated else None

    def _meant(self, verb: Verb) -> Verb:
        run = self.here
        if verb is Verb.PAUSE and self.grid is not None and self.grid.history.mode is Mode.PAUSED:
            return Verb.RESUME
        return Verb.RELEASE if verb is Verb.HOLD and run is not None and run.state is State.HELD else verb

    def verb(self, action: str) -> Sequence[Effect]:
        run, found = self.here, self.grid
        if found is None or run is None:
            return ()
        verb = self._meant(VERB_OF[action])
        why = self.why_not(verb)
        name = clean(found.history.name)
        if why:
            return (Say(f"{verb} {name}: {why}", "warn"),)
        key = found.history.key if VERBS[verb].of == KeyOf.PIPELINE else run.key
        if verb is Verb.MARK:
            key = self.key_here() or key
        return (open_plan(verb, key, name, self.source, self.context),)

    def actions_menu(self) -> Sequence[Effect]:
        if self.grid is None:
            return ()
        entries: list[Entry] = []
        for action, asked in VERB_OF.items():
            if action == "run.rerun_from":
                continue  # of a step: on the Run screen
            verb = self._meant(asked)
            entries.append(Entry(keymap.key_of(action), verb.value, action, VERBS[verb].means, self.why_not(verb)))
        run = self.here
        when = "" if run is None else f"run of {history.at(run.at, self.context.timezone)} · "
        self.menu = Menu("Actions", f"{when}each shows its plan and asks", entries)
        return ()

    def ack_here(self) -> Sequence[Effect]:
        found = self.alert_of(self.key or "")
        name = clean(self.grid.history.name) if self.grid is not None else "it"
        return self.ack(found[0], name, found[1]) if found else self.ack(None, name)

    def copy_menu(self) -> Sequence[Effect]:
        run = self.here
        if run is None:
            return ()
        error = run.error or ""
        entries = [
            Entry("u", "run", Copy(run.key, "the run's key"), clean(run.key)),
            Entry("i", "key", Copy(self.key or "", "the pipeline's key"), clean(self.key or "")),
            Entry("e", "error", Copy(error, "the error"), first_line(error)[:60], None if error else "there is none"),
        ]
        self.menu = Menu("Copy", "of the run under the cursor", entries)
        return ()
