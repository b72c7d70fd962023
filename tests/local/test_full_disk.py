"""A disk without room: nothing is claimed, nothing is forgotten, the truth comes when there is room again."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Unreachable
from adapters.local import state as st
from adapters.local import supervisor as module
from adapters.local.book import Book
from adapters.local.jobs import compile_job, make_spec, make_state
from adapters.model import RunKind, State
from tests.local.kit import Floor, job, sh
from tests.local.test_planner import NINE

Make = Callable[..., Floor]


def no_room(*args: Any, **kw: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_tick_that_cannot_be_written_stays_due(floor: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    f = floor(job("load", sh("true"), schedule="0 9 * * *"), job("other", sh("true"), schedule="0 9 * * *"))
    await f.adapter.tick(NINE - 1)
    real = Book.create

    def create(book: Book, state: st.Record, spec: st.Record | None) -> bool:
        if state["job"] == "load":
            no_room()
        return real(book, state, spec)

    monkeypatch.setattr(Book, "create", create)
    with pytest.raises(Unreachable, match="No space left on device"):
        await f.adapter.tick(NINE)
    assert (await f.reach("local:other/20260310T090000Z")).state == State.SUCCESS  # the others go on
    monkeypatch.undo()
    await f.adapter.tick(NINE + 2000)
    assert (await f.reach("local:load/20260310T090000Z")).state == State.SUCCESS


async def test_a_start_that_cannot_be_written_is_not_sent_and_leaves_nothing(
    floor: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = floor(job("load", sh("true")))
    monkeypatch.setattr(st, "write_json", no_room)
    with pytest.raises(AssertionError, match="No space left on device"):
        await f.start("load")
    monkeypatch.undo()
    await f.adapter.tick(NINE)
    assert await f.all_runs() == {}
    assert list((f.folder / "state" / "tmp").iterdir()) == []


def test_a_supervisor_tells_the_end_when_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = compile_job(job("load", ("true",)))
    state = make_state(one, "r", now=1, date="2026-01-01", kind=RunKind.MANUAL)
    spec = make_spec(one, "r", "2026-01-01", {}, str(tmp_path), str(tmp_path), {})
    supervisor = module.Supervisor(tmp_path, spec, state)
    state["steps"][0].update(state=State.FAILED, exit_code=4, error="exit 4 · no")
    fails = iter([True, True, True, False])
    real = st.write_state

    def write(folder: Path, value: st.Record) -> None:
        if next(fails):
            no_room()
        real(folder, value)

    waited: list[float] = []
    monkeypatch.setattr(st, "write_state", write)
    monkeypatch.setattr(module.time, "sleep", waited.append)
    supervisor.finish(State.FAILED)
    found = st.read_state(tmp_path)
    assert found is not None
    assert (found["state"], found["exit_code"], found["error"]) == (State.FAILED, 4, "s1: exit 4 · no")
    assert waited == [1, 1, 1]


def test_a_state_that_is_damaged_is_no_state(tmp_path: Path) -> None:
    whole = make_state(compile_job(job("load", ("true",))), "r", now=1, date="2026-01-01", kind=RunKind.MANUAL)
    st.write_state(tmp_path, whole)
    assert st.read_state(tmp_path) == whole
    text = (tmp_path / "state.json").read_bytes()
    for damaged in (text[:-9], b"", b"[]", b"\xff\0", text.replace(b'"state":1', b'"state":99'), b'{"state": 1}'):
        (tmp_path / "state.json").write_bytes(damaged)
        assert st.read_state(tmp_path) is None
