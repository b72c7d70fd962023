"""What can go wrong with the store, said in one sentence."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used or written; ``str`` is one sentence for a person, without a traceback."""


class SchemaChanged(StoreError):
    """The store was migrated by a newer (or made by an older) Watchfloor than this reader."""


class StoreMissing(StoreError):
    """There is no store at that path (yet)."""
