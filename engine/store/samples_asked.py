"""What the terminal asks about series: charts from the right tier, daily values, what runs used. Part of the Reader.

A chart takes the coarsest tier whose buckets fit into its cells; what that tier does not hold yet is taken from the finer
ones, what it holds no more from the coarser. All ranges are short and series-major: nothing here depends on how many
runs or days there are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from engine.owed.forecast import Forecast, forecast
from engine.owed.quantile import median, quantile
from engine.store.link import Link
from engine.store.owed_rows import Bar
from engine.store.packed import STATES, bdate_text
from engine.store.rows import ProcessRow
from engine.store.samples_rows import (
    CapacityRow,
    Chart,
    DayRow,
    Measured,
    Reading,
    RunLane,
    SeriesRow,
    UseNow,
    UseRow,
    UsualRow,
    cells_of,
    limit_of,
    of_series,
)

_DAY: Final = 86_400_000
_HOUR: Final = 3_600_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_BUCKETS: Final = (0, 10_000, 60_000, 600_000, _DAY)
_READ: Final = (
    "SELECT t, 0, 1, value, value, value FROM sample_raw WHERE t >= ? AND t < ? AND series_id = ?",
    "SELECT t, 10000, n, avg, min, max FROM sample_10s WHERE t >= ? AND t < ? AND series_id = ?",
    "SELECT t, 60000, n, avg, min, max FROM sample_1m WHERE t >= ? AND t < ? AND series_id = ?",
    "SELECT t, 600000, n, avg, min, max FROM sample_10m WHERE t >= ? AND t < ? AND series_id = ?",
    "SELECT day * 86400000, 86400000, n, avg, min, max FROM sample_day WHERE day >= ?1 / 86400000 AND day * 86400000 < ?2"
    " AND series_id = ?3",
)
_HOURS: Final = (  # a month has 4,320 buckets: SQLite makes hours of them sooner than we do
    "SELECT max(t / 3600000 * 3600000, ?1), 3600000, sum(n), sum(avg * n) / sum(n), min(min), max(max) FROM sample_10m"
    " WHERE t >= ?1 AND t < ?2 AND series_id = ?3 GROUP BY t / 3600000"
)
_EDGES: Final = (
    "SELECT (SELECT min(t) FROM sample_10s WHERE series_id = ?1), (SELECT max(t) FROM sample_10s WHERE series_id = ?1),"
    " (SELECT min(t) FROM sample_1m WHERE series_id = ?1), (SELECT max(t) FROM sample_1m WHERE series_id = ?1),"
    " (SELECT min(t) FROM sample_10m WHERE series_id = ?1), (SELECT max(t) FROM sample_10m WHERE series_id = ?1),"
    " (SELECT min(day) * 86400000 FROM sample_day WHERE series_id = ?1),"
    " (SELECT max(day) * 86400000 FROM sample_day WHERE series_id = ?1)"
)
_HERE: Final = ("local", "systemd", "commands")
"""Kinds of sources whose runs use this host."""
_MOST_BARS: Final = 300
_NOW_MS: Final = 3_000
_USUAL_DAYS: Final = 14
USUAL_NEED: Final = 7
"""Days until a series is said to have a usual band."""


class SampleQuestions(Link):
    """Part of the Reader."""

    _clock: Callable[[], int]
    """ms UTC; the Reader's."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._disks: tuple[int, list[CapacityRow]] | None = None
        self._forecasts: dict[tuple[str, float], tuple[tuple[tuple[date, float], ...], Forecast]] = {}

    # --- what there is ----------------------------------------------------------------------------------------------

    def series(self, prefix: str = "host", *, named: bool = False) -> list[SeriesRow]:
        """Series whose name begins so, by name, with their last reading however old it is; not those of runs' trees, of which
        there may be tens of thousands, and no host of a source that nothing was heard of for a day.

        ``named``: also the answers to each ``[[series]]``, and what sources measure without being asked, after them.
        """
        rows = self.all(
            "SELECT id, name, unit, label, max, note, source FROM series WHERE name >= ?1 AND name < 'run.' AND name < ?2 UNION ALL"
            " SELECT id, name, unit, label, max, note, source FROM series WHERE name >= 'run/' AND name >= ?1 AND name < ?2"
            " ORDER BY name",
            (prefix, prefix + "\U0010ffff"),
        )
        if named:
            numbers = {row[0] for row in rows}
            rows += [
                row
                for row in self.all(
                    "SELECT s.id, s.name, s.unit, s.label, s.max, s.note, n.source FROM series_now n"
                    " JOIN series s ON s.id = n.series_id WHERE n.query <> '' OR s.name NOT GLOB 'host@*' ORDER BY n.source, s.name"
                )
                if row[0] not in numbers
            ]
        asked, normal = self._asked()
        newest = self.one("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1")
        last: dict[int, tuple[int, float]] = {}
        if newest:
            now = self.all("SELECT series_id, t, value FROM sample_raw WHERE t > ? ORDER BY t", (newest[0] - _NOW_MS,))
            last = {number: (t, value) for number, t, value in now}
        found: list[SeriesRow] = []
        for number, name, unit, label, top, note, source in rows:
            host, metric = of_series(name)
            one = asked.get(number)
            if one is not None:
                t, value, query, why, every, seen = one
                known = (label, top, note, value, t, source, query, why, every, normal.get(query), seen)
                found.append(SeriesRow(name, host, metric, unit, *known))
            elif host is None or source == "host":
                at = last.get(number) or self._last(number)
                found.append(SeriesRow(name, host, metric, unit, label, top, note, at and at[1], at and at[0], source))
        heard: dict[str | None, int] = {}
        for row in found:
            heard[row.host] = max(heard.get(row.host, 0), row.t or 0)
        oldest = self._clock() - _DAY
        return [row for row in found if row.host is None or row.source == "host" or heard[row.host] >= oldest]

    def measured(self, source: str) -> Measured | None:
        """What a source measures, in numbers; None: it was never asked."""
        rows = self.all(
            "SELECT s.name, n.query, n.t, n.value, n.why FROM series_now n JOIN series s ON s.id = n.series_id WHERE n.source = ?",
            (source,),
        )
        part = self.all(
            "SELECT p.why FROM source_part p JOIN source s ON s.id = p.source_id WHERE s.name = ? AND p.part = 'metrics'",
            (source,),
        )
        if not rows and not part:
            return None
        up = {name: value for name, _, _, value, _ in rows if name.startswith("host@") and name.endswith(":up")}
        silent = [(name, why) for name, query, _, _, why in rows if why and query]
        return Measured(
            len(rows) - len(up), len({of_series(r[0])[0] for r in rows} - {None}), sum(v == 0 for v in up.values()),
            len(silent), silent[0][0] if silent else "", silent[0][1] if silent else None,
            max((t for _, _, t, _, _ in rows if t is not None), default=None), part[0][0] if part else None,
        )  # fmt: skip

    def _asked(self) -> tuple[dict[int, tuple[Any, ...]], dict[str, tuple[float, float]]]:
        """What sources are asked for: (t, value, query, why, every ms, seen) by series; what is normal by query. ``why`` of a source
        that does not answer is its own: then its series are not asked for, and what was wrong with them before explains nothing."""
        rows = self.all(
            "SELECT n.series_id, n.t, n.value, n.query, CASE WHEN h.health > 2 AND h.detail <> '' THEN h.detail ELSE n.why END,"
            " max(coalesce(h.poll_ms, 0), 10000),"
            " CASE WHEN n.why IS NULL THEN max(coalesce(n.t, 0), n.tried) ELSE n.t END FROM series_now n"
            " LEFT JOIN source s ON s.name = n.source LEFT JOIN source_health h ON h.source_id = s.id"
        )
        if not rows:
            return {}, {}
        said = self.all("SELECT name, body FROM configured WHERE kind = 'series'")
        normal = {name: json.loads(body).get("normal") for name, body in said}
        return {row[0]: tuple(row[1:]) for row in rows}, {k: (v[0], v[1]) for k, v in normal.items() if v}

    def _last(self, number: int) -> tuple[int, float] | None:
        """The last reading of a series that is not measured any more: the finest tier that still holds one."""
        for table in ("sample_10s", "sample_1m", "sample_10m"):
            row = self.one(
                f"SELECT t, avg FROM {table} WHERE series_id = ? ORDER BY t DESC LIMIT 1",  # noqa: S608 - our own tables
                (number,),
            )
            if row is not None:
                return row[0], row[1]
        return None

    # --- over time --------------------------------------------------------------------------------------------------

    def chart(self, series: Sequence[str], since: int, until: int, points: int) -> dict[str, Chart]:
        """Each of these series over [since, until) in ``points`` cells; one that is not known has no entry.

        To draw the same cells while time goes on, let ``since`` stand on a multiple of the cell's length.
        """
        points = max(points, 1)
        ids = self._ids(series)
        found: dict[str, Chart] = {}
        with self.snapshot():
            for name, number in ids.items():
                readings = self._readings(number, since, until, max(until - since, 1) // points)
                top = max(readings, key=lambda r: r[5], default=None)
                if top is not None and top[1] == _HOUR:
                    top = max(self.all(_READ[3], (top[0], top[0] + _HOUR, number)), key=lambda r: r[5], default=top)
                means = sorted(r[3] for r in readings)
                found[name] = Chart(
                    name, since, until, cells_of(readings, since, until, points),
                    median(means) if means else None, top and top[5], top and top[0],
                )  # fmt: skip
        return found

    def _ids(self, series: Sequence[str]) -> dict[str, int]:
        rows = self.all(
            "SELECT s.name, s.id FROM json_each(?) j JOIN series s ON s.name = j.value", (json.dumps(list(series)),)
        )
        known = dict(rows)
        return {name: known[name] for name in series if name in known}

    def _readings(self, number: int, since: int, until: int, cell: int) -> list[Reading]:
        """What was measured in [since, until): buckets not longer than ``cell`` where a tier holds such; each reading once."""
        base = max((i for i, bucket in enumerate(_BUCKETS[:4]) if bucket <= cell), default=1) or 1
        edges = self.one(_EDGES, (number,))
        found: list[Reading] = []
        begin = since
        if edges[2 * base - 2] is not None:  # what this tier holds no more stands in the coarser ones
            begin = max(since, min(self._older(number, since, until, base, edges, found), until))
        at = begin
        for tier in range(base, 0, -1):  # what is not rolled up yet stands in the finer ones
            newest = edges[2 * tier - 1]
            end = min(newest + _BUCKETS[tier], until) if newest is not None else at
            if end > at:
                found += self.all(_HOURS if tier == 3 and cell >= 2 * _HOUR else _READ[tier], (at, end, number))
                at = end
        if at < until:
            found += self._raw(number, at, until)
        return found

    def _older(self, number: int, since: int, until: int, base: int, edges: Sequence[Any], found: list[Reading]) -> int:
        """Put into ``found`` what coarser tiers hold from before the base begins; where the base goes on."""
        begins: int = edges[2 * base - 2]
        start = since
        parts: list[tuple[int, int]] = []
        for tier in range(base + 1, len(_BUCKETS)):
            first, newest = edges[2 * tier - 2], edges[2 * tier - 1]
            if begins <= since:
                break
            bucket = _BUCKETS[tier]
            if first is None or first + bucket > begins:  # it holds nothing that is older
                continue
            cut = min(-(-begins // bucket) * bucket, newest + bucket)
            if cut <= since:
                break
            parts.append((tier, cut))
            if len(parts) == 1:
                start = cut
            begins = first
        for i, (tier, cut) in enumerate(parts):
            older = parts[i + 1][1] if i + 1 < len(parts) else since
            found += self.all(_READ[tier], (older, min(cut, until), number))
        return start

    def _raw(self, number: int, since: int, until: int) -> list[Reading]:
        """Raw is time-major: only the short end that no tier holds yet is read of it."""
        newest = self.one("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1")
        if newest is None or newest[0] < since:
            return []
        return self.all(_READ[0], (max(since, newest[0] - 60_000), until, number))

    def days(self, series: str, n: int = 30) -> list[DayRow]:
        """The last ``n`` UTC days of a series on which it was measured, oldest first, today as far as it has come."""
        number = self._ids([series]).get(series)
        return [] if number is None else self._days(number, n)

    def _days(self, number: int, n: int) -> list[DayRow]:
        today = self._clock() // _DAY
        rows = self.all(
            "SELECT day, n, avg, min, max FROM sample_day WHERE series_id = ? AND day > ? AND day < ? ORDER BY day",
            (number, today - n, today),
        )
        found = [DayRow(date.fromordinal(_EPOCH + day), *rest) for day, *rest in rows]
        first = max(rows[-1][0] + 1, today - n + 1) if rows else today - n + 1
        by_day: dict[int, list[Reading]] = {}
        for reading in self._readings(number, first * _DAY, (today + 1) * _DAY, 600_000):  # days not rolled up yet
            by_day.setdefault(reading[0] // _DAY, []).append(reading)
        for day, readings in sorted(by_day.items()):
            count = sum(r[2] for r in readings)
            mean = sum(r[2] * r[3] for r in readings) / count
            low, high = min(r[4] for r in readings), max(r[5] for r in readings)
            found.append(DayRow(date.fromordinal(_EPOCH + day), count, mean, low, high, day == today))
        return found

    def usual(self, series: Sequence[str], now: int | None = None) -> dict[str, UsualRow]:
        """What these series are like at this hour (± 1 h), from 10 minute means of the last 14 days; none below 7 days."""
        at = (self._clock() if now is None else now) // 600_000 * 600_000
        starts = [at - day * _DAY - _HOUR for day in range(1, _USUAL_DAYS + 1)]
        found: dict[str, UsualRow] = {}
        for name, number in self._ids(series).items():
            rows = self.all(
                "SELECT j.key, o.avg FROM json_each(?) j CROSS JOIN sample_10m o ON o.series_id = ? AND o.t >= j.value"
                " AND o.t < j.value + 7200000",
                (json.dumps(starts), number),
            )
            days = len({day for day, _ in rows})
            if days >= USUAL_NEED:
                means = sorted(value for _, value in rows)
                found[name] = UsualRow(quantile(means, 0.05), quantile(means, 0.95), days)
        return found

    # --- when is it full --------------------------------------------------------------------------------------------

    def capacity(self, prefix: str = "") -> list[CapacityRow]:
        """Series that have a limit (``[[limit]]``, else by default), nearest limit first, then by growth and name."""
        declared = [(on, float(body["limit"]), str(body.get("words") or "")) for on, body in self._configured_limits()]
        found: list[CapacityRow] = []
        today = self._clock() // _DAY
        known: set[str] = set()
        rows = self.series(prefix)
        ids = self._ids([row.series for row in rows])
        peaks = self._peaks(
            [ids[row.series] for row in rows if row.source != "host" and limit_of(row.series, declared)], today
        )
        for row in rows:
            known.add(row.series)
            said = limit_of(row.series, declared)
            if said is None or (row.t is None and not said[1]):
                continue
            by_day = peaks.get(ids[row.series])
            if by_day is None:
                by_day = {d.day.toordinal() - _EPOCH: d.high for d in self._days(ids[row.series], 90)}
            past = tuple(by_day.get(day) for day in range(today - 29, today + 1))
            highs = tuple((date.fromordinal(_EPOCH + day), high) for day, high in sorted(by_day.items()))
            f = self._forecast(row.series, highs, said[0])
            found.append(
                CapacityRow(
                    row.series, row.host, row.metric, row.label, row.unit, row.value, row.t, *said, f.n, f.need,
                    f.per_day, f.now, f.days, f.on, past, seen=row.t is not None,
                )
            )  # fmt: skip
        for on, limit, words in declared:  # a limit of nothing would never be reached: that is said
            if on not in known and on.startswith(prefix) and not set("*?[") & set(on):
                host, metric = of_series(on)
                found.append(
                    CapacityRow(on, host, metric, None, "", None, None, limit, True, words, 0, 14, None, None, None, None, (), False)
                )  # fmt: skip
        found.sort(key=lambda c: (not c.over, c.days is None, c.days or 0.0, not c.seen, -(c.per_day or 0.0), c.series))
        return found

    def _peaks(self, numbers: Sequence[int], today: int) -> dict[int, dict[int, float]]:
        """Highest value by day, of series that sources are asked for: there may be hundreds, so two questions for all of them."""
        if not numbers:
            return {}
        found: dict[int, dict[int, float]] = {number: {} for number in numbers}
        marks = json.dumps(list(numbers))
        rows = self.all(
            "SELECT d.series_id, d.day, d.max FROM json_each(?1) j CROSS JOIN sample_day d ON d.series_id = j.value"
            " AND d.day > ?2 AND d.day < ?3",
            (marks, today - 90, today),
        )
        for table in ("sample_10m", "sample_1m"):  # days that are not rolled up yet, and today
            rows += self.all(
                f"SELECT o.series_id, o.t / 86400000, max(o.max) FROM json_each(?1) j CROSS JOIN {table} o"  # noqa: S608
                " ON o.series_id = j.value AND o.t >= ?2 GROUP BY o.series_id, o.t / 86400000",
                (marks, (today - 1 if table == "sample_10m" else today) * _DAY),
            )
        for number, day, high in rows:
            by_day = found[number]
            by_day[day] = max(high, by_day.get(day, high))
        return found

    def disk_limits(self) -> list[CapacityRow]:
        """``capacity`` of this host's disks, at most ten seconds old: for the row of gauges that every screen has."""
        turn = self._clock() // 10_000
        if self._disks is None or self._disks[0] != turn:
            some = self.one("SELECT 1 FROM series WHERE name >= 'host.disk:' AND name < 'host.disk;' LIMIT 1")
            self._disks = (turn, self.capacity("host.disk:") if some else [])
        return self._disks[1]

    def _configured_limits(self) -> list[tuple[str, dict[str, Any]]]:
        rows = self.all("SELECT name, body FROM configured WHERE kind = 'limit' ORDER BY ord")
        return [(name, json.loads(body)) for name, body in rows]

    def _forecast(self, series: str, peaks: tuple[tuple[date, float], ...], limit: float) -> Forecast:
        """Reckoned anew only where a day's peak moved: a millisecond a series otherwise, each second."""
        before = self._forecasts.get((series, limit))
        if before is None or before[0] != peaks:
            before = self._forecasts[series, limit] = (peaks, forecast(peaks, limit))
        return before[1]

    # --- who used it ------------------------------------------------------------------------------------------------

    def runs_between(self, since: int, until: int, lanes: int = 6) -> list[RunLane]:
        """Runs that used this host in [since, until), by pipeline: those at work first, then the busiest of the 60
        that ran last. Of a pipeline the newest 300 are read. A run that began more than a day before is found only while it is the current one.
        """
        first, last = (int(time.strftime("%Y%m%d", time.gmtime(t / 1000))) for t in (since, until))
        rows = self.all(
            "SELECT c.id, c.key, c.name, coalesce((SELECT sum(d.busy_ms) FROM run_day d WHERE d.pipeline_id = c.id AND d.day >= ?1"
            " AND d.day <= ?2), 0) AS busy FROM (SELECT p.id, p.key, p.name, coalesce(n.state IN (2, 3, 4, 5), 0) AS active"
            " FROM source s CROSS JOIN pipeline p ON p.source_id = s.id CROSS JOIN pipe_now n ON n.pipeline_id = p.id"
            " WHERE s.kind IN (SELECT value FROM json_each(?3)) AND s.gone = 0 AND (active OR coalesce(n.ended, n.at) >= ?4)"
            " ORDER BY active DESC, n.at DESC LIMIT 60) c ORDER BY c.active DESC, busy DESC, c.name LIMIT ?5",
            (first, last, json.dumps(_HERE), since, lanes * 2),
        )
        found: list[RunLane] = []
        for number, key, name, _ in rows:
            if len(found) == lanes:
                break
            lane = self._lane(number, key, name, since, until)
            if lane.bars:
                found.append(lane)
        return found

    def _lane(self, number: int, key: str, name: str, since: int, until: int) -> RunLane:
        rows = self.all(
            "SELECT run, state, at, started, ended, bdate FROM run WHERE pipeline_id = ? AND at >= ? AND at < ?"
            " ORDER BY at DESC, id DESC LIMIT ?",
            (number, since - _DAY, until, _MOST_BARS),
        )
        whole = len(rows) < _MOST_BARS or rows[-1][2] < since
        rows += self.all(
            "SELECT run, state, at, started, ended, bdate FROM pipe_now WHERE pipeline_id = ? AND state IN (2, 3, 4, 5) AND at < ?",
            (number, since - _DAY),
        )
        bars = [
            Bar(f"{key}/{run}", STATES[state], at, started, ended, bdate_text(bdate))
            for run, state, at, started, ended, bdate in reversed(rows)
            if ended is None or ended >= since or at >= since
        ]
        return RunLane(number, key, name, tuple(bars), None if whole else rows[_MOST_BARS - 1][2])

    def used_by_runs(self) -> UseNow:
        """What running trees of this host use, busiest first, and what belongs to no run of ours."""
        newest = self.one("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1")
        cores = self.one(
            "SELECT count(*) FROM series WHERE name >= 'host.cpu.' AND name < 'host.cpu/'"  # the sign after the dot
        )[0]
        if newest is None:
            return UseNow(None, (), None, cores)
        rows = self.all(
            "SELECT s.name, r.value FROM sample_raw r CROSS JOIN series s ON s.id = r.series_id WHERE r.t > ?"
            " AND (s.name IN ('host.cpu', 'host.mem.used') OR (s.name >= 'run.' AND s.name < 'run/')) ORDER BY r.t",
            (newest[0] - _NOW_MS,),
        )
        values: dict[str, float] = dict(rows)
        keys: dict[str, dict[str, float]] = {}
        for name, value in values.items():
            if name.startswith("run."):
                what, _, key = name[4:].partition(":")
                keys.setdefault(key, {})[what] = value
        runs = [self._use(key, used) for key, used in keys.items()]
        runs = [r for r in runs if r.state is None or not r.state.terminal]  # its last reading is a second old
        runs.sort(key=lambda r: (-(r.cpu or 0.0), -(r.rss or 0.0), r.name))
        cpu, memory = values.get("host.cpu"), values.get("host.mem.used")
        rest = None
        if cpu is not None or memory is not None:
            rest = UseRow(
                None, "", None, None,
                None if cpu is None or not cores else max(cpu * cores - sum(r.cpu or 0.0 for r in runs), 0.0),
                None if memory is None else max(memory - sum(r.rss or 0.0 for r in runs), 0.0),
            )  # fmt: skip
        return UseNow(newest[0], tuple(runs), rest, cores)

    def _use(self, key: str, used: dict[str, float]) -> UseRow:
        pipeline, _, run = key.partition("/")
        row = self.one(
            "SELECT p.name, r.state, (SELECT t.step FROM step_run t WHERE t.run_id = r.id AND t.state = 2 ORDER BY t.ord DESC LIMIT 1)"
            " FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? WHERE p.key = ?",
            (run, pipeline),
        )
        name, state, step = (row[0], STATES[row[1]], row[2]) if row is not None else (key, None, None)
        return UseRow(key, name, state, step, used.get("cpu"), used.get("rss"), used.get("read"), used.get("write"))

    def process_table(self, by: str = "cpu", limit: int = 500) -> tuple[int | None, list[ProcessRow]]:
        """When it was read (ms; None: nobody watches) and this host's processes, the busiest or (``by`` memory) the largest first."""
        order = "rss DESC, cpu DESC, pid" if by == "memory" else "cpu DESC, rss DESC, pid"
        rows = self.all(
            f"SELECT t, pid, ppid, name, user, cpu, rss, run_key FROM process ORDER BY {order} LIMIT ?",  # noqa: S608
            (limit,),
        )
        return (rows[0][0] if rows else None), [ProcessRow(*row[1:]) for row in rows]
