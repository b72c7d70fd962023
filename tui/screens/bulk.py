"""An action on several rows: each is planned, one confirmation is given, then they are done one after the other.

Every row is an action of its own, with its own plan, nonce, guards, proof and audit. The list stands still while another
screen is on top of it, and what is left can be left at any time between two rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from adapters.model import ActionState, AlertState
from tui import keymap
from tui.present import bulk
from tui.present.actions import GOOD, outcome
from tui.present.bulk import ON_ITS_WAY, WRONG, Row, Stage
from tui.present.cut import clean
from tui.screens.bulk_pane import BulkPane
from tui.screens.lists import ListScreen
from tui.view import Back, Effect, Request, Say

ARMING_MS = 500
AT_ONCE = 4
"""Plans asked for at a time."""
WAIT_MS = 10_000
"""So long the next row waits for the proof of the one before; then that one is looked after on the side."""
IN_A_ROW = 3
"""After so many that went wrong one after the other a person is asked."""
_OPEN = (Stage.SENT, Stage.CHECKING, Stage.UNKNOWN)
_UNTOLD = ("no_engine", "bug", "unknown")
"""Answers that do not say whether the action was taken."""


class BulkView(BulkPane):
    """``arg``: the verb (or ``ack``) and the keys, blanks between."""

    topics: frozenset[str] = frozenset({"action", "arm", "alert"})
    over = True
    ticks: ClassVar[bool] = True

    # --- asking -----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        if self.verb == "ack" and not self.going:
            self._find_alerts()
        for row in self.items:
            if row.action is not None and row.stage in _OPEN:
                row.seen = self.context.reader.action(row.action)
                self._follow(row)

    def begin(self) -> Sequence[Effect]:
        self._opened = self.context.now()
        return self._ask()

    def _ask(self) -> Sequence[Effect]:
        """The next plans, a few at a time."""
        if self.verb == "ack":
            return ()
        out: list[Effect] = []
        flying = sum(r.stage is Stage.ASKING and r.began > 0 for r in self.items)
        for i, row in enumerate(self.items):
            if flying + len(out) >= AT_ONCE:
                break
            if row.stage is Stage.ASKING and not row.began:
                row.began = max(self.context.now(), 1)
                out.append(Request("plan", {"verb": self.verb, "key": row.key}, f"plan:{i}"))
        return out

    def _find_alerts(self) -> None:
        """Acknowledging needs no plan: an open alert, once."""
        open_ones: dict[str, Any] = {}
        for alert in self.context.reader.alerts(open_only=True):
            open_ones.setdefault(alert.key.partition("/")[0], alert)
        taken: set[str] = set()
        for row in self.items:
            alert = open_ones.get(row.key.partition("/")[0])
            source = row.key.partition(":")[0]
            row.plan = {"source": source, "environment": self._environment(source)}
            if alert is None:
                row.stage, row.words = Stage.CANNOT, "it has no open alert"
            elif alert.state == AlertState.ACKED:
                row.stage, row.words = Stage.CANNOT, "its alert is acknowledged already"
            elif alert.id in taken:
                row.stage, row.words = Stage.CANNOT, "the same alert as a row above"
            else:
                taken.add(alert.id)
                row.stage, row.words = Stage.READY, clean(alert.title)
                row.plan["alert"] = alert.id

    def _environment(self, source: str) -> str:
        return next((s.environment or s.name for s in self.context.reader.sources() if s.name == source), source)

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        what, _, place = tag.partition(":")
        if what == "arm":
            return self._armed(error)
        if not place.isdigit() or int(place) >= len(self.items):
            return ()
        row = self.items[int(place)]
        if what == "plan":
            self._planned(row, reply, error)
            return self._ask()
        if row.stage is not Stage.ACTING:
            return ()  # a late answer to what was settled otherwise
        if error is not None:
            self._not_taken(row, error)
        elif self.verb == "ack":
            self._settle(row, Stage.DONE, "acknowledged: it is yours")
        else:
            row.action = str((reply or {}).get("action") or "")
            row.stage, row.words = Stage.SENT, clean(str((reply or {}).get("words") or ""))
            row.seen = self.context.reader.action(row.action)
            self._follow(row)
        return self.go_on()

    def _planned(self, row: Row, reply: dict[str, Any] | None, error: dict[str, str] | None) -> None:
        if row.stage is not Stage.ASKING:
            return
        if reply is None:
            row.stage, row.words = Stage.CANNOT, _said(error or {})
        else:
            row.plan = reply
            row.name = clean(str(reply.get("target") or reply.get("name") or row.name))
            stop = reply.get("blocked")
            if reply.get("candidates"):
                stop = f"{len(reply['candidates'])} runs are active: choose one by itself"
            elif not stop and not reply.get("plan"):
                stop = "the engine made no plan of it"
            row.stage, row.words = (Stage.CANNOT, clean(str(stop))) if stop else (Stage.READY, "")
        if not self.asking:
            self._fields = self._needed()
            self._focus = 0

    def _needed(self) -> list[str]:
        """What a person must give, for all of them once."""
        ready = self.ready
        self._phrase = None if self.stop else bulk.phrase(self.verb, ready)
        out = ["reason"] if any(r.needs.get("reason") for r in ready) else []
        return [] if self.stop or not ready else out + (["typed"] if self._phrase else [])

    def _armed(self, error: dict[str, str] | None) -> Sequence[Effect]:
        if error:
            return [Say(_said(error), "bad")]
        for row in self.items:
            row.needs.pop("armed", None)
        if not self.going:
            self._fields = self._needed()
            return ()
        return [Say(f"armed for 60 s: {keymap.key_of('dialog.confirm')} goes on")]

    # --- acting -------------------------------------------------------------------------------------------------------

    def go_on(self) -> Sequence[Effect]:
        """The next row, when the one before has ended or takes long."""
        if not self.going or self.ended or self.held:
            return ()
        now = self.context.now()
        for row in self.items:
            if row.stage is Stage.SENT and now - row.began >= WAIT_MS:
                row.stage = Stage.CHECKING
        if any(r.stage in ON_ITS_WAY for r in self.items):
            return ()
        if self._wrong >= IN_A_ROW and self.ready and not self.stopping:
            n = len(self.ready)
            self.held = f"{self._wrong} in a row went wrong: Enter goes on with the {n} left, Esc leaves {'it' if n == 1 else 'them'}"
            return ()
        row = next((r for r in self.items if r.stage is Stage.READY), None)
        if row is None or self.stopping:
            self._end()
            return ()
        if not self.context.engine_alive:
            key = keymap.key_of("app.refresh")
            self.held = f"nobody is watching any more, nothing is asked: {key} starts the engine, then Enter goes on"
            return ()
        return [self._act(row)]

    def _act(self, row: Row) -> Request:
        row.stage, row.words, row.began = Stage.ACTING, "asked …", self.context.now()
        place = self.items.index(row)
        self._looked = False
        if self.verb == "ack":
            return Request("ack", {"alert": row.plan["alert"]}, f"act:{place}")
        plan = row.plan
        reason = self._values["reason"].text.strip()
        if self._phrase:  # who reads the record must see what was typed: not this name, but the words for all of them
            reason = f"{reason} · in bulk, typed {self._phrase}".removeprefix(" · ")
        body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": reason, "typed": str(plan["needs"].get("typed") or "")}  # fmt: skip
        return Request("act", body, f"act:{place}")

    def _not_taken(self, row: Row, error: dict[str, str]) -> None:
        """The engine's refusal of one row; the others are none of its business."""
        code = error.get("code")
        if code == "plan_void":
            self._settle(row, Stage.VOID, _said(error))
        elif code in _UNTOLD:
            row.stage, row.words = Stage.LOST, _said(error)
            self.held = (
                f"no word of {row.name}: Enter asks what became of it (nothing is done twice), Esc leaves the rest"
            )
        elif code == "refused" and str(error.get("hint", "")).startswith("arm "):
            row.stage, row.words = Stage.READY, ""
            key = keymap.key_of("action.arm")
            self.held = f"{row.environment} is not armed any more: {key} arms it for 60 s, then Enter goes on"
        else:
            self._settle(row, Stage.REFUSED, _said(error))

    def _follow(self, row: Row) -> None:
        """How an action stands that was taken."""
        seen = row.seen
        if seen is None:
            return
        said = clean(seen.words)
        if seen.state in GOOD:
            self._settle(row, Stage.DONE, said or outcome(seen.state).word)
        elif seen.state is ActionState.UNKNOWN:
            self._settle(row, Stage.UNKNOWN, said)
        elif seen.state.in_flight:
            row.words = said
        elif seen.state is ActionState.VERIFY_TIMEOUT:
            self._settle(row, Stage.UNPROVED, said)
        else:
            self._settle(row, Stage.REFUSED if seen.state is ActionState.REFUSED else Stage.FAILED, said)

    def _settle(self, row: Row, stage: Stage, said: str) -> None:
        if row.stage is not stage:
            self._wrong = self._wrong + 1 if stage in WRONG else 0 if stage is Stage.DONE else self._wrong
        row.stage, row.words = stage, said

    def _end(self) -> None:
        self.ended, self._ended_at = True, self.context.now()
        for row in self.ready:
            row.stage, row.words = Stage.LEFT, "not asked for: it was stopped before"

    # --- keys ---------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if action in ("dialog.cancel", "nav.back", "app.quit"):
            return self._leave()
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        match action:
            case "dialog.next" | "dialog.prev" if self._fields and not self.going:
                self._focus = (self._focus + (1 if action == "dialog.next" else -1)) % len(self._fields)
            case "dialog.more" | "dialog.less" | "dialog.next" | "dialog.prev":
                far = self._page if action in ("dialog.more", "dialog.less") else 1
                self._looked = True
                self._top = max(0, self._top + (far if action in ("dialog.more", "dialog.next") else -far))
            case "dialog.confirm":
                return self._enter()
            case "action.arm":
                where = self.unarmed or (self._held_for_arming() if self.held else None)
                return [Request("arm", {"environment": where}, "arm")] if where and not self.ended else ()
            case _:
                pass
        return ()

    def _held_for_arming(self) -> str | None:
        row = next(iter(self.ready), None)
        return row.environment if row is not None and row.protected else None

    def _leave(self) -> Sequence[Effect]:
        if self.ended and self.context.now() - self._ended_at < ARMING_MS and not self.stopping:
            return [Say("it ended in this moment: this is what came of it")]
        if not self.going or self.ended:
            if isinstance(self.under, ListScreen):
                self.under.done_with(r.key for r in self.items if r.action or r.stage is Stage.DONE)
            return [Back()]
        if self.held:
            self.held = None
            self._end()
            return [Say(f"left: {bulk.noun(self.verb, sum(r.stage is Stage.LEFT for r in self.items))} not asked for")]
        self.stopping = True
        return [Say("stops after this one")]

    def type(self, text: str) -> Sequence[Effect] | None:
        if not self._fields or self.going:
            return None
        if self.context.now() - self._opened < ARMING_MS:
            return ()
        field = self._values[self._fields[self._focus]]
        if not field.takes(text):
            return None  # Enter, Esc, Tab, arrows: the keymap knows what they mean in a dialog
        field.type(text)
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self._fields and not self.going and self._fields[self._focus] == "reason":
            self._values["reason"].type(" ".join(text.split())[:200])
            return ()
        return [Say("paste is refused here: the words are typed, letter by letter", "warn")]

    def _enter(self) -> Sequence[Effect]:
        if self.ended:
            return self._leave()
        if self.going:
            return self._again()
        if self.asking:
            return [Say(f"{sum(r.stage is Stage.ASKING for r in self.items)} are still being planned")]
        if self._cramped:
            return [Say("too small to act here: make the terminal larger", "warn")]
        if self.stop:
            return self._leave() if self.refused or not self.ready else ()
        missing = [i for i, name in enumerate(self._fields) if not self.given(name)]
        if missing:
            self._focus = missing[0]
            return ()
        self.going = True
        return self.go_on()

    def _again(self) -> Sequence[Effect]:
        """Go on where it was held. What had no word is asked for again by its nonce: it is the same action, never a second."""
        if not self.held:
            return ()
        self.held, self._wrong = None, 0
        lost = next((r for r in self.items if r.stage is Stage.LOST), None)
        return [self._act(lost)] if lost is not None else self.go_on()

    # --- for scripts --------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        return {
            "verb": self.verb,
            "held": self.held,
            "ended": self.ended,
            "rows": [{"key": r.key, "stage": r.stage.word, "words": r.words, "action": r.action} for r in self.items],
        }


def _said(error: dict[str, str]) -> str:
    hint = error.get("hint")
    return clean(error.get("message", "refused") + (f"; {hint}" if hint else ""))
