"""All processes of this host, as a list over the Hosts screen. The engine reads the table only while somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.store.rows import ProcessRow
from tui import keymap
from tui.present import frame, hosts, lines, words
from tui.screens import window
from tui.view import Context, Line

ORDERS = ("cpu", "memory")
FRESH_MS = 10_000
"""The table is read each two seconds while somebody looks."""


class Processes:
    """A list with its own cursor, on the process and not on the row; sorted by CPU or by memory."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open = False
        self.order = 0
        self.rows: Sequence[ProcessRow] = ()
        """Those that the filter leaves."""
        self.words = ""
        self.at: int | None = None
        self.cursor: int | None = None
        self._names: dict[str, str] = {}
        self._top = 0

    def begin(self) -> None:
        self.open = True
        self.load()

    def end(self) -> None:
        self.open, self.words = False, ""

    def filter(self, text: str) -> None:
        """Words that name, user, number or run of a process must all hold."""
        self.words = text.lower().strip()
        self.load()

    def _fits(self, p: ProcessRow) -> bool:
        hay = f"{p.pid} {p.user or ''} {p.name} {p.run_key or ''}".lower()
        return all(word in hay for word in self.words.split())

    def turn(self) -> None:
        """Sort by the next column; the cursor goes to the first row, which is what one sorts for."""
        self.order = (self.order + 1) % len(ORDERS)
        self.cursor = None
        self.load()

    def load(self) -> None:
        self.at, known = self.context.reader.process_table(ORDERS[self.order])
        self.rows = [p for p in known if self._fits(p)] if self.words else known
        for key in {p.run_key for p in self.rows if p.run_key} - set(self._names):
            row = self.context.reader.pipeline(key.partition("/")[0])
            self._names[key] = row.name if row is not None else key
        if self.rows and self.cursor not in [p.pid for p in self.rows]:
            self.cursor = self.rows[min(self._top, len(self.rows) - 1)].pid

    @property
    def length(self) -> int:
        return len(self.rows)

    def _index(self) -> int:
        return next((i for i, p in enumerate(self.rows) if p.pid == self.cursor), 0)

    def move(self, by: int) -> None:
        if self.rows:
            self.cursor = self.rows[min(max(self._index() + by, 0), len(self.rows) - 1)].pid

    @property
    def run_key(self) -> str | None:
        return self.rows[self._index()].run_key if self.rows else None

    @property
    def stale(self) -> bool:
        return not self.context.engine_alive or self.at is None or self.context.now() - self.at >= FRESH_MS

    def paint(self, width: int, room: int, host: str) -> list[Line]:
        total = len(self.rows)
        seen = max(room - 2, 1)
        self._top = window(self._top, self._index(), seen, total)
        last = min(self._top + seen, total)
        hint = f"{self._top + 1}–{last} of {total}" if total > seen else ""
        note = f"{words.count(total)} · by {ORDERS[self.order]}" if total else ""
        if self.words:
            note = f"{note} · filter {self.words}".strip(" ·")
        out: list[Line] = [lines.rule(f"Processes of {host}", note, hint, width, focused=True)]
        if not total:
            if self.words and self.at is not None:
                key = keymap.key_of("nav.back")
                return [*out, [("   no process is like that   ", "dim"), (key, "key b"), (" shows all again", "dim")]]
            said = "the engine is asked for them: they come within two seconds"
            if not self.context.engine_alive:
                said = f"nobody is watching, so nobody reads the processes; {keymap.key_of('app.refresh')} starts the engine"
            return [*out, [(f"   {said}", "dim")]]
        out.append(lines.head(hosts.process_columns(width)))
        for p in self.rows[self._top : last]:
            line = hosts.process_line(p, self._names, width)
            if self.stale:
                line = frame.as_stale(line)
            out.append(lines.cursor(line, width, mono=self.context.mono) if p.pid == self.cursor else line)
        return out

    def footer(self, contexts: Sequence[str], width: int) -> list[tuple[str, str]]:
        other = ORDERS[(self.order + 1) % len(ORDERS)]
        return keymap.footer(
            contexts, width, only=["list.open", "hosts.sort", "list.filter", "nav.back"],
            words={"list.open": "its run", "hosts.sort": f"by {other}", "nav.back": "back"},
        )  # fmt: skip
