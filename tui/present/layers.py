"""Where pipelines stand in the chain: the order of layers, how one pipeline looks in a lane, what a filter may ask of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Owed, unquote_id
from tui.present import chain, lines, owed, row_facts, words
from tui.present.chain import NO_LAYER, ORDER, Lane
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.cut import width as cells_of
from tui.present.glyphs import LOOKS, NO_VIEW, STALE_MARK, Look

if TYPE_CHECKING:
    from engine.store.rows import FeedRow, FloorRow, OwedRow
    from tui.present.chain import Chain
    from tui.present.floor import Item
    from tui.present.words import Clause
    from tui.view import Line, Span

MOST: Final = 12
"""Names that one line spells out at most."""
LOOP: Final = "↺"
"""Leads back to an earlier layer, on the next day."""
CAME: Final = Look("●", "@", "came", "text")
NOT_CAME: Final = Look("·", ".", "not come yet", "dim")


def layer_rank(name: str | None) -> tuple[int, str]:
    """Sorts names of layers."""
    if not name or name == NO_LAYER:
        return len(ORDER) + 1, ""
    upper = name.upper()
    return (ORDER.index(upper), "") if upper in ORDER else (len(ORDER), name.casefold())


def lane_of(item: Item, row: FloorRow, silent_since: int | None, *, silent: bool) -> Lane:
    """A pipeline of the Floor as a lane."""
    source = item.source
    known = silent_since if silent else source.last_ok if source is not None else None
    layer = clean(row.layer) if row.layer else NO_LAYER
    return Lane(
        row.key, clean(row.name), layer, row, item.owed, source, item.look, item.problem, item.stale,
        known if item.stale else None,
    )  # fmt: skip


def thing_lane(owes: OwedRow, layer: str | None, *, silent: bool, silent_since: int | None) -> Lane:
    """A feed, heartbeat or set that owes something. The engine itself looks for it: it is stale where no engine does."""
    broken = owes.state in (Owed.BREACHED, Owed.AT_RISK)
    name = clean(owes.name)
    outside = "SRC" if owes.thing.startswith("feed:") else ""
    return Lane(
        owes.thing, name, clean(layer or owes.layer or outside) or NO_LAYER, None, owes, None, owed.look(owes, stale=silent), broken, silent,
        silent_since if silent else None,
    )  # fmt: skip


def facts(lane: Lane) -> dict[str, str]:
    """What a filter may ask about a lane. ``state`` holds the words of the run and of the promise."""
    r, o = lane.row, lane.owes
    state = lane.look.word + (" stale unknown" if lane.stale else "")
    if o is not None:
        state += " " + owed.look(o, stale=lane.stale).word
    if r is None:
        return {"key": lane.key, "name": lane.name, "state": state, "layer": lane.layer}
    if r.state is not None:
        state += f" {r.native or ''} {r.state.name.lower()} {LOOKS[r.state].word}"
    return {
        "key": r.key, "name": r.name, "state": state, "source": r.source, "owner": r.owner or "", "layer": r.layer or NO_LAYER,
        "environment": r.environment, "application": r.application or "", "business_date": r.business_date or "",
        "kind": r.kind.name.lower() if r.kind is not None else "",
        "is": row_facts.is_words(r, stale=lane.stale, problem=lane.loud),
    }  # fmt: skip


def number(lane: Lane, now: int) -> Callable[[str], int | None]:
    """Numbers of a lane for a filter."""
    return lambda name: row_facts.number(name, lane.row, lane.owes, now)


def next_due(owed_now: Iterable[OwedRow], now: int) -> OwedRow | None:
    """What is due next of all that waits."""
    waiting = [r for r in owed_now if r.state.waiting and r.due >= now and r.type not in owed.PER_RUN]
    return min(waiting, key=lambda r: (r.due, int(r.severity), r.name), default=None)


def by_layer(lanes: Sequence[Lane]) -> list[Lane]:
    """In the order of the chain; in a layer by name, so that lanes stay where they are."""
    return sorted(lanes, key=lambda lane: (*layer_rank(lane.layer), lane.name, lane.key))


def feed_lane(feed: FeedRow, *, silent: bool, silent_since: int | None) -> Lane:
    """A feed that nobody promised: whether its file came is all that is known of it."""
    look = NO_VIEW if feed.error is not None or feed.looked is None else CAME if feed.arrived is not None else NOT_CAME
    stale = silent or feed.error is not None
    seen = silent_since if silent else feed.looked if stale else None
    return Lane(
        f"feed:{feed.name}",
        clean(feed.name),
        clean(feed.layer or "SRC"),
        None,
        None,
        None,
        look,
        False,
        stale,
        seen,
    )


# --- one pipeline in its layer --------------------------------------------------------------------------------------


def due_cell(lane: Lane, tz: str, now: int, room: int) -> tuple[str, str]:
    """(words, style): ``06:00 +14m`` where there is room for ten cells, else what matters more of the two."""
    o = lane.owes
    if o is None:
        return "", ""
    unknown = o.state is Owed.UNKNOWN or (lane.stale and not o.settled and o.state is not Owed.BREACHED)
    style = owed.late_style(o, stale=unknown)
    late = "?" if unknown else owed.lateness(o, now)
    if o.settled:
        return late, style
    if late == "?" and not unknown:
        late = ""  # nothing predicts it yet: its due time says all that is known
    at = words.day_clock(o.due, tz, now)
    if len(at) > room:  # only its day has room
        at = at.partition(" ")[0] if at[0].isalpha() else words.hhmm(o.due, tz)
    if room >= 10 and len(at) + 1 + len(late) <= room:
        return f"{at} {late}".rstrip(), style
    return (late if unknown or o.state in (Owed.BREACHED, Owed.AT_RISK) else at), style


def item(
    lane: Lane,
    n: int,
    tz: str,
    now: int,
    *,
    here: bool = False,
    before: str = " ",
    after: str = " ",
    near: bool = False,
) -> list[Span]:
    """One pipeline in ``n`` cells: mark of who waits for the cursor row, state, name, due, mark of whom it waits for."""
    room = 10 if n >= 34 else 5
    said, style = due_cell(lane, tz, now, room)
    name = max(n - 5 - room, 4)
    related = before != " " or after != " "
    name_style = "run-stale" if lane.stale else "key" if related else "text"
    if lane.loud or here or near:
        name_style += " b"
    look = chain.look(lane)
    mark = (look.glyph + (STALE_MARK if lane.stale else " "), "run-stale" if lane.stale else look.style)
    return lines.fit(
        [
            (before, "key b"), mark, (pad(cut_middle(lane.name, name), name), name_style), (" ", ""),
            (pad(cut(said, room), room, "r"), style), (after, "key b"),
        ],
        n,
    )  # fmt: skip


def loop_item(names: Sequence[str], n: int) -> list[Span]:
    """``↺ name``: whom it feeds on the next day, under it."""
    return lines.fit([("   ", ""), (f"{LOOP} ", "run-held"), (cut(", ".join(names), max(n - 6, 1)), "dim")], n)


# --- the pane below -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class About:
    """What is said of the pipeline under the cursor."""

    lane: Lane
    chain: Chain
    lanes: Mapping[str, Lane]

    def _name(self, key: str) -> list[Span]:
        lane = self.lanes.get(key)
        if lane is None:
            return [("? ", "run-stale"), (clean(unquote_id(key.partition(":")[2])), "run-stale"), (" not seen", "dim")]
        look = chain.look(lane)
        mark = look.glyph + (STALE_MARK if lane.stale else "")
        return [
            (f"{mark} ", "run-stale" if lane.stale else look.style),
            (lane.name, "run-stale" if lane.stale else "text"),
        ]

    def _state(self, key: str) -> str:
        lane = self.lanes.get(key)
        return "unknown" if lane is None else chain.standing(lane)

    def _line(self, title: str, clauses: Sequence[Clause], width: int, more: int = 0) -> Line:
        """As many whole clauses as fit; how many do not is said. ``more``: those that were not even spelt out."""
        room = width - 13
        shown = list(clauses)
        total = len(clauses) + more
        while len(shown) > 1 and _long(shown) + (12 if len(shown) < total else 0) > room:
            shown.pop()
        if len(shown) < total:
            shown.append(f"+{total - len(shown):,} more")
        return [(f" {title:<10} ", "dim"), *words.sentence(shown, room, "text", "dim")]

    def owes(self, tz: str, now: int, width: int) -> Line:
        o = self.lane.owes
        if o is None:
            return self._line("owes", ["nothing is promised of it"], width)
        look = owed.look(o, stale=self.lane.stale)
        return self._line("owes", [[(look.word, look.style)], *owed.sentence(o, tz, now)], width)

    def waits(self, width: int) -> Line:
        """What it waits for, what is wrong first; what it takes of the day before."""
        near = sorted(self.chain.up.get(self.lane.key, ()), key=lambda k: (self._state(k) not in chain.WRONG, k))
        clauses: list[Clause] = [self._name(k) for k in near[:MOST]]
        clauses += [[(f"{LOOP} ", "run-held"), *self._name(k)] for k in self.chain.loops_to(self.lane.key)]
        return self._line("waits for", clauses or ["nothing"], width, max(len(near) - MOST, 0))

    def blocks(self, tz: str, now: int, width: int) -> Line:
        """What waits for it, near and far, the soonest due first."""
        far = self.chain.descendants(self.lane.key)
        due = {
            k: o.due
            for k in far
            if (lane := self.lanes.get(k)) is not None and (o := lane.owes) is not None and not o.settled
        }
        clauses: list[Clause] = []
        ordered = sorted(far, key=lambda k: (due.get(k, 1 << 62), k))
        for k in ordered[:MOST]:
            lane = self.lanes.get(k)
            o = lane.owes if lane is not None else None
            said = self._name(k)
            if o is not None and k in due:
                late = owed.lateness(o, now).replace("?", "")
                said += [(f" due {words.clock(o.due, tz, now)}", "text")]
                said += [(f" {late}", owed.late_style(o))] if late else []
            clauses.append(said)
        clauses += [
            [(f"{LOOP} ", "run-held"), *self._name(k), (" next day", "dim")]
            for k in self.chain.loops_from(self.lane.key)
        ]
        return self._line("blocks", clauses or ["nothing"], width, max(len(ordered) - MOST, 0))

    def upstream(self, tz: str, now: int, width: int) -> Line:
        """The first thing upstream that is wrong; else what is not known; else that nothing is."""
        wrong, dark = chain.first_wrong(self.lane.key, self.chain, self._state)
        clauses: list[Clause] = []
        found = wrong or dark
        for k in found[:MOST]:
            lane = self.lanes.get(k)
            spans = [
                *self._name(k),
                (f" {self._state(k)}", lane.look.style if lane is not None and not lane.stale else "run-stale b"),
            ]
            r = lane.row if lane is not None else None
            since = None if r is None else r.ended if r.ended is not None else r.at
            if since is not None and k in wrong:
                spans.append((f" since {words.clock(since, tz, now)}", "dim"))
            clauses.append(spans)
        if wrong and dark:
            clauses.append([(f"{len(dark)} more not known", "run-stale")])
        if not clauses:
            loops = [k for k in self.chain.loops_to(self.lane.key) if self._state(k) in chain.WRONG]
            clauses = [[(f"{LOOP} ", "run-held"), *self._name(k), (f" {self._state(k)}", "text")] for k in loops]
        above = self.chain.ancestors(self.lane.key)
        calm = (
            f"nothing is wrong, {words.many(len(above), 'step')} back to the sources"
            if above
            else "nothing is upstream"
        )
        return self._line("upstream", clauses or [calm], width, max(len(found) - MOST, 0))


def _long(clauses: Sequence[Clause]) -> int:
    return sum(cells_of(words.clause_text(c)) for c in clauses) + 3 * (len(clauses) - 1)


# --- for scripts ----------------------------------------------------------------------------------------------------


def record(lane: Lane, graph: Chain) -> dict[str, Any]:
    """One pipeline of the chain for JSON and CSV; field names are the model's, times ms UTC."""
    r, o = lane.row, lane.owes
    return {
        "key": lane.key, "name": lane.name, "layer": None if lane.layer == NO_LAYER else lane.layer,
        "source": None if r is None else r.source, "state": None if r is None or r.state is None else r.state.name.lower(),
        "word": chain.standing(lane), "stale": lane.stale, "run": None if r is None else r.run_key,
        "owed": None if o is None else o.state.name.lower(), "promise": None if o is None else o.promise,
        "business_date": None if o is None else o.business_date, "due": None if o is None else o.due,
        "lateness_ms": None if o is None else o.lateness_ms, "waits_for": " ".join(sorted(graph.up.get(lane.key, ()))),
        "blocks": " ".join(sorted(graph.down.get(lane.key, ()))), "loops": " ".join(graph.loops_from(lane.key)),
    }  # fmt: skip
