"""What a plan says, and what it refuses to say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.base import Call
from adapters.errors import BadResponse, Conflict, Unsupported
from adapters.model import Mode, State
from engine.actions.words import copy_text, mask, mask_headers, mask_url, shown
from engine.config.model import Access, Window
from engine.config.units import Moment
from engine.request import RequestError
from tests.actions.conftest import ME, OTHER, Floor


def guard(plan: dict[str, Any], name: str) -> dict[str, Any]:
    return next(g for g in plan["guards"] if g["name"] == name)


async def test_reply_is_whole(floor: Floor, running_prod: str) -> None:
    plan = await floor.plan("stop", running_prod)
    assert {k: plan[k] for k in ("verb", "class", "key", "name", "environment", "color", "protected", "source", "target", "run", "step")} == {
        "verb": "stop", "class": "disruptive", "key": "prod-fake:daily/r1", "name": "prod/daily", "environment": "prod", "color": "red",
        "protected": True, "source": "prod-fake", "target": "daily", "run": "r1", "step": None,
    }  # fmt: skip
    assert plan["now"]["words"] == "running 1m 00s"
    assert plan["now"]["state"] == State.RUNNING
    assert plan["now"]["read_at"] == floor.clock.now()
    assert (plan["effect"], plan["proof"], plan["undo"]) == ("will stop it", "seen in two readings", "start it again")
    assert [g["name"] for g in plan["guards"]] == [
        "read-only",
        "truth",
        "capability",
        "role",
        "armed",
        "window",
        "conflict",
    ]
    assert plan["blocked"] is None  # arming is something a person still gives
    assert plan["needs"] == {"armed": True, "reason": True, "typed": "prod/daily", "key": "typed"}
    assert plan["expires"] == floor.clock.now() + 900_000
    assert len(plan["nonce"]) == 32
    assert len(plan["hash"]) == 64
    json.dumps(plan)
    assert floor.prod.sends == []
    assert floor.count() == 0


async def test_secrets_are_masked_everywhere(floor: Floor) -> None:
    key = floor.dev.add("daily")
    plan = await floor.plan(
        "start",
        key,
        params={
            "password": "pw-1",
            "deep": {"api_key": "pw-2", "rows": 7},
            "argv": ["--token", "pw-3", "--secret=pw-4"],
        },
    )
    record = await floor.ended((await floor.act(plan))["action"])
    said = json.dumps(plan) + record.plan + record.prepared + "".join(r.body for r in floor.audited())
    said += (floor.folder / "audit.jsonl").read_text()
    for secret in ("hunter2", "s3cret", "pw-1", "pw-2", "pw-3", "pw-4"):
        assert secret not in said
    assert plan["calls"][0]["headers"] == {"Authorization": "Bearer ****", "Accept": "application/json"}
    assert plan["calls"][0]["target"].startswith("https://****@fake.example/daily/start?token=****&id=01")
    assert plan["params"]["deep"] == {"api_key": "****", "rows": 7}
    assert "pw-1" in json.dumps(floor.dev.sends[0].calls[0].body)  # what is sent is whole


def test_masking_leaves_the_rest_readable() -> None:
    assert mask({"idempotency_token": "wf-1", "note": "a token of thanks", "password": None}) == {
        "idempotency_token": "wf-1", "note": "a token of thanks", "password": None,
    }  # fmt: skip
    assert mask_url("https://h/p?a=1&access_token=x#f") == "https://h/p?a=1&access_token=****#f"
    assert mask_headers({"Authorization": "abc", "Cookie": "x=y", "Accept": "*/*"}) == {
        "Authorization": "****",
        "Cookie": "****",
        "Accept": "*/*",
    }


def test_an_argv_in_one_line_is_masked_too() -> None:
    call = Call(method="exec", target="python load.py --password 'a b' --rows 3 4711-x", body={"cwd": "/x"})
    assert shown(call, ("4711-x",))["target"] == "python load.py --password '****' --rows 3 ****"
    assert shown(Call(method="exec", target="sh -c 'it is'"))["target"] == "sh -c 'it is'"
    assert shown(Call(method="exec", target="odd ' quote -x"))["target"] == "odd ' quote -x"


def test_copy_is_a_command_line() -> None:
    http = {
        "method": "PATCH",
        "target": "https://h/it's",
        "body": {"state": "failed"},
        "headers": {"Authorization": "Bearer ****"},
    }
    assert copy_text([http]) == (
        "curl -X PATCH 'https://h/it'\"'\"'s' -H 'Authorization: Bearer ****' -H 'Content-Type: application/json' -d '{\"state\": \"failed\"}'"
    )
    assert (
        copy_text([{"method": "exec", "target": "load", "body": ["python", "load.py", "a b"], "headers": {}}])
        == "python load.py 'a b'"
    )
    assert copy_text([{"method": "signal", "target": "TERM 4711", "body": None, "headers": {}}]) == "signal TERM 4711"


async def test_hash_tells_params_calls_and_state_apart(floor: Floor) -> None:
    key = floor.dev.add("daily")
    hashes = {(await floor.plan("start", key, params={"n": n}))["hash"] for n in (1, 2)}
    hashes.add((await floor.plan("start", key, params={"n": 1}, business_date="2026-11-20"))["hash"])
    floor.dev.modes[key] = Mode.PAUSED
    hashes.add((await floor.plan("start", key, params={"n": 1}))["hash"])
    assert len(hashes) == 4


# --- what a key means ----------------------------------------------------------------------------------------------


async def test_run_verb_on_a_pipeline_is_its_one_active_run(floor: Floor) -> None:
    floor.dev.run("daily", "old", State.FAILED)
    active = floor.dev.run("daily", "new")
    floor.poll(floor.dev)
    assert (await floor.plan("stop", "dev-fake:daily"))["key"] == active
    assert (await floor.plan("rerun", "dev-fake:daily"))["key"] == active


async def test_rerun_on_a_pipeline_at_rest_is_its_last_run(floor: Floor) -> None:
    floor.dev.run("daily", "old", State.SUCCESS, started=1)
    last = floor.dev.run("daily", "last", State.FAILED, started=2)
    floor.dev.run("daily", "skipped", State.SKIPPED, started=3)
    floor.poll(floor.dev)
    assert (await floor.plan("rerun", "dev-fake:daily"))["key"] == last
    with pytest.raises(
        RequestError, match="dev/daily has no run to stop: none is active; its last run is last"
    ) as caught:
        await floor.plan("stop", "dev-fake:daily")
    assert caught.value.code == "refused"


async def test_several_active_runs_are_offered_and_none_chosen(floor: Floor) -> None:
    keys = {floor.dev.run("daily", name) for name in ("a", "b", "c")}
    floor.poll(floor.dev)
    plan = await floor.plan("stop", "dev-fake:daily")
    assert set(plan["candidates"]) == keys
    assert plan["blocked"].startswith("3 runs of dev/daily are active: choose one of ")
    assert (plan["plan"], plan["nonce"], plan["calls"]) == ("", "", [])
    with pytest.raises(RequestError) as caught:
        await floor.act(plan)
    assert caught.value.code == "bad_request"
    assert floor.dev.reads == 0


async def test_pipeline_verb_on_a_run_is_its_pipeline_and_run_verb_on_a_step_its_run(
    floor: Floor, running: str
) -> None:
    assert (await floor.plan("pause", running))["key"] == "dev-fake:daily"
    assert (await floor.plan("stop", f"{running}#load"))["key"] == running


async def test_rerun_from_names_a_step(floor: Floor) -> None:
    key = floor.dev.run("daily", "r1", State.FAILED)
    floor.poll(floor.dev)
    with pytest.raises(RequestError, match="rerun-from names a step"):
        await floor.plan("rerun-from", key)
    for plan in (
        await floor.plan("rerun-from", f"{key}#load.3"),
        await floor.plan("rerun-from", "dev-fake:daily", params={"step": "load.3"}),
    ):
        assert (plan["key"], plan["run"], plan["step"]) == (f"{key}#load.3", "r1", "load.3")


@pytest.mark.parametrize(
    ("key", "code", "message", "hint"),
    [
        ("dev-fak:daily", "not_found", "no source 'dev-fak' is configured", "did you mean 'dev-fake'?"),
        ("dev-fake:dayly", "not_found", "dev-fake knows no dev-fake:dayly", "did you mean 'dev-fake:daily'?"),
        ("dev-fake:daily/r2", "not_found", "dev-fake knows no dev-fake:daily/r2", "did you mean 'dev-fake:daily/r1'?"),
        ("daily", "bad_request", "'daily' is not a key", ""),
        ("dev-fake:daily/", "bad_request", "'dev-fake:daily/' is not a key", ""),
        ("dev-fake:\ud800", "bad_request", "'utf-8' codec", ""),
    ],
)
async def test_keys_that_mean_nothing(floor: Floor, running: str, key: str, code: str, message: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        await floor.plan("pause" if "/" not in key else "stop", key)
    assert caught.value.code == code
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


async def test_unknown_pipeline_with_a_run_verb(floor: Floor, running: str) -> None:
    with pytest.raises(RequestError, match="no pipeline dev-fake:dail is known") as caught:
        await floor.plan("stop", "dev-fake:dail")
    assert caught.value.hint == "did you mean 'dev-fake:daily'?"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"verb": "stopp", "key": "dev-fake:daily"}, "'stopp' is not a verb"),
        ({"key": "dev-fake:daily"}, "a plan needs a verb and a key"),
        ({"verb": "start", "key": "dev-fake:daily", "params": [1]}, "params must be an object"),
        ({"verb": "start", "key": "dev-fake:daily", "params": {"a": "x" * 70_000}}, "params are larger than 64 KiB"),
        ({"verb": "start", "key": "dev-fake:daily", "business_date": "20th"}, "'20th' is not a date like 2026-11-20"),
    ],
)
async def test_bad_requests(floor: Floor, running: str, body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        await floor.actions.plan(body, ME)
    assert caught.value.code == "bad_request"


async def test_names_from_outside_are_harmless(floor: Floor) -> None:
    floor.dev.run("da\x1b[31mily", "r\u202e1", error="x")
    floor.poll(floor.dev)
    (key,) = floor.dev.all
    plan = await floor.plan("stop", key)
    shown = json.dumps({k: v for k, v in plan.items() if k not in ("key", "calls", "copy")}, ensure_ascii=False)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert plan["name"] == "dev/da [31mily"


async def test_steps_come_from_their_latest_try(floor: Floor, running: str) -> None:
    tries = [
        ("extract", -1, 1, State.SUCCESS, 0),
        ("load", 0, 1, State.FAILED, 1),
        ("load", 0, 2, State.RUNNING, 1),
        ("load", 1, 1, State.FAILED, 1),
    ]
    with floor.store.transaction() as tx:
        tx.db.executemany(
            "INSERT INTO step_run (run_id, step, map_index, attempt, state, ord) SELECT max(id), ?, ?, ?, ?, ? FROM run",
            [(step, index, attempt, int(state), order) for step, index, attempt, state, order in tries],
        )
    assert (await floor.plan("stop", running))["now"]["words"] == "running 1m 00s · step load.0"
    with pytest.raises(RequestError) as caught:
        await floor.plan("rerun-from", running)
    assert caught.value.hint == f"for example {running}#load.1"  # the first that is bad now


# --- guards --------------------------------------------------------------------------------------------------------


async def test_source_that_does_not_answer(floor: Floor, running: str) -> None:
    floor.dev.down = True
    with pytest.raises(RequestError, match="dev-fake: connection refused; nothing was sent") as caught:
        await floor.plan("stop", running)
    assert (caught.value.code, caught.value.exit_code) == ("unreachable", 4)


async def test_source_that_hangs(floor: Floor, running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def hang(key: str) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr("engine.actions.target.READ_S", 0.02)
    monkeypatch.setattr(floor.dev, "read", hang)
    with pytest.raises(RequestError, match=r"no answer within 0\.02 s"):
        await floor.plan("stop", running)


async def test_read_only_engine(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    floor.ctx.read_only = True
    assert (await floor.plan("stop", running))["blocked"] == "this engine was started read-only"
    with pytest.raises(RequestError, match="read-only"):
        await floor.act(plan)
    with pytest.raises(RequestError, match="read-only"):
        await floor.actions.arm({"environment": "prod"}, ME)
    assert floor.dev.sends == []


async def test_what_the_system_cannot_do_says_why(floor: Floor, running: str) -> None:
    plan = await floor.plan("hold", running)
    assert plan["blocked"] == "this system cannot hold a run"
    assert guard(plan, "capability")["ok"] is False
    assert plan["nonce"] == ""


@pytest.mark.parametrize("error", [Conflict("it has ended already"), Unsupported("not before 3.1", "update it")])
async def test_what_makes_no_sense_now_says_why(floor: Floor, running: str, error: Exception) -> None:
    floor.dev.unprepared = error
    assert str((await floor.plan("stop", running))["blocked"]).startswith(str(error))


async def test_prepare_that_cannot_ask_is_unreachable(floor: Floor, running: str) -> None:
    floor.dev.unprepared = BadResponse("502 Bad Gateway")
    with pytest.raises(RequestError) as caught:
        await floor.plan("stop", running)
    assert caught.value.code == "unreachable"


async def test_reading_older_than_30_seconds_is_no_truth(
    floor: Floor, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = floor.dev.prepare

    async def slow(action: Any) -> Any:
        floor.clock.t += 31
        return await real(action)

    monkeypatch.setattr(floor.dev, "prepare", slow)
    assert (await floor.plan("stop", running))["blocked"] == "dev-fake was asked 31s ago: too long, ask again"


@pytest.mark.parametrize(
    ("verb", "protected", "key", "typed", "reason"),
    [
        ("start", False, "enter", None, False),
        ("resume", False, "enter", None, False),
        ("pause", False, "y", None, True),
        ("start", True, "enter", None, False),
        ("pause", True, "typed", "prod/daily", True),
    ],
)
async def test_the_ladder(floor: Floor, verb: str, protected: bool, key: str, typed: str | None, reason: bool) -> None:
    adapter = floor.prod if protected else floor.dev
    needs = (await floor.plan(verb, adapter.add("daily", Mode.ACTIVE)))["needs"]
    assert needs == {"armed": protected, "reason": reason, "typed": typed, "key": key}


async def test_roles_from_access(floor: Floor, running: str, running_prod: str) -> None:
    floor.configure(access=(Access(("group:guests",), "operator", "env:dev"), Access(("user:ana",), "viewer")))
    assert (await floor.plan("stop", running, OTHER))["blocked"] is None
    assert (
        "bob is viewer here, which may not stop: operator is needed"
        in (await floor.plan("stop", running_prod, OTHER))["blocked"]
    )
    assert "ana is viewer here" in (await floor.plan("stop", running))["blocked"]  # with entries only entries count
    floor.configure(access=(Access((f"uid:{ME.uid}",), "lead", "dev-fake:other*"),))
    assert "viewer" in (await floor.plan("stop", running))["blocked"]


async def test_windows(floor: Floor, running: str) -> None:
    day = {"start": Moment(0), "duration_ms": 86_400_000, "timezone": "UTC"}
    floor.configure(windows=(Window(name="patching", on="env:dev", kind="maintenance", actions="block", **day),))
    assert (await floor.plan("stop", running))[
        "blocked"
    ] == "maintenance window patching until 00:00 UTC blocks actions"
    floor.configure(windows=(Window(name="freeze", on="dev-fake:*", kind="freeze", actions="reason", **day),))
    plan = await floor.plan("start", "dev-fake:daily")
    assert plan["needs"] == {"armed": False, "reason": True, "typed": None, "key": "enter"}
    with pytest.raises(RequestError, match="10 characters"):
        await floor.act(plan, reason="short")
    floor.configure(windows=(Window(name="other", on="env:prod", kind="freeze", actions="block", **day),))
    assert guard(await floor.plan("stop", running), "window")["ok"] is True


async def test_window_that_opens_after_the_plan(floor: Floor, running: str) -> None:
    plan = await floor.plan("start", "dev-fake:daily")
    floor.configure(
        windows=(Window(name="w", on="*", kind="freeze", actions="reason", start=Moment(0), duration_ms=86_400_000),)
    )
    with pytest.raises(RequestError, match="needed now"):
        await floor.act(plan, reason=None)
    assert floor.dev.sends == []


async def test_same_verb_again_within_a_minute_is_pointed_out(floor: Floor) -> None:
    key = floor.dev.add("daily")
    await floor.ended((await floor.act(await floor.plan("pause", key)))["action"])
    plan = await floor.plan("pause", key)
    assert guard(plan, "conflict")["ok"] is None
    assert "ana asked the same" in guard(plan, "conflict")["words"]
    assert plan["blocked"] is None
    await floor.clock.advance(60)
    assert guard(await floor.plan("pause", key), "conflict")["ok"] is True


async def test_action_in_flight_blocks_the_same_run_only(floor: Floor, running: str) -> None:
    floor.dev.stop_takes = 1000
    await floor.act(await floor.plan("stop", running))
    await floor.clock.advance(1)
    assert (
        "stop of dev-fake:daily/r1 by ana is in flight (verifying since 1s)"
        in (await floor.plan("rerun", running))["blocked"]
    )
    other = floor.dev.run("daily", "r2")
    floor.poll(floor.dev)
    assert (await floor.plan("stop", other))["blocked"] is None


async def test_start_beside_an_active_run_is_pointed_out(floor: Floor, running: str) -> None:
    words = guard(await floor.plan("start", "dev-fake:daily"), "conflict")
    assert words == {"name": "conflict", "ok": None, "words": "1 run is active already: this one comes beside"}


async def test_so_tells_who_waits(floor: Floor, running: str) -> None:
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE pipeline SET consumers = 'bi-team' || char(10) || 'finance'")
        tx.db.execute(
            "INSERT INTO pipeline (source_id, key, name, extra) SELECT source_id, 'dev-fake:report', 'report', ? FROM pipeline",
            (json.dumps({"after": ["dev-fake:daily"]}),),
        )
    assert (await floor.plan("stop", running))["so"] == "report waits for it · used by bi-team, finance"


async def test_plans_in_memory_are_bounded(floor: Floor, running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.actions.plan.MAX_PLANS", 3)
    plans = [await floor.plan("stop", running) for _ in range(5)]
    assert len(floor.actions._planner._plans) == 3
    with pytest.raises(RequestError) as caught:
        await floor.act(plans[0])
    assert caught.value.code == "plan_void"
    await floor.act(plans[4])
