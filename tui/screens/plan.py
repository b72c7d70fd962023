"""Plan and confirm: what is now, what it will do, the exact call, the guards, then reason and name; then the proof.

Drawn over the screen it came from. Esc is the only default; keys of the first half second are swallowed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adapters.model import ActionState
from engine.store.rows import ActionRow
from tui import keymap
from tui.present import frame, words
from tui.present.about import paper_of
from tui.present.cut import clean
from tui.present.dialog import LABEL, flow, over, window, wrapped
from tui.present.field import Field
from tui.present.glyphs import LOOKS, State
from tui.present.lines import cells, ends, finish, fit, merge
from tui.view import Back, Context, Copy, Effect, Line, Request, Say, Span, View

ARMING_MS = 500
REASON = 10
VERBS = {
    "start": "Start a run of", "pause": "Pause the schedule of", "resume": "Resume the schedule of", "hold": "Hold the run of",
    "release": "Release the run of", "stop": "Stop the run of", "rerun": "Rerun the whole run of",
    "rerun-failed": "Rerun what failed in", "rerun-from": "Rerun from a step of",
}  # fmt: skip
SHORT = {"rerun-failed": "rerun", "rerun-from": "rerun"}
"""Verb → its word in a sentence with "it"."""
LEAVE = {"stop": "leave it running", "hold": "leave it running", "pause": "leave it scheduled"}
ENDED = {
    ActionState.DONE: ("done", "run-ok b"),
    ActionState.RECONCILED_DONE: ("done, as asked afterwards", "run-ok b"),
    ActionState.REFUSED: ("refused", "run-failed b"),
    ActionState.FAILED_NOT_EXECUTED: ("did not happen", "run-failed b"),
    ActionState.FAILED_EXECUTED: ("failed", "run-failed b"),
    ActionState.VERIFY_TIMEOUT: ("sent, but the world does not show it", "run-late b"),
    ActionState.UNKNOWN: ("outcome unknown", "run-late b"),
    ActionState.RECONCILED_NOT_DONE: ("did not happen, as asked afterwards", "run-failed b"),
}


class PlanView(View):
    name = "plan"
    title = "Plan"
    contexts = ("dialog", "global")
    topics: frozenset[str] = frozenset({"action", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.verb, _, self.key = (arg or "").partition(" ")
        self.plan: dict[str, Any] | None = None
        self.problem: dict[str, str] | None = None
        self.action: str | None = None
        self.row: ActionRow | None = None
        self._opened = context.now()
        self._asked = False
        self._pick = -1
        """Of several active runs none is chosen for the operator."""
        self._fields: list[str] = []
        self._values = {name: Field() for name in ("reason", "typed", "date", "yes")}
        self._scroll = 0
        self._cramped = False
        """Whether the terminal is too small to show what would be done."""
        self._planned_date = ""
        self._focus = 0
        self._sent = False

    # --- asking -----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        if self.action:
            self.row = self.context.reader.action(self.action)

    def begin(self) -> Sequence[Effect]:
        self._opened = self.context.now()
        if self.under is not None:  # what lies below stays true while the dialog is open
            self.topics = PlanView.topics | self.under.topics
        return [self._ask()]

    def _ask(self) -> Request:
        self._asked = True
        body: dict[str, Any] = {"verb": self.verb, "key": self.key}
        self._planned_date = self._values["date"].text.strip()
        if self._planned_date:
            body["business_date"] = self._planned_date
        return Request("plan", body, "plan")

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        if tag == "arm":
            if error:
                return [Say(_said(error), "bad")]
            return [self._ask()]
        if error:
            self._sent = False
            if tag == "act" and error.get("code") == "plan_void":
                self.plan = None
                return [Say(_said(error), "warn"), self._ask()]
            self.problem = error
            return ()
        self.problem = None
        if tag == "act" and reply:
            self.action = str(reply["action"])
            self.load()
        elif tag == "plan" and reply:
            self.plan = reply
            self._fields = self._needed()
            self._focus = min(self._focus, max(0, len(self._fields) - 1))
        return ()

    def _needed(self) -> list[str]:
        assert self.plan is not None
        if self._stop() or self.plan.get("candidates"):
            return []
        needs = self.plan["needs"]
        out = ["date"] if self.verb == "start" else []
        if needs.get("reason"):
            out.append("reason")
        if needs.get("typed"):
            out.append("typed")
        elif needs.get("key") == "y":
            out.append("yes")
        return out

    # --- keys ---------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if action in ("dialog.cancel", "nav.back", "app.quit"):
            return [Back()]
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        match action:
            case "dialog.next" | "dialog.prev":
                step = 1 if action == "dialog.next" else -1
                if self._candidates():
                    self._pick = (max(self._pick, -step) + step) % len(self._candidates())
                elif self._fields:
                    self._focus = (self._focus + step) % len(self._fields)
            case "dialog.more" | "dialog.less":
                self._scroll = max(0, self._scroll + (4 if action == "dialog.more" else -4))
            case "dialog.confirm":
                return self._enter()
            case "dialog.copy":
                if self.plan and self.plan.get("copy"):
                    return [Copy(str(self.plan["copy"]), "the call, secrets masked")]
            case "action.arm":
                if self.plan and not self.action:
                    return [Request("arm", {"environment": self.plan["environment"]}, "arm")]
            case _:
                pass
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if not self._fields or self._sent or self.action:
            return None
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        field = self._values[self._fields[self._focus]]
        if not field.takes(text):
            return None  # Enter, Esc, Tab, arrows up and down: the keymap knows what they mean in a dialog
        if field is not self._values["yes"]:
            field.type(text)
        elif text == "y":
            field.text = "y"
            return self._enter()
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self._fields and self._fields[self._focus] == "reason":
            self._values["reason"].type(" ".join(text.split())[:200])
            return ()
        return [Say("paste is refused here: the name is typed, letter by letter", "warn")]

    def _enter(self) -> Sequence[Effect]:
        if self.action or self._sent:
            return [Back()] if self.row is not None and not self.row.state.in_flight else ()
        if self.problem and not self.plan:
            return [self._ask()]
        if self.plan is None:
            return ()
        if self._candidates():
            if self._pick < 0:
                return [Say(f"choose one first: {keymap.key_of('dialog.next')} goes to the next", "warn")]
            self.key = self._candidates()[self._pick]
            self.plan = None
            return [self._ask()]
        if self._cramped:
            return [Say("too small to act here: make the terminal larger", "warn")]
        if self._stop():
            return ()
        if self._values["date"].text.strip() != self._planned_date:
            return [self._ask(), Say("planned again for that business date; read it, then Enter")]
        missing = [i for i, name in enumerate(self._fields) if not self._given(name)]
        if missing:
            self._focus = missing[0]
            return ()
        self._sent = True
        body = {
            "plan": self.plan["plan"], "nonce": self.plan["nonce"], "hash": self.plan["hash"],
            "reason": self._values["reason"].text.strip(), "typed": self._values["typed"].text,
        }  # fmt: skip
        return [Request("act", body, "act")]

    def _unarmed(self) -> bool:
        return bool(self.plan and (self.plan.get("needs") or {}).get("armed") and not self.plan.get("blocked"))

    def _stop(self) -> str | None:
        """Why it cannot be confirmed now; None: it can."""
        if self.plan is None:
            return None
        if self.plan.get("blocked"):
            return clean(str(self.plan["blocked"]))
        return (
            f"{clean(str(self.plan.get('environment') or 'this environment'))} is protected and not armed by you"
            if self._unarmed()
            else None
        )

    def _given(self, name: str) -> bool:
        assert self.plan is not None
        value = self._values[name].text
        if name == "reason":
            return len(value.strip()) >= REASON
        if name == "typed":
            return value == self.plan["needs"]["typed"]
        if name == "yes":
            return value == "y"
        return True

    def _candidates(self) -> list[str]:
        return list((self.plan or {}).get("candidates") or ())

    # --- painting -----------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        below = self.under.paint(width, height) if self.under is not None else [[(" " * width, "")]] * height
        inner = min(96, width - 6) if width > 60 else width - 2
        body = self._fitted(inner - 4, height - (6 if height >= 16 else 4))
        lines = self._frame(body, inner, height < 16)
        top = max(1, (height - len(lines)) // 2)
        left = max(0, (width - inner) // 2)
        out = list(below)
        for i, line in enumerate(lines):
            y = top + i
            if y < height - 1:
                out[y] = over(out[y], line, left, inner, width)
        out[height - 1] = self._footer(width)
        return finish(out, width, height, ascii=self.context.ascii)

    def _fitted(self, room: int, space: int) -> list[Line]:
        """What is now and what it will do above, the fields below, both always there; between them scrolls what does not fit."""
        head, middle, tail = self._body(room)
        if len(head) + len(middle) + len(tail) > space:
            head, middle, tail = self._body(room, tight=True)
        if len(head) + len(tail) + (1 if middle else 0) > space:
            tail = [row for row in tail if row]
            head, middle = head[: max(1, space - len(tail) - 1)], [*head[max(1, space - len(tail) - 1) :], *middle]
        self._cramped = space < 2 + len(tail)
        if self._cramped:  # nobody confirms what cannot be read
            return [*head[:1], [("too small to act here: ", "run-late b"), ("make the terminal larger", "text")]][
                : max(space, 1)
            ]
        between = space - len(head) - len(tail)
        self._scroll = min(self._scroll, max(0, len(middle) - between + 1))
        keys = f"{keymap.key_of('dialog.more')} {keymap.key_of('dialog.less')}"
        return [*head, *window(middle, self._scroll, between, keys), *tail]

    def _frame(self, body: Sequence[Line], inner: int, tight: bool) -> list[Line]:
        plan = self.plan or {}
        environment = str(plan.get("environment") or "")
        paper = paper_of(environment, str(plan.get("color") or ""), bool(plan.get("protected", True)))
        title: list[Span] = [
            (f" {clean(environment or 'plan').upper()} ", "b"),
            (clean(str(plan.get("source", self.key.partition(":")[0]))), ""),
        ]
        if plan.get("protected"):
            title.append((" · protected", ""))
        if self.action is None and self._stop() and not self._candidates():
            title.append((" · blocked", "b"))
        head = ends(title, [(str(plan.get("class", "")), "b")], inner)
        out: list[Line] = [merge((t, f"{paper} {'b' if 'b' in s.split() else ''}".strip()) for t, s in head)]
        for line in body if tight else [[("", "")], *body, [("", "")]]:
            middle = [
                (t, f"{s} on:panel".strip() if "on:" not in s else s) for t, s in fit([("  ", ""), *line], inner - 2)
            ]
            out.append([(" ", paper), *middle, (" ", paper)])
        out.append([(" " * inner, paper)])
        return out

    def _body(self, room: int, tight: bool = False) -> tuple[list[Line], list[Line], list[Line]]:
        """Head, middle and tail; ``tight`` leaves out blank rows and guards that hold."""
        if self.plan is None:
            return [], self._waiting(room), []
        plan = self.plan
        gap: list[Line] = [] if tight else [[]]
        name = str(plan.get("target") or plan.get("name") or self.key)
        said: Line = [
            (f"{VERBS.get(self.verb, self.verb)} ", "text"),
            (clean(name), "text b"),
            (f"  {clean(str(plan.get('run') or ''))}", "dim"),
        ]
        head: list[Line] = [said, *gap]
        if self._candidates():
            return head, [], self._choose(room)
        now = self._now(room)
        will = self._said("it will", "effect", "text", room)
        most = 2 if tight else 9
        head += [*now[:most], *will[:most]]
        left, pairs = [*_continued("now", now[most:]), *_continued("it will", will[most:])], [*self._pairs(room), *gap]
        middle = [*left, *pairs]
        if self.action or self._sent:
            return head, middle, self._progress(room)
        guards = self._guards(room, tight)
        middle = [*left, *guards, *pairs] if tight else [*middle, *guards]
        if self.problem:
            middle += [*gap, *wrapped("refused", [(_said(self.problem), "run-failed b")], room)]
        stop = self._stop()
        if stop:
            arm: list[Span] = (
                [(keymap.key_of("action.arm"), "key b"), (" arm it for 60 s    ", "text")] if self._unarmed() else []
            )
            close: Line = [*arm, (keymap.key_of("dialog.cancel"), "key b"), (" close", "text")]
            return head, middle, [*gap, *wrapped("blocked", [(stop, "run-failed b")], room), [], close]
        return head, middle, [[], *self._form(room, gap)]

    def _waiting(self, room: int) -> list[Line]:
        out: list[Line] = [[(f"{VERBS.get(self.verb, self.verb)} ", "text"), (clean(self.key), "text b")], []]
        if self.problem:
            out += wrapped("cannot", [(_said(self.problem), "run-failed b")], room)
            out += [[], [("Enter", "key b"), (" ask again    ", "dim"), ("Esc", "key b"), (" close", "dim")]]
        else:
            out.append([("asking the engine: it reads the state now and prepares the exact call …", "dim")])
        return out

    def _now(self, room: int) -> list[Line]:
        now = (self.plan or {}).get("now") or {}
        look = LOOKS.get(State(int(now["state"]))) if isinstance(now.get("state"), int) else None
        read = now.get("read_at")
        said = clean(str(now.get("words") or now.get("word") or "?"))
        state: list[Span] = [(f"{look.glyph} ", look.style)] if look else []
        state.append((said, look.token if look else "text"))
        if isinstance(read, int):
            state.append((f" · read {words.age(max(0, self.context.now() - read))} ago", "dim"))
        return wrapped("now", state, room)

    def _said(self, label: str, key: str, style: str, room: int) -> list[Line]:
        text = (self.plan or {}).get(key)
        return wrapped(label, [(clean(str(text)), style)], room) if text else []

    def _pairs(self, room: int) -> list[Line]:
        plan = self.plan or {}
        out = [*self._said("so", "so", "run-late", room), *self._said("note", "note", "text", room)]
        calls: list[dict[str, Any]] = plan.get("calls") or []
        for i, call in enumerate(calls):
            line: list[Span] = [
                (f"{clean(str(call.get('method', '')))} ", "text b"),
                (clean(str(call.get("target", ""))), "text"),
            ]
            out += wrapped("call" if i == 0 else "", line, room)
            extra = [json.dumps(call["body"], ensure_ascii=False)] if call.get("body") is not None else []
            headers: dict[str, Any] = call.get("headers") or {}
            extra += [f"{k}: {v}" for k, v in headers.items()]
            if extra:
                out += wrapped("", [(clean("   ".join(extra)), "dim")], room)
        return [*out, *self._said("proof", "proof", "text", room), *self._said("undo", "undo", "text", room)]

    def _guards(self, room: int, tight: bool) -> list[Line]:
        items: list[list[Span]] = []
        holds = 0
        for guard in (self.plan or {}).get("guards") or ():
            ok = guard.get("ok")
            glyph, style = (
                ("✓", "run-ok") if ok is True else ("✗", "run-failed b") if ok is False else ("▲", "run-warning b")
            )
            text = clean(str(guard.get("words") or guard.get("name") or ""))
            if tight and ok is True:
                holds += 1
            else:
                items.append([(f"{glyph} ", style), (text, "dim" if ok is True else style)])
        if holds:
            items.append([("✓ ", "run-ok"), (f"{holds} {'hold' if holds > 1 else 'holds'}", "dim")])
        return flow("guards", items, room)

    def _choose(self, room: int) -> list[Line]:
        out: list[Line] = [[("several runs are active; which one?", "text b")], []]
        for i, key in enumerate(self._candidates()):
            mark = "▌" if i == self._pick else " "
            out.append([(mark, "mark"), (f" {clean(key)}", "text b on:cursor-bg" if i == self._pick else "text")])
        return [*out, [], [("Enter", "key b"), (" plan for this one    ", "dim"), ("Esc", "key b"), (" close", "dim")]]

    def _form(self, room: int, gap: Sequence[Line]) -> list[Line]:
        assert self.plan is not None
        out: list[Line] = []
        for i, name in enumerate(self._fields):
            out += self._field(name, i == self._focus, room)
        leave = LEAVE.get(self.verb, "leave it as it is")
        ready = all(self._given(n) for n in self._fields)
        typed = "typed" in self._fields
        if ready:
            right: list[Span] = [("Enter", "key b"), (f" {self._word}", "text b")]
        else:
            right = [(f"Enter {self._word} works when the {'name' if typed else 'reason'} is complete", "dim")]
        esc: list[Span] = [("Esc", "key b"), (f" {leave}", "text")]
        if not ready and cells(esc) + cells(right) + 2 > room:
            right = []
        out += [*gap, ends(esc, right, room)]
        return out

    @property
    def _word(self) -> str:
        return SHORT.get(self.verb, self.verb)

    def _field(self, name: str, focused: bool, room: int) -> list[Line]:
        assert self.plan is not None
        field = self._values[name]
        value = field.text
        paper = "on:background"
        box = max(8, room - LABEL - 16)
        style, note = "text", ""
        head: list[Line] = []
        if name == "reason":
            left = REASON - len(value.strip())
            note = "✓" if left <= 0 else f"{left} to go"
            label = "Reason"
        elif name == "typed":
            wanted = str(self.plan["needs"]["typed"])
            good = wanted.startswith(value)
            style = "run-ok" if good else "run-failed"
            note = "✓" if value == wanted else f"{len(wanted) - len(value)} to go" if good else "differs"
            head = [[(f"{'Type':<{LABEL}}", "dim"), (wanted, "text b"), (f"  to {self._word} it", "dim")]]
            label = ""
        elif name == "yes":
            label, note = "Type", "✓" if value else f"y to {self._word} it"
        else:
            label, note = "Date", "business date, empty: the usual one"
        before, under, after = field.spans(box - 2) if name != "yes" else ((value, ""), ("", ""), ("", ""))
        typed = f"{style} b {paper}"
        caret: list[Span] = []
        if focused:
            caret = [(under[0], f"{typed} rev")] if under[0].strip() else [("█", f"key {paper}")]
        elif under[0].strip():
            caret = [(under[0], typed)]
        inside = merge([(f" {before[0]}", typed), *caret, (after[0], typed)])
        pad = max(0, box - cells(inside))
        return [
            *head,
            [(f"{label:<{LABEL}}", "text" if focused else "dim"), *inside, (" " * pad, paper), (f"  {note}", "dim")],
        ]

    def _progress(self, room: int) -> list[Line]:
        out: list[Line] = []
        row = self.row
        tz = self.context.timezone
        if row is None:
            return [[("asked …", "dim")]]
        for at, _state, said in row.events[-8:]:
            out += wrapped(words.hhmmss(at, tz), [(clean(said), "text")], room)
        if row.state.in_flight and row.ended is None:
            out += wrapped(
                "",
                [(f"{clean(row.words)} · {words.age(max(0, self.context.now() - row.changed))}", "run-running")],
                room,
            )
            out += [[], [("Esc", "key b"), (" close: the engine goes on with it", "dim")]]
        else:
            word, style = ENDED.get(row.state, (row.state.name.lower(), "text b"))
            out += [[], [(word, style), (f"  {clean(row.words)}", "text")]]
            out += [[], [("Esc", "key b"), (" close", "dim")]]
        return out

    def _footer(self, width: int) -> Line:
        copy, close = (keymap.key_of("dialog.copy"), "copy the call"), (keymap.key_of("dialog.cancel"), "close")
        entries = [close]
        typed = False
        if self._candidates():
            entries = [
                (keymap.key_of("dialog.next"), "next run"),
                (keymap.key_of("dialog.confirm"), "plan for it"),
                close,
            ]
        elif self._fields and not self._sent and not self.action:
            entries = [(close[0], LEAVE.get(self.verb, "leave it"))]
            if len(self._fields) > 1:
                entries = [(keymap.key_of("dialog.next"), "next field"), *entries]
            typed = bool(self._values[self._fields[self._focus]].text)
        elif self.plan is not None:
            arm = [(keymap.key_of("action.arm"), "arm for 60 s")] if self._unarmed() else []
            entries = [*arm, copy, close]
        return frame.footer_row(entries, width, typed=typed)

    def data(self) -> Any:
        return self.plan


def _continued(label: str, rows: Sequence[Line]) -> list[Line]:
    """Rows that are torn from those above: the first says again what they go on with."""
    if not rows:
        return []
    first = [(f"{label + ' …':<{LABEL}}", "dim"), *list(rows[0])[1:]]
    return [first, *rows[1:]]


def _said(error: dict[str, str]) -> str:
    hint = error.get("hint")
    return clean(error.get("message", "refused") + (f"; {hint}" if hint else ""))
