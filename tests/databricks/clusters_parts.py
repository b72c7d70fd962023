"""What the tests of clusters share: keys of their lives, and one that is stopped."""

from __future__ import annotations

from adapters.databricks import DatabricksAdapter
from adapters.model import Run
from tests.servers.databricks_like import DatabricksLike

LIST = "/api/2.1/clusters/list"
OPTIONS = {"read_timeout": 0.4, "connect_timeout": 1.0, "clusters": True}


def began(like: DatabricksLike, ident: str) -> int:
    found = like.cluster_of(ident)
    return int(found.get("last_restarted_time") or found["start_time"])


def of(like: DatabricksLike, ident: str) -> str:
    """Key of its present life."""
    return f"db:cluster.{ident}/{began(like, ident)}"


async def seen(adapter: DatabricksAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    page = await adapter.runs(cursor)
    return {r.key: r for r in page.runs}, page.cursor


def stopped(like: DatabricksLike, name: str = "shared") -> str:
    ident = like.add_cluster(name, last_restarted_time=like.now() - 60_000)
    like.terminated(ident, "INACTIVITY")
    return ident
