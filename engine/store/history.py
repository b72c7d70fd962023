"""SQL of the runs whose steps were never read, for a history that somebody looks at."""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.store.packed import GENERATED
from engine.store.writer import Tx


class Unread(NamedTuple):
    """A run that ended and whose steps are not known as they ended. ``updated``: with its key, what tells one ending from another."""

    key: str
    updated: int


_WITHOUT: Final = """
SELECT p.key || '/' || l.run, l.updated FROM pipeline p CROSS JOIN (
  SELECT r.id, r.run, r.at, r.started, r.updated FROM run r
  WHERE r.pipeline_id = (SELECT id FROM pipeline WHERE key = :key) AND +r.state BETWEEN 6 AND 12 AND r.kind & :generated = 0
  ORDER BY r.at DESC, r.id DESC LIMIT :last) l
WHERE p.key = :key AND (
  NOT EXISTS (SELECT 1 FROM step_run s WHERE s.run_id = l.id)
  OR EXISTS (SELECT 1 FROM step_run s WHERE s.run_id = l.id AND s.state BETWEEN 2 AND 5)
  OR (SELECT max(s.ended) FROM step_run s WHERE s.run_id = l.id) < l.started)
ORDER BY l.at DESC, l.id DESC"""


def without_steps(tx: Tx, pipeline_key: str, last: int) -> list[Unread]:
    """Of the newest ``last`` ended runs those whose steps are not stored as they ended, newest first.

    Runs that never were (MISSED, or made up) have no steps. Steps read while a run went on, or of an attempt before its
    present one, are not those that it ended with.
    """
    values = {"key": pipeline_key, "generated": GENERATED, "last": last}
    return [Unread(*row) for row in tx.db.execute(_WITHOUT, values).fetchall()]
