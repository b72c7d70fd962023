"""Rows of cards and links. Plain values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A reference card as it is configured; ``match`` selects its pipelines."""

    name: str
    match: str = "*"
    updated: str | None = None
    check: Sequence[str] = ()
    if_wrong: Sequence[str] = ()
    contacts: Mapping[str, str] = field(default_factory=dict[str, str])
    links: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class LinkRow:
    """Words, URL and where the link comes from."""

    words: str
    url: str
    origin: str
