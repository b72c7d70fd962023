"""Rates of running jobs, from counts that SeaTunnel tells: what was read and written between two looks.

SeaTunnel's own ``…QPS`` is an average over the whole life of a job (seen live: after a break it stays low for ever); these are
of now. Without being asked each running job gives ``SOURCE@JOB:read.rows_s`` and ``SOURCE@JOB:write.rows_s``. A ``[[series]]``
asks for more: ``read.rows_s JOB``, and with ``table.`` before it one series a table:

    read.rows_s  write.rows_s  read.bytes_s  write.bytes_s      now, per second
    read.rows    write.rows    read.bytes    write.bytes        since the job began, over its restores
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.extras import Readings, SeriesInfo, SeriesQuery
from adapters.http import words
from adapters.model import Sample
from adapters.seatunnel.states import state_of
from adapters.seatunnel.wire import Job, tables, total

COUNTS: Final = {
    "read.rows": "SourceReceivedCount",
    "write.rows": "SinkWriteCount",
    "read.bytes": "SourceReceivedBytes",
    "write.bytes": "SinkWriteBytes",
}
UNASKED: Final = ("read.rows", "write.rows")
LEAST_S: Final = 1.0
"""Between two looks; of less a rate would be noise."""
_PLAIN: Final = str.maketrans(dict.fromkeys("{}=,\"'", " "))


@dataclass(slots=True)
class _Seen:
    """``begun``: of which life of the job; a restore goes on counting, but not from the break."""

    at: float
    begun: str
    counts: dict[str, float] = field(default_factory=dict[str, float])
    rates: dict[str, float] = field(default_factory=dict[str, float])


def parsed(text: str) -> tuple[str, bool, bool, str]:
    """Count, whether per second, whether by table, job name. ValueError says in one clause what is wrong."""
    what, _, job = text.strip().partition(" ")
    by_table = what.startswith("table.")
    base = what.removeprefix("table.")
    rate = base.endswith("_s")
    base = base.removesuffix("_s")
    if base not in COUNTS or not job.strip():
        known = ", ".join(f"{c}_s" for c in COUNTS)
        raise ValueError(f"expected one of {known} (without _s: the count) and the name of a job, got {text[:60]!r}")
    return base, rate, by_table, job.strip()


class Rates:
    """Of one source. ``look`` is given each list of running jobs; ``samples`` answers from the last one and asks nobody."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[str, _Seen] = {}
        self._names: dict[str, list[str]] = {}
        """Job name to the ids that run now."""
        self._t: int | None = None

    @property
    def looked(self) -> bool:
        return self._t is not None

    def look(self, running: Sequence[Job], server_time: int | None) -> None:
        """``server_time``: None where the server tells none (v1 has no Date): then it is when its answer came in, by this
        host's clock, since the reading is ours."""
        now = time.monotonic()
        self._t = server_time if server_time is not None else int(time.time() * 1000)
        fresh: dict[str, _Seen] = {}
        self._names = {}
        for job in running:
            if state_of(job)[1].terminal:
                continue
            self._names.setdefault(job.name, []).append(job.id)
            fresh[job.id] = self._next(job, now)
        self._seen = fresh

    def _next(self, job: Job, now: float) -> _Seen:
        before = self._seen.get(job.id)
        if before is not None and before.begun == str(job.createTime) and now - before.at < LEAST_S:
            return before
        counts: dict[str, float] = {}
        for name, native in COUNTS.items():
            if (whole := total(job.metrics, native)) is not None:
                counts[name] = whole
            counts |= {f"{name} {table}": n for table, n in tables(job.metrics, f"Table{native}").items()}
        seen = _Seen(now, str(job.createTime), counts)
        if before is not None and before.begun == seen.begun:
            for name, value in counts.items():
                moved = value - before.counts.get(name, value)
                if name in before.counts and moved >= 0:  # a count that went back was begun again
                    seen.rates[name] = moved / (now - before.at)
        return seen

    def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        out: list[Sample] = []
        about: list[SeriesInfo] = []
        failed: dict[str, str] = {}
        t = self._t
        if t is None:
            return Readings(failed={q.name: "its jobs were not asked for yet" for q in queries})
        for name, ids in self._names.items():
            for count in UNASKED:
                values = [self._seen[i].rates[count] for i in ids if count in self._seen[i].rates]
                if values:
                    series = words(f"{self._source}@{name.translate(_PLAIN)}:{count}_s")
                    out.append(Sample(series, t, sum(values), "rows/s"))
                    about.append(SeriesInfo(series, words(f"{name} {count.replace('.', ' ')}"), "rows/s"))
        for query in queries:
            try:
                count, rate, by_table, job = parsed(query.text)
            except ValueError as err:
                failed[query.name] = str(err)
                continue
            found = self._values(count, rate, by_table, job)
            if isinstance(found, str):
                failed[query.name] = found
                continue
            unit = query.unit or ("rows" if count.endswith("rows") else "B") + ("/s" if rate else "")
            out += [Sample(query.name + label, t, value, unit) for label, value in found.items()]
        unique = {s.series: s for s in out}
        return Readings(samples=tuple(unique.values()), failed=failed, about=tuple({i.name: i for i in about}.values()))

    def _values(self, count: str, rate: bool, by_table: bool, job: str) -> dict[str, float] | str:
        """Label to value; a text says why there is none."""
        ids = self._names.get(job, [])
        if not ids:
            return words(f"no job {job} is running")
        out: dict[str, float] = {}
        for one in ids:
            seen = self._seen[one]
            for name, value in (seen.rates if rate else seen.counts).items():
                base, _, table = name.partition(" ")
                if base == count and bool(table) == by_table:
                    label = f"{{table={words(table.translate(_PLAIN))}}}" if table else ""
                    out[label] = out.get(label, 0.0) + value
        if out:
            return out
        return "a rate needs two looks at the job" if rate and ids else f"SeaTunnel tells no {count} of this job"
