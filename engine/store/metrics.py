"""SQL of the series that sources are asked for: their last reading, why there is none, and what the configuration names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.extras import Readings, query_of
from adapters.model import Sample
from engine.store import samples as store_samples
from engine.store.writer import Tx

SAME_MS: Final = 5_000
"""So much a time wavers that is reckoned from two clocks."""
GAP_MS: Final = 1_200_000
"""A reading that comes so long after the one before has its past fetched again: what was missed is known to the source."""
KEPT_MS: Final = 30 * 86_400_000
"""After its last reading a series that is not asked for any more is forgotten."""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """Series of one query whose past was not fetched yet; ``query`` None: what a source measures without being asked."""

    query: str | None
    n: int


def put_queries(tx: Tx, source: str, queries: Mapping[str, str]) -> None:
    """The ``[[series]]`` of a source, name to unit: each is there from now on, also before its first answer. What is named no
    more goes from the list; what was measured of it stays as long as its tier keeps it."""
    rows = tx.db.execute("SELECT series_id, query FROM series_now WHERE source = ?", (source,)).fetchall()
    gone = [(number,) for number, query in rows if query and query not in queries]
    tx.db.executemany("DELETE FROM series_now WHERE series_id = ?", gone)
    if gone:
        tx.bump("sample")
    units = [(unit, number, unit) for number, query in rows if (unit := queries.get(query))]
    if tx.db.executemany("UPDATE series SET unit = ? WHERE id = ? AND unit <> ?", units).rowcount > 0:
        tx.bump("sample")
    asked = {query for _, query in rows}
    for name, unit in queries.items():
        if name not in asked:
            number = store_samples.series_id(tx, name, unit, source)
            _own(tx, number, source)
            tx.db.execute(
                "INSERT OR REPLACE INTO series_now (series_id, source, query, tried, why) VALUES (?, ?, ?, ?, ?)",
                (number, source, name, tx.now, "not answered yet"),
            )
            tx.bump("sample")


def put_readings(
    tx: Tx, source: str, queries: Mapping[str, str], found: Readings, skew: int = 0, asked: Collection[str] | None = None
) -> int:  # fmt: skip
    """One answer of a source. ``queries``: name to unit; ``skew``: its clock minus ours, ms, taken off the samples' times; none of
    them lies in the future. ``asked``: which of the queries it was asked now, None: all. Older readings never overwrite newer ones. How many readings were taken.
    """
    put_queries(tx, source, queries)
    rows = tx.db.execute(
        "SELECT s.name, n.t, n.query FROM series_now n JOIN series s ON s.id = n.series_id WHERE n.source = ?",
        (source,),
    ).fetchall()
    last: dict[str, int | None] = {name: t for name, t, _ in rows}
    fresh: list[Sample] = []
    again: list[str] = []
    for sample in found.samples:
        t = min(sample.t - skew, tx.now)
        known = last.get(sample.series)
        if known is None or known < t or known > tx.now:
            fresh.append(replace(sample, t=t))
        elif known - t <= SAME_MS:
            again.append(sample.series)
    for info in found.about:
        if info.name not in last:
            number = store_samples.series_id(tx, info.name, info.unit, source)
            _own(tx, number, source)
            store_samples.describe_series(tx, info.name, unit=info.unit, label=info.label, max=info.max, note=info.note)
    now: list[tuple[object, ...]] = []
    for sample in fresh:
        query = query_of(queries, sample.series) or ""
        unit = queries.get(query) or sample.unit
        number = store_samples.series_id(tx, sample.series, unit, source)
        if unit and not queries.get(query):  # its source knows it, where the configuration names none
            tx.db.execute("UPDATE series SET unit = ?1 WHERE id = ?2 AND unit <> ?1", (unit, number))
        if sample.series not in last:
            _own(tx, number, source)
        now.append((number, source, query, sample.t, sample.value, tx.now, GAP_MS))
    store_samples.put_samples(tx, tx.now, fresh)
    tx.db.executemany(
        "INSERT INTO series_now (series_id, source, query, t, value, tried) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (series_id)"
        " DO UPDATE SET source = excluded.source, query = excluded.query, t = excluded.t, value = excluded.value,"
        " tried = excluded.tried, why = NULL,"
        " past = CASE WHEN excluded.t - t > ?7 THEN NULL ELSE past END",
        now,
    )
    tx.db.executemany(  # said again, of the same moment: a value that its source reckons once a day is no old one
        "UPDATE series_now SET tried = ?, why = NULL WHERE series_id = (SELECT id FROM series WHERE name = ?) AND source = ?",
        [(tx.now, name, source) for name in again],
    )
    _unanswered(tx, source, queries if asked is None else asked, found, {s.series for s in found.samples})
    return len(fresh)


def _unanswered(tx: Tx, source: str, queries: Collection[str], found: Readings, given: set[str]) -> None:
    """Why the other series of this source have no reading this time."""
    rows = tx.db.execute(
        "SELECT n.series_id, s.name, n.query, n.why FROM series_now n JOIN series s ON s.id = n.series_id WHERE n.source = ?",
        (source,),
    ).fetchall()
    meant = frozenset(queries)
    labelled = {query for name in given if name not in meant and (query := query_of(meant, name)) is not None}
    wrong: list[tuple[str, int, int]] = []
    stood_in: list[tuple[int]] = []
    for number, name, query, why in rows:
        if name in given or (query and query not in queries):
            continue
        if name == query and query in labelled:  # its answers have names of their own
            stood_in.append((number,))
            continue
        said = found.failed.get(query) or (
            "its source gave no reading of it" if query in found.failed or not query else ""
        )
        said = said or "not in the answer"
        if said != why:
            wrong.append((said, tx.now, number))
    tx.db.executemany("DELETE FROM series_now WHERE series_id = ?", stood_in)
    tx.db.executemany("UPDATE series_now SET why = ?, tried = ? WHERE series_id = ?", wrong)
    if wrong or stood_in:
        tx.bump("sample")


def put_failed(tx: Tx, source: str, why: str) -> None:
    """The source gave no readings at all: each of its series keeps what it was, with the reason."""
    moved = tx.db.execute(
        "UPDATE series_now SET why = ?, tried = ? WHERE source = ? AND why IS NOT ?", (why, tx.now, source, why)
    ).rowcount
    if moved:
        tx.bump("sample")


def unfilled(tx: Tx, source: str) -> list[Unfilled]:
    """What was answered and has no history yet, named queries first."""
    rows = tx.db.execute(
        "SELECT query, count(*) FROM series_now WHERE source = ? AND past IS NULL AND t IS NOT NULL GROUP BY query"
        " ORDER BY query = '', query",
        (source,),
    ).fetchall()
    return [Unfilled(query or None, n) for query, n in rows]


def filled(tx: Tx, source: str, query: str | None) -> None:
    tx.db.execute(
        "UPDATE series_now SET past = ? WHERE source = ? AND query = ? AND t IS NOT NULL", (tx.now, source, query or "")
    )


def known_series(tx: Tx, source: str, query: str | None) -> set[str]:
    """Series of a query that have been answered: no others get a past."""
    rows = tx.db.execute(
        "SELECT s.name FROM series_now n JOIN series s ON s.id = n.series_id WHERE n.source = ? AND n.query = ?",
        (source, query or ""),
    ).fetchall()
    return {row[0] for row in rows}


def forget_old(tx: Tx) -> None:
    """Series of sources that gave nothing for a month are asked for no more; their rows go when no tier holds any."""
    tx.db.execute("DELETE FROM series_now WHERE coalesce(t, tried) < ?", (tx.now - KEPT_MS,))
    marks = json.dumps(store_samples.OURS)
    rows = tx.db.execute(
        "SELECT s.id, s.name FROM series s WHERE s.source NOT IN (SELECT value FROM json_each(?))"
        " AND s.id NOT IN (SELECT series_id FROM series_now)"
        " AND NOT EXISTS (SELECT 1 FROM sample_10m o WHERE o.series_id = s.id)"
        " AND NOT EXISTS (SELECT 1 FROM sample_1m o WHERE o.series_id = s.id)"
        " AND NOT EXISTS (SELECT 1 FROM sample_10s o WHERE o.series_id = s.id)",
        (marks,),
    ).fetchall()
    _forget(tx, rows)


def _forget(tx: Tx, rows: Sequence[tuple[int, str]]) -> None:
    numbers = [(number,) for number, _ in rows]
    tx.db.executemany("DELETE FROM sample_day WHERE series_id = ?", numbers)
    tx.db.executemany("DELETE FROM series WHERE id = ?", numbers)
    known: dict[str, int] = tx.memo.get("series", {})
    for _, name in rows:
        known.pop(name, None)


def _own(tx: Tx, number: int, source: str) -> None:
    """A series belongs to the source that answers for it now."""
    tx.db.execute("UPDATE series SET source = ? WHERE id = ? AND source <> ?", (source, number, source))
