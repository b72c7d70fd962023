"""Actions: what people did and what runs because of it, backfills under way, and the audit with before and after."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Any, ClassVar

from adapters.model import State, Verb, parse_key
from engine.store.rows import ActionDetail, Checked, EndedRow, OperationRow, SourceRow
from tui import keymap
from tui.present import actions, audit, frame, lines, words
from tui.present.actions_detail import action_detail, operation_detail
from tui.present.cut import clean
from tui.present.menu import Entry, Menu
from tui.screens import cannot, open_plan, steps, window
from tui.screens.actions_kept import ActionsKept, Item, key_of, when_of
from tui.screens.lists import Handler
from tui.view import Copy, Effect, Line, Open, Say, Span


class ActionsView(ActionsKept):
    """``arg``: ``audit``, or the id of an action to put the cursor on."""

    name: ClassVar[str] = "actions"
    title: ClassVar[str] = "Actions"
    contexts: ClassVar[tuple[str, ...]] = ("actions", "list", "global")
    topics: frozenset[str] = frozenset(
        {"engine", "source", "health", "action", "arm", "item", "alert", "note", "owed", "configured"}
    )
    ticks: ClassVar[bool] = True

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        said = actions.verdict(self.flying, self.operations, self._today)
        if self.checked is not None and self.checked.broken is not None:
            said.insert(0, [(" the audit is broken ", "run-failed rev b")])
        answer: Line = [(" ", ""), *words.sentence(said, width - 2, "text b")]
        if frame.is_tiny(width, height):
            return frame.page(
                ctx, [lines.fit(answer, width)], self._small(width, height - 2), self._footer(width), width, height
            )
        top: list[Line] = [frame.band_row(ctx, head, self.title, width)]
        if frame.silent(ctx, head.engine):
            top += frame.silent_rows(ctx, head, frame.verdict_of(head.counts), width)
        else:
            top.append(lines.fit(answer, width))
        if not frame.is_narrow(width):
            top.append([(" " * width, "")])
        room = max(height - len(top) - 1, 1)
        body = self.under_menu(self._body(width, room), width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _small(self, width: int, room: int) -> list[Line]:
        out: list[Line] = []
        for item in self._items():
            if isinstance(item, EndedRow):
                look = actions.outcome(item.state)
                named = f" {item.verb} {actions.thing(item.key)}"
                spans: list[Span] = [(" ", ""), (look.glyph, look.style), (named, "text")]
            else:
                spans = [(" ", ""), (f"► {clean(item.kind)} {clean(item.name)}", "text")]
            line = lines.fit(spans, width)
            out.append(lines.cursor(line, width) if key_of(item) == self.cursor else line)
        return out[: max(room, 0)]

    def _body(self, width: int, room: int) -> list[Line]:
        wide = frame.is_wide(width)
        text = width - 2 if self.whole or not wide else width - 122
        detail = self._detail_rows(max(text - 2, 20))
        if self.whole:
            return self._detail_pane(detail, width, room)
        if wide:
            left = self._list(120, room)
            right = self._detail_pane(detail, width - 121, room)
            bar: Span = ("│", "rule")
            return [
                [*lines.fit(left[i] if i < len(left) else [], 120), bar, *(right[i] if i < len(right) else [])]
                for i in range(room)
            ]
        below = min(len(detail) + 1, max(room * 9 // 20, 4)) if detail else 0
        out = self._list(width, room - below)
        out += [[(" " * width, "")]] * (room - below - len(out))
        return [*out, *self._detail_pane(detail, width, below)] if below else out

    def _list(self, width: int, room: int) -> list[Line]:
        return self._records(width, room) if self.auditing else self._both(width, room)

    def _both(self, width: int, room: int) -> list[Line]:
        """Under way above, never more than half; what ended below."""
        under, ended = self.under_way, self.ended
        cols = actions.columns(width)
        tz, now = self.context.timezone, self.context.now()
        rows: list[Line] = []
        place = 0
        for item in under:
            if key_of(item) == self.cursor:
                place = len(rows)
            rows.append(self._row(item, cols, width))
            if isinstance(item, EndedRow) and item.must_look:
                rows.append([(" " * 10, ""), ("settle it  ", "dim"), (actions.settle(item.id), "text")])
        most = max(room // 2 - 1, 1) if ended else max(room - 5, 1)
        self._top_under = window(self._top_under, min(place + 1, max(len(rows) - 1, 0)), most, len(rows))
        self._top_under = min(self._top_under, place)
        out: list[Line] = [
            lines.rule("Under way", str(len(under)) if under else "", "", width, focused=self._in(under))
        ]
        if self.flying and frame.silent(self.context, self.head.engine if self.head else None):
            out.append(
                [("   nobody verifies these now: the engine that starts next asks what became of them", "run-stale b")]
            )
        out += rows[self._top_under : self._top_under + most]
        if not under:
            out.append(
                [
                    ("   nothing is under way", "dim"),
                    (": what is asked for stands here until the world shows it", "dim"),
                ]
            )
        if not frame.is_narrow(width):
            out.append([])
        note = " · ".join(
            p
            for p in (
                "newest first",
                f"filter {self._text}" if self._text else "",
                "searching" if self._searching else "",
            )
            if p
        )
        edge = ""
        if ended and width >= 100:
            edge = (
                f"back to {words.clock(when_of(ended[-1]), tz, now)}{'' if self._older is not None else ', the oldest'}"
            )
        out.append(lines.rule("Done", note, edge, width, focused=self._in(ended)))
        left = room - len(out)
        if not ended:
            return [*out, *self._nothing()]
        out.append(lines.head(cols))
        left = max(left - 1, 1)
        self.page = left
        at = next((i for i, item in enumerate(ended) if key_of(item) == self.cursor), 0)
        self._top = window(self._top, at, left, len(ended))
        return [*out, *(self._row(item, cols, width) for item in ended[self._top : self._top + left])]

    def _in(self, items: Sequence[Item]) -> bool:
        return any(key_of(i) == self.cursor for i in items)

    def _row(self, item: Item, cols: Sequence[lines.Column], width: int) -> Line:
        tz, now, here = self.context.timezone, self.context.now(), key_of(item) == self.cursor
        if isinstance(item, EndedRow):
            line = actions.action_row(item, cols, tz, now, here=here)
        else:
            line = actions.operation_row(item, cols, tz, now, here=here, asked=self._asker(item))
        return lines.cursor(line, width, mono=self.context.mono) if here else line

    def _asker(self, o: OperationRow) -> EndedRow | None:
        return actions.asker(o, [*self.flying, *self.done]) if not actions.teller(o) else None

    def _nothing(self) -> list[Line]:
        if self._searching:
            return [[("   searching …", "dim")]]
        if self.wanted:
            back = keymap.key_of("nav.back")
            return [[("   no action is like that   ", "dim"), (back, "key b"), (" shows all again", "dim")]]
        menu, floor = keymap.key_of("action.menu"), keymap.key_of("screen.floor")
        return [
            [("   nobody has acted yet: each action will stand here with who, why and proof", "dim")],
            [
                ("   ", ""),
                (floor, "key b"),
                (" opens the Floor; on a row there ", "dim"),
                (menu, "key b"),
                (" lists what can be done", "dim"),
            ],
        ]

    def _records(self, width: int, room: int) -> list[Line]:
        tz, now = self.context.timezone, self.context.now()
        cols = audit.columns(width)
        note = words.many(self.last, "record") if self.last else "empty"
        if self._text:
            note += f" · filter {self._text}{' · searching' if self._searching else ''}"
        chain = audit.chain_words(self.checked, self.last, going=self._checking)
        hint: list[Span] = list(chain) if chain and not isinstance(chain, str) else []
        if not hint:
            hint = [(keymap.key_of("audit.verify"), "key b"), (" recomputes the chain", "dim")]
        out: list[Line] = [lines.rule("Audit", note, hint, width, focused=True)]
        broken = self.checked.broken if self.checked is not None else None
        if broken is not None:
            out.append(
                [
                    (f"   the chain breaks at {broken}: what came before it holds; ", "run-failed b"),
                    ("watchfloor audit verify", "text"),
                    (" compares it with its file", "dim"),
                ]
            )
        if not self.records:
            if self._searching:
                return [*out, [("   searching …", "dim")]]
            said = (
                "no record is like that"
                if self.wanted
                else "no record yet: each action, waiver, sign-off and refusal will stand here"
            )
            return [*out, [(f"   {said}", "dim")]]
        out.append(lines.head(cols))
        left = max(room - len(out), 1)
        self.page = left
        at = next((i for i, r in enumerate(self.records) if r.seq == self.at_record), 0)
        self._top = window(self._top, at, left, len(self.records))
        for r in self.records[self._top : self._top + left]:
            bad = broken is not None and broken.seq == r.seq
            here = r.seq == self.at_record
            line = audit.record_row(r, cols, tz, now, here=here, bad=bad)
            out.append(lines.cursor(line, width, mono=self.context.mono) if here else line)
        return out

    def _detail_rows(self, room: int) -> list[Line]:
        tz, now = self.context.timezone, self.context.now()
        r, item = self.record, self.here
        if r is not None:
            return audit.detail_rows(r, room, tz, now)
        if isinstance(item, OperationRow):
            return operation_detail(item, room, tz, now, self._asker(item))
        found = self._look()
        return action_detail(found, room, tz, now) if found is not None else []

    def _detail_pane(self, rows: Sequence[Line], width: int, room: int) -> list[Line]:
        """The record under the cursor, as much of it as there is room for."""
        r, item = self.record, self.here
        if r is not None:
            title, note = f"Record {r.seq:,}", clean(r.event).replace("_", " ")
        elif isinstance(item, EndedRow):
            title, note = (
                f"{item.verb} {actions.thing(item.key)}",
                f"{clean(item.environment) or actions.source(item.key)} · {item.id}",
            )
        elif item is not None:
            title, note = f"{clean(item.kind)} {clean(item.name)}", f"{clean(item.source)} · number {clean(item.id)}"
        else:
            return [lines.rule("", "", "", width)]
        self._space = max(room - 1, 1)
        self._scroll = min(self._scroll, max(len(rows) - self._space, 0)) if self.whole else 0
        more = len(rows) - self._scroll - self._space
        key = keymap.key_of("audit.detail")
        hint: list[Span] = []
        if more > 0 and not self.whole:
            hint = [(key, "key b"), (f" {words.many(more, 'row')} more", "dim")]
        elif self.whole:
            hint = [
                (f"{more} more below   " if more > 0 else "", "dim"),
                (keymap.key_of("nav.back"), "key b"),
                (" list", "dim"),
            ]
        out: list[Line] = [lines.rule(title, note, hint, width, focused=self.whole)]
        shown = rows[self._scroll : self._scroll + self._space]
        return [*out, *(lines.fit([(" ", ""), *line], width) for line in shown)]

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            more = "+" if (self._older_record if self.auditing else self._older) is not None else ""
            return self.field_row(width, f"{self.length}{more} shown")
        item = self.here
        ids = ["list.open", "audit.detail"]
        if isinstance(item, OperationRow) and item.active and self.context.engine_alive and not self.context.read_only:
            ids += ["operation.pause", "operation.cancel"]
        ids += [
            "view.pane",
            "list.filter",
            "audit.verify",
            "copy.menu",
            "screen.floor",
            "screen.sources",
            "nav.back",
            "app.quit",
        ]
        said = {"view.pane": "actions" if self.auditing else "audit", "audit.detail": "list" if self.whole else "whole"}
        if isinstance(item, OperationRow) and item.state is State.HELD:
            said["operation.pause"] = "resume"
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    def watch(self) -> dict[str, Any] | None:
        return {"operations": True}

    # --- keys -------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if self.whole and self.menu is None and self.field is None:
            by = steps(action, self._space, 100_000)
            if by is not None:
                self._scroll = max(self._scroll + by, 0)
                return ()
            if action == "nav.back":
                self.whole, self._scroll = False, 0
                return ()
        return super().act(action)

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "view.pane": self._turn,
            "audit.detail": self._whole,
            "audit.verify": self._verify,
            "operation.pause": lambda: self._operate(cancel=False),
            "operation.cancel": lambda: self._operate(cancel=True),
            "copy.menu": self._copy,
        }

    def _turn(self) -> Sequence[Effect]:
        self.auditing = not self.auditing
        self.whole, self._scroll, self._top = False, 0, 0
        self._refresh_records()
        self._searching = self._short()
        return ()

    def _whole(self) -> Sequence[Effect]:
        self.whole, self._scroll = not self.whole, 0
        return ()

    def _verify(self) -> Sequence[Effect]:
        """Recompute the chain from its first record on, in slices; the engine is not asked and nothing is written."""
        self.checked, self._checking = Checked(), True
        if self.auditing:
            return ()
        self._turn()
        return ()

    def _open(self) -> Sequence[Effect]:
        """The run or pipeline that was touched; the run that was made, where there is one."""
        item, r = self.here, self.record
        key = r.key if r is not None else item.pipeline if isinstance(item, OperationRow) else None
        if isinstance(item, EndedRow):
            key = item.result_key or item.key
        if r is not None and r.action_id is not None:
            found = self.context.reader.action_detail(r.action_id)
            key = (found.row.result_key if found else None) or key
        if not key:
            return (Say("this record is about no pipeline"),)
        try:
            parsed = parse_key(key)
        except ValueError:
            return (Say(f"{clean(key)} is no pipeline"),)
        if parsed.run_key is not None and self.context.reader.run(parsed.run_key) is not None:
            return (Open("run", parsed.run_key),)
        if self.context.reader.pipeline(parsed.pipeline_key) is None:
            return (Say(f"{actions.thing(key)} is not known here any more"),)
        return (Open("runs", parsed.pipeline_key),)

    def _operate(self, *, cancel: bool) -> Sequence[Effect]:
        item = self.here
        if not isinstance(item, OperationRow):
            return (Say("this key acts on a backfill that is under way: put the cursor on one"),)
        name = clean(item.name)
        if not item.active:
            return (Say(f"the backfill of {name} is over"),)
        verb = (
            Verb.BACKFILL_CANCEL
            if cancel
            else Verb.BACKFILL_RESUME
            if item.state is State.HELD
            else Verb.BACKFILL_PAUSE
        )
        return (open_plan(verb, item.pipeline, name, self._source(item), self.context, id=item.id),)

    def _source(self, item: OperationRow) -> SourceRow | None:
        return next((s for s in (self.head.sources if self.head else ()) if s.name == item.source), None)

    def _copy(self) -> Sequence[Effect]:
        item, r = self.here, self.record
        if r is not None:
            entries = [
                Entry("i", "id", Copy(r.id, "the record's id"), r.id),
                Entry("u", "hash", Copy(r.hash, "the record's hash"), r.hash[:16]),
                Entry("e", "key", Copy(r.key or "", "the key"), clean(r.key or ""), None if r.key else "it names none"),
            ]
            self.menu = Menu("Copy", f"of record {r.seq:,}", entries)
        elif isinstance(item, EndedRow):
            found = self._look()
            call = str((found.plan if found else {}).get("copy") or "")
            settle = f"watchfloor settle {item.id} done --reason "
            entries = [
                Entry("i", "id", Copy(item.id, "the action's id"), item.id),
                Entry("e", "key", Copy(item.key, "the key"), clean(item.key)),
                Entry("c", "call", Copy(call, "the call, secrets masked"), clean(call)[:60], None if call else "it had none"),
                Entry("s", "settle", Copy(settle, "the command"), settle, None if item.must_look else "its outcome is known, or still asked for"),
            ]  # fmt: skip
            self.menu = Menu("Copy", f"of {item.verb} {actions.thing(item.key)}", entries)
        elif item is not None:
            act = f"watchfloor plan backfill-pause {quote(item.pipeline)} --param {quote(f'id={item.id}')}"
            entries = [
                Entry("i", "id", Copy(item.id, "the backfill's number"), clean(item.id)),
                Entry("e", "key", Copy(item.pipeline, "the pipeline's key"), clean(item.pipeline)),
                Entry("c", "command", Copy(act, "the command"), clean(act), cannot(Verb.BACKFILL_PAUSE, self._source(item), self.context)),
            ]  # fmt: skip
            self.menu = Menu("Copy", f"of {clean(item.name)}", entries)
        return ()

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        self.read_whole()
        if self.auditing:
            return [audit.export_row(r) for r in self.records]
        if self._first is not None:
            found = self.context.reader.action_detail(self._first)
            return None if found is None else _whole_record(found)
        return {
            "under_way": [actions.record(a) for a in self.flying if self._passes(a)],
            "operations": [actions.operation_record(o) for o in self.operations if self._wants(o)],
            "done": [actions.record(a) for a in self.done],
        }

    def rows(self) -> list[dict[str, Any]]:
        self.read_whole()
        if self.auditing:
            return [{**audit.export_row(r), "body": r.body} for r in self.records]
        return [actions.record(i) for i in self._items() if isinstance(i, EndedRow)]


def _whole_record(found: ActionDetail) -> dict[str, Any]:
    return {
        **actions.record(found.row), "uid": found.uid, "identity": found.identity, "before": found.before, "after": found.after,
        "guards": list(found.guards), "calls": found.plan.get("calls"), "params": found.plan.get("params"),
        "business_date": found.plan.get("business_date"), "proof": found.plan.get("proof"), "effect": found.plan.get("effect"),
        "events": [{"at": at, "state": state.name.lower(), "words": said} for at, state, said in found.events],
        "audit": [audit.export_row(r) for r in found.records],
    }  # fmt: skip
