"""A real Prometheus with node-exporter, read by the adapter and operated through the engine."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, NotFound
from adapters.extras import SeriesQuery
from adapters.model import Health, Sample
from adapters.prometheus import PrometheusAdapter
from tests.engine.rig import ROOT, Rig, until
from tests.real.prometheus_server import PASSWORD, USER, Prometheus, prometheus

pytestmark = pytest.mark.real
__all__ = ["prometheus"]  # the fixture


def adapter(server: Prometheus, **more: Any) -> PrometheusAdapter:
    password = more.pop("password", PASSWORD)
    known: dict[str, Any] = {
        "name": "prom", "kind": "prometheus", "url": server.url, "auth": {"user": USER, "password": Secret(lambda: password, "env:T")},
        "options": {"host_label": "host"},
    }  # fmt: skip
    return PrometheusAdapter(SourceSettings(**(known | more)))


async def test_hosts_as_they_are_and_the_one_that_is_down(prometheus: Prometheus) -> None:
    one = adapter(prometheus)
    probe = await one.probe()
    assert probe.version.startswith("2.")
    assert probe.warnings == ()
    before = one.spent[0]
    found = await one.samples([])
    assert one.spent[0] == before + 1
    assert found.failed == {}
    wanted = {f"host@etl-01:{m}" for m in ("cpu", "mem", "io", "load1", "net.rx", "net.tx", "disk:/")}
    end = time.monotonic() + 20
    while not wanted <= {s.series for s in found.samples} and time.monotonic() < end:
        await asyncio.sleep(0.5)  # a rate needs two scrapes
        found = await one.samples([])
    got = {s.series: s for s in found.samples}
    assert {s.series: s.value for s in found.samples if s.series.endswith(":up")} == {
        "host@etl-01:up": 1.0, "host@etl-02:up": 1.0, "host@etl-09:up": 0.0,
    }  # fmt: skip
    assert wanted <= got.keys()
    assert abs(got["host@etl-01:mem"].value - psutil.virtual_memory().percent) < 10
    assert abs(got["host@etl-01:disk:/"].value - psutil.disk_usage("/").percent) < 3
    assert all(0 <= s.value <= 100 for s in found.samples if s.unit == "%")
    assert all(abs(s.t - time.time() * 1000) < 5_000 for s in found.samples)
    past: Sequence[Sample] = ()
    end = time.monotonic() + 20
    while not past and time.monotonic() < end:  # it has only just begun to measure
        now = int(time.time()) * 1000
        past = await one.past_samples(None, now - 5_000, now, 1_000)
    assert {s.series for s in past} <= set(got)
    assert past
    await one.close()


async def test_queries_good_bad_and_empty(prometheus: Prometheus) -> None:
    one = adapter(prometheus, options={"fleet": False})
    queries = [
        SeriesQuery("one", "count(up)"), SeriesQuery("each", "up"), SeriesQuery("scalar", "scalar(count(up))"),
        SeriesQuery("parse", "rate(foo["), SeriesQuery("join", "node_load1 * on(job) node_cpu_seconds_total"), SeriesQuery("nan", "0/0"),
        SeriesQuery("none", "nothing_is_called_that"), SeriesQuery("comment", "sum(up) # all of them"),
        SeriesQuery("many", "node_cpu_seconds_total or node_network_up or prometheus_tsdb_head_series or {__name__=~'node_.*'}"),
    ]  # fmt: skip
    for _ in range(2):
        before = one.spent[0]
        found = await one.samples(queries)
        got = {s.series: s.value for s in found.samples}
        assert (got["one"], got["scalar"], got["comment"]) == (3.0, 3.0, 2.0)
        assert len([n for n in got if n.startswith("each{")]) == 3
        assert set(found.failed) == {"parse", "join", "nan", "none", "many"}
        assert "parse error" in found.failed["parse"]
        assert "duplicate series" in found.failed["join"]
        assert "no number" in found.failed["nan"]
        assert "empty" in found.failed["none"]
        assert "at most 50" in found.failed["many"]
    assert one.spent[0] - before == 1
    await one.close()


async def test_a_wrong_password_and_a_wrong_path(prometheus: Prometheus) -> None:
    one = adapter(prometheus, password="not-it")
    with pytest.raises(AuthFailed):
        await one.probe()
    await one.close()
    one = adapter(prometheus, url=prometheus.url.removesuffix("/metrics-here"))
    with pytest.raises(NotFound) as wrong:
        await one.probe()
    assert "must end where /api/v1/query begins" in wrong.value.hint
    await one.close()


def shown(rig: Rig, screen: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "show", screen, "--format", "json", "--config", str(rig.config)],
        capture_output=True, timeout=30, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)["data"]


def test_through_the_engine_on_the_screens(prometheus: Prometheus, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    toml = f"""
[[source]]
name = "prom"
kind = "prometheus"
url = "{prometheus.url}"
environment = "prod"
poll = "10s"
auth = {{ user = "{USER}", password = {{ file = "secret" }} }}
options = {{ host_label = "host" }}

[[series]]
name = "targets up"
source = "prom"
query = "sum(up)"
normal = [2.5, 3.0]

[[series]]
name = "wrong"
source = "prom"
query = "node_load1 * on(job) node_cpu_seconds_total"
"""
    with Rig(tmp_path, toml) as rig:

        def row(name: str) -> Any:
            return next((r for r in shown(rig, "hosts")["resources"] if r["series"] == name), {})

        until(lambda: row("host@etl-01:cpu").get("value") is not None, 40, 0.5)
        found = shown(rig, "hosts")
        hosts = {h["host"]: h for h in found["hosts"]}
        assert hosts["etl-09"]["down"]
        assert not hosts["etl-01"]["down"]
        named = row("targets up")
        assert (named["value"], named["unusual"], named["normal_low"]) == (2.0, "low", 2.5)
        assert "duplicate series" in row("wrong")["note"]
        (source,) = [s for s in rig.reader().sources() if s.name == "prom"]
        assert (source.health, source.pipelines, source.offers) == (Health.FRESH, 0, {"metrics", "metrics-past"})
        prometheus.exporter(False)
        try:
            until(lambda: all(h["down"] for h in shown(rig, "hosts")["hosts"] if h["host"].startswith("etl")), 60, 0.5)
            assert row("host@etl-01:cpu")["value"] is not None, "its last level stands, with its age"
            until(lambda: row("targets up")["value"] == 0.0, 30, 0.5)
        finally:
            prometheus.exporter(True)
        until(lambda: not next(h for h in shown(rig, "hosts")["hosts"] if h["host"] == "etl-01")["down"], 60, 0.5)
        doctor = subprocess.run(
            [sys.executable, "-m", "tui.cli", "doctor", "--config", str(rig.config)],
            capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        )  # fmt: skip
        text = rig.config.read_text()
        line = text[: text.index('name = "wrong"')].count("\n")  # of [[series]], the line above
        assert f"watchfloor.toml:{line}: the query is refused: found duplicate series" in doctor.stdout, doctor.stdout
        assert "✓ series targets up" in doctor.stdout
