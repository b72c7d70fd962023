"""Two runs of one pipeline side by side: the run that was asked about, and another, by default the last success before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from engine.store.rows import RunDetail, SourceRow
from tui import keymap
from tui.present import diff, frame, words
from tui.present.about import about
from tui.present.cut import clean, cut_middle
from tui.present.diff import Fact, Pair, Table
from tui.present.glyphs import LOOKS
from tui.present.lines import cursor, fit, rule
from tui.present.menu import Entry, Menu
from tui.screens import window
from tui.screens.lists import Handler, ListScreen
from tui.view import Context, Copy, Effect, Line, Open, Say, Span

BUSY = 5
"""Points of load below which a host's difference is not told."""


class DiffView(ListScreen):
    """``arg``: a run's key, or two with a blank between; alone, it is compared with the last success before it."""

    name: ClassVar[str] = "diff"
    title: ClassVar[str] = "Compare"
    contexts: ClassVar[tuple[str, ...]] = ("diff", "list", "global")
    topics: frozenset[str] = frozenset({"run", "step", "health", "source", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        first, _, second = (arg or "").partition(" ")
        self.key: str | None = first.partition("#")[0] or None
        self.other_key: str | None = second.strip().partition("#")[0] or None
        self.chosen = self.other_key is not None
        """Whether somebody said with what to compare."""
        self.this: RunDetail | None = None
        self.other: RunDetail | None = None
        self.source: SourceRow | None = None
        self.facts: list[Fact] = []
        self.pairs: list[Pair] = []
        self.at = 0
        self._top = 0

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        reader = self.context.reader
        self.head = frame.Head.read(self.context)
        if self.key is None:
            newest = reader.runs(limit=1)
            self.key = newest[0].key if newest else None
        self.this = reader.run(self.key) if self.key else None
        if self.this is None:
            self.other = None
            return
        self.source = self.head.source(self.this.row.source)
        if self.other_key is None:
            self.other_key = reader.success_before(self.this.row.key) or self.this.older or self.this.newer
        self.other = reader.run(self.other_key) if self.other_key else None
        if self.other is None:
            return
        self.facts = diff.facts(self.this, self.other, self.context.timezone, self.context.now())
        self.facts += self._load_facts(self.this, self.other)
        self.pairs = diff.pairs(self.this, self.other)
        self.at = min(self.at, max(len(self.pairs) - 1, 0))

    def _load_facts(self, this: RunDetail, other: RunDetail) -> list[Fact]:
        """How busy this host was during both: only of jobs that ran on it, and only where samples are still kept."""
        if self.source is None or self.source.kind != "local":
            return []
        out: list[Fact] = []
        for name, series in (("cpu of this host", "host.cpu"), ("io wait", "host.io")):
            a, b = self._mean(this, series), self._mean(other, series)
            if a is None and b is None:
                continue
            gap = "" if a is None or b is None or abs(a - b) < BUSY else f"{a - b:+.0f} points"
            out.append(Fact(name, _percent(a), _percent(b), gap))
        return out

    def _mean(self, d: RunDetail, series: str) -> float | None:
        r = d.row
        if r.started is None:
            return None
        points = self.context.reader.history(series, r.started, r.ended or self.context.now(), points=60)
        return sum(p[1] for p in points) / len(points) if points else None

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        return len(self.pairs)

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(len(self.pairs) - 1, 0))

    @property
    def here(self) -> Pair | None:
        return self.pairs[self.at] if self.pairs else None

    def about(self) -> str | None:
        pair = self.here
        return pair.this.key if pair is not None and pair.this is not None else self.key

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if not hasattr(self, "head"):
            self.load()
        ctx, this, other = self.context, self.this, self.other
        if this is None or other is None:
            return self._nothing(width, height)
        spot = about(this.row.environment, this.row.source, self.source)
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width, about=spot)]
        if frame.silent(ctx, self.head.engine):
            top += frame.silent_rows(ctx, self.head, frame.Verdict(total=1), width)[:2]
        top.append(self._verdict(this, width))
        room = height - len(top) - 1
        body = self.under_menu(self._body(this, other, width, room), width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _verdict(self, this: RunDetail, width: int) -> Line:
        left: list[Span] = [(" ", ""), (cut_middle(clean(this.row.name), max(width // 3, 16)), "text b"), ("  ", "")]
        used = sum(len(t) for t, _ in left)
        return fit([*left, *words.sentence(self.said(), width - used - 1, "text", "text")], width)

    def said(self) -> list[words.Clause]:
        """What differs most, by weight."""
        this, other = self.this, self.other
        if this is None or other is None:
            return []
        params = [f.name for f in diff.param_facts(this.params, other.params)]
        slow = [p for p in self.pairs if _both_finished(p) and p.gap is not None and diff.loud(p.gap, p.ratio)]
        ends = [
            p for p in self.pairs if p.this is not None and p.other is not None and p.this.state is not p.other.state
        ]
        ends.sort(key=lambda p: (not (p.this and p.this.state.bad), not (p.other and p.other.state.bad)))
        unread = not this.steps or not other.steps
        alone = [] if unread else [p for p in self.pairs if p.this is None or p.other is None]
        out: list[words.Clause] = []
        a, b = LOOKS[this.row.state], LOOKS[other.row.state]
        if a is not b and not ends:
            out.append([(f"{a.word}, the other {b.word}", "run-failed b" if this.row.state.bad else "text")])
        for first in ends[:1]:
            assert first.this is not None
            assert first.other is not None
            now, then = LOOKS[first.this.state].word, LOOKS[first.other.state].word
            style = "run-failed b" if first.this.state.bad else "text"
            out.append([(f"{clean(first.name)} {now}, in the other {then}", style)])
        if len(ends) > 1:
            out.append(f"{words.many(len(ends) - 1, 'more step')} ended otherwise")
        if slow:
            worst = max(slow, key=lambda p: abs(p.gap or 0))
            style = "run-late" if (worst.gap or 0) > 0 else "text"
            out.append([(f"{clean(worst.name)} {diff.gap_words(worst.gap, worst.ratio)}", style)])
        if params:
            out.append(
                f"{words.many(len(params), 'param')} differ" if len(params) > 1 else f"param {params[0]} differs"
            )
        if alone:
            out.append(f"{words.many(len(alone), 'step')} on one side only")
        if not out:
            ran = next((f for f in self.facts if f.name == "ran" and f.gap), None)
            alike = "no param differs" if unread else "no step and no param differs"
            out.append(f"alike, but for the time: {ran.gap}" if ran else f"alike: {alike}")
        if unread and self.pairs:
            out.append(f"the steps of {'the other' if this.steps else 'this'} are not known")
        return out

    def _body(self, this: RunDetail, other: RunDetail, width: int, room: int) -> list[Line]:
        table, now = Table.of(width), self.context.now()
        titles = ("THIS", "OTHER")
        errors = self._errors(this, other, width)
        facts = self.facts
        if len(facts) + len(errors) + min(len(self.pairs), 5) + 4 > room:
            facts = [f for f in facts if f.main or not f.same]
        most = max(room - len(errors) - min(len(self.pairs), 5) - 3, 3)
        note = self._other_words()
        out: list[Line] = [rule("Runs", note, "", width), diff.head_line(titles, table, width)]
        out += [diff.fact_line(f, table, width) for f in facts[:most]]
        if len(facts) > most:
            out[-1] = fit([(f"  and {len(facts) - most + 1} more that differ; show diff prints all", "dim")], width)
        rows = room - len(out) - len(errors) - 1
        differ = sum(not p.same for p in self.pairs)
        unread = sum(p.unread for p in self.pairs)
        said = f"{len(self.pairs)} · {differ} differ" if self.pairs else "none known"
        if unread:  # nothing was compared there: not even that nothing differs
            said = f"{len(self.pairs)} · not compared" + (
                f": {differ} of the others differ" if unread < len(self.pairs) else ""
            )
        out.append(rule("Steps", said, "" if frame.is_narrow(width) else "the last try of each", width, focused=True))
        self.page = max(rows, 1)
        self._top = window(self._top, self.at, self.page, len(self.pairs))
        for i, pair in enumerate(self.pairs[self._top : self._top + self.page], self._top):
            line = diff.pair_line(pair, table, width, now)
            out.append(cursor(line, width, mono=self.context.mono) if i == self.at else line)
        if not self.pairs:
            out.append(fit([(f"  {self._why_no_steps()}", "dim")], width))
        out += [[(" " * width, "")]] * max(room - len(out) - len(errors), 0)
        return [*out[: room - len(errors)], *errors]

    def _why_no_steps(self) -> str:
        if self.source is not None and "steps" not in self.source.offers:
            return f"no steps: {self.source.why_not.get('steps', f'{self.source.kind} does not show them')}"
        return "the steps of neither are read yet: they are read while this is open"

    def _other_words(self) -> str:
        if self.chosen:
            return "with the run that was chosen"
        assert self.other is not None
        return (
            "with the last success before it"
            if self.other.row.state.finished
            else "with its neighbour: no success is kept"
        )

    def _errors(self, this: RunDetail, other: RunDetail, width: int) -> list[Line]:
        both = [("this ", diff.first_error(this)), ("other", diff.first_error(other))]
        if not any(text for _, text in both):
            return []
        same = both[0][1] == both[1][1]
        out: list[Line] = [rule("First error", "the same" if same else "", "", width)]
        for who, text in both:
            style = "dim" if not text or same else "run-failed"
            out.append(fit([(f"  {who}  ", "dim"), (text or "none", style)], width))
        return out

    def _nothing(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        top = [frame.band_row(ctx, self.head, self.title, width)]
        back = keymap.key_of("nav.back")
        if self.this is None:
            said = f"The run {clean(self.key)} is not in the store." if self.key else "No run has been seen yet."
        elif self.other_key and self.chosen:
            said = f"The run {clean(self.other_key)} is not in the store."
        else:
            said = "It is the only run of its pipeline that is kept: there is nothing to compare it with."
        body: list[Line] = [[], [(f"  {said}", "text b")], [("  ", ""), (back, "key b"), (" back", "dim")]]
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _footer(self, width: int) -> Line:
        ids = ["list.open", "run.log", "run.older", "run.newer", "run.history", "copy.menu", "nav.back", "app.quit"]
        said = {"list.open": "this run", "run.older": "with an older", "run.newer": "with a newer"}
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if not self.length and self.this is not None and action in ("list.open", "run.log", "run.history", "copy.menu"):
            return () if self.menu is not None else self.handlers()[action]()
        return super().act(action)

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "run.log": self._log,
            "run.older": lambda: self._another(-1),
            "run.newer": lambda: self._another(1),
            "run.history": self._history,
            "copy.menu": self._copy,
        }

    def _open(self) -> Sequence[Effect]:
        """This run at the step under the cursor; of a step that only the other has, the other."""
        pair = self.here
        if pair is None:
            return (Open("run", self.key),) if self.key else ()
        step = pair.this or pair.other
        return (Open("run", step.key),) if step is not None else ()

    def _log(self) -> Sequence[Effect]:
        pair = self.here
        if pair is None:
            return (Open("log", self.key),) if self.key else ()
        step = pair.this or pair.other
        return (Open("log", f"{step.key} {step.attempt}"),) if step is not None else ()

    def _history(self) -> Sequence[Effect]:
        return (Open("history", self.key),) if self.key else ()

    def _another(self, way: int) -> Sequence[Effect]:
        """Another run on the other side; this run itself is stepped over."""
        if self.other is None or self.this is None:
            return ()
        key = self.other.older if way < 0 else self.other.newer
        if key == self.this.row.key:
            key = self.this.older if way < 0 else self.this.newer
        if key is None:
            return (Say("no older run is kept" if way < 0 else "there is no newer run to compare with"),)
        self.other_key, self.chosen = key, True
        self.load()
        return ()

    def _copy(self) -> Sequence[Effect]:
        if self.this is None or self.other is None:
            return ()
        a, b = self.this.row.key, self.other.row.key
        entries = [
            Entry("u", "this", Copy(a, "the key of this run"), clean(a)),
            Entry("i", "other", Copy(b, "the key of the other run"), clean(b)),
            Entry("e", "error", Copy(diff.first_error(self.this), "the error"), diff.first_error(self.this)[:60], None if diff.first_error(self.this) else "there is none"),
        ]  # fmt: skip
        self.menu = Menu("Copy", "of the two runs", entries)
        return ()

    def watch(self) -> dict[str, Any] | None:
        """The run that goes on, or whose steps are not known: this one first."""
        for d in (self.this, self.other):
            if d is not None and (d.row.state.active or (not d.steps and not d.row.generated)):
                return {"run": d.row.key}
        return None

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.this is None or self.other is None:
            return None
        return {
            "this": self.this.row.key, "other": self.other.row.key, "says": [words.clause_text(c) for c in self.said()],
            "facts": [diff.fact_record(f) for f in self.facts], "steps": [diff.pair_record(p) for p in self.pairs],
            "first_error": {"this": diff.first_error(self.this), "other": diff.first_error(self.other)},
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """Facts, then steps."""
        empty = dict.fromkeys(("what", "name", "this", "other", "same", "difference_ms", "this_ms", "other_ms", "this_tries", "other_tries"))  # fmt: skip
        found = [*map(diff.fact_record, self.facts), *map(diff.pair_record, self.pairs)]
        return [{**empty, **record} for record in found] if self.other is not None else []


def _both_finished(pair: Pair) -> bool:
    return pair.this is not None and pair.other is not None and pair.this.state.finished and pair.other.state.finished


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}%"
