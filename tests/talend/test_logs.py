"""Logs: page by page as they grow, newest first where the server insists, the whole file of a long one that has ended."""

from __future__ import annotations

import pytest

from adapters.model import LogChunk, step_key
from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.servers.talend_state import Exec
from tests.talend.world import key_of, settings


async def read(adapter: TalendAdapter, step: str, cursor: str | None = None, most: int = 60) -> tuple[bytes, LogChunk]:
    """As the engine reads: until nothing more comes now."""
    data = b""
    for _ in range(most):
        chunk = await adapter.log(step, 1, cursor)
        data += chunk.data
        moved, cursor = chunk.cursor != cursor, chunk.cursor
        if chunk.end or not chunk.data or not moved:
            return data, chunk
    raise AssertionError("it never ends")


def job(run: str) -> str:
    return step_key(key_of("daily", run), "job")


def many(like: TalendLike, run: Exec, count: int) -> list[str]:
    at = int(like.now().timestamp() * 1000) - count * 10_000
    run.lines = [(at + i * 1_000, "INFO", f"line {i}") for i in range(count)]
    return [f"line {i}" for i in range(count)]


def texts(data: bytes) -> list[str]:
    return [line.partition("line ")[1] + line.partition("line ")[2] for line in data.decode().splitlines()]


async def test_lines_are_rendered_with_time_and_severity(like: TalendLike, adapter: TalendAdapter) -> None:
    run = like.add_run("daily", "e1")
    run.lines = [(1_795_000_000_123, "ERROR", "ORA-00001: violated\n\tat x\n"), (1_795_000_001_000, "INFO", "next")]
    data, chunk = await read(adapter, job("e1"))
    assert data.decode().splitlines() == [
        "2026-11-18T11:06:40.123Z ERROR ORA-00001: violated",
        "\tat x",
        "2026-11-18T11:06:41.000Z INFO next",
    ]
    assert not chunk.end


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_growing_log_comes_once(like: TalendLike, adapter: TalendAdapter, backwards: bool) -> None:
    like.order_ignored = backwards
    run = like.add_run("daily", "e1")
    want = many(like, run, 450)
    data, chunk = await read(adapter, job("e1"))
    assert texts(data) == want
    last = run.lines[-1][0]
    run.lines += [(last, "INFO", "line same"), (last, "INFO", "line same")]
    more, chunk = await read(adapter, job("e1"), chunk.cursor)
    assert texts(more) == ["line same", "line same"]
    none, chunk = await read(adapter, job("e1"), chunk.cursor)
    assert none == b""
    assert not chunk.end


async def test_the_end_is_believed_half_a_minute_after_the_end(like: TalendLike, adapter: TalendAdapter) -> None:
    run = like.add_run("daily", "e1", word="EXECUTION_SUCCESS", ago_s=5)
    many(like, run, 3)
    _, chunk = await read(adapter, job("e1"))
    assert not chunk.end
    like.log(run, "line last")
    like.skew_s = 40
    more, chunk = await read(adapter, job("e1"), chunk.cursor)
    assert texts(more) == ["line last"]
    assert chunk.end


async def test_no_log_yet_and_none_at_all(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "new", word="DISPATCHING_FLOW")
    chunk = await adapter.log(job("new"), 1, None)
    assert (chunk.data, chunk.end, chunk.note) == (b"", False, "no log (yet)")
    like.add_run("daily", "never", word="DEPLOY_FAILED", ago_s=300, lasted_s=1).lines.clear()
    assert (await adapter.log(job("never"), 1, None)).end


def long_ago(like: TalendLike, ident: str = "e1") -> Exec:
    return like.add_run("daily", ident, word="EXECUTION_SUCCESS", ago_s=9_000, lasted_s=60)


async def test_a_long_log_that_has_ended_comes_as_a_file(like: TalendLike, adapter: TalendAdapter) -> None:
    want = many(like, long_ago(like), 1_500)
    first = await adapter.log(job("e1"), 1, None)
    assert (first.data, first.end, first.note) == (b"", False, "TMC is preparing the whole log")
    data, chunk = await read(adapter, job("e1"), first.cursor)
    assert texts(data) == want
    assert chunk.end
    assert sum(s.path.endswith("/logs") and s.method == "GET" for s in like.requests) == 1
    assert not like.leaked, "the credential was sent to the address of the file"
    assert not any(secret in (first.cursor or "") + (chunk.cursor or "") for secret in like.files)


async def test_a_very_long_one_comes_in_parts_oldest_first(like: TalendLike, adapter: TalendAdapter) -> None:
    like.log_limit, like.log_pending = 400, 0
    want = many(like, long_ago(like), 1_100)
    data, chunk = await read(adapter, job("e1"))
    assert texts(data) == want
    assert chunk.end
    posts = [s for s in like.requests if s.method == "POST" and s.path.endswith("/logs")]
    assert [s.status for s in posts] == [206, 206, 200]


async def test_more_parts_than_are_fetched_is_said(like: TalendLike, adapter: TalendAdapter) -> None:
    like.log_limit, like.log_pending = 50, 0
    want = many(like, long_ago(like), 1_000)
    first = await adapter.log(job("e1"), 1, None)
    assert first.note == "older lines are left out: the log is too long"
    rest, _ = await read(adapter, job("e1"), first.cursor)
    assert texts(first.data + rest) == want[-500:]


@pytest.mark.parametrize("broken", ["forbidden", "shape", "never", "http"])
async def test_where_no_file_comes_the_pages_are_read(like: TalendLike, adapter: TalendAdapter, broken: str) -> None:
    want = many(like, long_ago(like), 450)
    plain = like._log_status
    if broken == "forbidden":
        like.forbid = lambda method, path: method == "POST" and path.endswith("/logs")
    elif broken == "shape":
        like._log_file = lambda run, query: (200, {"size": 3})  # type: ignore[method-assign]
    elif broken == "never":
        like.log_pending = 10_000
    else:
        like._log_status = lambda body: (200, {"url": "http://elsewhere.example.invalid/file"})  # type: ignore[method-assign]
    data, cursor = b"", None
    for _ in range(60):  # one look a second, as the engine does
        more, chunk = await read(adapter, job("e1"), cursor)
        data, cursor = data + more, chunk.cursor
        if chunk.end:
            break
    assert texts(data) == want
    assert plain is not None


async def test_after_a_restart_the_file_goes_on_where_it_was(like: TalendLike, adapter: TalendAdapter) -> None:
    like.log_limit, like.log_pending = 400, 0
    want = many(like, long_ago(like), 1_100)
    first = await adapter.log(job("e1"), 1, None)
    fresh = TalendAdapter(settings(like))
    rest, chunk = await read(fresh, job("e1"), first.cursor)
    assert texts(first.data + rest) == want
    assert chunk.end
    await fresh.close()


async def test_a_step_of_a_plan_has_the_log_of_what_failed_in_it(like: TalendLike, adapter: TalendAdapter) -> None:
    run = like.add_run("nightly", "p1", word="EXECUTION_FAILED", ago_s=600, lasted_s=100)
    key = key_of("nightly", "p1", "plan")
    for step in ("Step 2", "Task load"):
        data, chunk = await read(adapter, step_key(key, step))
        assert b"ORA-00001" in data
        assert chunk.end
    like.execs[run.steps[1].tasks[0]].word = "EXECUTION_SUCCESS"
    fresh = TalendAdapter(settings(like))
    chunk = await fresh.log(step_key(key, "Step 2"), 1, None)
    assert (chunk.end, chunk.note) == (True, "a step has no log of its own: its tasks have")
    data, _ = await read(fresh, step_key(key, "Step 1"))
    assert b"job begins" in data, "of its only task"
    await fresh.close()
