"""What keys do to the promise under the cursor: its run, its pipeline's verbs, its alert, a waiver. The list is in deadlines.py."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from adapters.model import VERBS, KeyOf, Mode, Owed, State, Verb
from engine.store.rows import FloorRow, SourceRow
from tui import keymap
from tui.present import owed, words
from tui.present.cut import clean, cut
from tui.present.deadlines import Due
from tui.present.head import Head
from tui.present.margins import Source
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, cannot, open_plan
from tui.screens.lists import ListScreen
from tui.view import Context, Copy, Effect, Open, Say


class DueMenus(ListScreen):
    """The Deadlines without their rows."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.utc = False
        """Times in UTC instead of the reader's own zone."""

    @property
    def tz(self) -> str:
        return "UTC" if self.utc else self.context.timezone

    @property
    @abstractmethod
    def here(self) -> Due | None:
        """The promise under the cursor; of a feed its arrival, where one is owed."""

    @property
    @abstractmethod
    def feed_here(self) -> Source | None:
        """The feed under the cursor, while feeds are listed."""

    def about(self) -> str | None:
        """The run that counts, else the pipeline; of a feed, a heartbeat or a set nothing."""
        d = self.here
        return None if d is None or d.row.pipeline_id is None else d.row.run_key or d.row.thing

    @property
    def acting(self) -> bool:
        return self.context.engine_alive and not self.context.read_only

    def open_run(self) -> Sequence[Effect]:
        """The run that counts, else the runs of its pipeline."""
        d = self.here
        if d is None:
            return (Say("no run counts for it"),)
        if d.row.run_key is not None and d.row.pipeline_id is not None:
            return (Open("run", d.row.run_key),)
        if d.row.pipeline_id is not None:
            return (Open("runs", d.row.thing),)
        return (Say(f"{clean(d.row.name)} is {_kind(d.row.thing)}: it has no run of its own", "info"),)

    def with_run(self, screen: str) -> Sequence[Effect]:
        d = self.here
        if d is None or d.row.pipeline_id is None:
            return self.open_run()
        if d.row.run_key is not None:
            return (Open(screen, d.row.run_key),)
        row = self.context.reader.pipeline(d.row.thing)
        if row is None or not row.run_key:
            return (Say(f"{clean(d.row.name)} has not run yet: there is nothing to show"),)
        return (Open(screen, row.run_key),)

    def history(self) -> Sequence[Effect]:
        d = self.here
        if d is None or d.row.pipeline_id is None:
            return self.open_run()
        return (Open("history", d.row.thing),)

    def waive(self) -> Sequence[Effect]:
        d = self.here
        if d is None:
            return (Say("no arrival of it is promised: there is nothing to waive"),)
        name = clean(d.row.name)
        if self.context.read_only:
            return (Say(f"waive {name}: this terminal is read-only", "warn"),)
        if not self.context.engine_alive:
            return (
                Say(f"waive {name}: nobody is watching, a waiver cannot be recorded; Ctrl+R starts the engine", "warn"),
            )
        if d.row.state in (Owed.MET, Owed.MET_LATE):
            return (Say(f"{name} is {d.look.word}: there is nothing left to waive"),)
        if d.row.opened_as in (Owed.EXCLUDED, Owed.WAIVED) or d.row.state is Owed.EXCLUDED:
            return (Say(f"{name} is not owed on this date: {clean(d.row.why_opened or d.row.reason)}"),)
        return (Open("waive", d.row.key),)

    def _source(self, d: Due) -> SourceRow | None:
        return next((s for s in (self.head.sources if self.head else ()) if s.id == d.row.source_id), None)

    def verb(self, action: str) -> Sequence[Effect]:
        d = self.here
        if d is None or d.row.pipeline_id is None:
            return (
                (Say(f"{clean(d.row.name)} is {_kind(d.row.thing)}: this key acts on pipelines"),)
                if d is not None
                else ()
            )
        name, row = clean(d.row.name), self.context.reader.pipeline(d.row.thing)
        if row is None:
            return (Say(f"{name} is no longer at its source", "warn"),)
        verb = _meant(VERB_OF[action], row)
        why = cannot(verb, self._source(d), self.context) or _not_now(verb, row)
        if why:
            return (Say(f"{verb} {name}: {why}", "warn"),)
        return (open_plan(verb, _key(verb, row), name, self._source(d), self.context),)

    def actions_menu(self) -> Sequence[Effect]:
        d = self.here
        if d is None:
            return (Say("no arrival of it is promised: there is nothing to do here"),)
        row = self.context.reader.pipeline(d.row.thing) if d.row.pipeline_id is not None else None
        off = None if self.acting else "this terminal is read-only" if self.context.read_only else "nobody is watching"
        settled = "it is settled" if d.row.state in (Owed.MET, Owed.MET_LATE, Owed.EXCLUDED) else None
        entries = [
            Entry(keymap.key_of("owed.waive"), "waive", "owed.waive", "say that this is not owed, with a reason", off or settled),
            Entry(keymap.key_of("alert.ack"), "acknowledge", "alert.ack", "say that you have it", off),
        ]  # fmt: skip
        for action, asked in VERB_OF.items():
            if row is None or action == "run.rerun_from":
                continue  # of a step: on the Run screen
            verb = _meant(asked, row)
            why = cannot(verb, self._source(d), self.context) or _not_now(verb, row)
            entries.append(Entry(keymap.key_of(action), verb.value, action, VERBS[verb].means, why))
        self.menu = Menu("Actions", f"on {clean(d.row.name)} · each shows its plan and asks", entries)
        return ()

    def copy_menu(self) -> Sequence[Effect]:
        s, d = self.feed_here, self.here
        if s is not None:
            file = s.feed.file
            self.menu = Menu(
                "Copy", f"of {clean(s.feed.name)}", [Entry("f", "file", Copy(file, "the file"), clean(file))]
            )
            return ()
        if d is None:
            return ()
        r = d.row
        said = words.plain(owed.sentence(r, self.tz, self.context.now()))
        entries = [
            Entry("s", "sentence", Copy(f"{clean(r.name)}: {said}", "the sentence"), cut(said, 60)),
            Entry("i", "key", Copy(r.thing, "the key"), clean(r.thing)),
            Entry("o", "occurrence", Copy(r.key, "the key of what is owed"), clean(r.key)),
            Entry("u", "run", Copy(r.run_key or "", "the run's key"), clean(r.run_key or ""), None if r.run_key else "no run counts yet"),
        ]  # fmt: skip
        self.menu = Menu("Copy", f"of {clean(r.name)}", entries)
        return ()

    def arm_here(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self._source(self.here) if self.here is not None else None, self.head)

    def ack_here(self) -> Sequence[Effect]:
        d, s = self.here, self.feed_here
        thing = d.row.thing if d is not None else f"feed:{s.feed.name}" if s is not None else None
        if thing is None:
            return ()
        name = clean(d.row.name if d is not None else thing.partition(":")[2])
        found = self.alert_of(thing)
        return self.ack(found[0], name, found[1]) if found else self.ack(None, name)


# --- what can be done with the pipeline of a promise ----------------------------------------------------------------


def _kind(thing: str) -> str:
    return {"feed": "a file from outside", "ping": "a heartbeat", "set": "a set of pipelines"}.get(thing.partition(":")[0], "no pipeline")  # fmt: skip


def _meant(verb: Verb, row: FloorRow) -> Verb:
    """Pause means resume where it is paused, hold means release where it is held."""
    if verb == Verb.PAUSE and row.mode == Mode.PAUSED:
        return Verb.RESUME
    return Verb.RELEASE if verb == Verb.HOLD and row.state == State.HELD else verb


def _key(verb: Verb, row: FloorRow) -> str:
    """A run's key where one run is meant; the pipeline's where several are active, then they are offered."""
    return row.key if VERBS[verb].of == KeyOf.PIPELINE or row.run_key is None or row.active > 1 else row.run_key


def _not_now(verb: Verb, row: FloorRow) -> str | None:
    if VERBS[verb].of == KeyOf.PIPELINE:
        return None
    if row.run_key is None:
        return "it has not run yet"
    if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not row.active:
        return "no run of it is active"
    return None
