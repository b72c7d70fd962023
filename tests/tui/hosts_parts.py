"""What the tests of Hosts share: the screen on a store, its rows and their styles."""

from __future__ import annotations

from adapters.extras import Readings, SeriesInfo
from adapters.model import Sample
from engine.store import metrics
from tests.tui.stores import House, painted
from tui.present import lines
from tui.screens.hosts import HostsView


def view_of(h: House, arg: str | None = None, **more) -> HostsView:
    view = HostsView(h.context(**more), arg)
    view.load()
    return view


def styles(view: HostsView, words: str, size=(120, 40)) -> set[str]:
    """Styles of the line that begins with these words, blanks left out."""
    for line in view.paint(*size):
        if lines.text(line).strip(" ▌").startswith(words):
            return {w for text, style in line if text.strip() for w in style.split() if not w.startswith("on:")}
    raise AssertionError(words)


def row_of(view: HostsView, words: str, size=(120, 40)) -> str:
    found = [line for line in painted(view, *size) if line.strip(" ▌").startswith(words)]
    assert found, words
    return found[0]


def asked(h, t: int, values: dict[str, float], failed: dict[str, str] | None = None, *, hosts: bool = True):
    """What a source answered at that time to two ``[[series]]``, and of the hosts that it knows."""
    queries = {} if hosts else {"cdm_lag": "messages", "paid": ""}
    found = [Sample(name, t, value, "%" if name.endswith(("cpu", "mem")) else "") for name, value in values.items()]
    about = [SeriesInfo(s.series, "CPU", "%", 100.0) for s in found if s.series.endswith(":cpu")] if hosts else []
    with h.tx() as tx:
        metrics.put_readings(tx, "prom", queries, Readings(samples=found, failed=failed or {}, about=about))
