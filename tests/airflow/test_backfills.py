"""Backfills on a server shaped like Airflow 3: the exact calls, the dry run, what is refused, what is proved, what is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.airflow import AirflowAdapter, backfills
from adapters.airflow.backfills import spell
from adapters.airflow.calls import too_much
from adapters.airflow.wire import DagRun
from adapters.base import Action, Done, NotDone, NotSent, Sent, Several, Unknown
from adapters.errors import BadResponse, Conflict, NotFound
from adapters.model import State, Verb
from tests.airflow.world import settings
from tests.servers.airflow_like import AirflowLike

PARAMS: dict[str, Any] = {"from": "2026-11-01", "to": "2026-11-04"}


def ask(verb: Verb = Verb.BACKFILL, **params: Any) -> Action:
    given = PARAMS | params if verb is Verb.BACKFILL else params
    return Action(
        verb=verb, key="af:daily", client_id="01JTEST", params={k: v for k, v in given.items() if v is not None}
    )


@pytest.fixture(autouse=True)
def november(like: AirflowLike) -> None:
    """It is 20 November there."""
    like.skew_s = (datetime(2026, 11, 20, 12, tzinfo=UTC) - datetime.now(UTC)).total_seconds()


async def made(like: AirflowLike, adapter: AirflowAdapter, **params: Any) -> int:
    assert isinstance(await adapter.send(await adapter.prepare(ask(**params))), Sent)
    return max(like.backfills)


async def test_the_dry_run_s_dates_stand_in_the_plan_and_nothing_is_made_by_planning(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    prepared = await adapter.prepare(ask())
    (call,) = prepared.calls
    assert (call.method, call.target) == ("POST", f"{like.url}/api/v2/backfills")
    assert call.body == {
        "dag_id": "daily", "from_date": "2026-11-01T00:00:00Z", "to_date": "2026-11-04T23:59:59Z", "max_active_runs": 1,
        "reprocess_behavior": "none", "run_backwards": False,
    }  # fmt: skip
    assert prepared.effect == "4 runs of daily from 2026-11-01 to 2026-11-04"
    assert prepared.note == "2026-11-01 to 2026-11-04; 1 at a time"
    assert prepared.memo["dates"] == [f"2026-11-0{d} 03:00" for d in (1, 2, 3, 4)]
    assert not like.effects
    assert not like.backfills


async def test_days_are_those_of_the_sources_zone_and_both_are_inside(like: AirflowLike) -> None:
    adapter = AirflowAdapter(settings(like, timezone="Europe/Paris"))
    body = (await adapter.prepare(ask(**{"from": "2026-10-25", "to": "2026-10-25"}))).calls[0].body
    assert (body["from_date"], body["to_date"]) == ("2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z"), "a day of 25 hours"
    await adapter.close()


async def test_a_backfill_is_made_once_and_proved_by_its_runs(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(ask(max_active=2, reprocess="failed", backwards=True))
    assert await adapter.reconcile(prepared) == NotDone("Airflow has no new backfill of these dates")
    assert prepared.calls[0].body["run_backwards"] is True
    sent = await adapter.send(prepared)
    assert sent == Sent("Airflow made backfill 1")
    assert await adapter.reconcile(prepared) == Done("backfill 1 is there with 4 of 4 runs")
    assert [e.what for e in like.effects] == ["backfill"]
    with pytest.raises(
        Conflict, match=r"backfill 1 of daily \(2026-11-01 to 2026-11-04\) is not over: cancel it first"
    ):
        await adapter.prepare(ask())
    again = await adapter.send(prepared)
    assert isinstance(again, NotSent), "the server refuses a second, and that is certain"
    assert "already a running backfill" in again.words
    assert len(like.backfills) == 1


@pytest.mark.parametrize("fault", ["lost", "lost-500"])
async def test_a_lost_answer_is_looked_for_and_never_sent_again(
    like: AirflowLike, adapter: AirflowAdapter, fault: str
) -> None:
    await adapter.send(await adapter.prepare(ask(**{"from": "2026-10-01", "to": "2026-10-02"})))
    await adapter.send(await adapter.prepare(ask(Verb.BACKFILL_CANCEL)))
    prepared = await adapter.prepare(ask())
    like.fault = fault
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert await adapter.reconcile(prepared) == Done("backfill 2 is there with 4 of 4 runs")
    assert [e.what for e in like.effects].count("backfill") == 2


async def test_200_that_does_nothing_is_not_done(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(ask())
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    assert isinstance(await adapter.reconcile(prepared), NotDone)


async def test_two_of_the_same_dates_are_a_persons_to_decide(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(ask())
    await adapter.send(prepared)
    like.backfills[1].completed = like.now()
    await adapter.send(prepared)
    assert isinstance(await adapter.reconcile(prepared), Several)


async def test_one_that_is_over_with_fewer_runs_than_were_planned_is_not_done(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    prepared = await adapter.prepare(ask())
    await adapter.send(prepared)
    del like.runs[next(k for k, r in like.runs.items() if k[0] == "daily" and r.run_type == "backfill")]
    like.backfills[1].completed = like.now()
    assert await adapter.reconcile(prepared) == NotDone("backfill 1 is over with 3 of 4 runs", begun=True)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"from": None}, "backfill needs from: expected YYYY-MM-DD"),
        ({"to": "yesterday"}, "to = 'yesterday' is no date: expected YYYY-MM-DD"),
        ({"from": "2026-11-05"}, "from 2026-11-05 is after to 2026-11-04"),
        ({"from": "2019-01-01"}, "days are too many at once"),
        (
            {"from": "2025-01-01"},
            "daily ticks more than 400 times from 2025-01-01 to 2026-11-04: at most 400 runs at once",
        ),
        ({"reprocess": "all"}, "expected none, failed or completed"),
        ({"max_active": "0"}, "expected a number of runs at a time, 1 to 50"),
        ({"max_active": "many"}, "expected a number of runs at a time"),
        ({"backwards": "perhaps"}, "expected true or false"),
        ({"conf": "{}"}, "backfill has no parameter 'conf'; it has from, to, reprocess, max_active, backwards"),
        ({"from": "2027-01-01", "to": "2027-01-02"}, "nothing to do: from 2027-01-01 to 2027-01-02 daily has no tick"),
    ],
)
async def test_what_is_refused_in_a_sentence(
    like: AirflowLike, adapter: AirflowAdapter, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(Conflict) as refused:
        await adapter.prepare(ask(**params))
    assert words in refused.value.what
    assert not [r for r in like.requests if r.path == "/api/v2/backfills" and r.method == "POST"]


async def test_dates_that_have_their_runs_are_nothing_to_do_until_they_are_to_run_again(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    for day in (1, 2):
        after = like.now().replace(day=day, hour=3, minute=0, second=0, microsecond=0)
        like.add_run("daily", f"r{day}", state="failed" if day == 2 else "success", run_after=after)
    days = {"from": "2026-11-01", "to": "2026-11-02"}
    with pytest.raises(Conflict, match="or each has its run; reprocess = failed or completed runs those again"):
        await adapter.prepare(ask(**days))
    prepared = await adapter.prepare(ask(reprocess="failed", **days))
    assert prepared.effect == "1 run of daily from 2026-11-01 to 2026-11-02, failed ones again"
    assert prepared.note.startswith("2026-11-02; ")
    assert len((await adapter.prepare(ask(reprocess="completed", **days))).memo["dates"]) == 2


async def test_a_schedule_that_has_no_ticks_is_refused_in_the_servers_words(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    like.dags["daily"].schedule = None
    with pytest.raises(Conflict, match="daily has a non-periodic schedule that does not support backfills"):
        await adapter.prepare(ask())


async def test_a_paused_dag_is_said(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.dags["daily"].paused = True
    assert "daily is paused: its runs wait until it is resumed" in (await adapter.prepare(ask())).note


async def test_pause_resume_and_cancel_of_the_only_one(like: AirflowLike, adapter: AirflowAdapter) -> None:
    for verb in (Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL):
        with pytest.raises(Conflict, match="no backfill of daily is running"):
            await adapter.prepare(ask(verb))
    await made(like, adapter)
    like.tick()
    with pytest.raises(Conflict, match="backfill 1 of daily is not paused"):
        await adapter.prepare(ask(Verb.BACKFILL_RESUME))
    want = (
        (Verb.BACKFILL_PAUSE, "pause", "starts no further runs", "0 of 4 runs ended; 1 run at work goes on", "paused"),
        (Verb.BACKFILL_RESUME, "unpause", "goes on: 3 left", "0 of 4 runs ended", "running"),
    )
    for verb, word, effect, note, state in want:
        prepared = await adapter.prepare(ask(verb))
        (call,) = prepared.calls
        assert (call.method, call.target, call.body) == ("PUT", f"{like.url}/api/v2/backfills/1/{word}", None)
        assert prepared.effect == f"backfill 1 of daily (2026-11-01 to 2026-11-04) {effect}"
        assert prepared.note == note
        assert isinstance(await adapter.reconcile(prepared), NotDone)
        assert await adapter.send(prepared) == Sent(f"Airflow answers: {state}")
        assert await adapter.reconcile(prepared) == Done(f"backfill 1 is {state}")
        assert prepared.steady == 2
    prepared = await adapter.prepare(ask(Verb.BACKFILL_CANCEL, id="1"))
    assert prepared.effect.endswith("ends: 3 queued runs will not start")
    assert 'Airflow calls what was queued "failed"' in prepared.note
    assert await adapter.send(prepared) == Sent("Airflow answers: completed")
    assert await adapter.reconcile(prepared) == Done("backfill 1 is over")
    with pytest.raises(Conflict, match="backfill 1 of daily is over already"):
        await adapter.prepare(ask(Verb.BACKFILL_CANCEL, id="1"))
    with pytest.raises(NotFound, match="daily has no backfill 7; it has 1"):
        await adapter.prepare(ask(Verb.BACKFILL_CANCEL, id="7"))
    with pytest.raises(Conflict, match="no parameter 'force'; it has: id"):
        await adapter.prepare(ask(Verb.BACKFILL_CANCEL, force="yes"))


async def test_several_are_named_and_none_is_chosen(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await made(like, adapter)
    like.backfills[1].completed = like.now()
    await made(like, adapter, **{"from": "2026-10-01", "to": "2026-10-02"})
    like.backfills[1].completed = None
    with pytest.raises(Conflict, match=r"several backfills: name one by id: 2 \(2026-10-01 to 2026-10-02\), 1 \("):
        await adapter.prepare(ask(Verb.BACKFILL_PAUSE))


async def test_operations_are_found_by_their_runs_and_followed_to_their_end(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    assert await adapter.operations() == []
    await made(like, adapter, max_active=1)
    like.tick()
    (one,) = await adapter.operations()
    assert (one.id, one.pipeline, one.state, one.first, one.last) == (
        "1",
        "af:daily",
        State.RUNNING,
        "2026-11-01",
        "2026-11-04",
    )
    assert (one.planned, one.done, one.failed, one.running) == (4, 0, 0, 1)
    assert (one.ended, one.words) == (None, "1 at a time")
    like.backfills[1].paused = True
    assert (await adapter.operations())[0].state is State.HELD
    like.backfills[1].paused = False
    for _ in range(60):
        like.tick()
    (one,) = await adapter.operations()
    assert (one.state, one.planned, one.done, one.running) == (State.SUCCESS, 4, 4, 0)
    assert one.ended is not None
    assert await adapter.operations() == [], "it was told once more after its end"
    assert [o.state for o in await adapter.operations(["af:daily"])] == [State.SUCCESS], "asked for by who knew it"


async def test_a_cancelled_one_is_stopped_and_one_with_failures_failed(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    like.dags["daily"].fails = {"extract"}
    await made(like, adapter, max_active=4)
    await adapter.operations()
    for _ in range(20):
        like.tick()
    (one,) = await adapter.operations()
    assert (one.state, one.failed) == (State.FAILED, 4)
    like.dags["daily"].fails = set()
    await made(like, adapter, **{"from": "2026-10-01", "to": "2026-10-03"})
    await adapter.operations()
    await adapter.send(await adapter.prepare(ask(Verb.BACKFILL_CANCEL)))
    newest = (await adapter.operations())[0]
    assert (newest.id, newest.state) == ("2", State.STOPPED)


@pytest.mark.parametrize("runs", [None, [], ["success", "success", "a word of tomorrow"]])
def test_one_that_is_over_is_only_well_where_all_its_runs_are(runs: list[str] | None) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    one = backfills.Backfill(id=1, dag_id="daily", from_date=at, to_date=at, completed_at=at)
    seen = None if runs is None else [DagRun(dag_id="daily", dag_run_id=f"r{n}", state=s) for n, s in enumerate(runs)]
    told = backfills._operation(one, seen, "af", UTC)
    assert told.state is State.WARNING
    assert "does not tell that all of its runs are well" in told.words


async def test_a_dag_that_is_gone_or_not_for_us_hides_no_other(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await made(like, adapter)
    like.forbid = lambda method, path: False
    found = await adapter.operations(["af:gone", "af:daily"])
    assert [o.id for o in found] == ["1"]


async def test_of_many_dags_some_are_asked_in_turn_and_none_is_forgotten(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    for n in range(50):
        like.add_dag(f"fill_{n:02}", tasks=("only",))
        one = Action(verb=Verb.BACKFILL, key=f"af:fill_{n:02}", client_id=f"c{n}", params=PARAMS)
        await adapter.send(await adapter.prepare(one))
    assert len(await adapter.operations()) == 50
    like.backfills[50].paused = True
    asked = len(like.requests)
    seen = [await adapter.operations() for _ in range(3)]
    assert [len(s) for s in seen] == [50, 50, 50]
    assert len([r for r in like.requests[asked:] if r.path == "/api/v2/backfills"]) == 60, "20 a look"
    assert [o.state for o in seen[-1] if o.id == "50"] == [State.HELD]


async def test_a_look_that_broke_off_forgets_nothing(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await made(like, adapter)
    assert len(await adapter.operations()) == 1
    like.fault_on = lambda method, path: path.endswith("/dags/daily/dagRuns")
    like.fault = "500"
    with pytest.raises(BadResponse):
        await adapter.operations()
    like.fault = None
    assert len(await adapter.operations()) == 1


def test_dates_in_few_words() -> None:
    assert spell(["2026-11-01", "2026-11-02", "2026-11-04"]) == "2026-11-01 to 2026-11-02, 2026-11-04"
    assert spell([f"2026-11-01 {h:02}:00" for h in range(24)]) == "2026-11-01 (24 a day)"
    assert spell([f"2026-11-{d:02}" for d in range(1, 28, 2)]).endswith("2026-11-11 and 8 more")


# --- nothing is changed that is not named --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("PATCH", "/api/v2/dags?update_mask=is_paused", {"is_paused": True}, "without a pattern would change every DAG"),
        ("PATCH", "/api/v2/dags?dag_id_pattern=&update_mask=is_paused", {}, "empty or only wildcards"),
        ("PATCH", "/api/v2/dags?dag_id_pattern=%25&update_mask=is_paused", {}, "empty or only wildcards"),
        ("PATCH", "/api/v2/dags?dag_id_pattern=_%25_", {}, "empty or only wildcards"),
        ("PATCH", "/api/v2/dags?dag_id_prefix_pattern=~", {}, "empty or only wildcards"),
        ("PATCH", "/api/v2/dags/~?update_mask=is_paused", {}, "names no single thing"),
        ("PATCH", "/api/v2/dags/?update_mask=is_paused", {}, "names no single thing"),
        ("PATCH", "/api/v2/dags/~/dagRuns", {"actions": []}, "does not name what it changes"),
        ("PATCH", "/api/v2/dags/daily/dagRuns", {"actions": []}, "does not name what it changes"),
        ("PATCH", "/api/v2/dags/daily/dagRuns/~", {"state": "failed"}, "names no single thing"),
        ("PATCH", "/api/v2/dags/daily/dagRuns/r/taskInstances", {"actions": []}, "does not name what it changes"),
        ("PATCH", "/api/v2/dags/daily/dagRuns/r/taskInstances/~", {}, "names no single thing"),
        ("POST", "/api/v2/dags/daily/clearDagRuns", {}, "does not name what it changes"),
        ("POST", "/api/v2/dags/daily/clearTaskInstances", {"dry_run": False}, "needs a dag_run_id"),
        ("POST", "/api/v2/dags/daily/clearTaskInstances", {"dag_run_id": "r", "task_ids": []}, "would clear all of them"),
        ("POST", "/api/v2/dags/~/clearTaskInstances", {"dag_run_id": "r"}, "names no single thing"),
        ("POST", "/api/v2/backfills", {"dag_id": ""}, "needs a dag_id"),
        ("PUT", "/api/v2/backfills//cancel", None, "names no single thing"),
        ("DELETE", "/api/v2/dags/daily", None, "does not name what it changes"),
    ],
)  # fmt: skip
async def test_a_change_that_names_nothing_is_refused_in_words_and_never_sent(
    like: AirflowLike, adapter: AirflowAdapter, method: str, path: str, body: Any, words: str
) -> None:
    from dataclasses import replace

    from adapters.base import Call

    assert words in (too_much(method, path, body) or "allowed")
    prepared = await adapter.prepare(Action(verb=Verb.PAUSE, key="af:daily", client_id="x"))
    forged = replace(prepared, calls=(Call(method=method, target=like.url + path, body=body),))
    asked = len(like.requests)
    said = await adapter.send(forged)
    assert isinstance(said, NotSent)
    assert words in said.words
    assert not [r for r in like.requests[asked:] if r.method != "GET"]
    assert not like.effects


def test_a_bulk_change_with_a_real_pattern_is_not_what_the_guard_is_against() -> None:
    assert too_much("PATCH", "/api/v2/dags?dag_id_pattern=sales_%25&update_mask=is_paused", {"is_paused": True}) is None
    assert too_much("PATCH", "/api/v2/dags/_?update_mask=is_paused", {"is_paused": True}) is None, (
        "a DAG may be named _"
    )


async def test_every_call_that_any_verb_prepares_names_what_it_changes(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    """And none of them is a bulk request: no path of ours ends at a collection, except where a body names the one thing."""
    like.add_run("daily", "bad", state="failed")
    like.add_run("daily", "now")
    like.add_dag("held", paused=True)
    each = [
        (Verb.PAUSE, "af:daily", {}), (Verb.RESUME, "af:held", {}), (Verb.START, "af:daily", {}), (Verb.STOP, "af:daily/now", {}),
        (Verb.RERUN, "af:daily/bad", {}), (Verb.RERUN_FAILED, "af:daily/bad", {}), (Verb.RERUN_FROM, "af:daily/bad#report", {}),
        (Verb.MARK, "af:daily/bad", {"as": "success"}), (Verb.MARK, "af:daily/bad#report", {"as": "success"}),
        (Verb.BACKFILL, "af:daily", PARAMS),
    ]  # fmt: skip
    prepared = [
        await adapter.prepare(Action(verb=v, key=k, client_id=f"c{i}", params=p)) for i, (v, k, p) in enumerate(each)
    ]
    await adapter.send(prepared[-1])
    like.backfills[1].paused = True
    prepared.append(await adapter.prepare(ask(Verb.BACKFILL_RESUME)))
    like.backfills[1].paused = False
    prepared += [await adapter.prepare(ask(v)) for v in (Verb.BACKFILL_PAUSE, Verb.BACKFILL_CANCEL)]
    offered = {v for v in Verb if v in adapter.caps.offers}
    assert {p.action.verb for p in prepared} == offered, "every verb that is offered was tried"
    for one in prepared:
        for call in one.calls:
            path = call.target.removeprefix(like.url)
            assert too_much(call.method, path, call.body) is None
            assert "~" not in path
            assert "pattern" not in path
