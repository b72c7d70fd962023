from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.model import Check, Expectation
from engine.facts.pings import A_MINUTE, Pings
from engine.request import RequestError
from tests.facts.kit import ANA, GUEST, MIN, NOW, House

Make = Callable[..., House]


def pings_of(h: House) -> Pings:
    h.configure(
        expectations=(Expectation(id="b", on="ping:backup", type="heartbeat"),),
        checks=(Check(name="approved"), Check(name="cmd", run=("true",))),
    )
    return Pings(h.ctx, h.judge)


async def test_a_ping_is_kept_and_told(house: Make) -> None:
    h = house()
    pings = pings_of(h)
    was = h.topic()
    reply = await pings.ping({"name": "backup", "what": "fail", "text": "disk full", "code": 3}, GUEST)
    assert reply == {
        "name": "backup",
        "what": "fail",
        "at": NOW,
        "known": True,
        "words": "backup: fail is noted (exit 3: disk full)",
        "hint": "",
    }
    assert h.ask("SELECT name, at, what, words, who FROM beat") == [
        ("backup", NOW, "fail", "exit 3: disk full", "guest")
    ]
    assert h.judge.told == [("beat", "backup")]
    assert h.topic() == was + 1


@pytest.mark.parametrize(("name", "known"), [("backup", True), ("approved", True), ("cmd", False), ("other", False)])
async def test_who_waits_for_it(house: Make, name: str, known: bool) -> None:
    h = house()
    reply = await pings_of(h).ping({"name": name, "what": "ok"}, ANA)
    assert reply["known"] is known
    assert reply["hint"] == (
        "" if known else f'nobody waits for it yet: add an [[expectation]] with on = "ping:{name}"'
    )
    assert h.ask("SELECT count(*) FROM beat") == [(1,)], "it is kept all the same"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": "", "what": "ok"}, {"name": "a b", "what": "ok"}, {"name": "a\nb", "what": "ok"}, {"name": "a\x1b[31m", "what": "ok"},
        {"name": "x" * 101, "what": "ok"}, {"name": "a*", "what": "ok"}, {"name": "a|b", "what": "ok"}, {"name": 7, "what": "ok"},
        {"name": "a\u202eb", "what": "ok"}, {"name": "a", "what": "okay"}, {"name": "a"}, {"name": "a", "what": ["ok"]},
        {"name": "a", "what": "ok", "text": 7}, {"name": "a", "what": "fail", "code": 256}, {"name": "a", "what": "fail", "code": True},
        {"name": "a", "what": "fail", "code": "3"}, {"name": "a", "what": "ok", "code": 3},
    ],
)  # fmt: skip
async def test_bad_words_are_refused_in_words(house: Make, body: dict[str, object]) -> None:
    h = house()
    with pytest.raises(RequestError) as refused:
        await pings_of(h).ping(body, ANA)
    assert refused.value.exit_code == 2
    assert refused.value.message.isprintable()
    assert h.ask("SELECT count(*) FROM beat") == [(0,)]


async def test_text_from_outside_is_harmless(house: Make) -> None:
    h = house()
    await pings_of(h).ping(
        {"name": "backup", "what": "log", "text": "\x1b]0;owned\x07<!channel>\nred\u202e" + "x" * 900}, ANA
    )
    ((words,),) = h.ask("SELECT words FROM beat")
    assert words.isprintable()
    assert "owned" not in words
    assert len(words) <= 500


async def test_sixty_a_minute(house: Make) -> None:
    h = house()
    pings = pings_of(h)
    for _ in range(A_MINUTE):
        await pings.ping({"name": "backup", "what": "log"}, ANA)
    with pytest.raises(RequestError) as refused:
        await pings.ping({"name": "backup", "what": "ok"}, ANA)
    assert refused.value.message == "more than 60 pings of backup in a minute: this one is not kept"
    await pings.ping({"name": "approved", "what": "ok"}, ANA)
    h.clock.at += MIN + 1000
    await pings.ping({"name": "backup", "what": "ok"}, ANA)
    assert h.ask("SELECT count(*) FROM beat") == [(A_MINUTE + 2,)]


async def test_one_user_cannot_fill_the_store_with_names(house: Make) -> None:
    h = house()
    pings = pings_of(h)
    for n in range(A_MINUTE):
        await pings.ping({"name": f"n{n}", "what": "ok"}, GUEST)
    with pytest.raises(RequestError, match="nobody waits for"):
        await pings.ping({"name": "one-more", "what": "ok"}, GUEST)
    await pings.ping({"name": "backup", "what": "ok"}, GUEST)
    await pings.ping({"name": "new", "what": "ok"}, ANA)


async def test_what_cannot_be_kept_is_told_to_nobody(house: Make, tmp_path: Path) -> None:
    h = house()
    pings = pings_of(h)
    h.ask("DROP TABLE beat")
    with pytest.raises(Exception, match="beat"):
        await pings.ping({"name": "backup", "what": "ok"}, ANA)
    assert h.judge.told == []
