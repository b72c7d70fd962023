"""JSON schema of ``watchfloor.toml`` for editors, written from the same declaration that the loader reads by."""

from __future__ import annotations

from typing import Any

from engine.config import shapes


def json_schema() -> dict[str, Any]:
    """Draft 2020-12. What needs more than one key to judge (duplicates, cycles, known names) only ``check`` can say."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Watchfloor configuration",
        **shapes.ROOT.schema(),
    }
