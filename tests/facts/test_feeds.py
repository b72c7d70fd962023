from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import globs
from adapters.model import RunKind, State
from engine.config.model import Feed
from engine.facts import look
from engine.facts.feeds import HANGS, Feeds, business_date, shrinking
from engine.store.facts import put_arrivals
from tests.facts.kit import DAY, HOUR, MIN, NOW, House, a_run

Make = Callable[..., House]


def put(path: Path, text: str = "x", *, ago: int = MIN, now: int = NOW) -> Path:
    """A file that was changed last ``ago`` ms before ``now``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = (now - ago) * 1_000_000
    os.utime(path, ns=(at, at))
    return path


def feeds_of(house: House, *feeds: Feed, **more: Any) -> Feeds:
    house.configure(feeds=feeds)
    made = Feeds(house.ctx, house.judge, **more)
    with house.store.transaction() as tx:
        made.configured(tx)
    return made


def arrivals(house: House) -> list[tuple[str, int, int | None, int]]:
    rows = house.ask("SELECT what, at, bdate, size FROM arrival ORDER BY at, what")
    return [(Path(what).name, at - NOW, bdate, size) for what, at, bdate, size in rows]


async def test_a_file_arrives_with_the_date_that_its_name_tells(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="sales", file="in/*/sales_{yyyymmdd}_*.csv", feeds=("a:p",)))
    put(tmp_path / "in" / "north" / "sales_20261120_1.csv", "12345", ago=HOUR)
    put(tmp_path / "in" / "north" / "sales_20261399_1.csv")  # no date
    put(tmp_path / "in" / "north" / "sales_20261120.txt")
    put(tmp_path / "in" / "old" / "sales_20261001_1.csv", ago=15 * DAY)
    await feeds.look()
    assert arrivals(h) == [("sales_20261120_1.csv", -HOUR, 20261120, 5)]
    assert h.judge.told == [("arrival", "sales")]
    (row,) = h.reader().feeds()
    assert (row.looked, row.error, row.arrived, row.size) == (NOW, None, NOW - HOUR, 5)
    h.clock.at += 5000
    await feeds.look()
    assert len(arrivals(h)) == 1
    assert len(h.judge.told) == 1, "nothing new, nothing told"
    assert h.reader().feeds()[0].looked == NOW + 5000


@pytest.mark.parametrize(
    ("pattern", "name", "day"),
    [
        ("in/{business_date}/x.csv", "in/2026-11-20/x.csv", 20261120),
        ("in/x.csv", "in/x.csv", 20261121),
        ("in/[xy]-{business_date}.c?v", "in/y-2026-11-19.csv", 20261119),
        ("in/{business_date}/x_{yyyymmdd}.csv", "in/2026-11-20/x_20261120.csv", 20261120),
    ],
)
async def test_patterns(house: Make, tmp_path: Path, pattern: str, name: str, day: int) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file=pattern, timezone="Pacific/Auckland", business_date="start - 1d"))
    h.clock.at = 1_795_258_920_000  # 2026-11-21 11:02 UTC is the 22nd in Auckland
    put(tmp_path / name, ago=0, now=h.clock.at - MIN)
    await feeds.look()
    assert [a[2] for a in arrivals(h)] == [day]


def test_two_dates_in_one_name_that_differ_are_none(tmp_path: Path) -> None:
    put(tmp_path / "2026-11-20" / "x_20261121.csv")
    assert look.scan("{business_date}/x_{yyyymmdd}.csv", tmp_path, NOW).files == ()


async def test_a_file_that_grows_has_not_arrived(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x.csv"))
    put(tmp_path / "in" / "x.csv", "1", ago=1000)
    await feeds.look()
    assert arrivals(h) == []
    h.clock.at += 5000
    put(tmp_path / "in" / "x.csv", "12", ago=0, now=h.clock.at)
    await feeds.look()
    assert arrivals(h) == [], "it moved between two looks"
    h.clock.at += 5000
    await feeds.look()
    assert arrivals(h) == [("x.csv", 5000, 20261118, 2)]
    h.clock.at += MIN
    put(tmp_path / "in" / "x.csv", "123", ago=20_000, now=h.clock.at)
    await feeds.look()
    assert [a[3] for a in arrivals(h)] == [2, 3], "it came anew"


async def test_one_that_comes_anew_may_grow_too(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x.csv"))
    put(tmp_path / "in" / "x.csv", "1", ago=HOUR)
    await feeds.look()
    h.clock.at += 5000
    put(tmp_path / "in" / "x.csv", "22", ago=1000, now=h.clock.at)
    await feeds.look()
    assert len(arrivals(h)) == 1
    h.clock.at += 5000
    await feeds.look()
    assert [a[1:] for a in arrivals(h)] == [(-HOUR, 20261118, 1), (4000, 20261118, 2)]
    h.clock.at += 5000
    put(
        tmp_path / "in" / "x.csv", "333", ago=9 * HOUR, now=h.clock.at
    )  # another one, made nine hours ago, moved over it
    await feeds.look()
    assert arrivals(h)[-1][1:] == (10_000, 20261118, 3)
    h.clock.at += 5000
    await feeds.look()
    assert len(arrivals(h)) == 3


async def test_what_was_moved_into_place_came_when_it_was_moved(house: Make, tmp_path: Path) -> None:
    """rsync -t, cp -p and mv keep the time at which a file was made elsewhere: it did not come before we did not see it."""
    h = house()
    (tmp_path / "in").mkdir()
    feeds = feeds_of(h, Feed(name="f", file="in/*.csv"))
    await feeds.look()
    h.clock.at += 5000
    put(tmp_path / "in" / "x.csv", ago=3 * HOUR)
    await feeds.look()
    assert arrivals(h)[0][:2] == ("x.csv", 0), "at the look that did not see it, not three hours ago"
    again = Feeds(h.ctx, h.judge)  # another engine: it knows what the last one wrote
    h.clock.at += 5000
    await again.look()
    assert len(arrivals(h)) == 1
    put(tmp_path / "in" / "y.csv", ago=3 * HOUR)
    h.clock.at += 5000
    await again.look()
    assert [a[:2] for a in arrivals(h)] == [("x.csv", 0), ("y.csv", 10_000)]


async def test_a_time_in_the_future_is_now(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x.csv"))
    put(tmp_path / "in" / "x.csv", ago=-3 * DAY)
    for _ in range(4):
        await feeds.look()
        h.clock.at += 5000
    assert [a[1] for a in arrivals(h)] == [5000]


async def test_what_cannot_be_looked_for_is_said_and_looked_stays_old(house: Make, tmp_path: Path) -> None:
    h = house()
    put(tmp_path / "in" / "x.csv")
    feeds = feeds_of(
        h, Feed(name="f", file="in/x.csv"), Feed(name="g", file="nowhere/*.csv"), Feed(name="i", file="watch\0floor/*")
    )
    await feeds.look()
    by = {f.name: f for f in h.reader().feeds()}
    assert by["f"].error is None
    assert by["g"].error == f"the folder {tmp_path}/nowhere is not there"
    assert "cannot be looked for" in (by["i"].error or "")
    assert by["g"].looked is None
    (tmp_path / "in").rename(tmp_path / "away")
    was = h.topic()
    h.clock.at += 5000
    await feeds.look()
    row = {f.name: f for f in h.reader().feeds()}["f"]
    assert row.looked == NOW
    assert row.error == f"the folder {tmp_path}/in is not there"
    assert h.topic() == was + 1
    h.clock.at += 5000
    await feeds.look()
    assert h.topic() == was + 1, "the same again is no news"
    assert len([line for line in h.lines if "feed f" in line]) == 1


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_a_folder_that_may_not_be_read(house: Make, tmp_path: Path) -> None:
    h = house()
    (tmp_path / "in").mkdir(mode=0)
    feeds = feeds_of(h, Feed(name="f", file="in/*.csv"))
    await feeds.look()
    assert "may not be read: permission denied" in (h.reader().feeds()[0].error or "")


async def test_a_pipe_and_a_folder_are_no_files_and_nobody_waits_for_them(house: Make, tmp_path: Path) -> None:
    h = house()
    (tmp_path / "in" / "d.csv").mkdir(parents=True)
    os.mkfifo(tmp_path / "in" / "p.csv")
    (tmp_path / "in" / "loose.csv").symlink_to("nothing")
    (tmp_path / "in" / "round.csv").symlink_to("round.csv")
    feeds = feeds_of(h, Feed(name="f", file="in/*.csv"), Feed(name="g", file="in/p.csv"))
    await asyncio.wait_for(feeds.look(), 5)
    assert arrivals(h) == []
    assert [f.error for f in h.reader().feeds()] == [None, None]


async def test_a_mount_that_hangs_holds_one_thread_and_nobody_else(
    house: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h = house()
    put(tmp_path / "in" / "x.csv")
    (tmp_path / "dead").mkdir()
    back = threading.Event()
    threads: list[str] = []
    real = os.scandir

    def hangs(path: Any) -> Any:
        if str(path).endswith("/dead"):
            threads.append(threading.current_thread().name)
            back.wait(30)
        return real(path)

    monkeypatch.setattr(os, "scandir", hangs)
    feeds = feeds_of(h, Feed(name="dead", file="dead/*.csv"), Feed(name="live", file="in/*.csv"), limit_s=0.05)
    for _ in range(5):
        await feeds.look()
        h.clock.at += 5000
    dead, live = h.reader().feeds()
    assert (dead.error or "").startswith(HANGS)
    assert dead.looked is None
    assert live.looked == NOW + 20_000
    assert [a[0] for a in arrivals(h)] == ["x.csv"]
    assert len(threads) == 1
    back.set()
    put(tmp_path / "dead" / "y.csv", ago=MIN)
    async with asyncio.timeout(10):
        while h.reader().feeds()[0].error is not None:
            await feeds.look()
            await asyncio.sleep(0.01)
    assert {a[0] for a in arrivals(h)} == {"x.csv", "y.csv"}


async def test_hostile_names_are_kept_harmless(house: Make, tmp_path: Path) -> None:
    h = house()
    for name in (b"a\x1b]0;owned\x07\x1b[31m\n.csv", b"b\xff\xfe.csv", "c\u202egpj.csv".encode()):
        put(tmp_path / "in" / os.fsdecode(name))
    feeds = feeds_of(h, Feed(name="f", file="in/*.csv"))
    await feeds.look()
    names = [a[0] for a in arrivals(h)]
    assert names == ["a\\x1b]0;owned\\x07\\x1b[31m\\n.csv", "b\\xff\\xfe.csv", "c\\u202egpj.csv"]
    h.clock.at += MIN
    await feeds.look()
    assert len(arrivals(h)) == 3


async def test_five_hundred_of_many_and_names_without_end(
    house: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h = house()
    for n in range(520):
        put(tmp_path / "in" / f"{n}.csv", ago=MIN + n * 1000)
    feeds = feeds_of(h, Feed(name="f", file="in/*.csv"))
    await feeds.look()
    assert len(arrivals(h)) == 500
    monkeypatch.setattr(globs, "MOST_NAMES", 100)
    assert "too many names" in (look.scan("in/*.csv", tmp_path, NOW).error or "")


async def test_a_reload_forgets_what_another_file_was(house: Make, tmp_path: Path) -> None:
    h = house()
    put(tmp_path / "in" / "x.csv")
    feeds = feeds_of(h, Feed(name="f", file="in/x.csv"), Feed(name="g", file="in/x.csv"))
    await feeds.look()
    h.configure(feeds=(Feed(name="f", file="in/y.csv", layer="bronze"),))
    with h.store.transaction() as tx:
        feeds.configured(tx)
    (row,) = h.reader().feeds()
    assert (row.name, row.layer, row.looked) == ("f", "bronze", None)
    assert h.ask("SELECT gone FROM feed WHERE name = 'g'") == [(1,)]


# --- margins ----------------------------------------------------------------------------------------------------------


def margins(h: House) -> list[tuple[int, int, str]]:
    return h.ask("SELECT day, started - arrived, run_key FROM margin ORDER BY day")


async def arrive(h: House, feeds: Feeds, tmp_path: Path, day: int, ago: int) -> None:
    put(tmp_path / "in" / f"x_{day}.csv", ago=ago)
    h.clock.at += 5000
    await feeds.look()


async def test_margin_to_the_first_start_of_its_date(house: Make, tmp_path: Path) -> None:
    h = house()
    h.list("p", "q", "other")
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("a:[pq]",)))
    await arrive(h, feeds, tmp_path, 20261120, HOUR)
    h.see(feeds, a_run("1", State.RUNNING, pipeline="a:other", business_date="2026-11-20", started=NOW - 50 * MIN))
    h.see(feeds, a_run("1", State.RUNNING, business_date="2026-11-19", started=NOW - 55 * MIN))
    assert margins(h) == []
    h.see(feeds, a_run("2", State.RUNNING, business_date="2026-11-20", started=NOW - 30 * MIN))
    assert margins(h) == [(20261120, 30 * MIN, "a:p/2")]
    h.see(feeds, a_run("2", State.RUNNING, pipeline="a:q", business_date="2026-11-20", started=NOW - 40 * MIN))
    assert margins(h) == [(20261120, 20 * MIN, "a:q/2")], "the first of any of them"
    h.see(feeds, a_run("3", State.RUNNING, business_date="2026-11-20", started=NOW - 45 * MIN, kind=RunKind.BACKFILL))
    h.see(feeds, a_run("2", State.RUNNING, pipeline="a:q", business_date="2026-11-20", started=NOW, attempt=2))
    assert margins(h) == [(20261120, 20 * MIN, "a:q/2")], "no backfill, no later attempt"


async def test_a_run_that_did_not_wait_has_a_negative_margin(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("src:a",)))
    h.see(feeds, a_run("1", State.RUNNING, business_date="2026-11-20", started=NOW - 30 * MIN))
    await arrive(h, feeds, tmp_path, 20261120, 20 * MIN)
    assert margins(h) == [(20261120, -10 * MIN, "a:p/1")]


async def test_runs_without_dates_belong_to_what_came_last(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("*",)))
    put(tmp_path / "in" / "x_20261119.csv", ago=26 * HOUR)
    await arrive(h, feeds, tmp_path, 20261120, 2 * HOUR)
    h.see(feeds, a_run("1", State.SUCCESS, started=NOW - 25 * HOUR, ended=NOW - 24 * HOUR, backfilled=True))
    h.see(feeds, a_run("2", State.RUNNING, started=NOW - HOUR))
    h.see(feeds, a_run("3", State.RUNNING, started=NOW - MIN))
    assert margins(h) == [(20261119, HOUR, "a:p/1"), (20261120, HOUR, "a:p/2")]


async def test_the_order_of_poll_and_look_does_not_matter(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("a:p",)))
    h.see(feeds, a_run("1", State.RUNNING, business_date="2026-11-20", started=NOW - 50 * MIN))
    await arrive(h, feeds, tmp_path, 20261120, HOUR)
    assert margins(h) == [(20261120, 10 * MIN, "a:p/1")]
    assert h.reader().feeds()[0].margins[0].ms == 10 * MIN


async def test_a_margin_below_the_buffer_is_told_once(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("a:p",), buffer_ms=15 * MIN))
    for n in range(9):
        put(tmp_path / "in" / f"x_202611{n + 1:02d}.csv", ago=(10 - n) * DAY)
    await feeds.look()
    for n in range(9):
        margin = (40 - 5 * n) * MIN
        h.see(
            feeds, a_run(str(n), business_date=f"2026-11-{n + 1:02d}", started=NOW - (10 - n) * DAY + margin, ended=NOW)
        )
    assert len(margins(h)) == 9
    events = h.reader().owed_events(0)
    assert [(e.thing, e.what, e.words) for e in events] == [
        ("feed:f", "margin", "margin 5m, p10 of 8 is 8m, buffer 15m; shrinks 5m a day")
    ]


async def test_who_needs_a_feed_is_matched_again_when_pipelines_change(house: Make, tmp_path: Path) -> None:
    h = house()
    feeds = feeds_of(h, Feed(name="f", file="in/x_{yyyymmdd}.csv", feeds=("tag:sales",)))
    await arrive(h, feeds, tmp_path, 20261120, HOUR)
    h.see(feeds, a_run("1", State.RUNNING, business_date="2026-11-20", started=NOW))
    assert margins(h) == []
    h.list("p", tags=("sales",))
    h.see(feeds, a_run("2", State.RUNNING, business_date="2026-11-20", started=NOW + 1000))
    assert margins(h) == [(20261120, HOUR, "a:p/1")], "the first that began, known already"


def days(values: list[int]) -> list[tuple[str, int]]:
    return [(f"2026-11-{n + 1:02d}", v * MIN) for n, v in enumerate(values)]


def test_shrinking_says_margin_p10_buffer_and_trend() -> None:
    said = shrinking(days([30 - n for n in range(20)]), 15 * MIN)
    assert said is not None
    assert said.words == "margin 11m, p10 of 20 is 13m, buffer 15m; shrinks 1m a day"
    assert (said.low, said.shrinks, round(said.per_day)) == (True, True, -MIN)


@pytest.mark.parametrize(
    ("values", "buffer", "words", "low"),
    [
        ([20] * 20, 15, "margin 20m, p10 of 20 is 20m, buffer 15m", False),
        ([20, 20, 3], None, "margin 3m, p10 of 3 is 6m", False),
        ([60] * 9 + [-5], 15, "margin -5m, p10 of 10 is 54m, buffer 15m", False),
        ([75 + 5 * n for n in range(10)], 15, "margin 2h 00m, p10 of 10 is 1h 20m, buffer 15m; grows 5m a day", False),
        ([20] * 5 + [2] * 25, 15, "margin 2m, p10 of 20 is 2m, buffer 15m", True),
    ],
)
def test_shrinking_of(values: list[int], buffer: int | None, words: str, low: bool) -> None:
    said = shrinking(days(values), None if buffer is None else buffer * MIN)
    assert said is not None
    assert (said.words, said.low) == (words, low)
    assert shrinking([], 1) is None


def test_one_bad_day_in_ten_is_no_trend() -> None:
    said = shrinking(days([30, 31, 29, 30, 2, 30, 31, 29, 30, 30]), 5 * MIN)
    assert said is not None
    assert not said.shrinks


@pytest.mark.parametrize(
    ("rule", "day"), [("start", "2026-11-18"), ("start - 1d", "2026-11-17"), ("start + 1d", "2026-11-19")]
)
def test_business_date_by_rule(rule: str, day: str) -> None:
    assert business_date(Feed(name="f", file="x", business_date=rule), NOW) == day


def test_put_arrivals_tells_only_the_new(house: Make) -> None:
    from engine.store.facts import Arrived

    h = house()
    with h.store.transaction() as tx:
        assert put_arrivals(tx, "f", [Arrived("x", 1, None, 1)]) == [Arrived("x", 1, None, 1)]
        assert put_arrivals(tx, "f", [Arrived("x", 1, None, 1)]) == []
