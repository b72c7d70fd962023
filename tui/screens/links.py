"""Links of the row that the cursor is on: its own screens and its documents, each URL whole. Drawn over the screen below."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from engine.store.rows import LinkRow
from tui.present import frame, lines
from tui.present.cut import clean, pad
from tui.screens import steps, window
from tui.view import Back, Context, Copy, Effect, Line, Say, Span, View

LABEL = 22


def no_browser(environ: Mapping[str, str]) -> str | None:
    """Why no browser can be opened from here; None: one can."""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return "this is a remote host: a browser would open there; copy it instead"
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return "there is no desktop on this host; copy it instead"
    if shutil.which("xdg-open") is None:
        return "xdg-open is not installed; copy it instead"
    return None


class LinksView(View):
    """``arg``: key of a source, pipeline or run, or ``card:NAME``. Enter copies, ``b`` opens a browser where there is one."""

    name = "links"
    title = "Links"
    contexts = ("list", "global")
    topics: frozenset[str] = frozenset({"pipeline", "configured", "source"})
    over = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.key = arg or ""
        self.links: list[LinkRow] = []
        self.at = 0
        self._top = 0

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        reader = self.context.reader
        if self.key.startswith("card:"):
            name = self.key.removeprefix("card:")
            self.links = [LinkRow(w, u, "card") for c in reader.cards() if c.name == name for w, u in c.links.items()]
        else:
            self.links = reader.links(self.key) if self.key else []
        self.at = min(self.at, max(len(self.links) - 1, 0))

    def paint(self, width: int, height: int) -> list[Line]:
        below = list(self.under.paint(width, height)) if self.under else [[(" " * width, "")] for _ in range(height)]
        room = max(1, height - 8)
        rows: list[Line] = [
            lines.rule("Links", clean(self.key), f"{len(self.links)}" if self.links else "", width, focused=True)
        ]
        if not self.links:
            rows += [
                lines.fit([("   no link is known", "text b"), ("; its source tells none. Write some:", "dim")], width),
                lines.fit([('   [[pipeline]] match = "…"  links = { "flow document" = "https://…" }', "dim")], width),
            ]
        self._top = window(self._top, self.at, max(room // 2, 1), len(self.links))
        for i, link in enumerate(self.links[self._top :], self._top):
            part = self._row(link, i, width)
            if len(rows) - 1 + len(part) > room:
                break
            rows += part
        why = no_browser(os.environ)
        entries = [("Enter", "copy"), ("Esc", "close")] + ([] if why else [("b", "browser")])
        rows.append(frame.footer_row(entries if self.links else [("Esc", "close")], width))
        rows = rows[-height:]
        return [*below[: height - len(rows)], *rows]

    def _row(self, link: LinkRow, i: int, width: int) -> list[Line]:
        """The URL wraps and is never cut, so that the terminal's own selection and its links take it whole."""
        space = max(width - LABEL - 4, 20)
        url = clean(link.url)
        parts = [url[n : n + space] for n in range(0, len(url), space)] or [""]
        out: list[Line] = []
        for n, part in enumerate(parts):
            name = pad(clean(link.words), LABEL) if n == 0 else " " * LABEL
            note: list[Span] = [(f"  {clean(link.origin)}", "dim")] if n == len(parts) - 1 else []
            line: list[Span] = [
                (" ", ""),
                (name, "text b" if i == self.at else "text"),
                ("  ", ""),
                (part, "text"),
                *note,
            ]
            out.append(lines.cursor(line, width, mono=self.context.mono) if i == self.at else lines.fit(line, width))
        return out

    def act(self, action: str) -> Sequence[Effect]:
        by = steps(action, 5, max(len(self.links), 1))
        if by is not None:
            self.at = min(max(self.at + by, 0), max(len(self.links) - 1, 0))
            return ()
        if action == "nav.back":
            return (Back(),)
        if action in ("list.open", "copy.menu", "link.menu") and self.links:
            link = self.links[self.at]
            return (Back(), Copy(clean(link.url), f"the URL of {clean(link.words)}"))
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if text != "b" or not self.links:
            return None
        why = no_browser(os.environ)
        if why:
            return (Say(why, "warn"),)
        url = self.links[self.at].url
        if not url.startswith(("http://", "https://")):
            return (Say(f"{clean(url)}: only http and https are opened; copy it instead", "warn"),)
        try:
            subprocess.Popen(
                ["xdg-open", url],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return (Say(f"xdg-open: {error.strerror}", "bad"),)
        return (Back(), Say("asked the desktop to open it"))

    def about(self) -> str | None:
        return self.key or None

    def data(self) -> Any:
        return [{"words": link.words, "url": link.url, "origin": link.origin} for link in self.links]

    def rows(self) -> list[dict[str, Any]]:
        return [{"words": link.words, "url": link.url, "origin": link.origin} for link in self.links]
