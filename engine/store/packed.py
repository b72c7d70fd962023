"""How rare things of a run are kept small. Shared by writer and reader; no SQL, light to import."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

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
_PIPELINE, _RUN, _RAW, _QUOTED = "\x01", "\x02", "\x03", "\x04"


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


def decoded(name: str) -> str:
    """``unquote_id`` for the many names whose only quoted character is the colon of a time."""
    if "%" not in name:
        return name
    plain = name.replace("%3A", ":")
    return plain if "%" not in plain else unquote_id(name)


def pack_url(url: str, pipeline_url: str | None, name: str) -> str:
    """A run's URL without what is stored already: its pipeline's URL, and its own name however it is quoted."""
    if pipeline_url and url.startswith(pipeline_url):
        url = _PIPELINE + url[len(pipeline_url) :]
    raw = decoded(name)
    for mark, form in ((_RUN, name), (_RAW, raw), (_QUOTED, quote(raw, safe=""))):
        if url.endswith(form):
            return url[: -len(form)] + mark
    return url


def unpack_url(packed: str | None, pipeline_url: str | None, name: str) -> str | None:
    """The URL that ``pack_url`` made small."""
    if packed is None:
        return None
    last = packed[-1:]
    if last == _RUN:
        packed = packed[:-1] + name
    elif last == _RAW:
        packed = packed[:-1] + decoded(name)
    elif last == _QUOTED:
        packed = packed[:-1] + quote(decoded(name), safe="")
    return (pipeline_url or "") + packed[1:] if packed.startswith(_PIPELINE) else packed
