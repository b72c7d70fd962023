"""The audit's hash chain: how a record is hashed and what breaks it. Pure, so that engine and terminal check alike."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from engine.store.audit_rows import AuditRow

FIRST: Final = "0" * 64
"""What the first record names as the hash before it."""
_HASHED: Final = tuple(name for name in AuditRow.__dataclass_fields__ if name != "hash")


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record that is not as it was written. ``str`` is one sentence."""

    seq: int
    why: str

    def __str__(self) -> str:
        return f"record {self.seq}: {self.why}"


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the chain was followed: the last record that held, its hash, and what broke there, if anything."""

    seq: int = 0
    hash: str = FIRST
    broken: Broken | None = None


def canonical(value: Any) -> str:
    """One spelling of a JSON value, in ASCII: what is hashed and stored."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def hash_of(row: AuditRow) -> str:
    """sha256 over every field but the hash itself."""
    import hashlib  # here: the terminal's first frame needs no hashes

    return hashlib.sha256(canonical([getattr(row, name) for name in _HASHED]).encode()).hexdigest()


def follow(rows: Iterable[AuditRow], before: Checked) -> Checked:
    """The chain from ``before`` on: each record must be the next one, name the hash before it, and hash to its own."""
    seq, prev = before.seq, before.hash
    for row in rows:
        if row.seq != seq + 1:
            return Checked(
                seq, prev, Broken(seq + 1, "it is missing" if row.seq > seq else "its number was used twice")
            )
        if row.prev != prev:
            return Checked(seq, prev, Broken(row.seq, "it does not follow the record before it"))
        if row.hash != hash_of(row):
            return Checked(seq, prev, Broken(row.seq, "its content was changed"))
        seq, prev = row.seq, row.hash
    return Checked(seq, prev)
