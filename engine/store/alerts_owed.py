"""SQL of what ties alerts to what is owed: which occurrences an alert is about, what stands behind it, what is told in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from adapters.model import Severity
from engine.config.model import Facts
from engine.store import alerts as rows
from engine.store.alerts import Alert
from engine.store.writer import Tx


class Role(IntEnum):
    """OWN: the alert was opened for it. JOINED: the same trouble of the same thing. BEHIND: at risk because of it, not told."""

    OWN = 0
    JOINED = 1
    BEHIND = 2


class Part(IntEnum):
    """State of an occurrence in its alert."""

    AT_RISK = 0
    BROKEN = 1
    OVER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A row of ``alert_owed``. All texts are cleaned; ``title`` and ``body`` as ``Story`` makes them."""

    occurrence: str
    alert_id: str
    expectation_id: int
    thing: str
    type: str
    bdate: str
    run_key: str
    role: Role
    state: Part
    severity: Severity
    due_at: int
    since: int
    name: str
    words: str
    title: str
    body: str


_COLUMNS: Final = (
    "occurrence", "alert_id", "expectation_id", "thing", "type", "bdate", "run_key", "role", "state", "severity", "due_at", "since",
    "name", "words", "title", "body",
)  # fmt: skip
_ALL: Final = ", ".join(_COLUMNS)


def _link(row: Sequence[Any]) -> Link:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    values |= {
        "role": Role(values["role"]),
        "state": Part(values["state"]),
        "severity": Severity(values["severity"]),
    }
    return Link(**values)


def _select(tx: Tx, where: str, values: Sequence[Any]) -> list[Link]:
    return [_link(r) for r in tx.db.execute(f"SELECT {_ALL} FROM alert_owed WHERE {where}", values).fetchall()]  # noqa: S608


def put(tx: Tx, link: Link) -> None:
    """Insert, or replace what is known of this occurrence."""
    values = [getattr(link, name) for name in _COLUMNS]
    tx.db.execute(
        f"INSERT OR REPLACE INTO alert_owed ({_ALL}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608
        [int(v) if isinstance(v, int) else v for v in values],
    )
    tx.bump("alert")


def of(tx: Tx, occurrence: str) -> Link | None:
    """The one of this occurrence that is not over and whose alert is open."""
    return next(
        iter(_select(tx, "occurrence = ? AND state < 2 AND alert_id IN (SELECT id FROM alert WHERE state < 4)", (occurrence,))),
        None,
    )  # fmt: skip


def hanging(tx: Tx, alert_id: str) -> list[Link]:
    """What an alert is about and is not over, broken ones and the earliest due first."""
    return _select(tx, "alert_id = ? AND state < 2 ORDER BY state DESC, due_at, occurrence", (alert_id,))


def of_thing(tx: Tx, thing: str) -> list[Link]:
    """What is not over of a thing, in alerts that are open; the latest first."""
    return _select(
        tx,
        "thing = ? AND state < 2 AND alert_id IN (SELECT id FROM alert WHERE state < 4) ORDER BY since DESC, occurrence",
        (thing,),
    )


def end(tx: Tx, alert_id: str) -> None:
    """The alert is over: so is what it was about. What stands behind it is not."""
    tx.db.execute("UPDATE alert_owed SET state = 2 WHERE alert_id = ? AND state < 2 AND role < 2", (alert_id,))


def over(tx: Tx, occurrence: str) -> None:
    """It no longer hangs on its alert."""
    tx.db.execute("UPDATE alert_owed SET state = 2 WHERE occurrence = ?", (occurrence,))
    tx.bump("alert")


def failures(tx: Tx, key: str) -> list[tuple[Alert, str]]:
    """Open alerts that tell of a failure of this pipeline: (alert, business date or run that failed)."""
    return [(alert, alert.failed) for alert in rows.open_alerts(tx, key=key) if alert.failed]


def children(tx: Tx, parent: str) -> list[Alert]:
    """Open alerts that stand behind another, worst first."""
    return rows.select(tx, "state < 4 AND parent = ? ORDER BY severity, since, id", (parent,))


def adopt(tx: Tx, old: str, new: str) -> None:
    """What stood behind one alert stands behind another."""
    tx.db.execute("UPDATE alert SET parent = ? WHERE parent = ? AND state < 4 AND id <> ?", (new, old, new))
    tx.db.execute("UPDATE alert_owed SET alert_id = ? WHERE alert_id = ? AND role = 2 AND state < 2", (new, old))


def untell(tx: Tx, parent: str, since: int) -> None:
    """A message about what broke behind this alert was never sent: it is to be told otherwise."""
    tx.db.execute(
        "UPDATE alert SET told_with = NULL WHERE parent = ? AND state < 4 AND told_with >= ?", (parent, since)
    )


def groups_due(tx: Tx) -> list[Alert]:
    """Whose message about what broke behind them is due."""
    return rows.select(tx, "group_at IS NOT NULL AND group_at <= ? ORDER BY opened", (tx.now,))


def left_alone(tx: Tx, ended_before: int) -> list[tuple[str, list[Alert], list[Link]]]:
    """Alerts that ended by then and what stands behind them, is not over, and was told to nobody: (id, alerts, occurrences)."""
    ended = "id IN (SELECT id FROM alert WHERE state >= 4 AND coalesce(resolved, changed) <= ?)"
    alerts = rows.select(
        tx, f"parent IS NOT NULL AND state < 4 AND told_with IS NULL AND {ended.replace('id IN', 'parent IN', 1)}", (ended_before,)
    )  # fmt: skip
    links = _select(tx, f"role = 2 AND state < 2 AND {ended.replace('id IN', 'alert_id IN', 1)}", (ended_before,))
    found: dict[str, tuple[list[Alert], list[Link]]] = {}
    for alert in alerts:
        found.setdefault(alert.parent or "", ([], []))[0].append(alert)
    for link in links:
        found.setdefault(link.alert_id, ([], []))[1].append(link)
    return [(id, alerts, links) for id, (alerts, links) in found.items()]


def withdrawn(tx: Tx) -> list[Link]:
    """What is not over of promises that are no longer configured."""
    return _select(tx, "state < 2 AND expectation_id IN (SELECT id FROM expectation WHERE gone = 1)", ())


def feed(tx: Tx, name: str) -> Facts:
    """What a selector can ask of a feed."""
    row = tx.db.execute("SELECT layer, application FROM feed WHERE name = ?", (name,)).fetchone()
    layer, application = row or (None, None)
    return Facts(key=f"feed:{name}", source="feed", layer=layer, application=application)


def series(tx: Tx, key: str) -> Facts:
    """What a selector can ask of a series: the source that measures it, and its environment."""
    row = tx.db.execute(
        "SELECT c.name, c.environment FROM series s JOIN source c ON c.name = s.source WHERE s.name = ?",
        (key.partition(":")[2],),
    ).fetchone()
    source, environment = row or ("local", "local")
    return Facts(key=key, source=source, environment=environment)
