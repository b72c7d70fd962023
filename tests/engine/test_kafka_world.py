"""Through the whole engine against librdkafka's mock cluster: lag is stored and dated, and a cluster that went turns nothing green."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Health
from engine.request import EXIT_BAD_INPUT, RequestError
from tests.engine.rig import Rig, until
from tests.kafka.test_client import Mock
from tui.cli import main

QUICK = (
    "import engine.poll.metrics as m; m.LOOK_S = 0.1; m.LEAST_S = 1.2; import engine.poll.items as i; i.EVERY_S['items'] = 1.0;"
    " import adapters.kafka as k; k.KafkaAdapter.min_poll_s = 1.0; import adapters.kafka.adapter as a; a.FRESH_S = 0.2"
)


@pytest.fixture
def mock() -> Iterator[Mock]:
    made = Mock()
    made.write("orders", 50)
    made.commit("loader", "orders", 8)
    yield made
    made.end()


def toml(servers: str, more: str = "") -> str:
    return f"""
[[source]]
name = "kafka"
kind = "kafka"
url = "kafka://{servers}"
environment = "prod"
poll = "1s"
requests = "6000/min"
options = {{ groups = ["loader", "nobody"], topics = ["orders"], timeout = 1.0 }}

[[series]]
name = "orders lag"
source = "kafka"
query = "lag(loader, orders)"
unit = "messages"
normal = [0.0, 30.0]

[[series]]
name = "drained"
source = "kafka"
query = "drain(loader)"

[[series]]
name = "never"
source = "kafka"
query = "lag(nobody)"
{more}"""


def series(r: Rig) -> dict[str, Any]:
    return {s.series: s for s in r.reader().series("host@", named=True)}


def items(r: Rig) -> dict[tuple[str, str], Any]:
    return {(i.kind, i.name): i for i in r.reader().items("kafka")}


def test_lag_on_hosts_and_groups_on_sources_until_the_cluster_goes(tmp_path: Path, mock: Mock) -> None:
    with Rig(tmp_path, toml(mock.servers), prelude=QUICK) as r:
        first = until(lambda: (s := series(r).get("orders lag")) and s.t and s)
        assert (first.value, first.unit, first.outside) == (42.0, "messages", 1)
        assert series(r)["never"].t is None
        assert series(r)["never"].why == "it has committed nothing"
        group = until(lambda: items(r).get(("group", "loader")))
        assert "lag 42" in group.words
        assert group.value == 42.0
        assert items(r)["component", "broker 1"].standing == 0
        (row,) = [s for s in r.reader().sources() if s.name == "kafka"]
        assert (row.health, row.pipelines, row.offers) == (Health.FRESH, 0, {"metrics", "items"})
        assert row.identity.startswith("cluster ")
        mock.commit("loader", "orders", 40)
        until(lambda: series(r)["orders lag"].value == 10.0)
        drained = until(lambda: (s := series(r)["drained"]) and s.t and s)
        assert drained.value > 0, "it shrank while we watched: a time to drain"
        until(lambda: "drains in" in items(r)["group", "loader"].words)
        with r.ask() as ask, pytest.raises(RequestError):
            ask("plan", verb="start", key="kafka:loader")
        mock.end()
        until(lambda: [s for s in r.reader().sources() if s.name == "kafka" and s.health is Health.UNREACHABLE], 30)
        last = series(r)["orders lag"]
        assert last.value == 10.0, "what was known stays"
        assert last.stale(last.t + 60_000), "with its age"
        kept = items(r)["group", "loader"]
        assert (kept.value, kept.words.startswith("state not ")) == (10.0, True)
        assert r.stop() == 0, "the engine ends while librdkafka looks for brokers"
        said = r.log.read_text()
        assert "%3|" not in said, "librdkafka writes to nobody's terminal"
        assert "Traceback" not in said


def test_a_wrong_query_is_told_at_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "watchfloor.toml"
    more = '\n[[series]]\nname = "broken"\nsource = "kafka"\nquery = "lags(x)"\n'
    file.write_text(toml("127.0.0.1:1", more))
    line = file.read_text().splitlines().index('name = "broken"')
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert (
        f"{file}:{line + 3}: series[broken].query: expected a query of kafka, there is no lags: known are lag" in said
    )
