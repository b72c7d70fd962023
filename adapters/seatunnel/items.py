"""What a cluster has beside jobs: its members and how loaded they are, its slots. All figures are texts with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.errors import BadResponse
from adapters.extras import SourceItem, Standing
from adapters.http import words
from adapters.seatunnel.wire import number

HEAP_WARNING: Final = 90.0
HEAP_BAD: Final = 97.0
"""Percent of a member's heap: above it the engine spends its time on collecting garbage."""


def items(members: Sequence[Mapping[str, Any]], overview: Mapping[str, Any], where: str) -> list[SourceItem]:
    found: list[SourceItem] = []
    for one in members:
        if not isinstance(one.get("host"), str):
            raise BadResponse(words(f"a member without a host from {where}"))
        found.append(_member(one))
    total, free = number(overview.get("totalSlot")), number(overview.get("unassignedSlot"))
    pending = number(overview.get("pendingJobs"))
    if total and free is not None:  # both are 0 where slots are made as they are needed: that is not "full"
        used = total - free
        wait = f", {pending:.0f} jobs wait" if pending else ""
        found.append(
            SourceItem(
                kind="pool", name="slots", standing=Standing.WARNING if used >= total else Standing.FINE, value=used, limit=total,
                unit="slots", words=f"{used:.0f} of {total:.0f} slots{wait}",
            )
        )  # fmt: skip
    elif pending:
        said = f"{pending:.0f} jobs wait for slots"
        found.append(SourceItem(kind="component", name="pending jobs", standing=Standing.WARNING, words=said))
    return list({(i.kind, i.name): i for i in found}.values())


def _member(one: Mapping[str, Any]) -> SourceItem:
    heap = number(one.get("heap.memory.used/max"))
    if heap is None:
        used, most = number(one.get("heap.memory.used")), number(one.get("heap.memory.max"))
        heap = 100 * used / most if used is not None and most else None
    said = ["master" if str(one.get("isMaster")).lower() == "true" else "worker"]
    said += [f"heap {heap:.0f} %"] if heap is not None else []
    for name, label in (("load.process", "engine cpu"), ("load.system", "host cpu")):
        if (value := number(one.get(name))) is not None:
            said.append(f"{label} {value:.0f} %")
    load, cores = number(one.get("load.systemAverage")), number(one.get("processors"))
    if load is not None and load >= 0:
        said.append(f"load {load:.2f}" + (f" on {cores:.0f} cores" if cores else ""))
    standing = Standing.FINE
    if heap is not None and heap >= HEAP_WARNING:
        standing = Standing.BAD if heap >= HEAP_BAD else Standing.WARNING
    return SourceItem(
        kind="component",
        name=words(f"member {one['host']}:{one.get('port', '?')}"),
        standing=standing,
        words=words(", ".join(said)),
        text="\n".join(words(f"{k}  {v}") for k, v in one.items()),
    )
