"""DAGs whose time comes while a test looks on, and DAGs of every timetable; put into a running server and taken out again."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.real.airflow_server import Airflow3

MINUTE = 60_000

TIMETABLES = '''
"""DAGs of Watchfloor's tests: one of every timetable. None of them does anything."""
import datetime as dt
import pendulum
from dateutil.relativedelta import relativedelta
from airflow.sdk import Asset, dag, task
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.events import EventsTimetable
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable

def make(name, schedule, **more):
    @dag(dag_id="{sfx}_" + name, schedule=schedule, tags=["owed"], **more)
    def nothing():
        @task.bash(trigger_rule="none_failed")
        def never():
            return "true"
        never()
    nothing()

def at(zone):
    return pendulum.datetime(2026, 1, 1, tz=zone)

YEARS = pendulum.datetime(pendulum.now("UTC").year + 1, 1, 2, 6, tz="UTC")
make("daily", "@daily")
make("weekly", "@weekly")
make("quarterly", "@quarterly")
make("cron", "30 6 * * MON-FRI")
make("cron_third", "0 6 * * 1#3")
make("cron_lastfri", "0 6 * * L5")
make("cron_both", "0 6 1 * 1")
make("cron_star", "0 6 */2 * SUN")
make("cron_wrap", "0 6 ? * SAT-MON")
make("interval_utc", CronDataIntervalTimetable("0 6 * * *", timezone="UTC"))
make("trigger_back", CronTriggerTimetable("0 7 * * *", timezone="UTC", interval=dt.timedelta(days=1)))
make("paris_trigger", CronTriggerTimetable("30 6 * * *", timezone="Europe/Paris"))
make("paris_interval", CronDataIntervalTimetable("0 6 * * *", timezone="Europe/Paris"))
make("paris_start", "15 5 * * *", start_date=at("Europe/Paris"))
make("delta", dt.timedelta(hours=7))
make("delta_days", dt.timedelta(days=2, minutes=5))
make("delta_interval", DeltaDataIntervalTimetable(dt.timedelta(hours=3)))
make("delta_months", relativedelta(months=1))
make("seconds", "30 6 * * * 15")
make("several", MultipleCronTriggerTimetable("10 1 * * *", "30 2 * * *", timezone="UTC"))
make("none", None)
make("once", "@once")
make("events", EventsTimetable([YEARS]))
make("asset", [Asset("never-there")])
make("asset_or_time", AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 1 * * *", timezone="UTC"),
                                          assets=[Asset("never-there")]))
make("stopped", "0 5 * * *", is_paused_upon_creation=True)
'''

EVENING = '''
"""DAGs of Watchfloor's tests that come due in a minute or so."""
import os, time
from airflow.sdk import Asset, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

FOLDER = {folder!r}
made = Asset("{sfx}_made")

def once_a_day(minute, interval=False):
    return (CronDataIntervalTimetable if interval else CronTriggerTimetable)(minute, timezone="{zone}")

def flag(name):
    return os.path.exists(os.path.join(FOLDER, name))

@dag(dag_id="{sfx}_ok", schedule=once_a_day("{first}"))
def ok():
    @task(outlets=[made])
    def load():
        print("loaded")
    load()

@dag(dag_id="{sfx}_fail", schedule=once_a_day("{first}"))
def fail():
    @task
    def extract():
        print("extracted")
    @task
    def load():
        if not flag("mended"):
            raise ValueError("the table is not there")
    extract() >> load()

@dag(dag_id="{sfx}_slow", schedule=once_a_day("{second}"))
def slow():
    @task
    def grind():
        for _ in range(2400):  # ended by its flag; the ten minutes are for a test that fails
            if flag("enough"):
                return
            time.sleep(0.25)
    grind()

def plain(name, schedule, **more):
    @dag(dag_id="{sfx}_" + name, schedule=schedule, **more)
    def nothing():
        @task
        def work():
            print("worked")
        work()
    nothing()

plain("second", once_a_day("{second}", interval=True))
plain("hasty", once_a_day("{second}"))
plain("asset", [made])
plain("paused", once_a_day("{second}"))
plain("far", CronTriggerTimetable("{far}", timezone="{far_zone}"))
ok(); fail(); slow()
'''


@dataclass(frozen=True)
class Evening:
    """When it happens. ``zone``: one in which it is about noon, so that no midnight comes between, ``far_zone`` another one;
    ``first`` and ``second`` are whole minutes (ms UTC) at which DAGs of ``sfx`` come due."""

    sfx: str
    zone: str
    far_zone: str
    first: int
    folder: Path

    @property
    def second(self) -> int:
        return self.first + MINUTE

    @property
    def failed(self) -> int:
        """By when what comes due first has long failed, on a slow machine too."""
        return self.first + 3 * MINUTE

    def clock(self, ms: int, zone: str = "") -> str:
        """``HH:MM`` in its zone."""
        return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone or self.zone)).strftime("%H:%M")

    @property
    def date(self) -> str:
        return datetime.fromtimestamp(self.first / 1000, ZoneInfo(self.zone)).date().isoformat()

    def cron(self, ms: int, zone: str = "") -> str:
        hour, minute = self.clock(ms, zone).split(":")
        return f"{int(minute)} {int(hour)} * * *"

    def touch(self, name: str) -> None:
        (self.folder / name).touch()


@contextlib.contextmanager
def evening(server: Airflow3, folder: Path, ahead_s: float) -> Iterator[Evening]:
    """DAGs that come due at the first whole minute at least ``ahead_s`` from now, and at the one after it."""
    folder.mkdir(parents=True)
    now = time.time()
    first = int(-(-(now + ahead_s) // 60) * 60) * 1000
    east = 12 - datetime.fromtimestamp(now, UTC).hour
    far = east - 2 if east > -11 else east + 2  # there is no zone further west than twelve hours
    made = Evening(f"e{uuid.uuid4().hex[:6]}", _zone(east), _zone(far), first, folder)
    text = EVENING.format(
        folder=str(folder), sfx=made.sfx, zone=made.zone, first=made.cron(made.first), second=made.cron(made.second),
        far_zone=made.far_zone, far=made.cron(made.first, made.far_zone),
    )  # fmt: skip
    with put(server, made.sfx, text):
        yield made


def _zone(east: int) -> str:
    """The zone so many hours east of Greenwich; the signs in these names are the other way round."""
    return f"Etc/GMT{-east:+d}" if east else "UTC"


@contextlib.contextmanager
def timetables(server: Airflow3) -> Iterator[str]:
    """A DAG of every timetable; what their names begin with."""
    sfx = f"t{uuid.uuid4().hex[:6]}"
    with put(server, sfx, TIMETABLES.replace("{sfx}", sfx)):
        yield sfx


@contextlib.contextmanager
def put(server: Airflow3, name: str, text: str) -> Iterator[None]:
    """A file of DAGs, there for a while."""
    file = server.dags / f"{name}.py"
    half = server.home / f"{name}.py"
    half.write_text(text)
    half.rename(file)  # never seen half written
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def listed(server: Airflow3, sfx: str, count: int) -> dict[str, dict[str, object]]:
    """Airflow's own words about these DAGs, by what stands behind ``sfx``, once all are there; what it cannot import fails."""

    def there() -> dict[str, dict[str, object]] | None:
        errors = server.get("/api/v2/importErrors")["import_errors"]
        assert not [e for e in errors if sfx in str(e["filename"])], errors
        dags = server.get(f"/api/v2/dags?limit=100&dag_id_pattern={sfx}_")["dags"]
        return {d["dag_id"].removeprefix(f"{sfx}_"): d for d in dags} if len(dags) == count else None

    return server.wait(f"the {count} DAGs of {sfx}", there, 90)
