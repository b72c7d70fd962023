"""The engine itself on screen: a store that takes nothing, what it costs, when nobody watched."""

from __future__ import annotations

import json

import pytest

from adapters.model import Sample
from engine.store import health
from engine.store import samples as store_samples
from engine.store.rows import Trouble
from tests.tui.stores import HOUR, MINUTE, SIZES, House, painted, story
from tui import registry
from tui.present import own
from tui.screens.sources import SourcesView

SINCE = 40 * MINUTE


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


def troubled(h: House, kind: str, words: str = "the disk is full"):
    context = h.context()
    context.extra["trouble"] = Trouble(kind, h.now - SINCE, words)
    context.extra["room"] = (0, 20_000_000)
    return context


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", ["floor", "runs", "sources", "deadlines"])
def test_a_full_disk_stands_in_red_on_every_screen(tale, screen, size):
    view = registry.make(screen, troubled(tale, "full"), None)
    view.load()
    shown = painted(view, *size)
    assert "actions off" in shown[0]
    assert shown[1].startswith(" DISK FULL  since 05:12, ")
    assert "no action possible" in shown[1]
    assert shown[2].startswith(" 0 B free of 20.0 MB")
    assert "Free space, it goes on by itself" in shown[2]
    assert "NOBODY IS WATCHING" not in "\n".join(shown)
    assert "alive  says: the disk is full" in shown[4]
    styles = [s for _, s in view.paint(*size)[1]]
    assert all("on:banner-bg" in s for s in styles)


def test_rows_under_it_are_as_of_then(tale):
    view = registry.make("floor", troubled(tale, "full"), None)
    view.load()
    assert any("failed" in line and "?" in line for line in painted(view, 120, 40)), "known glyphs with a question mark"


@pytest.mark.parametrize(
    ("kind", "said", "do"),
    [
        ("full", "DISK FULL", "Free space"),
        ("denied", "STORE CANNOT BE WRITTEN", "Let the engine write to"),
        ("rebuilding", "STORE DAMAGED", "a new one is made from the sources"),
        ("something new", "NOTHING IS RECORDED", "Let the engine write to"),
    ],
)
def test_each_kind_has_words(tale, kind, said, do):
    view = registry.make("floor", troubled(tale, kind), None)
    view.load()
    shown = painted(view, 120, 40)
    assert said in shown[1]
    assert do in shown[2]


def test_the_smallest_screen_and_the_wall_say_it(tale):
    view = registry.make("floor", troubled(tale, "full"), None)
    view.load()
    assert "disk full" in "\n".join(painted(view, 40, 10))
    wall = registry.make("wall", troubled(tale, "full"), None)
    wall.load()
    shown = "\n".join(painted(wall, 120, 40))
    assert "DISK FULL" in shown
    assert "nothing is recorded since 05:12" in shown
    assert "NOBODY IS WATCHING" not in shown


def test_words_from_the_engine_are_data(tale):
    view = registry.make("floor", troubled(tale, "denied", "\x1b[31m[red]boo\nsecond"), None)
    view.load()
    shown = "\n".join(painted(view, 120, 40))
    assert "\x1b" not in shown
    assert "[red]boo" in shown


def measured(h: House) -> None:
    numbers = {
        "own.wal": 4_100_000, "own.store": 212_000_000, "own.disk.free": 31e9, "own.memory": 71e6, "own.cpu": 1.23, "own.late": 3.2,
        "own.outbox": 2, "own.outbox.oldest": 260, "own.poll.prod-airflow.ms": 84, "own.poll.prod-airflow.requests": 12,
        "own.poll.prod-airflow.bytes": 48_000, "own.poll.local.requests": 0, "own.poll.local.bytes": 0,
    }  # fmt: skip
    with h.tx() as tx:
        store_samples.put_samples(tx, h.now - 4000, [Sample(n, h.now - 4000, v, "") for n, v in numbers.items()])
        health.add_event(tx, "start", h.now - 3 * HOUR, None, "engine 1 started")
        health.add_event(
            tx, "blind", h.now - 2 * HOUR - 15 * MINUTE, h.now - 2 * HOUR, "nothing is recorded of this time"
        )
        health.add_event(tx, "start", h.now - 2 * HOUR, None, "engine 2 started")
        health.add_event(tx, "clock", h.now - HOUR, h.now - HOUR, "the clock was set")
        health.add_event(tx, "damaged", h.now - MINUTE, None, "the store was damaged (cut short): it is kept as x")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_sources_tells_what_the_engine_costs(house, size):
    house.engine()
    house.source("prod-airflow")
    measured(house)
    view = SourcesView(house.context(), "prod-airflow")
    view.load()
    for _ in range(3):
        if any(line.startswith(" Costs     31.0 GB") for line in painted(view, *size)):
            break
        view.act("view.pane")
    shown = painted(view, *size)
    text = "\n".join(shown)
    assert " Costs     31.0 GB of disk free · store 212 MB · WAL 4.1 MB" in text
    assert " Outbox    2 messages to deliver · oldest 4m" in text
    assert " Polls     prod-airflow 84 ms, 12 req 48.0 kB a min" in text
    assert " Seams     store made anew 05:51" in text
    if size[0] >= 200:
        assert "nobody watched 03:37\u201303:52" in text
        assert "clock set 04:52" in text
        assert "started 2 times in 7 days" in text


def test_sources_says_nothing_of_what_was_never_measured(house):
    house.engine()
    house.source("prod-airflow")
    view = SourcesView(house.context(), "prod-airflow")
    view.load()
    text = "\n".join(painted(view, 200, 50))
    assert "Seams" not in text
    assert "of disk free" not in text
    assert own.engine_lines(house.context().reader.own(), house.context(), 120) == []


def test_the_same_as_data(house):
    house.engine()
    house.source("prod-airflow")
    measured(house)
    view = SourcesView(house.context(), "prod-airflow")
    view.load()
    found = json.loads(json.dumps(view.data()))["own"]
    assert found["measured"] == house.now - 4000
    assert found["numbers"]["disk_free"] == 31e9
    assert found["numbers"]["wal"] == 4_100_000
    assert found["polls"]["prod-airflow"] == {"ms": 84, "requests": 12, "bytes": 48_000}
    assert found["polls"]["local"] == {"requests": 0, "bytes": 0}, "what was not measured is not zero"
    assert [e["what"] for e in found["events"]] == ["start", "blind", "start", "clock", "damaged"]


def test_an_old_reading_is_not_shown_as_the_present_one(house):
    house.engine()
    house.source("prod-airflow")
    measured(house)
    later = house.now + HOUR
    with house.tx() as tx:
        store_samples.put_samples(tx, later, [Sample("host.cpu", later, 3.0, "%")])
    assert house.context().reader.own().values == {}


def test_little_room_and_a_held_log_are_not_said_in_passing(house):
    house.engine()
    house.source("prod-airflow")
    with house.tx() as tx:
        store_samples.put_samples(
            tx, house.now, [Sample("own.wal", house.now, 90e6, ""), Sample("own.disk.free", house.now, 50e6, "")]
        )
    (line,) = own.engine_lines(house.context().reader.own(), house.context(), 120)
    late = [text.rstrip() for text, style in line if "run-late" in style]
    assert late == ["50.0 MB of disk free", "WAL 90.0 MB, a reader holds it"]


def test_the_limits_on_screen_are_those_of_the_engine():
    from engine import health as engine_health

    assert (own.LOW_DISK, own.LONG_WAL) == (engine_health.LEAST_FREE, engine_health.WAL_LIMIT)
