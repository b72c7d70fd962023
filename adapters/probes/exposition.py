"""The text that a Prometheus would scrape, read without one: the samples of one name. Counters are given as they stand. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from adapters.probes.base import Labelled
from adapters.probes.values import NoValue

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_LINE: Final = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)')
_ESCAPED: Final = {"n": "\n"}
LONGEST: Final = 8192
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """``NAME`` or ``NAME{label="x"}``: each sample of that name whose labels have these values."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """ValueError: a clause on what is wrong."""
        name, brace, rest = text.strip().partition("{")
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise ValueError('expected a metric like rows_total or rows_total{table="x"} after the path')
        if not brace:
            return cls(name)
        if not rest.endswith("}"):
            raise ValueError("the { is not closed")
        return cls(name, tuple(sorted(_labels(rest[:-1]).items())))

    def read(self, body: bytes) -> list[Labelled]:
        """Samples, told apart by the labels in which they differ. NoValue: there is none, or too many."""
        found: list[tuple[dict[str, str], str]] = []
        prefix = self.name.encode()
        for raw in body.split(b"\n"):
            if not raw.startswith(prefix) or len(raw) > LONGEST:
                continue
            line = _LINE.match(raw.decode("utf-8", "replace"))
            if line is None or line[1] != self.name:
                continue
            try:
                labels = _labels(line[2] or "")
            except ValueError:
                continue
            if all(labels.get(k) == v for k, v in self.labels):
                found.append((labels, line[3]))
            if len(found) > MOST:
                raise NoValue(f"it has more than {MOST} samples of {self.name}: name labels")
        if not found:
            raise NoValue(
                f"there is no sample of {self.name}{' with these labels' if self.labels else ''} in the answer"
            )
        differ = {name for one, _ in found for name in one if len({labels.get(name) for labels, _ in found}) > 1}
        return [({k: v for k, v in labels.items() if k in differ}, _number(value)) for labels, value in found]


def _labels(text: str) -> dict[str, str]:
    out: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f'labels are written label="value", got {text[at : at + 20]!r}')
        out[found[1]] = re.sub(r"\\(.)", lambda m: _ESCAPED.get(m[1], m[1]), found[2])
        at = found.end()
    return out


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NoValue(f'"{text[:40]}" is no number') from None
