"""Through the whole engine: a number of a database breaks what it owes, people are told once, and it is over when it is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.model import AlertState, Owed
from tests.engine.rig import Rig, until
from tests.sql.world import File

SHORT = (
    "import engine.poll.metrics as m; m.LOOK_S = 0.1; m.LEAST_S = 0.3\n"
    "from adapters.sql import SqlAdapter; SqlAdapter.min_poll_s = 0.3\n"
    "import engine.owed.measured as v; v.LOOK_MS = 200; v.reading.STALE_LEAST_MS = 1_500\n"
    "import engine.owed.judge as j; j.SERIES_EVERY = 200\n"
    "import engine.owed.judging as g; g.FRESH = 200\n"
    "import engine.owed.measured as v; v.Measured._cadence = lambda self, series, source: 400\n"
)
WORLD = """
[[source]]
name = "warehouse"
kind = "sql"
url = "sqlite://{path}"
environment = "prod"
poll = "1s"
requests = "6000/min"

[[series]]
name = "waiting"
source = "warehouse"
query = "select count(*) from waiting"
unit = "rows"

[[series]]
name = "loaded"
source = "warehouse"
query = "select max(at) from waiting"
unit = "time"

[[expectation]]
id = "queue-short"
on = "series:waiting"
type = "metric"
above = 3
for = "0s"
severity = "high"

[[expectation]]
id = "loads-come"
on = "series:loaded"
type = "freshness"
max_age = "1d"
severity = "low"
"""


@pytest.fixture
def file(tmp_path: Path) -> File:
    one = File(tmp_path)
    one.write("CREATE TABLE waiting (id INTEGER, at TEXT)")
    one.write("INSERT INTO waiting VALUES (1, datetime('now'))")
    return one


def owed(r: Rig, promise: str) -> list[Any]:
    return [row for row in r.reader().owed(0, 1 << 60) if row.promise == promise]


def alerts(r: Rig) -> list[Any]:
    return [a for a in r.reader().alerts() if "waiting" in a.title]


def test_a_number_breaks_what_it_owes_and_is_well_again(tmp_path: Path, file: File) -> None:
    with Rig(tmp_path, WORLD.format(path=str(file.path).replace(" ", "%20")), prelude=SHORT) as r:
        until(lambda: owed(r, "loads-come") and owed(r, "loads-come")[0].reason.startswith("newest value"))
        assert owed(r, "queue-short") == [], "within its limits it leaves no row"
        file.write("INSERT INTO waiting VALUES (2, NULL), (3, NULL), (4, NULL), (5, NULL)")
        (one,) = until(lambda: [o for o in owed(r, "queue-short") if o.state is Owed.BREACHED])
        assert (one.reason, one.name) == ("5 rows, above 3 rows", "waiting")
        (alert,) = until(lambda: alerts(r))
        assert alert.title == "waiting out of its limits — 5 rows, above 3 rows"
        assert "see its curve" in alert.body
        file.path.rename(file.kept)
        until(lambda: owed(r, "queue-short")[0].state is Owed.UNKNOWN, 30)
        assert alerts(r)[0].state is AlertState.FIRING, "what is not seen is not over"
        file.kept.rename(file.path)
        file.write("DELETE FROM waiting WHERE at IS NULL")
        until(lambda: owed(r, "queue-short")[-1:] == [] or owed(r, "queue-short")[0].state is not Owed.UNKNOWN, 30)
        until(lambda: not [a for a in alerts(r) if a.state < AlertState.RESOLVED], 30)


def test_what_is_owed_of_numbers_outlives_the_engine(tmp_path: Path, file: File) -> None:
    with Rig(tmp_path, WORLD.format(path=str(file.path).replace(" ", "%20")), prelude=SHORT) as r:
        file.write("INSERT INTO waiting VALUES (2, NULL), (3, NULL), (4, NULL), (5, NULL)")
        until(lambda: [o for o in owed(r, "queue-short") if o.state is Owed.BREACHED])
        until(lambda: alerts(r))
        r.kill()
        r.start()
        until(lambda: r.reader().owed(0, 1 << 60))
        file.write("DELETE FROM waiting WHERE at IS NULL")
        until(lambda: owed(r, "queue-short")[0].state is Owed.MET_LATE, 30)
        every = [a for a in r.reader().alerts(open_only=False) if "waiting" in a.title]
        assert len(every) == 1, "the alert of before is the alert of now"
