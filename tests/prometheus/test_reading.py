"""What it reads of a Prometheus: hosts, named queries, their past, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.base import SourceSettings
from adapters.errors import AuthFailed, BadResponse, NotFound, Unreachable
from adapters.extras import SeriesQuery, series_of
from adapters.prometheus import PrometheusAdapter
from adapters.prometheus.wire import slip
from tests.prometheus.world import adapter, settings
from tests.servers.prometheus_like import Host, PrometheusLike, Refused


@pytest.fixture
def like() -> Iterator[PrometheusLike]:
    with PrometheusLike() as server:
        server.hosts["etl-1:9100"] = Host(disk={"/": 50.0, "/data": 81.0})
        server.hosts["etl-2:9100"] = Host(swap=3.0)
        server.hosts["etl-9:9100"] = Host(up=False)
        server.hosts["app:8080"] = Host(job="app", cpu=99.0)
        server.answers["sum(lag)"] = [({}, 7.0)]
        yield server
        assert server.strange == []


LAG = SeriesQuery("lag", "sum(lag)", "messages")


# --- hosts --------------------------------------------------------------------------------------------------------------


async def test_hosts_of_chosen_jobs_in_one_request(like: PrometheusLike) -> None:
    like.hosts.pop("app:8080")
    one = adapter(like)
    await one.probe()
    before = len(like.requests)
    found = await one.samples([])
    assert len(like.requests) == before + 1
    got = {s.series: s.value for s in found.samples}
    assert got["host@etl-1:disk:/data"] == 81.0
    assert got["host@etl-2:swap"] == 3.0
    assert "host@etl-1:swap" not in got, "what it does not have is not 0"
    assert {k for k in got if k.startswith("host@etl-9")} == {"host@etl-9:up"}
    assert got["host@etl-9:up"] == 0.0
    info = {i.name: i for i in found.about}
    assert (info["host@etl-1:cpu"].unit, info["host@etl-1:cpu"].max) == ("%", 100.0)
    assert info["host@etl-1:disk:/data"].label == "disk /data"
    await one.close()


async def test_a_fleet_is_what_its_matchers_say(like: PrometheusLike) -> None:
    one = adapter(like, fleet='job="node"')
    names = {s.series.partition(":")[0] for s in (await one.samples([])).samples}
    assert names == {"host@etl-1", "host@etl-2", "host@etl-9"}
    assert all('job="node"' in r.params["query"] for r in like.requests)
    await one.close()
    one = adapter(like, fleet=False)
    assert not (await one.samples([])).samples
    await one.close()


async def test_a_job_whose_hosts_are_all_down_is_still_asked_for(like: PrometheusLike) -> None:
    one = adapter(like)
    await one.samples([])
    for host in like.hosts.values():
        host.up = False
    await one.probe()  # finds no job that answers
    up = [s.value for s in (await one.samples([])).samples if s.series.endswith(":up")]
    assert up == [0.0] * 4
    await one.close()


async def test_hosts_that_differ_in_the_port_alone_keep_it(like: PrometheusLike) -> None:
    like.hosts["etl-1:9200"] = Host()
    one = adapter(like)
    found = await one.samples([])
    names = {s.series for s in found.samples if s.series.endswith(":up")}
    assert names == {"host@etl-1%3A9100:up", "host@etl-1%3A9200:up", "host@etl-2:up", "host@etl-9:up", "host@app:up"}
    like.hosts.pop("etl-1:9200")
    names = {s.series for s in (await one.samples([])).samples if s.series.endswith(":up")}
    assert "host@etl-1%3A9100:up" in names, "a name that changes would be another series"
    await one.close()


async def test_a_fleet_that_explodes_is_refused_with_what_to_write(like: PrometheusLike) -> None:
    for i in range(60):
        like.hosts[f"n{i}:9100"] = Host()
    one = adapter(like, max_series=500)
    found = await one.samples([LAG])
    assert {s.series for s in found.samples} == {"lag"}, "named queries go on"
    assert "at most 500 are taken: narrow it with options.fleet" in found.failed[""]
    assert "of 64 hosts" in found.failed[""]
    assert one.notes
    await one.close()


async def test_a_part_of_the_union_that_is_refused_is_named_and_spoils_no_other(like: PrometheusLike) -> None:
    one = adapter(like, fleet='job="node"')
    like.bad_day("timeout", only="node_filesystem_avail_bytes")
    found = await one.samples([])
    got = {s.series for s in found.samples}
    assert "host@etl-1:cpu" in got
    assert not [name for name in got if ":disk:" in name]
    assert found.failed[""] == "of the hosts disk is refused: query timed out in expression evaluation"
    await one.close()


async def test_a_label_that_no_host_has_is_said(like: PrometheusLike) -> None:
    one = adapter(like, host_label="node_name")
    found = await one.samples([])
    assert found.failed[""] == "no host has the label node_name: see options.host_label"
    await one.close()


# --- named queries ------------------------------------------------------------------------------------------------------


async def test_one_answer_has_the_name_and_several_have_their_labels(like: PrometheusLike) -> None:
    like.answers["lag"] = [({"topic": "a", "env": "x"}, 1.0), ({"topic": "b\x1b[31m{}", "env": "x"}, 2.0)]
    one = adapter(like, fleet=False)
    query = SeriesQuery("lag of", "lag")
    found = await one.samples([query])
    assert {s.series: s.value for s in found.samples} == {"lag of{topic=a}": 1.0, "lag of{topic=b()}": 2.0}
    assert all(series_of("lag of", s.series) for s in found.samples)
    like.answers["lag"] = [({"topic": "a", "env": "x"}, 3.0)]
    assert [s.series for s in (await one.samples([query])).samples] == ["lag of{topic=a}"], "it keeps its name"
    await one.close()


async def test_labels_that_explode_are_refused_with_what_to_write(like: PrometheusLike) -> None:
    like.answers["lag"] = [({"id": str(i)}, 1.0) for i in range(5312)]
    one = adapter(like, fleet=False)
    found = await one.samples([SeriesQuery("all", "lag"), LAG])
    assert {s.series for s in found.samples} == {"lag"}
    assert found.failed == {
        "all": "it gives 5,312 series, at most 50 are kept: write sum by (LABEL) (…), max(…) or topk(50, …)"
    }
    await one.close()


async def test_a_scalar_and_a_query_that_ends_in_a_comment_go_into_the_union(like: PrometheusLike) -> None:
    like.answers["scalar(x)"] = 4.0
    like.answers["sum(lag) # of all"] = [({}, 8.0)]
    one = adapter(like, fleet=False)
    queries = [SeriesQuery("s", "scalar(x)"), SeriesQuery("c", "sum(lag) # of all"), LAG]
    for _ in range(2):
        before = len(like.requests)
        found = await one.samples(queries)
        assert {s.series: s.value for s in found.samples} == {"s": 4.0, "c": 8.0, "lag": 7.0}
    assert len(like.requests) == before + 1
    await one.close()


async def test_a_query_that_takes_too_long_is_asked_alone_and_later(like: PrometheusLike) -> None:
    like.answers["slow"] = Refused(503, "timeout", "query timed out")
    one = adapter(like, fleet=False)
    queries = [LAG, SeriesQuery("slow", "slow")]
    await one.samples(queries)
    before = len(like.requests)
    found = await one.samples(queries)
    assert len(like.requests) == before + 1
    assert found.failed == {"slow": "the query is refused: query timed out"}
    assert [s.series for s in found.samples] == ["lag"]
    await one.close()


async def test_nothing_there_is_said_and_is_no_zero(like: PrometheusLike) -> None:
    like.answers["nope"] = []
    one = adapter(like, fleet=False)
    for queries in ([SeriesQuery("n", "nope")], [SeriesQuery("n", "nope"), LAG]):
        found = await one.samples(queries)
        assert found.failed == {"n": "it has no data now: the answer is empty"}
    await one.close()


async def test_a_partial_answer_is_said(like: PrometheusLike) -> None:
    like.warnings = ["store eu-2 is away \x1b[31m"]
    one = adapter(like, fleet=False)
    found = await one.samples([LAG])
    assert found.warnings == ("lag: store eu-2 is away",)
    assert one.notes == ("partly answered: lag: store eu-2 is away",)
    assert found.samples, "it is an answer all the same"
    like.warnings = []
    await one.samples([LAG])
    assert one.notes == ()
    await one.close()


# --- the past -----------------------------------------------------------------------------------------------------------


async def test_the_past_has_the_names_of_now(like: PrometheusLike) -> None:
    like.past = lambda t: t % 1000
    one = adapter(like, fleet='job="node"')
    now = await one.samples([LAG])
    until = 1_795_000_200_000
    day = 86_400_000
    past = await one.past_samples(LAG, until - 30 * day, until, 600_000)
    assert {s.series for s in past} == {"lag"}
    assert len(past) == 30 * 144
    assert (past[0].t, past[-1].t) == (until - 30 * day, until - 600_000)
    hosts = await one.past_samples(None, until - day, until, 600_000)
    assert {s.series for s in hosts} == {s.series for s in now.samples if s.series[-3:] != ":up"} - {"lag"}
    await one.close()


# --- where it lies, and who asks ----------------------------------------------------------------------------------------


async def test_it_says_where_the_api_lies(like: PrometheusLike) -> None:
    like.prefix = "/prometheus"
    one = PrometheusAdapter(settings(like, url=like.url.removesuffix("/prometheus")))
    with pytest.raises(NotFound) as wrong:
        await one.probe()
    assert wrong.value.hint == f"the query API lies below: write url = {like.url}"
    await one.close()
    one = adapter(like)
    assert (await one.probe()).version == "2.42.0"
    await one.close()


async def test_a_version_that_is_not_told_is_no_fault(like: PrometheusLike) -> None:
    like.version = ""
    one = adapter(like)
    assert (await one.probe()).version == "not told"
    await one.close()


async def test_a_gateway_that_takes_no_post_is_asked_by_get(like: PrometheusLike) -> None:
    like.bad_day("no-post")
    one = adapter(like)
    assert (await one.samples([LAG])).samples
    assert [r.method for r in like.requests[-2:]] == ["GET", "GET"]
    await one.close()


async def test_a_tenant_and_a_token_go_along(like: PrometheusLike) -> None:
    like.tenant, like.token = "team-a", "t0ken-of-the-test"
    one = adapter(like, tenant="team-a")
    probe = await one.probe()
    assert probe.identity == "tenant team-a"
    await one.close()
    one = adapter(like)
    with pytest.raises(AuthFailed):
        await one.probe()
    await one.close()


async def test_a_token_that_was_renewed_is_read_again(like: PrometheusLike) -> None:
    like.token = "first-t0ken"
    one = adapter(like)
    await one.runs(None)
    like.token = "second-t0ken"
    await one.runs(None)
    await one.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [("503", BadResponse), ("502", BadResponse), ("404-html", BadResponse), ("redirect", BadResponse), ("empty", BadResponse),
     ("reset", Unreachable), ("drip", Unreachable)],
)  # fmt: skip
async def test_further_bad_days(like: PrometheusLike, fault: str, error: type[Exception]) -> None:
    one = PrometheusAdapter(settings(like, options={"total_timeout": 0.5}))
    like.bad_day(fault)
    for call in (one.samples([LAG]), one.runs(None)):
        with pytest.raises(error):
            await call
    like.bad_day(None)
    assert (await one.samples([LAG])).samples
    await one.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flet": "x"}, "unknown key 'flet'"),
        ({"fleet": '{job="x"}'}, "without braces"),
        ({"fleet": 'job="x'}, 'the quote " is not closed'),
        ({"host_label": "a-b"}, "name of a label"),
        ({"rate": "2"}, "a duration like 2m"),
        ({"max_series": 9999}, "a number from 1 to 5000"),
        ({"read_timeout": 0}, "expected seconds"),
    ],
)
def test_options_are_checked(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as wrong:
        PrometheusAdapter(SourceSettings(name="p", kind="prometheus", url="http://x", options=options))
    assert words in str(wrong.value)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"tokn": "x"}, "unknown key 'tokn'"),
        ({"user": "x"}, "belong together"),
        ({"token": "x", "user": "u"}, "not both"),
    ],
)
def test_auth_is_checked(auth: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError) as wrong:
        PrometheusAdapter(SourceSettings(name="p", kind="prometheus", url="http://x", auth=auth))
    assert words in str(wrong.value)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("max(kafka_lag{topic='cdm'})", None),
        ('sum by (x) (rate(a{b=~"x[)]{2}"}[5m])) # a ( comment', None),
        ("rate(a[5m)", "there is a ) without its ("),
        ("sum(a", "the ( is not closed"),
        ('a{b="c}', 'the quote " is not closed'),
        ("a)", "there is a ) without its ("),
        ("# only a comment", "it is empty"),
    ],
)
def test_a_slip_is_seen_without_asking(query: str, wrong: str | None) -> None:
    assert slip(query) == wrong
