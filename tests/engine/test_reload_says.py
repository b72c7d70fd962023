"""A reload says which open occurrences keep their old due time, to whoever asked for it and in the log."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import commands
from tests.engine.test_nights import FINISH, SALES, folder, known, sales

__all__ = ["folder"]
SAID = "sales-ready: 1 open occurrence keeps its old due time"


async def test_a_reload_says_what_keeps_its_due_time(folder: Path) -> None:
    async with sales(folder, FINISH, "2026-11-20 04:00") as night:
        known(night)
        night.begin()
        await night.step(1000)
        due = night.owed(SALES, "finish_by").due
        path = folder / "watchfloor.toml"
        path.write_text(path.read_text().replace('due = "06:00"', 'due = "06:30"'))
        assert await night.engine.reload() == [SAID]
        assert SAID in night.out.getvalue()
        assert night.owed(SALES, "finish_by").due == due
        assert await night.engine.reload() == []


def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def asking(_: Namespace) -> Iterator[Any]:
        yield lambda do, **body: {"kept": [SAID]} if do == "reload" else {}

    monkeypatch.setattr(commands, "asking", asking)
    assert commands.engine(Namespace(what="reload")) == 0
    assert capsys.readouterr().out == f"the engine took the configuration\n{SAID}\n"
