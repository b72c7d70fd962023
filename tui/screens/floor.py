"""The Floor: every pipeline once, problems first, each with a sentence and the next key."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from adapters.model import Verb
from engine.store.rows import FloorRow
from tui import keymap
from tui.present import floor, frame, host_row, lines, owed, row_facts, words
from tui.present.cut import clean
from tui.present.filters import Facts, Number
from tui.present.floor import Item
from tui.present.floor_owed import NOTHING, Owing
from tui.present.floor_rows import Grid, problem_row, table_row
from tui.present.frame import Head
from tui.present.glyphs import LOOKS
from tui.present.head import source_now
from tui.screens import VERB_OF, window
from tui.screens.empty import empty_rows
from tui.screens.floor_menu import FloorMenus
from tui.screens.lists import Handler
from tui.screens.marks import Row
from tui.view import Context, Effect, Line, Say, Span

STILL_MS = 3000
"""The order stands still for so long after the cursor moved."""
JUDGE_MS = 10_000
"""How often what only time changes (a run growing long) is judged anew."""
_ROW_TOPICS = ("pipeline", "alert", "source", "run")
"""Topics of what a row holds; the last one moves most, and says itself which pipelines it means."""
_OF_ROW = frozenset(VERB_OF) | {
    "list.open", "run.log", "run.history", "action.menu", "alert.ack", "copy.menu", "owed.basis", "owed.waive",
}  # fmt: skip
SAME_MS = 100
"""Rows that moved so lately are read again: two commits may bear the same millisecond."""
_STATES = frozenset(look.word for look in (*LOOKS.values(), *owed.LOOKS.values())) | {
    "long", "paused", "disabled", "gone", "no runs", "stale", "unknown", "success", "timed_out", "checking", "unproved",
}  # fmt: skip


def moved_rows(old: Sequence[str], new: Sequence[str]) -> int:
    """How many rows would change their place: all but the longest run that keeps its order."""
    place = {key: i for i, key in enumerate(new)}
    tails: list[int] = []
    for key in old:
        i = place.get(key)
        if i is None:
            continue
        at = bisect_left(tails, i)
        tails[at : at + 1] = [i]
    return len(new) - len(tails)


class FloorView(FloorMenus):
    """``arg`` ``!`` puts the cursor on the first problem."""

    name: ClassVar[str] = "floor"
    title: ClassVar[str] = "Floor"
    contexts: ClassVar[tuple[str, ...]] = ("floor", "list", "global")
    topics: frozenset[str] = frozenset(
        {"engine", "source", "health", "pipeline", "run", "step", "alert", "arm", "sample", "owed", "item"}
    )
    ticks: ClassVar[bool] = True
    marks_what: ClassVar[str] = "pipelines"

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.bare = arg is None
        self.owing: Owing = NOTHING
        self._row_of: dict[int, FloorRow] = {}
        self._item_of: dict[int, Item] = {}
        self._marks: dict[int, int] = {}
        self.items: dict[str, Item] = {}
        self.all: list[Item] = []
        self.verdict = frame.Verdict()
        self.problems: list[str] = []
        self.table: list[str] = []
        self.cursor: str | None = None
        self.moved = False
        """Whether the operator moved; until then the cursor stays on the first row, whatever comes to stand there."""
        self.moved_at = -STILL_MS
        self.waiting = 0
        self._facts: dict[str, tuple[Item, Facts]] = {}
        self._tags: tuple[object, dict[int, str]] = (None, {})
        self._culprit = ""
        self._top = [0, 0]
        self._read: tuple[Any, ...] | None = None
        self._owed_read: tuple[int | None, ...] = ()
        self._judged: tuple[int, tuple[Any, ...], bool] = (0, (), False)

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Head always (small), rows only when they moved, judgement when rows, sources or enough time moved."""
        reader, now = self.context.reader, self.context.now()
        if self.head is None:
            self.start_view()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        read = tuple(topics.get(t) for t in _ROW_TOPICS)
        changed = self._read_rows(read)
        moved = self._read_owed((topics.get("owed"), topics.get("step")))
        if changed is not None:
            changed = {*changed, *moved}
        silent = frame.silent(self.context, self.head.engine)
        sources = tuple(
            (s.id, s.health, s.stale(now), s.last_ok if s.stale(now) else None, s.trouble) for s in self.head.sources
        )
        if changed is None or self._judged[1:] != (sources, silent) or now - self._judged[0] >= JUDGE_MS:
            self._judged = (now, sources, silent)
            self._judge(self._row_of, silent)
        elif changed:
            self._judge(changed, silent)

    def _read_owed(self, topic: tuple[int | None, ...]) -> Collection[int]:
        """What is owed, and what runs on after a step failed, when that moved: ids of the pipelines to judge anew, those that wait for what changed among them."""
        if topic == self._owed_read:
            return ()
        self._owed_read = topic
        before = self.owing
        self.owing = now = Owing.read(self.context.reader, before)
        keys = now.moved(before)
        ids = {i for i in (*now.checks, *before.checks) if now.checks.get(i) != before.checks.get(i)}
        # a problem's sentence names what waits behind it and which source is late: few, so all of them
        ids |= {i for i, item in self._item_of.items() if item.problem or item.key in keys}
        return ids & self._row_of.keys()

    def _read_rows(self, read: tuple[Any, ...]) -> Collection[int] | None:
        """Read what moved: ids of the pipelines whose run moved, or None when all were read."""
        before, self._read = self._read, read
        reader = self.context.reader
        if before is None or before[:-1] != read[:-1]:
            self._marks = reader.floor_marks()
            self._row_of = {r.id: r for r in reader.floor()}
            self._item_of = {}
            if before is None or before[0] != read[0]:
                self._owed_read, self.owing = (), NOTHING  # names and consumers of pipelines stand in promises too
            return None
        if before == read:
            return ()
        had, self._marks = self._marks, reader.floor_marks()
        newest = max(self._marks.values(), default=0) - SAME_MS
        moved = [i for i, at in self._marks.items() if at >= newest or had.get(i) != at]
        rows = reader.floor_rows(moved)
        self._row_of |= {r.id: r for r in rows if r.id in self._row_of}
        return [r.id for r in rows if r.id in self._row_of]

    def _judge(self, ids: Iterable[int], silent: bool) -> None:
        """Judge these pipelines, then put all in order."""
        assert self.head is not None
        now, sources = self.context.now(), self.head.sources
        by_id = {s.id: s for s in sources}
        for i in ids:
            row = self._row_of[i]
            self._item_of[i] = floor.judge_one(row, by_id.get(row.source_id), now, silent=silent, owing=self.owing)
        self.all = floor.arrange(self._item_of.values(), sources, now, silent=silent, owing=self.owing)
        self.items = {i.key: i for i in self.all}
        self.verdict = floor.verdict(self.all, now)
        self._order()

    def _item(self, key: str) -> Item:
        """An item with its source as it is now: its age is drawn from that."""
        item = self.items[key]
        source = self.head.source(item.source.name) if self.head is not None and item.source is not None else None
        return item if source is None or source is item.source else replace(item, source=source)

    def _order(self, at_once: bool = False) -> None:
        """Put the rows in order; while the operator moves they stay, only what is new comes at the end of its pane."""
        shown = self._passed() if self.filter else self.all
        plain = bool(self.filter) or self._silent
        problems = [i.key for i in shown if i.problem and not plain]
        table = [i.key for i in shown if plain or not i.problem]
        self.waiting = 0
        still = self.context.now() - self.moved_at < STILL_MS and not at_once
        if still and (self.problems or self.table):
            known = {*problems, *table}
            before = {*self.problems, *self.table}
            kept = [k for k in self.problems if k in known], [k for k in self.table if k in known]
            old_p = [*kept[0], *(k for k in problems if k not in before)]
            old_t = [*kept[1], *(k for k in table if k not in before)]
            self.waiting = moved_rows([*old_p, *old_t], [*problems, *table]) or int(len(old_p) != len(problems))
            problems, table = old_p, old_t
        at = self._index()
        self.problems, self.table = problems, table
        keys = self.keys
        if not self.moved or self.cursor is None:
            self.cursor = keys[0] if keys else None
        elif self.cursor not in keys and keys:
            self.cursor = keys[min(at, len(keys) - 1)]

    @property
    def keys(self) -> list[str]:
        """All rows in the order of the cursor: problems, then the table."""
        return [*self.problems, *self.table]

    def _index(self) -> int:
        try:
            return self.keys.index(self.cursor or "")
        except ValueError:
            return 0

    @property
    def here(self) -> Item | None:
        return self.items.get(self.cursor or "")

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        if self.waiting and self.context.now() - self.moved_at >= STILL_MS:
            self._order()
        ctx, head, silent = self.context, self.head, self._silent
        if frame.is_tiny(width, height):
            return frame.tiny(
                ctx,
                head,
                self.verdict,
                self._tiny_names(height - 3),
                width,
                height,
                self._footer(width) if self.typing else None,
            )
        if not head.sources and not self._row_of and not silent:
            top = [frame.band_row(ctx, head, self.title, width)]
            foot = frame.footer_row(
                keymap.footer(self.contexts, width, only=["screen.sources", "app.theme", "app.quit"]), width
            )
            body = empty_rows(width, height - 3)
            return frame.page(ctx, top, [*body, host_row.hosts_row(ctx, head, width)], foot, width, height)
        top = frame.head_rows(ctx, head, self.verdict, self.title, width)
        room = height - len(top) - 1
        body = self._panes(width, room)
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _tiny_names(self, room: int) -> list[list[Span]]:
        keys = self.keys
        self._top[0] = first = window(self._top[0], self._index(), max(room, 1), len(keys))
        out: list[list[Span]] = []
        for key in keys[first:]:
            item, here = self.items[key], key == self.cursor
            mark = ("▌", "mark") if here else (" ", "")
            out.append(
                [mark, (item.look.glyph, item.look.style), (" ", ""), (clean(item.name), "text b" if here else "text")]
            )
        return out

    def _panes(self, width: int, room: int) -> list[Line]:
        narrow, silent = frame.is_narrow(width), self._silent
        grid = Grid.of(width, due=self.owing.declared)
        gap = 0 if narrow else 1
        out: list[Line] = []
        n = len(self.problems)
        in_problems = self.cursor in self.problems
        if n and not silent:
            most = max(3, room * 3 // 10, room - len(self.table) - 3 - gap)
            shown = min(n, most)
            at = self.problems.index(self.cursor) if in_problems and self.cursor else 0
            self._top[0] = first = window(self._top[0], at, shown, n)
            note = str(n)
            if shown < n:
                note = f"{n} · first {shown}" if first == 0 else f"{n} · {first + 1}–{first + shown}"
            hint = "" if narrow else "since · what it means · next key"
            out.append(lines.rule("Problems", note + self._badge(in_problems), hint, width, focused=in_problems))
            for key in self.problems[first : first + shown]:
                out.append(self._marked(key, self._problem(self._item(key), grid, width)))
            if gap:
                out.append([(" " * width, "")])
        out += self._table(grid, width, room - len(out), focused=not in_problems)
        return out

    def _badge(self, here: bool) -> str:
        return f" · {self.waiting} moved · {keymap.key_of('list.sort')}" if self.waiting and here else ""

    def _table(self, grid: Grid, width: int, room: int, *, focused: bool) -> list[Line]:
        total = len(self.table)
        if room < 3:
            return []
        rows = room - 2
        at = self.table.index(self.cursor) if focused and self.cursor in self.table else 0
        self._top[1] = first = window(self._top[1], at, rows, total)
        self.page = rows
        hint = f"{first + 1}–{min(first + rows, total)} of {total}" if total > rows else ""
        out: list[Line] = [
            lines.rule("Pipelines", self._note(total) + self._badge(focused), hint, width, focused=focused)
        ]
        if not total:
            if self.filter:
                out += self.empty_rows("no pipeline is like that", self._culprit)
            elif not self.problems:
                out.append(
                    [
                        (
                            f"   {frame.no_pipeline(self.head.sources if self.head else ())}",
                            "dim",
                        )
                    ]
                )
            return out
        out.append(lines.head(grid.columns))
        tz, now = self.context.timezone, self.context.now()
        for key in self.table[first : first + rows]:
            item = self._item(key)
            if item.thing:  # it has no columns
                out.append(self._problem(item, grid, width))
                continue
            here = key == self.cursor
            about = words.plain(floor.story(item, self.all, tz, now)) if grid.about else ""
            line = table_row(item, grid, tz, now, here=here, about=about)
            out.append(self._marked(key, lines.cursor(line, width) if here else line))
        return out

    def _marked(self, key: str, line: Line) -> Line:
        return lines.marked(line) if key in self.marks else line

    def _note(self, total: int) -> str:
        hidden = "hidden by the filter" if self.filter else "gone"
        marks = self.marks.words(self.items.keys() if not self.filter else {*self.problems, *self.table}, hidden)
        marks = f"{marks} · " if marks else ""
        if self.filter:
            every = sum(i.row is not None or i.thing for i in self.all)
            return marks + self.filter_note(str(total), str(every))
        if self._silent:
            since = frame.silent_since(self.context, self.head.engine if self.head else None)
            return f"{marks}{total} · as of {words.clock(since, self.context.timezone, self.context.now())}"
        more = " more" if self.problems else ""
        beside = [n for key in self.table if (n := self.items[key].unjudged)]  # rows that are no pipeline
        also = f", {words.many(sum(beside), 'promise')}" if beside else ""
        return f"{marks}{total - len(beside)}{more}{also} · unknown, moving, waiting, done"

    def _problem(self, item: Item, grid: Grid, width: int) -> Line:
        tz, now = self.context.timezone, self.context.now()
        action, word = floor.next_step(item, self._acting)
        here = item.key == self.cursor
        clauses = floor.story(item, self.all, tz, now)
        line = problem_row(item, grid, width, clauses, tz, now, here=here, key=(keymap.key_of(action), word))
        return lines.cursor(line, width) if here else line

    # --- keys -------------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        return len(self.keys)

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "list.sort": self._sort,
            "view.pane": self._pane,
            "problem.first": self._first,
            "run.log": lambda: self._with_run("log"),
            "run.history": self._history,
            "run.diff": lambda: self._with_run("diff"),
            "action.menu": self._actions,
            "action.arm": self._arm,
            "alert.ack": self._ack,
            "copy.menu": self._copy,
            "owed.basis": self._basis,
            "owed.waive": self._waive,
        }

    def _touch(self) -> None:
        self.moved, self.moved_at = True, self.context.now()

    def move(self, by: int) -> None:
        keys = self.keys
        if keys:
            self.cursor = keys[min(max(self._index() + by, 0), len(keys) - 1)]
            self._touch()

    def act(self, action: str) -> Sequence[Effect]:
        if action in _OF_ROW:
            self.moved = True  # what was looked at or asked about stays under the cursor
        return super().act(action)

    def _sort(self) -> Sequence[Effect]:
        before = self.keys
        self._order(at_once=True)
        return (Say("the rows are in order already"),) if self.keys == before else ()

    def _pane(self) -> Sequence[Effect]:
        there = self.table if self.cursor in self.problems else self.problems
        if there:
            self.cursor = there[min(self._top[1] if there is self.table else 0, len(there) - 1)]
            self._touch()
        return ()

    def _first(self) -> Sequence[Effect]:
        if not any(i.problem for i in self.all):
            return (Say("there is no problem on the floor"),)
        if not self.problems:  # they stand in the table while a filter is on
            self.set_filter("")
        before = self.cursor
        self.cursor = self.problems[0] if self.problems else next(i.key for i in self.all if i.problem)
        self._touch()
        return (Say("this is the first problem"),) if self.cursor == before else ()

    # --- the filter -------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        if self.read_filter(text):
            self._order(at_once=True)

    @staticmethod
    def filter_states() -> frozenset[str]:
        return _STATES

    def filter_values(self, fact: str) -> Iterable[str]:
        return row_facts.values(fact, (self._asked(i, tags=fact == "tags") for i in self.all))

    def _asked(self, item: Item, *, tags: bool) -> Facts:
        """What a filter may ask of a row; made once for each judgement of it."""
        known = self._facts.get(item.key)
        if known is not None and known[0] is item and ("tags" in known[1]) >= tags:
            return known[1]
        facts = {fact: text.casefold() for fact, text in floor.facts(item).items()}
        if tags:
            facts["tags"] = self._tags_of(item.row.id if item.row is not None else 0)
        self._facts[item.key] = (item, facts)
        return facts

    def _tags_of(self, pipeline: int) -> str:
        """A tag is read only where a filter asks for it, and again when pipelines moved."""
        topic = None if self._read is None else self._read[0]
        if self._tags[0] != (topic,):
            self._tags = ((topic,), {t.id: t.tags.casefold() for t in self.context.reader.traits() if t.tags})
            self._facts = {}
        return self._tags[1].get(pipeline, "")

    def _passed(self) -> list[Item]:
        """The rows that the filter leaves; where it leaves none, which word took the last."""
        wanted, now, tags = self.filter, self.context.now(), self.filter.asks("tags")

        def row(item: Item) -> tuple[Facts, Number]:
            facts = self._asked(item, tags=tags)
            if item.key in self.marks:
                facts = {**facts, "is": f"{facts.get('is', '')} marked"}
            return facts, lambda name: row_facts.number(name, item.row, item.owed, source_now(item.source, now))

        out, self._culprit = wanted.sift(self.all, row)
        return out

    # --- marks ------------------------------------------------------------------------------------------------------

    def markable(self) -> Sequence[Row]:
        return [(k, self.items[k].name) for k in self.keys if self.items[k].row is not None]

    def mark_here(self) -> Row | None:
        item = self.here
        return (item.key, item.name) if item is not None and item.row is not None else None

    def bulk_keys(self, verb: str) -> tuple[str, list[str]]:
        """``p`` resumes and ``H`` releases only where every marked row stands; else it stops those that go."""
        asked = Verb(verb)
        rows = [(k, item.row if (item := self.items.get(k)) is not None else None) for k in self.marks.names]
        meant = {self._meant(asked, r) for _, r in rows if r is not None}
        word = meant.pop() if len(meant) == 1 else asked
        return word.value, [k if r is None else self._key(word, r) for k, r in rows]

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.head is None:
            self.load()
        assert self.head is not None
        now, tz = self.context.now(), self.context.timezone
        shown = [self.items[k] for k in self.keys]
        records = [floor.record(i, self.all, tz, now) for i in shown]
        return {
            **frame.head_data(self.head, now),
            "engine_alive": self.context.engine_alive,
            "broken": self.verdict.broken,
            "broken_since": self.verdict.since,
            "problems": [r for r in records if r["problem"]],
            "unjudged": [r for r, i in zip(records, shown, strict=True) if i.unjudged],
            "pipelines": [r for r, i in zip(records, shown, strict=True) if i.row is not None],
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        now, tz = self.context.now(), self.context.timezone
        return [floor.record(self.items[k], self.all, tz, now) for k in self.keys if self.items[k].row is not None]
