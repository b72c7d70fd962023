"""A plan reply as plain text: complete, no colour, nothing cut. What ``watchfloor plan`` and ``act`` print."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from engine.actions.audit import iso

_LABEL = 10
_MARK = {True: "ok", False: "NO", None: "!!"}


def plan_text(reply: Mapping[str, Any], width: int = 100) -> str:
    """Rows in the order in which a careful person reads: now, what it will do, so, call, proof, undo, guards, needs."""
    width = max(40, width)
    out: list[str] = []
    environment, source = str(reply["environment"]), str(reply["source"])
    kind = (
        environment.upper()
        + (f" {source}" if source != environment else "")
        + (" · protected" if reply["protected"] else "")
    )
    out += _pair(kind, str(reply["class"]), width)
    title = f"{str(reply['verb']).capitalize()} {reply['name']}" + "".join(
        f" · {reply[k]}" for k in ("run", "step") if reply.get(k)
    )
    out += wrap(title, width)
    out.append("")
    now = cast("Mapping[str, Any]", reply["now"])
    out += _row("now", f"{now['words']} · read at {iso(int(now['read_at']))}", width)
    for label, name in (("it will", "effect"), ("so", "so")):
        out += _row(label, str(reply.get(name) or ""), width)
    out += _params(reply, width)
    for number, ask in enumerate(cast("Sequence[Mapping[str, Any]]", reply.get("asks") or ())):
        out += _row("takes" if number == 0 else "", _ask(ask), width)
    for number, call in enumerate(cast("Sequence[Mapping[str, Any]]", reply["calls"])):
        out += _call("call" if number == 0 else "", call, width)
    for label in ("proof", "undo", "note"):
        out += _row(label, str(reply.get(label) or ""), width)
    for number, guard in enumerate(cast("Sequence[Mapping[str, Any]]", reply["guards"])):
        out += _row("guards" if number == 0 else "", f"{_MARK[guard['ok']]}  {guard['name']}: {guard['words']}", width)
    for number, run in enumerate(cast("Sequence[str]", reply["candidates"])):
        out += _row("choose" if number == 0 else "", run, width)
    out.append("")
    if reply["blocked"]:
        out += _row("blocked", str(reply["blocked"]), width)
    else:
        out += _row("needs", _needs(cast("Mapping[str, Any]", reply["needs"]), str(reply["environment"])), width)
        if reply["expires"]:
            out += _row("valid", f"until {iso(int(reply['expires']))}", width)
    return "\n".join(line.rstrip() for line in out)


def _needs(needs: Mapping[str, Any], environment: str) -> str:
    parts = [f"{environment} armed"] if needs["armed"] else []
    if needs["reason"]:
        parts.append("a reason of 10 characters or more")
    parts.append({"enter": "Enter", "y": "y", "typed": f"the name typed: {needs['typed']}"}[str(needs["key"])])
    return ", then ".join(parts)


def _params(reply: Mapping[str, Any], width: int) -> list[str]:
    out: list[str] = []
    if reply.get("business_date"):
        out += _row("for", f"business date {reply['business_date']}", width)
    if reply.get("params"):
        out += _row("with", json.dumps(reply["params"], ensure_ascii=False), width)
    return out


def _ask(ask: Mapping[str, Any]) -> str:
    """``concurrency = 3: whole number, usually 1 to 5``; what must be given has no default."""
    given = "" if ask["default"] is None else f" = {ask['default']}"
    must = ", must be given" if ask["required"] and ask["default"] is None else ""
    return f"{ask['name']}{given}: {ask['words']}{must}" + (f" · {ask['means']}" if ask["means"] else "")


def _call(label: str, call: Mapping[str, Any], width: int) -> list[str]:
    """Method and target, the body and headers below it; an argv as it would be typed."""
    out = _row(label, f"{call['method']} {call['target']}", width)
    body = call.get("body")
    if body is not None:
        out += _row("", body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), width)
    for name, value in cast("Mapping[str, str]", call.get("headers") or {}).items():
        out += _row("", f"{name}: {value}", width)
    return out


def _row(label: str, text: str, width: int) -> list[str]:
    if not text:
        return []
    lines = wrap(text, width - _LABEL)
    return [f"{label:<{_LABEL}}{lines[0]}", *(" " * _LABEL + line for line in lines[1:])]


def _pair(left: str, right: str, width: int) -> list[str]:
    """Left and right on one line where they fit, else below each other."""
    left, right = harmless(left), harmless(right)
    gap = width - cells(left) - cells(right)
    return [left + " " * gap + right] if gap >= 2 else [*wrap(left, width), *wrap(right, width)]


# --- text of any width ---------------------------------------------------------------------------------------------


def harmless(text: str) -> str:
    """Without control and format characters; a new line is a blank."""
    return "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else " " for c in text)


def cells(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken at blanks, else anywhere: a long URL wraps, nothing is cut."""
    lines: list[str] = []
    line, used = "", 0
    for word in harmless(text).split(" "):
        need = cells(word)
        if used and used + 1 + need > width:
            lines.append(line)
            line, used = "", 0
        elif line:
            line, used = line + " ", used + 1
        for char in word:
            size = _cell(char)
            if used + size > width:
                lines.append(line)
                line, used = "", 0
            line, used = line + char, used + size
    lines.append(line)
    return lines
