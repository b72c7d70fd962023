"""What it costs, counted by the server: two thousand tasks and plans."""

from __future__ import annotations

from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.talend.world import settings


def schedule(ident: str, kind: str) -> dict[str, object]:
    trigger = {"name": "a", "type": "CRON", "cronExpression": "0 6 ? * * *", "timeZone": "UTC"}
    return {
        "id": f"s-{ident}",
        "environmentId": "env-1",
        "executableId": ident,
        "executableType": kind,
        "triggers": [trigger],
    }


def crowd(like: TalendLike) -> None:
    for i in range(1_700):
        like.add_task(f"t{i}", f"Task {i}")
        like.add_run(f"t{i}", f"r{i}", word="EXECUTION_SUCCESS", ago_s=600 + i)
        like.schedules.append(schedule(f"t{i}", "TASK"))
    for i in range(300):
        like.add_plan(f"p{i}", f"Plan {i}", steps=[[f"t{i}"]])
        like.add_run(f"p{i}", f"pr{i}", word="EXECUTION_SUCCESS", ago_s=700 + i)


async def test_the_first_fill_and_the_polls_after_it(like: TalendLike) -> None:
    crowd(like)
    adapter = TalendAdapter(settings(like))
    began = len(like.requests)
    await adapter.probe()
    listing = await adapter.pipelines()
    assert len(listing.items) > 2_000
    cursor: str | None = None
    runs = 0
    while True:
        page = await adapter.runs(cursor)
        runs, cursor = runs + len(page.runs), page.cursor
        if page.complete:
            break
    assert runs >= 2_300  # those of plans' own tasks, too
    assert len(like.requests) - began <= 60

    like.add_run("t1", "long", ago_s=1)
    await adapter.runs(cursor)
    began, polls = len(like.requests), 0
    for _ in range(18):  # a quarter of an hour: a listing is asked for each minute, runs each ten seconds
        like.skew_s += 60
        await adapter.pipelines()
        for _ in range(6):
            page = await adapter.runs(cursor)
            assert page.complete
            cursor, polls = page.cursor, polls + 1
    spent = len(like.requests) - began
    assert spent <= 4 * polls, f"{spent / polls:.1f} a poll"
    known = [p for p in (await adapter.pipelines()).items if p.schedule]
    assert len(known) >= 1_700
    await adapter.close()


async def test_a_quiet_poll_is_two_requests_and_four_while_older_runs_go_on(like: TalendLike) -> None:
    adapter = TalendAdapter(settings(like))
    like.add_run("daily", "task-on", ago_s=900)
    like.add_run("nightly", "plan-on", ago_s=900)
    cursor = (await adapter.runs(None)).cursor
    for older in (False, True):
        if older:
            for i in range(120):
                like.add_run("daily", f"d{i}", word="EXECUTION_SUCCESS", ago_s=1)
                like.add_plan(f"p{i}", steps=[["extract"]])
                like.add_run(f"p{i}", f"n{i}", word="EXECUTION_SUCCESS", ago_s=1)
            cursor = (await adapter.runs(cursor)).cursor
            like.skew_s += 300  # what began with the burst is no longer new
            cursor = (await adapter.runs(cursor)).cursor
        began = len(like.requests)
        page = await adapter.runs(cursor)
        cursor = page.cursor
        assert {r.key.rpartition("/")[2] for r in page.runs if r.state.active} >= {"task-on", "plan-on"}
        assert len(like.requests) - began <= (4 if older else 2)
    await adapter.close()
