"""Sources: can we see, with what right, and what did the engine, the messages and the actions come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from adapters.model import VERBS, Health
from engine.store.rows import ActionRow, DeliveryRow, Measured, OwnState, SourceRow
from tui import keymap
from tui.present import frame, lines, own, parts, words
from tui.present.cut import clean, cut, first_line
from tui.present.frame import Head
from tui.present.glyphs import HEALTH_LOOKS, TROUBLE, Look
from tui.present.head import refresh_word, trouble_words
from tui.present.lines import Cell, Column
from tui.present.menu import Entry, Menu
from tui.screens import common, sources_parts, window
from tui.screens.lists import Handler, ListScreen
from tui.screens.sources_panes import actions, engine, fact, letters, skew, version
from tui.screens.sources_parts import Parts
from tui.view import Context, Copy, Effect, Line, Open, Request, Say, Span

VIEWS = ("steps", "log", "history", "metrics", "items", "assets", "operations")
_SAID = [v for v in VERBS if not v.startswith("backfill-")]
"""Verbs that are said: what can be begun as a backfill can be paused and cancelled too."""
_SENT = (2, 4)
"""States of an outbox row that need nobody: sent, or over before anybody was told."""


def health_word(s: SourceRow, tz: str, now: int, narrow: bool = False) -> str:
    """``fresh · stale since 05:31 · auth failed · unreachable · rate limited until 06:10``; ``limited 06:10`` if narrow."""
    if s.health == Health.RATE_LIMITED and s.until is not None:
        return f"{'limited' if narrow else 'rate limited until'} {words.hhmm(s.until, tz)}"
    if (s.health == Health.STALE or (s.health == Health.FRESH and s.stale(now))) and s.last_ok is not None:
        return f"stale {'' if narrow else 'since '}{words.clock_short(s.last_ok, tz, now)}"
    if s.health == Health.FRESH and s.trouble:
        return TROUBLE.word if narrow else clean(s.trouble.partition(": ")[0])
    return HEALTH_LOOKS[s.health].word


def health_look(s: SourceRow, now: int) -> Look:
    """A source that says fresh but was not heard of for three polls is stale; one that is partly dead does not look well."""
    if s.health == Health.FRESH and s.trouble and not s.stale(now):
        return TROUBLE
    return HEALTH_LOOKS[Health.STALE if s.health == Health.FRESH and s.stale(now) else s.health]


def whole(names: Sequence[str], room: int) -> str:
    """Names side by side, none cut; how many more there are stands for those without room: ``start stop +3 more``."""
    for kept in range(len(names), 0, -1):
        said = " ".join([*names[:kept], *([f"+{len(names) - kept} more"] if kept < len(names) else [])])
        if len(said) <= room:
            return said
    return f"{len(names)} verbs" if names else ""


def health_since(s: SourceRow, now: int) -> int:
    """Since when ``health_look`` is so: a source that fell silent is stale since its last answer, not since it was fresh."""
    if s.health == Health.FRESH and s.stale(now):
        return s.last_ok or s.since
    return (s.trouble_since or s.since) if health_look(s, now) is TROUBLE else s.since


def measures(m: Measured, now: int) -> list[words.Clause]:
    """How much, how fresh, and what is missing, with a reason."""
    out: list[words.Clause] = []
    if m.refused:
        out.append([(clean(m.refused), "run-late b")])
    out.append(words.many(m.series, "series", "series"))
    if m.hosts:
        out.append(words.many(m.hosts, "host"))
    if m.down:
        out.append([(f"{m.down} down", "run-late b")])
    if m.t is not None:
        out.append(f"newest {words.age(max(now - m.t, 0))} ago")
    if m.why:
        more = f" and {m.silent - 1} more" if m.silent > 1 else ""
        out.append([(f"no reading of {clean(m.whose)}{more}", "run-late b"), (f": {clean(m.why)}", "dim")])
    return out


def budget(s: SourceRow) -> str:
    return f"{s.requests_min}/{s.budget_min}" if s.budget_min else str(s.requests_min)


class SourcesView(ListScreen):
    """``arg``: name of the source that the cursor starts on."""

    name: ClassVar[str] = "sources"
    title: ClassVar[str] = "Sources"
    contexts: ClassVar[tuple[str, ...]] = ("sources", "list", "global")
    topics: frozenset[str] = frozenset(
        {"engine", "source", "health", "pipeline", "run", "alert", "outbox", "action", "arm", "sample", "item"}
    )
    ticks: ClassVar[bool] = True
    of_a_row: ClassVar[frozenset[str]] = ListScreen.of_a_row - {"view.pane", "list.open"}  # panes turn without a row

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.cursor: str | None = arg
        self.letters: list[DeliveryRow] = []
        self.actions: list[ActionRow] = []
        self.own = OwnState()
        self.measured: Measured | None = None
        """What the source under the cursor measures."""
        self.pane = "detail"
        """The pane that stands first; of those of ``parts`` it has the cursor."""
        self.parts = Parts(context)
        self._top = 0

    def load(self) -> None:
        reader = self.context.reader
        self.head = Head.read(self.context)
        self.letters = [d for d in reader.deliveries(limit=200) if d.state not in _SENT and d.last_error]
        self.actions = reader.actions(limit=20)
        self.own = reader.own()
        names = [s.name for s in self.head.sources]
        if self.cursor not in names:
            self.cursor = names[0] if names else None
        self._load_parts()

    def _load_parts(self) -> None:
        self.parts.load(self.here)
        asked = self.here is not None and "metrics" in self.here.offers
        self.measured = self.context.reader.measured(self.here.name) if asked and self.here is not None else None
        if self.pane not in self.panes:
            self.pane = "detail"

    @property
    def panes(self) -> list[str]:
        """Names of the panes below the table, in the order in which Tab goes."""
        return ["detail", *self.parts.names(), "engine", "letters", "actions"]

    @property
    def in_part(self) -> bool:
        """Whether the cursor is in a pane of the source's own parts."""
        return self.parts.part(self.pane) is not None

    @property
    def sources(self) -> Sequence[SourceRow]:
        return self.head.sources if self.head else ()

    @property
    def here(self) -> SourceRow | None:
        return next((s for s in self.sources if s.name == self.cursor), None)

    def about(self) -> str | None:
        return self.here.name if self.here is not None else None

    @property
    def length(self) -> int:
        return self.parts.length(self.pane) if self.in_part else len(self.sources)

    def move(self, by: int) -> None:
        if self.in_part:
            self.parts.move(self.pane, by)
            return
        names = [s.name for s in self.sources]
        if names:
            at = names.index(self.cursor) if self.cursor in names else 0
            self.cursor = names[min(max(at + by, 0), len(names) - 1)]
            self._load_parts()

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        verdict = frame.verdict_of(head.counts)
        tz, now = ctx.timezone, ctx.now()
        if frame.is_tiny(width, height):
            names: list[list[Span]] = [
                [
                    (" ", ""),
                    (cut(s.name, 24), "text b"),
                    (" ", ""),
                    (health_word(s, tz, now), health_look(s, now).style),
                ]
                for s in head.sources
            ]
            return frame.tiny(ctx, head, verdict, names, width, height)
        top = frame.head_rows(ctx, head, verdict, self.title, width)
        room = height - len(top) - 1
        gap: list[Line] = [] if frame.is_narrow(width) else [[(" " * width, "")]]
        few = 3 if self.in_part else max(min(len(head.sources) + 2, room // 3 + 2), 3)
        body = self._table(width, few)
        if self.parts.read is not None:
            body += self.parts.text(width, room - len(body))
            return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)
        panes = self.panes
        first = panes.index(self.pane)
        order = [*panes[first:], *panes[:first]]
        tight = False
        for i, name in enumerate(order):
            part = self.parts.part(name) is not None
            space = [] if part and tight else gap  # parts stand close together: each has a title of its own
            left = room - len(body) - len(space)
            if left < 2:
                break
            pane = self._pane_of(name, width, left, focused=not i)
            if left < len(pane):
                pane = [*pane[: left - 1], self._more(width, len(order) - i - 1)]
            body += [*space, *pane]
            tight = part
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _pane_of(self, name: str, width: int, room: int, *, focused: bool) -> list[Line]:
        match name:
            case "detail":
                return self._detail(width)
            case "engine":
                return engine(self.context, self.head, self.own, width) if self.head is not None else []
            case "letters":
                return letters(self.context, self.letters, width)
            case "actions":
                return actions(self.context, self.actions, width)
            case _:
                return self.parts.pane(name, width, room, focused=focused)

    def _more(self, width: int, panes: int) -> Line:
        key = keymap.key_of("view.pane")
        said = f" shows the next of {panes + 1} panes" if panes else " turns the panes"
        return lines.fit([("   … ", "dim"), (key, "key b"), (said, "dim")], width)

    def _columns(self, width: int) -> list[Column]:
        if frame.is_narrow(width):
            return [
                Column("HEALTH", 17, gap=0), Column("SOURCE", 17 + max(width - 80, 0)), Column("ENV", 7), Column("SINCE", 9),
                Column("AGE", 4, "r"), Column("NEXT", 4, "r", 2), Column("REQ/MIN", 7, "r"), Column("PIPES", 5, "r"),
            ]  # fmt: skip
        wide = frame.is_wide(width)
        return [
            Column("HEALTH", 27, gap=0), Column("SOURCE", 26 if wide else max(width - 106, 6)), Column("ENV", 8 if wide else 6),
            Column("SINCE", 9), Column("LAST OK", 8 if wide else 0),
            Column("AGE", 4, "r"), Column("NEXT", 4, "r", 2), Column("REQ/MIN", 7, "r", 2), Column("BYTES/MIN", 9, "r"),
            Column("LATENCY", 7, "r"), Column("SKEW", 5, "r"), Column("PIPES", 5, "r"), Column("VERSION", 20 if wide else 7, gap=2),
            Column("IDENTITY", 30 if wide else 0, gap=2),
        ]  # fmt: skip

    def _row(self, s: SourceRow, width: int) -> list[Span]:
        tz, now = self.context.timezone, self.context.now()
        look = health_look(s, now)
        nxt = (
            "now"
            if s.next_try is not None and s.next_try <= now
            else words.age(None if s.next_try is None else s.next_try - now)
        )
        age = words.age(frame.source_age(s, now))
        values: dict[str, Cell] = {
            "HEALTH": [(look.glyph, look.token), ("  ", ""), (health_word(s, tz, now, frame.is_narrow(width)), look.style)],
            "SOURCE": [(cut(s.name, 26 if frame.is_wide(width) else 18), "text b" if s.name == self.cursor else "text")],
            "ENV": [(cut(clean(s.environment) or s.kind, 8), "dim")],
            "SINCE": [(words.clock(health_since(s, now), tz, now), "dim")],
            "LAST OK": [(words.hhmmss(s.last_ok, tz) if s.last_ok is not None and now - s.last_ok < words.DAY else words.clock_short(s.last_ok, tz, now), "text")],
            "AGE": [(age, "run-stale b" if s.stale(now) else "dim")],
            "NEXT": [(nxt, "dim")],
            "REQ/MIN": [(budget(s), "run-late" if s.budget_min and s.requests_min >= s.budget_min else "text")],
            "BYTES/MIN": [(words.size(s.bytes_min), "text")],
            "LATENCY": [("n/a" if s.latency_ms is None else f"{s.latency_ms} ms", "text")],
            "SKEW": [(skew(s.skew_ms), "run-late" if s.skew_ms is not None and abs(s.skew_ms) > 30_000 else "text")],
            "PIPES": [(words.count(s.pipelines), "text")],
            "VERSION": [(version(s.version), "dim")],
            "IDENTITY": [(clean(s.identity or "?"), "dim")],
        }  # fmt: skip
        cols = self._columns(width)
        return lines.row(cols, [values[c.title] for c in cols])

    def _table(self, width: int, room: int) -> list[Line]:
        total = len(self.sources)
        out: list[Line] = [lines.rule("Sources", self._note(), "", width, focused=not self.in_part)]
        if not total:
            return [*out, [("   no source is configured: watchfloor init writes a first configuration", "dim")]]
        out.append(lines.head(self._columns(width)))
        rows = max(room - 2, 1)
        self.page = rows
        at = next((i for i, s in enumerate(self.sources) if s.name == self.cursor), 0)
        self._top = window(self._top, at, rows, total)
        for s in self.sources[self._top : self._top + rows]:
            line = self._row(s, width)
            out.append(lines.cursor(line, width) if s.name == self.cursor else line)
        return out

    def _note(self) -> str:
        now = self.context.now()
        total = len(self.sources)
        good = sum(not s.stale(now) for s in self.sources)
        return f"{total} · {good} answering" if total else "none"

    def _detail(self, width: int) -> list[Line]:
        s = self.here
        if s is None:
            return []
        tz, now = self.context.timezone, self.context.now()
        note = " · ".join(
            p
            for p in (
                s.kind,
                clean(s.url),
                "protected" if s.protected else "not protected",
                "TLS is not verified" if s.insecure else "",
            )
            if p
        )
        out: list[Line] = [lines.rule(s.name, note, "", width)]
        look = HEALTH_LOOKS[s.health] if health_look(s, now) is TROUBLE else health_look(s, now)
        since = s.since if look is HEALTH_LOOKS[s.health] else health_since(s, now)
        said: list[words.Clause] = [[(look.word, look.style), (f" since {words.clock(since, tz, now)}", "text")]]
        if s.failures:
            said.append(f"{words.many(s.failures, 'failure')} in a row")
        if s.last_ok is not None:
            said.append(f"last answer {words.clock(s.last_ok, tz, now)}")
        if s.until is not None and s.until > now:
            said.append(f"waits until {words.clock(s.until, tz, now)}")
        out.append(fact("Health", words.sentence(said, width - 12), width))
        if self.parts.all:
            clauses = parts.summary(s, self.parts.all, tz, now)
            out.append(fact("Has", words.sentence(clauses or ["nothing under way, nothing wrong"], width - 12), width))
        elif s.trouble:
            out.append(fact("Has", [(trouble_words(s, tz, now), "run-failed b")], width))
        if self.measured is not None:
            out.append(fact("Measures", words.sentence(measures(self.measured, now), width - 12), width))
        if s.detail and not (s.trouble and not s.failures):
            out.append(fact("Says", [(first_line(s.detail), "text")], width))
        if s.hint:
            out.append(fact("Do", [(first_line(s.hint), "text b")], width))
        who: list[words.Clause] = [
            clean(s.identity) if s.identity else "identity not known",
            f"version {clean(s.version or '?')}",
        ]
        if s.skew_ms is not None:
            apart = f"{skew(s.skew_ms)} {'ahead' if s.skew_ms > 0 else 'behind'}"
            who.append(f"its clock is {apart}" if abs(s.skew_ms) >= 1000 else "its clock agrees with ours")
        who.append(f"polled every {words.duration(s.poll_ms)} at the fastest")
        out.append(fact("Who", words.sentence(who, width - 12), width))
        can = [v.value for v in _SAID if v in s.offers] + [v for v in VIEWS if v in s.offers]
        out.append(fact("Can", [(whole(can, width - 12) or "nothing is known yet", "text")], width))
        lacks = [
            (v.value, s.why_not.get(v.value, "not offered by this system"))
            for v in _SAID
            if s.offers and v not in s.offers
        ]
        lacks += [(v, s.why_not[v]) for v in VIEWS if v not in s.offers and v in s.why_not]
        reasons: dict[str, list[str]] = {}
        for verb, why in lacks:
            reasons.setdefault(first_line(why), []).append(verb)
        for i, (why, verbs) in enumerate(reasons.items()):
            names = whole(verbs, max(width - 14 - len(why), 12))
            out.append(fact("Cannot" if not i else "", [(names, "dim"), (f": {why}", "dim")], width))
        return out

    def _footer(self, width: int) -> Line:
        ids = [
            "app.refresh",
            "view.pane",
            *(["list.open"] if self.in_part and self.parts.read is None else []),
            "alert.ack",
            "action.arm",
            "copy.menu",
            "link.menu",
            "screen.floor",
            "screen.runs",
            "nav.back",
            "app.quit",
        ]
        said = {"app.refresh": refresh_word(self.context), "view.pane": "next pane"}
        if self.in_part:
            said |= {"list.open": "text" if self.pane == "import-error" else "open", "nav.back": "sources"}
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "app.refresh": self._poll,
            "view.pane": self._pane,
            "list.open": self._enter,
            "link.menu": self._links,
            "alert.ack": self._ack,
            "action.arm": self._arm,
            "copy.menu": self._copy,
        }

    def _poll(self) -> Sequence[Effect]:
        if not self.context.engine_alive or self.here is None:
            return common("app.refresh", self.context, self.name)
        self.asked = self.here.name
        return (Request("poll", {"source": self.here.name}, tag="poll"),)

    def act(self, action: str) -> Sequence[Effect]:
        if self.menu is None and action == "nav.back":
            if self.parts.read is not None:
                self.parts.read = None
                return ()
            if self.in_part:
                self.pane = "detail"
                return ()
        if action.startswith("open "):  # chosen from a menu
            return (Open("history", action.removeprefix("open ")),)
        return super().act(action)

    def _pane(self) -> Sequence[Effect]:
        names = self.panes
        self.parts.read = None
        self.pane = names[(names.index(self.pane) + 1) % len(names)]
        return ()

    def _enter(self) -> Sequence[Effect]:
        if not self.in_part:
            return self._pane()
        if self.parts.read is not None:
            return ()
        effects, self.menu = self.parts.open(self.pane)
        return effects

    def _links(self) -> Sequence[Effect]:
        key = self.parts.link(self.pane) if self.in_part else self.cursor
        return (Open("links", key),) if key else (Say("there is no row here"),)

    def watch(self) -> dict[str, Any] | None:
        return {"source": self.cursor} if self.cursor else None

    def _ack(self) -> Sequence[Effect]:
        if self.here is None:
            return ()
        found = self.alert_of(self.here.name)
        return self.ack(found[0], self.here.name, found[1]) if found else self.ack(None, self.here.name)

    def _arm(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self.here, self.head)

    def _copy(self) -> Sequence[Effect]:
        s = self.here
        if s is None:
            return ()
        if self.in_part and (entries := self.parts.copies(self.pane)):
            self.menu = Menu("Copy", f"of {entries[0].note}", entries)
            return ()
        entries = [
            Entry("i", "name", Copy(s.name, "the source's name"), s.name),
            Entry("u", "url", Copy(s.url, "the source's URL"), clean(s.url), None if s.url else "it has none"),
            Entry(
                "e",
                "error",
                Copy(s.detail or "", "what it says"),
                clean(s.detail or "")[:60],
                None if s.detail else "there is none",
            ),
        ]
        self.menu = Menu("Copy", f"of {s.name}", entries)
        return ()

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.head is None:
            self.load()
        assert self.head is not None
        engine = self.head.engine
        return {
            "engine": None
            if engine is None
            else {**asdict(engine), "alive": self.context.engine_alive, "store": str(self.context.reader.path)},
            "own": own.data(self.own),
            "sources": [
                {**row, "parts": sources_parts.data(self.context, s)}
                for row, s in zip(self.rows(), self.sources, strict=True)
            ],
            "undelivered": [asdict(d) for d in self.letters],
            "actions": [{**asdict(a), "state": a.state.name.lower(), "events": None} for a in self.actions],
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        now = self.context.now()
        return [
            {
                "name": s.name, "kind": s.kind, "url": s.url, "environment": s.environment, "protected": s.protected, "insecure": s.insecure,
                "state": health_look(s, now).word.replace(" ", "_"), "health": s.health.name.lower(), "stale": s.stale(now), "since": s.since,
                "last_ok": s.last_ok, "last_try": s.last_try, "next_try": s.next_try, "failures": s.failures, "detail": s.detail,
                "hint": s.hint, "until": s.until, "version": s.version, "identity": s.identity, "skew_ms": s.skew_ms,
                "latency_ms": s.latency_ms, "requests_min": s.requests_min, "budget_min": s.budget_min, "bytes_min": s.bytes_min,
                "poll_ms": s.poll_ms, "pipelines": s.pipelines, "offers": " ".join(sorted(s.offers)),
                "trouble": s.trouble, "trouble_since": s.trouble_since,
            }
            for s in self.sources
        ]  # fmt: skip
