"""Numbers of the latest run that ended well, as series: what ``[[series]] query`` of a talend source says.

    rows task.ID                 rows that it processed            rejected task.ID      rows that it rejected
    duration task.ID             seconds that it ran; of a plan.ID, too
    component-rows task.ID       rows of each component            component-time task.ID    seconds of each component

A run is asked about once: between two runs a query costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.extras import Readings, SeriesQuery
from adapters.http import Http
from adapters.model import Run, Sample
from adapters.talend import reads
from adapters.talend.steps import COMPONENTS
from adapters.talend.wire import PLAN, TASK, Component, ComponentPage, TaskRun, number, run_of, segment

WORDS: Final = ("rows", "rejected", "duration", "component-rows", "component-time")
LOOKS: Final = 5
"""Tasks and plans whose latest run is not known that are looked up in one call."""
KEPT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: what, of which task or plan."""

    what: str
    kind: str
    ident: str

    @property
    def ours(self) -> str:
        return f"{self.kind}.{self.ident}"


def parsed(text: str) -> Asked:
    """ValueError says in one clause what is wrong with a query."""
    parts = text.split()
    if len(parts) != 2 or parts[0] not in WORDS:
        raise ValueError(f"expected one of {', '.join(WORDS)} and a task.ID, got {text.strip()[:60]!r}")
    kind, _, ident = parts[1].partition(".")
    if kind not in (TASK, PLAN) or not ident:
        raise ValueError(f"expected task.ID or plan.ID, got {parts[1][:60]!r}")
    if kind == PLAN and parts[0] != "duration":
        raise ValueError(f"TMC tells no {parts[0]} of a plan: name its task")
    return Asked(parts[0], kind, ident)


class Metrics:
    """Of one source. ``ended`` is told of every run that is seen."""

    def __init__(self, http: Http, source: str) -> None:
        self._http = http
        self._source = source
        self._latest: dict[str, Run] = {}
        self._single: dict[str, TaskRun] = {}
        self._parts: dict[str, list[Component]] = {}

    def ended(self, ours: str, run: Run) -> None:
        """The latest run of a task or plan that ended well."""
        if not run.state.finished or run.ended is None:
            return
        known = self._latest.get(ours)
        if known is None or (known.ended or 0) < run.ended:
            self._latest[ours] = run
            while len(self._latest) > KEPT:
                self._latest.pop(next(iter(self._latest)))

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        out: list[Sample] = []
        failed: dict[str, str] = {}
        looked = 0
        for query in queries:
            try:
                asked = parsed(query.text)
                if asked.ours not in self._latest:
                    looked += 1
                    if looked > LOOKS:
                        failed[query.name] = "its latest run is not known yet"
                        continue
                    await self._look(asked)
                found = await self._values(asked)
            except ValueError as err:
                failed[query.name] = str(err)
                continue
            except (NotFound, Forbidden, BadResponse) as err:
                if isinstance(err, BadResponse) and (err.status or 0) >= 500:
                    raise
                failed[query.name] = self._http.words(err.what)
                continue
            run = self._latest.get(asked.ours)
            if run is None or run.ended is None:
                failed[query.name] = "no run of it has ended well"
            elif not found:
                failed[query.name] = f"TMC tells no {asked.what} of its latest run"
            else:
                unit = "s" if asked.what in ("duration", "component-time") else "rows"
                out += [
                    Sample(query.name + label, run.ended, value, query.unit or unit) for label, value in found.items()
                ]
        return Readings(samples=out, failed=failed, server_time=self._http.server_time)

    async def _look(self, asked: Asked) -> None:
        found, _, _ = await reads.runs(
            self._http, asked.kind, {"lastDays": 60}, ident=asked.ident, most=1, until=lambda _: True
        )
        for item in found:
            self.ended(asked.ours, run_of(item, self._source, UTC, asked.ident))

    async def _values(self, asked: Asked) -> dict[str, float]:
        """Label (empty, or ``{component=…}``) to value."""
        run = self._latest.get(asked.ours)
        if run is None:
            return {}
        if asked.what == "duration":
            begun = run.started if run.started is not None else run.queued
            return {} if begun is None or run.ended is None else {"": (run.ended - begun) / 1000}
        execution = run.key.rpartition("/")[2]
        if asked.what in ("rows", "rejected"):
            item = self._single.get(asked.ours)
            if item is None or item.executionId != execution:
                item, _ = await reads.run(self._http, TASK, asked.ident, execution)
                self._single[asked.ours] = item
            value = item.numberOfProcessedRows if asked.what == "rows" else item.numberOfRejectedRows
            return {} if value is None else {"": float(value)}
        mark = f"{asked.ours}/{execution}"
        if mark not in self._parts:
            path = f"/monitoring/observability/executions/{segment(execution)}/component"
            page, _ = await self._http.get(path, ComponentPage, {"limit": COMPONENTS, "offset": 0})
            self._parts = {k: v for k, v in self._parts.items() if not k.startswith(asked.ours + "/")}
            self._parts[mark] = (page.metrics.items if page.metrics else None) or []
        out: dict[str, float] = {}
        for place, one in enumerate(self._parts[mark], 1):
            rows = asked.what == "component-rows"
            value = number(
                one.component_connection_rows_total if rows else one.component_execution_duration_milliseconds
            )
            if value is None:
                continue
            name = self._http.words(one.connector_label or one.connector_id or str(place)).translate(_PLAIN)
            label = f"{{component={name}}}"
            out[label] = out.get(label, 0.0) + (value if rows else value / 1000)
        return out


_PLAIN: Final = str.maketrans(dict.fromkeys("{}=,\"'", " "))
