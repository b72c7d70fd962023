"""Through the whole engine against a server shaped like Prometheus: what it measures is stored, dated, and said when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import Health
from engine.request import EXIT_BAD_INPUT, EXIT_NOT_WELL, EXIT_OK, RequestError
from tests.engine.rig import Rig, until
from tests.servers.prometheus_like import Host, PrometheusLike, Refused
from tui.cli import main

DAY = 86_400_000


@pytest.fixture
def server() -> Iterator[PrometheusLike]:
    with PrometheusLike() as found:
        found.hosts["etl-1:9100"] = Host(cpu=71.0)
        found.hosts["etl-9:9100"] = Host(up=False)
        found.answers["max(lag)"] = [({}, 12.0)]
        found.answers["sum(broken)"] = Refused(422, "execution", "many-to-many matching not allowed")
        yield found


def toml(server: PrometheusLike, more: str = "") -> str:
    return f"""
[[source]]
name = "prom"
kind = "prometheus"
url = "{server.url}"
environment = "prod"
poll = "10s"
requests = "600/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}

[[series]]
name = "cdm_lag"
source = "prom"
query = "max(lag)"
unit = "messages"
normal = [0.0, 10.0]
{more}"""


BROKEN = """
[[series]]
name = "broken"
source = "prom"
query = "sum(broken)"
"""
QUICK = "import engine.poll.metrics as m; m.LOOK_S = 0.1"
SHORT = f"{QUICK}; m.LEAST_S = 0.5; import adapters.prometheus as p; p.PrometheusAdapter.min_poll_s = 0.5"


def rig(tmp_path: Path, server: PrometheusLike, more: str = "", *, poll: str = "10s") -> Rig:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    text = toml(server, more).replace('poll = "10s"', f'poll = "{poll}"')
    return Rig(tmp_path, text, prelude=SHORT if poll != "10s" else QUICK)


def series(r: Rig):
    return {s.series: s for s in r.reader().series("host@", named=True)}


def test_hosts_and_named_series_with_their_past_and_what_is_wrong(tmp_path: Path, server: PrometheusLike) -> None:
    server.past = lambda t: 12.0 + t / 86400 - server.now() / 86400
    with rig(tmp_path, server, BROKEN) as r:
        found = until(lambda: (s := series(r)) and s.get("cdm_lag") and s["cdm_lag"].t and s)
        assert (found["cdm_lag"].value, found["cdm_lag"].unit, found["cdm_lag"].outside) == (12.0, "messages", 1)
        assert found["host@etl-1:cpu"].value == 71.0
        assert found["host@etl-9:up"].value == 0.0
        assert found["broken"].t is None
        assert "many-to-many" in (found["broken"].why or "")
        (row,) = [s for s in r.reader().sources() if s.name == "prom"]
        assert (row.health, row.pipelines) == (Health.FRESH, 0)
        assert r.reader().floor() == []
        assert r.reader().alerts(open_only=False) == []
        days = until(lambda: (d := r.reader().days("cdm_lag", 40)) and len(d) > 25 and d)
        assert days[0].high < days[-2].high, "30 days of it, as they were"
        until(lambda: len(r.reader().days("host@etl-1:disk:/", 40)) > 25, 30)  # one request a day of it
        assert server.strange == []
        with r.ask() as ask, pytest.raises(RequestError):
            ask("plan", verb="start", key="prom:anything")


def test_a_source_that_falls_silent_keeps_what_it_said_with_its_age(tmp_path: Path, server: PrometheusLike) -> None:
    with rig(tmp_path, server, poll="1s") as r:
        until(lambda: (s := series(r).get("cdm_lag")) and s.t)
        server.answers["max(lag)"] = [({}, 13.0)]
        until(lambda: series(r)["cdm_lag"].value == 13.0)
        server.bad_day("500")
        until(lambda: [s for s in r.reader().sources() if s.name == "prom" and s.health is Health.BAD_ANSWER])
        row = series(r)["cdm_lag"]
        assert row.value == 13.0
        assert row.t is not None
        assert row.stale(row.t + 60_000)
        server.bad_day("timeout", only="max(lag)")
        until(lambda: "timed out" in (series(r)["cdm_lag"].why or ""), 30)
        assert series(r)["host@etl-1:cpu"].why is None
        server.bad_day(None)


def test_what_is_configured_while_it_runs_is_asked_at_once(tmp_path: Path, server: PrometheusLike) -> None:
    server.answers["max(other)"] = [({}, 3.0)]
    with rig(tmp_path, server) as r:
        until(lambda: (s := series(r).get("cdm_lag")) and s.t)
        more = '\n[[series]]\nname = "other"\nsource = "prom"\nquery = "max(other)"\n'
        text = r.config.read_text()
        r.config.write_text(text.replace('name = "cdm_lag"', 'name = "renamed"') + more)
        with r.ask() as ask:
            ask("reload")
        until(lambda: (s := series(r).get("other")) and s.value == 3.0)
        assert "cdm_lag" not in series(r)
        until(lambda: (s := series(r).get("renamed")) and s.value == 12.0)


def test_no_secret_is_in_store_or_logs(tmp_path: Path, server: PrometheusLike) -> None:
    with rig(tmp_path, server, poll="1s") as r:
        until(lambda: (s := series(r).get("cdm_lag")) and s.t)
        server.bad_day("500")  # its text has the password
        until(lambda: any(s.health is not Health.FRESH for s in r.reader().sources()))
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in server.secrets if s.encode() in data], file
        assert not [s for s in server.secrets if s in r.log.read_text()]


def test_a_wrong_query_is_told_at_its_line(
    tmp_path: Path, server: PrometheusLike, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    file = tmp_path / "watchfloor.toml"
    file.write_text(toml(server, BROKEN))
    line = file.read_text().splitlines().index('name = "broken"')  # counted from 0: the line of [[series]] above it
    assert main(["check", "--config", str(file)]) == EXIT_OK, "nothing can be seen without asking"
    assert main(["doctor", "--config", str(file)]) == EXIT_NOT_WELL
    said = capsys.readouterr().out
    assert f"✗ series broken: {file}:{line}: the query is refused: many-to-many matching not allowed" in said
    assert "✓ series cdm_lag: prom answers" in said
    assert "✓ source prom: may metrics" in said
    file.write_text(toml(server, BROKEN.replace("sum(broken)", "sum(broken")))
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    assert (
        f"{file}:{line + 3}: series[broken].query: expected a query of prometheus, the ( is not closed"
        in capsys.readouterr().err
    )
