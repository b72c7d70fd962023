"""The quick-reference card: what to check each morning, what to do when it is wrong, whom to call. One screen, from any row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from engine.store.rows import CardRow, FloorRow, LinkRow
from tui.present import card as present
from tui.present import frame, lines, words
from tui.present.cut import clean
from tui.present.frame import Head
from tui.screens import common, steps
from tui.view import Context, Copy, Effect, Line, Open, Say, Span, View


class CardView(View):
    """``arg``: a key (the card of its pipeline), ``card:NAME``, or nothing (the first card). Tab shows the next one."""

    name = "card"
    title = "Card"
    contexts = ("card", "list", "global")
    topics: frozenset[str] = frozenset({"configured", "pipeline", "run", "engine", "source", "health", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.wish = arg or ""
        self.key = "" if self.wish.startswith("card:") else self.wish.partition("/")[0]
        self.cards: list[CardRow] = []
        self.at = 0
        self.rows_now: list[FloorRow] = []
        self.known: dict[str, Any] = {}
        self.links: list[LinkRow] = []
        self.head: Head | None = None
        self.top = 0
        self._length = 0
        self._page = 20

    def load(self) -> None:
        reader = self.context.reader
        self.head = Head.read(self.context)
        mine = reader.cards_of(self.key) if ":" in self.key else []
        others = [c for c in reader.cards() if c not in mine]
        named = self.wish.removeprefix("card:")
        self.cards = [*mine, *others]
        if self.wish.startswith("card:"):
            self.cards.sort(key=lambda c: c.name != named)
        self.at = min(self.at, max(len(self.cards) - 1, 0))
        card = self.card
        self.known = reader.about_pipeline(self.key) if ":" in self.key else {}
        self.rows_now = reader.floor_rows(reader.card_ids(card.match)) if card is not None else []
        self.links = reader.links(self.key) if self.key else []
        have = {link.url for link in self.links}
        if card is not None:
            self.links += [LinkRow(w, u, card.name) for w, u in card.links.items() if u not in have]

    @property
    def card(self) -> CardRow | None:
        return self.cards[self.at] if self.cards else None

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        card = self.card
        ctx = self.context
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width)]
        if card is not None:
            today: date = datetime.fromtimestamp(ctx.now() / 1000, words.zone(ctx.timezone)).date()
            right = present.updated(card, today) if width >= 100 else []
            name: list[Span] = [(" ", ""), (clean(card.name), "text b"), ("   ", "")]
            room = width - lines.cells(name) - (lines.cells(right) + 3 if right else 1)
            name += present.state_of(self.rows_now, self._blind(), room)
            top.append(lines.ends(name, right, width))
        elif self.known:
            top.append(
                lines.fit([(" ", ""), (clean(self.key), "text b"), ("   no card is written for it", "dim")], width)
            )
        else:
            top.append(lines.fit([(" no card is written", "text b")], width))
        body = present.body(
            card, self.known, card.contacts if card else {}, self.links, self.rows_now, width, self._blind()
        )
        if card is None:
            body = [*self._how(width), *body]
        room = max(height - len(top) - 1, 0)
        self._length, self._page = len(body), room
        self.top = min(self.top, max(len(body) - room, 0))
        more = [("Tab", f"next card ({self.at + 1} of {len(self.cards)})")] if len(self.cards) > 1 else []
        scroll = [("j k", "scroll")] if len(body) > room else []
        foot = frame.footer_row([("Esc", "back"), *more, *scroll, ("y", "copy"), ("o", "links")], width)
        return frame.page(ctx, top, body[self.top : self.top + room], foot, width, height)

    def _blind(self) -> frozenset[str]:
        """Sources whose pipelines are not seen now; all of them while nobody watches."""
        if self.head is None:
            return frozenset()
        dark = (
            self.head.sources if not self.context.engine_alive else frame.blind(self.head.sources, self.context.now())
        )
        return frozenset(s.name for s in dark)

    def _how(self, width: int) -> list[Line]:
        rows = (
            "A card is what the one on duty reads first: what to check, what to do, whom to call.",
            "Write one in the configuration; it is here two seconds later:",
            "",
            "  [[card]]",
            '  name = "Sales mart"',
            '  match = "app:CDM"                      # which pipelines',
            '  check = ["sales-ready is met by 06:00"]',
            '  if_wrong = ["read the first error", "ask the source whether the file came"]',
            '  contacts = { data = "ana", infrastructure = "desk" }',
        )
        out: list[Line] = []
        for row in rows:
            out.append(lines.fit([(" ", ""), (row, "text" if row.startswith(" ") else "dim")], width))
        out.append([(" " * width, "")])
        return out

    def act(self, action: str) -> Sequence[Effect]:
        by = steps(action, self._page, max(self._length, 1))
        if by is not None:
            self.top = min(max(self.top + by, 0), max(self._length - self._page, 0))
            return ()
        match action:
            case "view.pane" if len(self.cards) > 1:
                self.at = (self.at + 1) % len(self.cards)
                self.top = 0
                self.load()
                return ()
            case "view.pane":
                return (Say("there is no other card"),)
            case "copy.menu":
                return (Copy(self.text(), "the card"),)
            case "link.menu":
                return (Open("links", self.key or f"card:{self.card.name}" if self.card else None),)
            case _:
                return common(action, self.context, self.name)

    def text(self) -> str:
        """The card as plain lines, for a ticket or a message."""
        width = 100
        body = present.body(self.card, self.known, {}, self.links, self.rows_now, width, self._blind())
        head = [self.card.name] if self.card else []
        return "\n".join([*head, *("".join(t for t, _ in line).rstrip() for line in body)])

    def about(self) -> str | None:
        return self.key or None

    def data(self) -> Any:
        return [
            {
                "name": c.name, "match": c.match, "updated": c.updated, "check": list(c.check), "if_wrong": list(c.if_wrong),
                "contacts": dict(c.contacts), "links": dict(c.links),
            }
            for c in self.cards
        ]  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        return [{"name": c.name, "match": c.match, "updated": c.updated} for c in self.cards]
