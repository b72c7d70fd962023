"""What is done by commands: sent once, proved by asking again, never claimed because of an exit code."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Done, NotDone, NotSent, Secret, Sent, Several, Unknown
from adapters.errors import AuthFailed, Conflict, NotFound, Unreachable, Unsupported
from adapters.model import State, Verb
from tests.commands.world import TOKEN, Driver, action, until


@pytest.fixture
def drv(tmp_path: Path) -> Driver:
    found = Driver(tmp_path)
    found.add_pipeline("daily")
    return found


KEY = "drv:daily"


def unnamed(drv: Driver) -> list[str]:
    return [str(drv.path), str(drv.file), "start", "--pipeline", "{pipeline}"]


async def test_a_command_that_hangs_after_its_deed_is_unknown_and_found_out(drv: Driver) -> None:
    adapter = drv.adapter(timeout=1.0)
    prepared = await adapter.prepare(action(Verb.START, KEY))
    drv.day("hang-after")
    began = time.monotonic()
    sent = await adapter.send(prepared)
    assert time.monotonic() - began < 5
    assert isinstance(sent, Unknown)
    assert sent.words == "it did not end within 1 s and was ended; it may have happened"
    drv.day(None)
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    drv.settle()
    found = await adapter.reconcile(prepared)
    assert found == Done("the run is there: running", "drv:daily/wf-01jtest")
    assert drv.state["effects"] == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [(2, NotSent), (64, NotSent), (77, NotSent), (1, Unknown), (3, Unknown), (-9, Unknown), (42, NotSent)],
)
async def test_an_exit_code_says_only_what_it_says(drv: Driver, code: int, kind: type) -> None:
    how = f"exit {code}" if code > 0 else "kill -9 $$"
    adapter = drv.adapter(
        pause=["/bin/sh", "-c", f"echo 'ERROR \x1b[31mno\x1b[0m {TOKEN}' >&2; {how}", "sh", "{pipeline}"],
        refused=[2, 42, 64, 77],
    )
    prepared = await adapter.prepare(action(Verb.PAUSE, KEY))
    sent = await adapter.send(prepared)
    assert isinstance(sent, kind)
    assert TOKEN not in sent.words
    assert sent.words.isprintable()
    assert "no ****" in sent.words
    assert isinstance(await adapter.reconcile(prepared), NotDone)


async def test_a_program_that_is_gone_is_not_sent(drv: Driver) -> None:
    adapter = drv.adapter(pause=[str(drv.folder / "not-there"), "{pipeline}"])
    prepared = await adapter.prepare(action(Verb.PAUSE, KEY))
    assert isinstance(await adapter.send(prepared), NotSent)
    (drv.folder / "not-there").write_text("#!/bin/sh\n")
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "Permission denied" in sent.words


async def test_what_a_start_leaves_in_the_background_goes_on(drv: Driver) -> None:
    mark = drv.folder / "mark"
    adapter = drv.adapter(
        start=["/bin/sh", "-c", f"(sleep 0.3; echo on > '{mark}') & echo started", "sh", "{pipeline}"]
    )
    sent = await adapter.send(await adapter.prepare(action(Verb.START, KEY)))
    assert sent == Sent("taken: started")
    await until(mark.exists)


async def test_without_a_name_a_new_run_is_taken_for_it_unless_somebody_else_made_it(drv: Driver) -> None:
    adapter = drv.adapter(start=unnamed(drv))
    old = drv.add_run("daily", "success")
    prepared = await adapter.prepare(action(Verb.START, KEY))
    assert "a new one that appears is taken for it once the command has ended well" in prepared.note
    assert old in prepared.memo["before"]
    drv.add_run("daily", kind="scheduled")
    drv.add_run("daily", name="wf-another")
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone), "what the schedule and another action made is not ours"
    first = drv.add_run("daily")
    said = "1 new run of it is there and has no name of ours: the driver does not tell who made it"
    assert await adapter.reconcile(prepared) == Several(said, (first,)), "its end was not seen: it may be a colleague's"
    second = drv.add_run("daily")
    two = await adapter.reconcile(prepared)
    assert isinstance(two, Several)
    assert two.runs == (first, second)


async def test_without_a_name_a_new_run_is_taken_for_it_once_the_command_ended_well(drv: Driver) -> None:
    adapter = drv.adapter(start=["/bin/true", "{pipeline}"])
    prepared = await adapter.prepare(action(Verb.START, KEY))
    assert isinstance(await adapter.send(prepared), Sent)
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    first = drv.add_run("daily")
    assert await adapter.reconcile(prepared) == Done("the run is there: running", first)


async def test_a_command_that_names_its_run_is_believed_about_that(drv: Driver) -> None:
    adapter = drv.adapter(start=unnamed(drv))
    prepared = await adapter.prepare(action(Verb.START, KEY))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run
    drv.add_run("daily")  # another one, meanwhile
    assert isinstance(await adapter.reconcile(prepared), NotDone)  # queued still
    drv.settle()
    assert await adapter.reconcile(prepared) == Done("the run is there: running", sent.run)


async def test_a_dry_run_stands_in_the_plan_and_may_refuse(drv: Driver) -> None:
    adapter = drv.adapter()
    prepared = await adapter.prepare(
        action(Verb.BACKFILL, KEY, params={"from": "2026-11-01", "to": "2026-11-14", "concurrency": 7})
    )
    assert prepared.note == "14 days, both ends count; dry run: would run 2026-11-01 to 2026-11-14 · at concurrency 7"
    assert prepared.warnings == ("concurrency = 7 is outside of what is recommended: 1 to 5",)
    assert drv.state["done"] == []
    with pytest.raises(Conflict, match="its dry run refuses: no data before 2020 · exit 3"):
        await adapter.prepare(action(Verb.BACKFILL, KEY, params={"from": "2019-11-01", "to": "2019-11-14"}))
    drv.day("hang")
    slow = drv.adapter(timeout=0.5)
    with pytest.raises(Unreachable):
        await slow.prepare(action(Verb.BACKFILL, KEY, params={"from": "2026-11-01", "to": "2026-11-14"}))


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "backfill needs from: date"),
        ({"from": "2026-11-01", "to": "yesterday"}, "to = 'yesterday': expected a date like 2026-11-20"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to = 2026-11-01 is before from = 2026-11-02"),
        ({"from": "1990-11-02", "to": "2026-11-01"}, "days at once are not meant"),
    ],
)
async def test_dates_that_cannot_be_meant_are_refused(drv: Driver, params: dict[str, Any], says: str) -> None:
    with pytest.raises(Conflict, match=says):
        await drv.adapter().prepare(action(Verb.BACKFILL, KEY, params=params))


async def test_a_backfill_lives(drv: Driver) -> None:
    adapter = drv.adapter()
    made = await adapter.prepare(action(Verb.BACKFILL, KEY, params={"from": "2026-11-01", "to": "2026-11-14"}))
    assert isinstance(await adapter.send(made), Sent)
    assert isinstance(await adapter.reconcile(made), Done)
    (op,) = await adapter.operations()
    assert (op.pipeline, op.first, op.last, op.planned, op.done) == (KEY, "2026-11-01", "2026-11-14", 14, 0)
    pause = await adapter.prepare(action(Verb.BACKFILL_PAUSE, KEY, "p"))
    assert "2026-11-01 to 2026-11-14" in pause.note
    assert isinstance(await adapter.send(pause), Sent)
    assert isinstance(await adapter.reconcile(pause), Done)
    assert (await adapter.operations())[0].state is State.HELD
    with pytest.raises(Conflict, match="is paused already"):
        await adapter.prepare(action(Verb.BACKFILL_PAUSE, KEY, "q"))
    with drv.world() as world:
        world["ops"]["more"] = {"id": "more", "pipeline": "daily", "state": "running"}
    with pytest.raises(Conflict, match="2 backfills are under way: say which with id"):
        await adapter.prepare(action(Verb.BACKFILL_CANCEL, KEY, "r"))
    cancel = await adapter.prepare(action(Verb.BACKFILL_CANCEL, KEY, "r", params={"id": op.id}))
    assert isinstance(await adapter.send(cancel), Sent)
    assert isinstance(await adapter.reconcile(cancel), Done)
    assert drv.state["ops"]["more"]["state"] == "running"


async def test_what_makes_no_sense_now_is_refused(drv: Driver) -> None:
    adapter = drv.adapter()
    done = drv.add_run("daily", "success")
    for verb, key, says in (
        (Verb.STOP, done, "has ended already: success"),
        (Verb.RELEASE, drv.add_run("daily"), "is not held, it is running"),
        (Verb.RERUN, drv.add_run("daily"), "it has not ended"),
        (Verb.RESUME, KEY, "daily is not paused"),
    ):
        with pytest.raises(Conflict, match=says):
            await adapter.prepare(action(verb, key))
    with pytest.raises(NotFound, match="lists no run"):
        await adapter.prepare(action(Verb.STOP, "drv:daily/none"))
    with pytest.raises(NotFound, match="lists no pipeline"):
        await adapter.prepare(action(Verb.START, "drv:none"))


async def test_a_stopped_run_that_is_told_of_no_more_is_not_proved(drv: Driver) -> None:
    adapter = drv.adapter()
    key = drv.add_run("daily")
    prepared = await adapter.prepare(action(Verb.STOP, key))
    assert isinstance(await adapter.send(prepared), Sent)
    with drv.world() as world:
        world["runs"].clear()
    assert await adapter.reconcile(prepared) == NotDone("the driver tells of that run no more, nor how it ended")


async def test_no_command_says_which_to_add(drv: Driver) -> None:
    adapter = drv.adapter(stop=None, operations=None)
    assert not adapter.caps.can("stop")
    assert adapter.caps.why("stop") == "no command is described for it: add options.stop"
    assert adapter.caps.why("backfill-pause") == "it cannot be proved without options.operations"
    with pytest.raises(Unsupported, match=r"add options\.stop"):
        await adapter.prepare(action(Verb.STOP, drv.add_run("daily")))


async def test_only_what_was_shown_is_sent(drv: Driver) -> None:
    adapter = drv.adapter()
    prepared = await adapter.prepare(action(Verb.PAUSE, KEY))
    assert prepared.steady == 2, "one reading may be of a moment"
    other = replace(prepared, calls=(replace(prepared.calls[0], target="driver resume daily"),))
    assert await adapter.send(other) == NotSent("the command is not the one that was planned: plan it again")
    assert drv.state["effects"] == 0
    changed = drv.adapter(pause=[str(drv.path), str(drv.file), "resume", "--pipeline", "{pipeline}"])
    assert isinstance(await changed.send(prepared), NotSent), "the options are others by now"
    assert drv.state["effects"] == 0


async def test_a_secret_that_cannot_be_read_sends_nothing(drv: Driver) -> None:
    lost = False

    def get() -> str:
        if lost:
            raise AuthFailed("no secret from env:X: the environment variable X is not set")
        return TOKEN

    adapter = drv.adapter(env={"DRIVER_TOKEN": Secret(get, "env:X")})
    prepared = await adapter.prepare(action(Verb.PAUSE, KEY))
    lost = True
    assert isinstance(await adapter.send(prepared), NotSent)
    with pytest.raises(AuthFailed):
        await adapter.pipelines()
    assert drv.state["effects"] == 0
