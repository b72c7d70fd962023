"""What the tests of the app share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def screen(app: Any) -> str:
    """What stands on the canvas, as Textual's compositor has it."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(fact: Callable[[], bool], what: str = "", seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"did not come true: {what}"
        await asyncio.sleep(0.01)


def place(folder: Path) -> Any:
    from engine.config.paths import places

    return places(folder / "watchfloor.toml").with_store(folder / "floor.db")
