"""How rare things of a run are kept small. Shared by writer and reader; no SQL, light to import."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from adapters.model import State, unquote_id

KIND_MASK: Final = 7
"""``run.kind`` holds RunKind in its low three bits; the flags stand above."""
OWN_TIME: Final = 8
"""``run.updated`` is when we saw it: the source gave no time of its own."""
BACKFILLED: Final = 16
"""History fetched for prediction; no alert comes from it."""
OBSERVED_LATE: Final = 32
"""It had ended when it was first seen."""
REOPENED: Final = 64
"""Its attempts are counted by us: the source opened it again without a number of its own."""
GENERATED: Final = 128
"""Made up for the demo."""

NATIVE: Final = tuple(state.name.lower() for state in State)
"""By state. A native word that equals ours in small letters is not stored."""

STATES: Final = tuple(State)
_PIPELINE, _RUN, _RAW = "\x01", "\x02", "\x03"


@lru_cache(maxsize=4096)
def bdate_number(text: str) -> int | None:
    """ISO date as yyyymmdd; None for what is no date."""
    digits = text[:10].replace("-", "")
    return int(digits) if len(digits) == 8 and digits.isascii() and digits.isdigit() else None


@lru_cache(maxsize=4096)
def bdate_text(number: int | None) -> str | None:
    """yyyymmdd as ISO date."""
    if number is None:
        return None
    text = f"{number:08d}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def pack_url(url: str, pipeline_url: str | None, name: str) -> str:
    """A run's URL without what is stored already: its pipeline's URL and its own name (as in the key, or decoded)."""
    if pipeline_url and url.startswith(pipeline_url):
        url = _PIPELINE + url[len(pipeline_url) :]
    if url.endswith(name):
        return url[: -len(name)] + _RUN
    raw = unquote_id(name)
    return url[: -len(raw)] + _RAW if url.endswith(raw) else url


def unpack_url(packed: str | None, pipeline_url: str | None, name: str) -> str | None:
    """The URL that ``pack_url`` made small."""
    if packed is None:
        return None
    if packed.endswith(_RUN):
        packed = packed[:-1] + name
    elif packed.endswith(_RAW):
        packed = packed[:-1] + unquote_id(name)
    return (pipeline_url or "") + packed[1:] if packed.startswith(_PIPELINE) else packed
