"""What adapters of HTTP systems do alike: keys of their own, cursors, zones, secrets and tokens, what a failed call means."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from adapters.base import NotSent, Secret, Unknown
from adapters.errors import AdapterError, AuthFailed, BadResponse, NotFound, RateLimited, Unreachable
from adapters.http import words
from adapters.model import Key, parse_key

C = TypeVar("C")


def own_key(text: str, source: str, of: str = "") -> Key:
    """A key of this source; with ``of`` = ``run`` or ``step`` one that names such a thing. NotFound for anything else, so that
    no other exception leaves.
    """
    try:
        key = parse_key(text)
    except ValueError as err:
        what = words(str(err))
    else:
        if key.source == source and not (of and key.run is None) and not (of == "step" and key.step is None):
            return key
        what = words(f"{text} is no {of or 'key'} of source {source}")
    raise NotFound(what)


def read_cursor(cursor: str | None, shape: type[C]) -> C:
    """A cursor of ours; one that we cannot read (of another version) means: from the beginning."""
    if cursor is None:
        return shape()
    try:
        return msgspec.json.decode(cursor, type=shape)
    except msgspec.DecodeError:
        return shape()


def write_cursor(cursor: msgspec.Struct) -> str:
    return msgspec.json.encode(cursor).decode()


def zone_of(name: str) -> tzinfo:
    """The zone of that name; UTC where there is none such on this host."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


async def reveal(value: str | Secret, what: str = "credential") -> str:
    """A secret may come from a command: its origin is asked in a thread. A failure is a sentence, never the secret."""
    if isinstance(value, str):
        return value
    try:
        return await asyncio.to_thread(value.reveal)
    except AdapterError:
        raise
    except Exception:
        origin = value.origin
    raise AuthFailed(f"the {what} cannot be read from {origin}", "see auth of this source")


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token that is a JWT says of itself (``sub``, ``exp`` …), unverified; empty where it says nothing."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found: Any = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def not_taken(err: AdapterError) -> NotSent | Unknown:
    """What an error of the call itself means for whether it happened: refused or never left, it did not; anything else may have."""
    if isinstance(err, Unreachable):
        return Unknown(err.what) if err.sent else NotSent(err.what)
    refused = err.status is not None and 400 <= err.status < 500 and err.status != 408
    if isinstance(err, BadResponse) and not refused:
        return Unknown(f"{err.what}; it may have happened")
    if isinstance(err, RateLimited) and err.retry_after is not None:
        return NotSent(f"{err.what}; it asks to wait {err.retry_after:.0f} s")
    return NotSent(err.what)
