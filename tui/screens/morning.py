"""Morning check: the night in one list, exceptions first; each line has its evidence, a person disposes of exceptions and signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from adapters.model import Verb
from engine.store.rows import OwedRow, SourceRow
from tui import keymap
from tui.present import frame, lines, morning, words
from tui.present.cut import clean, cut, pad
from tui.present.field import Field
from tui.present.frame import Head
from tui.present.glyphs import Look
from tui.present.menu import Entry, Menu
from tui.present.morning import Night
from tui.present.morning_item import Item, Tick
from tui.screens import VERB_OF, answered, open_plan, window
from tui.screens.lists import Handler, ListScreen
from tui.screens.owed_pane import OwedPane
from tui.view import Context, Copy, Effect, Line, Open, Request, Say, Span

FRESH_MS = 5_000
"""The night is asked again at most so often while it stands on the screen."""
_LOOKS = {
    Tick.BAD: Look("✗", "X", "look", "run-failed b"),
    Tick.BLIND: Look("?", "?", "unseen", "run-stale b"),
    Tick.NOTE: Look("·", ".", "noted", "dim"),
    Tick.FINE: Look("✓", "+", "fine", "run-ok"),
}
_DONE = Look("✓", "+", "answered", "run-ok")
SEEN = "seen"
"""The answer of who only presses Enter."""


def _quiet(items: Sequence[Item]) -> str:
    """``3 fine · 11 noted``: what was looked at and wants nothing. A line that is only noted is not said to be fine."""
    fine, noted = (sum(i.tick is tick for i in items) for tick in (Tick.FINE, Tick.NOTE))
    return f"{fine} fine" + (f" · {noted} noted" if noted else "")


class MorningView(ListScreen):
    """Answers stay with the terminal until they are signed, also when another screen is looked at meanwhile."""

    name: ClassVar[str] = "morning"
    title: ClassVar[str] = "Morning check"
    contexts: ClassVar[tuple[str, ...]] = ("morning", "list", "global")
    topics: frozenset[str] = frozenset({"engine", "source", "health", "pipeline", "run", "alert", "owed", "arm"})
    ticks: ClassVar[bool] = True
    of_a_row: ClassVar[frozenset[str]] = ListScreen.of_a_row | {"morning.answer", "run.last"}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.night: Night | None = None
        self.cursor: str | None = None
        self.answering: str | None = None
        """Id of the line whose answer is being typed."""
        self.basis: OwedPane | None = None
        """Over the lower rows: where each number of the cursor's promise comes from."""
        self._read = -FRESH_MS
        self._top = 0

    @property
    def answers(self) -> dict[str, str]:
        return self.context.extra.setdefault("morning.answers", {})

    def load(self) -> None:
        """The head; the night too when it is five seconds old."""
        ctx = self.context
        self.head = Head.read(ctx)
        if self.night is None or ctx.now() - self._read >= FRESH_MS:
            self._read = ctx.now()
            self.night = morning.look(ctx.reader, ctx.now(), ctx.timezone, alive=ctx.engine_alive)
        ids = [i.id for i in self.night.items]
        if self.cursor not in ids:
            self.cursor = ids[0] if ids else None

    # --- the list ---------------------------------------------------------------------------------------------------

    @property
    def items(self) -> Sequence[Item]:
        return self.night.items if self.night else ()

    @property
    def here(self) -> Item | None:
        return next((i for i in self.items if i.id == self.cursor), None)

    def about(self) -> str | None:
        """The run of the line under the cursor, else its pipeline or source; of a feed, a heartbeat or a set nothing."""
        item = self.here
        if item is None or item.key is None:
            return None
        kind, _, name = item.key.partition(":")
        return item.run or {"source": name, "feed": None, "ping": None, "set": None}.get(kind, item.key)

    @property
    def length(self) -> int:
        return len(self.items)

    def move(self, by: int) -> None:
        ids = [i.id for i in self.items]
        if ids:
            at = ids.index(self.cursor) if self.cursor in ids else 0
            self.cursor = ids[min(max(at + by, 0), len(ids) - 1)]

    def open_questions(self) -> list[Item]:
        """Exceptions that nobody has answered yet."""
        return [i for i in (self.night.exceptions if self.night else ()) if i.id not in self.answers]

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None or self.night is None:
            self.load()
        assert self.head is not None
        assert self.night is not None
        ctx, night = self.context, self.night
        if frame.is_tiny(width, height):
            names = [self._line(i, width) for i in night.exceptions]
            return frame.tiny(ctx, self.head, frame.verdict_of(self.head.counts), names, width, height)
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width), self._verdict(width)]
        if frame.silent(ctx, self.head.engine):
            top = [
                *frame.head_rows(ctx, self.head, frame.verdict_of(self.head.counts), self.title, width),
                self._verdict(width),
            ]
        gap: list[Line] = [] if frame.is_narrow(width) else [[(" " * width, "")]]
        room = height - len(top) - len(gap) - 1
        detail = self._detail(width)
        body = self._table(width, max(room - len(detail) - len(gap), 3))
        body += [*gap, *detail]
        return frame.page(ctx, [*top, *gap], self.under_menu(body, width, room), self._footer(width), width, height)

    def _verdict(self, width: int) -> Line:
        night, tz, now = self.night, self.context.timezone, self.context.now()
        assert night is not None
        wants, open_ = len(night.exceptions), len(self.open_questions())
        left: list[Span] = [(" ", "")]
        if open_:
            left.append(frame.chip(words.many(open_, "exception"), "run-stale" if night.blind else "run-failed"))
        elif wants:
            left.append((f"All {words.many(wants, 'exception')} answered", "run-ok b"))
        else:
            left.append(("All as owed", "run-ok b"))
        left.append((f"   {_quiet(night.items)}", "text"))
        by = f", signed by {night.signed}" if night.signed else ", never signed so far"
        left.append((f"   since {words.clock(night.since, tz, now)}{by}", "dim"))
        return lines.fit(left, width)

    def _line(self, item: Item, width: int) -> list[Span]:
        answer = self.answers.get(item.id)
        look = _DONE if answer is not None and item.tick.wants else _LOOKS[item.tick]
        name = 24 if frame.is_narrow(width) else 30
        said: list[words.Clause] = [clean(answer)] if answer is not None else []
        said += [[(part, "text")] for part in item.said if part]
        line: list[Span] = [
            (" ", ""), (look.glyph, look.style), ("  ", ""), (pad(look.word, 9), look.style),
            (pad(cut(item.name, name), name), "text b" if item.tick.wants or item.id == self.cursor else "text"), (" ", ""),
        ]  # fmt: skip
        return [*line, *words.sentence(said, width - lines.cells(line) - 1)]

    def _table(self, width: int, room: int) -> list[Line]:
        night = self.night
        assert night is not None
        wants = len(night.exceptions)
        out: list[Line] = []
        rows: list[tuple[Item | None, Line]] = []
        if wants:
            hint = f"{keymap.key_of('morning.answer')} answer · {keymap.key_of('list.open')} look"
            rows.append((None, lines.rule("Exceptions", str(wants), hint, width, focused=True)))
            rows += [(i, self._line(i, width)) for i in night.exceptions]
        rest = [i for i in night.items if not i.tick.wants]
        rows.append(
            (
                None,
                lines.rule(
                    "Looked at",
                    _quiet(rest),
                    "" if wants else f"{keymap.key_of('morning.sign')} sign off",
                    width,
                    focused=not wants,
                ),
            )
        )
        rows += [(i, self._line(i, width)) for i in rest]
        at = next((n for n, (i, _) in enumerate(rows) if i is not None and i.id == self.cursor), 0)
        self.page = max(room - 1, 1)
        self._top = window(0 if at < room else self._top, at, room, len(rows))
        for item, line in rows[self._top : self._top + room]:
            here = item is not None and item.id == self.cursor
            out.append(lines.cursor(line, width, mono=self.context.mono) if here else lines.fit(line, width))
        return out

    def _detail(self, width: int) -> list[Line]:
        """All that is known of the line under the cursor, whole."""
        item = self.here
        if item is None:
            return []
        tz, now = self.context.timezone, self.context.now()
        since = f"since {words.clock(item.since, tz, now)}" if item.since is not None else item.section
        out: list[Line] = [lines.rule(cut(item.name, 40), since, "", width)]
        text = " · ".join(part for part in item.said if part)
        room = max(width - 3, 20)
        for _ in range(3 if frame.is_narrow(width) else 4):
            if not text:
                break
            part = cut(text, room) if len(out) == (3 if frame.is_narrow(width) else 4) else text[:room]
            if part == text[:room] and len(text) > room and " " in part:
                part = part[: part.rfind(" ")]
            out.append([("   ", ""), (part.strip(), "text")])
            text = text[len(part) :] if not part.endswith("…") else ""
        if (answer := self.answers.get(item.id)) is not None:
            out.append([("   ", ""), ("answer  ", "dim"), (clean(answer), "text b")])
        elif item.tick.wants:
            key = keymap.key_of("morning.answer")
            out.append(
                [
                    ("   ", ""),
                    (key, "key b"),
                    (f" answers it; once all are answered {keymap.key_of('morning.sign')} signs", "dim"),
                ]
            )
        return out

    def _footer(self, width: int) -> Line:
        if self.field is not None and self.answering is not None:
            return frame.footer_row(
                [], width, left=[("answer ", "key b"), *self.field.spans(max(width // 2, 20)), ("  Enter: ", "dim"), (self.field.text or SEEN, "dim")],
                typed=bool(self.field.text),
            )  # fmt: skip
        item = self.here
        ids = ["list.open", "morning.answer"] if item is not None and item.tick.wants else ["list.open"]
        if not self.open_questions():
            ids.insert(0, "morning.sign")
        ids += ["run.log", "run.rerun", "alert.ack", "owed.waive", "owed.basis", "copy.menu", "nav.back"]
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "morning.answer": self._answer,
            "morning.sign": self._sign,
            "list.open": self._open,
            "run.last": self._open,
            "run.log": lambda: self._of_run("log"),
            "run.history": lambda: self._of_run("history"),
            "alert.ack": self._ack,
            "owed.waive": self._waive,
            "owed.basis": self._basis,
            "action.arm": self._arm,
            "action.menu": self._open,
            "copy.menu": self._copy,
            "app.refresh": self._again,
        }

    def _again(self) -> Sequence[Effect]:
        self._read = -FRESH_MS
        self.load()
        return (Say("looked again"),)

    def _answer(self) -> Sequence[Effect]:
        item = self.here
        if item is None or not item.tick.wants:
            return (Say("this line is fine: it wants no answer"),)
        self.answering = item.id
        self.field = Field(self.answers.get(item.id, ""))
        return ()

    def _in_field(self, action: str) -> bool:
        if action in ("list.open", "edit.enter") and self.field is not None and self.answering is not None:
            self.answers[self.answering] = " ".join(self.field.text.split()) or SEEN
            self.field, self.answering = None, None
            if questions := self.open_questions():
                self.cursor = questions[0].id
            return True
        if action in ("nav.back", "edit.escape"):
            self.field, self.answering = None, None
            return True
        return False

    def set_filter(self, text: str) -> None:
        """The field holds an answer here, no filter."""

    def _sign(self) -> Sequence[Effect]:
        night = self.night
        assert night is not None
        questions = self.open_questions()
        if questions:
            self.cursor = questions[0].id
            key = keymap.key_of("morning.answer")
            return (Say(f"{words.many(len(questions), 'exception')} still without an answer: {key} answers", "warn"),)
        if self.context.read_only:
            return (Say("this terminal is read-only: nothing can be signed", "warn"),)
        if not self.context.engine_alive:
            return (Say("nobody is watching: a sign-off cannot be recorded; Ctrl+R starts the engine", "warn"),)
        body = {
            "since": night.since, "well": night.well,
            "lines": [morning.record(i, self.answers.get(i.id)) for i in night.items],
        }  # fmt: skip
        return (Request("signoff", body, tag="signoff"),)

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        if tag != "signoff" or error is not None:
            return answered(tag, self.asked, error)
        self.answers.clear()
        self._read = -FRESH_MS
        self.load()
        return (Say("signed off: the next check begins here"),)

    def _open(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        if item.run is not None:
            return (Open("run", item.run),)
        if item.key is None:
            return (Say("there is nothing more to this line"),)
        if item.key.startswith("source:"):
            return (Open("sources", item.key.partition(":")[2]),)
        if item.section == "deadlines" or item.key.partition(":")[0] in ("feed", "ping", "set"):
            return (Open("deadlines", item.key),)
        return (Open("runs", item.key) if ":" in item.key else Open("sources", item.key),)

    def _of_run(self, what: str) -> Sequence[Effect]:
        item = self.here
        if item is None or item.key is None or item.key.startswith("source:"):
            return (Say("this line is about no pipeline"),)
        if what == "history" or item.run is None:
            return (Open("history", item.key),)
        return (Open("log", item.run),)

    def _owed(self) -> OwedRow | None:
        item = self.here
        return None if item is None or item.key is None else self.context.reader.owed_now().get(item.key)

    def _ack(self) -> Sequence[Effect]:
        item = self.here
        if item is None or item.key is None:
            return (Say("this line has no alert"),)
        thing = item.key.partition(":")[2] if item.key.startswith("source:") else item.key
        found = self.alert_of(thing)
        return self.ack(found[0], item.name, found[1]) if found else self.ack(None, item.name)

    def _waive(self) -> Sequence[Effect]:
        row = self._owed()
        return (Open("waive", row.key),) if row is not None else (Say("nothing is owed here that could be waived"),)

    def _basis(self) -> Sequence[Effect]:
        row = self._owed()
        if row is None:
            return (Say("no number here is declared or learnt"),)
        self.basis = OwedPane(row, clean(row.name))
        return ()

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

    def _source(self) -> SourceRow | None:
        item = self.here
        name = "" if item is None or item.key is None else item.key.removeprefix("source:").partition(":")[0]
        return next((s for s in (self.head.sources if self.head else ()) if s.name == name), None)

    def _arm(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self._source(), self.head)

    def verb(self, action: str) -> Sequence[Effect]:
        item = self.here
        if item is None or item.key is None or self._source() is None:
            return (Say("this line is about no pipeline"),)
        verb = VERB_OF[action]
        of_run = verb in (Verb.RERUN, Verb.RERUN_FAILED, Verb.STOP, Verb.HOLD, Verb.RELEASE, Verb.MARK)
        if of_run and item.run is None:
            return (Say(f"{item.name} has no run to {verb}"),)
        return (
            open_plan(verb, item.run if of_run and item.run else item.key, item.name, self._source(), self.context),
        )

    def _copy(self) -> Sequence[Effect]:
        item = self.here
        if item is None:
            return ()
        text = f"{item.name}: {' · '.join(item.said)}"
        entries = [
            Entry("l", "line", Copy(text, "the line"), text[:60]),
            Entry("k", "key", Copy(item.key or "", "the key"), item.key or "", None if item.key else "it has none"),
        ]
        self.menu = Menu("Copy", f"of {cut(item.name, 30)}", entries)
        return ()

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.night is None:
            self.load()
        night = self.night
        assert night is not None
        return {
            "since": night.since, "until": night.until, "signed": night.signed, "well": night.well, "blind": night.blind,
            "exceptions": len(night.exceptions), "lines": self.rows(),
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        if self.night is None:
            self.load()
        return [morning.record(i, self.answers.get(i.id)) for i in self.items]
