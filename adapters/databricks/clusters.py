"""All-purpose clusters, as parts of the source. Clusters of jobs and pipelines come and go with their runs and are left out."""

from __future__ import annotations

from typing import Final

import msgspec

from adapters.databricks import reads
from adapters.databricks.wire import time
from adapters.extras import SourceItem, Standing
from adapters.http import Answer, Http, Params

PAGE: Final = 100
PAGES: Final = 10
_OURS: Final = ("UI", "API")
_PARAMS: Final[Params] = {"page_size": PAGE, "filter_by.cluster_sources": _OURS}
_WORDS: Final = {
    "PENDING": "starting",
    "RUNNING": "running",
    "RESTARTING": "restarting",
    "RESIZING": "resizing",
    "TERMINATING": "terminating",
    "TERMINATED": "terminated",
    "ERROR": "in error",
}
_UP: Final = frozenset(("RUNNING", "RESIZING"))


class _Scale(msgspec.Struct):
    min_workers: int | None = None
    max_workers: int | None = None


class _Reason(msgspec.Struct):
    code: str | None = None
    type: str | None = None


class _Node(msgspec.Struct):
    node_id: str | None = None


class Cluster(msgspec.Struct):
    cluster_id: str
    cluster_name: str | None = None
    cluster_source: str | None = None
    state: str | None = None
    state_message: str | None = None
    num_workers: int | None = None
    autoscale: _Scale | None = None
    executors: list[_Node] | None = None
    start_time: int | None = None
    last_restarted_time: int | None = None
    terminated_time: int | None = None
    termination_reason: _Reason | None = None


class _Clusters(msgspec.Struct):
    clusters: list[Cluster] | None = None
    next_page_token: str | None = None


async def listed(
    http: Http, *, most: int = PAGES, start: str | None = None
) -> tuple[list[Cluster], Answer, str | None]:
    """All-purpose clusters of up to ``most`` pages, the first answer, the token of what is left."""
    found, first, left = await reads.pages(
        http,
        "/api/2.1/clusters/list",
        _PARAMS,
        _Clusters,
        lambda p: p.clusters,
        lambda p: p.next_page_token,
        most=most,
        start=start,
    )
    return [c for c in found if c.cluster_source in (None, *_OURS)], first, left


async def items(http: Http) -> list[SourceItem]:
    """Each once, ``cluster``. Forbidden where they may not be listed."""
    found, _, left = await listed(http)
    out: dict[str, SourceItem] = {}
    for cluster in found:
        name = http.words(cluster.cluster_name or cluster.cluster_id)
        if name in out:  # names need not be unique
            name = http.words(f"{name} ({cluster.cluster_id})")
        out[name] = _item(http, cluster, name)
    if left is not None:
        words = f"there are more than these {len(found)} clusters"
        out["and more"] = SourceItem(kind="cluster", name="and more", standing=Standing.WARNING, words=words)
    return list(out.values())


def _item(http: Http, one: Cluster, name: str) -> SourceItem:
    """``value``: its workers where they are told, of ``limit`` by its own scale. ``since``: when it started or ended."""
    word = one.state or "?"
    words = _WORDS.get(word, f"{word}?")
    reason = one.termination_reason or _Reason()
    standing = Standing.FINE
    if word == "ERROR":
        standing = Standing.BAD
    elif (word == "TERMINATED" and reason.type not in (None, "SUCCESS")) or word not in _WORDS:
        standing = Standing.WARNING
    if word in ("TERMINATED", "ERROR") and reason.code:
        words += f": {reason.code.lower().replace('_', ' ')}"
    elif word == "ERROR" and one.state_message:
        words += f": {one.state_message}"
    up = word in _UP
    count = len(one.executors) if one.executors is not None else one.num_workers
    most = one.autoscale.max_workers if one.autoscale else one.num_workers
    if up and count is not None:
        words += f", {count} of {most} workers" if most and most != count else f", {count} workers"
    return SourceItem(
        kind="cluster",
        name=name,
        standing=standing,
        words=http.words(words),
        value=float(count) if up and count is not None else None,
        limit=float(most) if up and most else None,
        unit="workers" if up else "",
        since=time(one.terminated_time) if word == "TERMINATED" else time(one.last_restarted_time or one.start_time),
    )
