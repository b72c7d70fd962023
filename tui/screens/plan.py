"""Plan and confirm: what is now, what it will do, the exact call, the guards, then reason and name; then the proof.

Drawn over the screen it came from. Esc is the only default; keys of the first half second are swallowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from engine.store.rows import ActionRow
from tui import keymap
from tui.present import frame
from tui.present.about import paper_of
from tui.present.cut import clean
from tui.present.dialog import LABEL, choice_row, field_row, over, window, wrapped
from tui.present.field import Field
from tui.present.lines import cells, ends, finish, fit, merge
from tui.present.plan import (
    LEAVE,
    SHORT,
    choose_rows,
    continued,
    guard_rows,
    now_rows,
    pairs,
    progress_rows,
    refusal,
    said,
    title_rows,
)
from tui.screens.plan_form import Choice, Digits, Form
from tui.view import Back, Context, Copy, Effect, Line, Request, Say, Span, View

ARMING_MS = 500
REASON = 10
"""Characters of a reason."""


class PlanView(View):
    """``arg``: a verb and a key, then values of its fields as ``name=value`` (percent-encoded), with blanks between."""

    name = "plan"
    title = "Plan"
    contexts = ("dialog", "global")
    topics: frozenset[str] = frozenset({"action", "arm"})
    over = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.verb, _, rest = (arg or "").partition(" ")
        self.key, *pairs = rest.split(" ")
        given = {name: unquote(value) for name, _, value in (pair.partition("=") for pair in pairs) if name}
        self.form = Form(self.verb, given, step="#" in self.key)
        self.plan: dict[str, Any] | None = None
        self.problem: dict[str, str] | None = None
        self.action: str | None = None
        self.row: ActionRow | None = None
        self._opened = context.now()
        self._asked: dict[str, Any] | None = None
        """The last question; while its answer has not come, the plan before it may still be shown."""
        self._answered: dict[str, Any] | None = None
        """The question that the plan answers: it is confirmed only while the fields say just that."""
        self._question = 0
        self._pick = -1
        """Of several active runs none is chosen for the operator."""
        self._fields: list[str] = self.form.names
        self._values: dict[str, Field | Choice] = {
            **{name: Field() for name in ("reason", "typed", "yes")},
            **self.form.values,
        }
        self._scroll = 0
        self._folded = self._cramped = False
        """Whether the terminal is too small to show what would be done."""
        self._focus = 0
        self._sent = False
        self._of: dict[str, Any] = {}
        """Environment, colour and protection of the source, as the store knows them, for the frame before there is a plan."""

    # --- asking -----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        if self.action:
            self.row = self.context.reader.action(self.action)

    def begin(self) -> Sequence[Effect]:
        self._opened = self.context.now()
        name = self.key.partition(":")[0]
        source = next((s for s in self.context.reader.sources() if s.name == name), None)
        if source is not None:
            self._of = {n: getattr(source, n) for n in ("environment", "color", "protected")} | {"source": name}
        return [self._ask()] if self.form.complete() else ()

    def _body_now(self) -> dict[str, Any]:
        """What the engine is asked with, as the fields stand."""
        body: dict[str, Any] = {"verb": self.verb, "key": self.form.key(self.key)}
        if params := self.form.params():
            body["params"] = params
        if self.form.business_date:
            body["business_date"] = self.form.business_date
        return body

    def _ask(self) -> Request:
        self._asked = self._body_now()
        self._question += 1
        return Request("plan", self._asked, f"plan {self._question}")

    def _again(self) -> Sequence[Effect]:
        """Plan anew where the fields say something else than what was asked for, and it can be meant."""
        if self._body_now() == self._asked or not self.form.complete():
            return ()
        return [self._ask()]

    @property
    def _planned(self) -> bool:
        """Whether the plan that is shown is the one of the fields."""
        return self.plan is not None and self._body_now() == self._answered

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        if tag == "arm":
            if error:
                return [Say(refusal(error), "bad")]
            return [self._ask()] if self.form.complete() else ()
        if tag != "act" and tag != f"plan {self._question}":
            return ()  # a late answer to an earlier question
        if error:
            self._sent = False
            if tag == "act" and error.get("code") == "plan_void":
                self.plan = None
                return [Say(refusal(error), "warn"), self._ask()]
            self.problem = error
            self._scroll = 0
            if tag != "act":
                self.plan = None  # an earlier one is not what was asked for now
                self._take_fields(self.form.names)
            return ()
        self.problem = None
        if tag == "act" and reply:
            self.action = str(reply["action"])
            self.load()
        elif reply:
            self.plan, self._answered = reply, self._asked
            self.form.declare(reply.get("asks") or ())
            self._values |= self.form.values
            self._take_fields(self._needed())
            return self._again()  # what it is asked with may not be what the source takes
        return ()

    def _take_fields(self, names: list[str]) -> None:
        """Other fields; the cursor stays on the one that it is on, where that is still there."""
        on = self._fields[self._focus] if self._fields else ""
        self._fields = names
        self._focus = names.index(on) if on in names else 0

    def _needed(self) -> list[str]:
        assert self.plan is not None
        if self._stop() or self.plan.get("candidates"):
            return self.form.names if self.form.asks and not self.plan.get("candidates") else []
        needs = self.plan["needs"]
        out = self.form.names
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
                    return () if self._sent or self.action else self._again()
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
            changed = field.type(text)
            return self._again() if changed and isinstance(field, Choice) else ()
        if text == "y":
            field.text = "y"
            return self._enter()
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        name = self._fields[self._focus] if self._fields and not self._sent and not self.action else ""
        field = self._values.get(name)
        if name == "reason" and field is not None:
            field.type(" ".join(text.split())[:200])
            return ()
        if isinstance(field, Digits):
            field.type("".join(c for c in text if field.takes(c))[:10])
            return ()
        return [Say("paste is refused here: the name is typed, letter by letter", "warn")]

    def _enter(self) -> Sequence[Effect]:
        if self.action or self._sent:
            return [Back()] if self.row is not None and not self.row.state.in_flight else ()
        if not self._planned and not self._candidates():
            return self._plan_it()
        if self.plan is None:
            return [self._ask()] if self.problem else ()
        if self._candidates():
            if self._pick < 0:
                return [Say(f"choose one first: {keymap.key_of('dialog.next')} goes to the next", "warn")]
            self.key = self._candidates()[self._pick]
            self.plan = None
            self._take_fields(self.form.names)
            return [self._ask()]
        if self._cramped:
            return [Say("too small to act here: make the terminal larger", "warn")]
        if self._stop():
            return ()
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

    def _plan_it(self) -> Sequence[Effect]:
        """Enter where the fields do not say what is planned: plan that, or go to the field that cannot be meant."""
        fault = self.form.fault()
        name = fault[0] if fault else self.form.missing()
        if name is not None:
            self._focus = self._fields.index(name)
            return [Say(fault[1], "warn")] if fault else ()
        if self._body_now() == self._asked and not self.problem:
            return ()  # the answer is on its way
        again = self.plan is not None
        return (
            [self._ask(), Say("planned again for what the fields say now; read it, then Enter")]
            if again
            else [self._ask()]
        )

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
        self._folded = False
        head, middle, tail = self._body(room)
        if len(head) + len(middle) + len(tail) > space:
            head, middle, tail = self._body(room, tight=True)
        if len(head) + len(tail) + (1 if middle else 0) > space and self.plan is not None:
            self._folded = True
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
        plan = self.plan or self._of
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
        gap: list[Line] = [] if tight else [[]]
        if self.plan is None:
            return self._unplanned(room, gap)
        plan = self.plan
        name, *ids = title_rows(self.verb, plan, self.key, room)
        head: list[Line] = [name, *([] if tight else ids), *gap]
        if self._candidates():
            return head, [], choose_rows(self._candidates(), self._pick)
        now = now_rows(plan, self.context.now(), room)
        will = said(plan, "it will", "effect", "text", room)
        most = 2 if tight else 9
        head += [*now[:most], *will[:most]]
        left, more = (
            [*(ids if tight else ()), *continued("now", now[most:]), *continued("it will", will[most:])],
            [*pairs(plan, room), *gap],
        )
        middle = [*left, *more]
        if self.action or self._sent:
            return head, middle, progress_rows(self.row, self.context.timezone, self.context.now(), room)
        guards = guard_rows(plan.get("guards") or (), room, tight=tight)
        middle = [*left, *guards, *more] if tight else [*middle, *guards]
        if self.problem:  # before all that may be scrolled away: who pressed Enter must see why nothing happened
            middle = [*wrapped("refused", [(refusal(self.problem), "run-failed b")], room), *gap, *middle]
        stop = self._stop()
        if stop and self._planned:
            arm: list[Span] = (
                [(keymap.key_of("action.arm"), "key b"), (" arm it for 60 s    ", "text")] if self._unarmed() else []
            )
            close: Line = [*arm, (keymap.key_of("dialog.cancel"), "key b"), (" close", "text")]
            fields = self._field_rows(room)
            return head, middle, [*gap, *fields, *wrapped("blocked", [(stop, "run-failed b")], room), [], close]
        return head, middle, [[], *self._form(room, gap)]

    def _unplanned(self, room: int, gap: Sequence[Line]) -> tuple[list[Line], list[Line], list[Line]]:
        """Before there is a plan: what must be said for one, that it is being made, or why there is none."""
        head: list[Line] = [*title_rows(self.verb, {"params": self.form.params()}, self.key, room), []]
        asking: Line = [("asking the engine: it reads the state now and prepares the exact call …", "dim")]
        cannot = wrapped("cannot", [(refusal(self.problem), "run-failed b")], room) if self.problem else []
        if not self.form.asks:
            again: list[Line] = [
                [],
                [("Enter", "key b"), (" ask again    ", "dim"), ("Esc", "key b"), (" close", "dim")],
            ]
            return (head, cannot, again) if cannot else (head, [asking], [])
        waits = not cannot and self._asked is not None and self._body_now() == self._asked
        middle = [asking] if waits else cannot
        return head, [*middle, *gap] if middle else [], [*gap, *self._form(room, gap)]

    def _field_rows(self, room: int) -> list[Line]:
        """The fields; folded, those that need not be given and say what is usual are there only while the cursor is on them."""
        out: list[Line] = []
        for i, name in enumerate(self._fields):
            if not (self._folded and i != self._focus and self.form.usual(name)):
                out += self._field(name, i == self._focus, room)
        return out

    def _form(self, room: int, gap: Sequence[Line]) -> list[Line]:
        out = self._field_rows(room)
        leave = LEAVE.get(self.verb, "leave it as it is")
        ready = self._planned and all(self._given(n) for n in self._fields)
        if ready:
            right: list[Span] = [("Enter", "key b"), (f" {self._word}", "text b")]
        elif not self._planned and self.form.complete():
            right = [("Enter", "key b"), (" shows the plan", "text")]
        elif not self._planned:
            right = [("Enter shows the plan when these are given", "dim")]
        else:
            named = "typed" in self._fields and not self._given("typed")
            both = named and "reason" in self._fields and not self._given("reason")
            what = "with reason and name" if both else f"when the {'name' if named else 'reason'} is complete"
            right = [(f"Enter {self._word} works {what}", "dim")]
        esc: list[Span] = [("Esc", "key b"), (f" {leave}", "text")]
        if not ready and cells(esc) + cells(right) + 2 > room:
            right = []
        return [*out, *gap, ends(esc, right, room)]

    @property
    def _word(self) -> str:
        return SHORT.get(self.verb, self.verb)

    def _field(self, name: str, focused: bool, room: int) -> list[Line]:
        field = self._values[name]
        value = field.text
        head: list[Line] = []
        style = "text"
        if name in self.form.values:
            label, note = self.form.ask(name).label, self.form.note(name)
            fault = self.form.fault()
            wrong = fault is not None and fault[0] == name
            if isinstance(field, Choice):
                return [choice_row(label, field.options, value, focused, note, room)]
            return [field_row(label, field, focused, "run-failed" if wrong else style, note, room, short=True)]
        assert self.plan is not None
        if name == "reason":
            left = REASON - len(value.strip())
            label, note = "Reason", "✓" if left <= 0 else f"{left} to go"
        elif name == "typed":
            wanted = str(self.plan["needs"]["typed"])
            good = wanted.startswith(value)
            style = "run-ok" if good else "run-failed"
            note = "✓" if value == wanted else f"{len(wanted) - len(value)} to go" if good else "differs"
            head = [[(f"{'Type':<{LABEL}}", "dim"), (wanted, "text b"), (f"  to {self._word} it", "dim")]]
            label = ""
        else:
            label, note = "Type", "✓" if value else f"y to {self._word} it"
        assert isinstance(field, Field)
        return [*head, field_row(label, field, focused, style, note, room)]

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
