"""Every key of the terminal in one table: footer, help, documentation and remapping come from here alone.

An action has an id, its keys (Textual's names and plain characters), the contexts it lives in, the word for the
footer and
a sentence for the help. A screen asks its own contexts, nearest first: one letter has one meaning in one context.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

CONTEXTS: Final[Mapping[str, str]] = {
    "global": "Everywhere",
    "list": "In lists",
    "floor": "Floor",
    "runs": "Runs",
    "run": "Run",
    "log": "Log",
    "sources": "Sources",
    "timeline": "Timeline",
    "deadlines": "Deadlines",
    "layers": "Layers, matrix and gap map",
    "morning": "Morning check",
    "hosts": "Hosts and resources",
    "actions": "Actions and audit",
    "history": "History of a pipeline",
    "diff": "Two runs side by side",
    "card": "Reference card",
    "palette": "Palette",
    "themes": "Themes",
    "dialog": "Plan and confirm",
    "help": "Help",
}
"""Context → its heading in the help."""


@dataclass(frozen=True, slots=True)
class KeyAction:
    """One thing a key can do. ``footer``: rank in the footer, lower first; 0 is not shown there."""

    id: str
    keys: tuple[str, ...]
    contexts: tuple[str, ...]
    label: str
    help: str
    footer: int = 0


class KeymapError(ValueError):
    """A remapping that cannot be: one sentence."""


_NAMES: Final[Mapping[str, str]] = {
    "/": "slash",
    "?": "question_mark",
    "!": "exclamation_mark",
    "-": "minus",
    "+": "plus",
    ",": "comma",
    ".": "full_stop",
    "&": "ampersand",
    "@": "at",
    "=": "equals_sign",
    ":": "colon",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    " ": "space",
    "*": "asterisk",
    "#": "number_sign",
    ";": "semicolon",
    "'": "apostrophe",
    "<": "less_than_sign",
    ">": "greater_than_sign",
    "$": "dollar_sign",
    "%": "percent_sign",
    "^": "circumflex_accent",
    "_": "underscore",
    "~": "tilde",
}
_SHOWN: Final[Mapping[str, str]] = {
    **{name: char for char, name in _NAMES.items() if char != " "},
    "enter": "Enter",
    "escape": "Esc",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "backspace": "Backspace",
    "delete": "Del",
}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SPECIAL: Final = frozenset(_NAMES.values()) | frozenset(_SHOWN) | {f"f{n}" for n in range(1, 13)}

_MOVE = ("list", "log", "help", "run")
_ROWS = ("floor", "runs", "run", "deadlines", "timeline", "layers", "morning", "history")
_LISTS = ("floor", "runs", "deadlines", "timeline", "layers")
_OWED = ("floor", "run", "deadlines", "timeline", "layers", "morning")

ACTIONS: Final[tuple[KeyAction, ...]] = (
    # in and out
    KeyAction("list.open", ("enter",), ("list", "run"), "open", "open what the cursor is on", 1),
    KeyAction(
        "nav.back",
        ("escape", "minus"),
        ("global",),
        "back",
        "one step back: close a menu, clear a filter, the screen before",
        90,
    ),
    KeyAction("app.quit", ("q",), ("global",), "quit", "leave; the engine keeps watching"),
    KeyAction("app.help", ("question_mark", "f1"), ("global",), "help", "the keys of this screen"),
    # moving
    KeyAction("move.down", ("j", "down"), _MOVE, "down", "one row down"),
    KeyAction("move.up", ("k", "up"), _MOVE, "up", "one row up"),
    KeyAction("move.top", ("g", "home"), _MOVE, "first", "the first row"),
    KeyAction("move.bottom", ("G", "end"), _MOVE, "last", "the last row"),
    KeyAction("move.page_down", ("pagedown",), _MOVE, "page down", "one page down"),
    KeyAction("move.page_up", ("pageup",), _MOVE, "page up", "one page up"),
    KeyAction("move.half_down", ("ctrl+d",), _MOVE, "half down", "half a page down"),
    KeyAction("move.half_up", ("ctrl+u",), _MOVE, "half up", "half a page up"),
    KeyAction(
        "view.pane",
        ("tab",),
        ("floor", "log", "sources", "deadlines", "layers", "hosts", "actions", "history"),
        "pane",
        "the next pane",
    ),
    # screens
    KeyAction("screen.floor", ("1",), ("global",), "Floor", "all pipelines, problems first"),
    KeyAction(
        "screen.timeline", ("2",), ("global",), "Timeline", "24 hours: what ran, what is expected, what is due", 61
    ),
    KeyAction("screen.runs", ("3",), ("global",), "Runs", "all runs, newest first"),
    KeyAction("screen.run", ("4",), ("global",), "Run", "the run that was opened last"),
    KeyAction("screen.deadlines", ("5",), ("global",), "Deadlines", "what is owed, by when, and will it make it", 59),
    KeyAction(
        "screen.hosts", ("6",), ("global",), "Hosts", "hosts and resources: now, over time, and when they fill up"
    ),
    KeyAction(
        "screen.layers", ("7",), ("global",), "Layers", "the chain by layer, business dates × pipelines, the gap map"
    ),
    KeyAction(
        "screen.morning", ("C",), ("global",), "morning check", "the night in one list, exceptions first; sign it off"
    ),
    KeyAction(
        "screen.actions", ("9",), ("global",), "Actions", "what people did and what runs because of it; the audit"
    ),
    KeyAction("screen.sources", ("0",), ("global",), "Sources", "health of the sources and of the engine", 60),
    KeyAction("problem.first", ("exclamation_mark",), ("global",), "first problem", "the Floor's first problem"),
    # lists
    KeyAction(
        "list.filter",
        ("slash",),
        (*_LISTS, "actions", "hosts"),
        "filter",
        "show only some rows: text, !text, state:failed src:prod owner:x layer:LDZ age<2h",
        50,
    ),
    KeyAction("list.views", ("v",), _LISTS, "views", "saved views: a filter under a name", 52),
    KeyAction("list.mark", ("space",), ("floor", "runs"), "mark", "mark this row, for an action on several"),
    KeyAction("list.mark_range", ("V",), ("floor", "runs"), "mark to here", "mark all rows from the last mark to here"),
    KeyAction("list.unmark", ("u",), ("floor", "runs"), "unmark", "take all marks away"),
    KeyAction("list.further", ("f",), ("runs",), "further", "search older runs for what the filter wants"),
    KeyAction("list.sort", ("s",), ("floor",), "re-sort", "sort now; the order stands still while you move"),
    # looking closer
    KeyAction("run.log", ("l",), (*_ROWS, "diff"), "log", "the log of this run", 10),
    KeyAction(
        "run.history", ("h",), (*_ROWS, "diff"), "history", "its runs × steps; there again: the list of its runs", 55
    ),
    KeyAction(
        "run.diff",
        ("D",),
        ("floor", "runs", "run", "history"),
        "compare",
        "this run beside another of its pipeline",
        57,
    ),
    KeyAction("run.newer", ("comma",), ("run", "diff"), "newer run", "the next newer run of this pipeline", 56),
    KeyAction("run.older", ("full_stop",), ("run", "diff"), "older run", "the next older run of this pipeline", 57),
    # acting: each of these opens the plan, nothing happens before its confirmation
    KeyAction("action.menu", ("a",), _ROWS, "actions", "all actions on this row; those that cannot be say why", 40),
    KeyAction("run.rerun", ("r",), _ROWS, "rerun", "plan a rerun of the whole run", 20),
    KeyAction("run.rerun_failed", ("R",), _ROWS, "rerun failed", "plan a rerun of what failed", 21),
    KeyAction("run.rerun_from", ("F",), ("run",), "rerun from", "plan a rerun from the step under the cursor on", 22),
    KeyAction("run.stop", ("x",), _ROWS, "stop", "plan to stop the active run", 23),
    KeyAction("pipeline.pause", ("p",), _ROWS, "pause", "plan to pause or resume the schedule", 26),
    KeyAction("run.hold", ("H",), _ROWS, "hold", "plan to hold the active run, or to release it", 27),
    KeyAction("run.mark", ("K",), _ROWS, "mark as", "plan to declare a run or step success or failed"),
    KeyAction("pipeline.backfill", ("B",), _ROWS, "backfill", "plan runs over past dates"),
    KeyAction("pipeline.start", ("T",), _ROWS, "start", "plan a start, with a business date", 25),
    KeyAction("alert.ack", ("m",), (*_ROWS, "sources"), "ack", "take the open alert of this row", 30),
    KeyAction(
        "action.arm",
        ("A",),
        (*_ROWS, "sources", "dialog"),
        "arm",
        "arm or disarm the protected environment of this row, for 60 s",
    ),
    KeyAction(
        "copy.menu",
        ("y",),
        (*_ROWS, "log", "sources", "themes", "card", "actions"),
        "copy",
        "copy a key, an error or lines",
        58,
    ),
    KeyAction(
        "link.menu",
        ("o",),
        ("floor", "runs", "run", "history", "sources", "card"),
        "links",
        "its own screen and its documents",
        59,
    ),
    # what is owed
    KeyAction(
        "owed.basis",
        ("i",),
        _OWED,
        "where from",
        "whether a number is declared or learnt, from how many runs, of when",
        35,
    ),
    KeyAction("owed.waive", ("w",), _OWED, "waive", "say that this is not owed: with a reason, until when", 36),
    KeyAction(
        "run.last", ("o",), ("deadlines", "timeline", "layers", "morning"), "run", "open the run that counts", 15
    ),
    KeyAction("time.zone", ("t",), ("deadlines",), "UTC", "times in UTC, or in your own zone again", 57),
    # timeline
    KeyAction("time.left", ("left",), ("timeline", "layers"), "earlier", "two hours (Matrix, gap map: a date) back", 2),
    KeyAction("time.right", ("right",), ("timeline", "layers"), "later", "two hours (Matrix, gap map: a date) on", 3),
    KeyAction("gaps.mark", ("space",), ("layers",), "range", "gap map: a range of dates begins here", 4),
    KeyAction("time.in", ("plus", "equals_sign"), ("timeline", "hosts"), "closer", "fewer hours", 4),
    KeyAction("time.out", ("minus", "underscore"), ("timeline", "hosts"), "wider", "more hours", 5),
    KeyAction("time.now", ("home", "n"), ("timeline",), "now", "back to now", 6),
    KeyAction("time.group", ("s",), ("timeline",), "group", "by layer, by source, or by due time", 7),
    KeyAction("hosts.sort", ("s",), ("hosts",), "sort", "processes by CPU or by memory", 6),
    KeyAction("history.older", ("left",), ("history",), "older", "the run before", 2),
    KeyAction("history.newer", ("right",), ("history",), "newer", "the run after", 3),
    KeyAction("history.mark", ("space",), ("history",), "mark", "mark this run: the next comparison is with it", 4),
    KeyAction("audit.verify", ("v",), ("actions",), "verify", "recompute the chain of the audit", 5),
    KeyAction(
        "audit.detail", ("space",), ("actions",), "whole", "the record under the cursor whole, or the list again", 2
    ),
    KeyAction(
        "operation.pause", ("p",), ("actions",), "pause", "plan to pause or resume the backfill under the cursor", 3
    ),
    KeyAction("operation.cancel", ("x",), ("actions",), "cancel", "plan to cancel the backfill under the cursor", 4),
    # morning check
    KeyAction("morning.answer", ("space",), ("morning",), "answer", "answer this exception with a word", 2),
    KeyAction("morning.sign", ("S",), ("morning",), "sign off", "record that the night was looked at", 3),
    # log
    KeyAction("log.next_error", ("e",), ("log",), "next error", "the next error", 2),
    KeyAction("log.prev_error", ("E",), ("log",), "previous error", "the error before", 3),
    KeyAction("log.search", ("slash",), ("log",), "search", "find a text", 4),
    KeyAction("log.next", ("n",), ("log",), "next match", "the next match", 5),
    KeyAction("log.prev", ("N",), ("log",), "previous match", "the match before"),
    KeyAction("log.keep", ("ampersand",), ("log",), "in", "keep only lines with a text", 7),
    KeyAction("log.drop", ("exclamation_mark",), ("log",), "out", "hide lines with a text", 8),
    KeyAction("log.remove", ("x",), ("log",), "unfilter", "take a filter away"),
    KeyAction("log.follow", ("f",), ("log",), "follow", "stay at the end, or stand still", 9),
    KeyAction("log.time", ("at",), ("log",), "time", "jump to a time", 12),
    KeyAction("log.next_warning", ("w",), ("log",), "next warning", "the next warning", 6),
    KeyAction("log.prev_warning", ("W",), ("log",), "previous warning", "the warning before"),
    KeyAction("log.level", ("L",), ("log",), "levels", "show all, from INFO, from WARN, only errors", 10),
    KeyAction("log.merge", ("M",), ("log",), "merge", "all steps of the run by time, or this step alone", 11),
    KeyAction("log.save", ("S",), ("log",), "save", "save what is shown to a file", 15),
    KeyAction("log.wrap", ("z",), ("log",), "wrap", "wrap long lines, or cut them", 13),
    KeyAction("log.stamps", ("t",), ("log",), "stamps", "show or hide timestamps", 14),
    KeyAction("log.left", ("left",), ("log",), "left", "scroll left"),
    KeyAction("log.right", ("right",), ("log",), "right", "scroll right"),
    # dialog
    KeyAction("dialog.confirm", ("enter",), ("dialog",), "do it", "confirm, when all that is asked for is given", 1),
    KeyAction("dialog.cancel", ("escape",), ("dialog",), "leave it", "close without doing anything", 2),
    KeyAction("dialog.next", ("tab", "down"), ("dialog",), "next field", "the next field or candidate"),
    KeyAction("dialog.prev", ("shift+tab", "up"), ("dialog",), "field before", "the field or candidate before"),
    KeyAction("dialog.more", ("pagedown",), ("dialog",), "more", "the rest of a plan that does not fit", 4),
    KeyAction("dialog.less", ("pageup",), ("dialog",), "back up", "the rows before"),
    KeyAction("dialog.copy", ("c",), ("dialog",), "copy", "copy the call as a command line", 5),
    # palette
    KeyAction("palette.go", ("enter",), ("palette",), "go", "open or do what the cursor is on", 1),
    KeyAction("palette.next", ("down", "ctrl+n"), ("palette",), "next", "the next entry", 2),
    KeyAction("palette.prev", ("up",), ("palette",), "previous", "the entry before"),
    # application
    KeyAction(
        "app.palette",
        ("colon", "ctrl+p"),
        ("global",),
        "palette",
        "find and do anything: verbs, pipelines, runs, screens, settings",
        51,
    ),
    KeyAction(
        "app.card", ("E", "f2"), ("global",), "card", "the reference card: what to check, what to do, whom to call"
    ),
    KeyAction("app.refresh", ("ctrl+r", "f5"), ("global",), "poll now", "poll now; starts the engine where none runs"),
    KeyAction("app.plain", ("ctrl+l",), ("global",), "plain text", "plain text for the terminal's own selection"),
    KeyAction("app.theme", ("f9",), ("global",), "theme", "choose a theme; the screen shows it at once"),
)


def normal(key: str) -> str:
    """A key as Textual names it: ``/`` → ``slash``, ``Ctrl+X`` → ``ctrl+x``; plain letters keep their case."""
    key = key.strip() or key
    if len(key) == 1:
        return _NAMES.get(key, key)
    low = (
        key.lower().replace("return", "enter").replace("esc", "escape")
        if key.lower() in ("esc", "return")
        else key.lower()
    )
    return {"pgup": "pageup", "pgdn": "pagedown", "del": "delete"}.get(low, low)


def known_key(key: str) -> bool:
    """Whether a terminal can send that key."""
    if len(key) == 1:
        return key in _PLAIN
    *mods, last = key.split("+")
    if mods and any(m not in ("ctrl", "shift", "alt") for m in mods):
        return False
    return last in _SPECIAL or (bool(mods) and len(last) == 1 and last in _PLAIN)


def shown(key: str) -> str:
    """A key as a person reads it: ``ctrl+l`` → ``Ctrl+L``, ``slash`` → ``/``."""
    if key in _SHOWN:
        return _SHOWN[key]
    if len(key) > 1:
        *mods, last = key.split("+")
        word = _SHOWN.get(last, last.upper())
        return "+".join([*(m.capitalize() for m in mods), word])
    return key


class Keymap:
    """A checked table: no key twice in one context."""

    def __init__(self, actions: Iterable[KeyAction] = ACTIONS) -> None:
        self.actions: tuple[KeyAction, ...] = tuple(actions)
        self.by_id: dict[str, KeyAction] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._reached: dict[tuple[str, ...], list[tuple[KeyAction, tuple[str, ...]]]] = {}
        for action in self.actions:
            self.by_id[action.id] = action
            for context in action.contexts:
                for key in action.keys:
                    other = self._keys.setdefault((context, key), action.id)
                    if other != action.id:
                        raise KeymapError(
                            f"the key {shown(key)} would mean both {other} and {action.id} "
                            f"in the context {context!r}: give one of them another key"
                        )

    def resolve(self, contexts: Sequence[str], key: str) -> str | None:
        """The action of a key in the nearest context that knows it."""
        key = normal(key)
        for context in contexts:
            found = self._keys.get((context, key))
            if found:
                return found
        return None

    def reach(self, contexts: Sequence[str]) -> list[tuple[KeyAction, tuple[str, ...]]]:
        """What can be done in these contexts, with the keys that really reach it (a nearer context may have taken
        some).
        """
        found = self._reached.get(tuple(contexts))
        if found is None:  # each paint asks for its footer
            found = self._reached[tuple(contexts)] = []
            for action in self.actions:
                if any(c in contexts for c in action.contexts):
                    keys = tuple(k for k in action.keys if self.resolve(contexts, k) == action.id)
                    if keys:
                        found.append((action, keys))
        return list(found)

    def key_of(self, action: str, which: int = 0) -> str:
        """A key of an action (the first) as a person reads it; ``-`` where it has none."""
        found = self.by_id[action].keys
        return shown(found[which]) if found else "-"

    def footer(
        self,
        contexts: Sequence[str],
        width: int,
        *,
        only: Iterable[str] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> list[tuple[str, str]]:
        """(key, word) for the last row, whole entries while they fit beside `` ? help ``.

        ``only``: ids that make sense for the cursor row, in the order given. ``words``: better words for this row.
        """
        reach = {a.id: (a, keys) for a, keys in self.reach(contexts)}
        if only is None:
            ids = [a.id for a, _ in sorted(reach.values(), key=lambda r: r[0].footer) if a.footer]
        else:
            ids = [i for i in only if i in reach]
        out: list[tuple[str, str]] = []
        used = 1
        room = width - 10  # "   ? help "
        for i in ids:
            action, keys = reach[i]
            entry = (shown(keys[0]), (words or {}).get(i, action.label))
            n = len(entry[0]) + 1 + len(entry[1])
            if used + n + (3 if out else 0) > room:
                continue
            used += n + (3 if out else 0)
            out.append(entry)
        return out

    def help(self, contexts: Sequence[str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Sections, nearest context first: (heading, [(keys, label, sentence)]). Each action once, only keys that
        reach it.
        """
        reach = self.reach(contexts)
        seen: set[str] = set()
        out: list[tuple[str, list[tuple[str, str, str]]]] = []
        for context in contexts:
            rows: list[tuple[str, str, str]] = []
            for action, keys in reach:
                if context in action.contexts and action.id not in seen:
                    seen.add(action.id)
                    rows.append((" ".join(shown(k) for k in keys), action.label, action.help))
            if rows:
                out.append((CONTEXTS.get(context, context), rows))
        return out

    def remapped(self, overrides: Mapping[str, object]) -> Keymap:
        """The same table with other keys for some ids (``{"run.stop": "x"}``; several keys: a list, or blanks between).

        KeymapError in one sentence: unknown id (with the nearest), unknown key, or a key that is taken in the same
        context.
        """
        chosen: dict[str, tuple[str, ...]] = {}
        for action, value in overrides.items():
            if action not in self.by_id:
                near = difflib.get_close_matches(action, self.by_id, 1, 0.5)
                hint = f": did you mean {near[0]}?" if near else ": `watchfloor keys` lists them"
                raise KeymapError(f"{action!r} is not the id of an action{hint}")
            items: list[object] = list(value) if isinstance(value, (list, tuple)) else [value]
            if not items or not all(isinstance(i, str) for i in items):
                raise KeymapError(f'{action} must be a key or a list of keys, for example {action!r} = "x"')
            words = [w for i in items for w in (str(i).split() or [str(i)])]
            keys = tuple(normal(w) for w in words)
            for key, word in zip(keys, words, strict=True):
                if not known_key(key):
                    raise KeymapError(
                        f"{action} has the key {word!r}, which no terminal sends: use a letter, enter, ctrl+x or f9"
                    )
            chosen[action] = keys
        return Keymap(replace(a, keys=chosen[a.id]) if a.id in chosen else a for a in self.actions)


_active = Keymap()


def active() -> Keymap:
    """The table in force."""
    return _active


def load_overrides(overrides: Mapping[str, object]) -> None:
    """Put the configuration's ``[keys]`` into force, always from the defaults. On KeymapError the table in force
    stays.
    """
    global _active
    _active = Keymap().remapped(overrides)


def resolve(contexts: Sequence[str], key: str) -> str | None:
    """The action id of a key in these contexts, nearest first; None: the key means nothing here."""
    return _active.resolve(contexts, key)


def footer(
    contexts: Sequence[str], width: int, *, only: Iterable[str] | None = None, words: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    return _active.footer(contexts, width, only=only, words=words)


def help(contexts: Sequence[str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    return _active.help(contexts)


def key_of(action: str, which: int = 0) -> str:
    return _active.key_of(action, which)
