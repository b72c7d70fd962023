"""Text snapshots: what a person sees, as files one can read. ``WATCHFLOOR_SNAP=1 pytest`` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"


def same(name: str, lines: Sequence[str]) -> None:
    """The lines as they were last time; trailing blanks do not count."""
    text = "\n".join(line.rstrip() for line in lines).rstrip() + "\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("WATCHFLOOR_SNAP"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return
    assert path.exists(), f"no snapshot {path.name}: run with WATCHFLOOR_SNAP=1 and look at it"
    assert text.splitlines() == path.read_text("utf-8").splitlines()
