"""Kind http against a real Prometheus: its exposition, its JSON, its password, its time."""

from __future__ import annotations

import time

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed
from adapters.extras import SeriesQuery
from adapters.probes.http import HttpAdapter
from tests.real.prometheus_server import PASSWORD, USER, Prometheus, prometheus

pytestmark = pytest.mark.real
__all__ = ["prometheus"]  # the fixture


def adapter(server: Prometheus, password: str = PASSWORD) -> HttpAdapter:
    auth: dict[str, str | Secret] = {"user": USER, "password": Secret(lambda: password, "env:T")}
    return HttpAdapter(
        SourceSettings(name="web", kind="http", url=server.url, auth=auth, options={"probe": "/-/healthy"})
    )


async def test_what_it_says_of_itself_in_each_of_its_ways(prometheus: Prometheus) -> None:
    one = adapter(prometheus)
    await one.probe()
    texts = {
        "head": "metric /metrics prometheus_tsdb_head_series",
        "threads": "metric /metrics go_threads",
        "codes": "metric /metrics prometheus_http_requests_total",
        "up": "GET /api/v1/query?query=count(up) .data.result[0].value[1]",
        "start": "GET /api/v1/status/runtimeinfo .data.startTime",
        "targets": "GET /api/v1/targets .data.activeTargets | length",
        "health": "status /-/healthy",
        "gone": "status /gone",
        "ms": "ms /-/healthy",
    }
    units = {"start": "time"}
    queries = [SeriesQuery(name, text, units.get(name, "")) for name, text in texts.items()]
    found = await one.samples(queries)
    assert found.failed == {}
    got = {s.series: s.value for s in found.samples}
    assert got["head"] > 0
    assert got["threads"] >= 1
    assert (got["up"], got["targets"], got["health"], got["gone"]) == (3.0, 3.0, 1.0, 0.0)
    assert abs(got["start"] - time.time() * 1000) < 600_000
    assert 0 < got["ms"] < 5_000
    codes = [name for name in got if name.startswith("codes{")]
    assert codes
    assert all("handler=" in name for name in codes)
    assert all(abs(s.t - time.time() * 1000) < 5_000 for s in found.samples)
    await one.close()


async def test_a_wrong_password_is_said_and_not_shown(prometheus: Prometheus) -> None:
    one = adapter(prometheus, "wr0ng-passw0rd")
    with pytest.raises(AuthFailed) as error:
        await one.runs(None)
    assert "wr0ng" not in str(error.value) + repr(one)
    await one.close()
