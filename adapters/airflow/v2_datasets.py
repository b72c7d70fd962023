"""Airflow 2's datasets, which Airflow 3 calls assets. Its list does not tell when one was last updated; its events do."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from adapters.airflow import reads
from adapters.airflow.v2 import AirflowHttp
from adapters.airflow.wire import ms
from adapters.errors import AdapterError
from adapters.extras import Asset
from adapters.model import pipeline_key, run_key

ASKED_SINGLY: Final = 20
"""Datasets whose last event is not among the latest hundred: so many of them are asked about a call."""


class _Ref(msgspec.Struct):
    dag_id: str


class _Dataset(msgspec.Struct):
    id: int
    uri: str = ""
    producing_tasks: list[_Ref] | None = None
    consuming_dags: list[_Ref] | None = None


class _Datasets(msgspec.Struct):
    datasets: list[_Dataset]
    total_entries: int | None = None


class _Event(msgspec.Struct):
    dataset_id: int
    timestamp: datetime | None = None
    source_dag_id: str | None = None
    source_run_id: str | None = None


class _Events(msgspec.Struct):
    dataset_events: list[_Event]
    total_entries: int | None = None


async def assets(http: AirflowHttp, source: str) -> list[Asset]:
    """All datasets, with the last event of each as far as it could be asked."""
    found, _, _ = await reads.pages(
        http,
        "/api/v2/datasets",
        {"order_by": "id"},
        _Datasets,
        lambda p: p.datasets,
        lambda p: p.total_entries,
        most=50,
    )
    last: dict[int, _Event] = {}
    everything = await _events(http, last, reads.PAGE) if found else True
    if not everything:
        for one in [d for d in found if d.id not in last][:ASKED_SINGLY]:
            await _events(http, last, 1, one.id)
    return [_asset(http, d, last.get(d.id), source) for d in found]


async def _events(http: AirflowHttp, last: dict[int, _Event], limit: int, only: int | None = None) -> bool:
    """Latest first, into ``last``; True if these are all there are. Which run made it is a nicety, no answer spoils it."""
    params: dict[str, str | int] = {"order_by": "-timestamp", "limit": limit}
    if only is not None:
        params["dataset_id"] = only
    try:
        page, _ = await http.get("/api/v2/datasets/events", _Events, params)
    except AdapterError:
        return True
    for event in page.dataset_events:
        last.setdefault(event.dataset_id, event)
    return page.total_entries is None or page.total_entries <= len(page.dataset_events)


def _asset(http: AirflowHttp, one: _Dataset, event: _Event | None, source: str) -> Asset:
    by = event is not None and event.source_dag_id and event.source_run_id
    return Asset(
        key=pipeline_key(source, f"asset/{one.id}"),
        name=http.words(one.uri or f"dataset {one.id}"),
        uri=http.words(one.uri),
        last_event=ms(event.timestamp) if event else None,
        event_by=run_key(pipeline_key(source, event.source_dag_id or ""), event.source_run_id or "")
        if event and by
        else None,
        producers=_keys(one.producing_tasks, source),
        consumers=_keys(one.consuming_dags, source),
    )


def _keys(refs: list[_Ref] | None, source: str) -> tuple[str, ...]:
    return tuple(sorted({pipeline_key(source, ref.dag_id) for ref in refs or ()}))
