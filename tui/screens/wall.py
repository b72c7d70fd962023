"""The wall: the Floor in large, for a monitor that nobody touches. Digits across the room, then the sentences.

No names of people, no keys, no cursor. The clock is the proof of life, ``truth`` the proof of data; when the engine is
silent a red block says so in large, and everything below is what was true then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from adapters.model import State
from tui.present import floor, frame, host_row, owed, own, words
from tui.present.cut import clean, cut, cut_middle
from tui.present.floor import Item
from tui.present.floor_owed import NOTHING, Owing
from tui.present.frame import Head, Verdict
from tui.present.glyphs import STALE_MARK
from tui.present.lines import cells, ends, finish, fit, recolour
from tui.view import Context, Effect, Line, Span, View

_FONT = {
    "0": "111101101101111", "1": "010110010010111", "2": "111001111100111", "3": "111001111001111",
    "4": "101101111001001", "5": "111100111001111", "6": "111100111101111", "7": "111001001001001",
    "8": "111101111101111", "9": "111101111001111", "m": "000110111111101", "h": "100100111101101",
    "d": "001001111101111", "s": "111100111001111", "?": "111001011000010", "-": "000000111000000",
    "+": "000010111010000",
}  # fmt: skip
_COLON = ("0", "1", "0", "1", "0")
_JUDGE_MS = 10_000


def digits(text: str, pixel: int, tall: int, style: str, ground: str = "") -> list[list[Span]]:
    """Text of digits (and ``m h d ? :``) as rows of blocks; a pixel is ``pixel`` cells wide and ``tall`` rows high."""
    rows: list[list[Span]] = []
    for y in range(5):
        line: list[Span] = []
        for i, char in enumerate(text):
            if i:
                line.append((" " * max(1, pixel - 1), ground))
            dots = _COLON[y] if char == ":" else _FONT.get(char, _FONT["?"])[y * 3 : y * 3 + 3]
            for dot in dots:
                line.append(("█" * pixel, style) if dot == "1" else (" " * pixel, ground))
        rows += [line] * tall
    return rows


def beside(blocks: Sequence[tuple[Sequence[Line], int]], height: int) -> list[list[Span]]:
    """Blocks of lines side by side; each has its width."""
    out: list[list[Span]] = []
    for y in range(height):
        line: list[Span] = []
        for lines, width in blocks:
            line += fit(lines[y] if y < len(lines) else [], width)
        out.append(line)
    return out


class WallView(View):
    """Reads what the Floor reads; ``act`` does nothing, the app knows ``q``."""

    name: ClassVar[str] = "wall"
    title: ClassVar[str] = "Wall"
    contexts: ClassVar[tuple[str, ...]] = ("global",)
    topics: frozenset[str] = frozenset({"engine", "source", "health", "pipeline", "run", "alert", "sample", "owed"})
    ticks: ClassVar[bool] = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.items: list[Item] = []
        self.head: Head | None = None
        self._owing = NOTHING
        self._owed_read: tuple[int | None, ...] = ()
        self._read: tuple[object, ...] = ()
        self._judged = 0

    def load(self) -> None:
        """Sources and gauges each time; the pipelines when they moved, or when time may have made a run long."""
        reader, now = self.context.reader, self.context.now()
        head = self.head = Head.read(self.context)
        topics = dict(reader.topics())
        silent = frame.silent(self.context, head.engine)
        read = (
            *(topics.get(topic) for topic in ("pipeline", "run", "alert", "source", "owed")),
            silent,
            *(source.stale(now) for source in head.sources),
        )
        if read != self._read or now - self._judged >= _JUDGE_MS:
            self._read, self._judged = read, now
            if (topic := (topics.get("owed"), topics.get("step"))) != self._owed_read:
                self._owed_read = topic
                self._owing = Owing.read(reader, self._owing)
            self.items = floor.judge(reader.floor(), head.sources, now, silent=silent, owing=self._owing)

    # --- paint ------------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        ctx, head = self.context, self.head
        if head is None:
            return finish([], width, height, ascii=ctx.ascii)
        now = ctx.now()
        verdict = floor.verdict(self.items, now)
        silent = frame.silent(ctx, head.engine)
        if frame.is_tiny(width, height):
            names = [self._problem(item, width, now) for item in self.items if item.problem or item.unjudged]
            return frame.tiny(ctx, head, verdict, names, width, height)[: height - 1] + self._tiny_foot(
                width, height, verdict
            )
        lines: list[Line] = [self._top(head, width, now), []]
        lines += self._silent(head, width, now) if silent else self._tiles(head, verdict, width, height, now)
        problems = [item for item in self.items if item.problem or item.unjudged]
        layers = self._layers(width, now)
        below = [] if height < len(lines) + 8 else self._bottom(head, width)
        room = height - len(lines) - len(below)
        shown = self._problems(problems, width, room - (min(len(layers), 5) if height >= 36 else 0), now)
        rest: list[Line] = [[(" ", ""), ("━" * (width - 2), "rule"), (" ", "")], *shown]
        left = room - len(rest)
        if left >= 5:
            rest += [[(" ", ""), ("━" * (width - 2), "rule"), (" ", "")], [], *layers[: left - 2]]
        rest += [[]] * (room - len(rest))
        rest = [*rest[:room], *below]
        if silent:
            rest = [recolour(fit(line, width), "run-stale") if line else line for line in rest]
        return finish([*lines, *rest], width, height, ascii=ctx.ascii)

    def _tiny_foot(self, width: int, height: int, verdict: Verdict) -> list[Line]:
        """Instead of keys: the time, which proves that this screen lives."""
        if height < 2 or width < 20:
            return (
                frame.tiny(self.context, self.head, verdict, [], width, 1)
                if self.head and height == 1
                else [fit([], width)]
            )
        return [fit([(f" {words.hhmm(self.context.now(), self.context.timezone)}", "text b")], width)]

    def _top(self, head: Head, width: int, now: int) -> list[Span]:
        tz = self.context.timezone
        environments = head.environments
        name = " + ".join(clean(e.name) for e in environments) or "no environment yet"
        band = environments[0].band if environments else "local"
        left: list[Span] = [
            (f" {cut(name, width // 3)} ", f"band-{band}-fg on:band-{band}-bg b"),
            ("  Floor", "text b"),
        ]
        right: list[Span] = [] if frame.is_narrow(width) else [(f"{words.weekday(now, tz)}   ", "dim")]
        return ends(left, [*right, *host_row.truth(self.context, head)], width)

    def _scale(self, width: int, height: int) -> tuple[int, int]:
        if frame.is_wide(width) and height >= 40:
            return 4, 2
        return (3, 1) if width >= 100 else (2, 1)

    def _tiles(self, head: Head, verdict: Verdict, width: int, height: int, now: int) -> list[Line]:
        """BROKEN, WILL BE LATE, BLIND and the clock; with nothing wrong one large green number."""
        tz = self.context.timezone
        pixel, tall = self._scale(width, height)
        blind = frame.blind(head.sources, now)
        unknown = verdict.unknown + verdict.unjudged
        danger = verdict.danger
        fine = bool(verdict.total) and not (verdict.broken or danger or blind or unknown or verdict.long)
        since = f"since {words.clock(verdict.since, tz, now)}" if verdict.since is not None else ""
        worst = min(blind, key=lambda source: source.last_ok or 0, default=None)
        ran = verdict.total - verdict.unrun  # of what never ran nothing good can be said
        unrun = f"{verdict.unrun} never ran" if verdict.unrun else ""
        doubt = f"{verdict.unknown} unknown" if verdict.unknown else ""
        if verdict.unjudged:
            doubt += f"{' · ' if doubt else ''}{words.many(verdict.unjudged, 'promise')} unknown"
        dark = "" if worst is None else f"{cut(clean(worst.name), 14)} {words.age(frame.source_age(worst, now))}"
        tiles = [
            (ran, "AS OWED" if verdict.promised else "FINE", "run-ok", unrun)
            if fine
            else (verdict.broken, "BROKEN", "run-failed", since),
            (len(danger), "WILL BE LATE", "run-late", self._late(verdict, now)),
            (len(blind), "BLIND", "run-stale", dark or doubt),
        ]
        if not verdict.total:
            tiles[0] = (0, "NOTHING SEEN YET", "run-stale", "")
        due = "" if verdict.next_at is None else f"next run {words.clock(verdict.next_at, tz, now)}"
        name = "" if verdict.next_name is None else f" {verdict.next_name}"
        if verdict.due_at is not None:
            due = f"next due {words.clock(verdict.due_at, tz, now)}"
            name = f" in {words.running(verdict.due_at - now)}"
        blocks: list[tuple[Sequence[Line], int]] = []
        clock = digits(words.hhmm(now, tz), pixel, tall, "text")
        clock_width = max(cells(line) for line in clock) + 4
        slot = (width - clock_width) // len(tiles)
        for number, word, style, note in tiles:
            shown = "?" if word == "NOTHING SEEN YET" else str(number)
            colour = style if number or shown == "?" else "dim"
            rows: list[Line] = [[("   ", ""), *line] for line in digits(shown, pixel, tall, colour)]
            rows.append([("   ", ""), (word, f"{colour} b" if colour != "dim" else "dim")])
            rows.append([("   ", ""), (note, "text" if number else "run-stale b" if note and note == doubt else "dim")])
            blocks.append((rows, slot))
        rows = [[("  ", ""), *line] for line in clock]
        rows += [[], [("  ", ""), (due, "text"), (name, "dim")]]
        blocks.append((rows, width - slot * len(tiles)))
        return [*beside(blocks, 5 * tall + 2), []]

    def _late(self, verdict: Verdict, now: int) -> str:
        """When those are due that will be late: ``06:00  06:30``."""
        if not verdict.promised:
            return "no deadline is set"
        times = list(dict.fromkeys(words.clock_short(due, self.context.timezone, now) for _, due in verdict.danger))
        return "  ".join(times[:3]) + (f" +{len(times) - 3}" if len(times) > 3 else "")

    def _silent(self, head: Head, width: int, now: int) -> list[Line]:
        """Seven red rows: for how long nobody has been watching, across the room."""
        ctx = self.context
        pixel = self._scale(width, 50)[0]
        since = frame.silent_since(ctx, head.engine)
        ground = "banner-fg on:banner-bg"
        age = words.age(max(now - since, 60_000)) if since is not None else "?"
        big = digits(age, pixel, 1, ground, ground)
        at = words.clock(since, ctx.timezone, now) if since is not None else ""
        stopped = head.engine is not None and head.engine.stopped is not None
        said = [
            (own.short(ctx) or "nobody is watching").upper(),
            "",
            own.at(ctx, at)
            or (f"engine {'stopped at' if stopped else 'silent since'} {at}" if at else "no engine has ever run here"),
            "all below is what was true then" if at else "nothing is known yet",
            words.hhmm(now, ctx.timezone),
        ]
        rows: list[Line] = [[(" " * width, ground)]]
        for line, text in zip(big, said, strict=True):
            spans: list[Span] = [("   ", ground), *line, ("      ", ground), (text, "banner-fg b on:banner-bg")]
            left = width - cells(spans)
            rows.append([*spans, (" " * max(left, 0), ground)])
        rows.append([(" " * width, ground)])
        return [*rows, []]

    def _problem(self, item: Item, width: int, now: int) -> list[Span]:
        """One problem in one line: state in capitals, name, since when, what it means."""
        tz = self.context.timezone
        narrow = width < 100
        name = 20 if narrow else 28
        stale = item.stale and (item.row is not None or item.thing)
        look = item.look
        mark = STALE_MARK if stale and look.glyph != "?" else " "
        spans: list[Span] = [
            ("  ", ""),
            (f"{look.glyph}{mark} ", look.token),
            (f"{cut(look.word.upper(), 8):<9}", look.style),
            (f"{cut_middle(item.name, name - 2):<{name}}", "text b"),
        ]
        if not narrow:
            spans.append((f"{cut(words.clock_short(item.since, tz, now), 6):<7}", "dim"))
        told = floor.story(item, self.items, tz, now)
        told = [
            clause for clause in told if not (isinstance(clause, str) and clause.startswith(("owner ", "used by ")))
        ]  # no names here
        said = words.sentence(told, max(width - cells(spans) - 1, 8))
        line = fit([*spans, *said], width)
        return recolour(line, "run-stale") if stale else line

    def _problems(self, problems: Sequence[Item], width: int, room: int, now: int) -> list[Line]:
        """As many as there is room for, with air between them while there is room for that too."""
        room -= 1
        if not problems:
            return (
                [[("  nothing is broken", "run-ok")]] if self.items else [[("  no pipeline seen yet", "run-stale b")]]
            )
        air = len(problems) * 2 <= room
        fits = len(problems) if len(problems) * (1 + air) <= room else max(room - 1, 1)
        out: list[Line] = []
        for item in problems[:fits]:
            out.append(self._problem(item, width, now))
            if air:
                out.append([])
        if fits < len(problems):
            out.append([(f"  and {len(problems) - fits} more", "dim")])
        return out

    def _layers(self, width: int, now: int) -> list[Line]:
        """Each layer's pipelines as glyphs, worst first, and what is due next in it, or runs next where nothing is promised."""
        tz = self.context.timezone
        half = max(width * 55 // 120, 30)
        by_layer: dict[str, list[Item]] = {}
        for item in self.items:
            if item.row is not None:
                by_layer.setdefault(clean(item.row.layer or "") or "-", []).append(item)
        promised = self._owing.declared
        title = "NEXT DUE" if promised else "NEXT RUN"
        out: list[Line] = [beside([([[(" LAYER   NOW", "dim")]], half), ([[(title, "dim")]], width - half)], 1)[0]]
        for layer, items in by_layer.items():
            spans: list[Span] = [(f" {cut(layer, 6):<8}", "text b")]
            for item in items[: (half - 10) // 3]:
                assert item.row is not None
                if item.stale:
                    spans.append(("?  ", "run-stale"))
                elif item.row.state == State.SUCCESS and item.look.word == "ok":
                    spans.append(("■  ", "strip-ok"))
                else:
                    spans.append((f"{item.look.glyph}  ", item.look.token))
            ahead = [i for i in items if i.row is not None and i.row.next_run is not None and i.row.next_run > now]
            nearest = min(ahead, key=lambda i: i.row.next_run or 0 if i.row else 0, default=None)
            after: list[Span] = []
            if promised:
                after = self._next_due(items, now)
            elif nearest is not None and nearest.row is not None:
                after = [
                    (cut_middle(nearest.name, 26), "text"),
                    (f" {words.clock(nearest.row.next_run, tz, now)}", "dim"),
                ]
            out.append(beside([([spans], half), ([after], width - half)], 1)[0])
        return out

    def _next_due(self, items: Sequence[Item], now: int) -> list[Span]:
        """``customer_360 06:30  +4m``: what is owed soonest, or still."""
        tz = self.context.timezone
        due = [i for i in items if i.owed is not None and i.owed.declared and i.owed.state.unsettled]
        first = min(due, key=lambda i: i.owed.due if i.owed else 0, default=None)
        if first is None or first.owed is None:
            return []
        late = "?" if first.stale else owed.lateness(first.owed, now)
        return [
            (cut_middle(first.name, 26), "text"),
            (f" {words.clock(first.owed.due, tz, now)}", "text"),
            (f"  {late}", owed.late_style(first.owed, stale=first.stale)),
        ]

    def _bottom(self, head: Head, width: int) -> list[Line]:
        gauges = host_row.hosts_row(self.context, head, min(width, frame.NARROW - 1))
        if gauges:
            gauges[-1] = (gauges[-1][0].rstrip(), gauges[-1][1])
        return [[], ends(gauges, frame.alerts_spans(head.counts), width)]

    # --- the rest ---------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        return ()

    def data(self) -> Any:
        ctx, now = self.context, self.context.now()
        verdict = floor.verdict(self.items, now)
        blind = [] if self.head is None else [source.name for source in frame.blind(self.head.sources, now)]
        return {
            "broken": verdict.broken,
            "broken_since": verdict.since,
            "late": len(verdict.danger),
            "blind": blind,
            "unknown": verdict.unknown,
            "unjudged": verdict.unjudged,
            "total": verdict.total,
            "silent_since": None
            if self.head is None or not frame.silent(ctx, self.head.engine)
            else frame.silent_since(ctx, self.head.engine),
            "problems": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        now = self.context.now()
        return [floor.record(i, self.items, self.context.timezone, now) for i in self.items if i.problem]
