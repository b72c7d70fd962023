"""What screens share whose rows are pipelines: their rows kept up to date, and what the keys do on the one under the cursor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from adapters.model import VERBS, KeyOf, Mode, State, Verb
from engine.store.reader import Reader
from engine.store.rows import FloorRow, OwedRow, SourceRow
from tui import keymap
from tui.present import floor, frame, layers, lines, owed, row_facts
from tui.present.chain import Lane
from tui.present.cut import clean
from tui.present.filters import FIELDS
from tui.present.floor import Item
from tui.present.floor_owed import NOTHING, Owing
from tui.present.frame import Head
from tui.present.glyphs import LOOKS
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, cannot, open_plan
from tui.screens.lists import Handler, ListScreen
from tui.view import Context, Copy, Effect, Line, Open, Say

SAME_MS = 100
"""Rows that moved so lately are read again: two commits may bear the same millisecond."""
JUDGE_MS = 10_000
"""How often what only time changes (a run growing long) is judged anew."""
_WHOLE = ("pipeline", "alert", "source")
"""Topics after which every row is read anew; ``run`` says itself which pipelines it means."""
STATES = frozenset(look.word for look in (*LOOKS.values(), *owed.LOOKS.values())) | {
    "long", "paused", "disabled", "no runs", "stale", "unknown",
}  # fmt: skip


class Roster:
    """Every pipeline's row by id, and of each thing the promise that matters now; each read only when it moved."""

    def __init__(self) -> None:
        self.rows: dict[int, FloorRow] = {}
        self.owing: Owing = NOTHING
        self._marks: dict[int, int] = {}
        self._read: dict[str, int | None] = {}

    def read(self, reader: Reader) -> tuple[frozenset[str], set[int] | None]:
        """Read what moved. The topics that did (all at first), and ids of the pipelines to judge anew; None: of all."""
        topics = reader.topics()
        watched = (*_WHOLE, "run", "step", "owed")
        moved = frozenset(t for t in watched if t not in self._read or self._read[t] != topics.get(t))
        first = not self._read
        self._read = {t: topics.get(t) for t in watched}
        changed: set[int] | None = set()
        if first or moved & set(_WHOLE):
            self._marks = reader.floor_marks()
            self.rows = {r.id: r for r in reader.floor()}
            changed = None
        elif "run" in moved:
            had, self._marks = self._marks, reader.floor_marks()
            newest = max(self._marks.values(), default=0) - SAME_MS
            ids = [i for i, at in self._marks.items() if at >= newest or had.get(i) != at]
            changed = {r.id for r in reader.floor_rows(ids) if self._take(r)}
        before = self.owing
        if first or "pipeline" in moved:  # names and consumers of pipelines stand in promises too
            self.owing = Owing.read(reader)
        elif moved & {"owed", "step"}:
            self.owing = now = Owing.read(reader, before)
            if changed is not None:
                keys = now.moved(before)
                changed |= {i for i, row in self.rows.items() if row.key in keys}
                changed |= {i for i in (*now.checks, *before.checks) if now.checks.get(i) != before.checks.get(i)}
        return moved, changed

    def _take(self, row: FloorRow) -> bool:
        if row.id not in self.rows:
            return False
        self.rows[row.id] = row
        return True

    @property
    def owed(self) -> Mapping[str, OwedRow]:
        """By the key of a thing, its promise that matters now."""
        return self.owing.now


class PipelineScreen(ListScreen):
    """A screen whose cursor is on pipelines (``key``); others things that owe something have no row of the Floor."""

    topics: frozenset[str] = frozenset(
        {"engine", "source", "health", "pipeline", "run", "step", "alert", "arm", "sample", "owed"}
    )
    ticks: ClassVar[bool] = True
    fields: ClassVar[Sequence[str]] = tuple(f for f in FIELDS if f != "tag")
    of_a_row: ClassVar[frozenset[str]] = ListScreen.of_a_row - {"view.pane"} | {"run.last", "owed.basis", "owed.waive"}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.roster = Roster()
        self.verdict = frame.Verdict()
        self.pipelines: dict[int, Lane] = {}
        """Every pipeline by its id."""
        self._items: dict[int, Item] = {}
        self._judged: tuple[int, object] = (0, None)
        self.basis = False
        """Whether the pane is open that says where the numbers of the cursor row come from."""

    # --- what a screen says of itself -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def row(self) -> FloorRow | None:
        """The pipeline under the cursor."""

    @property
    @abstractmethod
    def owes(self) -> OwedRow | None:
        """The promise under the cursor: the one that the row shows."""

    @property
    @abstractmethod
    def run_key(self) -> str | None:
        """The run under the cursor."""

    @property
    def here_name(self) -> str:
        if self.row is not None:
            return clean(self.row.name)
        return clean(self.owes.name) if self.owes is not None else "this row"

    def about(self) -> str | None:
        """The run under the cursor, else the pipeline."""
        return self.run_key or (self.row.key if self.row is not None else None)

    def filtered(self) -> None:
        """The filter changed."""

    def passes(self, lane: Lane) -> bool:
        """Whether the filter leaves this lane."""
        return self.filter.holds(layers.facts(lane), layers.number(lane, self.context.now()))

    def culprit(self, lanes: Iterable[Lane]) -> str:
        """Where the filter leaves none of these: which word took the last."""
        now = self.context.now()
        return self.filter.sift(lanes, lambda lane: (layers.facts(lane), layers.number(lane, now)))[1]

    # --- around the panes -------------------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        return frame.silent(self.context, self.head.engine if self.head else None)

    def top_rows(self, width: int) -> list[Line]:
        """Band and verdict; the rows that say that nobody watches where that is so."""
        assert self.head is not None
        ctx, head = self.context, self.head
        verdict = self.verdict
        if self.silent:
            return [
                frame.band_row(ctx, head, self.title, width),
                *frame.silent_rows(ctx, head, verdict, width),
            ]
        return [frame.band_row(ctx, head, self.title, width), frame.verdict_row(ctx, head, verdict, width)]

    def refresh(self) -> tuple[frozenset[str], bool]:
        """Read the head and what moved, and judge that, as the Floor does: the same words on every screen.

        The topics that moved, and whether any lane or the verdict may be another.
        """
        self.head = Head.read(self.context)
        now, silent = self.context.now(), self.silent
        moved, changed = self.roster.read(self.context.reader)
        head = self.head
        sources = tuple((s.id, s.health, s.stale(now), s.last_ok if s.stale(now) else None) for s in head.sources)
        whole = changed is None or self._judged[1] != (sources, silent) or now - self._judged[0] >= JUDGE_MS
        if whole:
            self._judged = (now, (sources, silent))
            self._items = {}
            self.pipelines = {}
            changed = set(self.roster.rows)
        elif "owed" in moved and changed is not None:
            changed |= {i for i, item in self._items.items() if item.problem}  # it knows what waits behind it
        if not changed and not whole and "owed" not in moved:
            return moved, False
        by_id = {s.id: s for s in head.sources}
        since = frame.silent_since(self.context, head.engine)
        owing = self.roster.owing
        for i in (changed or set[int]()) & self.roster.rows.keys():
            row = self.roster.rows[i]
            item = floor.judge_one(row, by_id.get(row.source_id), now, silent=silent, owing=owing)
            self._items[i] = item
            self.pipelines[i] = layers.lane_of(item, row, since, silent=silent)
        arranged = floor.arrange(self._items.values(), head.sources, now, silent=silent, owing=owing)
        self.verdict = floor.verdict(arranged, now)
        return moved, True

    def source_of(self, row: FloorRow | None) -> SourceRow | None:
        if row is None or self.head is None:
            return None
        return next((s for s in self.head.sources if s.id == row.source_id), None)

    def basis_rows(self, width: int) -> list[Line]:
        """The pane of ``owed.basis``: what of the cursor row is declared or learnt, of which runs."""
        row = self.owes
        if row is None:
            return []
        rule = lines.rule(self.here_name, "where the numbers come from", "Esc close", width, focused=True)
        return [rule, *owed.basis_lines(row, self.context.timezone, self.context.now(), width)]

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "run.log": lambda: self.with_run("log"),
            "run.last": self._last,
            "run.history": self._history,
            "action.menu": self._actions,
            "action.arm": self._arm,
            "alert.ack": self._ack,
            "copy.menu": self._copy,
            "owed.basis": self._basis,
            "owed.waive": self._waive,
        }

    def act(self, action: str) -> Sequence[Effect]:
        if action == "nav.back" and self.basis and self.menu is None and self.field is None:
            self.basis = False
            return ()
        return super().act(action)

    def with_run(self, screen: str) -> Sequence[Effect]:
        if self.run_key is not None:
            return (Open(screen, self.run_key),)
        if self.row is None:
            return (Say(f"{self.here_name} is not a pipeline: it has no runs"),)
        return (Say(f"{self.here_name}: no run here"),)

    def _last(self) -> Sequence[Effect]:
        """The run that counts for the promise of this row, else the run under the cursor."""
        row = self.owes
        if row is not None and row.run_key is not None:
            return (Open("run", row.run_key),)
        return self.with_run("run")

    def _history(self) -> Sequence[Effect]:
        if self.row is None:
            return (Say(f"{self.here_name} is not a pipeline: it has no runs"),)
        return (Open("history", self.row.key),)

    def _basis(self) -> Sequence[Effect]:
        if self.owes is None:
            return (Say(f"{self.here_name}: nothing is owed here, neither declared nor learnt"),)
        self.basis = not self.basis
        return ()

    def _waive(self) -> Sequence[Effect]:
        row = self.owes
        if row is None:
            return (Say(f"{self.here_name}: nothing is owed here"),)
        if row.settled:
            return (Say(f"{self.here_name}: {owed.look(row).word} already, there is nothing to waive"),)
        if self.context.read_only:
            return (Say("this terminal is read-only: nothing can be waived", "warn"),)
        if not self.context.engine_alive:
            return (Say("nobody is watching: a waiver cannot be recorded; Ctrl+R starts the engine", "warn"),)
        return (Open("waive", row.key),)

    def verb(self, action: str) -> Sequence[Effect]:
        row = self.row
        if row is None:
            return (Say(f"{self.here_name} is not a pipeline: this key acts on pipelines"),)
        verb = self._meant(VERB_OF[action], row)
        why = self._why_not(verb, row)
        if why:
            return (Say(f"{verb} {clean(row.name)}: {why}", "warn"),)
        key = self._run_meant(row) if VERBS[verb].of != KeyOf.PIPELINE else row.key
        return (open_plan(verb, key, clean(row.name), self.source_of(row), self.context),)

    @staticmethod
    def _run_meant(row: FloorRow) -> str:
        """The current run; the pipeline where several are active, then they are offered."""
        return row.key if row.run_key is None or row.active > 1 else row.run_key

    @staticmethod
    def _meant(verb: Verb, row: FloorRow) -> Verb:
        if verb == Verb.PAUSE and row.mode == Mode.PAUSED:
            return Verb.RESUME
        return Verb.RELEASE if verb == Verb.HOLD and row.state == State.HELD else verb

    def _why_not(self, verb: Verb, row: FloorRow) -> str | None:
        why = cannot(verb, self.source_of(row), self.context)
        if why or VERBS[verb].of == KeyOf.PIPELINE:
            return why
        if row.run_key is None:
            return "it has not run yet"
        if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not row.active:
            return "no run of it is active"
        return None

    def _actions(self) -> Sequence[Effect]:
        row = self.row
        if row is None:
            return (Say(f"{self.here_name} is not a pipeline: there is nothing to act on"),)
        entries: list[Entry] = []
        for action, asked in VERB_OF.items():
            if action == "run.rerun_from":
                continue  # of a step: on the Run screen
            verb = self._meant(asked, row)
            entries.append(
                Entry(keymap.key_of(action), verb.value, action, VERBS[verb].means, self._why_not(verb, row))
            )
        self.menu = Menu("Actions", f"on {clean(row.name)} · each shows its plan and asks", entries)
        return ()

    def _copy(self) -> Sequence[Effect]:
        key = self.row.key if self.row is not None else self.owes.thing if self.owes is not None else ""
        run = self.run_key
        entries = [
            Entry("i", "key", Copy(key, "the key"), clean(key)),
            Entry("u", "run", Copy(run or "", "the run's key"), clean(run or ""), None if run else "no run here"),
        ]
        self.menu = Menu("Copy", f"of {self.here_name}", entries)
        return ()

    def _arm(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self.source_of(self.row), self.head)

    def _ack(self) -> Sequence[Effect]:
        row = self.row
        if row is not None and row.alert_id is not None:
            return self.ack(row.alert_id, clean(row.name), row.alert_acked)
        thing = row.key if row is not None else self.owes.thing if self.owes is not None else ""
        found = self.alert_of(thing)
        return self.ack(found[0], self.here_name, found[1]) if found else self.ack(None, self.here_name)

    # --- the filter -------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        if self.read_filter(text):
            self.filtered()

    @staticmethod
    def filter_states() -> frozenset[str]:
        return STATES

    def filter_values(self, fact: str) -> Iterable[str]:
        """Of every pipeline: a lane that is hidden is wanted most."""
        return row_facts.values(fact, map(layers.facts, self.pipelines.values()))
