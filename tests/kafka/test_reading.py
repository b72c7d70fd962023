"""What is said of groups, topics and brokers: lag, rates, time to drain, and why something is not known."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from confluent_kafka import ConsumerGroupState as S

from adapters.base import SourceSettings
from adapters.errors import AuthFailed, Unreachable, Unsupported
from adapters.extras import SeriesQuery, SourceItem, Standing, series_of
from adapters.kafka import KafkaAdapter
from adapters.kafka.adapter import NO_PAST
from tests.kafka.world import Clock, adapter
from tests.servers.kafka_like import NONE, KafkaLike, Part


@pytest.fixture
def like() -> Iterator[KafkaLike]:
    found = KafkaLike()
    found.topic("orders", 3, 1000)
    found.group("loader", "orders", 600, members=3)
    yield found
    assert found.strange == []
    assert found.open == 0, "a client was left open"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def one(like: KafkaLike, clock: Clock) -> AsyncIterator[KafkaAdapter]:
    made = adapter(like, clock)
    yield made
    await made.close()


async def items(one: KafkaAdapter, kind: str = "group") -> dict[str, SourceItem]:
    return {i.name: i for i in await one.items() if i.kind == kind}


def moved(like: KafkaLike, written: int, read: int, group: str = "loader", topic: str = "orders") -> None:
    """On each partition."""
    for n, part in like.topics[topic].items():
        part.end += written
        like.groups[group].offsets[topic, n] += read


# --- lag and its course -------------------------------------------------------------------------------------------------


async def test_a_group_says_its_state_members_lag_and_when_it_is_drained(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    first = (await items(one))["loader"]
    assert (first.words, first.value, first.standing) == (
        "stable, 3 members, lag 1,200, rate not known yet",
        1200.0,
        Standing.FINE,
    )
    clock.s += 20
    moved(like, written=100, read=200)
    second = (await items(one))["loader"]
    assert second.words == "stable, 3 members, lag 900, reads 30/s, drains in 1m"  # 900 / (30 - 15)
    clock.s += 20
    moved(like, written=300, read=0)
    assert "lag 1,800, reads 15/s, grows by 15/s" in (await items(one))["loader"].words, (
        "over both: 30 written, 15 read"
    )
    moved(like, 0, 600)
    clock.s += 20
    assert (await items(one))["loader"].words == "stable, 3 members, no lag"


async def test_each_query_has_its_number(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    like.topic("pay", 1, 50)
    like.groups["loader"].offsets["pay", 0] = 30
    queries = [
        SeriesQuery("lag", "lag(loader)"), SeriesQuery("lag of pay", "lag( loader , 'pay' )"), SeriesQuery("each", "lag(load*, *)"),
        SeriesQuery("drain", "drain(loader, orders)"), SeriesQuery("rate", "rate(loader, orders)"), SeriesQuery("made", "produced(orders)"),
        SeriesQuery("who", "members(loader)"), SeriesQuery("off", "offline"), SeriesQuery("weak", "under_replicated(*)"),
        SeriesQuery("n", "brokers"), SeriesQuery("sum", "sum(lag(*))", "rows"),
    ]  # fmt: skip
    found = await one.samples(queries)
    assert found.failed == dict.fromkeys(("drain", "rate", "made"), "its rate is not known yet")
    clock.s += 10
    moved(like, written=100, read=200)
    found = await one.samples(queries)
    assert found.failed == {}
    got = {s.series: s.value for s in found.samples}
    assert got == {
        "lag": 920.0, "lag of pay": 20.0, "each{group=loader,topic=orders}": 900.0, "each{group=loader,topic=pay}": 20.0,
        "drain": 30.0, "rate": 60.0, "made": 30.0, "who": 3.0, "off": 0.0, "weak{topic=orders}": 0.0, "weak{topic=pay}": 0.0, "n": 3.0,
        "sum": 920.0,
    }  # fmt: skip
    assert all(series_of(s.series.partition("{")[0], s.series) for s in found.samples)
    units = {s.series: s.unit for s in found.samples}
    assert (units["lag"], units["drain"], units["rate"], units["sum"]) == ("messages", "s", "/s", "rows")


async def test_growing_has_no_time_to_drain_but_a_reason(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    ask = [SeriesQuery("d", "drain(loader)")]
    await one.samples(ask)
    clock.s += 10
    moved(like, written=200, read=0)
    found = await one.samples(ask)
    assert (found.samples, found.failed) == ((), {"d": "it grows by 60/s"})
    moved(like, 0, 600)
    assert [s.value for s in (await one.samples(ask)).samples] == [0.0], "nothing left is drained"


async def test_nothing_read_for_a_minute_with_members_is_a_warning(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    await one.items()
    for _ in range(4):
        clock.s += 20
        moved(like, written=10, read=0)
        last = (await items(one))["loader"]
    assert last.standing is Standing.WARNING
    assert last.words == "stable, 3 members, lag 1,320, nothing read for 1m, grows by 1.5/s"


async def test_offsets_set_back_are_no_rate(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    ask = [SeriesQuery("r", "rate(loader)"), SeriesQuery("l", "lag(loader)")]
    for _ in range(3):
        await one.samples(ask)
        clock.s += 10
        moved(like, written=0, read=10)
    like.groups["loader"].offsets = dict.fromkeys(like.groups["loader"].offsets, 100)
    found = await one.samples(ask)
    assert {s.series: s.value for s in found.samples} == {"l": 2700.0}
    assert found.failed == {"r": "its rate is not known yet"}
    clock.s += 10
    moved(like, written=0, read=50)
    assert {s.series: s.value for s in (await one.samples(ask)).samples} == {"l": 2550.0, "r": 15.0}


async def test_a_topic_made_anew_has_no_negative_lag(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    await one.items()
    like.topic("orders", 3, 5)
    clock.s += 20
    found = (await items(one))["loader"]
    assert (found.value, found.words) == (
        0.0,
        "stable, 3 members, no lag, more committed than there is on 3 partitions",
    )
    clock.s += 20
    assert all(s.value >= 0 for s in (await one.samples([SeriesQuery("r", "produced(orders)")])).samples)


async def test_nothing_committed_is_not_no_lag(one: KafkaAdapter, like: KafkaLike) -> None:
    like.group("connect-cluster", members=2)
    got = await items(one)
    assert got["connect-cluster"].value is None
    assert got["connect-cluster"].words == "stable, 2 members, lag not known: it has committed nothing"
    assert got["connect-cluster"].standing is Standing.FINE, "workers of Connect commit nothing, and are well"
    found = await one.samples(
        [
            SeriesQuery("l", "lag(connect-cluster)"),
            SeriesQuery("t", "lag(loader, pay)"),
            SeriesQuery("x", "lag(nobody)"),
        ]
    )
    assert not found.samples
    assert found.failed == {
        "l": "it has committed nothing",
        "t": "it has committed nothing there",
        "x": "no group nobody is known",
    }


@pytest.mark.parametrize(
    ("state", "members", "standing", "words"),
    [
        (S.EMPTY, 0, Standing.WARNING, "empty: nobody reads, lag 1,200, rate not known yet"),
        (S.PREPARING_REBALANCING, 2, Standing.FINE, "rebalancing, 2 members, lag 1,200, rate not known yet"),
        (S.COMPLETING_REBALANCING, 2, Standing.FINE, "rebalancing, 2 members, lag 1,200, rate not known yet"),
        (S.DEAD, 0, Standing.WARNING, "dead: no such group is known to its coordinator, lag 1,200, rate not known yet"),
        (S.UNKNOWN, 1, Standing.WARNING, "unknown?, 1 member, lag 1,200, rate not known yet"),
    ],
)  # fmt: skip
async def test_states_of_a_group(
    one: KafkaAdapter, like: KafkaLike, state: S, members: int, standing: Standing, words: str
) -> None:
    like.groups["loader"].state, like.groups["loader"].members = state, members
    found = (await items(one))["loader"]
    assert (found.standing, found.words) == (standing, words)


async def test_an_empty_group_without_lag_is_well_and_a_long_rebalance_is_not(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    like.group("done", "orders", 1000, members=0, state=S.EMPTY)
    like.groups["loader"].state = S.PREPARING_REBALANCING
    assert (await items(one))["done"].standing is Standing.FINE
    for _ in range(4):
        clock.s += 30
        last = (await items(one))["loader"]
    assert last.standing is Standing.WARNING
    assert last.words.startswith("rebalancing for 2m, 3 members")


# --- what cannot be read ------------------------------------------------------------------------------------------------


async def test_a_partition_without_a_leader_makes_the_lag_unknown_with_the_last_value(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    await one.items()
    like.topics["orders"][1].leader = -1
    like.topics["orders"][1].isrs = ()
    clock.s += 180
    got = {(i.kind, i.name): i for i in await one.items()}
    group = got["group", "loader"]
    assert (group.value, group.standing) == (None, Standing.WARNING)
    assert (
        group.words
        == "stable, 3 members, lag not known, at least 800: the end of orders-1 is not known: it has no leader; last 1,200, 3m ago"
    )
    topic = got["topic", "orders"]
    assert (topic.standing, topic.value, topic.limit) == (Standing.BAD, 1.0, 3.0)
    assert topic.words == "offline: 1; 3 partitions, 3 copies"
    parts = got["component", "partitions"]
    assert (parts.standing, parts.words) == (Standing.BAD, "offline: orders-1 has no leader")
    found = await one.samples(
        [SeriesQuery("l", "lag(loader)"), SeriesQuery("o", "offline"), SeriesQuery("s", "sum(lag(*))")]
    )
    assert {s.series: s.value for s in found.samples} == {"o": 1.0}
    assert found.failed["l"] == "the end of orders-1 is not known: it has no leader"
    assert found.failed["s"].startswith("not known of all: loader: the end of orders-1")


async def test_a_broker_that_is_gone_is_a_bad_component_and_its_partitions_are_under_replicated(
    one: KafkaAdapter, like: KafkaLike
) -> None:
    del like.brokers[3]
    for part in like.topics["orders"].values():
        part.isrs = (1, 2)
    got = {(i.kind, i.name): i for i in await one.items()}
    assert got["component", "broker 3"].standing is Standing.BAD
    assert got["component", "broker 3"].words == "gone: 3 copies of partitions lie there"
    assert got["component", "broker 1"].standing is Standing.FINE
    assert got["component", "partitions"].words == "under-replicated: orders-0, orders-1, orders-2"
    assert got["topic", "orders"].words == "under-replicated: 0, 1, 2; 3 partitions, 3 copies"
    found = await one.samples(
        [SeriesQuery("u", "under_replicated"), SeriesQuery("b", "brokers"), SeriesQuery("o", "offline(orders)")]
    )
    assert {s.series: s.value for s in found.samples} == {"u": 3.0, "b": 2.0, "o": 0.0}


async def test_a_group_that_may_not_be_read_is_said_and_the_others_go_on(one: KafkaAdapter, like: KafkaLike) -> None:
    like.group("payroll", "orders", 0, refused=30)
    got = await items(one)
    assert got["payroll"].value is None
    assert got["payroll"].standing is Standing.WARNING
    assert (
        got["payroll"].words == "state not known: may not read group payroll, lag not known: may not read group payroll"
    )
    assert got["loader"].value == 1200.0
    assert one.notes == ("offsets of payroll are not known: may not read group payroll",)


async def test_groups_that_may_not_be_listed_are_no_empty_list(one: KafkaAdapter, like: KafkaLike) -> None:
    like.bad_day("list-refused")
    got = await one.items()
    assert [(i.name, i.words) for i in got if i.kind == "group"] == [("", "may not read the groups")]
    assert [i.name for i in got if i.kind == "topic"] == ["orders"]
    found = await one.samples(
        [SeriesQuery("l", "lag(loader)"), SeriesQuery("g", "lag(*)"), SeriesQuery("o", "offline")]
    )
    assert {s.series for s in found.samples} == {"o"}
    assert found.failed == {
        "l": "no group loader is known: may not read the groups", "g": "no group is called like *: may not read the groups",
    }  # fmt: skip
    assert one.notes == ("groups: may not read the groups",)


async def test_no_group_at_all_says_that_a_right_may_be_missing(one: KafkaAdapter, like: KafkaLike) -> None:
    like.groups.clear()
    (only,) = [i for i in await one.items() if i.kind == "group"]
    assert only.name == ""
    assert "the right to Describe groups is missing" in only.words
    assert one.notes == (), "an empty cluster is no trouble"
    assert any("Describe groups" in w for w in (await one.probe()).warnings)


async def test_groups_stay_while_a_broker_does_not_list_its_own(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    like.group("other", "orders", 999)
    assert set(await items(one)) == {"loader", "other"}
    like.bad_day("list-partly")
    clock.s += 20
    assert set(await items(one)) == {"loader", "other"}
    assert one.notes
    assert one.notes[0].startswith("groups: no broker answers")


async def test_a_topic_that_went_is_unknown_not_drained(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    await one.items()
    like.hidden.add("orders")
    clock.s += 20
    found = (await items(one))["loader"]
    assert found.value is None
    assert (
        "the end of orders-0 and 2 more partitions is not known: it is not there, or may not be described; last 1,200, 20s ago"
        in found.words
    )


async def test_who_does_not_answer_is_an_error_and_nothing_old_is_given(
    one: KafkaAdapter, like: KafkaLike, clock: Clock
) -> None:
    await one.items()
    like.bad_day("down")
    clock.s += 60
    for call in (one.runs(None), one.items(), one.samples([SeriesQuery("l", "lag(loader)")])):
        with pytest.raises(Unreachable) as lost:
            await call
        assert "Connection refused" in lost.value.what


async def test_states_that_cannot_be_told_spoil_nothing(one: KafkaAdapter, like: KafkaLike) -> None:
    like.bad_day("describe-unsupported")
    found = (await items(one))["loader"]
    assert (found.standing, found.words) == (Standing.FINE, "state not told, lag 1,200, rate not known yet")


# --- what is asked for --------------------------------------------------------------------------------------------------


async def test_named_groups_and_topics_are_asked_for_and_nothing_is_listed(like: KafkaLike, clock: Clock) -> None:
    like.topic("pay", 2, 10)
    like.group("other", "pay", 1)
    del like.groups["loader"].offsets["orders", 2]
    one = adapter(like, clock, options={"groups": ["loader", "gone"], "topics": ["orders"]})
    got = {(i.kind, i.name): i for i in await one.items()}
    assert {name for kind, name in got if kind != "component"} == {"loader", "gone", "orders"}
    assert (
        got["group", "loader"].words
        == "stable, 3 members, lag 800, rate not known yet, nothing committed on 1 partition"
    )
    assert got["group", "gone"].words.startswith(
        "dead: no such group is known to its coordinator, lag not known: it has committed nothing"
    )
    assert got["group", "gone"].standing is Standing.WARNING
    assert "groups" not in like.asked
    assert like.groups["loader"].offsets.get(("orders", 2), NONE) == NONE
    await one.close()


async def test_include_narrows_groups_and_topics(like: KafkaLike) -> None:
    like.topic("pay", 1, 10)
    like.group("payroll", "pay", 1)
    like.topic("__consumer_offsets", 4)
    for include, groups, topics in (
        ((), {"loader", "payroll"}, {"orders", "pay"}),
        (("pay*",), {"payroll"}, {"pay"}),
        (("group:load*",), {"loader"}, {"orders", "pay"}),
        (("topic:o*", "payroll"), {"payroll"}, {"orders"}),
    ):
        one = adapter(like, include=include)
        got = await one.items()
        assert {i.name for i in got if i.kind == "group"} == groups, include
        assert {i.name for i in got if i.kind == "topic"} == topics, include
        await one.close()
    like.topics["__consumer_offsets"][2] = Part(leader=-1)
    one = adapter(like)
    assert "__consumer_offsets" in await items(one, "topic"), "Kafka's own are told when they are not well"
    await one.close()


async def test_hundreds_of_groups_and_topics_cost_what_one_costs(like: KafkaLike, clock: Clock) -> None:
    for i in range(400):
        like.topic(f"t{i:03d}", 2, 100)
        like.group(f"g{i:03d}", f"t{i:03d}", 100 - i % 7)
    one = adapter(like, clock)
    asked = [SeriesQuery("all", "sum(lag(g*))"), SeriesQuery("each", "lag(g*)"), SeriesQuery("top", "max(lag(*))")]
    await one.runs(None)
    before = one.spent[0]
    found = await one.samples(asked)
    assert one.spent[0] - before == 3, "groups, offsets, ends"
    assert like.asked.count("ends") == 1
    assert {s.series: s.value for s in found.samples} == {"all": 2 * sum(i % 7 for i in range(400)), "top": 1200.0}
    assert found.failed["each"] == "it gives 400 series, at most 50 are kept: write sum(…), max(…) or a narrower name"
    before = one.spent[0]
    got = await one.items()
    assert one.spent[0] - before == 1, "their states; the rest is of the look before"
    assert len([i for i in got if i.kind == "group"]) == 401
    assert len([i for i in got if i.kind == "topic"]) == 401
    await one.close()


async def test_two_looks_at_once_are_one(one: KafkaAdapter, like: KafkaLike) -> None:
    await asyncio.gather(one.items(), one.items(), one.items())
    assert like.asked.count("ends") == 1


async def test_probe_says_who_and_what_may_be_read(one: KafkaAdapter, like: KafkaLike) -> None:
    probe = await one.probe()
    assert probe.identity == "watchfloor on cluster like"
    assert probe.permissions == {"metrics": True, "topics": True, "list groups": True, "offsets of groups": True}
    assert probe.warnings == ()
    like.groups["loader"].refused = 30
    probe = await one.probe()
    assert probe.permissions["offsets of groups"] is False
    assert probe.warnings == ("may not read group loader",)


async def test_there_is_no_past(one: KafkaAdapter) -> None:
    assert not one.caps.can("metrics-past")
    assert one.caps.why("metrics-past") == NO_PAST
    with pytest.raises(Unsupported):
        await one.past_samples(SeriesQuery("l", "lag(x)"), 0, 1, 1)


async def test_names_that_a_terminal_would_obey_are_harmless_and_each_once(one: KafkaAdapter, like: KafkaLike) -> None:
    like.group("bad\x1b[31m", "orders", 1)
    like.group("bad\x1b[32m", "orders", 2)
    got = await one.items()
    names = [i.name for i in got if i.kind == "group"]
    assert len(set(names)) == 3
    assert all(n.isprintable() for n in names)
    found = await one.samples([SeriesQuery("l", "lag(*)")])
    assert all(s.series.isprintable() for s in found.samples)
    assert len({s.series for s in found.samples}) == 3


async def test_a_refused_password_is_read_again(like: KafkaLike) -> None:
    one = adapter(like)
    await one.runs(None)
    like.bad_day("401")
    with pytest.raises(AuthFailed) as refused:
        await one.runs(None)
    assert refused.value.what == "the brokers refuse who we are: k1:9092: SASL authentication error: **** is not it"
    assert like.open == 0
    like.password = "another-one-from-the-file"
    like.bad_day(None)
    await one.runs(None)
    assert like.configs[-1]["sasl.password"] == like.password
    await one.close()
    with pytest.raises(Unreachable):
        await one.runs(None)


async def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, like: KafkaLike
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    one = KafkaAdapter(SourceSettings(name="k", kind="kafka", url="kafka://h:9092"))
    for call in (one.probe(), one.runs(None), one.items(), one.samples([SeriesQuery("l", "lag(x)")])):
        with pytest.raises(Unsupported) as missing:
            await call
        assert missing.value.what == "the client library of Kafka is not installed: pip install 'watchfloor[kafka]'"
    await one.close()


async def test_coordinators_out_of_reach_are_no_dead_cluster(one: KafkaAdapter, like: KafkaLike, clock: Clock) -> None:
    await one.items()
    like.groups["loader"].refused = -185  # timed out
    clock.s += 30
    got = {(i.kind, i.name): i for i in await one.items()}
    group = got["group", "loader"]
    assert (group.value, group.standing) == (None, Standing.WARNING)
    assert "state not known: group loader gave no answer within 0.4 s" in group.words
    assert group.words.endswith("; last 1,200, 30s ago")
    assert got["topic", "orders"].standing is Standing.FINE
    assert len(like.configs) > 1, "a client that waits for one of them is not kept: it may take its process with it"
    found = await one.samples([SeriesQuery("l", "lag(loader)"), SeriesQuery("o", "offline")])
    assert {s.series for s in found.samples} == {"o"}
    like.groups["loader"].refused = None
    assert [s.value for s in (await one.samples([SeriesQuery("l", "lag(loader)")])).samples] == [1200.0]
