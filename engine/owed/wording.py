"""Times and spans of what is owed, in words. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from adapters.schedule import zone as zone_of
from engine.owed.predict import Prediction


@lru_cache(maxsize=8192)
def _local(zone: str, ms: int) -> tuple[str, str, str]:
    moment = datetime.fromtimestamp(ms // 1000, zone_of(zone))
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M"), f"{moment:%a} {moment.day} {moment:%b}"


def time_words(zone: str, ms: int, beside: int | None = None) -> str:
    """Local wall time; with its day where that is not the day of ``beside``."""
    day, time, words = _local(zone, ms)
    return time if beside is None or day == _local(zone, beside)[0] else f"{words} {time}"


def day_words(zone: str, ms: int) -> str:
    """``Tue 17 Nov``."""
    return _local(zone, ms)[2]


def span(ms: int) -> str:
    """``45s``, ``21m``, ``2h 05m``, ``3d 4h``."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{max(seconds, 1)}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 48 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60}h"


def rerun_words(prediction: Prediction, zone: str) -> str | None:
    """``if rerun now: 06:12 ± 9m``; while learning the declared end alone; None where no end is known."""
    if prediction.p50 is None:
        return None
    give = "" if prediction.spread is None else f" ± {span(max(prediction.spread, 1000))}"
    return f"if rerun now: {time_words(zone, prediction.p50, prediction.start)}{give}"


HUGE = 1e15
"""From here on digits tell nobody anything."""
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def amount(value: float, unit: str = "") -> str:
    """A measured value as people read it: ``67 %``, ``1,204 rows``, ``3.2 GiB``, ``0.013``; of unit s a span."""
    if unit in ("B", "bytes", "B/s") and abs(value) < HUGE * 1000:
        n, size = 0, float(value)
        while abs(size) >= 1024 and n < len(_BYTES) - 1:
            n, size = n + 1, size / 1024
        return f"{size:.1f} {_BYTES[n]}".replace(".0 ", " ") + ("/s" if unit == "B/s" else "")
    if unit in ("s", "seconds") and 120 <= value < HUGE:
        return span(round(value * 1000))
    if abs(value) >= HUGE:
        number = f"{value:.3g}"
    elif value == int(value) or abs(value) >= 1000:
        number = f"{value:,.0f}"
    elif abs(value) >= 10:
        number = f"{value:.1f}".removesuffix(".0")
    else:
        number = f"{value:.3g}"
    return f"{number} {unit}".rstrip()
