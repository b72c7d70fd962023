"""One line of text that a person is typing. Keys come as plain characters and as ids ``edit.backspace``,
``edit.left`` …
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.present.cut import clean, width

if TYPE_CHECKING:
    from tui.view import Span

LONGEST: Final = 400
_EDITS: Final = frozenset(
    {"backspace", "delete", "left", "right", "home", "end", "ctrl_h", "ctrl_a", "ctrl_e", "ctrl_u", "ctrl_k", "ctrl_w"}
)


class Field:
    """Text and the place of the cursor in it. What comes in is made harmless first."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.at = len(text)

    def takes(self, what: str) -> bool:
        """Whether a character or an edit id means something here; the others are keys of the screen. ``?`` is text
        only after other text, so that it is help wherever the last row says so.
        """
        if what.startswith("edit."):
            return what[5:].replace("+", "_") in _EDITS
        return what != "?" or bool(self.text)

    def type(self, what: str) -> bool:
        """Take a character, a text or an edit id; True if the text changed."""
        if what.startswith("edit."):
            return self._edit(what[5:].replace("+", "_"))
        safe = clean(what)[: LONGEST - len(self.text)]
        self.text = self.text[: self.at] + safe + self.text[self.at :]
        self.at += len(safe)
        return bool(safe)

    def _edit(self, what: str) -> bool:
        before = self.text
        match what:
            case "backspace" | "ctrl_h":
                if self.at:
                    self.text = self.text[: self.at - 1] + self.text[self.at :]
                    self.at -= 1
            case "delete":
                self.text = self.text[: self.at] + self.text[self.at + 1 :]
            case "left":
                self.at = max(self.at - 1, 0)
            case "right":
                self.at = min(self.at + 1, len(self.text))
            case "home" | "ctrl_a":
                self.at = 0
            case "end" | "ctrl_e":
                self.at = len(self.text)
            case "ctrl_u":
                self.text, self.at = self.text[self.at :], 0
            case "ctrl_k":
                self.text = self.text[: self.at]
            case "ctrl_w":
                head = self.text[: self.at].rstrip()
                head = head[: head.rfind(" ") + 1]
                self.text, self.at = head + self.text[self.at :], len(head)
            case _:
                pass
        return self.text != before

    def put(self, start: int, text: str) -> None:
        """Write ``text`` over what stands from ``start`` to the cursor; the cursor comes to stand behind it."""
        safe = clean(text)[: LONGEST - start - (len(self.text) - self.at)]
        self.text = self.text[:start] + safe + self.text[self.at :]
        self.at = start + len(safe)

    def spans(self, cells: int, bad: int | None = None) -> list[Span]:
        """The text with its cursor, the part around the cursor where it is too long. ``bad``: place of the letter from which
        on it is wrong.
        """
        before, after = self.text[: self.at], self.text[self.at :]
        while width(before) > max(cells - 2, 1):
            before = before[1:]
        room = cells - width(before) - 1
        while width(after) > max(room, 0):
            after = after[:-1]
        first = self.at - len(before)
        right, wrong = "text b", "run-failed b"
        cut = len(before) if bad is None else min(max(bad - first, 0), len(before))
        rest = right if bad is None or bad > self.at else wrong
        return [(before[:cut], right), (before[cut:], wrong), (after[:1] or " ", "rev"), (after[1:], rest)]
