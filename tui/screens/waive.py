"""Waive: a person's word that one promise is not owed this time, with a reason and perhaps an end. Drawn over its screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.model import Owed
from engine.store.rows import OwedRow, SourceRow, Waived
from tui import keymap
from tui.present import frame, owed, words
from tui.present.about import paper_of
from tui.present.cut import clean
from tui.present.dialog import LABEL, over, wrapped
from tui.present.field import Field
from tui.present.lines import cells, ends, finish, fit, merge
from tui.view import Back, Context, Effect, Line, Request, Say, Span, View

ARMING_MS = 500
REASON = 10
"""Characters that a reason has at least: it stands in the audit for ever."""
_SPAN = re.compile(r"(?:(\d{1,3})d)? *(?:(\d{1,3})h)? *(?:(\d{1,4})m)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LONGEST = 366 * words.DAY


def until_of(text: str, tz: str, now: int) -> int | None:
    """``2h``, ``1h 30m``, ``3d`` from now, or ``06:30``, the next time that the clock reads so; None: for good (nothing typed).

    ValueError in one sentence. ms UTC.
    """
    text = text.strip().lower()
    if not text or text == "none":
        return None
    clock, span = _CLOCK.fullmatch(text), _SPAN.fullmatch(text)
    if clock:
        here = datetime.fromtimestamp(now / 1000, words.zone(tz))
        at = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, fold=0)
        while at.timestamp() * 1000 <= now:
            at += timedelta(days=1)
        return round(at.timestamp() * 1000)
    if not span or not any(span.groups()):
        raise ValueError("write 2h, 1h 30m, 3d or 06:30, or leave it empty")
    days, hours, minutes = (int(n or 0) for n in span.groups())
    ms = days * words.DAY + hours * words.HOUR + minutes * words.MINUTE
    if ms <= 0:
        raise ValueError("a waiver that ends at once waives nothing: write 2h or 06:30")
    if ms > LONGEST:
        raise ValueError("366 days at most: leave it empty for this occurrence for good")
    return now + ms


class WaiveView(View):
    """``arg``: key of the occurrence."""

    name = "waive"
    title = "Waive"
    contexts = ("dialog", "global")
    topics: frozenset[str] = frozenset({"owed", "alert"})
    over = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.key = arg or ""
        self.row: OwedRow | None = None
        self.by: Waived | None = None
        self.behind: list[OwedRow] = []
        self.source: SourceRow | None = None
        self.problem: dict[str, str] | None = None
        self._values = {"reason": Field(), "until": Field()}
        self._fields = ("reason", "until")
        self._focus = 0
        self._opened = context.now()
        self._sent = False

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        reader, now = self.context.reader, self.context.now()
        self.row = reader.owed_one(self.key) if self.key else None
        if self.row is None:
            return
        row = self.row
        self.by = reader.waived(self.key)
        self.source = next((s for s in reader.sources() if s.id == row.source_id), None)
        down = {e.down for e in reader.edges() if e.up == row.thing}
        if down:
            near = reader.owed(now - words.DAY, now + words.DAY)
            self.behind = sorted(
                (r for r in near if r.thing in down and r.state.unsettled and r.due >= row.due - words.DAY),
                key=lambda r: (r.due, r.name),
            )

    def begin(self) -> Sequence[Effect]:
        self._opened = self.context.now()
        return ()

    @property
    def undoing(self) -> bool:
        """A person's waiver holds now: the dialog offers to take it back."""
        row = self.row
        return row is not None and row.state is Owed.WAIVED and row.opened_as is not Owed.WAIVED

    def blocked(self) -> str | None:
        """Why nothing can be waived here; None: it can."""
        row = self.row
        if row is None:
            return "this promise is not known any more"
        if self.context.read_only:
            return "this terminal is read-only"
        if not self.context.engine_alive:
            return f"nobody is watching, a waiver cannot be recorded; {keymap.key_of('app.refresh')} starts the engine"
        if row.state in (Owed.MET, Owed.MET_LATE):
            return f"it is {owed.LOOKS[row.state].word}: there is nothing left to waive"
        if row.state is Owed.EXCLUDED or row.opened_as in (Owed.EXCLUDED, Owed.WAIVED):
            return f"it is not owed on this date: {clean(row.why_opened or row.reason)}"
        return None

    def until(self) -> int | None:
        """What was typed; ValueError."""
        return until_of(self._values["until"].text, self.context.timezone, self.context.now())

    # --- keys -------------------------------------------------------------------------------------------------------

    @property
    def _typing(self) -> bool:
        return self.blocked() is None and not self.undoing and not self._sent

    def act(self, action: str) -> Sequence[Effect]:
        if action in ("dialog.cancel", "nav.back", "app.quit"):
            return [Back()]
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        if action in ("dialog.next", "dialog.prev") and self._typing:
            self._focus = 1 - self._focus
        elif action == "dialog.confirm":
            return self._enter()
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if not self._typing:
            return None
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        field = self._values[self._fields[self._focus]]
        if not field.takes(text):
            return None  # Enter, Esc, Tab, arrows up and down: the keymap knows what they mean in a dialog
        field.type(text)
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self._typing:
            self._values[self._fields[self._focus]].type(" ".join(text.split())[:200])
        return ()

    def _enter(self) -> Sequence[Effect]:
        why = self.blocked()
        if why is not None or self._sent:
            return [Say(why, "warn")] if why is not None else ()
        if self.undoing:
            self._sent, self.problem = True, None
            return [Request("waive", {"occurrence": self.key, "undo": True}, "undo")]
        reason = " ".join(self._values["reason"].text.split())
        if len(reason) < REASON:
            self._focus = 0
            return [Say(f"a reason of {REASON} characters or more: it is what others read later", "warn")]
        try:
            until = self.until()
        except ValueError as error:
            self._focus = 1
            return [Say(f"until: {error}", "warn")]
        self._sent, self.problem = True, None
        return [Request("waive", {"occurrence": self.key, "reason": reason, "until": until}, "waive")]

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        self._sent = False
        if error is not None:
            self.problem = error
            return ()
        name = clean(self.row.name) if self.row is not None else "it"
        said = str((reply or {}).get("words") or "")
        plain = f"{name} is waived" if tag == "waive" else f"{name} is owed again"
        return [Say(clean(said) or plain), Back()]

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        below = self.under.paint(width, height) if self.under is not None else [[(" " * width, "")]] * height
        inner = min(96, width - 6) if width > 60 else width - 2
        body = self._body(inner - 4, height - (6 if height >= 20 else 4))
        rows = self._frame(body, inner, height < 20)
        top, left = max(1, (height - len(rows)) // 2), max(0, (width - inner) // 2)
        out = list(below)
        for i, line in enumerate(rows):
            if top + i < height - 1:
                out[top + i] = over(out[top + i], line, left, inner, width)
        out[height - 1] = self._footer(width)
        return finish(out, width, height, ascii=self.context.ascii)

    def _frame(self, body: Sequence[Line], inner: int, tight: bool) -> list[Line]:
        row = self.row
        environment = row.environment if row is not None else ""
        s = self.source
        paper = paper_of(environment, s.color if s is not None else "", bool(s is not None and s.protected))
        where = "" if row is None else clean(row.source or row.thing.partition(":")[0])
        title: list[Span] = [(f" {clean(environment or 'waiver').upper()} ", "b"), (where, "")]
        if s is not None and s.protected:
            title.append((" · protected", ""))
        if self.blocked() is not None:
            title.append((" · blocked", "b"))
        head = ends(title, [("waiver", "b")], inner)
        out: list[Line] = [merge((t, f"{paper} {'b' if 'b' in s.split() else ''}".strip()) for t, s in head)]
        for line in body if tight else [[("", "")], *body, [("", "")]]:
            middle = [
                (t, f"{s} on:panel".strip() if "on:" not in s else s) for t, s in fit([("  ", ""), *line], inner - 2)
            ]
            out.append([(" ", paper), *middle, (" ", paper)])
        out.append([(" " * inner, paper)])
        return out

    def _body(self, room: int, space: int) -> list[Line]:
        """Facts above, fields below; where it is low, what only explains goes first."""
        why = self.blocked()
        tail: list[Line] = []
        if self.problem is not None:
            tail += wrapped("refused", [(_said(self.problem), "run-failed b")], room)
        if why is not None:
            tail += wrapped("blocked", [(clean(why), "run-failed b")], room)
            tail += [[(keymap.key_of("dialog.cancel"), "key b"), (" close", "text")]]
        else:
            tail += self._form(room)
        said, meant = self._facts(room), self._means(room)
        for gap in (True, False):
            between: list[Line] = [[]] if gap else []
            full = [*said, *between, *meant, *between, *tail] if meant else [*said, *between, *tail]
            if len(full) <= space:
                return full
        keep = max(space - len(tail), 0)
        return [*said, *meant][:keep] + tail

    def _facts(self, room: int) -> list[Line]:
        row, now, tz = self.row, self.context.now(), self.context.timezone
        if row is None:
            return [[("Waive ", "text"), (clean(self.key), "text b")]]
        verb = "Owe again" if self.undoing else "Waive"
        out: list[Line] = wrapped(
            "",
            [(f"{verb} ", "text"), (clean(row.name), "text b"), (f"  {clean(row.expectation)}", "dim")],
            room + LABEL,
        )
        out = [[(part[0][0].removeprefix(" " * LABEL), part[0][1]), *part[1:]] for part in out]
        away = f"in {words.running(row.due - now)}" if row.due > now else f"{words.running(now - row.due)} ago"
        date = f" · business date {row.business_date}" if row.business_date else ""
        out += wrapped("due", [(words.clock(row.due, tz, now), "text b"), (f" · {away}{date}", "dim")], room)
        look = owed.look(row)
        state: list[Span] = [(f"{look.glyph} {look.word}", look.style), (f" · {owed.reason(row, tz)}", "dim")]
        out += wrapped("now", state, room)
        names = [f"{clean(r.name)} {words.clock(r.due, tz, now)}" for r in self.behind[:4]]
        if len(self.behind) > 4:
            names.append(f"{len(self.behind) - 4} more")
        names += [clean(c) for c in row.consumers]
        out += wrapped("behind it", [(" · ".join(names) or "nothing that we know of waits for it", "text")], room)
        return out

    def _means(self, room: int) -> list[Line]:
        if self.row is None:
            return []
        if self.undoing:
            by, tz, now = self.by, self.context.timezone, self.context.now()
            if by is None:
                return wrapped("will", [("it is owed again, and judged at once", "text")], room)
            until = "for good" if by.until is None else f"until {words.clock(by.until, tz, now)}"
            out = wrapped("waived", [(f"by {clean(by.who)} {words.clock(by.at, tz, now)}, {until}", "text")], room)
            out += wrapped("because", [(clean(by.reason), "text")], room)
            return [
                *out,
                *wrapped("will", [("it is owed again and judged at once; a broken one alerts again", "text")], room),
            ]
        does = "this once it is not owed: its alert ends, nobody is told of it"
        does_not = f"{owed.still_counts(self.row)}; the next one is owed as ever; nothing is started or stopped"
        return [*wrapped("does", [(does, "text")], room), *wrapped("does not", [(does_not, "text")], room)]

    def _form(self, room: int) -> list[Line]:
        cancel = keymap.key_of("dialog.cancel")
        esc: list[Span] = [(cancel, "key b"), (" leave it" if self.undoing else " leave it owed", "text")]
        enter = keymap.key_of("dialog.confirm")
        if self._sent:
            return [ends(esc, [("asking the engine …", "dim")], room)]
        if self.undoing:
            return [ends(esc, [(enter, "key b"), (" owe it again", "text b")], room)]
        left = REASON - len(" ".join(self._values["reason"].text.split()))
        out = [
            self._field("Reason", "reason", "✓" if left <= 0 else f"{left} to go", "text", room),
            self._field("Until", "until", *self._until_note(), room),
        ]
        if left <= 0:
            right: list[Span] = [(enter, "key b"), (" waive it", "text b")]
        else:
            right = [(f"{enter} works when there is a reason", "dim")]
        if cells(esc) + cells(right) + 2 > room:
            right = []
        return [*out, ends(esc, right, room)]

    def _until_note(self) -> tuple[str, str]:
        """(what it comes to, style of the text)."""
        try:
            until = self.until()
        except ValueError as error:
            return str(error), "run-late"
        if until is None:
            return "2h or 06:30; empty: this one for good", "text"
        return f"✓ {words.clock(until, self.context.timezone, self.context.now())}, then it is judged again", "text"

    def _field(self, label: str, name: str, note: str, style: str, room: int) -> Line:
        focused = self._fields[self._focus] == name
        paper = "on:background"
        box = max(8, room - LABEL - 16 if name == "reason" else 16)
        *parts, under, after = self._values[name].spans(box - 2)
        before = "".join(text for text, _ in parts)
        typed = f"{style} b {paper}"
        caret: list[Span] = []
        if focused:
            caret = [(under[0], f"{typed} rev")] if under[0].strip() else [("█", f"key {paper}")]
        elif under[0].strip():
            caret = [(under[0], typed)]
        inside = merge([(f" {before}", typed), *caret, (after[0], typed)])
        pad = max(0, box - cells(inside))
        tone = "run-late" if style == "run-late" else "dim"
        return [(f"{label:<{LABEL}}", "text" if focused else "dim"), *inside, (" " * pad, paper), (f"  {note}", tone)]

    def _footer(self, width: int) -> Line:
        close = (keymap.key_of("dialog.cancel"), "leave it")
        entries = [close]
        typed = False
        if self._typing:
            entries = [
                (keymap.key_of("dialog.next"), "next field"),
                (keymap.key_of("dialog.confirm"), "waive it"),
                close,
            ]
            typed = bool(self._values[self._fields[self._focus]].text)
        elif self.undoing and self.blocked() is None:
            entries = [(keymap.key_of("dialog.confirm"), "owe it again"), close]
        return frame.footer_row(entries, width, typed=typed)

    def data(self) -> Any:
        """The occurrence and its last waiver, as far as known."""
        row, by = self.row, self.by
        return {
            "occurrence": self.key,
            "state": None if row is None else row.state.name.lower(),
            "waived_by": None if by is None else by.who,
            "reason": None if by is None else by.reason,
            "until": None if by is None else by.until,
        }


def _said(error: dict[str, str]) -> str:
    hint = error.get("hint")
    return clean(error.get("message", "refused") + (f"; {hint}" if hint else ""))
