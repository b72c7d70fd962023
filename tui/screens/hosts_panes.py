"""Below the resources of a host: its curve, fleets and clusters, what will fill up, who runs. They never change places; where there is little room,
one of them is served first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.store.rows import CapacityRow, UseNow
from tui import keymap
from tui.present import capacity, frame, hosts, lines
from tui.present.cut import cut_middle
from tui.view import Line

PANES: Final = ("chart", "systems", "limits", "running")
_LEAST: Final = 3
"""Rows below which a list is not begun."""
_LEAST_CHART: Final = 6


class Stack:
    """Which pane is served first, and which were shown whole when painted last."""

    def __init__(self) -> None:
        self.first = PANES[0]
        self._whole: set[str] = set(PANES)

    def turn(self) -> bool:
        """The next pane that is cut or hidden is served first. False: there is none."""
        at = PANES.index(self.first)
        for name in (*PANES[at + 1 :], *PANES[:at]):
            if name not in self._whole:
                self.first = name
                return True
        return False

    def reset(self) -> bool:
        """The curve is served first again. False: it is already."""
        before, self.first = self.first, PANES[0]
        return before != PANES[0]

    def paint(
        self,
        room: int,
        gap: Sequence[Line],
        narrow: bool,
        wants: Mapping[str, tuple[int, int]],
        panes: Mapping[str, Callable[[int], Sequence[Line]]],
    ) -> list[Line]:
        """``wants``: rows of a pane where room is shared, and of all that it has. ``panes`` paint themselves into so many rows."""
        serve = [self.first, *(p for p in PANES if p != self.first)]
        given: dict[str, int] = {}
        left = room
        for i, name in enumerate(serve):
            if not wants[name][1]:
                continue
            left -= len(gap)
            if left < (_LEAST_CHART if name == "chart" and self.first != "chart" else _LEAST):
                left += len(gap)
                continue
            size = left
            if name == "chart":
                size = self._for_chart(left, [wants[p][0] + len(gap) for p in serve[i + 1 :] if wants[p][1]], narrow)
            given[name] = size if name == "chart" else min(size, wants[name][1])
            left -= given[name]
        self._whole = {name for name, size in given.items() if name == "chart" or size >= wants[name][1]}
        self._whole |= {name for name in PANES if not wants[name][1]}
        body: list[Line] = []
        for name in PANES:
            if name in given:
                body += [*gap, *panes[name](given[name])[: given[name]]]
        return body

    def _for_chart(self, left: int, later: Sequence[int], narrow: bool) -> int:
        """Rows of the curve: all that the panes after it do not take, of those that fit at all."""
        least = _LEAST_CHART if narrow else 9
        for wants in later:
            if left - wants >= least:
                left -= wants
        return left


def limits_pane(
    limits: Sequence[CapacityRow], this: str, width: int, size: int, tz: str, now: int, *, stale: bool
) -> list[Line]:
    out: list[Line] = [lines.rule("Will fill up", "Theil–Sen over daily peaks, 90 d at most", "", width)]
    if not limits:
        return [*out, [("   nothing that has a limit is measured yet: [[limit]] sets one for any series", "dim")]]
    out.append(capacity.pane_head(width))
    room = size - 2
    shown = limits if len(limits) <= room else limits[: max(room - 1, 1)]
    for c in shown:
        old = stale and c.series.startswith("host")
        line = capacity.line(c, this, width, tz, now, stale=old)
        out.append(frame.as_stale(line) if old else line)
    if len(shown) < len(limits):
        out.append([(f"   and {len(limits) - len(shown)} more that are further away", "dim")])
    return out


def running_pane(use: UseNow, this: str, width: int, size: int, *, stale: bool, loud: bool) -> list[Line]:
    """``loud``: what belongs to no run of ours is why the host is busy."""

    def known(line: Line) -> Line:
        return frame.as_stale(line) if stale else line

    hint = f"{keymap.key_of('list.open')} all processes"
    out: list[Line] = [lines.rule(f"Running on {cut_middle(this, 24)}", "process trees of runs", hint, width)]
    if use.rest is None and not use.runs:
        return [*out, [("   no reading yet", "dim")]]
    io = any(u.read is not None or u.write is not None for u in use.runs)
    out.append(lines.head(hosts.use_columns(width, io=io)))
    room = max(size - 3, 1)
    shown = use.runs if len(use.runs) <= room else use.runs[: max(room - 1, 0)]
    out += [known(hosts.use_line(u, width, io=io, stale=stale)) for u in shown]
    if len(shown) < len(use.runs):
        out.append([(f"   and {len(use.runs) - len(shown)} more runs", "dim")])
    if use.rest is not None:
        out.append(known(hosts.use_line(use.rest, width, io=io, loud=loud)))
    return out


def wants(limits: Sequence[CapacityRow], use: UseNow, systems: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Rows of each pane where room is shared, and of all that it has; nothing of a pane that is not there."""
    many, runs = max(len(limits), 1), len(use.runs)
    return {
        "chart": (10, 10),
        "systems": systems,
        "limits": (2 + min(many, 6), 2 + many),
        "running": (3 + min(runs, 5), 3 + runs),
    }
