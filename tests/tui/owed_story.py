"""The Floor of the design's pictures with its promises: broken, at risk, owed, met, late, unknown, and what waits for whom."""

from __future__ import annotations

from pathlib import Path

from adapters.model import Course, Owed, State, Trigger
from engine.store import owed
from tests.tui.owed_stores import owe
from tests.tui.stores import HOUR, MINUTE, House, story

AF = "prod-airflow:"


def owed_story(folder: Path) -> House:
    """``stores.story`` and what its pipelines owe at 05:52."""
    h = story(folder)
    h.pipeline("prod-airflow", "daily_sales", owner="data-eng")
    h.history("prod-airflow", "daily_sales", usual=44 * MINUTE)
    h.run("prod-airflow", "daily_sales", "r1", State.RUNNING, started_ago=22 * MINUTE, business_date="2026-11-19")
    h.pipeline("prod-airflow", "crm_export_daily", next_in=13 * MINUTE)
    h.history("prod-airflow", "crm_export_daily", usual=5 * MINUTE)
    h.pipeline("prod-airflow", "board_report", trigger=Trigger.EVENT, next_in=None)
    h.history("prod-airflow", "board_report", usual=7 * MINUTE)
    h.pipeline("prod-airflow", "verified_load", next_in=HOUR)
    h.history("prod-airflow", "verified_load", usual=7 * MINUTE)
    h.run("prod-airflow", "verified_load", "r1", State.SUCCESS, started_ago=20 * MINUTE, took=7 * MINUTE)

    owe(h, "feed:eia", type="source_arrival", due_in=-67 * MINUTE, state=Owed.MET_LATE, met_in=-31 * MINUTE)
    owe(
        h,
        "ping:backup",
        type="heartbeat",
        due_in=-12 * MINUTE,
        state=Owed.BREACHED,
        reason="no sign of life since 03:00",
    )
    owe(
        h,
        AF + "tmc_cards_to_ldz",
        type="start_by",
        due_in=-57 * MINUTE,
        state=Owed.BREACHED,
        missed=True,
        must_start_in=10 * MINUTE,
        p50_in=6 * MINUTE,
    )
    owe(
        h,
        AF + "daily_sales",
        due_in=8 * MINUTE,
        state=Owed.AT_RISK,
        course=Course.RUNNING,
        p50_in=22 * MINUTE,
        p90_in=34 * MINUTE,
        late=1.0,
        run="r1",
        consumers=("bi-team", "finance"),
        words="finish by 06:00 Europe/Paris, mon-fri",
    )
    owe(
        h,
        AF + "rdv_to_customer_360",
        due_in=38 * MINUTE,
        state=Owed.AT_RISK,
        p50_in=42 * MINUTE,
        p90_in=47 * MINUTE,
        late=0.6,
        must_start_in=-4 * MINUTE,
        consumers=("crm", "finance", "bi-team"),
    )
    owe(
        h,
        AF + "ldz_to_rdv_contracts",
        due_in=28 * MINUTE,
        state=Owed.AT_RISK,
        course=Course.RERUN,
        p50_in=15 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.6,
        run="r1",
        must_start_in=-4 * MINUTE,
    )
    owe(
        h,
        AF + "ldz_to_rdv_transactions",
        due_in=23 * MINUTE,
        course=Course.RUNNING,
        p50_in=15 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.0,
        run="r6",
    )
    owe(
        h,
        AF + "board_report",
        due_in=68 * MINUTE,
        p50_in=64 * MINUTE,
        p90_in=67 * MINUTE,
        late=0.05,
        must_start_in=54 * MINUTE,
    )
    owe(
        h,
        AF + "crm_export_daily",
        due_in=68 * MINUTE,
        p50_in=18 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.0,
        must_start_in=60 * MINUTE,
    )
    owe(h, "dataiku:dss_flowchart_nightly", due_in=68 * MINUTE, p50_in=25 * MINUTE, p90_in=30 * MINUTE, late=0.0)
    owe(
        h,
        "dbx-prod:churn_features_refresh",
        due_in=128 * MINUTE,
        course=Course.RUNNING,
        p50_in=94 * MINUTE,
        p90_in=100 * MINUTE,
        late=0.0,
    )
    owe(h, AF + "mart_to_ldz_customer", due_in=-82 * MINUTE, state=Owed.MET, met_in=-90 * MINUTE)
    owe(h, AF + "mart_to_ldz_accounts", due_in=-82 * MINUTE, state=Owed.MET_LATE, met_in=-61 * MINUTE)
    owe(h, AF + "churn_train_weekly", due_in=3 * HOUR, course=Course.LEARNING, learnt=False, n=5)
    owe(h, AF + "dq_reconcile_rdv", type="start_by", promise="schedule", declared=False, due_in=70 * MINUTE)
    with h.tx() as tx:
        owed.put_edges(
            tx,
            [
                ("feed:eia", AF + "daily_sales", "feed"),
                (AF + "ldz_to_rdv_contracts", AF + "rdv_to_customer_360", "after"),
                (AF + "rdv_to_customer_360", AF + "board_report", "after"),
                (AF + "daily_sales", AF + "board_report", "after"),
            ],
        )
        row = tx.db.execute(
            "SELECT r.id FROM run r JOIN pipeline p ON p.id = r.pipeline_id WHERE p.name = 'verified_load' AND r.run = 'r1'"
        ).fetchone()
        tx.db.execute(
            "INSERT INTO run_check (run_id, attempt, name, state, at, words, next_at) VALUES (?, 1, 'rows-ldz', 2, ?, '0 rows, expected at least 1', ?)",
            (row[0], h.now - MINUTE, h.now + MINUTE),
        )
        tx.bump("owed")
    return h
