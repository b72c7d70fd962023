"""What the palette, the reference card and links ask: things by words, and what was configured for screens. Part of the
Reader.
"""

from __future__ import annotations

import json
from typing import Any

from engine.store.link import Link


class FindQuestions(Link):
    """Part of the Reader."""

    def configured(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """(name, body) of what ``[[card]]``, ``[[view]]`` and ``[[limit]]`` say, in the order of the configuration."""
        rows = self.all("SELECT name, body FROM configured WHERE kind = ? ORDER BY ord", (kind,))
        return [(name, json.loads(body)) for name, body in rows]

    def pipeline_keys(self, prefix: str = "", limit: int = 200) -> list[str]:
        """Keys of pipelines that begin so, in their order; of those that are still there."""
        rows = self.all(
            "SELECT key FROM pipeline WHERE key >= ? AND key < ? AND mode <> 3 ORDER BY key LIMIT ?",
            (prefix, prefix + "\U0010ffff", limit),
        )
        return [row[0] for row in rows]
