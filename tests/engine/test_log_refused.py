"""A log that a source refuses: its words are kept for the log screen, and it is asked for again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.errors import Forbidden, Unreachable
from adapters.model import LogChunk, State, StepRun
from engine.poll.looking import CloseLook
from tests.tui.stores import MINUTE, House

KEY = "s:p/r"


class Refusing:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def log(self, key: str, attempt: int, cursor: str | None) -> LogChunk:
        if self.error is not None:
            raise self.error
        return LogChunk(b"at last\n", "1", True)


def looker(h: House, folder: Path, adapter: Refusing) -> CloseLook:
    class Look(CloseLook):
        def __init__(self) -> None:
            self.adapter = cast(Any, adapter)
            self.ctx = cast(Any, SimpleNamespace(store=h.store, places=SimpleNamespace(logs=folder / "logs")))

    Look.__abstractmethods__ = frozenset()
    return Look()


async def test_why_it_was_refused_is_kept_until_it_is_not(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    h.run("s", "p", "r", State.FAILED, started_ago=MINUTE, took=1000)
    step = StepRun(run=KEY, step="load", native="x", state=State.FAILED, started=h.now - MINUTE, order=0)
    h.steps(KEY, [step])
    adapter = Refusing(Forbidden("403 for this token", "it needs the role Viewer", status=403))
    look = looker(h, tmp_path, adapter)
    with pytest.raises(Forbidden):
        await look.fetch_log(step)
    detail = h.reader().run(KEY)
    assert detail is not None
    assert [(r.note, r.complete, r.size) for r in detail.logs] == [
        ("403 for this token; it needs the role Viewer", False, 0)
    ]
    adapter.error = Unreachable("no answer")  # a moment without a network says nothing about this log
    with pytest.raises(Unreachable):
        await look.fetch_log(step)
    adapter.error = None
    assert await look.fetch_log(step)
    detail = h.reader().run(KEY)
    assert detail is not None
    assert [(r.note, r.complete) for r in detail.logs] == [(None, True)]
    assert Path(detail.logs[0].path).read_bytes() == b"at last\n"
    h.close()
