"""Metrics of datasets as series: ``PROJECT.dataset | metric id | partition``, the partition ``NP`` where it is not said.

A metric changes only when DSS computes it, and carries the time of that; so a dataset is read again after a minute at the
earliest, and what was read stands in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from adapters.dataiku.dss import DssHttp, dataset_path, segment
from adapters.dataiku.wire import at
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.extras import Readings, SeriesQuery
from adapters.model import Sample

AGAIN_S: Final = 60.0
A_CALL: Final = 4
"""Datasets (partitions) that one call reads."""
UNITS: Final = {"records:COUNT_RECORDS": "rows", "basic:SIZE": "bytes", "basic:COUNT_FILES": "files"}
WHOLE: Final = "NP"
_GLOBAL: Final = ("NP", "ALL")
Place = tuple[str, str, str]
"""Project, dataset, partition."""


class _Value(msgspec.Struct):
    partition: Any = None
    value: Any = None
    computed: Any = None


class _MetricId(msgspec.Struct):
    id: str


class _Metric(msgspec.Struct, rename="camel"):
    metric: _MetricId
    last_values: list[_Value] | None = None


class _Metrics(msgspec.Struct):
    metrics: list[_Metric] = msgspec.field(default_factory=list[_Metric])


async def last(http: DssHttp, place: Place) -> dict[str, tuple[float, int | None]]:
    """Metrics of a dataset that are numbers: value, and when it was computed (ms UTC)."""
    project, dataset, part = place
    found, _ = await http.get(f"{dataset_path(project, dataset)}/metrics/last/{segment(part)}", _Metrics)
    wanted = _GLOBAL if part in _GLOBAL else (part,)
    out: dict[str, tuple[float, int | None]] = {}
    for metric in found.metrics:
        for value in metric.last_values or ():
            if value.partition in wanted and (number := _number(value.value)) is not None:
                out[metric.metric.id] = (number, at(value.computed))
                break
    return out


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None


def parsed(text: str) -> tuple[Place, str]:
    """Where a query looks, and for which metric; ValueError in one clause."""
    parts = [part.strip() for part in text.split("|")]
    project, dot, dataset = parts[0].partition(".")
    if len(parts) not in (2, 3) or not all(parts) or not dot or not project or not dataset:
        raise ValueError("expected PROJECT.dataset | metric id, such as CDM.sales | records:COUNT_RECORDS")
    return (project, dataset, parts[2] if len(parts) == 3 else WHOLE), parts[1]


class Metrics:
    """What was read last of each dataset that a query names."""

    def __init__(self, http: DssHttp) -> None:
        self._http = http
        self._read: dict[Place, float] = {}
        self._found: dict[Place, dict[str, tuple[float, int | None]]] = {}
        self._why: dict[Place, str] = {}

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """A reading a query, where its metric was ever computed; at most four requests."""
        failed: dict[str, str] = {}
        wanted: list[tuple[SeriesQuery, Place, str]] = []
        for query in queries:
            try:
                wanted.append((query, *parsed(query.text)))
            except ValueError as err:
                failed[query.name] = str(err)
        now = asyncio.get_running_loop().time()
        places = dict.fromkeys(place for _, place, _ in wanted)
        due = sorted(
            (p for p in places if now - self._read.get(p, -AGAIN_S) >= AGAIN_S), key=lambda p: self._read.get(p, -1)
        )
        for place in due[:A_CALL]:
            try:
                self._found[place] = await last(self._http, place)
                self._why.pop(place, None)
            except (Forbidden, NotFound, BadResponse) as err:
                self._why[place] = err.what
            self._read[place] = now
        for gone in self._read.keys() - places.keys():
            for kept in (self._read, self._found, self._why):
                kept.pop(gone, None)
        samples: list[Sample] = []
        for query, place, metric in wanted:
            value, computed = self._found.get(place, {}).get(metric, (None, None))
            if place in self._why:
                failed[query.name] = self._why[place]
            elif place not in self._found:
                failed[query.name] = "not asked yet: it is with one of the next looks"
            elif value is None:
                failed[query.name] = self._http.words(f"{place[0]}.{place[1]} has no number {metric} for {place[2]}")
            elif (t := computed if computed is not None else self._http.server_time) is not None:
                samples.append(Sample(query.name, t, value, query.unit or UNITS.get(metric, "")))
        return Readings(samples=samples, failed=failed, server_time=self._http.server_time)
