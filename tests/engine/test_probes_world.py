"""Through the whole engine: what files, an endpoint and a command tell is stored with its time, and said when it is not told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import Health
from engine.request import EXIT_BAD_INPUT, EXIT_NOT_WELL
from tests.engine.rig import Rig, until
from tests.servers.http_probe_like import HttpProbeLike
from tui.cli import main

HOUR = 3600
QUICK = """
import engine.poll.metrics as m; m.LOOK_S = 0.1; m.LEAST_S = 0.3
from adapters.measuring import MeasuringAdapter as P; P.min_poll_s = 0.3
"""


@pytest.fixture
def server() -> Iterator[HttpProbeLike]:
    with HttpProbeLike() as found:
        found.numbers |= {"rows": 12}
        yield found
        assert found.invented == []


def toml(server: HttpProbeLike, more: str = "") -> str:
    return f"""
[[source]]
name = "nfs"
kind = "files"
poll = "1s"
options = {{ root = "in" }}

[[source]]
name = "web"
kind = "http"
url = "{server.url}"
poll = "1s"
requests = "600/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
options = {{ probe = "GET /health .ok" }}

[[source]]
name = "cmd"
kind = "command"
poll = "1s"
options = {{ commands = {{ queue = ["cat", "queue"] }} }}

[[series]]
name = "exports"
source = "nfs"
query = "count *.csv"
normal = [1.0, 10.0]

[[series]]
name = "last_rows"
source = "nfs"
query = 'match load.log /loaded (\\S+) rows/'
unit = "rows"

[[series]]
name = "errors"
source = "nfs"
query = 'count-match load.log /level=(?P<level>ERROR|WARN)/'

[[series]]
name = "api_rows"
source = "web"
query = "GET /stats .rows"

[[series]]
name = "api_gone"
source = "web"
query = "GET /stats .gone"

[[series]]
name = "queue"
source = "cmd"
query = "queue"
{more}"""


def lay(folder: Path, server: HttpProbeLike) -> Path:
    (folder / "secret").write_text(server.password)
    (folder / "secret").chmod(0o600)
    (folder / "queue").write_text("17\n")
    (folder / "in").mkdir()
    (folder / "in/a.csv").write_text("x")
    log = folder / "in/load.log"
    log.write_text("loaded 1,234 rows level=ERROR\n")
    then = time.time() - 2 * HOUR
    os.utime(log, (then, then))
    return log


def test_what_probes_tell_is_stored_and_said(tmp_path: Path, server: HttpProbeLike) -> None:
    log = lay(tmp_path, server)
    with Rig(tmp_path, toml(server), prelude=QUICK) as r:

        def series():
            return {s.series: s for s in r.reader().series("host@", named=True)}

        wanted = {"exports", "last_rows", "errors{level=ERROR}", "api_rows", "queue"}
        found = until(lambda: (s := series()) and wanted <= {n for n, one in s.items() if one.t} and s)
        assert {n: found[n].value for n in wanted} == {
            "exports": 1.0, "last_rows": 1234.0, "errors{level=ERROR}": 0.0, "api_rows": 12.0, "queue": 17.0,
        }  # fmt: skip
        assert abs(found["last_rows"].t - log.stat().st_mtime * 1000) < 5000, "dated by its file"
        assert abs(found["queue"].t - time.time() * 1000) < 60_000
        assert found["last_rows"].unit == "rows"
        assert "there is no .gone" in (found["api_gone"].why or "")
        assert {s.health for s in r.reader().sources() if s.name in ("nfs", "web", "cmd")} == {Health.FRESH}
        with log.open("a") as out:
            out.write("loaded 7 rows level=ERROR\n")
        for n in range(12):
            (tmp_path / f"in/{n}.csv").write_text("x")
        until(lambda: series()["last_rows"].value == 7.0)
        until(lambda: series()["exports"].outside)
        (tmp_path / "queue").unlink()
        until(lambda: "exit 1" in (series()["queue"].why or ""))
        assert series()["queue"].value == 17.0, "what it was stands, with the reason"
        server.fault = "down"
        until(lambda: [s for s in r.reader().sources() if s.name == "web" and s.health is Health.UNREACHABLE])
        assert series()["api_rows"].value == 12.0
        assert r.reader().floor() == []
        r.stop()
        assert not [s for s in server.secrets if s in r.log.read_text()]


def test_what_is_wrong_is_told_at_its_line(
    tmp_path: Path, server: HttpProbeLike, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    lay(tmp_path, server)
    file = tmp_path / "watchfloor.toml"
    file.write_text(toml(server))
    assert main(["doctor", "--config", str(file)]) == EXIT_NOT_WELL
    said = capsys.readouterr().out
    assert "✓ series last_rows: nfs answers" in said
    assert "there is no .gone in the answer" in said
    assert "✓ source cmd: may metrics" in said
    wrong = '\n[[series]]\nname = "bad"\nsource = "nfs"\nquery = "match load.log /rows/"\n'
    file.write_text(toml(server, wrong))
    line = file.read_text().splitlines().index('query = "match load.log /rows/"') + 1
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    assert (
        f"{file}:{line}: series[bad].query: expected a query of files, expected one group ( )"
        in capsys.readouterr().err
    )


def test_an_endpoint_without_a_url_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text('[[source]]\nname = "web"\nkind = "http"\n')
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    assert "expected url, which is missing" in capsys.readouterr().err
