"""What a source has beside runs, as rows of cells: components, pools, import errors, warnings, assets, backfills. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.model import parse_key
from engine.store.rows import AssetRow, ItemRow, OperationRow, PartRow, Standing
from tui.present import bars, frame, lines, words
from tui.present.cut import char_width, clean, cut, cut_middle, first_line
from tui.present.glyphs import LOOKS, STALE_MARK, Look
from tui.present.head import source_now, trouble_words

if TYPE_CHECKING:
    from engine.store.rows import SourceRow
    from tui.view import Line, Span

EVERY_MS: Final = {"items": 60_000, "operations": 60_000, "assets": 300_000}
MISSED: Final = 3
"""Listings that a part may miss before it is drawn stale."""

LOOK_OF: Final = {
    Standing.FINE: Look("✓", "+", "well", "run-ok"),
    Standing.WARNING: Look("▲", "!", "warning", "run-warning"),
    Standing.BAD: Look("✗", "X", "bad", "run-failed b"),
}
STALE: Final = Look("?", "?", "stale", "run-stale")
KINDS: Final = ("component", "import-error", "warning", "pool")
TITLES: Final = {
    "component": "Its parts",
    "import-error": "Import errors",
    "warning": "Warnings",
    "pool": "Pools",
    "asset": "Assets",
    "operation": "Backfills",
}
EMPTY: Final = {
    "component": "it tells nothing of its own parts",
    "import-error": "none: every file of its pipelines can be read",
    "warning": "none about any pipeline",
    "pool": "it has no pools",
    "asset": "none: no pipeline here makes or waits for one",
    "operation": "none runs, and none ended in the last days",
}
PART_OF: Final = {"asset": "assets", "operation": "operations"}
Thing = ItemRow | AssetRow | OperationRow


@dataclass(frozen=True, slots=True)
class Part:
    """One pane: what it is (a key of ``TITLES``, or any other kind of items that a source has), its rows, how old the listing is."""

    kind: str
    things: tuple[Thing, ...]
    listing: PartRow | None
    refused: str | None = None
    """Why this user may not read it, in the system's words."""
    source: SourceRow | None = None

    def stale(self, now: int) -> bool:
        """Older than three listings, never answered, or of a source that is blind: what it says is drawn stale."""
        seen = self.listing.seen if self.listing is not None else None
        blind = self.source is not None and self.source.stale(now)
        return blind or seen is None or now - seen > MISSED * EVERY_MS[PART_OF.get(self.kind, "items")]

    @property
    def title(self) -> str:
        return TITLES.get(self.kind) or f"{self.kind.replace('-', ' ').capitalize()}s"


def split(
    source: SourceRow,
    items: Sequence[ItemRow],
    assets: Sequence[AssetRow],
    operations: Sequence[OperationRow],
    listings: Sequence[PartRow],
) -> list[Part]:
    """The panes of one source, in the order in which they are shown; only what it offers."""
    by_part = {p.part: p for p in listings if p.source == source.name}
    out: list[Part] = []
    if "items" in source.offers:
        others = sorted({i.kind for i in items if i.source == source.name} - set(KINDS))
        for kind in (*KINDS, *others):
            mine = [i for i in items if i.kind == kind and i.source == source.name]
            refused = next((i.words for i in mine if not i.name), None)
            out.append(Part(kind, tuple(i for i in mine if i.name), by_part.get("items"), refused, source))
    if "operations" in source.offers:
        mine_o = tuple(o for o in operations if o.source == source.name)
        out.append(Part("operation", mine_o, by_part.get("operations"), None, source))
    if "assets" in source.offers:
        out.append(
            Part("asset", tuple(a for a in assets if a.source == source.name), by_part.get("assets"), None, source)
        )
    return out


def worst(part: Part) -> Standing:
    return max((i.standing for i in part.things if isinstance(i, ItemRow)), default=Standing.FINE)


def summary(source: SourceRow, parts: Sequence[Part], tz: str, now: int) -> list[words.Clause]:
    """One line of all of it, what is wrong first."""
    out: list[words.Clause] = []
    count = {p.kind: len(p.things) for p in parts}
    by_kind = {p.kind: p for p in parts}
    if source.trouble:
        out.append([(trouble_words(source, tz, now), "run-failed b")])
    if n := count.get("import-error", 0):
        out.append([(words.many(n, "import error"), "run-failed b")])
    tight = [i for i in (by_kind["pool"].things if "pool" in by_kind else ()) if _standing(i) is not Standing.FINE]
    if tight:
        out.append([(f"pool {', '.join(clean(p.name) for p in tight[:2])} full", "run-warning")])
    weak = [
        i for i in (by_kind["component"].things if "component" in by_kind else ()) if _standing(i) is Standing.WARNING
    ]
    out += [[(f"{clean(i.name)} {clean(i.words) if isinstance(i, ItemRow) else ''}", "run-warning")] for i in weak]
    if n := count.get("warning", 0):
        out.append([(words.many(n, "warning"), "run-warning")])
    active = [o for p in parts for o in p.things if isinstance(o, OperationRow) and o.active]
    if active:
        out.append([(words.many(len(active), "backfill") + " not over", "text b")])
    if not source.trouble and not weak and count.get("component"):
        out.append(f"{words.many(count['component'], 'part')} well")
    if n := count.get("pool", 0):
        out.append(words.many(n, "pool"))
    if n := count.get("asset", 0):
        out.append(words.many(n, "asset"))
    if source.stale(now):  # nobody can vouch for any of it now
        at = f" at {words.clock(source.last_ok, tz, now)}" if source.last_ok is not None else ""
        out = [[(f"as last seen{at}", "run-stale b")], *([(words.clause_text(c), "run-stale")] for c in out)]
    return out


def _standing(thing: Thing) -> Standing:
    return thing.standing if isinstance(thing, ItemRow) else Standing.FINE


def count(part: Part) -> str:
    """Beside a pane's title: how many; where there is none that in words."""
    if part.refused is not None:
        return "may not be read"
    if part.listing is None:
        return "not asked yet"
    if not part.things:
        return EMPTY.get(part.kind, "none") if part.listing.seen is not None else "not known"
    return words.count(len(part.things))


def age(part: Part, tz: str, now: int) -> list[Span]:
    """At the right of a pane's title: how old it is and why not newer; nothing while it is as it should be."""
    listing = part.listing
    if listing is None or (listing.why is None and not part.stale(now)):
        return []
    seen = f"as of {words.clock(listing.seen, tz, now)}" if listing.seen is not None else "never answered"
    why: list[Span] = [] if listing.why is None else [(": ", "dim"), (cut(first_line(listing.why), 60), "run-late")]
    return [(seen, "run-stale b"), *why]


def rows(part: Part, source: SourceRow, width: int, tz: str, now: int) -> list[list[Span]]:
    """A line a thing; a sentence where there is none, or where it may not be read."""
    if part.refused is not None:
        return [[("   may not be read: ", "run-late"), (clean(part.refused), "text")]]
    if not part.things:
        if part.listing is None:
            return [[("   not asked yet: it is with the next look, within a minute", "dim")]]
        if part.listing.seen is None:
            return [[("   not known: ", "run-late"), (first_line(part.listing.why or "no answer yet"), "text")]]
        return [[(f"   {EMPTY.get(part.kind, 'none')}", "dim")]]
    stale = part.stale(now)
    out: list[list[Span]] = []
    for thing in part.things:
        if isinstance(thing, ItemRow):
            line = _item(thing, source, width, tz, now)
        elif isinstance(thing, AssetRow):
            line = _asset(thing, source, width, tz, now)
        else:
            line = _operation(thing, width, tz, now)
        out.append(lines.recolour(_doubted(line), STALE.style) if stale else line)
    return out


def _doubted(line: Sequence[Span]) -> list[Span]:
    """The same with the second glyph of what was seen and may be another: ``✓? well``."""
    out = list(line)
    if len(out) > 2 and out[2][0] == "  ":
        out[2] = (f"{STALE_MARK} ", out[2][1])
    return out


def _state(look: Look, word: str = "") -> list[Span]:
    return [(" ", ""), (look.glyph, look.token), ("  ", ""), (f"{word or look.word:<8}", look.style), (" ", "")]


def _name_width(width: int) -> int:
    return 24 if frame.is_narrow(width) else 34


def _named(name: str, width: int, style: str = "text") -> list[Span]:
    room = _name_width(width)
    return [(f"{cut_middle(clean(name), room):<{room}}", style), (" ", "")]


def _item(i: ItemRow, source: SourceRow, width: int, tz: str, now: int) -> list[Span]:
    look = LOOK_OF[i.standing]
    if i.kind == "component":
        said = clean(i.words)
        what, _, so = said.partition(": ")
        if i.standing is Standing.FINE:
            beat = "" if i.since is None else f"last beat {words.hhmmss(_ours(i.since, source), tz)}"
            return [*_state(look), *_named(i.name, width), (beat, "dim")]
        since = f"since {words.clock(_ours(i.since, source), tz, now)}" if i.since is not None else ""
        return _said([*_state(look, cut(what, 8)), *_named(i.name, width, "text b")], [since, so], width)
    if i.kind == "pool":
        share = None if not i.limit or i.value is None else i.value / i.limit
        used = "?" if i.value is None else f"{i.value:.0f}"
        of = "" if i.limit is None else f"of {i.limit:.0f}"
        level = [("no limit  ", "dim")] if i.limit is None else bars.gauge(share, 10, _level(share))
        word = "full" if i.standing is not Standing.FINE else "well"
        if i.limit == 0:
            level, word = [("─" * 10, "rule")], "closed"
        front = [*_state(look, word), *_named(i.name, width), *level, (f" {used:>4} {of:<8} ", "text")]
        return _said(front, [clean(i.words)], width, "dim")
    since = f"since {words.clock(_ours(i.since, source), tz, now)}" if i.since is not None else ""
    if i.kind == "import-error":
        return _said([*_state(look, "unread"), *_named(i.name, width, "text b")], [clean(i.words), since], width)
    name = parse_key(i.key).pipeline if i.key else i.name
    return _said([*_state(look), *_named(name, width, "text b")], [clean(i.words), since], width)


def _said(front: list[Span], clauses: Sequence[str], width: int, style: str = "text") -> list[Span]:
    """Whole clauses by weight, as many as fit behind what stands in columns."""
    room = max(width - lines.cells(front) - 1, 1)
    return [*front, *words.sentence([c for c in clauses if c], room, style)]


def _level(share: float | None) -> str:
    return "run-late" if share is not None and share >= 1 else "gauge"


def _ours(at: int | None, source: SourceRow) -> int:
    """A time of the source, by our clock."""
    return 0 if at is None else at - (source_now(source, 0))


def _asset(a: AssetRow, source: SourceRow, width: int, tz: str, now: int) -> list[Span]:
    fresh = a.last_event is not None
    look = LOOK_OF[Standing.FINE] if fresh else Look("·", ".", "never", "dim")
    at = _ours(a.last_event, source)
    aged = f"{words.age(max(now - at, 0)):>4} ago" if fresh else "no event "
    when = f"  {words.clock(at, tz, now):<9}" if fresh and not frame.is_narrow(width) else ""
    tail = [_keys(a.producers, "made by"), _keys(a.consumers, "starts")]
    if not any(tail):
        tail = ["no pipeline makes or waits for it"]
    front = [
        *_state(look, "updated" if fresh else "never"), *_named(a.name, width), (aged, "text" if fresh else "dim"), (when, "dim"),
        ("  ", ""),
    ]  # fmt: skip
    return _said(front, tail, width, "dim")


def _keys(keys: Sequence[str], verb: str) -> str:
    if not keys:
        return ""
    names = [clean(parse_key(k).pipeline) for k in keys[:2]]
    return f"{verb} {', '.join(names)}" + (f" and {len(keys) - 2} more" if len(keys) > 2 else "")


def _operation(o: OperationRow, width: int, tz: str, now: int) -> list[Span]:
    look = LOOKS[o.state]
    done = (o.done or 0) + (o.failed or 0)
    share = None if not o.planned else done / o.planned
    counts = "counts not told" if o.planned is None else f"{done} of {o.planned}"
    dates = f"{o.first or '?'} to {o.last or '?'}"
    ended = f"ended {words.clock(o.ended, tz, now)}" if o.ended is not None else ""
    level = [("n/a       ", "dim")] if share is None else bars.gauge(share, 10)
    front = [*_state(look), *_named(o.name, width, "text b" if o.active else "text")]
    if not frame.is_narrow(width):
        front += [(f"{dates}  ", "text"), *level, (" ", "")]
        dates = ""
    failed = f"{o.failed} failed" if o.failed else ""
    at_work = f"{o.running} at work" if o.running else ""
    return _said(front, [counts, failed, at_work, dates, ended, clean(o.words), f"id {clean(o.id)}"], width)


def whole(item: ItemRow) -> list[str]:
    """The text of an import error or a warning, line by line, harmless."""
    return [clean(line) for line in (item.text or item.words).split("\n")] or ["it says no more"]


def wrapped(text: Sequence[str], width: int) -> list[Line]:
    """Each line, continued where it is wider than the screen; nothing is cut off."""
    room = max(width - 4, 20)
    out: list[Line] = []
    for line in text:
        part, used = "", 0
        for char in line:
            wide = char_width(char)
            if used + wide > room:
                out.append(lines.fit([("   ", ""), (part, "text")], width))
                part, used = "", 0
            part, used = part + char, used + wide
        out.append(lines.fit([("   ", ""), (part, "text")], width))
    return out
