"""What a source has beside runs, below the table of sources: panes with a cursor of their own, and the text of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapters.model import parse_key
from engine.store.rows import AssetRow, ItemRow, OperationRow, SourceRow
from tui import keymap
from tui.present import lines, parts
from tui.present.cut import clean, first_line
from tui.present.menu import Entry, Menu
from tui.present.parts import Part, Thing
from tui.screens import window
from tui.view import Copy, Effect, Line, Open, Say

if TYPE_CHECKING:
    from tui.view import Context

MOST = 200
"""Assets and backfills of one source that are read for the screen."""
SHORT = 4
"""Rows of a pane that does not have the cursor."""


class Parts:
    """The panes of the source under the cursor. ``read`` is a thing whose text is read whole, ``scroll`` its first line."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.source: SourceRow | None = None
        self.all: list[Part] = []
        self.read: ItemRow | None = None
        self.scroll = 0
        self._at: dict[str, int] = {}
        self._top: dict[str, int] = {}
        self._room = 1
        self._long = 0

    def load(self, source: SourceRow | None) -> None:
        reader = self.context.reader
        if source is None or self.source is None or source.name != self.source.name:
            self._at, self._top, self.read = {}, {}, None
        self.source = source
        if source is None or not source.offers & {"items", "assets", "operations"}:
            self.all, self.read = [], None
            return
        name = source.name
        self.all = parts.split(
            source, reader.items(name), reader.assets(name, MOST), reader.operations(limit=MOST), reader.parts(name)
        )
        if self.read is not None:  # as it is now; gone: it was mended
            self.read = next(
                (t for p in self.all for t in p.things if isinstance(t, ItemRow) and _same(t, self.read)), None
            )

    def names(self) -> list[str]:
        return [p.kind for p in self.all]

    def part(self, name: str) -> Part | None:
        return next((p for p in self.all if p.kind == name), None)

    def here(self, name: str) -> Thing | None:
        """The thing under the cursor of a pane."""
        part = self.part(name)
        if part is None or not part.things:
            return None
        return part.things[min(self._at.get(name, 0), len(part.things) - 1)]

    def length(self, name: str) -> int:
        """Rows that the cursor goes over; of a text its lines."""
        if self.read is not None:
            return self._long
        part = self.part(name)
        return len(part.things) if part is not None else 0

    def move(self, name: str, by: int) -> None:
        """The cursor of a pane, or the text that is read."""
        if self.read is not None:
            self.scroll = min(max(self.scroll + by, 0), max(self._long - self._room, 0))
        elif total := len(part.things) if (part := self.part(name)) is not None else 0:
            self._at[name] = min(max(min(self._at.get(name, 0), total - 1) + by, 0), total - 1)

    # --- painting ---------------------------------------------------------------------------------------------------

    def pane(self, name: str, width: int, room: int, *, focused: bool) -> list[Line]:
        """One pane in at most ``room`` lines: all that fits with the cursor, a few rows without."""
        part, source = self.part(name), self.source
        if part is None or source is None:
            return []
        tz, now = self.context.timezone, self.context.now()
        out: list[Line] = [lines.rule(part.title, parts.count(part), parts.age(part, tz, now), width, focused=focused)]
        if not focused and not part.things and part.refused is None and part.listing is not None and part.listing.seen:
            return out  # its title says it
        body = parts.rows(part, source, width, tz, now)
        total = len(body)
        shown = max(room - 1, 1) if focused else min(SHORT, max(room - 1, 1))
        if not focused:
            out += [lines.fit(line, width) for line in body[:shown]]
            if total > shown:
                out[-1] = lines.fit([(f"   … {total - shown + 1} more", "dim")], width)
            return out
        at = min(self._at.get(name, 0), total - 1)
        top = self._top[name] = window(self._top.get(name, 0), at, shown, total)
        self._room = shown
        for i, line in enumerate(body[top : top + shown], top):
            out.append(lines.cursor(line, width) if i == at and part.things else lines.fit(line, width))
        return out

    def text(self, width: int, room: int) -> list[Line]:
        """The thing that is read, whole: a title and as many lines as fit."""
        item = self.read
        if item is None:
            return []
        body = parts.wrapped(parts.whole(item), width)
        self._long, self._room = len(body), max(room - 1, 1)
        self.scroll = min(self.scroll, max(self._long - self._room, 0))
        last = min(self.scroll + self._room, self._long)
        where = f"{self.scroll + 1}–{last} of {self._long}" if self._long > self._room else "all of it"
        where += f" · {keymap.key_of('nav.back')} back"
        title = "Import error" if item.kind == "import-error" else "Warning"
        return [lines.rule(title, clean(item.name), where, width, focused=True), *body[self.scroll : last]]

    # --- keys -------------------------------------------------------------------------------------------------------

    def open(self, name: str) -> tuple[Sequence[Effect], Menu | None]:
        """``Enter``: an import error shows its text, all else the pipeline that it is about; several: a menu."""
        thing = self.here(name)
        match thing:
            case ItemRow(kind="import-error"):
                self.read, self.scroll = thing, 0
                return (), None
            case ItemRow(key=str(key)):
                return (Open("history", key),), None
            case OperationRow():
                return (Open("history", thing.pipeline),), None
            case AssetRow():
                return self._of_asset(thing)
            case ItemRow():
                return (Say(f"{clean(thing.name)}: {clean(thing.words)}"),), None
            case _:
                return (Say("there is no row here"),), None

    def _of_asset(self, asset: AssetRow) -> tuple[Sequence[Effect], Menu | None]:
        keys = dict.fromkeys((*asset.producers, *asset.consumers))
        if not keys:
            return (Say(f"{clean(asset.name)}: no pipeline is known that makes or waits for it"),), None
        if len(keys) == 1:
            return (Open("history", next(iter(keys))),), None
        entries = [
            Entry(
                "123456789abcdef"[i],
                clean(parse_key(key).pipeline),
                f"open {key}",
                "makes it" if key in asset.producers else "waits for it",
            )
            for i, key in enumerate([*keys][:15])
        ]
        return (), Menu("Open", f"a pipeline of {clean(asset.name)}", entries)

    def copies(self, name: str) -> list[Entry]:
        """What ``y`` offers of the thing under the cursor."""
        thing = self.read or self.here(name)
        if thing is None:
            return []
        what = {"import-error": "file"}.get(name, "name")
        out = [Entry("n", what, Copy(thing.name, f"the {what}"), clean(thing.name))]
        if isinstance(thing, AssetRow):
            out.append(
                Entry("r", "uri", Copy(thing.uri, "its URI"), clean(thing.uri), None if thing.uri else "it has none")
            )
            return out
        if isinstance(thing, OperationRow):
            out.append(Entry("p", "pipeline", Copy(thing.pipeline, "the pipeline's key"), clean(thing.pipeline)))
            return [*out, Entry("b", "id", Copy(thing.id, "the backfill's id"), clean(thing.id))]
        text = thing.text or thing.words
        out.append(Entry("t", "text", Copy(text, "what it says"), first_line(thing.words)[:60]))
        if thing.key:
            out.append(Entry("p", "pipeline", Copy(thing.key, "the pipeline's key"), clean(thing.key)))
        return out

    def link(self, name: str) -> str | None:
        """Key whose links ``o`` shows: of the pipeline that a row is about, else of the source."""
        match self.here(name):
            case ItemRow(key=str(key)):
                return key
            case OperationRow(pipeline=key):
                return key
            case _:
                return self.source.name if self.source is not None else None


def _same(one: ItemRow, other: ItemRow) -> bool:
    return (one.source, one.kind, one.name) == (other.source, other.kind, other.name)


def data(context: Context, source: SourceRow) -> dict[str, Any]:
    """All of it for ``--format json``: each listing with its age and why it fails."""
    reader, now = context.reader, context.now()
    found = parts.split(
        source, reader.items(source.name), reader.assets(source.name), reader.operations(), reader.parts(source.name)
    )
    listings = {p.part: p for p in reader.parts(source.name)}
    of: dict[str, list[Any]] = {"items": [], "assets": [], "operations": []}
    stale: dict[str, bool] = {}
    for part in found:
        name = parts.PART_OF.get(part.kind, "items")
        stale[name] = part.stale(now)
        of[name] += [_plain(t) for t in part.things]
        if part.refused is not None:
            of[name].append({"kind": part.kind, "name": None, "refused": part.refused})
    return {
        name: {
            "offered": name in source.offers,
            "seen": listings[name].seen if name in listings else None,
            "why": listings[name].why if name in listings else None,
            "stale": stale.get(name),
            "rows": rows,
        }
        for name, rows in of.items()
    }


def _plain(thing: Thing) -> dict[str, Any]:
    row = asdict(thing)
    if isinstance(thing, ItemRow):
        row["standing"] = thing.standing.name.lower()
    if isinstance(thing, OperationRow):
        row["state"] = thing.state.name.lower()
    return row
