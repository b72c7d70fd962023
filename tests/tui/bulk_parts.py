"""What the tests of bulk actions share: a small floor, and a desk that plays the engine."""

from __future__ import annotations

import random
from typing import Any

from adapters.model import ActionState, State
from engine.store import actions
from tests.tui.stores import House
from tui.present.bulk import Stage
from tui.screens.bulk import BulkView
from tui.screens.floor import FloorView
from tui.view import Back, Request, Say


def floor(h: House, **more: Any) -> FloorView:
    view = FloorView(h.context(**more))
    view.load()
    return view


class Desk:
    """An engine that answers when it is told to: plans and actions of its own, written to the store of the house."""

    def __init__(self, house: House, view: BulkView) -> None:
        self.house, self.view = house, view
        self.asked: list[Request] = []
        self.acted: list[str] = []
        self.said: list[str] = []
        self.closed = False
        self.nonces: dict[str, str] = {}

    def take(self, effects: Any) -> None:
        for effect in effects or ():
            if isinstance(effect, Request):
                self.asked.append(effect)
            elif isinstance(effect, Say):
                self.said.append(effect.text)
            elif isinstance(effect, Back):
                self.closed = True

    def plan(self, key: str, **more: Any) -> dict[str, Any]:
        source, _, rest = key.partition(":")
        prod = source.startswith("prod")
        name = rest.partition("/")[0]
        needs = {
            "armed": False,
            "reason": True,
            "typed": f"prod/{name}" if prod else None,
            "key": "typed" if prod else "y",
        }
        return {
            "plan": f"P-{key}", "nonce": f"N-{key}", "hash": f"H-{key}", "verb": self.view.verb, "class": "disruptive", "key": key,
            "environment": "prod" if prod else "lab", "color": "red" if prod else "", "protected": prod, "source": source, "target": name,
            "now": {"state": int(State.RUNNING), "words": "running 1m"}, "effect": "no new runs from now on", "guards": [],
            "blocked": None, "needs": needs, "candidates": [], **more,
        }  # fmt: skip

    def answer(self, request: Request, reply: dict[str, Any] | None, error: dict[str, str] | None = None) -> None:
        self.asked.remove(request)
        self.take(self.view.answer(request.tag, reply, error))

    def plans(self, order: random.Random | None = None, **special: dict[str, Any]) -> None:
        """Answer every plan, also those that are asked for meanwhile. ``special``: pipeline name → other parts, or an error."""
        while wanted := [r for r in self.asked if r.do == "plan"]:
            request = order.choice(wanted) if order else wanted[0]
            key = str(request.body["key"])
            more = special.get(key.partition(":")[2].partition("/")[0], {})
            if "code" in more:
                self.answer(request, None, more)
            else:
                self.answer(request, self.plan(key, **more))

    @property
    def act(self) -> Request:
        (one,) = [r for r in self.asked if r.do == "act"]
        return one

    def done(
        self, state: ActionState = ActionState.DONE, words: str = "as it should be", *, answered: bool = True
    ) -> str:
        """Take the one act that is asked for, end it in the store, let the screen see it."""
        request = self.act
        key = str(request.body["plan"]).removeprefix("P-")
        self.record(key, str(request.body["nonce"]), state, words)
        if answered:
            self.answer(
                request, {"action": self.nonces[str(request.body["nonce"])], "state": int(state), "words": words}
            )
            self.tick()
        return key

    def record(self, key: str, nonce: str, state: ActionState, words: str) -> None:
        assert nonce not in self.nonces, "the same call twice"
        id = f"A{len(self.nonces)}"
        self.nonces[nonce] = id
        self.acted.append(key)
        now = self.house.now
        record = actions.ActionRecord(
            id=id, nonce=nonce, verb=self.view.verb, key=key, pipeline_key=key.partition("/")[0], scope=key, environment="prod",
            state=state, words=words, client_id=id, plan_hash="h", plan="{}", prepared="{}", reason=None, who="ana", uid=1, created=now,
            changed=now, ended=None if state.in_flight else now,
        )  # fmt: skip
        with self.house.tx() as tx:
            actions.insert(tx, record)

    def move(self, key: str, state: ActionState, words: str) -> None:
        with self.house.tx() as tx:
            actions.move(tx, self.nonces[f"N-{key}"], state, words, ended=not state.in_flight)
        self.tick()

    def tick(self) -> None:
        self.view.load()
        self.take(self.view.go_on())

    def type(self, text: str) -> None:
        for c in text:
            self.take(self.view.type(c))

    def press(self, action: str) -> None:
        self.take(self.view.act(action))

    @property
    def stages(self) -> dict[str, Stage]:
        return {r.key: r.stage for r in self.view.items}


PROD = [f"prod-af:p{i}" for i in range(4)]


def opened(h: House, keys: list[str], verb: str = "pause") -> Desk:
    view = BulkView(h.context(), " ".join([verb, *keys]))
    view.under = floor(h)
    view.load()
    desk = Desk(h, view)
    desk.take(view.begin())
    h.clock.at += 600
    return desk
