"""A night of promises for the tests of the Deadlines: one of each state and kind, a feed with margins, a chain."""

from __future__ import annotations

from pathlib import Path

from adapters.model import Course, Health, Owed, Severity, State
from engine.store import owed
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, TZ, House


def put_feed(
    h: House, name: str, *, margins: tuple[int, ...] = (), arrived_ago: int | None = None, buffer: int | None = None, error: str | None = None,
    looked_ago: int | None = 30_000, owner: str | None = None,
) -> None:  # fmt: skip
    """A feed, its last arrival and a margin a date, oldest first (ms)."""
    with h.tx() as tx:
        tx.db.execute(
            "INSERT INTO feed (name, file, zone, owner, buffer_ms, looked, error) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                name,
                f"/in/{name}_{{yyyymmdd}}.csv",
                TZ,
                owner,
                buffer,
                None if looked_ago is None else h.now - looked_ago,
                error,
            ),
        )
        if arrived_ago is not None:
            tx.db.execute(
                "INSERT INTO arrival (feed, what, at, bdate, size, seen) VALUES (?, ?, ?, 20261119, 48310, ?)",
                (name, f"{name}_20261119.csv", h.now - arrived_ago, h.now),
            )
        for i, ms in enumerate(margins):
            back = len(margins) - 1 - i
            arrived = h.now - 40 * MINUTE - back * DAY
            tx.db.execute(
                "INSERT INTO margin (feed, day, arrived, started, run_key) VALUES (?, ?, ?, ?, ?)",
                (name, 20261101 + i, arrived, arrived + ms, "prod-airflow:daily_sales/r1"),
            )
        tx.bump("owed")


def night(folder: Path) -> House:
    """Fri 20 Nov 05:52 in Paris: one broken, two at risk, seven owed, three that nobody sees, four kept, one late, two not owed."""
    h = House(folder)
    h.engine()
    h.source("prod-airflow", color="red")
    h.source(
        "dataiku", ok_ago=21 * MINUTE, health=Health.AUTH_FAILED, since_ago=21 * MINUTE, detail="401 for this API key"
    )
    h.source("local", kind="local", environment="local", protected=False, poll_ms=1000, ok_ago=1000)

    def made(name: str, source: str = "prod-airflow", usual: int = 40 * MINUTE) -> str:
        key = h.pipeline(source, name)
        h.history(source, name, usual=usual)
        return key

    cards = made("tmc_cards_to_ldz", usual=6 * MINUTE)
    owe(h, cards, due_in=-37 * MINUTE, state=Owed.BREACHED, type="start_by", reason="due 05:15: not started", missed=True,
        words="start by 05:15 Europe/Paris")  # fmt: skip
    sales = made("daily_sales", usual=44 * MINUTE)
    run = h.run("prod-airflow", "daily_sales", "r1", State.RUNNING, started_ago=22 * MINUTE)
    owe(h, sales, due_in=8 * MINUTE, state=Owed.AT_RISK, reason="P(late) 1.00; running since 05:30", p50_in=22 * MINUTE, p90_in=34 * MINUTE,
        late=1.0, must_start_in=-48 * MINUTE, course=Course.RUNNING, start_in=-22 * MINUTE, outlived=20, consumers=("bi-team",), run="r1",
        expected_ms=30 * MINUTE, words="finish by 06:00 Europe/Paris, mon-fri")  # fmt: skip
    customer = made("customer_360")
    owe(h, customer, due_in=38 * MINUTE, state=Owed.AT_RISK, reason="P(late) 0.55; not started", p50_in=42 * MINUTE, p90_in=47 * MINUTE, late=0.55,
        must_start_in=-4 * MINUTE)  # fmt: skip
    transactions = made("ldz_to_rdv_transactions")
    owe(
        h,
        transactions,
        due_in=23 * MINUTE,
        p50_in=15 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.05,
        must_start_in=-8 * MINUTE,
    )
    board = made("board_report")
    owe(h, board, due_in=68 * MINUTE, p50_in=64 * MINUTE, p90_in=69 * MINUTE, late=0.25, must_start_in=56 * MINUTE)
    owe(
        h,
        made("crm_export_daily", usual=5 * MINUTE),
        due_in=68 * MINUTE,
        p50_in=18 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.0,
        must_start_in=61 * MINUTE,
    )
    owe(
        h,
        made("new_regulatory_report"),
        due_in=80 * MINUTE,
        course=Course.LEARNING,
        learnt=False,
        n=5,
        expected_ms=30 * MINUTE,
        p50_in=70 * MINUTE,
    )
    owe(
        h,
        made("fx_overrun"),
        due_in=30 * MINUTE,
        course=Course.OVERRUN,
        late=0.9,
        start_in=-90 * MINUTE,
        state=Owed.AT_RISK,
        reason="longer than all 20 known",
    )
    owe(h, made("churn_features"), due_in=18 * MINUTE, type="max_duration", words="at most 40m", start_in=-22 * MINUTE, course=Course.RUNNING, p50_in=5 * MINUTE,
        p90_in=12 * MINUTE, late=0.05, outlived=14, limit_ms=40 * MINUTE)  # fmt: skip
    flow = made("dss_flowchart", "dataiku")
    owe(h, flow, due_in=68 * MINUTE, p50_in=60 * MINUTE, p90_in=66 * MINUTE, late=0.1, must_start_in=39 * MINUTE)
    owe(
        h,
        made("dss_propensity", "dataiku"),
        due_in=-10 * MINUTE,
        state=Owed.UNKNOWN,
        reason="not seen since 05:31, it was due 05:42; last known: running",
    )
    owe(
        h,
        made("mart_nightly"),
        due_in=19 * HOUR,
        p50_in=18 * HOUR,
        p90_in=18 * HOUR + 10 * MINUTE,
        late=0.0,
        must_start_in=18 * HOUR,
    )
    owe(
        h,
        "feed:eia",
        due_in=-52 * MINUTE,
        state=Owed.MET_LATE,
        type="source_arrival",
        met_in=-31 * MINUTE,
        words="there by 05:00 Europe/Paris",
    )
    owe(
        h,
        "ping:backup_vault",
        due_in=70 * MINUTE,
        type="heartbeat",
        reason="no sign of life since 04:10",
        words="sign of life every 26h",
    )
    owe(
        h,
        "set:morning-pack",
        due_in=98 * MINUTE,
        type="completeness",
        reason="3 of 4 done, missing board_report",
        members=(sales, customer, board, cards),
    )
    for i, name in enumerate(("mart_to_ldz_customer", "mart_to_ldz_accounts", "ldz_to_rdv_customer")):
        owe(
            h,
            made(name, usual=8 * MINUTE),
            due_in=-(82 - 20 * i) * MINUTE,
            state=Owed.MET,
            met_in=-(115 - 17 * i) * MINUTE,
            reason="succeeded",
        )
    owe(
        h,
        made("dq_reconcile_rdv"),
        due_in=8 * MINUTE,
        state=Owed.MET,
        met_in=-25 * MINUTE,
        reason="succeeded 05:27",
        run="r1",
    )
    owe(
        h,
        made("month_end_close"),
        due_in=4 * HOUR,
        state=Owed.EXCLUDED,
        reason="bank holiday: Armistice",
        opened_as=Owed.EXCLUDED,
        why_opened="bank holiday: Armistice",
    )
    owe(h, made("legacy_export"), due_in=-2 * HOUR, state=Owed.WAIVED, reason="waived by ana: system is being retired")
    owe(h, made("undeclared_fine"), due_in=HOUR, declared=False, type="start_by", promise="schedule")
    owe(h, made("undeclared_missed"), due_in=-20 * MINUTE, declared=False, type="start_by", promise="schedule", state=Owed.BREACHED, missed=True,
        reason="due 05:32: not started", severity=Severity.MEDIUM, words="start by its schedule, 10m grace")  # fmt: skip
    with h.tx() as tx:
        owed.put_edges(tx, [("feed:eia", sales, "feed"), (sales, board, "after"), (sales, customer, "declared")])
        owed.put_warnings(
            tx,
            [("nobody", "its selector local:nope_* matches nothing: mend on", "watchfloor.toml:41"),
             ("clock", "our next run of daily_sales is 05:30, its source says 06:30", "watchfloor.toml:52")],
        )  # fmt: skip
        for i in range(34):
            tx.db.execute(
                "INSERT INTO predicted (occurrence_id, at, late, p50, ended, was_late) VALUES (?, ?, 0.8, ?, ?, ?)",
                (9000 + i, h.now - DAY, h.now, h.now, int(i >= 3)),
            )
    put_feed(
        h,
        "eia",
        margins=tuple((60 - 2 * i) * MINUTE for i in range(20)),
        arrived_ago=31 * MINUTE,
        buffer=30 * MINUTE,
        owner="eia desk",
    )
    put_feed(
        h,
        "merchants",
        margins=tuple((50 + i % 3) * MINUTE for i in range(12)),
        arrived_ago=90 * MINUTE,
        buffer=20 * MINUTE,
    )
    put_feed(h, "rates", arrived_ago=None, looked_ago=None)
    h.gauges()
    assert run
    return h
