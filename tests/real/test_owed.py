"""What is owed, through the whole engine over a real Airflow 3: its own schedules, and promises that come due while we look on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from adapters import schedule
from adapters.model import Mode, Owed, State, Trigger, parse_key
from engine.store.rows import OwedRow
from tests.engine.rig import Rig, until
from tests.real.airflow_server import PASSWORD, USER, Airflow3, airflow3, survives
from tests.real.owed_dags import MINUTE, Evening, evening, listed, timetables
from tests.real.test_airflow_engine import do, done, instances, state
from tests.tui.stores import painted
from tui.screens.deadlines import DeadlinesView
from tui.screens.floor import FloorView
from tui.view import Context

pytestmark = pytest.mark.real
__all__ = ["airflow3"]  # the fixture
GRACE = 10 * MINUTE
SPEED = 5 * MINUTE
"""What Airflow may take on a slow machine from a tick until the run of two tasks is over."""


def source(server: Airflow3, folder: Path, name: str, zone: str, *include: str) -> str:
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    globs = ", ".join(f'"{g}"' for g in include)
    return (
        f'[[source]]\nname = "{name}"\nkind = "airflow"\nurl = "{server.url}"\nenvironment = "test"\nprotected = false\n'
        f'poll = "5s"\nrequests = "900/min"\ntimezone = "{zone}"\ninclude = [{globs}]\n'
        f'auth = {{ user = "{USER}", password = {{ file = "secret" }} }}\n'
    )


def expectation(id: str, type: str, on: str, zone: str, **more: str) -> str:
    rest = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return f'[[expectation]]\nid = "{id}"\ntype = "{type}"\non = "{on}"\ntimezone = "{zone}"\n{rest}'


def ms(moment: object) -> int | None:
    return None if moment is None else int(datetime.fromisoformat(str(moment)).timestamp() * 1000)


def native(key: str | None) -> str | None:
    """Airflow's own id of a run."""
    return parse_key(key or "").run


def now() -> int:
    return time.time_ns() // 1_000_000


def ticks(said: dict[str, dict[str, object]]) -> dict[str, object]:
    """When Airflow means to run each of its DAGs next."""
    return {name: dag["next_dagrun_run_after"] for name, dag in said.items()}


# --- schedules ------------------------------------------------------------------------------------------------------

CLOCK = {
    "daily": Trigger.CRON, "weekly": Trigger.CRON, "quarterly": Trigger.CRON, "cron": Trigger.CRON, "cron_third": Trigger.CRON,
    "cron_lastfri": Trigger.CRON, "cron_both": Trigger.CRON, "cron_star": Trigger.CRON, "cron_wrap": Trigger.CRON, "interval_utc": Trigger.CRON, "trigger_back": Trigger.CRON,
    "paris_trigger": Trigger.CRON, "paris_interval": Trigger.CRON, "paris_start": Trigger.CRON, "delta": Trigger.INTERVAL,
    "delta_days": Trigger.INTERVAL, "delta_interval": Trigger.INTERVAL, "stopped": Trigger.CRON,
}  # fmt: skip
"""Timetables that say a schedule which we read."""
OTHERS = {
    "delta_months": Trigger.INTERVAL, "seconds": Trigger.CRON, "several": Trigger.CRON, "none": Trigger.MANUAL,
    "once": Trigger.MANUAL, "events": Trigger.EVENT, "asset": Trigger.EVENT, "asset_or_time": Trigger.EVENT,
}  # fmt: skip
"""Those that say none, or one that we do not."""


@survives
async def test_the_schedules_of_airflow_are_read_right(airflow3: Airflow3, tmp_path: Path) -> None:
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    with timetables(airflow3) as sfx:
        said = listed(airflow3, sfx, len(CLOCK) + len(OTHERS))
        toml = (
            source(airflow3, folder, "utc", "UTC", f"{sfx}_*")
            + source(airflow3, folder, "paris", "Europe/Paris", f"{sfx}_paris_*")
            + expectation("unread", "start_by", f"utc:{sfx}_several", "UTC")
            + expectation("eventful", "start_by", f"utc:{sfx}_asset", "UTC")
        )
        with Rig(folder, toml) as rig:
            until(lambda: len(rig.reader().floor()) == len(said) + 3, 60)
            reader = rig.reader()
            for _ in range(5):  # a tick of one of them may come between what they say and what we have read of it
                before = listed(airflow3, sfx, len(said))
                rig.polled("utc")
                rig.polled("paris")
                floor = {f.key: f for f in reader.floor()}
                scheduled = {key: [o for o in reader.owed_of(key) if o.promise == "schedule"] for key in floor}
                warned = {w.words.partition(": ")[0]: w.words for w in reader.owed_warnings() if "reads as" in w.words}
                looked = now()
                said = listed(airflow3, sfx, len(said))
                if ticks(said) == ticks(before):
                    break
            else:
                raise AssertionError(f"the next runs of Airflow do not stand still: {ticks(before)}, {ticks(said)}")
            zones = {"utc": "UTC", "paris": "Europe/Paris"}
            known = {**CLOCK, **OTHERS}
            for key, row in floor.items():
                name = row.name.removeprefix(f"{sfx}_")
                assert row.trigger is known[name], (name, row.schedule)
                if name not in CLOCK:
                    continue
                assert row.schedule is not None
                read = schedule.parse(row.schedule, zones[row.source])
                theirs = ms(said[name]["next_dagrun_run_after"])
                assert theirs is not None, name
                ours = read.after(theirs - MINUTE)
                agrees = ours is not None and 0 <= theirs - ours < 1000  # of a delta our offset is in whole seconds
                assert agrees or key in warned or name == "stopped", (name, row.schedule, theirs, ours)
                assert not (agrees and key in warned), warned[key]
                assert agrees is not (row.source == "utc" and name.startswith("paris_")), (name, row.schedule)

            # What each owes: its next tick where it is near, nothing where it is started by something else.
            for key, row in floor.items():
                name = row.name.removeprefix(f"{sfx}_")
                owed = scheduled[key]
                theirs = ms(said[name]["next_dagrun_run_after"])
                if name in OTHERS or name == "stopped" or key in warned:
                    assert not owed, (name, owed)
                elif theirs is not None and theirs < looked + 20 * 60 * MINUTE and row.trigger is Trigger.CRON:
                    assert [o.due for o in owed if o.due >= looked] == [theirs // 1000 * 1000 + GRACE], (name, owed)
            assert floor[f"utc:{sfx}_stopped"].mode is Mode.PAUSED

            # What cannot be owed as it is written is said, with its place.
            words = {w.promise: (w.words, w.place) for w in reader.owed_warnings()}
            assert "has no schedule that can be read" in words["unread"][0]
            assert "10 1 * * *, 30 2 * * *" in words["unread"][0]
            assert "is started by events" in words["eventful"][0]
            assert "watchfloor.toml" in words["eventful"][1]

            # Runs that Airflow made of itself meanwhile (deltas begin at once) carry the date of their own tick.
            first = until(lambda: reader.runs(limit=50, pipeline_key=f"utc:{sfx}_delta"), 90, 0.5)
            theirs = airflow3.get(f"/api/v2/dags/{sfx}_delta/dagRuns?limit=50")["dag_runs"]
            dates = {r["dag_run_id"]: str(r["run_after"])[:10] for r in theirs}
            assert {native(r.key): r.business_date for r in first}.items() <= dates.items()


# --- an evening -----------------------------------------------------------------------------------------------------


class Seen:
    """One engine over the DAGs of an evening: what it says of each."""

    def __init__(self, rig: Rig, at: Evening) -> None:
        self.rig = rig
        self.at = at

    def key(self, name: str) -> str:
        return f"air:{self.at.sfx}_{name}"

    def owed(self, name: str, promise: str) -> OwedRow | None:
        """The one of this evening, of a promise."""
        found = [o for o in self.rig.reader().owed_of(self.key(name)) if o.promise == promise]
        mine = [o for o in found if o.business_date == self.at.date]
        return mine[0] if mine else None

    def becomes(self, name: str, promise: str, wanted: Owed, seconds: float = 90) -> OwedRow:
        """Wait for this state; any of MET, MET_LATE, BREACHED that is not it fails at once."""

        def there() -> OwedRow | None:
            row = self.owed(name, promise)
            return row if row is not None and row.state is wanted else None

        try:
            return until(there, seconds, 0.2)
        except AssertionError:
            raise AssertionError(f"{promise} is not {wanted.name}: {self.owed(name, promise)}") from None

    def run(self, name: str) -> Any:
        """Tonight's run of a DAG."""
        runs = self.rig.reader().runs(limit=20, pipeline_key=self.key(name))
        mine = [r for r in runs if r.business_date == self.at.date]
        return mine[0] if mine else None

    def alerts(self, name: str, open_only: bool = True) -> Sequence[Any]:
        return [a for a in self.rig.reader().alerts(open_only) if self.key(name) in a.key]

    def context(self) -> Context:
        return Context(self.rig.reader(), now, timezone=self.at.zone, read_only=False)

    def floor(self) -> list[str]:
        view = FloorView(self.context())
        view.load()
        return painted(view, 120, 60)

    def deadlines(self) -> list[str]:
        view = DeadlinesView(self.context(), None)
        view.load()
        return painted(view, 120, 60)


def promises(at: Evening) -> str:
    def key(name: str) -> str:
        return f"air:{at.sfx}_{name}"

    return (
        expectation("ok-done", "finish_by", key("ok"), at.zone, due=at.clock(at.first + SPEED))
        + expectation("far-done", "finish_by", key("far"), at.zone, due=at.clock(at.first + SPEED))
        + expectation("far-starts", "start_by", key("far"), at.zone, start_grace="5m")
        + expectation("ok-starts", "start_by", key("ok"), at.zone, start_grace="5m")
        + expectation("fail-done", "finish_by", key("fail"), at.zone, due=at.clock(at.failed))
        + expectation("slow-short", "max_duration", key("slow"), at.zone, limit="20s")
        + expectation("in-order", "sequence", key("second"), at.zone, after=key("ok"))
        + expectation("too-early", "sequence", key("hasty"), at.zone, after=key("slow"))
    )


@survives
async def test_an_evening_of_promises(airflow3: Airflow3, tmp_path: Path) -> None:
    folder = tmp_path / uuid.uuid4().hex
    with evening(airflow3, folder / "flags", 180) as at:
        toml = source(airflow3, folder, "air", at.zone, f"{at.sfx}_*") + promises(at)
        with Rig(folder, toml) as rig, rig.ask() as ask:
            seen = Seen(rig, at)
            dags = listed(airflow3, at.sfx, 8)
            until(lambda: len(rig.reader().floor()) == 8, 60)

            # Before anything is due: each waits, by Airflow's own next run.
            starts = seen.becomes("ok", "ok-starts", Owed.PENDING, 30)
            assert starts.due == at.first + SPEED
            assert ms(dags["ok"]["next_dagrun_run_after"]) == at.first
            said = {w.promise: w.words for w in rig.reader().owed_warnings()}
            assert set(said) == {"far-done", "far-starts", "schedule"}  # its zone is told nowhere
            assert all(words.startswith(seen.key("far")) and "reads as" in words for words in said.values())
            await paused(airflow3, seen, ask)

            # What runs in time is met, and the run says so.
            met = seen.becomes("ok", "ok-done", Owed.MET, max(at.first + SPEED - now(), 0) / 1000 + 20)
            ran = airflow3.get(f"/api/v2/dags/{at.sfx}_ok/dagRuns?limit=10")["dag_runs"]
            assert len(ran) == 1
            assert (met.thing, native(met.run_key)) == (seen.key("ok"), ran[0]["dag_run_id"])
            assert [(e[0], e[1]) for e in met.evidence] == [("run", met.run_key)]
            assert met.met_at == ms(ran[0]["end_date"])
            assert "succeeded" in met.reason
            assert seen.becomes("ok", "ok-starts", Owed.MET, 30).met_at == ms(ran[0]["start_date"])
            assert seen.run("ok").business_date == met.business_date == at.date
            assert not seen.alerts("ok", open_only=False)

            # Where we misread its hour, the clock still counts, and what hangs on the hour is not owed.
            far = seen.becomes("far", "far-done", Owed.MET, max(at.first + SPEED - now(), 0) / 1000 + 20)
            assert far.run_key == seen.run("far").key
            assert {o.promise for o in rig.reader().owed_of(seen.key("far"))} == {"far-done"}

            failed_then_mended(airflow3, seen, ask)
            slow_and_its_hasty_neighbour(airflow3, seen)

            # A data interval's first run is yesterday's: it takes no promise of today, and tonight's is in order.
            order = seen.becomes("second", "in-order", Owed.MET, 180)
            assert [e[0] for e in order.evidence] == ["run", "upstream"]
            assert order.evidence[1][1] == met.run_key
            assert order.run_key == seen.run("second").key
            nothing_owed_by_the_asset(airflow3, seen)
            assert not [o for o in rig.reader().owed_of(seen.key("paused")) if o.promise == "schedule"]
            assert not seen.alerts("paused", open_only=False)
            assert State.MISSED not in {r.state for r in rig.reader().runs(limit=50, pipeline_key=seen.key("paused"))}
            assert any("paused" in line and f"{at.sfx}_paused" in line for line in seen.floor())
            assert not any(f"{at.sfx}_paused" in line for line in seen.deadlines())


async def paused(server: Airflow3, seen: Seen, ask: Any) -> None:
    """A DAG that is paused before its tick owes no start: what was open is gone, and nothing is told."""
    key = seen.key("paused")
    (owed,) = until(lambda: [o for o in seen.rig.reader().owed_of(key) if o.promise == "schedule"], 30)
    assert (owed.state, owed.type, owed.due) == (Owed.PENDING, "start_by", seen.at.second + GRACE)
    done(seen.rig, do(ask, "pause", key))
    until(lambda: not seen.rig.reader().owed_of(key), 30)
    assert server.get(f"/api/v2/dags/{seen.at.sfx}_paused")["is_paused"] is True


def failed_then_mended(server: Airflow3, seen: Seen, ask: Any) -> None:
    """One alert from the failure on, joined by the broken promise; mended through us it is late, and both attempts are there."""
    run = until(
        lambda: (r := seen.run("fail")) is not None and r.state is State.FAILED and r,
        max(seen.at.failed - now(), 0) / 1000,
    )
    broken = seen.becomes("fail", "fail-done", Owed.BREACHED, max(seen.at.failed - now(), 0) / 1000 + 30)
    assert "failed" in broken.reason
    assert broken.run_key == run.key
    assert [(e[0], e[1]) for e in broken.evidence] == [("run", run.key)]
    (alert,) = seen.alerts("fail")
    assert "the table is not there" in f"{alert.title} {alert.body}" or "load" in f"{alert.title} {alert.body}"
    row = next(line for line in seen.deadlines() if f"{seen.at.sfx}_fail" in line)
    assert "breach" in row.lower() or "broken" in row.lower(), row

    seen.at.touch("mended")
    done(seen.rig, do(ask, "rerun-failed", run.key))
    late = seen.becomes("fail", "fail-done", Owed.MET_LATE, 180)
    theirs = native(run.key)
    ended = ms(server.get(f"/api/v2/dags/{seen.at.sfx}_fail/dagRuns/{quote(theirs)}")["end_date"])
    assert late.met_at == ended
    assert late.lateness_ms == late.met_at - seen.at.failed
    assert "late" in late.reason
    assert late.evidence[0][1] == run.key
    assert {t: i["try_number"] for t, i in instances(server, f"{seen.at.sfx}_fail", quote(theirs)).items()} == {
        "extract": 1, "load": 2,
    }  # fmt: skip
    detail = seen.rig.reader().run(run.key)
    assert detail is not None
    assert state(seen.rig, run.key) is State.SUCCESS
    assert [a.state for a in detail.attempts] == [State.FAILED]
    assert detail.row.attempt == 2
    until(lambda: not seen.alerts("fail"), 30)
    assert [a.id for a in seen.alerts("fail", open_only=False)] == [alert.id]


def slow_and_its_hasty_neighbour(server: Airflow3, seen: Seen) -> None:
    """Too long is told while it runs; what starts before it is done is out of order."""

    def short() -> OwedRow | None:
        found = [o for o in seen.rig.reader().owed_of(seen.key("slow")) if o.promise == "slow-short"]
        return next((o for o in found if o.state is Owed.BREACHED), None)

    long = until(short, 180)
    assert server.get(f"/api/v2/dags/{seen.at.sfx}_slow/dagRuns?state=running")["total_entries"] == 1
    run = seen.run("slow")
    assert (long.run_key, run.state) == (run.key, State.RUNNING)
    assert len(seen.alerts("slow")) == 1
    hasty = seen.becomes("hasty", "too-early", Owed.BREACHED, 180)
    assert "before its upstream" in hasty.reason
    seen.at.touch("enough")
    until(lambda: seen.run("slow").state is State.SUCCESS, 120)
    over = until(lambda: (o := seen.rig.reader().owed_one(long.id)) is not None and o.state is Owed.MET_LATE and o, 30)
    assert over.run_key == run.key
    until(lambda: not seen.alerts("slow"), 30)
    assert (seen.becomes("hasty", "too-early", Owed.BREACHED, 5)).run_key == seen.run("hasty").key


def nothing_owed_by_the_asset(server: Airflow3, seen: Seen) -> None:
    """It ran because its asset was made, and owes no schedule."""
    key = seen.key("asset")
    run = until(lambda: next(iter(seen.rig.reader().runs(limit=5, pipeline_key=key)), None), 180)
    assert server.get(f"/api/v2/dags/{seen.at.sfx}_asset/dagRuns")["dag_runs"][0]["run_type"] == "asset_triggered"
    row = next(f for f in seen.rig.reader().floor() if f.key == key)
    assert (row.trigger, row.next_run) == (Trigger.EVENT, None)
    assert not [o for o in seen.rig.reader().owed_of(key) if o.promise == "schedule"]
    assert run.key.startswith(f"{key}/")
