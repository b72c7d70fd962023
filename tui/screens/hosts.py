"""Hosts and resources: levels now, one curve over time with the runs that used it, when a limit is reached, who uses it now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from engine.store.rows import CapacityRow, Chart, SeriesRow, UseNow, UsualRow
from tui import keymap
from tui.present import capacity, chart, frame, hosts, lines, words
from tui.present.cut import clean, cut_middle
from tui.present.frame import Head
from tui.present.hosts import Host, Resource
from tui.screens import window
from tui.screens.hosts_curve import LABEL, Curve
from tui.screens.hosts_panes import Stack, limits_pane, running_pane, wants
from tui.screens.hosts_processes import Processes
from tui.screens.hosts_systems import Systems
from tui.screens.lists import Handler, ListScreen
from tui.view import Back, Context, Effect, Line, Open, Say, Span

RANGES: Final = (
    ("1 h", chart.HOUR), ("6 h", 6 * chart.HOUR), ("24 h", chart.DAY), ("7 d", 7 * chart.DAY), ("30 d", 30 * chart.DAY),
)  # fmt: skip
_DAY_RANGE: Final = 2
_AGAIN_MS: Final = 10_000
"""Curves and limits are asked for again after so long: their buckets are no finer."""
_MANY: Final = 100
"""Limits; of more they are asked for again once a minute."""
_USUAL_MS: Final = 600_000


class HostsView(ListScreen):
    """``arg``: a series (``host.disk:/data``) or a host that the cursor starts on."""

    name: ClassVar[str] = "hosts"
    title: ClassVar[str] = "Hosts"
    contexts: ClassVar[tuple[str, ...]] = ("hosts", "list", "global")
    topics: frozenset[str] = frozenset({"engine", "source", "health", "sample", "process", "configured", "item"})
    ticks: ClassVar[bool] = True
    of_a_row: ClassVar[frozenset[str]] = ListScreen.of_a_row - {"view.pane", "list.open"}

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.hosts: list[Host] = []
        self.limits: Sequence[CapacityRow] = ()
        self.use = UseNow(None, (), None, 0)
        self.range = _DAY_RANGE
        self.processes = Processes(context)
        self.panes = Stack()
        self.systems = Systems(context)
        self.cursor: str | None = arg
        self.words = ""
        self._rows: list[Host | Resource] = []
        self._series: Sequence[SeriesRow] = ()
        self._recent: dict[str, Chart] = {}
        self._usual: dict[str, UsualRow] = {}
        self._usual_at: int | None = None
        self._names: list[str] = []
        """Series of the short curves."""
        self._again_at: int | None = None
        self._limits_at = 0
        self._topics: dict[str, int] = {}
        self.curve = Curve(context)
        self._top = self._first = 0
        self._young: int | None = None
        """When the range was chosen; a person's choice stays."""

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Levels each time; curves and limits each ten seconds; what is usual each ten minutes."""
        reader, now = self.context.reader, self.context.now()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        moved = {t for t, v in topics.items() if self._topics.get(t) != v}
        self._topics = topics
        self.systems.read(self.head.sources, moved)
        if self.processes.open:
            self.processes.load()
        self._series = reader.series("host", named=True)
        names = self._drawn()
        at = self._sampled(now)
        if self._usual_at is None or abs(at - self._usual_at) >= _USUAL_MS:
            self._usual, self._usual_at = reader.usual(names, at), at
        again = self._again_at is None or abs(now - self._again_at) >= _AGAIN_MS or names != self._names
        if again or "configured" in moved:
            self._again_at, self._names = now, names
            minute = at // chart.MINUTE * chart.MINUTE
            since = minute - (hosts.RECENT - 1) * chart.MINUTE
            self._recent = reader.chart(names, since, minute + chart.MINUTE, hosts.RECENT)
            if len(self.limits) <= _MANY or now - self._limits_at >= chart.MINUTE or "configured" in moved:
                self.limits, self._limits_at = reader.capacity(), now
            self.curve.forget()  # also which runs there were: on a busy floor some run moves each second
            if self._young is None:
                self._young = at
                self.range = self._first_range(at)
        self.use = reader.used_by_runs()
        self._lay()

    def _drawn(self) -> list[str]:
        """Series with a short curve: all of this host, what was asked for, and of each other host what its row shows. Of the one
        under the cursor all: there may be hundreds."""
        here = self.here
        label = here.label if here is not None and not here.named else None
        return [
            s.series
            for s in self._series
            if hosts.shown(s) and s.t is not None and (s.host in (None, label) or s.metric in ("cpu", "io"))
        ]

    def _first_range(self, at: int) -> int:
        """24 hours, or less where there is no more to see yet."""
        found = self.context.reader.chart(["host.cpu"], at - chart.DAY, at + 1, 48).get("host.cpu")
        known = next((48 - i for i, c in enumerate(found.cells) if c is not None), 48) if found is not None else 48
        return 0 if known <= 2 else 1 if known <= 12 else _DAY_RANGE

    def _sampled(self, now: int) -> int:
        """When this host was sampled last, or now: what an engine that is gone measured is drawn as of then."""
        last = max((s.t for s in self._series if s.t is not None and s.host is None), default=None)
        return now if last is None or now - last < hosts.STALE_MS else last

    def _lay(self) -> None:
        assert self.head is not None
        this = self.head.engine.host if self.head.engine is not None else "this host"
        running = len(self.use.runs) if self.use.at is not None else None
        now = self.context.now()
        self.hosts = hosts.hosts(self._series, self._recent, self._usual, self.limits, this, running, now)
        rows: list[Host | Resource] = list(self.hosts)
        here = self._host_of(self.cursor) or (self.hosts[0] if self.hosts else None)
        if here is not None:
            rows += [r for r in here.resources if self._fits(r)]
        self._rows = rows
        keys = [r.key for r in rows]
        if self.cursor not in keys:
            self.cursor = here.key if here is not None else None

    def _host_of(self, key: str | None) -> Host | None:
        for h in self.hosts:
            if key in (h.key, h.name) or any(r.key == key for r in h.resources):
                return h
        return None

    def _fits(self, r: Resource) -> bool:
        hay = f"{r.name} {r.row.series}".lower()
        return all(word in hay for word in self.words.split())

    @property
    def silent(self) -> bool:
        return self.head is not None and frame.silent(self.context, self.head.engine)

    @property
    def stale(self) -> bool:
        """Whether nobody can vouch for the levels: no engine, or one that samples no more."""
        at = max((h.at or 0 for h in self.hosts if h.label is None), default=0)
        return self.silent or not self.context.engine_alive or self.context.now() - at >= hosts.STALE_MS

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        return self.processes.length if self.processes.open else len(self._rows)

    def move(self, by: int) -> None:
        if self.processes.open:
            self.processes.move(by)
        elif self._rows:
            keys = [r.key for r in self._rows]
            at = keys.index(self.cursor) if self.cursor in keys else 0
            host = self.here
            self.cursor = keys[min(max(at + by, 0), len(keys) - 1)]
            self._lay()
            if self.here is not host and self._drawn() != self._names:
                self.load()  # its curves

    @property
    def here(self) -> Host | None:
        return self._host_of(self.cursor) or (self.hosts[0] if self.hosts else None)

    @property
    def resource(self) -> Resource | None:
        """The series that is drawn: the cursor's, of a host its CPU, of a source that has none its first one."""
        host = self.here
        if host is None:
            return None
        chosen = next((r for r in host.resources if r.key == self.cursor), None) or host.of("cpu")
        return chosen or next((r for r in host.resources if not r.missing), None)

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        verdict = frame.verdict_of(head.counts)
        if frame.is_tiny(width, height):
            tz, now = ctx.timezone, ctx.now()
            names = [self._as_known(hosts.tiny_line(r, tz, now)) for r in self._resources()]
            return frame.tiny(ctx, head, verdict, names, width, height, self._footer(width) if self.typing else None)
        top: list[Line] = [frame.band_row(ctx, head, self.title, width)]
        top += frame.silent_rows(ctx, head, verdict, width) if self.silent else [self._verdict(width)]
        if not frame.is_narrow(width):
            top.append([(" " * width, "")])
        room = height - len(top) - 1
        if self.processes.open:
            body = self.processes.paint(width, room, self._name())
            self.page = max(room - 2, 1)
        else:
            body = self._body(width, room)
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _name(self) -> str:
        return self.here.name if self.here is not None else "this host"

    def _resources(self) -> list[Resource]:
        return [r for r in self._rows if isinstance(r, Resource)]

    def _verdict(self, width: int) -> Line:
        """How many hosts, and what needs a person; calm where nothing does."""
        now = self.context.now()
        left: list[Span] = [
            (f" {words.many(self._count(), 'host')}" if self.hosts else " no host is sampled yet", "text b")
        ]
        soon = capacity.soonest(self.limits)
        odd = [
            f"{r.name}{f' {h.name}' if h.label is not None and not h.named else ''} {hosts.outside(r)}"
            for h in self.hosts
            for r in h.resources
            if not r.stale and r.unusual()
        ]
        down = sum(h.down for h in self.hosts)
        chips: list[Span] = []
        for c in soon:
            host = clean(c.host or self._name())
            text = f"{capacity.metric_name(c.metric, c.label)} {host} {capacity.full_in(c)}"
            chips.append((text, "run-stale b") if self.stale else frame.chip(text, "run-late"))
        said = [*([f"{words.many(down, 'host')} down"] if down else []), *odd]
        at = max((h.at or 0 for h in self.hosts if h.label is None), default=0)
        age: list[Span] = [(f"sampled {words.age(now - at)} ago", "run-stale b" if self.stale else "dim")] if at else []
        room = width - lines.cells(age) - 3
        for chip in chips:
            if lines.cells(left) + 3 + lines.cells([chip]) <= room:
                left += [("  ", ""), chip]
        for word in said:
            if lines.cells(left) + 3 + len(word) <= room:
                left += [("  ", ""), (word, "run-stale" if self.stale else "run-late b")]
        if not chips and not said and self.hosts:
            known = [c for c in self.limits if c.seen and not c.learning]
            learning = sum(c.learning for c in self.limits if c.seen)
            if known:
                left += [("  ", ""), ("nothing fills up within 14 days", "run-ok b" if not self.stale else "run-stale")]
            if learning:
                left += [("  ", ""), (f"{words.many(learning, 'limit')} still learning", "dim")]
        return lines.ends(left, age, width)

    def _body(self, width: int, room: int) -> list[Line]:
        if not self.hosts:
            nothing, size = self._nothing(width), self.systems.wants()[1]
            return (
                [*nothing, [], *self.systems.paint(width, min(size, room - 3), silent=self.silent)] if size else nothing
            )
        gap: list[Line] = [] if frame.is_narrow(width) else [[(" " * width, "")]]
        table = self._table(width, max(room // 3 - 2, 3))
        shown = self._resources()
        # resources scroll; what they do not need goes to the panes below, the curve takes the rest
        narrow = frame.is_narrow(width)
        kept = min(len(shown), max(room - 30, 4 if narrow else 6))
        body: list[Line] = [*table, *gap, *self._resource_pane(width, 1 + kept)]
        tz, now = self.context.timezone, self.context.now()
        panes: dict[str, Callable[[int], list[Line]]] = {
            "chart": lambda size: self._chart(width, size),
            "systems": lambda size: self.systems.paint(width, size, silent=self._unsure(here=False)),
            "limits": lambda size: limits_pane(self.limits, self._this(), width, size, tz, now, stale=self.stale),
            "running": lambda size: running_pane(
                self.use, self._this(), width, size, stale=self.stale, loud=self._rest_is_loud()
            ),
        }
        return body + self.panes.paint(
            room - len(body), gap, narrow, wants(self.limits, self.use, self.systems.wants()), panes
        )

    def _nothing(self, width: int) -> list[Line]:
        key = keymap.key_of("app.refresh")
        out: list[Line] = [lines.rule("Hosts", "none", "", width, focused=True)]
        if self.context.engine_alive:
            return [*out, [("   no reading yet: the engine samples this host once a second", "dim")]]
        said: list[Span] = [
            ("   no reading yet: only an engine samples this host   ", "dim"),
            (key, "key b"),
            (" starts one", "dim"),
        ]
        return [*out, said]

    def _count(self) -> int:
        return sum(not h.named for h in self.hosts)

    def _as_known(self, line: Line) -> Line:
        return frame.as_stale(line) if self.stale else line

    def _answers(self, h: Host) -> bool:
        if h.label is not None:
            return not h.down and not h.stale
        return not self.stale and h.at is not None and self.context.now() - h.at < 60_000

    def _table(self, width: int, room: int) -> list[Line]:
        """A row a host; of many those around the cursor."""
        good = sum(self._answers(h) for h in self.hosts if not h.named)
        note = f"{good} of {self._count()} answering"
        size = max(min(len(self.hosts), room), 1)
        at = next((i for i, h in enumerate(self.hosts) if h is self.here), 0)
        self._first = window(self._first, at, size, len(self.hosts))
        last = min(self._first + size, len(self.hosts))
        hint = f"last {hosts.RECENT} m and now"
        if len(self.hosts) > size:
            hint = f"{self._first + 1}–{last} of {len(self.hosts)}"
        out: list[Line] = [
            lines.rule("Hosts", note, hint, width, focused=True),
            lines.head(hosts.host_columns(width)),
        ]
        for h in self.hosts[self._first : last]:
            line = hosts.host_line(h, width)
            if self._unsure(h.label is None) or (h.stale and not h.down and not h.named):
                line = frame.as_stale(line)
            out.append(lines.cursor(line, width, mono=self.context.mono) if h.key == self.cursor else line)
        return out

    def _unsure(self, here: bool) -> bool:
        """Whether nobody vouches for it: this host by its sampler, others by the engine that asks for them."""
        return self.stale if here else self.silent or not self.context.engine_alive

    def _resource_pane(self, width: int, size: int) -> list[Line]:
        shown = self._resources()
        room = max(size - 1, 1)
        self.page = room
        at = next((i for i, r in enumerate(shown) if r.key == self.cursor), 0)
        self._top = window(self._top, at, room, len(shown))
        last = min(self._top + room, len(shown))
        host = self.here
        named = host is not None and host.named
        many = words.count(len(shown)) if named else f"{words.count(len(shown))} resources"
        note = many if not self.words else f"filter {self.words}"
        hint = f"{self._top + 1}–{last} of {len(shown)}" if len(shown) > room else ""
        out: list[Line] = [
            lines.rule(f"{'Series' if named else 'Resources'} of {cut_middle(self._name(), 24)}", note, hint, width)
        ]
        if not shown:
            key = keymap.key_of("nav.back")
            return [*out, [("   nothing is called that   ", "dim"), (key, "key b"), (" shows all again", "dim")]]
        for r in shown[self._top : last]:
            line = hosts.resource_line(r, width, self.context.timezone, self.context.now())
            if r.stale or self._unsure(r.row.source == "host"):
                line = frame.as_stale(line)
            out.append(lines.cursor(line, width, mono=self.context.mono) if r.key == self.cursor else line)
        return out

    # --- the curve --------------------------------------------------------------------------------------------------

    def _chart(self, width: int, size: int) -> list[Line]:
        axis = self._axis(width - LABEL - 2)
        here = self.here is not None and self.here.label is None
        return self.curve.paint(
            self.resource, self._name(), RANGES[self.range][0], axis, width, size, here=here, stale=self.stale
        )

    def _axis(self, cells: int) -> chart.Axis:
        return chart.axis(self._sampled(self.context.now()), RANGES[self.range][1], cells)

    # --- limits and users -------------------------------------------------------------------------------------------

    def _this(self) -> str:
        engine = self.head.engine if self.head is not None else None
        return clean(engine.host) if engine is not None else "this host"

    def _rest_is_loud(self) -> bool:
        """CPU that is unusually high, most of it of nobody we know."""
        rest, host = self.use.rest, next((h for h in self.hosts if h.label is None), None)
        cpu = host.of("cpu") if host is not None else None
        if rest is None or rest.cpu is None or cpu is None or cpu.unusual() <= 0:
            return False
        return rest.cpu > sum(u.cpu or 0.0 for u in self.use.runs)

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            what = "series" if self.here is not None and self.here.named else "resources"
            left = f"{self.length} processes" if self.processes.open else f"{len(self._resources())} {what}"
            return self.field_row(width, left)
        if self.processes.open:
            return frame.footer_row(self.processes.footer(self.contexts, width), width)
        only = ["list.open", "time.in", "time.out", "view.pane", "list.filter", "nav.back", "screen.floor"]
        names = {"list.open": "processes", "time.in": "closer", "time.out": "wider", "nav.back": "back"}
        return frame.footer_row(keymap.footer(self.contexts, width, only=only, words=names), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "view.pane": self._turn,
            "time.in": lambda: self._zoom(-1),
            "time.out": lambda: self._zoom(1),
            "hosts.sort": self._sort,
            "nav.back": self._back,
        }

    def _open(self) -> Sequence[Effect]:
        if self.processes.open:
            key = self.processes.run_key
            return (Open("run", key),) if key else (Say("this process belongs to no run of ours"),)
        here = self.here
        if here is not None and here.named:
            return (Say(f"these are series of {here.name}, which [[series]] asks for: a series has no processes"),)
        if here is not None and here.label is not None:
            return (Say(f"processes are read of {self._this()} only: nobody looks into {here.name}"),)
        self.processes.begin()
        return ()

    def _back(self) -> Sequence[Effect]:
        if self.filter_text:
            self.set_filter("")
            return ()
        if self.processes.open:
            self.processes.end()
            return ()
        return () if self.panes.reset() else (Back(),)

    def _turn(self) -> Sequence[Effect]:
        if self.processes.open:
            return self._sort()
        return () if self.panes.turn() else (Say("every pane is shown whole"),)

    def _sort(self) -> Sequence[Effect]:
        if not self.processes.open:
            return (Say(f"{keymap.key_of('list.open')} shows the processes, then this sorts them"),)
        self.processes.turn()
        return ()

    def _zoom(self, way: int) -> Sequence[Effect]:
        to = min(max(self.range + way, 0), len(RANGES) - 1)
        if to == self.range:
            return (Say(f"{RANGES[to][0]} is the {'closest' if way < 0 else 'widest'} view"),)
        self.range = to
        return ()

    @property
    def filter_text(self) -> str:
        return self.processes.words if self.processes.open else self.words

    def set_filter(self, text: str) -> None:
        if self.processes.open:
            self.processes.filter(text)
        else:
            self.words = text.lower().strip()
            self.systems.filter(self.words)
            self._lay()

    def watch(self) -> dict[str, Any] | None:
        return {"processes": True} if self.processes.open else None

    def about(self) -> str | None:
        return self.processes.run_key if self.processes.open else None

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.head is None:
            self.load()
        r = self.resource
        found = self.curve.read(r, self._axis(100)) if r is not None and not r.missing else None
        use = [*self.use.runs, *([self.use.rest] if self.use.rest else [])]
        return {
            "sampled": max((h.at or 0 for h in self.hosts), default=None), "stale": self.stale,
            "hosts": [
                {"host": h.name, "sampled": h.at, "running": h.running, "down": h.down, "stale": h.stale}
                for h in self.hosts if not h.named
            ],
            "resources": self.rows(),
            "chart": None if found is None else {
                "series": found.series, "since": found.since, "until": found.until, "p50": found.p50, "peak": found.peak,
                "peak_at": found.peak_at, "cells": [None if c is None else {"avg": c[0], "min": c[1], "max": c[2]} for c in found.cells],
            },
            "systems": self.systems.data(),
            "capacity": [capacity.record(c) for c in self.limits],
            "running": [
                {"run": u.run_key, "name": u.name or "no run of ours", "step": u.step, "cpu": u.cpu, "memory": u.rss} for u in use
            ],
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """One row a resource of every host."""
        if self.head is None:
            self.load()
        return [hosts.record(h, r) for h in self.hosts for r in h.resources if self._fits(r)]
