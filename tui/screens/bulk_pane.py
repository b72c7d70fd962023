"""What is seen of an action on several rows: the list, what must be given, how far it is. What it does is in bulk.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tui import keymap
from tui.present import bulk, frame
from tui.present.about import paper_of
from tui.present.bulk import ON_ITS_WAY, Row, Stage
from tui.present.cut import clean
from tui.present.dialog import LABEL, over, wrapped
from tui.present.field import Field
from tui.present.lines import cells, ends, finish, fit, merge
from tui.screens.marks import MOST, name_of
from tui.view import Context, Line, Span, View

REASON = 10
"""Letters of a reason."""
TITLES = {
    "start": "Start", "pause": "Pause the schedule of", "resume": "Resume the schedule of", "hold": "Hold", "release": "Release",
    "stop": "Stop", "rerun": "Rerun the whole of", "rerun-failed": "Rerun what failed in", "ack": "Acknowledge",
}  # fmt: skip


class BulkPane(View):
    """The rows of a bulk and where it stands, drawn over the screen it came from."""

    name: ClassVar[str] = "bulk"
    title: ClassVar[str] = "Bulk"
    contexts: ClassVar[tuple[str, ...]] = ("dialog", "global")

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.verb, *keys = (arg or "").split(" ")
        keys = [k for k in dict.fromkeys(keys) if k]
        self.refused = self._refused(keys)
        self.items = [Row(k, name_of(k)) for k in ([] if self.refused else keys)]
        self.going = False
        self.ended = False
        self.stopping = False
        self._ended_at = 0
        self.held: str | None = None
        """Why it stands and what a person can do; None: it goes on."""
        self._wrong = 0
        self._opened = context.now()
        self._fields: list[str] = []
        self._values = {"reason": Field(), "typed": Field()}
        self._focus = 0
        self._top = 0
        self._page = 10
        self._looked = False
        self._cramped = False
        self._phrase: str | None = None

    def _refused(self, keys: Sequence[str]) -> str | None:
        if not keys:
            return f"{self.verb or 'an action'} of several rows needs marks or a pattern: nothing was chosen"
        return f"{len(keys)} rows, {MOST} are the most for one confirmation" if len(keys) > MOST else None

    # --- what stands --------------------------------------------------------------------------------------------------

    @property
    def asking(self) -> bool:
        return any(r.stage is Stage.ASKING for r in self.items)

    @property
    def ready(self) -> list[Row]:
        return [r for r in self.items if r.stage is Stage.READY]

    @property
    def unarmed(self) -> str | None:
        """The environment that must be armed first."""
        return next((r.environment for r in self.ready if r.needs.get("armed")), None)

    @property
    def stop(self) -> str | None:
        """Why nothing can be confirmed now; None: it can."""
        if self.refused:
            return self.refused
        if self.asking:
            return None
        if not self.ready:
            return "none of them can be done"
        several = bulk.too_many(self.ready)
        if several is None and self.unarmed:
            return f"{self.unarmed} is protected and not armed by you"
        return several

    def given(self, name: str) -> bool:
        value = self._values[name].text
        return len(value.strip()) >= REASON if name == "reason" else value == self._phrase

    # --- painting -----------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        below = self.under.paint(width, height) if self.under is not None else [[(" " * width, "")]] * height
        inner = min(112, width - 6) if width > 60 else width - 2
        tight = height < 16
        shown = self._frame(self._body(inner - 4, height - (4 if tight else 6)), inner, tight)
        top = max(1, (height - len(shown)) // 2)
        left = max(0, (width - inner) // 2)
        out = list(below)
        for i, line in enumerate(shown):
            if top + i < height - 1:
                out[top + i] = over(out[top + i], line, left, inner, width)
        out[height - 1] = self._footer(width)
        return finish(out, width, height, ascii=self.context.ascii)

    def _frame(self, body: Sequence[Line], inner: int, tight: bool) -> list[Line]:
        rows = self.ready or self.items
        held = next((r for r in rows if r.protected), None)
        one = len({r.environment for r in rows}) == 1
        where = (held or rows[0]).environment if rows and (held or one) else ""
        color = str(held.plan.get("color") or "") if held else ""
        paper = paper_of(where, color, held is not None)
        title: list[Span] = [(f" {where.upper() or 'SEVERAL'} ", "b"), (bulk.noun(self.verb, len(self.items)), "")]
        title += [(" · protected", "")] if held else []
        title += [(" · blocked", "b")] if self.stop and not self.going else []
        kind = next((str(r.plan["class"]) for r in rows if r.plan.get("class")), "")
        head = ends(title, [(clean(kind), "b")], inner)
        out: list[Line] = [merge((t, f"{paper} {'b' if 'b' in s.split() else ''}".strip()) for t, s in head)]
        for line in body if tight else [[("", "")], *body, [("", "")]]:
            middle = [
                (t, f"{s} on:panel".strip() if "on:" not in s else s) for t, s in fit([("  ", ""), *line], inner - 2)
            ]
            out.append([(" ", paper), *middle, (" ", paper)])
        out.append([(" " * inner, paper)])
        return out

    def _body(self, room: int, space: int) -> list[Line]:
        n = len(self.items) if self.going or self.asking else len(self.ready)
        head: list[Line] = [
            [(f"{TITLES.get(self.verb, self.verb)} ", "text"), (bulk.noun(self.verb, n), "text b")],
            fit([*bulk.counted(self.items)], room),
        ]
        where = bulk.environments(self.items)
        if where:
            head.append(fit([("in  ", "dim"), *where], room))
        effect = "" if self.going or self.asking else bulk.one_effect(self.ready)
        if effect:
            head += wrapped("each will", [(effect, "text")], room)
        tail = [line for part in self._tail(room) for line in part]
        left = space - len(head) - len(tail)
        self._cramped = bool(self.items) and left < 3
        if self._cramped and not self.going:
            return [[("too small to act here: ", "run-late b"), ("make the terminal larger", "text")]]
        return [*head, *self._list(room, min(left, len(self.items) + 2), effect), *tail][:space]

    def _list(self, room: int, space: int, said: str) -> list[Line]:
        """The rows, as many as there is room for; while it goes the one that is being done is among them."""
        if not self.items or space < 3:
            return []
        self._page = page = space - 2
        at = next((i for i, r in enumerate(self.items) if r.stage in (*ON_ITS_WAY, Stage.LOST)), None)
        if at is not None and not self._looked:
            self._top = min(self._top, at) if at < self._top + page else at - page + 1
        self._top = first = min(max(self._top, 0), max(0, len(self.items) - page))
        name = bulk.name_cells(self.items, room, said)
        shown = [
            bulk.row_line(r, room, name, here=i == at, said=said)
            for i, r in enumerate(self.items[first : first + page], first)
        ]
        hidden = len(self.items) - len(shown)
        more: Line = []
        if hidden:
            keys = f"{keymap.key_of('dialog.more')} {keymap.key_of('dialog.less')}"
            more = [(f"{first + 1}–{first + len(shown)} of {len(self.items)} ", "dim"), (keys, "key b")]
        return [[], *shown, more]

    def _tail(self, room: int) -> list[list[Line]]:
        close: Line = [(keymap.key_of("dialog.cancel"), "key b"), (" close", "text")]
        if self.ended:
            return [wrapped("ended", self._summary(), room), [close]]
        if self.held:
            return [wrapped("held", [(self.held, "run-late b")], room)]
        if self.going:
            esc = "stops after this one" if self.stopping else "stops after the one that is being done"
            return [
                [[(keymap.key_of("dialog.cancel"), "key b"), (f" {esc}", "run-late b" if self.stopping else "text")]]
            ]
        if self.asking:
            n = sum(r.stage is Stage.ASKING for r in self.items)
            return [[[(f"asking the engine what each would do, {n} to go", "dim")], close]]
        if self.stop:
            arm: list[Span] = []
            if self.unarmed and bulk.too_many(self.ready) is None:
                arm = [(keymap.key_of("action.arm"), "key b"), (f" arm {self.unarmed} for 60 s    ", "text")]
            return [wrapped("blocked", [(self.stop, "run-failed b")], room), [[*arm, *close]]]
        return [self._form(room)]

    def _summary(self) -> list[Span]:
        return bulk.counted(self.items)

    def _form(self, room: int) -> list[Line]:
        out: list[Line] = []
        for i, name in enumerate(self._fields):
            out += self._field(name, i == self._focus, room)
        ready = all(self.given(n) for n in self._fields)
        n = bulk.noun(self.verb, len(self.ready))
        esc: list[Span] = [(keymap.key_of("dialog.cancel"), "key b"), (" leave them as they are", "text")]
        right: list[Span] = [("Enter", "key b"), (f" {self.verb} {n}", "text b")]
        if not ready:
            right = [(f"Enter {self.verb}s when all is given", "dim")]
            right = [] if cells(esc) + cells(right) + 2 > room else right
        return [*out, [], ends(esc, right, room)]

    def _field(self, name: str, focused: bool, room: int) -> list[Line]:
        field, paper, style = self._values[name], "on:background", "text"
        value = field.text
        head: list[Line] = []
        label = "Reason" if name == "reason" else ""
        if name == "reason":
            left = REASON - len(value.strip())
            note = "✓" if left <= 0 else f"{left} to go"
        else:
            wanted = self._phrase or ""
            good = wanted.startswith(value)
            style = "run-ok" if good else "run-failed"
            note = "✓" if value == wanted else f"{len(wanted) - len(value)} to go" if good else "differs"
            head = [[(f"{'Type':<{LABEL}}", "dim"), (wanted, "text b"), (f"  to {self.verb} all of them", "dim")]]
        box = max(8, room - LABEL - 16)
        spans = [(t, style if s == "text b" else s) for t, s in field.spans(box - 2)] if focused else [(value, style)]
        inside = merge([(" ", paper), *((t, f"{s} b {paper}") for t, s in spans)])
        pad = max(0, box - cells(inside))
        return [
            *head,
            [(f"{label:<{LABEL}}", "text" if focused else "dim"), *inside, (" " * pad, paper), (f"  {note}", "dim")],
        ]

    def _footer(self, width: int) -> Line:
        cancel, enter = keymap.key_of("dialog.cancel"), keymap.key_of("dialog.confirm")
        if self.held:
            entries = [(enter, "go on"), (cancel, "leave the rest")]
            if "arms it" in self.held:
                entries = [(keymap.key_of("action.arm"), "arm for 60 s"), *entries]
        elif self.going and not self.ended:
            entries = [(cancel, "stop after this one")]
        elif self._fields and not self.going:
            entries = [(cancel, "leave them"), (keymap.key_of("dialog.next"), "next field")]
        elif self.unarmed and not self.ended:
            entries = [(keymap.key_of("action.arm"), "arm for 60 s"), (cancel, "close")]
        else:
            entries = [(cancel, "close")]
        more = (keymap.key_of("dialog.more"), "more rows")
        typed = bool(self._fields and not self.going and self._values[self._fields[self._focus]].text)
        return frame.footer_row([*entries, more] if len(self.items) > self._page else entries, width, typed=typed)
