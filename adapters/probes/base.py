"""What probes do alike: each of their queries has a number, a few with labels, or a reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.extras import SeriesQuery
from adapters.http import words
from adapters.model import Sample
from adapters.probes.values import NoValue, value_of

MOST_A_QUERY: Final = 50
"""Series that one ``[[series]]`` may give."""
Labelled = tuple[Mapping[str, str], Any]
"""One answer: the labels that tell it from the others (none: it is the only one), and what stood there."""


def now_ms() -> int:
    """This host's clock: of what is looked at here it is the only one."""
    return time.time_ns() // 1_000_000


def as_series(query: SeriesQuery, answers: Iterable[Labelled], t: int, secrets: Sequence[str] = ()) -> list[Sample]:
    """Answers as samples of the query's unit. NoValue: none of them is a value, or they are too many."""
    out: dict[str, Sample] = {}
    wrong: NoValue | None = None
    for labels, raw in answers:
        name = query.name
        if labels:
            name += "{" + ",".join(f"{k}={shown(v, secrets)}" for k, v in sorted(labels.items())) + "}"
        if name in out and labels:
            name = f"{name[:-1]},{len(out) + 1}}}"  # cut short, or told apart by nothing that is shown
        try:
            out[name] = Sample(name, t, value_of(raw, query.unit), query.unit)
        except NoValue as error:
            wrong = wrong or error
    if len(out) > MOST_A_QUERY:
        raise NoValue(f"it gives {len(out):,} series, at most {MOST_A_QUERY} are kept: ask for fewer")
    if wrong is not None and not out:
        raise wrong
    return list(out.values())


def shown(value: object, secrets: Sequence[str] = ()) -> str:
    """A label's value inside a name: one harmless, short piece."""
    text = words(str(value), secrets).replace("{", "(").replace("}", ")")
    return text if len(text) <= 60 else text[:59] + "…"


def wrong_text(parse: Callable[[str], object], text: str) -> str | None:
    """What ``parse`` says of a text that is no query; None where it is one."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


def seconds(options: Mapping[str, Any], name: str, default: float, most: float) -> float:
    """A number of seconds among the options; ValueError in one sentence."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ValueError(f"options.{name}: expected seconds, more than 0 and at most {most:g}, got {value!r}")
    return float(value)


def known_options(options: Mapping[str, Any], *known: str) -> None:
    """ValueError names the first key that is not known."""
    for name in options:
        if name not in known:
            raise ValueError(f"options: unknown key {name!r}; known: {', '.join(sorted(known))}")
