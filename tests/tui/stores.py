"""Stores for the tests of screens: written by the engine's own writer, read by the reader, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.base import Listing
from adapters.model import (
    AlertState,
    Caps,
    Health,
    Mode,
    Pipeline,
    Run,
    RunKind,
    Sample,
    Severity,
    State,
    StepRun,
    Trigger,
    Verb,
    pipeline_key,
    run_key,
)
from engine.clock import Clock
from engine.config.model import PipelineRule
from engine.store import alerts, outbox, pipelines, runs, samples, sources, steps
from engine.store.reader import Reader
from engine.store.writer import Store
from tui.view import Context, Line, View

NOW = 1_795_150_320_000
"""Fri 20 Nov 2026 05:52 in Paris."""
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
TZ = "Europe/Paris"
SIZES = ((80, 24), (120, 40), (200, 50))
ALL_VERBS = frozenset(
    {Verb.START, Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM, "steps", "log"}
)


class StillClock(Clock):
    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class House:
    """One store and what is put into it. Times are given as ages before ``clock.at`` where a name ends in ``ago``."""

    def __init__(self, folder: Path, at: int = NOW) -> None:
        self.clock = StillClock(at)
        self.path = folder / "floor.db"
        self.store = Store.open(self.path, self.clock)
        self.ids: dict[str, int] = {}
        self._records: list[sources.SourceRecord] = []
        self._pipelines: dict[str, list[Pipeline]] = {}
        self._rules: list[PipelineRule] = []
        self._readers: list[Reader] = []

    @property
    def now(self) -> int:
        return self.clock.at

    def tx(self) -> Any:
        return self.store.transaction()

    def engine(self, *, heartbeat_ago: int = 0, stopped: str | None = None, config_error: str | None = None) -> None:
        with self._at(self.now - heartbeat_ago), self.tx() as tx:
            sources.engine_started(
                tx, pid=4711, host="ops-01", version="0.1.0", protocol=1, config_path="/etc/watchfloor.toml", config_hash="c0ffee12", timezone=TZ
            )  # fmt: skip
            if config_error is not None:
                sources.engine_config(tx, "c0ffee12", config_error)
            if stopped is not None:
                sources.engine_stopped(tx, stopped)

    def _at(self, at: int) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def then() -> Any:
            before, self.clock.at = self.clock.at, at
            try:
                yield
            finally:
                self.clock.at = before

        return then()

    def source(
        self, name: str, kind: str = "airflow", environment: str = "prod", *, color: str = "", protected: bool = True, insecure: bool = False,
        offers: frozenset[str] = ALL_VERBS, why_not: dict[str, str] | None = None, poll_ms: int = 10 * SECOND, ok_ago: int | None = 2 * SECOND,
        health: Health = Health.FRESH, since_ago: int = DAY, **more: Any,
    ) -> int:  # fmt: skip
        """A source as the engine would have it, with its health."""
        self._records.append(
            sources.SourceRecord(
                name=name,
                kind=kind,
                url=f"https://{name}.example",
                environment=environment,
                color=color,
                protected=protected,
                insecure=insecure,
                ord=len(self._records),
            )
        )
        with self.tx() as tx:
            self.ids = sources.sync_sources(tx, self._records)
            sources.put_caps(tx, self.ids[name], Caps(offers, why_not or {}))
            sources.put_health(
                tx, self.ids[name], health=int(health), since=self.now - since_ago, last_ok=None if ok_ago is None else self.now - ok_ago,
                last_try=self.now - 2 * SECOND, next_try=self.now + 8 * SECOND, poll_ms=poll_ms,
                **{"budget_min": 60, "requests_min": 12, "bytes_min": 48_000, "latency_ms": 84, **more},
            )  # fmt: skip
        return self.ids[name]

    def pipeline(
        self, source: str, native: str, *, name: str | None = None, mode: Mode = Mode.ACTIVE, next_in: int | None = HOUR,
        trigger: Trigger = Trigger.CRON, owner: str | None = None, rule: PipelineRule | None = None, mode_ago: int | None = None,
    ) -> str:  # fmt: skip
        key = pipeline_key(source, native)
        item = Pipeline(
            key=key, name=name or native, mode=mode, trigger=trigger, schedule="0 5 * * *", owner=owner,
            next_run=None if next_in is None else self.now + next_in,
        )  # fmt: skip
        self._pipelines.setdefault(source, []).append(item)
        if rule is not None:
            self._rules.append(rule)
        with self._at(self.now - (mode_ago or 0)), self.tx() as tx:
            pipelines.apply_pipelines(tx, self.ids[source], Listing([item], complete=False), self._rules)
        return key

    def runs(self, source: str, items: Sequence[Run]) -> None:
        with self.tx() as tx:
            runs.apply_runs(tx, self.ids[source], items, self.now)

    def run(
        self, source: str, native: str, run: str, state: State, *, started_ago: int | None, took: int | None = None, queued_ago: int | None = None,
        **more: Any,
    ) -> str:  # fmt: skip
        """One run; ``took`` None: it has not ended."""
        key = run_key(pipeline_key(source, native), run)
        started = None if started_ago is None else self.now - started_ago
        ended = None if took is None or started is None else started + took
        queued = None if queued_ago is None else self.now - queued_ago
        more.setdefault("native", state.name.lower())
        self.runs(source, [Run(key=key, state=state, started=started, ended=ended, queued=queued, **more)])
        return key

    def history(
        self, source: str, native: str, n: int = 20, *, usual: int = 10 * MINUTE, last_ago: int = DAY, every: int = DAY, odd: dict[int, State] | None = None
    ) -> None:  # fmt: skip
        """``n`` finished runs of about ``usual``, the newest ``last_ago``; ``odd``: place from the newest → another state."""
        items: list[Run] = []
        for i in range(n):
            state = (odd or {}).get(i, State.SUCCESS)
            started = self.now - last_ago - i * every
            factor = (100, 92, 130, 108, 100, 70, 155, 97)[i % 8]
            items.append(
                Run(
                    key=run_key(pipeline_key(source, native), f"h{i:03d}"),
                    native=state.name.lower(),
                    state=state,
                    started=started,
                    ended=started + usual * factor // 100,
                    kind=RunKind.SCHEDULED,
                )
            )
        self.runs(source, items)

    def steps(self, key: str, items: Sequence[StepRun]) -> None:
        with self.tx() as tx:
            steps.apply_steps(tx, key, items)

    def log(
        self, key: str, step: str, path: Path, *, attempt: int = 1, complete: bool = True, note: str | None = None
    ) -> None:
        with self.tx() as tx:
            steps.put_log(
                tx, key, step, -1, attempt, str(path), path.stat().st_size if path.exists() else 0, complete, None, note
            )

    def alert(
        self,
        id: str,
        key: str,
        *,
        acked: bool = False,
        ago: int = HOUR,
        title: str = "failed",
        severity: Severity = Severity.HIGH,
    ) -> None:
        with self.tx() as tx:
            at = self.now - ago
            alerts.insert(
                tx,
                alerts.Alert(
                    id=id, dedup=key, rule="failed-run", key=key, occurrence="", severity=severity,
                    state=AlertState.ACKED if acked else AlertState.FIRING, title=title, body=title, opened=at, since=at, changed=at,
                    resolved=None, resolved_by=None, acked_by="ana" if acked else None, acked_at=at if acked else None,
                    ack_until=None, ack_note=None, reopened=0, held_back=None, told=1, run_key="", good=0, bad=0,
                ),
            )  # fmt: skip
            tx.bump("alert")

    def letter(self, id: str, alert: str, recipient: str, *, error: str | None = None) -> None:
        with self.tx() as tx:
            outbox.put(
                tx, id=id, alert_id=alert, kind="fire", recipient=recipient, notify_type="failure", title="t", body="b"
            )
            if error is not None:
                tx.db.execute(
                    "UPDATE outbox SET attempts = 2, last_error = ?, next_at = ? WHERE id = ?",
                    (error, self.now + MINUTE, id),
                )

    def arm(self, environment: str, seconds: int = 42) -> None:
        from engine.store import actions

        with self.tx() as tx:
            actions.put_armed(tx, environment, 1000, "ana", self.now + seconds * SECOND)

    def gauges(self) -> None:
        """Eight ticks of this host."""
        with self.tx() as tx:
            for name, unit, top in (("host.cpu", "%", 100.0), ("host.mem", "%", 100.0), ("host.io", "%", 100.0), ("host.disk:/data", "%", 100.0), ("host.load1", "", None)):  # fmt: skip
                samples.describe_series(tx, name, unit=unit, max=top)
            for i, cpu in enumerate((20.0, 35.0, 60.0, 80.0, 60.0, 35.0, 48.0, 41.0)):
                t = self.now - (7 - i) * SECOND
                readings = [
                    ("host.cpu", cpu),
                    ("host.mem", 63.0),
                    ("host.io", 4.0),
                    ("host.disk:/data", 81.0),
                    ("host.load1", 1.5),
                ]
                samples.put_samples(tx, t, [Sample(n, t, v, "%") for n, v in readings])

    def reader(self) -> Reader:
        reader = Reader(self.path, self.clock.now)
        self._readers.append(reader)
        return reader

    def context(self, **more: Any) -> Context:
        """A context that may act, of a living engine."""
        given: dict[str, Any] = {
            "reader": self.reader(),
            "now": self.clock.now,
            "timezone": TZ,
            "read_only": False,
            "engine_alive": True,
            **more,
        }
        return Context(**given)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.store.close()


def text_of(lines: Sequence[Line]) -> list[str]:
    """What a person sees, one string a line."""
    return ["".join(text for text, _ in line) for line in lines]


def painted(view: View, width: int, height: int) -> list[str]:
    """Paint and check the one promise of every view: exactly ``height`` lines of exactly ``width`` cells, nothing that steers a terminal."""
    from tui.present import cut

    shown = text_of(view.paint(width, height))
    assert len(shown) == height
    for line in shown:
        assert cut.width(line) == width, line
        assert cut.clean(line) == line
    return shown


def story(folder: Path) -> House:
    """A floor with one of each: what the pictures of the design show, as far as the first slice knows it."""
    h = House(folder)
    h.engine()
    h.source("prod-airflow", color="red")
    h.source(
        "dbx-prod",
        kind="databricks",
        offers=frozenset({Verb.START, Verb.RERUN}),
        why_not={"stop": "the token may not cancel runs"},
    )
    h.source(
        "dataiku",
        ok_ago=21 * MINUTE,
        health=Health.AUTH_FAILED,
        since_ago=21 * MINUTE,
        detail="401 for this API key",
        hint="the key expired: make a new one",
    )
    h.source(
        "local",
        kind="local",
        environment="local",
        protected=False,
        poll_ms=SECOND,
        ok_ago=SECOND,
        offers=ALL_VERBS | {Verb.HOLD, Verb.RELEASE},
    )

    p = h.pipeline(
        "prod-airflow",
        "ldz_to_rdv_contracts",
        owner="data-eng",
        rule=PipelineRule(match="prod-airflow:*", layer="RDV", criticality=Severity.HIGH),
    )
    h.history("prod-airflow", "ldz_to_rdv_contracts", usual=11 * MINUTE)
    h.run(
        "prod-airflow", "ldz_to_rdv_contracts", "r1", State.FAILED, started_ago=164 * MINUTE, took=4 * MINUTE + 2 * SECOND, attempt=2,
        business_date="2026-11-19", error="load_fact: ORA-00001 duplicate key\nat load_fact.sql:88",
    )  # fmt: skip
    h.alert("7K2F", p, ago=160 * MINUTE)
    h.letter("o1", "7K2F", "ana")
    h.letter("o2", "7K2F", "bi-team", error="550 mailbox full")
    h.pipeline("local", "fx_rates_probe", next_in=8 * MINUTE)
    h.history("local", "fx_rates_probe", usual=14 * SECOND, every=HOUR, last_ago=HOUR, odd={1: State.FAILED})
    h.run(
        "local",
        "fx_rates_probe",
        "r9",
        State.FAILED,
        started_ago=12 * MINUTE,
        took=9 * SECOND,
        error="exit 7: no connection to fx-gw",
    )
    h.pipeline("dbx-prod", "churn_features_refresh")
    h.history("dbx-prod", "churn_features_refresh", usual=41 * MINUTE)
    h.run("dbx-prod", "churn_features_refresh", "run-77", State.RUNNING, started_ago=112 * MINUTE)
    h.pipeline("prod-airflow", "campaign_360_build")
    h.history("prod-airflow", "campaign_360_build", usual=17 * MINUTE)
    h.run(
        "prod-airflow",
        "campaign_360_build",
        "r2",
        State.WARNING,
        started_ago=80 * MINUTE,
        took=18 * MINUTE,
        error="212 of 48,310 rows rejected",
    )
    h.pipeline("prod-airflow", "tmc_cards_to_ldz")
    h.history("prod-airflow", "tmc_cards_to_ldz", usual=6 * MINUTE)
    h.run("prod-airflow", "tmc_cards_to_ldz", "due", State.MISSED, started_ago=None, queued_ago=57 * MINUTE)

    h.pipeline("dataiku", "dss_flowchart_nightly")
    h.history("dataiku", "dss_flowchart_nightly", usual=25 * MINUTE)
    h.pipeline("dataiku", "dss_segments_weekly", next_in=7 * DAY)
    h.history("dataiku", "dss_segments_weekly", usual=65 * MINUTE)
    h.run("dataiku", "dss_segments_weekly", "r5", State.RUNNING, started_ago=30 * MINUTE)
    h.pipeline("prod-airflow", "ldz_to_rdv_transactions")
    h.history("prod-airflow", "ldz_to_rdv_transactions", usual=24 * MINUTE)
    h.run("prod-airflow", "ldz_to_rdv_transactions", "r6", State.RUNNING, started_ago=17 * MINUTE)
    h.pipeline("prod-airflow", "txn_stream_bronze", trigger=Trigger.CONTINUOUS, next_in=None)
    h.run("prod-airflow", "txn_stream_bronze", "s", State.RUNNING, started_ago=6 * DAY + 4 * HOUR)
    h.pipeline("prod-airflow", "rdv_to_customer_360")
    h.history("prod-airflow", "rdv_to_customer_360", usual=12 * MINUTE)
    h.run("prod-airflow", "rdv_to_customer_360", "r7", State.QUEUED, started_ago=None, queued_ago=3 * MINUTE)
    h.pipeline("prod-airflow", "retrying_load", owner="ana")
    h.run("prod-airflow", "retrying_load", "r8", State.RETRYING, started_ago=5 * MINUTE, attempt=2)
    h.pipeline("prod-airflow", "stopping_load")
    h.run("prod-airflow", "stopping_load", "r8", State.STOPPING, started_ago=5 * MINUTE)
    h.pipeline("local", "held_load")
    h.run("local", "held_load", "r8", State.HELD, started_ago=5 * MINUTE, queued_ago=5 * MINUTE)
    h.pipeline("prod-airflow", "gdpr_erasure", mode=Mode.PAUSED, mode_ago=3 * DAY + 2 * HOUR)
    h.history("prod-airflow", "gdpr_erasure", n=9, usual=30 * MINUTE, last_ago=4 * DAY)
    h.pipeline("local", "month_end_close", next_in=7 * DAY)
    h.pipeline("prod-airflow", "churn_train_weekly", trigger=Trigger.MANUAL, next_in=None)
    h.history("prod-airflow", "churn_train_weekly", n=5, usual=2 * HOUR)
    for i, name in enumerate(
        (
            "mart_to_ldz_customer",
            "mart_to_ldz_accounts",
            "mart_to_ldz_transactions",
            "ldz_to_rdv_customer",
            "dq_reconcile_rdv",
        )
    ):
        h.pipeline("prod-airflow", name, next_in=HOUR + i * MINUTE)
        h.history("prod-airflow", name, usual=(7 + i) * MINUTE, last_ago=90 * MINUTE, odd={3 + i: State.FAILED})
    h.pipeline("prod-airflow", "stopped_load")
    h.run("prod-airflow", "stopped_load", "r1", State.STOPPED, started_ago=2 * HOUR, took=MINUTE, stopped_by="ana")
    h.gauges()
    return h


def calm(folder: Path) -> House:
    """All is well: five pipelines, one runs."""
    h = House(folder)
    h.engine()
    h.source("local", kind="local", environment="local", protected=False, poll_ms=SECOND, ok_ago=SECOND)
    for i in range(5):
        h.pipeline("local", f"step_{i}", next_in=(i + 1) * 5 * MINUTE)
        h.history("local", f"step_{i}", usual=3 * MINUTE, last_ago=HOUR + i * MINUTE)
    h.run("local", "step_4", "now", State.RUNNING, started_ago=MINUTE)
    h.gauges()
    return h


def big(folder: Path, pipelines_: int = 2000, runs_each: int = 0) -> House:
    """Many pipelines of one source."""
    h = House(folder)
    h.engine()
    h.source("prod-airflow")
    items = [
        Pipeline(key=pipeline_key("prod-airflow", f"p{i:04d}"), name=f"p{i:04d}", next_run=h.now + i * SECOND)
        for i in range(pipelines_)
    ]
    with h.tx() as tx:
        pipelines.apply_pipelines(tx, h.ids["prod-airflow"], Listing(items, complete=True), [])
    _many_runs(h, items, runs_each or 1)
    return h


def _many_runs(h: House, items: Sequence[Pipeline], each: int) -> None:
    states = (State.SUCCESS, State.SUCCESS, State.SUCCESS, State.FAILED, State.RUNNING)
    for r in range(each):
        batch: list[Run] = []
        for i, p in enumerate(items):
            state = states[(i + r) % 5] if r == each - 1 else State.SUCCESS
            started = h.now - (each - r) * HOUR - i
            batch.append(
                Run(
                    key=run_key(p.key, f"r{r}"),
                    native=state.name,
                    state=state,
                    started=started,
                    ended=started + MINUTE if state.terminal else None,
                )
            )
        h.runs("prod-airflow", batch)
