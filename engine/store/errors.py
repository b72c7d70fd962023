"""What can go wrong with the store, said in one sentence."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used or written; ``str`` is one sentence for a person, without a traceback."""


class StoreFull(StoreError):
    """There is no room for what is to be written; what was committed before stands."""


class StoreDamaged(StoreError):
    """The store's content is not what was written: to be moved aside, never to be written on."""


class SchemaChanged(StoreError):
    """The store was migrated by a newer (or made by an older) Watchfloor than this reader."""


class StoreMissing(StoreError):
    """There is no store at that path (yet)."""
