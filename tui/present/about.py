"""Row 0 of screens that are about one thing: its environment and source instead of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.present import frame
from tui.present.cut import clean

if TYPE_CHECKING:
    from engine.store.rows import SourceRow
    from tui.view import Span


def about(environment: str, source: str, row: SourceRow | None) -> list[Span]:
    """`` PROD prod-airflow · protected `` in the environment's colours."""
    paper = paper_of(environment, row.color if row else "", bool(row and row.protected))
    out: list[Span] = [(f" {clean(environment or 'local').upper()} ", f"{paper} b"), (clean(source), paper)]
    if row and row.protected:
        out.append((" · protected", paper))
    out.append((" ", paper))
    return out


def paper_of(environment: str, color: str, protected: bool) -> str:
    """Style of an environment's band."""
    band = frame.band(environment, color, protected)
    return f"band-{band}-fg on:band-{band}-bg"
