"""The record as a reader sees it: real before and after, no secret of the adapter, the chain followed from outside."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.base import Done, Prepared, Sent
from adapters.extras import Operation
from adapters.model import ActionState, Mode, State, StepRun, Verb
from engine.request import RequestError
from engine.store import actions as action_rows
from engine.store.reader import Reader
from engine.store.rows import Checked, Wanted
from tests.actions.conftest import ME, OTHER, Floor
from tui.screens.actions import ActionsView
from tui.view import Context

SECRETS = ("hunter2", "s3cret", "s3cret-token", "pa55word-of-params")


def reader_of(floor: Floor) -> Reader:
    return Reader(floor.folder / "floor.db", floor.clock.now)


def seen(floor: Floor, arg: str | None = None) -> str:
    """All that the screen can show, at its widest: each row, its whole detail, and what scripts get."""
    context = Context(reader=reader_of(floor), now=floor.clock.now, read_only=False)
    v = ActionsView(context, arg)
    v.load()
    out: list[str] = []
    for _ in range(v.length):
        for whole in (False, True):
            v.whole = whole
            out += ["".join(t for t, _ in line) for line in v.paint(200, 200)]
        v.whole = False
        v.act("move.down")
    return "\n".join([*out, json.dumps(v.data()), json.dumps(v.rows())])


async def test_no_secret_given_to_an_adapter_is_in_a_record_or_on_the_screen(floor: Floor) -> None:
    key = floor.prod.run("daily", "r1")
    floor.poll(floor.prod)
    await floor.arm()
    params = {"db_password": "pa55word-of-params", "note": "see pa55word-of-params", "nested": {"api_key": "s3cret"}}
    for how in ("honest", "lost-before", "502", "conflict"):
        floor.prod.how = how
        plan = await floor.plan("start", "prod-fake:daily", params=params)
        await floor.ended((await floor.act(plan, reason="with a reason that is long"))["action"])
        await floor.clock.advance(120)
        await floor.arm()
    floor.prod.how = "honest"
    plan = await floor.plan("stop", key)
    with pytest.raises(RequestError):
        await floor.act(plan, typed="prod/other")
    await floor.ended((await floor.act(await floor.plan("stop", key), typed="prod/daily"))["action"])
    bodies = "\n".join(row.body for row in floor.audited())
    shown = seen(floor) + seen(floor, "audit")
    assert "****" in shown
    assert "wf" in shown or "https://" in shown
    for secret in SECRETS:
        assert secret not in bodies
        assert secret not in shown


async def test_before_and_after_of_a_run_and_of_a_schedule(floor: Floor) -> None:
    run = floor.dev.run("daily", "r1", error=None)
    floor.poll(floor.dev)
    stop = (await floor.act(await floor.plan("stop", run)))["action"]
    await floor.ended(stop)
    pause = (await floor.act(await floor.plan("pause", "dev-fake:daily")))["action"]
    await floor.ended(pause)
    reader = reader_of(floor)
    detail = reader.action_detail(stop)
    assert detail is not None
    assert detail.before is not None
    assert detail.after is not None
    assert (detail.before["key"], detail.after["key"]) == (run, run)
    assert (detail.before["word"], detail.after["word"]) == ("running", "failed")
    assert detail.before["ended"] is None
    assert detail.after["ended"] == floor.dev.all[run].ended
    assert detail.before["started"] == detail.after["started"]
    detail = reader.action_detail(pause)
    assert detail is not None
    assert (detail.before or {})["mode"] == int(Mode.ACTIVE)
    assert (detail.after or {})["mode"] == int(Mode.PAUSED)
    assert (detail.after or {})["schedule"] == "every day 05:00"
    assert [r.event for r in detail.records] == ["intent", "verifying", "done"]
    assert json.loads(detail.records[-1].body)["after"] == detail.after
    assert {g["name"] for g in detail.guards} >= {"role", "truth", "conflict"}
    assert detail.identity["uid"] == ME.uid


async def test_before_and_after_of_a_step_that_is_marked(floor: Floor) -> None:
    run = floor.dev.run("daily", "r1", State.FAILED)
    floor.poll(floor.dev)
    floor.dev.offers |= {"mark"}
    step = StepRun(run=run, step="load", native="failed", state=State.FAILED)
    world = {"step": step}

    async def steps(_: str) -> list[StepRun]:
        return [replace(step, attempt=1, state=State.QUEUED), world["step"]]

    floor.dev.steps = steps  # type: ignore[method-assign]
    from engine.store import steps as stored

    with floor.store.transaction() as tx:
        stored.apply_steps(tx, run, [step])
    plan = await floor.plan("mark", f"{run}#load", params={"as": "success"})
    world["step"] = replace(step, attempt=2, state=State.SUCCESS)
    action = (await floor.act(plan))["action"]
    await floor.ended(action)
    detail = reader_of(floor).action_detail(action)
    assert detail is not None
    assert (detail.before or {})["step_state"] == "failed"
    assert (detail.after or {})["step_state"] == "success"


async def test_before_and_after_of_a_backfill(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    floor.dev.offers |= {"backfill-pause"}
    one = Operation(id="7", pipeline=key, state=State.HELD, planned=14, done=8, failed=1)

    async def operations(known: object = ()) -> list[Operation]:
        return [one, replace(one, id="8")]

    floor.dev.operations = operations  # type: ignore[method-assign]
    from engine.store import items

    with floor.store.transaction() as tx:
        items.put_operations(tx, floor.ctx.source_ids["dev-fake"], [replace(one, state=State.RUNNING, done=7)])
    plan = await floor.plan("backfill-pause", key, params={"id": "7"})

    async def send(_: Prepared) -> Sent:
        return Sent("accepted")

    async def reconcile(_: Prepared) -> Done:
        return Done("backfill 7 is paused")

    floor.dev.send, floor.dev.reconcile = send, reconcile  # type: ignore[method-assign]
    action = (await floor.act(plan))["action"]
    await floor.ended(action)
    detail = reader_of(floor).action_detail(action)
    assert detail is not None
    assert detail.row.verb == Verb.BACKFILL_PAUSE
    assert (detail.before or {})["operation"] == "number 7 running, 7 of 14 done, 1 failed"
    assert (detail.after or {})["operation"] == "number 7 paused, 8 of 14 done, 1 failed"


async def test_the_chain_is_followed_from_outside_as_the_engine_writes_it(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    for _ in range(3):
        await floor.ended((await floor.act(await floor.plan("start", key)))["action"])
        await floor.clock.advance(120)
    reader = reader_of(floor)
    checked, more = reader.audit_follow(Checked(), 4)
    assert (checked.seq, checked.broken, more) == (4, None, True)
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE audit SET uid = uid + 1 WHERE seq = 6")
    checked, more = reader.audit_follow(checked, 4)
    assert str(checked.broken) == "record 6: its content was changed"
    assert (checked.seq, more) == (5, False)


async def test_refusals_and_what_others_tried_can_be_found(floor: Floor) -> None:
    key = floor.dev.add("daily")
    with pytest.raises(RequestError):
        await floor.act(await floor.plan("start", key, OTHER), OTHER)
    page = reader_of(floor).audit_records(wanted=(Wanted("who", "bob"), Wanted("state", "refused")))
    assert [r.login for r in page.rows] == ["bob"]
    assert page.reached is None


async def test_a_record_that_somebody_spoilt_hides_no_other_from_a_search(floor: Floor) -> None:
    key = floor.dev.add("daily")
    with pytest.raises(RequestError):
        await floor.act(await floor.plan("start", key, OTHER), OTHER)
    with floor.store.transaction() as tx:
        floor.actions.audit.record(tx, "noted", peer=None, body={"words": "a word to find"})
        tx.db.execute("UPDATE audit SET body = '{half' WHERE seq = 1")
    reader = reader_of(floor)
    assert [r.event for r in reader.audit_records(wanted=(Wanted("", "word to find"),)).rows] == ["noted"]
    assert [r.seq for r in reader.audit_records(wanted=(Wanted("", "{half"),)).rows] == [1]


async def test_an_old_cancel_takes_no_failure_of_today_for_its_own(floor: Floor) -> None:
    key = floor.dev.add("daily")
    with floor.store.transaction() as tx:
        insert = "INSERT INTO action (id, nonce, verb, key, pipeline_key, scope, state, client_id, plan_hash, plan, who, uid, created, changed)"
        tx.db.execute(
            f"{insert} VALUES ('a', 'n', 'backfill-cancel', ?1, ?1, ?1, ?2, 'c', 'h', '{{}}', 'ana', 1, ?3, ?3)",
            (key, int(ActionState.DONE), tx.now),
        )
        assert action_rows.cancelled_by(tx, key, None) == "ana"
        assert action_rows.cancelled_by(tx, key, tx.now - 10) == "ana"
        assert action_rows.cancelled_by(tx, key, tx.now + 60_000) is None
        tx.db.execute("UPDATE action SET created = created - 2592000000")
        assert action_rows.cancelled_by(tx, key, None) is None
        assert action_rows.cancelled_by(tx, key, tx.now - 10) is None
