"""Expressions are matched in a process that can be ended."""

from __future__ import annotations

import asyncio
import time

import pytest

from adapters.probes.matching import Matcher
from adapters.probes.regex import Regex, alone, before_regex, wrong_regex

EVIL = Regex(r"(?:a+)+(\d)$")
LINE = b"a" * 40 + b"!\n"


async def test_last_values_and_counts_by_labels() -> None:
    text = b"t=a rows 1,000\r\nnoise\nt=b rows 7\nt=a rows 2\xff 3\nt=a rows 4\n"
    last, count, plain, none = await Matcher().run(
        [
            (Regex(r"t=(?P<t>\w) rows (\S+)"), text),
            (Regex(r"T=(?P<t>\w)", ignore=True, count=True), text),
            (Regex(r"ROWS", ignore=True, count=True), text),
            (Regex(r"gone (\d)"), text),
        ]
    )
    assert last.hits == (({"t": "a"}, "4"), ({"t": "b"}, "7"))
    assert count.hits == (({"t": "a"}, 3), ({"t": "b"}, 1))
    assert plain.hits == (({}, 4),)
    assert (none.hits, none.why) == ((), "")


async def test_a_group_called_value_counts_beside_labels() -> None:
    (found,) = await Matcher().run([(Regex(r"(?P<value>\d+) of (?P<what>\w+)"), b"3 of x\n4 of y\n")])
    assert found.hits == (({"what": "x"}, "3"), ({"what": "y"}, "4"))


async def test_an_expression_that_never_ends_stops_nothing_and_rests() -> None:
    matcher = Matcher(limit_s=0.3)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    good = Regex(r"rows (\d+)")
    found = await matcher.run([(good, b"rows 1\n"), (EVIL, LINE * 5), (good, b"rows 2\n")])
    assert [f.hits for f in found] == [(({}, "1"),), (), (({}, "2"),)]
    assert "took longer than 0.3 s" in found[1].why
    assert beats > 10, "the loop went on"
    began = time.monotonic()
    (again,) = await matcher.run([(EVIL, LINE)])
    assert again.why == found[1].why
    assert time.monotonic() - began < 0.2, "it is not tried again for a while"
    beating.cancel()


async def test_long_lines_are_cut_and_much_text_is_taken() -> None:
    text = b"x" * 9000 + b" rows 1\n" + b"line rows 5 of it\n" * 200_000
    began = time.monotonic()
    found, count = await Matcher().run([(Regex(r"^x.*rows (\d)"), text[:20_000]), (Regex("rows", count=True), text)])
    assert found.hits == ()
    assert count.hits == (({}, 200_000),)
    assert time.monotonic() - began < 5


async def test_nothing_to_match_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(asyncio, "create_subprocess_exec")
    assert await Matcher().run([]) == []
    assert [f.hits for f in await Matcher().run([(EVIL, b"")])] == [()]


async def test_every_value_where_it_is_asked_for() -> None:
    (found,) = await Matcher().run([(Regex(r"(?P<t>\w) (\d)", every=True), b"a 1 b 2\na 3\n")])
    assert [value for _, value in found.hits] == ["1", "2", "3"]


async def test_a_host_without_room_for_a_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> object:
        raise OSError(11, "Resource temporarily unavailable")

    matcher = Matcher()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "create_subprocess_exec", refused)
        (found,) = await matcher.run([(Regex(r"(\d)"), b"1")])
        assert "no process for the matching" in found.why
    (found,) = await matcher.run([(Regex(r"(\d)"), b"1")])
    assert found.hits == (({}, "1"),), "it does not rest for that"


@pytest.mark.parametrize(
    ("regex", "wrong"),
    [
        (Regex(r"(\d+)"), None), (Regex(r"(?P<a>x)(\d)"), None), (Regex("x", count=True), None), (Regex(r"(?P<value>\d)(?:x)"), None),
        (Regex(""), "empty"), (Regex("("), "cannot be read"), (Regex("x"), "got 0"), (Regex("(a)(b)"), "got 2"),
        (Regex(r"(?P<value>\d)(x)"), "others"), (Regex("x" * 1001), "more than 1000"), (Regex("(" * 900), "cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_expression_is_told(regex: Regex, wrong: str | None) -> None:
    said = wrong_regex(regex)
    assert (said is None) == (wrong is None)
    assert wrong is None or wrong in (said or "")


def test_where_an_expression_begins() -> None:
    assert before_regex("/var/log/a b.log /x y / z/i") == ("/var/log/a b.log", "x y / z", True)
    assert before_regex("/var/log/a.log") is None
    assert alone("/a b / c/") == ("a b / c", False)
    assert alone("x /a/") is None
