"""What the tests of reading Databricks share."""

from __future__ import annotations

from adapters.databricks import DatabricksAdapter
from adapters.model import Run


async def drain(adapter: DatabricksAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    seen: dict[str, Run] = {}
    while True:
        page = await adapter.runs(cursor)
        seen |= {r.key: r for r in page.runs}
        cursor = page.cursor
        if page.complete:
            return seen, cursor


def key(job: int, run: int | None = None) -> str:
    return f"db:{job}" if run is None else f"db:{job}/{run}"
