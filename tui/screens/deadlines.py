"""Deadlines: what is owed, by when, and will it make it; how that is reckoned; and the margins of what comes from outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar

from adapters.model import Owed
from engine.store.rows import Calibration, EdgeRow, FeedRow, OwedRow, OwedWarning
from tui import keymap
from tui.present import deadlines, frame, lines, margins, reckoned, row_facts, words
from tui.present import deadlines_panes as panes
from tui.present.cut import clean
from tui.present.deadlines import Due, Grid
from tui.present.frame import Head
from tui.present.head import refresh_word
from tui.present.margins import Source
from tui.screens import window
from tui.screens.due_menus import DueMenus
from tui.screens.lists import Handler, ListScreen
from tui.screens.owed_pane import OwedPane
from tui.view import Context, Effect, Line, Say, Span

SPAN = words.DAY
"""So far back and ahead."""
CALIBRATED = 30 * words.DAY
MOST = 5_000
"""Promises that are read at most, the worst first."""
MANY, MANY_MS = 1_000, 5_000
"""More promises than this are read again every five seconds at most."""
_READ = ("owed", "pipeline", "source", "health")
"""Topics of what a row holds."""
_OF_ROW = frozenset({"owed.waive", "owed.basis", "run.last"})


class DeadlinesView(DueMenus):
    """``arg``: the occurrence key, or the key of a thing, that the cursor starts on."""

    name: ClassVar[str] = "deadlines"
    title: ClassVar[str] = "Deadlines"
    contexts: ClassVar[tuple[str, ...]] = ("deadlines", "list", "global")
    topics: frozenset[str] = frozenset({"engine", "source", "health", "pipeline", "run", "owed", "alert", "arm"})
    ticks: ClassVar[bool] = True
    fields: ClassVar[Sequence[str]] = deadlines.FIELDS
    numbers: ClassVar[Sequence[str]] = ("late", "due")
    of_a_row: ClassVar[frozenset[str]] = (ListScreen.of_a_row | _OF_ROW) - {"view.pane"}  # panes turn without a row

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.all: list[Due] = []
        self.rows_shown: list[Due] = []
        self.feeds: list[Source] = []
        self.warnings: list[OwedWarning] = []
        self.edges: list[EdgeRow] = []
        self.right: Calibration | None = None
        self.pane = "owed"
        """``owed``, or ``feeds``: Sources and margins."""
        self.basis: OwedPane | None = None
        """Over the lower rows: where each number of a promise comes from."""
        self.moved = False
        """Whether the operator moved; until then the cursor stays on the first row, whatever comes to stand there."""
        self.cursor: str | None = arg
        self.feed: str | None = None
        self.bare = arg is None
        self._wish = arg
        self._culprit = ""
        self._top = [0, 0]
        self._read: object = None
        self._read_at = 0
        self._judged: object = None
        self._days = False
        """Whether some row is due on another day: then the column of due times says which."""
        self._things: dict[str, Due] = {}
        self.counted: dict[Owed, int] = {}
        self.date = ""
        self._found: list[OwedRow] = []
        self._feeds: list[FeedRow] = []

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The head always (small); promises where they moved or a minute passed; who is blind is judged each time."""
        reader, now = self.context.reader, self.context.now()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        read = (*(topics.get(t) for t in _READ), now // words.MINUTE)
        many = len(self._found) > MANY and now - self._read_at < MANY_MS
        if read != self._read and not many:
            self._read, self._read_at = read, now
            self._found = reader.owed(now - SPAN, now + SPAN, limit=MOST)
            self.warnings, self.edges = reader.owed_warnings(), reader.edges()
            self.right = reader.calibration(now - CALIBRATED)
            self._feeds = reader.feeds()
            self._judged = None
        silent = frame.silent(self.context, self.head.engine)
        seen = tuple((s.id, s.stale(now), s.last_ok if s.stale(now) else None) for s in self.head.sources)
        if self._judged != (seen, silent):
            self._judged = (seen, silent)
            self._judge(silent)

    def _judge(self, silent: bool) -> None:
        """Who can vouch for each, then the order; only where promises or sources moved."""
        assert self.head is not None
        now, tz = self.context.now(), self.tz
        by_id = {s.id: s for s in self.head.sources}
        blind_feeds = {f"feed:{f.name}": f.looked for f in self._feeds if f.error}
        since = frame.silent_since(self.context, self.head.engine)
        stale = {s.id for s in self.head.sources if s.stale(now)}
        found: list[Due] = []
        for r in self._found:
            if not deadlines.wanted(r):
                continue
            s = by_id.get(r.source_id) if r.source_id is not None else None
            unsure = silent or (s.id in stale if s is not None else r.thing in blind_feeds)
            seen = s.last_ok if s is not None else since if silent else blind_feeds.get(r.thing)
            row, later = (r, 0) if unsure else deadlines.carried(r, now)
            found.append(Due(row, unsure and r.state.unsettled, seen, later))
        self.all = sorted(found, key=deadlines.place)
        self.counted = deadlines.counts(self.all)
        self.date = panes.business_date(self.all, now)
        self._days = any(words.clock(d.row.due, tz, now)[0].isalpha() for d in self.all)
        self._things = {}
        for d in self.all:
            self._things.setdefault(d.row.thing, d)
        arrivals: dict[str, OwedRow] = {}
        for d in sorted((d for d in self.all if d.row.type == "source_arrival"), key=lambda d: abs(d.row.due - now)):
            arrivals.setdefault(d.row.thing, d.row)
        feeds = (Source(f, arrivals.get(f"feed:{f.name}"), silent) for f in self._feeds)
        self.feeds = sorted(feeds, key=lambda s: s.place)
        self._order()

    def _order(self) -> None:
        at = self._index()
        if self.filter:
            now = self.context.now()
            self.rows_shown, self._culprit = self.filter.sift(
                self.all, lambda d: (deadlines.facts(d), partial(row_facts.number, r=None, owed=d.row, now=now))
            )
        else:
            self.rows_shown = deadlines.folded(self.all, self.context.now(), self._wanted())
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

    def _wanted(self) -> str | None:
        """The occurrence that must not be folded away: the one that was asked for, or that is under the cursor."""
        keys = {d.row.key for d in self.all}
        return self._wish if self._wish in keys else self.cursor if self.moved else None

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
            return frame.tiny(
                ctx,
                head,
                self._verdict(),
                self._tiny_names(height - 3),
                width,
                height,
                self._footer(width) if self.typing else None,
            )
        top: list[Line] = [frame.band_row(ctx, head, self.title, width)]
        if frame.silent(ctx, head.engine):
            top += frame.silent_rows(ctx, head, self._verdict(), width)
        else:
            top.append(
                panes.verdict_row(
                    self.counted, self.date, frame.blind(head.sources, ctx.now()), self.tz, ctx.now(), width
                )
            )
        if not frame.is_narrow(width):
            top.append([(" " * width, "")])
        room = height - len(top) - 1
        body = self._body(width, room)
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _verdict(self) -> frame.Verdict:
        """For the rows that know nothing of promises: what is broken here."""
        n = self.counted
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
        warned = panes.warned(self.warnings, width, 1 if room < 24 else 2 if room < 40 else 5)
        most = max(room // 4, 6)
        below = self._below(width, most)
        # as much as the lower pane may need, so that the rows stand still while the cursor goes over them
        table_room = room - sum(n + len(gap) for n in (len(warned), most if below else 0) if n)
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
        now, tz = self.context.now(), self.tz
        total = len(self.rows_shown)
        rows = max(room - 2, 1)
        self.page = rows
        at = self._index()
        self._top[0] = first = window(self._top[0], at, rows, total)
        hint = f"{first + 1}–{min(first + rows, total)} of {total}" if total > rows else ""
        note = (
            self.filter_note(str(total), str(len(self.all)))
            if self.filter
            else "by due time, worst first · 24 hours back and ahead"
        )
        more = sum(d.more for d in self.rows_shown)
        note += f" · {more} more ticks folded, / lists them" if more and not frame.is_narrow(width) else ""
        note += " · times in UTC" if self.utc else ""
        note += f" · the first {words.count(MOST)} only" if len(self._found) >= MOST else ""
        out: list[Line] = [lines.rule("Owed", note, hint, width, focused=True)]
        if not total:
            if self.filter:
                return [*out, *self.empty_rows("no promise is like that", self._culprit)]
            return [*out, [("   nothing is known to be due from yesterday to tomorrow", "dim")]]
        grid = Grid.of(width, self._days)
        out.append(lines.head(grid.columns))
        for i, d in enumerate(self.rows_shown[first : first + rows], first):
            line = deadlines.due_row(d, grid, tz, now, here=i == at)
            out.append(lines.cursor(line, width) if i == at else line)
        return out

    def _feed_table(self, width: int, room: int) -> list[Line]:
        now, tz = self.context.now(), self.tz
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
        now, tz = self.context.now(), self.tz
        if self.pane == "feeds":
            s = self.feed_here
            if s is None:
                return []
            title = lines.rule(clean(s.feed.name), "what comes from outside", "margin of its consumers", width)
            return [title, *panes.facts(margins.feed_facts(s, tz, now), width)][:most]
        d = self.here
        if d is None:
            return []
        title = lines.rule(clean(d.row.name), reckoned.title_note(d.row), "how it is reckoned", width)
        facts = reckoned.reckoning(d, self._things, self.edges, self.right, tz, now)
        return [title, *panes.facts(facts, width)][:most]

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{len(self.rows_shown)} shown")
        if frame.silent(self.context, self.head.engine if self.head else None):
            ids = ["app.refresh", "screen.sources", "list.open", "view.pane", "list.filter", "app.quit"]
            said = {
                "app.refresh": refresh_word(self.context),
                "screen.sources": "why",
                "list.open": "story",
                "view.pane": self._other,
            }
            return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)
        d = self.here
        ids = ["list.open"] if self.length else []
        if self.pane == "owed" and d is not None:
            ids += ["owed.basis"]
            if self.acting:
                ids += ["owed.waive", "alert.ack", "action.menu"]
        if self.feeds or self.pane == "feeds":
            ids.append("view.pane")
        ids += ["list.filter", "copy.menu", "screen.timeline", "screen.floor", "nav.back", "app.quit"]
        said = {
            "list.open": "story" if self.pane == "owed" else "its arrival", "view.pane": self._other,
            "owed.waive": "undo waiver" if d is not None and d.row.state is Owed.WAIVED else "waive",
        }  # fmt: skip
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    @property
    def _other(self) -> str:
        return "promises" if self.pane == "feeds" else "sources, margins"

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "run.last": self.open_run,
            "run.log": lambda: self.with_run("log"),
            "run.history": self.history,
            "view.pane": self._pane,
            "owed.basis": self._basis,
            "owed.waive": self.waive,
            "time.zone": self._zone,
            "action.menu": self.actions_menu,
            "action.arm": self.arm_here,
            "alert.ack": self.ack_here,
            "copy.menu": self.copy_menu,
        }

    def act(self, action: str) -> Sequence[Effect]:
        if self.basis is not None:
            pane, self.basis = self.basis, None
            if pane.takes(action):
                return ()
            if pane.scroll(action):
                self.basis = pane
                return ()
        if action in self.of_a_row:
            self.moved = True  # what was looked at or asked about stays under the cursor
        return super().act(action)

    def under_menu(self, body: Sequence[Line], width: int, room: int) -> list[Line]:
        if self.basis is None:
            return super().under_menu(body, width, room)
        return self.basis.over(body, width, room, self.tz, self.context.now())

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
        return self.open_run()

    def _pane(self) -> Sequence[Effect]:
        if self.pane == "owed" and not self.feeds:
            return (Say("no source from outside is known: a [[feed]] names a file and who needs it"),)
        self.pane = "feeds" if self.pane == "owed" else "owed"
        return ()

    def _zone(self) -> Sequence[Effect]:
        self.utc = not self.utc
        self._judged = None
        self.load()
        return (Say("times are in UTC now" if self.utc else f"times are in {words.zone_word(self.tz)} now"),)

    def _basis(self) -> Sequence[Effect]:
        if self.pane == "feeds":
            return (
                Say(
                    "margins are measured: from the arrival to the start of the first run that needs it, last 20 dates"
                ),
            )
        d = self.here
        if d is not None:
            self.basis = OwedPane(d.row, clean(d.row.name))
        return ()

    # --- the filter -------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        if self.read_filter(text):
            self.pane = "owed" if text else self.pane
            self._order()

    @staticmethod
    def filter_states() -> frozenset[str]:
        return deadlines.state_words()

    def filter_values(self, fact: str) -> Iterable[str]:
        rows = [deadlines.facts(d) for d in self.all]
        return {d.row.type for d in self.all} if fact == "kind" else row_facts.values(fact, rows)

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
            "promises": {state.name.lower(): n for state, n in self.counted.items()},
            "calibration": None if self.right is None else asdict(self.right),
            "owed": self.rows(),
            "feeds": [margins.feed_record(s) for s in self.feeds],
            "warnings": [asdict(w) for w in self.warnings],
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        now = self.context.now()
        return [deadlines.record(d, now) for d in (self.rows_shown if self.filter else self.all)]
