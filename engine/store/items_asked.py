"""What the terminal asks about a source's own parts, its assets and its backfills. Part of the Reader."""

from __future__ import annotations

from typing import Any, Final

from adapters.model import parse_key
from engine.store.items_rows import AssetRow, ItemRow, OperationRow, PartRow, Standing
from engine.store.link import Link
from engine.store.packed import STATES

_ITEM: Final = """
SELECT s.name, s.environment, i.kind, i.name, i.standing, i.words, i.text, i.value, i.most, i.unit, i.pipeline_key, i.since, i.seen, t.seen
FROM source s CROSS JOIN source_item i ON i.source_id = s.id
LEFT JOIN source_part t ON t.source_id = s.id AND t.part = 'items'
WHERE s.gone = 0 AND (:source IS NULL OR s.name = :source)
ORDER BY s.ord, s.name, CASE i.kind WHEN 'component' THEN 0 WHEN 'import-error' THEN 1 WHEN 'warning' THEN 2 WHEN 'pool' THEN 3 ELSE 4 END,
  i.standing DESC, i.name"""
_ASSET: Final = """
SELECT s.name, s.environment, a.key, a.name, a.uri, a.grp, a.last_event, a.event_by, a.producers, a.consumers, t.seen
FROM source s CROSS JOIN asset a ON a.source_id = s.id
LEFT JOIN source_part t ON t.source_id = s.id AND t.part = 'assets'
WHERE s.gone = 0 AND (:source IS NULL OR s.name = :source)
ORDER BY s.ord, s.name, a.last_event IS NULL, a.last_event DESC, a.name LIMIT :limit"""
_OPERATION: Final = """
SELECT s.name, s.environment, o.id, o.pipeline_key, coalesce(p.name, ''), o.kind, o.state, o.first, o.last, o.planned, o.done,
  o.failed, o.running, o.created, o.ended, o.who, o.words, t.seen
FROM source s CROSS JOIN operation o ON o.source_id = s.id
LEFT JOIN pipeline p ON p.key = o.pipeline_key
LEFT JOIN source_part t ON t.source_id = s.id AND t.part = 'operations'
WHERE s.gone = 0 AND (:pipeline IS NULL OR o.pipeline_key = :pipeline) AND (NOT :active OR o.state < 6)
ORDER BY o.state >= 6, coalesce(o.ended, o.created, 0) DESC, o.pipeline_key, o.id LIMIT :limit"""


class ItemQuestions(Link):
    """Part of the Reader."""

    def parts(self, source: str | None = None) -> list[PartRow]:
        """How old each listing of a source (of all) is, and why it fails where it does."""
        rows = self.all(
            "SELECT s.name, t.part, t.seen, t.tried, t.why FROM source s CROSS JOIN source_part t ON t.source_id = s.id"
            " WHERE s.gone = 0 AND (:source IS NULL OR s.name = :source) ORDER BY s.ord, s.name, t.part",
            {"source": source},
        )
        return [PartRow(*row) for row in rows]

    def items(self, source: str | None = None) -> list[ItemRow]:
        """Parts of a source (of all): components, import errors, warnings, pools; the worst of each kind first."""
        return [_item(row) for row in self.all(_ITEM, {"source": source})]

    def assets(self, source: str | None = None, limit: int | None = None) -> list[AssetRow]:
        """Assets of a source (of all), the latest event first, those without any at the end."""
        rows = self.all(_ASSET, {"source": source, "limit": -1 if limit is None else limit})
        return [_asset(row) for row in rows]

    def operations(
        self, active_only: bool = False, pipeline: str | None = None, limit: int | None = None
    ) -> list[OperationRow]:
        """Backfills: those that are not over first, then the latest end. ``pipeline``: a key."""
        rows = self.all(
            _OPERATION, {"active": active_only, "pipeline": pipeline, "limit": -1 if limit is None else limit}
        )
        return [_operation(row) for row in rows]


def _item(row: Any) -> ItemRow:
    values = list(row)
    values[4] = Standing(values[4])
    return ItemRow(*values)


def _asset(row: Any) -> AssetRow:
    values = list(row)
    values[8], values[9] = _lines(values[8]), _lines(values[9])
    return AssetRow(*values)


def _operation(row: Any) -> OperationRow:
    values = list(row)
    values[4] = values[4] or parse_key(values[3]).pipeline
    values[6] = STATES[values[6]]
    return OperationRow(*values)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
