"""A plan as text: whole, harmless, never wider than asked."""

from __future__ import annotations

import pytest

from engine.actions.render import cells, plan_text, wrap
from tests.actions.conftest import Floor


async def test_everything_is_there(floor: Floor, running_prod: str) -> None:
    plan = await floor.plan("stop", running_prod)
    text = plan_text(plan, 100)
    lines = text.splitlines()
    assert lines[0].startswith("PROD prod-fake · protected ")
    assert lines[0].endswith(" disruptive")
    assert len(lines[0]) == 100
    assert lines[1] == "Stop prod/daily · r1"
    for label, words in (
        ("now", "running 1m 00s · read at 2026-"), ("it will", "will stop it"), ("call", "POST https://****@fake.example/daily/stop?token=****"),
        ("proof", "seen in two readings"), ("undo", "start it again"), ("guards", "ok  read-only: acting is allowed here"),
        ("needs", "prod armed, then a reason of 10 characters or more, then the name typed: prod/daily"), ("valid", "until 2026-"),
    ):  # fmt: skip
        assert [line for line in lines if line.startswith(f"{label:<10}{words}")], (label, text)
    assert "          NO  armed: prod is protected and not armed by you" in lines
    assert "          Authorization: Bearer ****" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 200])
async def test_no_line_is_wider_and_nothing_is_lost(floor: Floor, width: int) -> None:
    key = floor.dev.run("納品_" + "x" * 120, "r1")
    floor.poll(floor.dev)
    plan = await floor.plan("stop", key)
    text = plan_text(plan, width)
    assert max(cells(line) for line in text.splitlines()) <= width
    assert plan["calls"][0]["target"] in "".join(line.strip() for line in text.splitlines())


async def test_blocked_and_candidates(floor: Floor) -> None:
    for name in ("a", "b"):
        floor.dev.run("daily", name)
    floor.poll(floor.dev)
    text = plan_text(await floor.plan("stop", "dev-fake:daily"), 80)
    assert "choose    dev-fake:daily/" in text
    assert "blocked   2 runs of dev/daily are active" in text
    assert "needs" not in text
    assert "valid" not in text


async def test_escapes_are_harmless(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    plan["effect"] = "red \x1b[31m \x07\u202e\u009b2J"
    plan["calls"][0]["body"] = "\x1b]0;title\x07"
    text = plan_text(plan, 80)
    assert not [c for c in text if ord(c) < 32 and c != "\n"]
    assert not set("\x1b\u202e\u009b") & set(text)


def test_wrap() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("ab abcdefgh", 4) == ["ab", "abcd", "efgh"]
    assert wrap("納品納品", 5) == ["納品", "納品"]
    assert wrap("", 4) == [""]
