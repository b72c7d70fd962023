"""What people did, in a store: actions with their plan, history and records, as the engine writes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from adapters.extras import Operation
from adapters.model import ActionState, State, parse_key
from engine.actions.audit import Audit, canonical
from engine.ids import Ids
from engine.peer import Peer
from engine.store import actions as rows
from tests.tui.stores import MINUTE, SECOND, House

ANA = Peer(uid=1000, pid=4242, login="ana", groups=frozenset(), origin="10.1.1.7 50022 10.1.1.1 22")
BOB = Peer(uid=1001, pid=4343, login="bob", groups=frozenset(), origin=None)
RUNNING = {
    "key": "prod-airflow:daily_sales/r1", "state": 2, "mode": None, "word": "running", "native": "running", "since": None, "attempt": 1,
    "started": None, "ended": None, "words": "running 22m · step load_fact",
}  # fmt: skip
FAILED = {**RUNNING, "state": 8, "word": "failed", "native": "failed", "words": "failed 2s ago"}
CALL = {
    "method": "PATCH", "target": "https://airflow.bank/api/v2/dags/daily_sales/dagRuns/r1", "body": {"state": "failed"},
    "headers": {"Authorization": "Bearer ****"},
}  # fmt: skip
GUARDS = [
    {"name": "armed", "ok": True, "words": "prod is armed, 42s left"},
    {"name": "window", "ok": None, "words": "intervention window night until 06:00: needs your reason"},
]


class Deeds:
    """Writes into a House. Times as ages before its now."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids = Ids()
        self.audit = Audit(SimpleNamespace(store=house.store))  # type: ignore[arg-type]

    def did(
        self, verb: str = "stop", key: str = "prod-airflow:daily_sales/r1", *, ago: int = 10 * MINUTE, took: int = 29 * SECOND,
        state: ActionState = ActionState.DONE, words: str = "the run ended", reason: str | None = "wrong eia file, right one promised",
        who: Peer = ANA, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None, open: bool = False,
        result: str | None = None, guards: list[dict[str, Any]] | None = None, params: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """One action as it would stand now; ``open``: in flight and still asked for."""
        h, parsed = self.house, parse_key(key)
        at = h.now - ago
        made = self.ids.ulid(at)
        was = RUNNING if before is None else before
        plan = {
            "verb": verb, "class": "disruptive", "calls": [CALL], "guards": guards or GUARDS, "effect": "set the run to failed", "params": params or {},
            "proof": "run terminal in two reads within 5m", "undo": "rerun from load_fact", "business_date": None, "copy": "curl -X PATCH …",
        }  # fmt: skip
        with h._at(at), h.tx() as tx:
            rows.insert(
                tx,
                rows.ActionRecord(
                    id=made, nonce=made, verb=verb, key=key, pipeline_key=parsed.pipeline_key, scope=f"{key}|{made}", environment="prod",
                    state=ActionState.EXECUTING, words=f"{who.who} asked for {verb}", client_id=made, plan_hash="p" * 64, plan=canonical(plan),
                    prepared="{}", reason=reason, who=who.who, uid=who.uid, created=tx.now, changed=tx.now, before=canonical(was), attempt=1,
                ),
            )  # fmt: skip
            body = {"reason": reason, "calls": [CALL], "guards": guards or GUARDS, "before": was, "plan_hash": "p" * 64}
            self.audit.record(tx, "intent", peer=who, action_id=made, verb=verb, key=key, body=body)
        with h._at(at + 3 * SECOND), h.tx() as tx:
            rows.move(tx, made, ActionState.VERIFYING, f"{verb} accepted", sent=True)
            self.audit.record(
                tx, "verifying", peer=None, action_id=made, verb=verb, key=key, body={"words": f"{verb} accepted"}
            )
        if state is ActionState.VERIFYING:
            return made
        with h._at(at + took), h.tx() as tx:
            end = FAILED if after is None else after
            rows.move(
                tx, made, state, words, after=canonical(end) if state is ActionState.DONE else None, ended=not open, result_key=result
            )  # fmt: skip
            told: dict[str, Any] = {"state": state.name, "words": words}
            if state is ActionState.DONE:
                told |= {"before": was, "after": end}
            self.audit.record(tx, state.name.lower(), peer=None, action_id=made, verb=verb, key=key, body=told)
        return made

    def said(self, event: str, who: Peer = ANA, *, ago: int = MINUTE, key: str | None = None, **body: Any) -> None:
        """A record that belongs to no action: an arming, a waiver, a sign-off."""
        with self.house._at(self.house.now - ago), self.house.tx() as tx:
            self.audit.record(tx, event, peer=who, key=key, body=body)
            tx.bump("action")

    def backfill(self, source: str = "prod-airflow", **fields: Any) -> None:
        """A backfill of a source."""
        given: dict[str, Any] = {
            "id": "7", "pipeline": f"{source}:daily_sales", "first": "2026-11-01", "last": "2026-11-14", "planned": 14, "done": 8, "failed": 1,
            "running": 2, "created": self.house.now - 30 * MINUTE, **fields,
        }  # fmt: skip
        o = Operation(**given)
        with self.house.tx() as tx:
            tx.db.execute(
                "INSERT INTO operation (source_id, id, pipeline_key, kind, state, first, last, planned, done, failed, running, created, ended,"
                " who, words, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.house.ids[source], o.id, o.pipeline, o.kind, int(o.state), o.first, o.last, o.planned, o.done, o.failed, o.running,
                    o.created, o.ended, o.who, o.words, self.house.now,
                ),
            )  # fmt: skip
            tx.db.execute(
                "INSERT OR REPLACE INTO source_part (source_id, part, seen, tried) VALUES (?, 'operations', ?, ?)",
                (self.house.ids[source], self.house.now, self.house.now),
            )
            tx.bump("item")


def busy(house: House) -> Deeds:
    """A morning of deeds: two under way, one of them lost; backfills; some that ended well and badly."""
    d = Deeds(house)
    d.said("armed", ago=70 * MINUTE, environment="prod", until=house.now)
    d.did(
        "pause",
        "prod-airflow:ldz_to_rdv_contracts",
        ago=26 * 60 * MINUTE,
        words="it is paused",
        before={
            "key": "prod-airflow:ldz_to_rdv_contracts",
            "mode": 0,
            "word": "active",
            "schedule": "0 5 * * *",
            "next_run": house.now,
            "words": "active · 0 5 * * *",
        },
        after={
            "key": "prod-airflow:ldz_to_rdv_contracts",
            "mode": 1,
            "word": "paused",
            "schedule": "0 5 * * *",
            "next_run": None,
            "words": "paused · 0 5 * * *",
        },
    )
    d.did(
        "start",
        "local:fx_rates_probe",
        ago=55 * MINUTE,
        who=BOB,
        reason=None,
        words="its run is there",
        result="local:fx_rates_probe/h001",
        before={"key": "local:fx_rates_probe", "mode": 0, "word": "active"},
        after={"key": "local:fx_rates_probe/h001", "state": 6, "word": "success", "native": "success", "attempt": 1},
    )
    d.said(
        "waived",
        BOB,
        ago=50 * MINUTE,
        key="local:fx_rates_probe",
        occurrence="fx|local:fx_rates_probe|2026-11-20",
        reason="no file today, agreed",
    )
    d.did(
        "rerun",
        "prod-airflow:ldz_to_rdv_contracts/r1",
        ago=40 * MINUTE,
        state=ActionState.FAILED_NOT_EXECUTED,
        words="not done: 409: the run is already running",
    )
    d.did(
        "stop",
        "prod-airflow:ldz_to_rdv_contracts/r1",
        ago=35 * MINUTE,
        state=ActionState.VERIFY_TIMEOUT,
        words="accepted, still running · not proved within 5m",
    )
    d.did(ago=20 * MINUTE)
    d.did(
        "rerun-failed",
        "dbx-prod:customer_360_merge/r9",
        ago=12 * MINUTE,
        state=ActionState.UNKNOWN,
        words="the answer was lost: timed out; asking failed",
    )
    d.did("stop", "prod-airflow:customer_360/r4", ago=15 * SECOND, state=ActionState.VERIFYING)
    d.backfill()
    d.backfill(
        "dbx-prod",
        id="3",
        pipeline="dbx-prod:customer_360_merge",
        state=State.HELD,
        first="2026-10-01",
        last="2026-10-31",
        planned=31,
        done=None,
        failed=None,
        running=None,
        created=None,
    )
    d.backfill(id="5", state=State.SUCCESS, first="2026-09-01", last="2026-09-03", planned=3, done=3, failed=0, running=0, created=house.now - 26 * 60 * MINUTE, ended=house.now - 25 * 60 * MINUTE)  # fmt: skip
    return d


__all__ = ["ANA", "BOB", "CALL", "Deeds", "busy"]
