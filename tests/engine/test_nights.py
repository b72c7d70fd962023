"""Nights on the floor, through the whole engine: what was owed, what became of it, who was told, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.model import Course, Owed, Severity, State
from tests.engine.scenario import DAY, HOUR, MINUTE, Scenario

AIR = """
[[source]]
name = "air"
kind = "airflow"
url = "{url}"
environment = "prod"
protected = false
poll = "10s"
timezone = "UTC"
requests = "100000/min"
auth = { user = "ops", password = { file = "pw" } }
[[contact]]
name = "ana"
url = { file = "ana.url" }
[[route]]
match = "*"
to = ["ana"]
"""
FINISH = """
[[expectation]]
id = "sales-ready"
on = "air:daily_sales"
type = "finish_by"
due = "06:00"
consumers = ["bi-team"]
"""
START = """
[[expectation]]
id = "sales-starts"
on = "air:daily_sales"
type = "start_by"
start_grace = "10m"
severity = "medium"
"""
SALES = "air:daily_sales"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("pw", "pa55-of-the-test"), ("ana.url", "json://127.0.0.1:9/")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def sales(folder: Path, toml: str, start: str = "2026-11-20 04:40") -> Scenario:
    """daily_sales runs at 05:00 Paris, 20 nights are known, tonight's run is not there yet."""
    return Scenario(folder, start, AIR + toml)


def known(night: Scenario, dag: str = "daily_sales", at: str = "05:00", **more: object) -> None:
    hour, minute = at.split(":")
    night.server.add_dag(dag, schedule=f"{int(minute)} {(int(hour) - 1) % 24} * * *", next_run=night.when(at), **more)  # type: ignore[arg-type]
    night.past(dag, start=at)


async def test_a_run_that_is_never_created_is_missed_told_once_and_late_when_it_comes(folder: Path) -> None:
    async with sales(folder, START) as night:
        known(night)
        night.begin()
        await night.until("05:05")
        assert night.state(SALES, "start_by") is Owed.PENDING
        assert not night.alerts()
        await night.until("05:12")
        late = night.owed(SALES, "start_by")
        assert (late.state, late.missed) == (Owed.BREACHED, True)
        assert night.reader.floor()[0].state is State.MISSED
        (alert,) = night.alerts()
        assert (alert.key, alert.severity) == (SALES, Severity.MEDIUM)
        await night.until("05:40")
        assert [a.id for a in night.alerts()] == [alert.id]
        assert len(night.told(alert)) == 1

        run = night.run("daily_sales", after="05:00")
        await night.step(MINUTE)
        late = night.owed(SALES, "start_by")
        assert late.state is Owed.MET_LATE
        assert late.lateness_ms is not None
        assert 29 * MINUTE <= late.lateness_ms <= 32 * MINUTE
        assert late.run_key is not None
        assert late.run_key.startswith(f"{SALES}/")
        assert not night.alerts()
        rows = night.reader.runs(limit=5)
        assert rows[0].key == late.run_key
        assert State.MISSED not in {row.state for row in rows}, "the placeholder stands beside the run that came"
        assert run


async def test_an_early_run_is_the_run_of_its_tick(folder: Path) -> None:
    async with sales(folder, START + FINISH, "2026-11-20 04:50") as night:
        known(night)
        night.begin()
        await night.until("04:57")
        run = night.run("daily_sales", after="05:00")
        await night.until("05:41")
        night.server.set_run("daily_sales", run, "success")
        await night.until("06:10")
        assert night.state(SALES, "start_by") is Owed.MET
        done = night.owed(SALES, "finish_by", night.clock_date)
        assert (done.state, done.met_at) == (Owed.MET, night.at("05:41"))
        assert not night.alerts()


async def test_it_is_at_risk_before_anything_failed_and_the_breach_upgrades_that_alert(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:02")
        said = night.owed(SALES, "finish_by").prediction
        assert said is not None
        assert said.latest_start is not None
        # the one of the twenty that ran at a month's end does not count for a plain weekday: p90 of 19 is 56m 12s
        assert (said.n, said.latest_start) == (19, night.at("05:03") + 48_000)
        assert night.state(SALES, "finish_by") is Owed.PENDING
        await night.until("05:10")
        assert night.state(SALES, "finish_by") is Owed.AT_RISK  # nothing has failed: it should have started by 05:04
        (alert,) = night.alerts("owed")
        assert alert.severity is Severity.MEDIUM
        await night.until("06:02")
        assert night.state(SALES, "finish_by") is Owed.BREACHED
        (same,) = night.alerts("owed")
        assert (same.id, same.severity) == (alert.id, Severity.HIGH)
        # at risk 05:04, its tick missed 05:10, its deadline broken 06:00: one alert that got worse twice
        assert [m.kind for m in night.told(alert)] == ["fire", "escalate", "escalate"]


async def test_the_prediction_gets_tighter_as_the_run_ages(folder: Path) -> None:
    async with sales(folder, FINISH, "2026-11-20 04:59") as night:
        known(night)
        night.begin()
        await night.until("05:00")
        night.run("daily_sales", after="05:00")
        await night.until("05:45")
        early = night.owed(SALES, "finish_by").prediction
        assert early is not None
        assert (early.course, early.n) == (Course.RUNNING, 19)
        assert early.late is not None
        assert 0.15 <= early.late <= 0.3
        await night.until("05:57")
        late = night.owed(SALES, "finish_by")
        assert late.prediction is not None
        assert late.prediction.late == 1.0
        assert late.state is Owed.AT_RISK
        await night.until("06:20", every=MINUTE)
        over = night.owed(SALES, "finish_by").prediction
        assert over is not None
        assert (over.course, over.p50) == (Course.OVERRUN, None)


async def test_failed_before_its_deadline_is_one_alert_that_the_breach_joins(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        run = night.run("daily_sales", after="05:00")
        await night.until("05:20")
        night.server.set_run("daily_sales", run, "failed")
        await night.until("05:30")
        (alert,) = night.alerts()
        assert alert.rule == "failed-run"
        row = night.owed(SALES, "finish_by")
        assert row.state is Owed.AT_RISK
        assert row.prediction is not None
        assert row.prediction.course is Course.RERUN
        await night.until("06:05")
        assert night.state(SALES, "finish_by") is Owed.BREACHED
        assert [a.id for a in night.alerts()] == [alert.id], "the broken deadline opened an alert of its own"
        assert any("06:00" in (e.detail or "") for e in night.events(alert))
        assert [m.kind for m in night.told(alert)] == ["fire", "escalate"]

        again = night.server.add_run("daily_sales", "manual-rerun", state="running", run_type="manual", ran_s=0)
        night.server.set_run("daily_sales", again.run_id, "running")
        assert night.state(SALES, "finish_by") is Owed.BREACHED


async def test_a_repaired_run_is_met_late_and_keeps_both_attempts(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        run = night.run("daily_sales", after="05:00")
        await night.until("05:20")
        night.server.set_run("daily_sales", run, "failed")
        await night.until("06:05")
        night.server.set_run("daily_sales", run, "running")  # cleared in place: the same run goes on
        await night.until("06:15")
        assert night.state(SALES, "finish_by") is Owed.BREACHED
        night.server.set_run("daily_sales", run, "success")
        await night.step(MINUTE)
        row = night.owed(SALES, "finish_by")
        assert row.state is Owed.MET_LATE
        assert row.lateness_ms is not None
        assert abs(row.lateness_ms - 15 * MINUTE) <= MINUTE
        assert not night.alerts()
        detail = night.reader.run(row.run_key or "")
        assert detail is not None
        assert detail.row.attempt == 2
        assert [a.state for a in detail.attempts] == [State.FAILED]


async def test_the_next_nights_success_does_not_hide_yesterdays_hole(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        run = night.run("daily_sales", after="05:00")
        await night.until("05:20")
        night.server.set_run("daily_sales", run, "failed")
        await night.until("06:10")
        hole = night.owed(SALES, "finish_by")
        assert hole.state is Owed.BREACHED
        (alert,) = night.alerts()
        night.clock.at = night.at("2026-11-21 04:55")
        await night.until("2026-11-21 05:00")
        new = night.run("daily_sales", after="05:00")
        await night.until("05:40")
        night.server.set_run("daily_sales", new, "success")
        await night.until("06:10")
        today = night.owed(SALES, "finish_by", "2026-11-21")
        assert today.state is Owed.MET
        still = night.reader.owed_one(hole.id)
        assert still is not None
        assert (still.state, still.business_date) == (Owed.BREACHED, "2026-11-20")
        assert [a.id for a in night.alerts()] == [alert.id]
        assert night.reader.owed_now()[SALES].id == hole.id, "the Floor shows the hole, not the success"


async def test_nothing_turns_while_the_source_cannot_be_reached(folder: Path) -> None:
    async with sales(folder, FINISH + START) as night:
        known(night)
        night.begin()
        await night.until("04:58")
        before = night.state(SALES, "finish_by")
        night.server.fault = "down"
        night.clock.at = night.at("05:50")
        for _ in range(20):
            await night.step(MINUTE)
        assert night.clock.at >= night.at("06:10")
        assert night.state(SALES, "finish_by") is Owed.UNKNOWN
        assert night.state(SALES, "start_by") is Owed.UNKNOWN
        assert {a.rule for a in night.alerts()} == {"source-unreachable"}
        assert before in (Owed.PENDING, Owed.AT_RISK)

        run = night.server.add_run("daily_sales", state="success", run_after=night.when("05:00"), ran_s=2640.0)
        night.server.fault = None
        for _ in range(4):
            await night.step(MINUTE)
        assert night.state(SALES, "finish_by") is Owed.MET  # it had ended 05:44, whatever we saw of it
        assert night.state(SALES, "start_by") is Owed.MET
        assert not night.alerts()
        assert run


async def test_polls_that_come_out_of_order_change_nothing(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:00")
        run = night.run("daily_sales", after="05:00")
        await night.step(MINUTE)
        poller = night.engine.pollers["air"]
        running = await poller.adapter.runs(None)  # an answer that is late: it is taken after the next one
        await night.until("05:44")
        night.server.set_run("daily_sales", run, "success")
        await night.until("05:46")
        done = night.owed(SALES, "finish_by")
        assert done.state is Owed.MET
        poller.take(running.runs)
        await night.step(MINUTE)
        again = night.owed(SALES, "finish_by")
        assert (again.state, again.met_at, again.reason) == (done.state, done.met_at, done.reason)
        await night.until("06:05")
        assert night.state(SALES, date="2026-11-20") is Owed.MET
        assert not night.alerts()


NINE = """
[[feed]]
name = "eia"
file = "in/eia_{business_date}.csv"
feeds = ["air:load_*"]
[[expectation]]
id = "eia-comes"
on = "feed:eia"
type = "source_arrival"
due = "04:45"
severity = "high"
[[expectation]]
id = "loads"
on = "air:load_*"
type = "finish_by"
due = "06:00"
severity = "high"
[[pipeline]]
match = "air:load_*"
after = ["feed:eia"]
"""


async def test_nine_deadlines_behind_a_late_source_are_one_story(folder: Path) -> None:
    (folder / "in").mkdir()
    async with Scenario(folder, "2026-11-20 04:30", AIR + NINE) as night:
        for n in range(9):
            known(night, f"load_{n}", "05:00")
        night.begin()
        await night.until("04:50")
        (root,) = night.alerts()
        assert root.key == "feed:eia"
        for n in range(9):
            night.run(f"load_{n}", "queued", after="05:00")
        await night.until("05:30")
        assert {night.state(f"air:load_{n}", "finish_by") for n in range(9)} == {Owed.AT_RISK}
        assert [a.id for a in night.alerts()] == [root.id], (
            "what hangs behind a late source is no alert of its own before it breaks"
        )
        assert len(night.told()) == 1
        await night.until("06:05", every=10_000)
        broken = [a for a in night.alerts() if a.id != root.id]
        assert len(broken) == 9
        assert len(night.told()) == 2, [m.kind for m in night.told()]


async def test_a_restart_in_the_middle_forgets_nothing(folder: Path) -> None:
    async with sales(folder, FINISH) as night:
        known(night)
        night.begin()
        await night.until("05:10")
        (alert,) = night.alerts("owed")
        due = night.owed(SALES, "finish_by").due
        for poller in night.engine.pollers.values():
            await poller.close()
        night.restart()
        await night.until("05:20")
        assert (night.state(SALES, "finish_by"), night.owed(SALES, "finish_by").due) == (Owed.AT_RISK, due)
        assert [a.id for a in night.alerts("owed")] == [alert.id]
        await night.until("06:05")
        assert night.state(SALES, "finish_by") is Owed.BREACHED
        assert [m.kind for m in night.told(alert)] == ["fire", "escalate", "escalate"]


async def test_a_pipeline_without_any_expectation_is_missed_all_the_same(folder: Path) -> None:
    async with sales(folder, "") as night:
        known(night)
        night.begin()
        await night.until("05:08")
        assert not night.alerts()
        await night.until("05:14")
        row = night.owed(SALES, "start_by")
        assert (row.state, row.declared, row.type) == (Owed.BREACHED, False, "start_by")
        assert len(night.alerts()) == 1


async def test_good_nights_leave_nothing_behind(folder: Path) -> None:
    """Days of good runs: every promise MET, no alert, and the promises that nobody wrote leave no rows."""
    async with sales(folder, FINISH, "2026-11-20 04:55") as night:
        known(night)
        night.begin()
        for day in ("2026-11-20", "2026-11-21", "2026-11-22"):
            night.clock.at = max(night.clock.at, night.at(f"{day} 04:58"))
            await night.until(f"{day} 05:00")
            run = night.run("daily_sales", after="05:00")
            await night.until(f"{day} 05:42", every=5 * MINUTE)
            night.server.set_run("daily_sales", run, "success")
            await night.until(f"{day} 06:05", every=5 * MINUTE)
        rows = night.reader.owed(night.at("2026-11-20 00:00"), night.clock.at + HOUR)
        declared = [r for r in rows if r.declared]
        assert [r.state for r in declared] == [Owed.MET] * 3
        assert all(r.due > night.clock.at - DAY and r.state is Owed.PENDING for r in rows if not r.declared)
        assert not night.reader.alerts(open_only=False)


@pytest.mark.parametrize("told", [False, True])
async def test_a_schedule_in_a_zone_that_its_source_does_not_tell(folder: Path, told: bool) -> None:
    """Airflow says a cron and when it is next, never the zone of the cron: ours is wrong until somebody says it."""
    zone = '[[pipeline]]\nmatch = "air:daily_sales"\ntimezone = "America/New_York"\n' if told else ""
    async with Scenario(folder, "2026-11-20 04:40", AIR + zone) as night:
        night.server.add_dag("daily_sales", schedule="0 23 * * *", next_run=night.when("05:00"))
        night.past("daily_sales")
        night.begin()
        await night.until("05:14")
        warned = [w.words for w in night.reader.owed_warnings()]
        owed = [r for r in night.reader.owed_of(SALES) if r.promise == "schedule" and r.due < night.clock.at]
        if told:
            assert not warned
            assert [r.state for r in owed] == [Owed.BREACHED]
        else:
            assert len(warned) == 1
            assert "no tick is owed until a [[pipeline]] gives it the right timezone" in warned[0]
            assert not owed
            assert not night.alerts()


SET = """
[[expectation]]
id = "all-of-it"
type = "completeness"
of = ["air:load_*"]
due = "06:00"
"""


async def test_a_tick_at_the_due_time_is_that_of_the_next_round(folder: Path) -> None:
    """The members run each hour on the hour: what starts at 06:00 is not what was to be complete by 06:00."""
    async with Scenario(folder, "2026-11-20 05:40", AIR + SET) as night:
        for name in ("load_a", "load_b"):
            night.server.add_dag(name, schedule="0 * * * *", next_run=night.when("06:00"))
            night.past(name, start="05:00", minutes=(9, 10, 11, 10, 9, 12, 10, 11, 10, 9, 10, 11))
            night.server.add_run(name, state="success", run_after=night.when("05:00"), ran_s=600.0)
        night.begin()
        await night.until("05:58")
        row = night.owed("set:all-of-it")
        assert row.state in (Owed.PENDING, Owed.MET), row.reason
        assert not night.alerts()


JOB = """
[[job]]
name = "quarterly"
schedule = "*/15 * * * *"
[[job.step]]
name = "go"
run = ["true"]
[[expectation]]
id = "quarter-starts"
on = "local:quarterly"
type = "start_by"
[[expectation]]
id = "ghost"
on = "local:not_there_*"
type = "finish_by"
due = "06:00"
"""


async def test_a_new_job_owes_no_tick_from_before_it_was_known_and_a_ghost_is_named(folder: Path) -> None:
    """The engine starts at 04:46: nobody could have started the 04:45 run. That another source is down hides no warning."""
    async with Scenario(folder, "2026-11-20 04:46", AIR + JOB) as night:
        night.server.fault = "down"
        night.begin()
        for _ in range(12):
            await night.step(MINUTE)
        rows = night.reader.owed_of("local:quarterly")
        assert rows
        assert not [r for r in rows if r.due < night.at("05:00")]
        assert "local:quarterly" not in {a.key for a in night.alerts()}
        assert [w.promise for w in night.reader.owed_warnings()] == ["ghost"]
