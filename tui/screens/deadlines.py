"""Deadlines: what is owed, by when, and will it make it; how that is reckoned; and the margins of what comes from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from adapters.model import VERBS, KeyOf, Mode, Owed, State, Verb
from engine.store.rows import Calibration, EdgeRow, FeedRow, FloorRow, OwedRow, OwedWarning, SourceRow
from tui import keymap
from tui.present import deadlines, frame, lines, margins, owed, reckoned, words
from tui.present import deadlines_panes as panes
from tui.present.cut import clean, cut
from tui.present.deadlines import Due, Grid
from tui.present.filters import Filter, FilterError, parse
from tui.present.frame import Head
from tui.present.margins import Source
from tui.present.menu import Entry, Menu
from tui.present.owed_basis import basis_lines
from tui.screens import VERB_OF, cannot, open_plan, window
from tui.screens.lists import Handler, ListScreen
from tui.view import Context, Copy, Effect, Line, Open, Say, Span

SPAN = words.DAY
"""So far back and ahead."""
CALIBRATED = 30 * words.DAY
_READ = ("owed", "pipeline", "source", "health")
"""Topics of what a row holds."""
_OF_ROW = frozenset({"owed.waive", "owed.basis", "run.last"})


class DeadlinesView(ListScreen):
    """``arg``: the occurrence key, or the key of a thing, that the cursor starts on."""

    name: ClassVar[str] = "deadlines"
    title: ClassVar[str] = "Deadlines"
    contexts: ClassVar[tuple[str, ...]] = ("deadlines", "list", "global")
    topics: frozenset[str] = frozenset({"engine", "source", "health", "pipeline", "run", "owed", "alert", "arm"})
    ticks: ClassVar[bool] = True
    of_a_row: ClassVar[frozenset[str]] = (ListScreen.of_a_row | _OF_ROW) - {"view.pane"}  # panes turn without a row

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.all: list[Due] = []
        self.rows_shown: list[Due] = []
        self.feeds: list[Source] = []
        self.warnings: list[OwedWarning] = []
        self.edges: list[EdgeRow] = []
        self.right: Calibration | None = None
        self.pane = "owed"
        """``owed``, or ``feeds``: Sources and margins."""
        self.basis = False
        """Whether the lower pane says where each number comes from."""
        self.moved = False
        """Whether the operator moved; until then the cursor stays on the first row, whatever comes to stand there."""
        self.cursor: str | None = arg
        self.feed: str | None = None
        self.filter: Filter = parse("")
        self._wish = arg
        self._top = [0, 0]
        self._read: object = None
        self._found: list[OwedRow] = []
        self._feeds: list[FeedRow] = []

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The head always (small); promises where they moved or a minute passed; who is blind is judged each time."""
        reader, now = self.context.reader, self.context.now()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        read = (*(topics.get(t) for t in _READ), now // words.MINUTE)
        if read != self._read:
            self._read = read
            self._found = reader.owed(now - SPAN, now + SPAN)
            self.warnings, self.edges = reader.owed_warnings(), reader.edges()
            self.right = reader.calibration(now - CALIBRATED)
            self._feeds = reader.feeds()
        self._judge()

    def _judge(self) -> None:
        assert self.head is not None
        now = self.context.now()
        by_id = {s.id: s for s in self.head.sources}
        blind_feeds = {f"feed:{f.name}": f.looked for f in self._feeds if f.error}
        since = frame.silent_since(self.context, self.head.engine)
        silent = frame.silent(self.context, self.head.engine)
        found: list[Due] = []
        for r in self._found:
            s = by_id.get(r.source_id) if r.source_id is not None else None
            if silent:
                found.append(Due(r, r.state.unsettled, s.last_ok if s is not None else since))
            elif s is not None:
                found.append(Due(r, s.stale(now) and r.state.unsettled, s.last_ok))
            else:
                found.append(Due(r, r.thing in blind_feeds and r.state.unsettled, blind_feeds.get(r.thing)))
        self.all = sorted((d for d in found if deadlines.wanted(d.row)), key=deadlines.place)
        arrivals: dict[str, OwedRow] = {}
        for d in sorted(self.all, key=lambda d: abs(d.row.due - now)):
            if d.row.type == "source_arrival":
                arrivals.setdefault(d.row.thing, d.row)
        self.feeds = sorted(
            (Source(f, arrivals.get(f"feed:{f.name}"), silent) for f in self._feeds), key=lambda s: s.place
        )
        self._order()

    def _order(self) -> None:
        at = self._index()
        self.rows_shown = [d for d in self.all if not self.filter or self.filter.holds(deadlines.facts(d))]
        keys = [d.row.key for d in self.rows_shown]
        if self._wish is not None and keys:
            found = next((d.row.key for d in self.rows_shown if self._wish in (d.row.key, d.row.thing)), None)
            if found is not None:
                self.cursor, self.moved = found, True
            self._wish = None
        if not self.moved or self.cursor is None:
            self.cursor = keys[0] if keys else None
        elif self.cursor not in keys and keys:
            self.cursor = keys[min(at, len(keys) - 1)]
        names = [s.feed.name for s in self.feeds]
        if self.feed not in names:
            self.feed = names[0] if names else None
        if self.pane == "feeds" and not names:
            self.pane = "owed"

    def _index(self) -> int:
        return next((i for i, d in enumerate(self.rows_shown) if d.row.key == self.cursor), 0)

    def _feed_index(self) -> int:
        return next((i for i, s in enumerate(self.feeds) if s.feed.name == self.feed), 0)

    @property
    def here(self) -> Due | None:
        """The promise under the cursor; of a feed its arrival, where one is owed."""
        if self.pane == "feeds":
            s = self.feed_here
            row = s.owed if s is not None else None
            return next((d for d in self.all if d.row is row), None) if row is not None else None
        return self.rows_shown[self._index()] if self.rows_shown else None

    @property
    def feed_here(self) -> Source | None:
        return self.feeds[self._feed_index()] if self.feeds and self.pane == "feeds" else None

    @property
    def length(self) -> int:
        return len(self.feeds) if self.pane == "feeds" else len(self.rows_shown)

    def move(self, by: int) -> None:
        if self.pane == "feeds" and self.feeds:
            self.feed = self.feeds[min(max(self._feed_index() + by, 0), len(self.feeds) - 1)].feed.name
        elif self.rows_shown:
            self.moved = True
            self.cursor = self.rows_shown[min(max(self._index() + by, 0), len(self.rows_shown) - 1)].row.key

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        if frame.is_tiny(width, height):
            return frame.tiny(ctx, head, self._verdict(), self._tiny_names(height - 3), width, height)
        top: list[Line] = [frame.band_row(ctx, head, self.title, width)]
        if frame.silent(ctx, head.engine):
            top += frame.silent_rows(ctx, head, self._verdict(), width)
        else:
            top.append(
                panes.verdict_row(self.all, frame.blind(head.sources, ctx.now()), ctx.timezone, ctx.now(), width)
            )
        if not frame.is_narrow(width):
            top.append([(" " * width, "")])
        room = height - len(top) - 1
        body = self._body(width, room)
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _verdict(self) -> frame.Verdict:
        """For the rows that know nothing of promises: what is broken here."""
        n = deadlines.counts(self.all)
        since = min((d.row.since or d.row.due for d in self.all if d.shown is Owed.BREACHED), default=None)
        return frame.Verdict(
            broken=n.get(Owed.BREACHED, 0), since=since, unknown=n.get(Owed.UNKNOWN, 0), total=len(self.all)
        )

    def _tiny_names(self, room: int) -> list[list[Span]]:
        at = self._index()
        self._top[0] = first = window(self._top[0], at, max(room, 1), len(self.rows_shown))
        out: list[list[Span]] = []
        for i, d in enumerate(self.rows_shown[first:], first):
            mark = ("▌", "mark") if i == at else (" ", "")
            name = (clean(d.row.name), "text b" if i == at else "text")
            out.append([mark, (d.look.glyph, d.look.style), (" ", ""), name])
        return out

    def _body(self, width: int, room: int) -> list[Line]:
        narrow = frame.is_narrow(width)
        gap: list[Line] = [] if narrow else [[(" " * width, "")]]
        if not self.all and not self.feeds and not self.warnings:
            return panes.empty(width)
        most = 1 if room < 24 else 2 if room < 40 else 5
        warned = panes.warned(self.warnings, width, most)
        below = self._below(width, max(room * 3 // 10, 4))
        table_room = room - sum(len(x) + len(gap) for x in (warned, below) if x)
        length = max(self.length, 1) + 2
        table = (
            self._feed_table(width, min(table_room, length))
            if self.pane == "feeds"
            else self._table(width, min(table_room, length))
        )
        out = [*table]
        for part in (warned, below):
            if part:
                out += [*gap, *part]
        return out

    def _table(self, width: int, room: int) -> list[Line]:
        now, tz = self.context.now(), self.context.timezone
        total = len(self.rows_shown)
        rows = max(room - 2, 1)
        self.page = rows
        at = self._index()
        self._top[0] = first = window(self._top[0], at, rows, total)
        hint = f"{first + 1}–{min(first + rows, total)} of {total}" if total > rows else ""
        note = f"filter {self.filter.text}" if self.filter else "by due time, worst first · 24 hours back and ahead"
        out: list[Line] = [lines.rule("Owed", note, hint, width, focused=True)]
        if not total:
            said = "no promise is like that" if self.filter else "nothing is due from yesterday to tomorrow"
            return [*out, [(f"   {said}", "dim")]]
        grid = Grid.of(width, any(words.clock(d.row.due, tz, now)[0].isalpha() for d in self.all))
        out.append(lines.head(grid.columns))
        for i, d in enumerate(self.rows_shown[first : first + rows], first):
            line = deadlines.due_row(d, grid, tz, now, here=i == at)
            out.append(lines.cursor(line, width) if i == at else line)
        return out

    def _feed_table(self, width: int, room: int) -> list[Line]:
        now, tz = self.context.now(), self.context.timezone
        rows = max(room - 2, 1)
        self.page = rows
        at, total = self._feed_index(), len(self.feeds)
        self._top[1] = first = window(self._top[1], at, rows, total)
        hint = f"{first + 1}–{min(first + rows, total)} of {total}" if total > rows else ""
        note = "from arrival to the first run that needs it, worst first"
        cols = margins.columns(width)
        out: list[Line] = [lines.rule("Sources and margins", note, hint, width, focused=True), lines.head(cols)]
        for i, s in enumerate(self.feeds[first : first + rows], first):
            line = margins.feed_row(s, cols, tz, now, here=i == at)
            out.append(lines.cursor(line, width) if i == at else line)
        return out

    def _below(self, width: int, most: int) -> list[Line]:
        """The lower pane: how the cursor's row is reckoned, or where its numbers come from."""
        now, tz = self.context.now(), self.context.timezone
        if self.pane == "feeds":
            s = self.feed_here
            if s is None:
                return []
            title = lines.rule(clean(s.feed.name), "what comes from outside", "margin of its consumers", width)
            return [title, *panes.facts(margins.feed_facts(s, tz, now), width)][:most]
        d = self.here
        if d is None:
            return []
        hint = "where from" if self.basis else "how it is reckoned"
        title = lines.rule(clean(d.row.name), reckoned.title_note(d.row), hint, width)
        if self.basis:
            found = basis_lines(d.row, tz, now, width)
            if len(found) > most - 1:
                more = len(found) - most + 2
                found = [*found[: most - 2], [(f"   … {more} more rows in a taller terminal", "dim")]]
            return [title, *found]
        things: dict[str, Due] = {}
        for one in self.all:
            things.setdefault(one.row.thing, one)
        facts = reckoned.reckoning(d, things, self.edges, self.right, tz, now)
        return [title, *panes.facts(facts, width)][:most]

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{len(self.rows_shown)} shown")
        if frame.silent(self.context, self.head.engine if self.head else None):
            ids = ["app.refresh", "screen.sources", "list.open", "view.pane", "list.filter", "app.quit"]
            said = {
                "app.refresh": "start engine",
                "screen.sources": "why",
                "list.open": "story",
                "view.pane": self._other,
            }
            return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)
        d = self.here
        ids = ["list.open"] if self.length else []
        if self.pane == "owed" and d is not None:
            ids += ["owed.basis"]
            if self._acting:
                ids += ["owed.waive", "alert.ack", "action.menu"]
        if self.feeds or self.pane == "feeds":
            ids.append("view.pane")
        ids += ["list.filter", "copy.menu", "screen.timeline", "screen.floor", "nav.back", "app.quit"]
        said = {
            "list.open": "story" if self.pane == "owed" else "its arrival", "view.pane": self._other,
            "owed.basis": "how reckoned" if self.basis else "where from",
            "owed.waive": "undo waiver" if d is not None and d.row.state is Owed.WAIVED else "waive",
        }  # fmt: skip
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    @property
    def _other(self) -> str:
        return "promises" if self.pane == "feeds" else "sources, margins"

    @property
    def _acting(self) -> bool:
        return self.context.engine_alive and not self.context.read_only

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "run.last": self._run,
            "run.log": lambda: self._with_run("log"),
            "run.history": self._history,
            "view.pane": self._pane,
            "owed.basis": self._basis,
            "owed.waive": self._waive,
            "action.menu": self._actions,
            "action.arm": self._arm,
            "alert.ack": self._ack,
            "copy.menu": self._copy,
        }

    def act(self, action: str) -> Sequence[Effect]:
        if action in self.of_a_row:
            self.moved = True  # what was looked at or asked about stays under the cursor
        return super().act(action)

    def _open(self) -> Sequence[Effect]:
        if self.pane == "feeds":
            d = self.here
            if d is None:
                return (Say("no arrival of it is promised: an [[expectation]] of type source_arrival says by when"),)
            self.set_filter("")
            self.pane, self.cursor = "owed", d.row.key
            return ()
        d = self.here
        if (
            d is not None
            and d.row.thing.startswith("feed:")
            and any(f"feed:{s.feed.name}" == d.row.thing for s in self.feeds)
        ):
            self.pane, self.feed = "feeds", d.row.thing.partition(":")[2]
            return ()
        return self._run()

    def _run(self) -> Sequence[Effect]:
        """The run that counts, else the runs of its pipeline."""
        d = self.here
        if d is None:
            return (Say("no run counts for it"),)
        if d.row.run_key is not None and d.row.pipeline_id is not None:
            return (Open("run", d.row.run_key),)
        if d.row.pipeline_id is not None:
            return (Open("runs", d.row.thing),)
        return (Say(f"{clean(d.row.name)} is {_kind(d.row.thing)}: it has no run of its own", "info"),)

    def _with_run(self, screen: str) -> Sequence[Effect]:
        d = self.here
        if d is None or d.row.pipeline_id is None:
            return self._run()
        if d.row.run_key is not None:
            return (Open(screen, d.row.run_key),)
        row = self.context.reader.pipeline(d.row.thing)
        if row is None or not row.run_key:
            return (Say(f"{clean(d.row.name)} has not run yet: there is nothing to show"),)
        return (Open(screen, row.run_key),)

    def _history(self) -> Sequence[Effect]:
        d = self.here
        if d is None or d.row.pipeline_id is None:
            return self._run()
        return (Open("runs", d.row.thing),)

    def _pane(self) -> Sequence[Effect]:
        if self.pane == "owed" and not self.feeds:
            return (Say("no source from outside is known: a [[feed]] names a file and who needs it"),)
        self.pane = "feeds" if self.pane == "owed" else "owed"
        return ()

    def _basis(self) -> Sequence[Effect]:
        if self.pane == "feeds":
            return (
                Say(
                    "margins are measured: from the arrival to the start of the first run that needs it, last 20 dates"
                ),
            )
        self.basis = not self.basis
        return ()

    def _waive(self) -> Sequence[Effect]:
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

    def _actions(self) -> Sequence[Effect]:
        d = self.here
        if d is None:
            return (Say("no arrival of it is promised: there is nothing to do here"),)
        row = self.context.reader.pipeline(d.row.thing) if d.row.pipeline_id is not None else None
        off = None if self._acting else "this terminal is read-only" if self.context.read_only else "nobody is watching"
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

    def _copy(self) -> Sequence[Effect]:
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
        said = words.plain(owed.sentence(r, self.context.timezone, self.context.now()))
        entries = [
            Entry("s", "sentence", Copy(f"{clean(r.name)}: {said}", "the sentence"), cut(said, 60)),
            Entry("i", "key", Copy(r.thing, "the key"), clean(r.thing)),
            Entry("o", "occurrence", Copy(r.key, "the key of what is owed"), clean(r.key)),
            Entry("u", "run", Copy(r.run_key or "", "the run's key"), clean(r.run_key or ""), None if r.run_key else "no run counts yet"),
        ]  # fmt: skip
        self.menu = Menu("Copy", f"of {clean(r.name)}", entries)
        return ()

    def _arm(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self._source(self.here) if self.here is not None else None, self.head)

    def _ack(self) -> Sequence[Effect]:
        d, s = self.here, self.feed_here
        thing = d.row.thing if d is not None else f"feed:{s.feed.name}" if s is not None else None
        if thing is None:
            return ()
        name = clean(d.row.name if d is not None else thing.partition(":")[2])
        found = self.alert_of(thing)
        return self.ack(found[0], name, found[1]) if found else self.ack(None, name)

    # --- the filter -------------------------------------------------------------------------------------------------

    @property
    def filter_text(self) -> str:
        return self.filter.text

    def set_filter(self, text: str) -> None:
        try:
            self.filter = parse(text, deadlines.state_words, deadlines.FIELDS)
            self.filter_error = None
        except FilterError as error:
            self.filter_error = str(error)
            return
        self.pane = "owed" if text else self.pane
        self._order()

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.head is None:
            self.load()
        assert self.head is not None
        now = self.context.now()
        return {
            **frame.head_data(self.head, now),
            "engine_alive": self.context.engine_alive,
            "since": now - SPAN,
            "until": now + SPAN,
            "promises": {state.name.lower(): n for state, n in deadlines.counts(self.all).items()},
            "calibration": None if self.right is None else asdict(self.right),
            "owed": self.rows(),
            "feeds": [margins.feed_record(s) for s in self.feeds],
            "warnings": [asdict(w) for w in self.warnings],
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        now = self.context.now()
        return [deadlines.record(d, now) for d in self.rows_shown]


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
