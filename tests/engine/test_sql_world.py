"""Through the whole engine against a database: its numbers are stored with labels, dated, and said when they are not there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Health
from engine.request import EXIT_BAD_INPUT, EXIT_NOT_WELL, EXIT_OK, RequestError
from tests.engine.rig import Rig, until
from tests.sql.world import File
from tui.cli import main

SHORT = (
    "import engine.poll.metrics as m; m.LOOK_S = 0.1; m.LEAST_S = 0.5\n"
    "from adapters.sql import SqlAdapter; SqlAdapter.min_poll_s = 0.5"
)
SOURCE = """
[[source]]
name = "warehouse"
kind = "sql"
url = "sqlite://{path}"
environment = "prod"
timezone = "Europe/Vienna"
poll = "1s"
requests = "6000/min"
options = {{ statement_timeout = "400ms" }}

[[series]]
name = "orders"
source = "warehouse"
query = "select count(*) from orders"
unit = "rows"
normal = [5.0, 10.0]

[[series]]
name = "by layer"
source = "warehouse"
query = "select layer, count(*) from orders group by layer"

[[series]]
name = "loaded"
source = "warehouse"
query = "select max(at) from orders"
unit = "time"
"""
BROKEN = """
[[series]]
name = "broken"
source = "warehouse"
query = "select nope from orders"
"""
WRITES = '\n[[series]]\nname = "wipe"\nsource = "warehouse"\nquery = "delete from orders"\n'


@pytest.fixture
def file(tmp_path: Path) -> File:
    one = File(tmp_path)
    one.write("CREATE TABLE orders (id INTEGER, layer TEXT, at TEXT)")
    one.write(
        "INSERT INTO orders VALUES (1, 'ldz', '2026-01-20 11:00:00'), (2, 'ldz', '2026-01-20 12:00:00'), (3, 'cdm', NULL)"
    )
    return one


def rig(tmp_path: Path, file: File, more: str = "") -> Rig:
    return Rig(tmp_path, SOURCE.format(path=str(file.path).replace(" ", "%20")) + more, prelude=SHORT)


def series(r: Rig) -> dict[str, Any]:
    return {s.series: s for s in r.reader().series("", named=True)}


def health(r: Rig) -> Health:
    return next(s.health for s in r.reader().sources() if s.name == "warehouse")


def test_numbers_labels_instants_and_what_is_wrong(tmp_path: Path, file: File) -> None:
    with rig(tmp_path, file, BROKEN) as r:
        found = until(lambda: (s := series(r)) and s.get("by layer{layer=ldz}") and s["orders"].t and s)
        assert (found["orders"].value, found["orders"].unit, found["orders"].outside) == (3.0, "rows", -1)
        assert (found["by layer{layer=ldz}"].value, found["by layer{layer=cdm}"].value) == (2.0, 1.0)
        assert (found["loaded"].value, found["loaded"].unit) == (1_768_906_800_000.0, "time")
        assert "no such column: nope" in until(lambda: series(r)["broken"].why)
        (row,) = [s for s in r.reader().sources() if s.name == "warehouse"]
        assert (row.health, row.pipelines, row.offers) == (Health.FRESH, 0, {"metrics"})
        assert r.reader().floor() == []
        with r.ask() as ask, pytest.raises(RequestError):
            ask("plan", verb="start", key="warehouse:anything")


def test_a_value_follows_and_what_falls_silent_keeps_its_last_with_its_age(tmp_path: Path, file: File) -> None:
    with rig(tmp_path, file) as r:
        until(lambda: (s := series(r).get("orders")) and s.value == 3.0)
        file.write("INSERT INTO orders VALUES (4, 'cdm', NULL)")
        until(lambda: series(r)["orders"].value == 4.0)
        file.write("DELETE FROM orders WHERE at IS NOT NULL")
        assert until(lambda: series(r)["loaded"].why) == "it gave no value: NULL"
        assert series(r)["loaded"].value == 1_768_906_800_000.0, "its last one stands"
        file.path.rename(file.kept)
        until(lambda: health(r) is not Health.FRESH, 30)
        row = series(r)["orders"]
        assert row.value == 2.0
        assert row.stale(int(time.time() * 1000) + 600_000)
        file.kept.rename(file.path)
        until(lambda: health(r) is Health.FRESH and series(r)["orders"].t > row.t, 30)


def test_a_wrong_query_is_told_at_its_line(
    tmp_path: Path, file: File, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "watchfloor.toml"
    text = SOURCE.format(path=str(file.path).replace(" ", "%20"))
    path.write_text(text + BROKEN)
    line = path.read_text().splitlines().index('name = "broken"')  # counted from 0: the line of [[series]] above it
    assert main(["check", "--config", str(path)]) == EXIT_OK, "nothing can be seen without asking"
    assert main(["doctor", "--config", str(path)]) == EXIT_NOT_WELL
    said = capsys.readouterr().out
    assert f"✗ series broken: {path}:{line}: the query is refused: no such column: nope" in said
    assert "✓ series orders: warehouse answers" in said
    assert "✓ source warehouse: sql SQLite 3." in said
    path.write_text(text + WRITES)
    line = path.read_text().splitlines().index('name = "wipe"')
    assert main(["check", "--config", str(path)]) == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert (
        f"{path}:{line + 3}: series[wipe].query: expected a query of sql, it begins with DELETE: asked are only SELECT"
        in said
    )
