"""A source's parts, assets and backfills: written when they change, kept with their age when a listing fails."""

from __future__ import annotations

from adapters.extras import Asset, Operation, SourceItem, Standing
from adapters.model import State
from engine.store import items
from tests.store.rig import DAY, MIN, NOW, Rig


def scheduler(age: float = 3.0) -> SourceItem:
    return SourceItem(kind="component", name="scheduler", value=age, limit=60, unit="s", since=NOW)


def bad_file(text: str = "Traceback\nModuleNotFoundError: No module named 'x'") -> SourceItem:
    words = "ModuleNotFoundError: No module named 'x'"
    return SourceItem(kind="import-error", name="bad.py", standing=Standing.BAD, words=words, text=text, since=NOW)


def version(rig: Rig) -> int:
    return rig.reader.topics()["item"]


def put(rig: Rig, *found: SourceItem) -> bool:
    with rig.store.transaction() as tx:
        items.put_part(tx, rig.source, "items", None)
        return items.put_items(tx, rig.source, found)


def test_a_listing_that_changed_nothing_writes_nothing(rig: Rig) -> None:
    pool = SourceItem(kind="pool", name="default_pool", value=3, limit=128, unit="slots")
    assert put(rig, scheduler(), pool, bad_file())
    before, rows = version(rig), rig.reader.items("a")
    assert [(r.kind, r.name, r.value, r.limit) for r in rows] == [
        ("component", "scheduler", 3.0, 60.0), ("import-error", "bad.py", None, None), ("pool", "default_pool", 3.0, 128.0),
    ]  # fmt: skip
    assert rows[1].standing is Standing.BAD
    assert rows[1].text.startswith("Traceback\n")
    rig.clock.at += MIN
    assert not put(rig, scheduler(), pool, bad_file())
    assert version(rig) == before, "only the age of the listing moved, which is read by the clock"
    again = rig.reader.items("a")
    assert {r.changed for r in again} == {NOW}
    assert {r.seen for r in again} == {NOW + MIN}
    assert put(rig, scheduler(9.0), pool), "one changed, one went"
    assert [(r.name, r.changed) for r in rig.reader.items()] == [("scheduler", NOW + MIN), ("default_pool", NOW)]
    assert version(rig) == before + 1
    assert rig.reader.items("other") == []


def test_a_listing_that_fails_leaves_what_was_known_with_its_age_and_says_why(rig: Rig) -> None:
    put(rig, scheduler())
    before = version(rig)
    for _ in range(2):
        rig.clock.at += MIN
        with rig.store.transaction() as tx:
            items.put_part(tx, rig.source, "items", "HTTP 403: Forbidden")
    (part,) = rig.reader.parts("a")
    assert (part.part, part.seen, part.tried, part.why) == ("items", NOW, NOW + 2 * MIN, "HTTP 403: Forbidden")
    assert [r.seen for r in rig.reader.items("a")] == [NOW]
    assert version(rig) == before + 1, "the reason is told once"


def test_assets_come_with_the_latest_event_first(rig: Rig) -> None:
    made = [
        Asset(key="a:never", name="never"),
        Asset(key="a:old", name="old", last_event=NOW - DAY, producers=("a:p", "a:q"), consumers=("a:r",), uri="s3://x", group="lake"),
        Asset(key="a:new", name="new", last_event=NOW, event_by="a:p/1"),
    ]  # fmt: skip
    with rig.store.transaction() as tx:
        items.put_part(tx, rig.source, "assets", None)
        assert items.put_assets(tx, rig.source, made)
        assert not items.put_assets(tx, rig.source, made)
    rows = rig.reader.assets()
    assert [r.name for r in rows] == ["new", "old", "never"]
    assert (rows[1].producers, rows[1].consumers, rows[1].uri, rows[1].group) == (
        ("a:p", "a:q"),
        ("a:r",),
        "s3://x",
        "lake",
    )
    assert (rows[0].event_by, rows[0].seen, rows[2].last_event) == ("a:p/1", NOW, None)
    assert [r.name for r in rig.reader.assets("a", 1)] == ["new"]
    with rig.store.transaction() as tx:
        assert items.put_assets(tx, rig.source, made[1:])
    assert [r.name for r in rig.reader.assets()] == ["new", "old"]


def backfill(ident: str = "1", state: State = State.RUNNING, **more: object) -> Operation:
    given: dict[str, object] = {
        "first": "2026-11-01",
        "last": "2026-11-04",
        "planned": 4,
        "done": 1,
        "created": NOW,
        **more,
    }
    return Operation(id=ident, pipeline="a:p", state=state, **given)  # type: ignore[arg-type]


def test_what_was_running_and_is_named_no_more_is_lost_and_what_is_long_over_is_forgotten(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        items.put_operations(
            tx,
            rig.source,
            [backfill(), backfill("2", State.HELD, created=NOW - 1), backfill("3", State.SUCCESS, ended=NOW)],
        )
        assert items.followed(tx, rig.source) == ["a:p"]
    assert [(o.id, o.state, o.name) for o in rig.reader.operations()] == [
        ("1", State.RUNNING, "p"), ("2", State.HELD, "p"), ("3", State.SUCCESS, "p"),
    ]  # fmt: skip
    assert [o.id for o in rig.reader.operations(active_only=True)] == ["1", "2"]
    assert rig.reader.operations(pipeline="a:other") == []
    rig.clock.at += DAY
    with rig.store.transaction() as tx:
        assert items.put_operations(tx, rig.source, [backfill(done=2)])
        assert not items.put_operations(tx, rig.source, [backfill(done=2)])
    rows = {o.id: o for o in rig.reader.operations(pipeline="a:p")}
    assert (rows["1"].done, rows["1"].state) == (2, State.RUNNING)
    assert (rows["2"].state, rows["2"].ended, rows["2"].words) == (State.LOST, NOW + DAY, items.GONE)
    assert rows["3"].state is State.SUCCESS, "ended, it need not be named"
    rig.clock.at += 30 * DAY
    with rig.store.transaction() as tx:
        items.put_operations(tx, rig.source, [backfill(done=2)])
    assert [o.id for o in rig.reader.operations()] == ["1", "2"]
