"""The keys on paper: the table in force as a list, as JSON, or as a reference sheet of two columns."""

from __future__ import annotations

import textwrap
from typing import Any

from tui import keymap
from tui.keymap import CONTEXTS, KeyAction, shown

_ROWS = "rows"
WIDTH = 100
"""Cells of the sheet: a printed page, or half a wide screen."""


def table() -> list[dict[str, Any]]:
    """Every action with the keys in force and those it comes with."""
    default = {a.id: a for a in keymap.ACTIONS}
    return [
        {
            "id": a.id,
            "keys": list(a.keys),
            "default": list(default[a.id].keys),
            "contexts": list(a.contexts),
            "label": a.label,
            "help": a.help,
        }
        for a in keymap.active().actions
    ]


def listing() -> list[str]:
    """A line an action: keys, id (what ``[keys]`` takes), contexts, what it does; changed ones are marked ``*``."""
    out: list[str] = []
    for row in table():
        keys = " ".join(shown(k) for k in row["keys"]) or "-"
        mark = "*" if row["keys"] != row["default"] else " "
        out.append(f"{keys:<16}{mark} {row['id']:<20} {'/'.join(row['contexts']):<26} {row['help']}")
    return out


def sheet(width: int = WIDTH) -> list[str]:
    """All keys by context, two columns, as they are in force."""
    contexts = [c for c in CONTEXTS if c not in ("global", "list")]
    blocks = [_block(c, half=(width - 3) // 2) for c in ("global", "list", _ROWS, *contexts)]
    whole = [line for block in blocks if block for line in [*block, ""]]
    middle = _break(whole)
    left, right = whole[:middle], whole[middle:]
    half = (width - 3) // 2
    out = ["WATCHFLOOR KEYS".center(width).rstrip(), ""]
    for i in range(max(len(left), len(right))):
        one = left[i] if i < len(left) else ""
        other = right[i] if i < len(right) else ""
        out.append(f"{one:<{half}}   {other}".rstrip())
    return out


def _block(context: str, half: int) -> list[str]:
    rows = [a for a in keymap.active().actions if _home(a) == context]
    if not rows:
        return []
    out = [CONTEXTS.get(context, "On a pipeline or run, wherever it stands").upper(), "─" * half]
    for action in rows:
        keys = " ".join(shown(k) for k in action.keys) or "-"
        first, *more = textwrap.wrap(action.help, half - 15) or [""]
        out.append(f"{keys:<14} {first}" if len(keys) <= 14 else f"{keys} {first}"[:half])
        out += [f"{'':<15}{line}" for line in more]
    return out


def _home(action: KeyAction) -> str:
    """An action of several screens stands once: what works on a row wherever it is listed has a part of its own."""
    first = action.contexts[0]
    return _ROWS if len(action.contexts) >= 4 and first not in ("global", "list") else first


def _break(rows: list[str]) -> int:
    """Where the right column begins: behind an empty line near the middle."""
    middle = len(rows) // 2
    ends = [i + 1 for i, row in enumerate(rows) if not row]
    return min(ends, key=lambda i: abs(i - middle), default=middle)
