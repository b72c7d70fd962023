from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.model import Owed, Severity
from engine.actions.audit import Audit, verify_file
from engine.config.model import Access, Feed
from engine.owed.occurrences import Occurrence
from engine.owed.people import BODY_MAX, People
from engine.request import RequestError
from engine.store import owed
from tests.facts.kit import ANA, DAY, GUEST, HOUR, MIN, NOW, House

Make = Callable[..., House]
WHY = "no file today, agreed with sales"


def people_of(h: House) -> People:
    return People(h.ctx, h.judge, Audit(h.ctx))


def owe(
    h: House,
    thing: str = "a:p",
    *,
    promise: str = "ready",
    due: int = NOW + HOUR,
    state: Owed = Owed.PENDING,
    **more: Any,
) -> str:
    """One occurrence; its key."""
    key = f"{promise}|{thing}|{due}"
    one = Occurrence(
        key=key, promise=promise, type="finish_by", on=thing, zone="Europe/Paris", business_date="2026-11-18", tick=None, from_at=due - DAY,
        declared_at=due, due_at=due, alert_at=due, dated=True, by_clock=True, state=state, met_at=due - MIN if state is Owed.MET else None, **more,
    )  # fmt: skip
    with h.store.transaction() as tx:
        row = tx.db.execute("SELECT id FROM pipeline WHERE key = ?", (thing,)).fetchone()
        record = owed.ExpectationRecord(
            promise=promise, thing=thing, pipeline_id=None if row is None else row[0], type="finish_by", severity=Severity.HIGH, declared=True,
            words="finish by 06:00", zone="Europe/Paris",
        )  # fmt: skip
        owed.insert_occurrences(tx, owed.put_expectation(tx, record), [one])
    return key


def audited(h: House) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [
        (e, login, key, json.loads(body))
        for e, login, key, body in h.ask("SELECT event, login, key, body FROM audit ORDER BY seq")
    ]


async def refused(people: People, body: dict[str, Any], who: Any = ANA) -> RequestError:
    with pytest.raises(RequestError) as error:
        await people.waive(body, who)
    assert error.value.message.isprintable()
    return error.value


async def test_waive_and_undo(house: Make) -> None:
    h = house()
    people, key = people_of(h), owe(h)
    reply = await people.waive({"occurrence": key, "reason": WHY, "until": NOW + 2 * HOUR}, ANA)
    assert reply["words"] == "waived by ana until 2026-11-18 14:06 CET: a:p, finish by 06:00, due 2026-11-18 13:06 CET"
    assert h.ask("SELECT occurrence, who, uid, reason, until, at FROM waiver") == [
        (key, "ana", ANA.uid, WHY, NOW + 2 * HOUR, NOW)
    ]
    assert h.judge.told == [("waived", key)]
    again = await refused(people, {"occurrence": key, "reason": "another reason"})
    assert again.exit_code == 3
    assert again.message.endswith(f"is waived already by ana: {WHY}")
    h.clock.at += MIN
    reply = await people.waive({"occurrence": key, "undo": True}, ANA)
    assert reply["words"].startswith("owed again: a:p")
    assert h.ask("SELECT until FROM waiver") == [(NOW + MIN,)]
    assert h.judge.told == [("waived", key)] * 2
    assert "nobody waived it" in (await refused(people, {"occurrence": key, "undo": True})).message
    first, second = audited(h)
    assert first[:3] == ("waived", "ana", "a:p")
    assert first[3]["occurrence"] == key
    assert first[3]["reason"] == WHY
    assert second[:3] == ("waiver ended", "ana", "a:p")
    assert verify_file(h.store.path, h.ctx.places.audit) is None
    assert len(h.ctx.places.audit.read_text().splitlines()) == 2


async def test_a_waiver_that_ended_by_itself_can_be_given_anew(house: Make) -> None:
    h = house()
    people, key = people_of(h), owe(h, state=Owed.BREACHED, due=NOW - HOUR)
    await people.waive({"occurrence": key, "reason": WHY, "until": NOW + MIN}, ANA)
    h.clock.at += MIN
    await people.waive({"occurrence": key, "reason": WHY}, ANA)
    assert h.ask("SELECT count(*) FROM waiver") == [(2,)]


@pytest.mark.parametrize("state", [Owed.MET, Owed.MET_LATE, Owed.EXCLUDED, Owed.WAIVED])
async def test_what_is_over_cannot_be_waived(house: Make, state: Owed) -> None:
    h = house()
    error = await refused(people_of(h), {"occurrence": owe(h, state=state), "reason": WHY})
    assert error.exit_code == 3
    assert error.message.endswith("there is nothing to waive")
    assert h.ask("SELECT count(*) FROM waiver") == [(0,)]
    assert h.judge.told == []
    assert audited(h) == []


@pytest.mark.parametrize("state", [Owed.PENDING, Owed.AT_RISK, Owed.BREACHED, Owed.UNKNOWN, Owed.SHIFTED])
async def test_what_is_open_can(house: Make, state: Owed) -> None:
    h = house()
    owe(h, state=state)
    ((id,),) = h.ask("SELECT id FROM occurrence")
    assert (await people_of(h).waive({"occurrence": id, "reason": WHY}, ANA))["until"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 2), ({"occurrence": "KEY"}, 2), ({"occurrence": "KEY", "reason": "  \x1b[31m "}, 2), ({"occurrence": "KEY", "reason": 7}, 2),
        ({"occurrence": "KEY", "reason": WHY, "until": NOW}, 2), ({"occurrence": "KEY", "reason": WHY, "until": "2h"}, 2),
        ({"occurrence": "KEY", "reason": WHY, "until": NOW + 400 * DAY}, 2), ({"occurrence": "KEY", "reason": WHY, "until": True}, 2),
        ({"occurrence": "nothing|a:p|1", "reason": WHY}, 2), ({"occurrence": 99, "reason": WHY}, 2), ({"occurrence": 1 << 80, "reason": WHY}, 2),
        ({"occurrence": True, "reason": WHY}, 2), ({"occurrence": ["KEY"], "reason": WHY}, 2), ({"occurrence": "KEY", "undo": "yes"}, 2),
        ({"occurrence": "\x1b]0;x\x07", "reason": WHY}, 2),
    ],
)  # fmt: skip
async def test_bad_words(house: Make, body: dict[str, Any], code: int) -> None:
    h = house()
    key = owe(h)
    if body.get("occurrence") == "KEY":
        body = body | {"occurrence": key}
    assert (await refused(people_of(h), body)).exit_code == code
    assert h.ask("SELECT count(*) FROM waiver") == [(0,)]


async def test_named_by_its_thing_or_its_promise(house: Make) -> None:
    h = house()
    people = people_of(h)
    key = owe(h)
    owe(h, due=NOW - DAY, state=Owed.MET)
    owe(h, due=NOW + 3 * DAY)
    assert (await people.waive({"occurrence": "a:p", "reason": WHY}, ANA))["key"] == key
    assert (await people.waive({"occurrence": "ready", "undo": True}, ANA))["key"] == key
    owe(h, promise="other")
    error = await refused(people, {"occurrence": "a:p", "reason": WHY})
    assert error.message == "a:p owes 2 things"
    assert key in error.hint
    assert "nothing of a:q is owed" in (await refused(people, {"occurrence": "a:q", "reason": WHY})).message


async def test_it_takes_an_operator_of_that_thing(house: Make) -> None:
    h = house()
    people = people_of(h)
    h.configure(feeds=(Feed(name="sales", file="x", application="sales"),))
    keys = [owe(h), owe(h, "feed:sales"), owe(h, "set:night", members=("a:p", "a:q")), owe(h, "ping:backup")]
    for key in keys:
        error = await refused(people, {"occurrence": key, "reason": WHY}, GUEST)
        assert error.exit_code == 3
        assert error.hint == "[[access]] gives the role operator"
    h.configure(
        access=(
            Access(("user:guest",), "operator", "src:a"),
            Access(("user:guest",), "operator", "app:sales"),
            Access(("*",), "viewer", "*"),
        )
    )
    assert (await people.waive({"occurrence": keys[0], "reason": WHY}, GUEST))["key"] == keys[0]
    assert (await people.waive({"occurrence": keys[1], "reason": WHY}, GUEST))["key"] == keys[1]
    assert (await people.waive({"occurrence": keys[2], "reason": WHY}, GUEST))["key"] == keys[2], (
        "of each of its members"
    )
    await refused(people, {"occurrence": keys[3], "reason": WHY}, GUEST)
    await refused(people, {"occurrence": keys[0], "undo": True}, ANA)


async def test_hostile_reasons_are_harmless(house: Make) -> None:
    h = house()
    key = owe(h)
    await people_of(h).waive(
        {"occurrence": key, "reason": "\x1b]0;owned\x07two\nlines <!here> \u202e" + "x" * 900}, ANA
    )
    ((reason,),) = h.ask("SELECT reason FROM waiver")
    assert reason.isprintable()
    assert reason.startswith("two lines")
    assert len(reason) <= 500


# --- the morning ------------------------------------------------------------------------------------------------------


async def test_sign_off(house: Make) -> None:
    h = house()
    lines = [{"section": "runs", "what": "a:p failed", "answer": "seen, ticket 4"}]
    reply = await people_of(h).signoff({"since": NOW - DAY, "well": False, "note": "quiet\nnight", "lines": lines}, ANA)
    assert reply["words"] == "signed off by ana, not all well"
    row = h.reader().signoff()
    assert row is not None
    assert (row.who, row.at, row.since, bool(row.well), row.note) == ("ana", NOW, NOW - DAY, False, "quiet night")
    assert json.loads(row.body) == {"lines": lines}
    ((event, login, key, body),) = audited(h)
    assert (event, login, key, body["lines"]) == ("signed off", "ana", "morning", 1)


@pytest.mark.parametrize(
    "more",
    [
        {"since": None}, {"since": NOW + MIN}, {"since": True}, {"since": -1}, {"well": 1}, {"well": None}, {"lines": {}}, {"lines": ["x"]},
        {"lines": [{}] * 5001}, {"note": 7}, {"lines": [{"x": "ä" * (BODY_MAX // 2)}]},
    ],
)  # fmt: skip
async def test_what_is_no_sign_off(house: Make, more: dict[str, Any]) -> None:
    h = house()
    with pytest.raises(RequestError) as error:
        await people_of(h).signoff({"since": NOW - DAY, "well": True, "lines": []} | more, ANA)
    assert error.value.exit_code == 2
    assert h.ask("SELECT count(*) FROM signoff") == [(0,)]


async def test_who_may_only_look_signs_nothing(house: Make) -> None:
    h = house()
    body = {"since": NOW - DAY, "well": True, "lines": []}
    with pytest.raises(RequestError) as error:
        await people_of(h).signoff(body, GUEST)
    assert error.value.exit_code == 3
    h.configure(access=(Access(("user:guest",), "operator", "*"),))
    assert (await people_of(h).signoff(body, GUEST))["words"] == "signed off by guest, all well"
