"""The night that the pictures of the Timeline and the Layers show: sources to reports, with one of each kind of trouble."""

from __future__ import annotations

from pathlib import Path

from adapters.model import Course, Health, Owed, State, Trigger
from engine.config.model import PipelineRule
from engine.store import owed
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House


def night(folder: Path) -> House:
    h = House(folder)
    h.engine()
    for s, k in (("prod-airflow", "airflow"), ("dbx-prod", "databricks")):
        h.source(s, kind=k, color="red")
    h.source("dataiku", ok_ago=21 * MINUTE, health=Health.AUTH_FAILED, since_ago=21 * MINUTE)
    h.source("local", kind="local", environment="local", protected=False, poll_ms=SECOND, ok_ago=SECOND)

    def at(hh, mm=0):
        return ((hh * 60 + mm) - (5 * 60 + 52)) * MINUTE  # distance from now

    def p(layer, name, src="prod-airflow", runs=(), nxt=None, usual=10 * MINUTE, trigger=Trigger.CRON):
        h.pipeline(src, name, rule=PipelineRule(match=f"{src}:{name}", layer=layer), next_in=nxt, trigger=trigger)
        if trigger is Trigger.CRON:
            h.history(src, name, usual=usual, last_ago=30 * HOUR)
        for i, (st, a, took) in enumerate(runs):
            h.run(
                src,
                name,
                f"n{i}",
                st,
                started_ago=None if st is State.MISSED else -a,
                queued_ago=-a if st is State.MISSED else None,
                took=took,
                business_date="2026-11-19",
            )
        return f"{src}:{name}"

    S, F, R, W = State.SUCCESS, State.FAILED, State.RUNNING, State.WARNING
    p("SRC", "eia_fetch", runs=[(S, at(4, 20), 5 * MINUTE), (W, at(5, 5), 16 * MINUTE)])
    p(
        "SRC",
        "fx_rates_probe",
        runs=[(S, at(3, 50), 5 * MINUTE), (F, at(4, 50), 5 * MINUTE), (F, at(5, 22), 5 * MINUTE)],
    )
    k = p("SRC", "daily_sales", runs=[(R, at(5, 30), None)], usual=44 * MINUTE)
    owe(
        h,
        k,
        due_in=8 * MINUTE,
        state=Owed.AT_RISK,
        p50_in=at(6, 14),
        p90_in=at(6, 26),
        late=0.9,
        course=Course.RUNNING,
        must_start_in=at(5, 4),
    )
    for n, a, d, due in (
        ("customer", at(3, 30), 7, at(4, 30)),
        ("accounts", at(3, 31), 8, at(4, 30)),
        ("transactions", at(3, 50), 21, at(5, 0)),
    ):
        k = p("LDZ", "mart_to_ldz_" + n, runs=[(S, a, d * MINUTE)])
        owe(h, k, due_in=due, state=Owed.MET, met_in=a + d * MINUTE, run="n0")
    k = p("LDZ", "tmc_cards_to_ldz", runs=[(State.MISSED, at(4, 45), None)])
    owe(h, k, due_in=at(5, 15), state=Owed.BREACHED)
    k = p("LDZ", "tmc_branch_files_to_ldz", runs=[(S, at(4, 6), 12 * MINUTE)])
    owe(h, k, due_in=at(5, 0), state=Owed.MET, met_in=at(4, 20), run="n0")
    p("LDZ", "st_cards_cdc", trigger=Trigger.CONTINUOUS, runs=[(R, -12 * DAY, None)])
    k = p("RDV", "ldz_to_rdv_customer", runs=[(S, at(4, 30), 7 * MINUTE)])
    owe(h, k, due_in=at(5, 15), state=Owed.MET, met_in=at(4, 37), run="n0")
    k = p("RDV", "ldz_to_rdv_contracts", runs=[(F, at(2, 53), 6 * MINUTE)])
    owe(h, k, due_in=at(5, 30), state=Owed.BREACHED)
    k = p("RDV", "ldz_to_rdv_transactions", runs=[(R, at(5, 35), None)], usual=24 * MINUTE)
    owe(h, k, due_in=at(6, 15), p50_in=at(6, 7), p90_in=at(6, 12), late=0.1, course=Course.RUNNING)
    k = p("RDV", "dq_reconcile_rdv", runs=[(S, at(5, 10), 6 * MINUTE)])
    owe(h, k, due_in=at(6, 0), state=Owed.MET, met_in=at(5, 27), run="n0")
    k = p("C360", "rdv_to_customer_360", nxt=at(6, 5))
    owe(h, k, due_in=at(6, 30), state=Owed.AT_RISK, p50_in=at(6, 34), p90_in=at(6, 39), late=0.6)
    k = p("C360", "cdm_publish_db", nxt=at(6, 35), usual=7 * MINUTE)
    owe(h, k, due_in=at(6, 50))
    p("C360", "campaign_360_build", runs=[(W, at(4, 30), 18 * MINUTE)])
    k = p("C360", "dss_flowchart_nightly", "dataiku", runs=[(S, at(3, 30), 20 * MINUTE)], nxt=at(7, 30))
    owe(h, k, due_in=at(7, 0), state=Owed.UNKNOWN)
    k = p("ML", "churn_features_refresh", "dbx-prod", runs=[(R, at(4, 0), None)], usual=41 * MINUTE)
    owe(h, k, due_in=at(8, 0), p50_in=at(6, 50), p90_in=at(7, 10), late=0.1, course=Course.RUNNING)
    p("ML", "churn_train_weekly", "dbx-prod", runs=[(S, at(-4, 0), 115 * MINUTE)])
    k = p("ML", "ml_writeback_scores", "dbx-prod", nxt=at(7, 5))
    owe(h, k, due_in=at(7, 45))
    k = p("BI", "board_report", nxt=at(6, 40))
    owe(h, k, due_in=at(7, 0))
    k = p("BI", "crm_export_daily", nxt=at(6, 5))
    owe(h, k, due_in=at(7, 0))
    k = p("BI", "month_end_close", "local", nxt=at(16, 30), usual=25 * MINUTE)
    owe(h, k, due_in=at(17, 50))
    p("OPS", "quiet_one", "local", nxt=8 * DAY)
    owe(h, "feed:eia_file", due_in=at(4, 45), type="source_arrival", state=Owed.MET_LATE, met_in=at(5, 21))
    e = "prod-airflow:"
    past = {  # by days back: what became of the customers' load, then of the file
        1: (Owed.BREACHED, Owed.MET), 2: (Owed.MET_LATE, Owed.MET), 3: (Owed.MET, Owed.EXCLUDED), 4: (Owed.MET, Owed.WAIVED),
        5: (Owed.UNKNOWN, Owed.MET),
    }  # fmt: skip
    for back, (state, came) in past.items():
        date = f"2026-11-{19 - back}"
        due = at(5, 15) - back * DAY
        met = due - HOUR if state in (Owed.MET, Owed.MET_LATE) else None
        missed = state is Owed.BREACHED
        owe(h, e + "ldz_to_rdv_customer", due_in=due, state=state, met_in=met, date=date, now=False, missed=missed)
        owe(h, "feed:eia_file", due_in=due, type="source_arrival", state=came, met_in=met, date=date, now=False)
    with h.tx() as tx:
        owed.put_spans(
            tx,
            [
                ("db-rdv-1", "maintenance", "*", h.now + at(-2), h.now + at(2), "sun 22:00–02:00"),
                ("old", "freeze", "layer:BI", h.now - 3 * DAY, h.now - 2 * DAY, "x"),
            ],
        )
        owed.put_edges(
            tx,
            [
                (e + "mart_to_ldz_customer", e + "ldz_to_rdv_customer", "after"),
                (e + "mart_to_ldz_transactions", e + "ldz_to_rdv_transactions", "after"),
                (e + "ldz_to_rdv_customer", e + "rdv_to_customer_360", "after"),
                (e + "ldz_to_rdv_contracts", e + "rdv_to_customer_360", "after"),
                (e + "ldz_to_rdv_transactions", e + "rdv_to_customer_360", "after"),
                (e + "rdv_to_customer_360", e + "cdm_publish_db", "declared"),
                (e + "rdv_to_customer_360", "dbx-prod:churn_features_refresh", "declared"),
                ("dbx-prod:churn_features_refresh", "dbx-prod:ml_writeback_scores", "after"),
                ("dbx-prod:ml_writeback_scores", e + "rdv_to_customer_360", "declared"),
                (e + "cdm_publish_db", e + "board_report", "after"),
                ("feed:eia_file", e + "daily_sales", "feed"),
                (e + "daily_sales", e + "board_report", "declared"),
            ],
        )
    h.gauges()
    return h
